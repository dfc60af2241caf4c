//! `rxlab vm`: the pairings by one command, what stops them, and everything that can go wrong at the command line.
//!
//! What a QEMU, a kernel and its modules other than the system's are: `RXLAB_QEMU`, `RXLAB_KERNEL`,
//! `RXLAB_MODULES`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;
mod failures;
mod fake;
mod stops;
mod world;

use serde_json::Value;

use world::{number, played, sum};

/// Linux's virtio_net on our NIC: what the NIC has delivered, Linux has received, and both packet sockets have seen;
/// of the handles one has a filter, which was compiled on this side.
fn linux(queues: u16, more: &[&str]) {
    let channels = format!("channels.combined={queues}");
    let mut args = vec!["--driver", "linux", "--set", &channels, "--filter", "udp"];
    args.extend(more);
    let result = played(&args);
    let frames = number(&result, "/account/offered");
    assert_eq!(frames, 5000);
    assert_eq!(sum(&result, "lanes", "delivered"), number(&result, "/interface/rx_packets"));
    for socket in result["sockets"].as_array().unwrap() {
        assert_eq!(socket["seen"].as_u64(), Some(sum(&result, "lanes", "delivered")), "{socket}");
        let [taken, dropped] = ["taken", "dropped"].map(|key| socket[key].as_u64().unwrap());
        assert_eq!(socket["seen"], taken + dropped);
    }
    let handle = &result["handles"][0];
    assert_eq!(handle["shown"], result["sockets"][0]["taken"]);
    assert!(handle["filtered"].as_u64() > Some(0) && handle["delivered"].as_u64() > Some(0));
    let used = |key: &str| {
        let lanes = result["lanes"].as_array().unwrap();
        lanes.iter().filter(|lane| lane[key].as_u64() > Some(0)).count()
    };
    assert_eq!(used("delivered"), usize::from(queues), "{result:#}");
}

#[test]
fn linuxs_driver_with_one_queue() {
    world::alone(|| linux(1, &[]));
}

#[test]
fn linuxs_driver_with_four_queues() {
    world::alone(|| linux(4, &[]));
}

/// Our driver on our NIC, and on QEMU's own.
#[test]
fn our_driver() {
    world::alone(|| {
        for nic in ["rxlab", "qemu"] {
            let result = played(&["--nic", nic, "--set", "channels.combined=1"]);
            assert_eq!(number(&result, "/account/offered"), 5000, "{nic}");
            assert_eq!(number(&result, "/queues/0/received"), 5000, "{nic}");
            assert_eq!(number(&result, "/handles/0/shown"), 5000, "{nic}");
            assert!(number(&result, "/queues/0/messages") > 0, "{nic}: {result:#}");
            let machine = &result["machine"];
            for part in ["boot_s", "ready_s", "first_frame_s"] {
                assert!(machine[part].as_f64() > Some(0.0), "{nic}: {part}: {machine}");
            }
        }
    });
}

/// The same inputs, the same bytes, into whatever folder.
#[test]
fn an_image_is_the_same_each_time() {
    let kernel = common::guest::kernel();
    let folder = common::folder("vm_image");
    let images = ["one", "other"].map(|name| {
        let out = folder.join(name);
        let mut command = common::rxlab();
        command.args(["vm", "image", "--json", "--out"]).arg(&out);
        command.arg("--kernel").arg(&kernel.vmlinuz).arg("--modules").arg(&kernel.modules);
        command.env("XDG_CACHE_HOME", folder.join(format!("cache-{name}")));
        command.env("RXLAB_AGENT", qemu::image::agent::find(None).unwrap());
        let (code, stdout, stderr) = common::told(&command.output().unwrap());
        assert_eq!(code, 0, "{stderr}");
        let said: Value = serde_json::from_str(&stdout).unwrap();
        for file in ["kernel", "initramfs"] {
            let path = said[file]["path"].as_str().unwrap();
            assert!(path.starts_with(out.to_str().unwrap()), "{said:#}");
        }
        let bytes = std::fs::read(out.join("initramfs")).unwrap();
        assert_eq!(said["initramfs"]["bytes"], bytes.len());
        assert_eq!(said["initramfs"]["sha256"], qemu::protocol::data::sha256(&bytes));
        bytes
    });
    assert!(images[0] == images[1], "two images of the same inputs");
    assert!(images[0].len() < 16 << 20, "{} bytes", images[0].len());
    std::fs::remove_dir_all(folder).unwrap();
}
