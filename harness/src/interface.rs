//! Interfaces of this system as a feed: TAP, and packet sockets.
//!
//! Contract: what the system gives is copied once, frame by frame; nothing waits. A frame that the system
//! does not take at once is lost and counted by its lane.
//!
//! # Unsafe
//! Requests to the kernel that no library here has: what a TAP descriptor is attached to, which interface a
//! packet socket is bound to, and its options. Each passes a structure that lives as long as the call. And a library's event
//! descriptor, borrowed.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use crate::nic::feed::{Live, Sink};

/// The descriptor of something that has one, for as long as it is borrowed.
pub fn descriptor_of<T: AsRawFd>(thing: &T) -> BorrowedFd<'_> {
    // SAFETY: `thing` keeps its descriptor open while it is borrowed.
    unsafe { BorrowedFd::borrow_raw(thing.as_raw_fd()) }
}

/// A queue of an interface of the system: frames come out of it and go into it.
#[derive(Clone)]
pub struct Interface {
    file: Arc<File>,
}

impl Interface {
    /// A queue of the TAP interface `name`, which is made if it is not there.
    ///
    /// # Errors
    /// The system refuses: no permission, no such device, or an interface that has one queue only.
    pub fn tap(name: &str, several: bool) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open("/dev/net/tun")?;
        let mut flags = libc::IFF_TAP | libc::IFF_NO_PI;
        if several {
            flags |= libc::IFF_MULTI_QUEUE;
        }
        let mut request = named(name)?;
        request.ifr_ifru.ifru_flags = flags as libc::c_short;
        // SAFETY: TUNSETIFF reads and writes an ifreq, which outlives the call.
        let done = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { file: Arc::new(file) })
    }

    /// A packet socket on interface `name`: what comes in by it, not what this host sends. Of several, the system
    /// gives each flow to one (fanout by hash).
    ///
    /// # Errors
    /// The system refuses: no permission, or no such interface.
    pub fn packet(name: &str, several: bool) -> io::Result<Self> {
        let protocol = i32::from((libc::ETH_P_ALL as u16).to_be());
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: takes numbers only; the descriptor it gives is owned by nobody else.
        let socket = unsafe {
            let fd = libc::socket(libc::AF_PACKET, kind, 0);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        let mut request = named(name)?;
        // SAFETY: SIOCGIFINDEX reads and writes an ifreq, which outlives the call; it has set the index.
        let index = unsafe {
            if libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFINDEX, &raw mut request) < 0 {
                return Err(io::Error::last_os_error());
            }
            request.ifr_ifru.ifru_ifindex
        };
        // What this host sends by the interface, the guest's own frames among it, does not come from the wire.
        set_option(&socket, libc::PACKET_IGNORE_OUTGOING, 1)?;
        // SAFETY: all zeros is a sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol as u16;
        address.sll_ifindex = index;
        let len = size_of_val(&address) as libc::socklen_t;
        // SAFETY: bind reads `len` bytes of the address, which outlives the call.
        if unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) } < 0 {
            return Err(io::Error::last_os_error());
        }
        if several {
            let group = (std::process::id() & 0xffff) as libc::c_int
                | (libc::PACKET_FANOUT_HASH as libc::c_int) << 16;
            set_option(&socket, libc::PACKET_FANOUT, group)?;
        }
        Ok(Self { file: Arc::new(File::from(socket)) })
    }
}

/// Sets an option of a packet socket.
fn set_option(socket: &OwnedFd, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: setsockopt reads an int, which outlives the call.
    let done = unsafe {
        let value = (&raw const value).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, option, value, len)
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn named(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all zeros is an ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // One place stays 0, for the end of the name.
    if name.is_empty() || name.len() >= request.ifr_name.len() || name.contains('\0') {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("an interface's name has 1 to 15 bytes, {name:?} has {}", name.len()),
        ));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

impl Live for Interface {
    fn next(&mut self, frame: &mut [u8]) -> Option<usize> {
        (&*self.file).read(frame).ok().filter(|len| *len > 0)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Sink for Interface {
    fn send(&mut self, frame: &[u8]) -> bool {
        (&*self.file).write(frame).is_ok_and(|written| written == frame.len())
    }
}
