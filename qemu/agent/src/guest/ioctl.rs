//! Requests about an interface that only ioctl takes: its address, its flags, and ethtool's.
//!
//! # Unsafe
//! Each call passes an `ifreq` that lives as long as the call, and, for ethtool, a buffer that is as long as
//! the kernel is told or knows it to be.
#![allow(unsafe_code)]

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

/// A socket to ask by, and whom about.
pub struct Requests {
    socket: OwnedFd,
    name: String,
}

impl Requests {
    /// About interface `name`.
    ///
    /// # Errors
    /// The system has no socket left.
    pub fn about(name: &str) -> io::Result<Self> {
        use rustix::net::{AddressFamily, SocketType, socket};
        let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
        Ok(Self { socket, name: name.into() })
    }

    /// Gives it an address (`SIOCSIFADDR`) and its network's mask (`SIOCSIFNETMASK`).
    ///
    /// # Errors
    /// The system refuses.
    pub fn set_address(&self, address: Ipv4Addr, mask: Ipv4Addr) -> io::Result<()> {
        for (code, address) in [(libc::SIOCSIFADDR, address), (libc::SIOCSIFNETMASK, mask)] {
            let mut request = self.request()?;
            let mut data = [0; 14];
            // sockaddr_in: port, address, nothing.
            for (to, from) in data[2..6].iter_mut().zip(address.octets()) {
                *to = from as libc::c_char;
            }
            request.ifr_ifru.ifru_addr =
                libc::sockaddr { sa_family: libc::AF_INET as libc::sa_family_t, sa_data: data };
            self.ask(code, &mut request)?;
        }
        Ok(())
    }

    /// Sets its MTU.
    ///
    /// # Errors
    /// The system or the driver refuses.
    pub fn set_mtu(&self, mtu: i32) -> io::Result<()> {
        let mut request = self.request()?;
        request.ifr_ifru.ifru_mtu = mtu;
        self.ask(libc::SIOCSIFMTU, &mut request)
    }

    /// Brings it up.
    ///
    /// # Errors
    /// The system or the driver refuses.
    pub fn bring_up(&self) -> io::Result<()> {
        self.set_flags(libc::IFF_UP)
    }

    /// Sets flags of it, beside those that it has.
    ///
    /// # Errors
    /// The system or the driver refuses.
    pub fn set_flags(&self, more: libc::c_int) -> io::Result<()> {
        let mut request = self.request()?;
        self.ask(libc::SIOCGIFFLAGS, &mut request)?;
        // SAFETY: the kernel has just written the flags.
        let flags = unsafe { request.ifr_ifru.ifru_flags };
        request.ifr_ifru.ifru_flags = flags | more as libc::c_short;
        self.ask(libc::SIOCSIFFLAGS, &mut request)
    }

    /// An ethtool request: `words` begins with the command, and is written to by the kernel.
    ///
    /// The kernel takes the length of what it writes from the command and the counts in it, not from the
    /// slice: `words` must be as long as `linux/ethtool.h` says for the command, with room for as many
    /// entries as the driver has. [`super::interface`] sees to that.
    ///
    /// # Errors
    /// The system or the driver refuses.
    pub fn ethtool(&self, words: &mut [u32]) -> io::Result<()> {
        let mut request = self.request()?;
        request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
        self.ask(libc::SIOCETHTOOL as libc::c_ulong, &mut request)
    }

    fn ask(&self, code: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
        // SAFETY: each of these requests reads and writes an ifreq, which outlives the call; ethtool's also
        // the buffer that it points to (see there).
        let done = unsafe { libc::ioctl(self.socket.as_raw_fd(), code, request) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn request(&self) -> io::Result<libc::ifreq> {
        // SAFETY: all zeros is an ifreq.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        // One place stays 0, for the end of the name.
        if self.name.is_empty() || self.name.len() >= request.ifr_name.len() {
            let why = format!("an interface's name has 1 to 15 bytes, {:?} has not", self.name);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        for (to, from) in request.ifr_name.iter_mut().zip(self.name.bytes()) {
            *to = from as libc::c_char;
        }
        Ok(request)
    }
}
