//! Makes the image of a guest with Linux's own driver, and says where its parts are. What is there already is
//! used again; a kernel is downloaded only if none has been.

use qemu::cache::Cache;
use qemu::image::kernel::Kernel;
use qemu::image::{Image, ImageError, LINUX_DRIVER, agent};

fn main() -> Result<(), ImageError> {
    let cache = Cache::of_user();
    let kernel = Kernel::find(&cache, None, None)?;
    let image = Image::build(&cache, &kernel, &LINUX_DRIVER, &agent::find(None)?)?;
    println!("{}\n{}", image.kernel.display(), image.initramfs.display());
    Ok(())
}
