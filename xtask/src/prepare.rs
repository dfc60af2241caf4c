//! Installs what the tests use and cannot bring along, and has the guest's kernel downloaded.
//!
//! Nothing here fails a check: what is missing and cannot be installed is named, with the tests that will
//! skip or fail for it.

use std::path::Path;
use std::process::{Command, Stdio};

/// Something from outside that tests use.
struct Need {
    /// The Debian package.
    package: &'static str,
    /// A shell command that succeeds when it is there.
    present: &'static str,
    /// What skips or fails without it.
    without: &'static str,
}

const NEEDS: [Need; 5] = [
    Need {
        package: "libpcap0.8",
        present: "PATH=$PATH:/sbin:/usr/sbin; ldconfig -p | grep -q 'libpcap\\.so\\.\\(1\\|0\\.8\\) '",
        without: "skip: filter expressions, and libpcap as the oracle of our BPF interpreter",
    },
    Need {
        package: "tshark",
        present: "command -v tshark && command -v capinfos",
        without: "skip: Wireshark as the second reader of our captures",
    },
    Need {
        package: "dpdk-dev",
        present: "command -v dpdk-testpmd",
        without: "fail: DPDK's driver on our NIC",
    },
    Need {
        package: "qemu-system-x86",
        present: "command -v qemu-system-x86_64",
        without: "fail: guests, and Linux's driver on our NIC",
    },
    Need {
        package: "iproute2",
        present: "PATH=$PATH:/sbin:/usr/sbin; command -v ip",
        without: "fail: Linux's driver on our NIC",
    },
];

/// Installs what is missing, as far as this machine allows, and says what it does.
pub fn prepare(root: &Path) {
    let missing = missing();
    if !missing.is_empty() {
        install_all(&missing);
    }
    image(root);
}

fn install_all(missing: &[&Need]) {
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    println!("== prepare: installing {}", packages.join(" "));
    if let Err(why) = install(&packages) {
        println!("   {why}");
    }
    for need in self::missing() {
        println!("   not installed: {}; these tests will {}", need.package, need.without);
        println!("   to have it: sudo apt-get install {}", need.package);
    }
}

fn missing() -> Vec<&'static Need> {
    NEEDS.iter().filter(|need| !succeeds("sh", &["-c", need.present])).collect()
}

/// The guest's image, and for it the kernel, which the package client downloads if it knows of one. The tests
/// would do the same; here what is in the way is told before anything else runs.
fn image(root: &Path) {
    if !succeeds("sh", &["-c", KERNEL_KNOWN]) {
        println!("== prepare: the package client's lists, for the guest's kernel");
        if let Err(why) = apt_get(&[UPDATE]) {
            println!("   {why}");
        }
    }
    println!("== prepare: the guest's image");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["run", "--quiet", "--package", "qemu", "--example", "image"]).current_dir(root);
    if !cargo.status().is_ok_and(|status| status.success()) {
        println!("   without it these tests will fail: guests, and Linux's driver on our NIC");
    }
}

/// Downloaded already, or to be had.
const KERNEL_KNOWN: &str = "test -e \"${XDG_CACHE_HOME:-$HOME/.cache}/rxlab/kernel/last\" \
    || apt-cache show linux-image-cloud-amd64";
const UPDATE: &[&str] =
    &["--quiet", "-o", "Acquire::Retries=3", "-o", "Acquire::http::Timeout=20", "update"];

fn install(packages: &[&str]) -> Result<(), String> {
    let install = ["--quiet", "install", "--yes", "--no-install-recommends"];
    apt_get(&[UPDATE, &[&install[..], packages].concat()])
}

/// apt-get, as root or by a sudo that asks nothing.
fn apt_get(calls: &[&[&str]]) -> Result<(), String> {
    if !succeeds("apt-get", &["--version"]) {
        return Err("apt-get is not here".to_owned());
    }
    let root = succeeds("sh", &["-c", "test \"$(id -u)\" = 0"]);
    if !root && !succeeds("sudo", &["-n", "true"]) {
        return Err("neither root nor a sudo without password".to_owned());
    }
    // By `env`, because sudo passes few variables on.
    let mut prefix = vec!["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
    if !root {
        prefix.splice(0..0, ["sudo", "-n"]);
    }
    for arguments in calls {
        let line = [&prefix[..], arguments].concat();
        println!("   {}", line.join(" "));
        let status = Command::new(line[0]).args(&line[1..]).stdin(Stdio::null()).status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(format!("apt-get: {status}")),
            Err(error) => return Err(format!("cannot run {}: {error}", line[0])),
        }
    }
    Ok(())
}

/// Whether the command can be run and exits with 0; what it says is thrown away.
fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
