//! An archive as the kernel unpacks it at boot: cpio in the format "newc"
//! (`Documentation/driver-api/early-userspace/buffer-format.rst` of Linux).
//!
//! Contract: what is in it comes in the order of the paths, belongs to root and is as old as the epoch, so
//! that the bytes depend on paths and contents only. A folder must be there for what lies in it.

use std::collections::BTreeMap;

/// See the module's contract.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Kind and permissions, as in `st_mode`.
    mode: u32,
    content: Vec<u8>,
    /// Major and minor number.
    device: (u32, u32),
}

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;
const END: &str = "TRAILER!!!";

impl Archive {
    /// A folder.
    pub fn folder(&mut self, path: &str) {
        self.add(path, FOLDER, &[], (0, 0));
    }

    /// A file.
    pub fn file(&mut self, path: &str, content: &[u8]) {
        self.add(path, FILE, content, (0, 0));
    }

    /// A file that can be run.
    pub fn program(&mut self, path: &str, content: &[u8]) {
        self.add(path, PROGRAM, content, (0, 0));
    }

    /// A character device.
    pub fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.add(path, CHARACTER_DEVICE, &[], (major, minor));
    }

    fn add(&mut self, path: &str, mode: u32, content: &[u8], device: (u32, u32)) {
        self.entries.insert(path.into(), Entry { mode, content: content.to_vec(), device });
    }

    /// All of it.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (inode, (path, entry)) in (1..).zip(&self.entries) {
            write(&mut out, inode, path, entry);
        }
        let nothing = Entry { mode: 0, content: Vec::new(), device: (0, 0) };
        write(&mut out, 0, END, &nothing);
        out
    }
}

fn write(out: &mut Vec<u8>, inode: u32, path: &str, entry: &Entry) {
    const TIME: u32 = 0;
    const OWNER: u32 = 0;
    const NO_CHECKSUM: u32 = 0;
    let links = 1;
    let fields = [
        inode,
        entry.mode,
        OWNER,
        OWNER,
        links,
        TIME,
        entry.content.len() as u32,
        0,
        0,
        entry.device.0,
        entry.device.1,
        path.len() as u32 + 1,
        NO_CHECKSUM,
    ];
    out.extend(b"070701");
    for field in fields {
        out.extend(format!("{field:08x}").bytes());
    }
    out.extend(path.bytes());
    out.push(0);
    align(out);
    out.extend(&entry.content);
    align(out);
}

/// Names and contents end on four bytes.
fn align(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_adding_does_not_matter() {
        let (mut one, mut other) = (Archive::default(), Archive::default());
        one.folder("a");
        one.file("a/b", b"x");
        other.file("a/b", b"x");
        other.folder("a");
        assert_eq!(one.bytes(), other.bytes());
    }

    /// The format's own words: each header of 110 bytes, every part aligned, sizes as they are.
    #[test]
    fn an_archive_can_be_taken_apart_again() {
        let mut archive = Archive::default();
        archive.folder("modules");
        archive.file("modules/a", b"12345");
        archive.program("init", b"123");
        archive.device("dev", 5, 1);
        let bytes = archive.bytes();
        let mut at = 0;
        let mut found = Vec::new();
        loop {
            let field = |n: usize| {
                let digits = &bytes[at + 6 + n * 8..][..8];
                u32::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap() as usize
            };
            assert_eq!((&bytes[at..at + 6], at % 4), (&b"070701"[..], 0));
            let (mode, size, name) = (field(1), field(6), field(11));
            let text = String::from_utf8(bytes[at + 110..at + 110 + name - 1].to_vec()).unwrap();
            if text == END {
                assert_eq!(bytes.len(), (at + 110 + name).next_multiple_of(4));
                break;
            }
            found.push((text, mode, size, field(9)));
            at = (at + 110 + name).next_multiple_of(4);
            at = (at + size).next_multiple_of(4);
        }
        let expected = [
            ("dev", 0o020_600, 0, 5),
            ("init", 0o100_755, 3, 0),
            ("modules", 0o040_755, 0, 0),
            ("modules/a", 0o100_644, 5, 0),
        ];
        assert_eq!(
            found,
            expected.map(|(path, mode, size, major)| (path.into(), mode, size, major))
        );
    }
}
