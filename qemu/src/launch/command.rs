//! QEMU's command line.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::options::{Accel, Nic, Options, Wire};
use super::version::Version;
use crate::protocol::PORT;
use crate::protocol::lockstep::DEVICE_PORT;

/// What a VM has files for, in a folder of its own.
#[derive(Clone, Debug)]
pub struct Files {
    /// The agent's port: this side listens.
    pub agent: PathBuf,
    /// The port for the NIC of a world in lockstep: this side listens.
    pub device: PathBuf,
    /// The guest's console.
    pub console: PathBuf,
    /// QEMU's control socket: QEMU listens.
    pub control: PathBuf,
    /// Where the state of a guest that comes from another QEMU arrives, if one does: QEMU listens.
    pub incoming: Option<PathBuf>,
    /// What QEMU says.
    pub log: PathBuf,
}

impl Files {
    /// In a VM's folder; the console may be elsewhere.
    pub fn in_folder(folder: &Path, console: Option<PathBuf>) -> Self {
        Self {
            agent: folder.join("agent"),
            device: folder.join("device"),
            console: console.unwrap_or_else(|| folder.join("console")),
            control: folder.join("control"),
            incoming: None,
            log: folder.join("qemu"),
        }
    }
}

/// What the kernel is told: its console, to stop for good after a panic, and to leave out what costs time and
/// adds nothing here. A guest that is only looked at speaks no IPv6 by itself. Whether timer interrupts come the
/// kernel tries out for a moment, in which a busy machine under QEMU's translator may give none, and stops.
const KERNEL: &str = "console=ttyS0 panic=-1 quiet ipv6.disable=1 mitigations=off random.trust_cpu=on \
                      no_timer_check";
/// Milliseconds between two attempts to reach a back-end that has gone.
const RECONNECT_MS: u32 = 1000;

/// All words behind the program's name. `accel` is not [`Accel::Auto`].
pub fn arguments(
    options: &Options,
    version: Version,
    accel: Accel,
    files: &Files,
) -> Vec<OsString> {
    let mut line = Line::default();
    let iommu = options.iommu || options.nic.as_ref().is_some_and(|nic| nic.iommu_platform);
    line.flag("-nodefaults").flag("-no-user-config").flag("-no-reboot");
    line.pair("-display", "none");
    // The IOMMU's interrupt remapping is not the kernel's to do.
    let irqchip = if iommu && accel == Accel::Kvm { ",kernel-irqchip=split" } else { "" };
    line.pair("-machine", &format!("q35,memory-backend=memory{irqchip}"));
    match accel {
        Accel::Kvm => line.pair("-accel", "kvm").pair("-cpu", "host"),
        Accel::Auto | Accel::Tcg => line.pair("-accel", "tcg,thread=multi").pair("-cpu", "max"),
    };
    line.pair("-smp", &options.cpus.to_string());
    // The back-end maps the guest's memory.
    let memory = format!("memory-backend-memfd,id=memory,size={}M,share=on", options.memory);
    line.pair("-m", &format!("{}M", options.memory)).pair("-object", &memory);
    line.path("-kernel", &options.image.kernel).path("-initrd", &options.image.initramfs);
    let kernel = if iommu { format!("{KERNEL} intel_iommu=on") } else { KERNEL.to_owned() };
    line.pair("-append", &kernel);
    line.device_file("-chardev", "file,id=console", "path", &files.console, "");
    line.pair("-serial", "chardev:console");
    line.device_file("-chardev", "socket,id=agent", "path", &files.agent, "");
    if options.device_port {
        line.device_file("-chardev", "socket,id=device", "path", &files.device, "");
    }
    line.device_file(
        "-chardev",
        "socket,id=control,server=on,wait=off",
        "path",
        &files.control,
        "",
    );
    line.pair("-mon", "chardev=control,mode=control");
    if let Some(incoming) = &files.incoming {
        let mut uri = OsString::from("unix:");
        uri.push(incoming);
        line.words.extend(["-incoming".into(), uri]);
    }
    // Before every other device: it translates for those behind it.
    if iommu {
        let iommu = "intel-iommu,intremap=on,caching-mode=on,device-iotlb=on";
        line.pair("-device", iommu);
    }
    line.pair("-device", "virtio-serial-pci");
    line.pair("-device", &format!("virtserialport,chardev=agent,name={PORT}"));
    if options.device_port {
        line.pair("-device", &format!("virtserialport,chardev=device,name={DEVICE_PORT}"));
    }
    if let Some(nic) = &options.nic {
        line.nic(nic, version, msix(nic, version, accel));
    }
    line.words.extend(options.more.iter().cloned());
    line.words
}

/// Whether the NIC can have MSI-X; without, all its rings share one interrupt line.
pub fn msix(nic: &Nic, version: Version, accel: Accel) -> bool {
    let own = matches!(nic.wire, Wire::Dgram { .. });
    own || accel == Accel::Kvm || version >= Version::MSIX_WITHOUT_KVM
}

#[derive(Default)]
struct Line {
    words: Vec<OsString>,
}

impl Line {
    fn flag(&mut self, flag: &str) -> &mut Self {
        self.words.push(flag.into());
        self
    }

    fn pair(&mut self, option: &str, value: &str) -> &mut Self {
        self.words.extend([option.into(), value.into()]);
        self
    }

    fn path(&mut self, option: &str, path: &Path) -> &mut Self {
        self.words.extend([option.into(), path.into()]);
        self
    }

    /// An option with a path among its keys.
    fn device_file(&mut self, option: &str, head: &str, key: &str, path: &Path, tail: &str) {
        let mut value = OsString::from(format!("{head},{key}="));
        value.push(escaped(path));
        value.push(tail);
        self.words.extend([option.into(), value]);
    }

    fn nic(&mut self, nic: &Nic, version: Version, msix: bool) {
        let queues = nic.queues;
        match &nic.wire {
            Wire::VhostUser(socket) => {
                let reconnect = match version >= Version::RECONNECT_MS {
                    true => format!(",reconnect-ms={RECONNECT_MS}"),
                    false => format!(",reconnect={}", RECONNECT_MS / 1000),
                };
                self.device_file("-chardev", "socket,id=nic", "path", socket, &reconnect);
                self.pair("-netdev", &format!("vhost-user,id=net,chardev=nic,queues={queues}"));
            }
            Wire::Dgram { here, there } => {
                let mut value = OsString::from("dgram,id=net,local.type=unix,local.path=");
                value.push(escaped(here));
                value.push(",remote.type=unix,remote.path=");
                value.push(escaped(there));
                self.words.extend(["-netdev".into(), value]);
            }
        }
        // One vector for each ring, one for the configuration, one for the control queue.
        let vectors = if msix { 2 * queues + 2 } else { 0 };
        let mq = if queues > 1 { "on" } else { "off" };
        let mac: Vec<String> = nic.mac.iter().map(|byte| format!("{byte:02x}")).collect();
        let (rx, tx) = nic.ring;
        // A device of QEMU's own has transmit rings of 256 entries at most.
        let tx = if matches!(nic.wire, Wire::Dgram { .. }) { tx.min(256) } else { tx };
        let iommu = if nic.iommu_platform { ",iommu_platform=on,ats=on" } else { "" };
        let packed = if nic.packed { ",packed=on" } else { "" };
        self.pair(
            "-device",
            &format!(
                "virtio-net-pci,netdev=net,mac={},mq={mq},vectors={vectors},rx_queue_size={rx},\
                 tx_queue_size={tx},disable-legacy=on,romfile={iommu}{packed}",
                mac.join(":")
            ),
        );
    }
}

/// A comma would end the value: QEMU takes two for one.
fn escaped(path: &Path) -> OsString {
    match path.to_str() {
        Some(text) => text.replace(',', ",,").into(),
        None => OsStr::new(path).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Image;

    fn line(change: impl FnOnce(&mut Options), version: (u32, u32), accel: Accel) -> String {
        let mut options = Options::of(Image { kernel: "/k".into(), initramfs: "/i".into() });
        options.nic = Some(Nic::at("/s,1/nic".into()));
        change(&mut options);
        let files = Files::in_folder(Path::new("/f"), None);
        let version = Version { major: version.0, minor: version.1 };
        let words = arguments(&options, version, accel, &files);
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_key_for_reconnecting_goes_by_the_version() {
        let old = line(|_| {}, (7, 2), Accel::Tcg);
        assert!(old.contains("socket,id=nic,path=/s,,1/nic,reconnect=1 "), "{old}");
        let new = line(|_| {}, (10, 0), Accel::Tcg);
        assert!(new.contains("path=/s,,1/nic,reconnect-ms=1000 "), "{new}");
    }

    #[test]
    fn an_old_qemu_has_msix_under_kvm_only() {
        assert!(line(|_| {}, (7, 2), Accel::Kvm).contains("vectors=4"));
        assert!(line(|_| {}, (7, 2), Accel::Tcg).contains("vectors=0"));
    }

    #[test]
    fn a_device_of_qemus_own_has_msix_everywhere_and_frames_as_datagrams() {
        let own = |options: &mut Options| {
            let wire = Wire::Dgram { here: "/f/in".into(), there: "/f,x/out".into() };
            options.nic = Some(Nic { ring: (512, 512), ..Nic::on(wire) });
            options.iommu = true;
        };
        let line = line(own, (7, 2), Accel::Tcg);
        let dgram = "-netdev dgram,id=net,local.type=unix,local.path=/f/in,remote.type=unix,\
                     remote.path=/f,,x/out ";
        assert!(line.contains(dgram), "{line}");
        assert!(line.contains("vectors=4,rx_queue_size=512,tx_queue_size=256"), "{line}");
        // An IOMMU that the NIC bypasses.
        assert!(line.contains("-device intel-iommu") && !line.contains("iommu_platform"), "{line}");
        assert!(line.contains("intel_iommu=on") && !line.contains("vhost-user"), "{line}");
    }

    #[test]
    fn queues_need_vectors_and_the_iommu_its_device_first() {
        let one = line(|_| {}, (8, 0), Accel::Tcg);
        assert!(one.contains("mq=off,vectors=4") && !one.contains("iommu"), "{one}");
        let four = line(
            |options| {
                let nic = options.nic.as_mut().unwrap();
                (nic.queues, nic.iommu_platform) = (4, true);
            },
            (7, 2),
            Accel::Kvm,
        );
        for part in
            ["queues=4", "mq=on,vectors=10", "iommu_platform=on,ats=on", "kernel-irqchip=split"]
        {
            assert!(four.contains(part), "{part}: {four}");
        }
        assert!(four.find("intel-iommu,").unwrap() < four.find("virtio-serial-pci").unwrap());
        assert!(four.contains("intel_iommu=on"));
    }
}
