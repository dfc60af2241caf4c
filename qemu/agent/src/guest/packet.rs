//! Linux's packet sockets (packet(7)): plain, and with the ring that it shares with a program (TPACKET_V3,
//! Documentation/networking/packet_mmap.rst).
//!
//! Contract: a socket sees every frame of its interface from when it is opened on, promiscuously; what has no
//! room in its buffer the kernel counts. Frames are as they were on the wire: the VLAN tag that the kernel
//! takes out is put in again. Taking never waits.
//!
//! # Unsafe
//! Calls that no library here has: each passes structures that outlive it. The ring is mapped memory that the
//! kernel writes to: a block is read between the flag that gives it to the program and the flag that gives it
//! back, and no offset in it is believed.
#![allow(unsafe_code)]

use std::io;
use std::mem::{size_of, size_of_val, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

/// Frames that are taken at once.
pub const BATCH: usize = 64;
/// Bytes of a VLAN tag.
const TAG: usize = 4;
/// Bytes for what the kernel says beside a frame.
const BESIDE: usize = 64;

/// A plain packet socket.
pub struct Packets {
    socket: OwnedFd,
    /// Room for each frame of a batch, with room for a tag before it.
    room: Vec<u8>,
    each: usize,
    /// Where the frames of the last batch lie, and how long they were on the wire.
    frames: [(usize, usize, u32); BATCH],
}

impl Packets {
    /// On an interface, for frames of up to `longest` bytes, with a buffer of so many bytes.
    ///
    /// # Errors
    /// The system refuses.
    pub fn open(interface: &str, longest: usize, buffer: u32) -> io::Result<Self> {
        let socket = socket()?;
        option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &buffer)?;
        option(&socket, libc::SOL_PACKET, libc::PACKET_AUXDATA, &1_u32)?;
        bind(&socket, interface)?;
        let each = (longest + TAG).next_multiple_of(64);
        Ok(Self { socket, room: vec![0; BATCH * each], each, frames: [(0, 0, 0); BATCH] })
    }

    /// To wait for frames.
    pub fn descriptor(&self) -> &OwnedFd {
        &self.socket
    }

    /// Takes the frames that are there, a batch at most: how many.
    ///
    /// # Errors
    /// The interface is down, or the system fails.
    pub fn take(&mut self) -> io::Result<usize> {
        let mut beside = [[0_u64; BESIDE / 8]; BATCH];
        let mut parts: [libc::iovec; BATCH] =
            std::array::from_fn(|_| libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 });
        // SAFETY: all zeros is a list of empty messages.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
        let rooms = self.room.chunks_exact_mut(self.each);
        for (((message, part), beside), room) in
            messages.iter_mut().zip(&mut parts).zip(&mut beside).zip(rooms)
        {
            part.iov_base = room[TAG..].as_mut_ptr().cast();
            part.iov_len = self.each - TAG;
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_control = beside.as_mut_ptr().cast();
            message.msg_hdr.msg_controllen = BESIDE;
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        // SAFETY: as many messages as are said, whose parts lie in arrays that outlive the call, each in
        // one of its own.
        let got = unsafe {
            let messages = messages.as_mut_ptr();
            libc::recvmmsg(self.socket.as_raw_fd(), messages, BATCH as u32, flags, ptr::null_mut())
        };
        let Ok(got) = usize::try_from(got) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        };
        for (number, message) in messages.iter().enumerate().take(got) {
            let wire = message.msg_len;
            let room = &mut self.room[number * self.each..][..self.each];
            let len = (wire as usize).min(self.each - TAG);
            // SAFETY: the kernel has just filled in the header and what it points to, which is alive.
            let tag = unsafe { tag_beside(&message.msg_hdr) };
            self.frames[number] = match tag {
                Some(tag) if len >= 12 => {
                    room.copy_within(TAG..TAG + 12, 0);
                    room[12..12 + TAG].copy_from_slice(&tag);
                    (number * self.each, len + TAG, wire + TAG as u32)
                }
                _ => (number * self.each + TAG, len, wire),
            };
        }
        Ok(got)
    }

    /// A frame of the last batch, and how long it was.
    pub fn frame(&self, number: usize) -> (&[u8], u32) {
        let (at, len, wire) = self.frames[number];
        (&self.room[at..at + len], wire)
    }

    /// Frames that came since the last call, and those of them that had no room.
    ///
    /// # Errors
    /// The system fails.
    pub fn statistics(&self) -> io::Result<(u64, u64)> {
        statistics(&self.socket)
    }
}

/// The tag that was taken out of a frame: TPID and TCI.
///
/// # Safety
/// The header is one that the kernel has filled in, with its control data alive.
unsafe fn tag_beside(header: &libc::msghdr) -> Option<[u8; TAG]> {
    // SAFETY: the caller's.
    let beside = unsafe { libc::CMSG_FIRSTHDR(header).as_ref() }?;
    if (beside.cmsg_level, beside.cmsg_type) != (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
        return None;
    }
    // SAFETY: data of this type is a tpacket_auxdata; it may lie unaligned.
    let data: libc::tpacket_auxdata =
        unsafe { ptr::read_unaligned(libc::CMSG_DATA(beside).cast()) };
    if data.tp_status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let told = data.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
    let kind = if told { data.tp_vlan_tpid } else { libc::ETH_P_8021Q as u16 };
    let ([a, b], [c, d]) = (kind.to_be_bytes(), data.tp_vlan_tci.to_be_bytes());
    Some([a, b, c, d])
}

/// Bytes of a block of the ring, and how many there are.
const BLOCK: usize = 1 << 17;
const BLOCKS: usize = 64;
/// A block that is not full is given to the program after so long, in milliseconds.
const RETIRE_MS: u32 = 10;

/// A packet socket with a ring (TPACKET_V3).
pub struct Ring {
    socket: OwnedFd,
    map: NonNull<u8>,
    next: usize,
}

// SAFETY: the mapping belongs to the value, wherever it is.
unsafe impl Send for Ring {}

impl Ring {
    /// On an interface.
    ///
    /// # Errors
    /// The system refuses.
    pub fn open(interface: &str) -> io::Result<Self> {
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        let socket = socket()?;
        let version = libc::tpacket_versions::TPACKET_V3 as u32;
        option(&socket, libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
        let ring = libc::tpacket_req3 {
            tp_block_size: BLOCK as u32,
            tp_block_nr: BLOCKS as u32,
            // The kernel wants them to fill the blocks, and frames to lie in them as they come all the same.
            tp_frame_size: 2048,
            tp_frame_nr: (BLOCK / 2048 * BLOCKS) as u32,
            tp_retire_blk_tov: RETIRE_MS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        option(&socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &ring)?;
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a mapping of a new place, as long as the ring; it ends with the value.
        let map = unsafe { mmap(ptr::null_mut(), BLOCK * BLOCKS, protection, flags, &socket, 0)? };
        let map = NonNull::new(map.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let ring = Self { socket, map, next: 0 };
        bind(&ring.socket, interface)?;
        Ok(ring)
    }

    /// To wait for a block.
    pub fn descriptor(&self) -> &OwnedFd {
        &self.socket
    }

    /// Takes the block that is next, if the kernel has given it: its frames and their bytes.
    ///
    /// # Errors
    /// What lies in it is no block.
    pub fn take(&mut self) -> io::Result<Option<(u64, u64)>> {
        let block = self.next * BLOCK;
        let status = std::mem::offset_of!(libc::tpacket_block_desc, hdr);
        // SAFETY: it lies within the mapping, at a multiple of 8.
        let status = unsafe { AtomicU32::from_ptr(self.map.as_ptr().add(block + status).cast()) };
        if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return Ok(None);
        }
        // SAFETY: the block begins with one, and is the program's until its status changes.
        let header = unsafe {
            let descriptor = self.map.as_ptr().add(block).cast::<libc::tpacket_block_desc>();
            (*descriptor).hdr.bh1
        };
        let mut at = header.offset_to_first_pkt as usize;
        let (mut frames, mut bytes) = (0, 0);
        for _ in 0..header.num_pkts {
            if !at.is_multiple_of(8) || at + size_of::<libc::tpacket3_hdr>() > BLOCK {
                return Err(io::Error::other(format!("the ring's block has a frame at {at}")));
            }
            // SAFETY: as above, and it lies within the block.
            let frame = unsafe {
                ptr::read(self.map.as_ptr().add(block + at).cast::<libc::tpacket3_hdr>())
            };
            frames += 1;
            bytes += u64::from(frame.tp_len);
            at += frame.tp_next_offset as usize;
        }
        status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) % BLOCKS;
        Ok(Some((frames, bytes)))
    }

    /// Frames that came since the last call, and those of them that had no room.
    ///
    /// # Errors
    /// The system fails.
    pub fn statistics(&self) -> io::Result<(u64, u64)> {
        statistics(&self.socket)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: mapped when the value was made, and used by nobody any more.
        let _ = unsafe { rustix::mm::munmap(self.map.as_ptr().cast(), BLOCK * BLOCKS) };
    }
}

/// A socket that sees nothing yet.
fn socket() -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only; the descriptor it gives is owned by nobody else.
    unsafe {
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// It sees all that the interface receives, whoever it is for.
fn bind(socket: &OwnedFd, interface: &str) -> io::Result<()> {
    let name = std::ffi::CString::new(interface)?;
    // SAFETY: reads a text that ends in NUL.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(io::Error::last_os_error());
    }
    option(socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1_u32)?;
    let index = index as libc::c_int;
    let everything = libc::packet_mreq {
        mr_ifindex: index,
        mr_type: libc::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    option(socket, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &everything)?;
    // SAFETY: all zeros is a sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index;
    let len = size_of_val(&address) as libc::socklen_t;
    // SAFETY: bind reads `len` bytes of the address, which outlives the call.
    let done = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn option<T: Copy>(socket: &OwnedFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: setsockopt reads a value of this type and length, which outlives the call.
    let done = unsafe {
        let value = ptr::from_ref(value).cast();
        libc::setsockopt(socket.as_raw_fd(), level, option, value, len)
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `PACKET_STATISTICS`: the kernel counts from 0 again. What has had no room is among what came.
fn statistics(socket: &OwnedFd) -> io::Result<(u64, u64)> {
    let mut counts = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
    let mut len = size_of_val(&counts) as libc::socklen_t;
    // SAFETY: the kernel writes `len` bytes at most, the shorter struct of the plain socket too, which
    // begins alike.
    let done = unsafe {
        let counts = (&raw mut counts).cast();
        let code = libc::PACKET_STATISTICS;
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_PACKET, code, counts, &raw mut len)
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((counts.tp_packets.into(), counts.tp_drops.into()))
}
