//! What a kernel's first process finds undone: file systems, modules, the port to the host.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use protocol::PORT;
use rustix::mount::{MountFlags, mount};

use super::Fault;

/// Modules in the order in which they are loaded, a path per line; the image has it.
const MODULES: &str = "/modules/order";
/// How long the kernel may take to find the port once its driver is there.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sets the guest up; the port to the host.
///
/// # Errors
/// The first thing that cannot be done.
pub fn set_up() -> Result<File, Fault> {
    for (kind, at) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        std::fs::create_dir_all(at).map_err(|error| init(at, error))?;
        let none: Option<&std::ffi::CStr> = None;
        match mount(kind, at, kind, MountFlags::empty(), none) {
            Ok(()) | Err(rustix::io::Errno::BUSY) => {}
            Err(error) => return Err(init(&format!("mounting {at}"), error.into())),
        }
    }
    let order = std::fs::read_to_string(MODULES).map_err(|error| init(MODULES, error))?;
    for path in order.lines() {
        load(path).map_err(|error| init(&format!("module {path}"), error))?;
    }
    open_port(PORT, PATIENCE)
}

/// The host's port of this name.
///
/// # Errors
/// There is none in time, or it cannot be opened.
pub fn open_port(name: &'static str, patience: Duration) -> Result<File, Fault> {
    let started = Instant::now();
    loop {
        if let Some(path) = find_port(Path::new("/sys/class/virtio-ports"), name) {
            let opened = OpenOptions::new().read(true).write(true).open(&path);
            return opened.map_err(|error| init(&path.display().to_string(), error));
        }
        if started.elapsed() > patience {
            return Err(Fault::NoPort(name));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn init(what: &str, error: io::Error) -> Fault {
    Fault::Init { what: what.into(), error }
}

/// Loads a module; one that is there already is fine.
fn load(path: &str) -> io::Result<()> {
    let file = File::open(path)?;
    match rustix::system::finit_module(&file, c"", 0) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The device file of a port, if the kernel has found it.
fn find_port(class: &Path, name: &str) -> Option<PathBuf> {
    let ports = std::fs::read_dir(class).ok()?;
    let ours = ports.filter_map(Result::ok).find(|port| {
        std::fs::read_to_string(port.path().join("name")).is_ok_and(|its| its.trim() == name)
    })?;
    let device = Path::new("/dev").join(ours.file_name());
    device.exists().then_some(device)
}
