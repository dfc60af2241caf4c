//! `rxlab vm image`: what a guest boots, made or found.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;

use qemu::protocol::data::sha256;

use super::ImageArgs;
use crate::cli::scenario::Failure;
use crate::exit::Exit;
use crate::output::stdout;

/// Makes or finds the image that `args` name, and says what it is.
pub(super) fn image(args: &ImageArgs) -> Exit {
    try_image(args).unwrap_or_else(Failure::tell)
}

fn try_image(args: &ImageArgs) -> Result<Exit, Failure> {
    let started = Instant::now();
    let image = args.kernel.image(args.driver.into())?;
    let seconds = started.elapsed().as_secs_f64();
    let kernel = place(&image.kernel, args.out.as_deref(), "vmlinuz")?;
    let initramfs = place(&image.initramfs, args.out.as_deref(), "initramfs")?;
    let text = if args.json {
        let value = json!({
            "v": 1,
            "kernel": kernel.json(),
            "initramfs": initramfs.json(),
            "seconds": seconds,
        });
        format!("{value:#}\n")
    } else {
        format!(
            "kernel     {}\ninitramfs  {}\nmade or found in {seconds:.2} s\n",
            kernel.line(),
            initramfs.line()
        )
    };
    stdout::print(&text).map_err(Failure::Output)?;
    Ok(Exit::Ok)
}

struct File {
    path: PathBuf,
    bytes: usize,
    sha256: String,
}

impl File {
    fn line(&self) -> String {
        let Self { path, bytes, sha256 } = self;
        format!("{}\n           {bytes} bytes, SHA-256 {sha256}", path.display())
    }

    fn json(&self) -> serde_json::Value {
        let Self { path, bytes, sha256 } = self;
        json!({ "path": path.to_string_lossy(), "bytes": bytes, "sha256": sha256 })
    }
}

/// The file where it is, or copied to where it is wanted.
fn place(file: &Path, out: Option<&Path>, name: &str) -> Result<File, Failure> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| Failure::Output(format!("{path}: {error}"))
    };
    let bytes = std::fs::read(file).map_err(failed(file))?;
    let path = match out {
        None => file.to_owned(),
        Some(out) => {
            std::fs::create_dir_all(out).map_err(failed(out))?;
            let path = out.join(name);
            std::fs::write(&path, &bytes).map_err(failed(&path))?;
            path
        }
    };
    Ok(File { path, bytes: bytes.len(), sha256: sha256(&bytes) })
}
