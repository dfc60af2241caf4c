//! Files that the host writes and reads.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use protocol::{BLOB_MAX, Blob, Reply};

use super::serve::Refusal;

/// Writes into a file, which is made with its folders.
///
/// # Errors
/// The system refuses.
pub fn write(path: &str, offset: u64, data: &Blob) -> Result<Reply, Refusal> {
    let failed = || Refusal::system(format!("writing {path}"));
    if let Some(folder) = Path::new(path).parent() {
        std::fs::create_dir_all(folder).map_err(failed())?;
    }
    let file = OpenOptions::new().create(true).write(true).truncate(offset == 0).open(path);
    file.and_then(|file| file.write_all_at(&data.0, offset)).map_err(failed())?;
    Ok(Reply::Nothing)
}

/// Reads of a file.
///
/// # Errors
/// The system refuses, or so much is not read at once.
pub fn read(path: &str, offset: u64, len: u32) -> Result<Reply, Refusal> {
    let failed = || Refusal::system(format!("reading {path}"));
    if len as usize > BLOB_MAX {
        return Err(Refusal::Value(format!("{len} bytes at once: at most {BLOB_MAX}")));
    }
    let file = File::open(path).map_err(failed())?;
    let mut data = vec![0; len as usize];
    let mut have = 0;
    while have < data.len() {
        match file.read_at(&mut data[have..], offset + have as u64).map_err(failed())? {
            0 => break,
            read => have += read,
        }
    }
    data.truncate(have);
    Ok(Reply::Data(Blob(data)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_a_file_and_are_read_again() {
        let folder = std::env::temp_dir().join(format!("rxlab-agent-files-{}", std::process::id()));
        let path = folder.join("of/it");
        let path = path.to_str().unwrap();
        write(path, 0, &Blob(b"older and longer".to_vec())).unwrap();
        write(path, 0, &Blob(b"one".to_vec())).unwrap();
        write(path, 3, &Blob(b" two".to_vec())).unwrap();
        assert_eq!(read(path, 1, 4).unwrap(), Reply::Data(Blob(b"ne t".to_vec())));
        assert_eq!(read(path, 4, 400).unwrap(), Reply::Data(Blob(b"two".to_vec())));
        assert!(read(path, 0, u32::MAX).unwrap_err().to_string().contains("at most"));
        assert!(read("/no/such", 0, 1).unwrap_err().to_string().contains("/no/such"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
