//! Installs what the tests can use and cannot bring along.
//!
//! Nothing here fails a check: what is missing and cannot be installed is named, with the tests that
//! will skip for it.

use std::process::{Command, Stdio};

/// Something from outside that tests use.
struct Need {
    /// The Debian package.
    package: &'static str,
    /// A shell command that succeeds when it is there.
    present: &'static str,
    /// What skips without it.
    skips: &'static str,
}

const NEEDS: [Need; 2] = [
    Need {
        package: "libpcap0.8",
        present: "PATH=$PATH:/sbin:/usr/sbin; ldconfig -p | grep -q 'libpcap\\.so\\.\\(1\\|0\\.8\\) '",
        skips: "filter expressions, and libpcap as the oracle of our BPF interpreter",
    },
    Need {
        package: "tshark",
        present: "command -v tshark && command -v capinfos",
        skips: "Wireshark as the second reader of our captures",
    },
];

/// Installs what is missing, as far as this machine allows, and says what it does.
pub fn prepare() {
    let missing = missing();
    if missing.is_empty() {
        return;
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    println!("== prepare: installing {}", packages.join(" "));
    if let Err(why) = install(&packages) {
        println!("   {why}");
    }
    for need in self::missing() {
        println!("   not installed: {}; these tests will skip: {}", need.package, need.skips);
        println!("   to have them: sudo apt-get install {}", need.package);
    }
}

fn missing() -> Vec<&'static Need> {
    NEEDS.iter().filter(|need| !succeeds("sh", &["-c", need.present])).collect()
}

/// apt-get, as root or by a sudo that asks nothing.
fn install(packages: &[&str]) -> Result<(), String> {
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
    let update =
        ["--quiet", "-o", "Acquire::Retries=3", "-o", "Acquire::http::Timeout=20", "update"];
    let install = ["--quiet", "install", "--yes", "--no-install-recommends"];
    for arguments in [&update[..], &[&install[..], packages].concat()] {
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
