//! Which kernel, and where its modules are.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::ImageError;
use super::package;
use crate::cache::Cache;

/// A kernel and the modules that belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// As a boot loader takes it.
    pub vmlinuz: PathBuf,
    /// The folder with `kernel/` and `modules.builtin`, as in `/lib/modules/6.1.0-1-amd64`.
    pub modules: PathBuf,
}

impl Kernel {
    /// The given one, or else Debian's: from the cache, or downloaded into it by the package client.
    ///
    /// # Errors
    /// Half of one is given, or none can be had.
    pub fn find(
        cache: &Cache,
        vmlinuz: Option<&Path>,
        modules: Option<&Path>,
    ) -> Result<Self, ImageError> {
        match (vmlinuz, modules) {
            (Some(vmlinuz), Some(modules)) => {
                Ok(Self { vmlinuz: vmlinuz.to_owned(), modules: modules.to_owned() })
            }
            (None, None) => Self::below(&package::kernel(cache)?),
            (Some(_), None) => Err(ImageError::Half { given: "a kernel", missing: "its modules" }),
            (None, Some(_)) => Err(ImageError::Half { given: "modules", missing: "their kernel" }),
        }
    }

    /// Of an unpacked package.
    pub(super) fn below(folder: &Path) -> Result<Self, ImageError> {
        let missing = |what| move || ImageError::Incomplete { folder: folder.to_owned(), what };
        let vmlinuz =
            only(&folder.join("boot"), "vmlinuz-").ok_or_else(missing("boot/vmlinuz-*"))?;
        // Debian puts the modules below lib; since 2024 below usr/lib.
        let modules = ["lib/modules", "usr/lib/modules"];
        let modules = modules.iter().find_map(|path| only(&folder.join(path), ""));
        Ok(Self { vmlinuz, modules: modules.ok_or_else(missing("lib/modules/*"))? })
    }

    /// Whether it is one (`Documentation/arch/x86/boot.rst`: "HdrS" at 0x202).
    ///
    /// # Errors
    /// It is none, or cannot be read.
    pub fn check(&self) -> Result<(), ImageError> {
        let mut start = [0; 0x206];
        let path = &self.vmlinuz;
        let mut file = File::open(path).map_err(ImageError::file(path))?;
        let read = file.read_exact(&mut start);
        if read.is_err() || &start[0x202..] != b"HdrS" {
            return Err(ImageError::NotAKernel { path: path.clone() });
        }
        if !self.modules.is_dir() {
            let what = "modules: it is no folder";
            return Err(ImageError::Incomplete { folder: self.modules.clone(), what });
        }
        Ok(())
    }
}

/// The first entry of `folder`, in the order of names, that begins so.
fn only(folder: &Path, start: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(start));
    ours.map(|entry| entry.path()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_kernel_or_half_of_one_is_named() {
        let folder = std::env::temp_dir().join(format!("rxlab-kernel-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (file, none) = (folder.join("file"), folder.join("none"));
        let cache = Cache::at(folder.clone());
        std::fs::write(&file, vec![0; 4096]).unwrap();
        let said = |kernel, modules| {
            let found = Kernel::find(&cache, kernel, modules);
            found.and_then(|kernel| kernel.check()).unwrap_err().to_string()
        };
        assert!(said(Some(&file), Some(&folder)).contains("no Linux kernel"));
        assert!(said(Some(&none), Some(&folder)).contains("No such file"));
        assert!(said(Some(&file), None).contains("its modules is not"));
        assert!(said(None, Some(&folder)).contains("modules is given"));
        assert!(Kernel::below(&folder).unwrap_err().to_string().contains("boot/vmlinuz"));
        let mut bytes = vec![0; 4096];
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        std::fs::write(&file, bytes).unwrap();
        Kernel::find(&cache, Some(&file), Some(&folder)).unwrap().check().unwrap();
        assert!(said(Some(&file), Some(&file)).contains("no folder"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
