//! Tests of [`super`]: storage that fails at every byte, a real size limit, a full device.

use super::*;
use std::process::Command;

/// A disk of `room` bytes, which takes at most `step` of them per call.
struct SmallDisk {
    bytes: Vec<u8>,
    room: usize,
    step: usize,
    can_truncate: bool,
}

impl Write for &mut SmallDisk {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let n = data.len().min(self.step).min(self.room - self.bytes.len());
        if n == 0 && !data.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(&data[..n]);
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Storage for &mut SmallDisk {
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        if !self.can_truncate {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.bytes.truncate(usize::try_from(len).unwrap());
        Ok(())
    }
}

/// Lines of many lengths, empty ones too.
fn lines() -> Vec<Vec<u8>> {
    (0..40).map(|i| format!("{}\n", "x".repeat(i * 7 % 23)).into_bytes()).collect()
}

fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("rxlab-file-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_disk_that_fills_at_any_byte_keeps_the_longest_run_of_whole_records() {
    let lines = lines();
    let total: usize = lines.iter().map(Vec::len).sum();
    for room in 0..=total {
        for (step, flush_every) in [(1, 1), (5, 7), (usize::MAX, 3), (usize::MAX, 100)] {
            let mut disk = SmallDisk { bytes: vec![], room, step, can_truncate: true };
            let mut file = RecordFile::over(Path::new("disk"), &mut disk);
            let mut first = None;
            for (i, line) in lines.iter().enumerate() {
                let mut result = file.write_record(line);
                if result.is_ok() && i % flush_every == flush_every - 1 {
                    result = file.flush();
                }
                match &first {
                    None => first = result.err().map(|e| e.to_string()),
                    Some(first) => assert_eq!(&result.unwrap_err().to_string(), first),
                }
            }
            let end = file.finish();
            assert_eq!(end.is_ok(), room == total, "room {room}");
            let mut expected = lines.concat();
            expected.truncate(room);
            let whole = expected.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
            expected.truncate(whole);
            assert_eq!(disk.bytes, expected, "room {room}, step {step}, every {flush_every}");
        }
    }
}

#[test]
fn an_error_says_when_the_file_could_not_be_cut_back() {
    let mut disk = SmallDisk { bytes: vec![], room: 5, step: 9, can_truncate: false };
    let mut file = RecordFile::over(Path::new("disk"), &mut disk);
    file.write_record(b"abc\n").unwrap();
    file.write_record(b"def\n").unwrap();
    let text = file.finish().unwrap_err().to_string();
    assert!(text.contains("could not be cut back to its 4 bytes"), "{text}");
}

#[test]
fn dropping_a_file_writes_what_waits() {
    let folder = scratch("drop");
    let path = folder.join("new/folder/events.ndjson");
    let mut file = RecordFile::create(&path).unwrap();
    file.write_record(b"{}\n").unwrap();
    drop(file);
    assert_eq!(fs::read(&path).unwrap(), b"{}\n");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_folder_that_is_a_file_is_refused_with_its_name_and_a_way_out() {
    let folder = scratch("taken");
    fs::write(folder.join("taken"), b"").unwrap();
    let error = RecordFile::create(&folder.join("taken/events.ndjson")).unwrap_err();
    assert_eq!(error.path(), folder.join("taken"));
    assert!(error.to_string().contains("name another folder"), "{error}");
    let error = write_whole(&folder, b"x").unwrap_err();
    assert!(error.to_string().contains("name a file, not a folder"), "{error}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn write_whole_replaces_and_leaves_nothing_beside() {
    let folder = scratch("whole");
    let path = folder.join("result.json");
    std::os::unix::fs::symlink("result.json", folder.join("link")).unwrap();
    write_whole(&path, b"first, and longer").unwrap();
    write_whole(&folder.join("link"), b"second").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second");
    assert!(fs::symlink_metadata(folder.join("link")).unwrap().is_symlink());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    fs::remove_dir_all(folder).unwrap();
}

/// Linux's own full disk: opens, and refuses every byte.
#[test]
#[cfg(target_os = "linux")]
fn a_full_device_is_reported_and_never_replaced() {
    let folder = scratch("full");
    let path = folder.join("events.ndjson");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let mut file = RecordFile::create(&path).unwrap();
    file.write_record(b"line\n").unwrap();
    let error = file.finish().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(error.to_string().contains("it keeps 0 bytes of whole records; free some space"));
    assert_eq!(write_whole(&path, b"x").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    fs::remove_dir_all(folder).unwrap();
}

const LIMITED: &str = "RXLAB_TEST_LIMITED_FILE";

/// The child of the test below; without its variable it has nothing to do.
#[test]
fn limited_child() {
    let Some(path) = std::env::var_os(LIMITED) else { return };
    let _signals = crate::interrupt::Interrupt::install().unwrap();
    let mut file = RecordFile::create(Path::new(&path)).unwrap();
    let mut error = None;
    for i in 0..100_000 {
        error = error.or(file.write_record(format!("{{\"line\":{i}}}\n").as_bytes()).err());
    }
    let error = error.unwrap();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    assert!(error.to_string().contains("ulimit -f"), "{error}");
    println!("limit met");
}

#[test]
fn a_real_file_size_limit_leaves_whole_lines() {
    let folder = scratch("limit");
    let path = folder.join("events.ndjson");
    // 301 blocks, of 512 or 1024 bytes as the shell likes it: not a multiple of a line.
    let output = Command::new("sh")
        .args(["-c", "ulimit -f 301 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "output::file::tests::limited_child", "--nocapture"])
        .env(LIMITED, &path)
        .output()
        .unwrap();
    let talk = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && talk.contains("limit met"), "{output:?}");
    let text = fs::read_to_string(&path).unwrap();
    assert!((301 * 512 - 20..=301 * 1024).contains(&text.len()), "{}", text.len());
    for (i, line) in text.split_inclusive('\n').enumerate() {
        assert_eq!(line, format!("{{\"line\":{i}}}\n"));
    }
    fs::remove_dir_all(folder).unwrap();
}
