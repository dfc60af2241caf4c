//! Kernel modules in the order in which they can be loaded.
//!
//! Contract: each module comes behind all that it depends on, once, uncompressed; what is built into the
//! kernel is left out. Which module depends on which, a module says itself, in its section `.modinfo`
//! (`include/linux/moduleinfo.h`, `scripts/mod/modpost.c` of Linux): a package has no `modules.dep`, which
//! depmod makes where it is installed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::ImageError;

/// A module, ready to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// With underscores.
    pub name: String,
    /// The file, uncompressed.
    pub bytes: Vec<u8>,
}

/// `wanted`, and what they depend on, of the folder `modules`.
///
/// # Errors
/// One is missing or cannot be read.
pub fn resolve(modules: &Path, wanted: &[&str]) -> Result<Vec<Module>, ImageError> {
    let mut files = BTreeMap::new();
    walk(&modules.join("kernel"), &mut files)?;
    let list = modules.join("modules.builtin");
    let list = std::fs::read_to_string(&list).map_err(ImageError::file(&list))?;
    let builtin = list.lines().filter_map(|line| name_of(Path::new(line))).collect();
    let mut order =
        Order { folder: modules, files, builtin, seen: BTreeSet::new(), out: Vec::new() };
    for name in wanted {
        order.add(&name.replace('-', "_"), "")?;
    }
    Ok(order.out)
}

struct Order<'a> {
    folder: &'a Path,
    files: BTreeMap<String, PathBuf>,
    builtin: BTreeSet<String>,
    seen: BTreeSet<String>,
    out: Vec<Module>,
}

impl Order<'_> {
    fn add(&mut self, name: &str, by: &str) -> Result<(), ImageError> {
        if self.builtin.contains(name) || !self.seen.insert(name.into()) {
            return Ok(());
        }
        let Some(path) = self.files.get(name).cloned() else {
            let folder = self.folder.to_owned();
            return Err(ImageError::NoModule { name: name.into(), by: by.into(), folder });
        };
        let bytes = read(&path)?;
        let info = modinfo(&bytes).map_err(|why| ImageError::NotAModule { path, why })?;
        let depends = info.split(|byte| *byte == 0).find_map(|text| text.strip_prefix(b"depends="));
        let depends = String::from_utf8_lossy(depends.unwrap_or_default()).replace('-', "_");
        for one in depends.split(',').filter(|one| !one.is_empty()) {
            self.add(one, name)?;
        }
        self.out.push(Module { name: name.into(), bytes });
        Ok(())
    }
}

/// The files of all modules, by name.
fn walk(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<(), ImageError> {
    for entry in std::fs::read_dir(folder).map_err(ImageError::file(folder))? {
        let path = entry.map_err(ImageError::file(folder))?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else if let Some(name) = name_of(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}

/// `a/b-c.ko.xz` is `b_c`.
fn name_of(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let (name, end) = file.split_once(".ko")?;
    let known = end.is_empty() || end.starts_with('.');
    known.then(|| name.replace('-', "_"))
}

fn read(path: &Path) -> Result<Vec<u8>, ImageError> {
    let bytes = std::fs::read(path).map_err(ImageError::file(path))?;
    match path.extension().and_then(|end| end.to_str()) {
        Some("ko") => Ok(bytes),
        Some("xz") => {
            let mut plain = Vec::new();
            let read = lzma_rust2::XzReader::new(bytes.as_slice(), true).read_to_end(&mut plain);
            read.map_err(ImageError::file(path))?;
            Ok(plain)
        }
        _ => {
            let why = "compressed by something else than xz: unpack it first";
            Err(ImageError::NotAModule { path: path.to_owned(), why })
        }
    }
}

/// The section `.modinfo` of an ELF file for x86-64: texts, each with a 0 at its end.
fn modinfo(elf: &[u8]) -> Result<&[u8], &'static str> {
    /// `EM_X86_64`.
    const X86_64: u64 = 62;
    /// Little-endian, 64 bits.
    const START: &[u8] = b"\x7fELF\x02\x01";
    const CUT: &str = "it ends too early";
    if !elf.starts_with(START) {
        return Err("no ELF file of 64 bits");
    }
    if number(elf, 18, 2).ok_or(CUT)? != X86_64 {
        return Err("for another machine");
    }
    let table = number(elf, 0x28, 8).ok_or(CUT)?;
    let [len, count, names] = [0x3a, 0x3c, 0x3e].map(|at| number(elf, at, 2));
    let (len, count, names) = (len.ok_or(CUT)?, count.ok_or(CUT)?, names.ok_or(CUT)?);
    let header = |index: u64| {
        let start = usize::try_from(table.checked_add(index.checked_mul(len)?)?).ok()?;
        elf.get(start..)?.get(..64)
    };
    let content = |header: &[u8]| {
        let [start, size] = [0x18, 0x20].map(|at| number(header, at, 8));
        let (start, size) = (usize::try_from(start?).ok()?, usize::try_from(size?).ok()?);
        elf.get(start..)?.get(..size)
    };
    let names = header(names).and_then(content).ok_or(CUT)?;
    for index in 0..count {
        let header = header(index).ok_or(CUT)?;
        let name = number(header, 0, 4).and_then(|at| names.get(at as usize..)).ok_or(CUT)?;
        if name.starts_with(b".modinfo\0") {
            return content(header).ok_or(CUT);
        }
    }
    Err("it has no section .modinfo")
}

/// A number of so many bytes, least significant first.
fn number(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.get(..len)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module with nothing in it but what it depends on.
    fn module(depends: &str) -> Vec<u8> {
        let names = b"\0.modinfo\0.shstrtab\0";
        let info = format!("license=none\0depends={depends}\0name=x\0");
        let mut elf = vec![0; 64];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[18] = 62;
        elf.extend(names);
        elf.extend(info.bytes());
        let table = elf.len() as u64;
        elf[0x28..0x30].copy_from_slice(&table.to_le_bytes());
        (elf[0x3a], elf[0x3c], elf[0x3e]) = (64, 3, 2);
        for (name, start, size) in
            [(0, 0, 0), (1, 64 + names.len(), info.len()), (10, 64, names.len())]
        {
            let mut header = [0; 64];
            header[0] = name;
            header[0x18..0x20].copy_from_slice(&(start as u64).to_le_bytes());
            header[0x20..0x28].copy_from_slice(&(size as u64).to_le_bytes());
            elf.extend(header);
        }
        elf
    }

    fn folder(name: &str, builtin: &str, files: &[(&str, Vec<u8>)]) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("rxlab-modules-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("kernel/net")).unwrap();
        std::fs::write(folder.join("modules.builtin"), builtin).unwrap();
        for (path, bytes) in files {
            std::fs::write(folder.join("kernel").join(path), bytes).unwrap();
        }
        folder
    }

    #[test]
    fn each_comes_behind_what_it_depends_on() {
        let files = [
            ("net/virtio_net.ko", module("failover,virtio-ring,virtio")),
            ("net/failover.ko", module("")),
            ("virtio-ring.ko", module("virtio")),
        ];
        let folder = folder("order", "kernel/drivers/virtio.ko\n", &files);
        let order: Vec<String> = resolve(&folder, &["virtio-net", "virtio_ring"])
            .unwrap()
            .into_iter()
            .map(|module| module.name)
            .collect();
        assert_eq!(order, ["failover", "virtio_ring", "virtio_net"]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let mut other = module("");
        other[18] = 183;
        let files = [
            ("needs.ko", module("gone")),
            ("other.ko", other),
            ("packed.ko.zst", vec![]),
            ("bad.ko.xz", vec![1, 2, 3]),
        ];
        let folder = folder("wrong", "", &files);
        let said = |name| resolve(&folder, &[name]).unwrap_err().to_string();
        assert!(said("absent").contains("no module absent:"), "{}", said("absent"));
        assert!(said("needs").contains("no module gone, which needs needs"));
        assert!(said("other").contains("another machine"));
        assert!(said("packed").contains("something else than xz"));
        assert!(said("bad").contains("bad.ko.xz"));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_module_that_is_cut_is_refused() {
        let whole = module("a,b");
        assert!(modinfo(&whole).unwrap().ends_with(b"depends=a,b\0name=x\0"));
        for len in 0..whole.len() {
            assert!(modinfo(&whole[..len]).is_err(), "{len}");
        }
    }
}
