//! Link-layer types: the one that is taken, and the names of those that are not.
//!
//! Source: the registry of the tcpdump group, <https://www.tcpdump.org/linktypes.html>.

use std::io::Read;

use super::SourceFault;
use super::input::Input;

/// Errors unless `linktype` is Ethernet.
pub(super) fn check<R: Read>(linktype: u16, input: &Input<R>) -> Result<(), SourceFault> {
    if linktype == 1 {
        return Ok(());
    }
    let name = NAMES.iter().find(|(number, _)| *number == linktype).map_or("unknown", |(_, n)| n);
    let what = format!("its frames are not Ethernet but {name} (link type {linktype})");
    Err(input.fault(what, "the NIC receives Ethernet only: capture on an Ethernet interface"))
}

/// The link types that one meets.
const NAMES: [(u16, &str); 27] = [
    (0, "NULL (BSD loopback)"),
    (6, "IEEE802_5 (Token Ring)"),
    (9, "PPP"),
    (10, "FDDI"),
    (50, "PPP_HDLC"),
    (51, "PPP_ETHER"),
    (101, "RAW (bare IP)"),
    (104, "C_HDLC"),
    (105, "IEEE802_11"),
    (107, "FRELAY"),
    (108, "LOOP (OpenBSD loopback)"),
    (113, "LINUX_SLL (Linux cooked)"),
    (117, "PFLOG"),
    (119, "IEEE802_11_PRISM"),
    (127, "IEEE802_11_RADIOTAP"),
    (140, "MTP2"),
    (141, "MTP3"),
    (142, "SCCP"),
    (187, "BLUETOOTH_HCI_H4"),
    (189, "USB_LINUX"),
    (195, "IEEE802_15_4"),
    (220, "USB_LINUX_MMAPPED"),
    (228, "IPV4"),
    (229, "IPV6"),
    (239, "NFLOG"),
    (249, "USBPCAP"),
    (276, "LINUX_SLL2 (Linux cooked 2)"),
];
