//! Two processes of this system, a parent and its forked child, that look at the same pages through
//! mappings of their own; and a third hand, the kernel's, that writes to these pages.
//!
//! Why `unsafe`: fork(2), mmap(2) and memory that several processes write to have no safe form. What
//! leaves this module is safe: bytes are copied in and out at checked places, and the child runs
//! nothing but `serve`.
//!
//! ```text
//!   test --peek, poke--> parent's mapping          test --commands in a pipe--> child --> its mapping
//!   test --kernel's hand--> the parent's mapping, or another one of the same file
//! ```
//!
//! Contract: one child at most; it ends with its [`Family`]. Between fork and exit the child calls only
//! read, write, close and _exit and allocates nothing, so that it does not matter which threads the parent
//! had. Each byte is one access; nothing is read while somebody else writes, because the child works
//! only while the parent waits for its answer.

#![allow(unsafe_code)] // the reasons are above, and at each use

use std::io;
use std::mem::size_of;
use std::ptr;

/// How the processes' pages come to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrangement {
    /// MAP_SHARED memory: parent, child and kernel see the same pages for ever, as with
    /// minherit(INHERIT_SHARE).
    Shared,
    /// MAP_PRIVATE memory, and the kernel's hand writes through the parent's page tables: to the child
    /// it is as if the pages had been copied at the fork.
    CopiedAtFork,
    /// The pages of a file in memory stand for the wired pages. The kernel's hand holds them whatever
    /// happens; at the fork parent and child come to look at them through MAP_PRIVATE mappings, which
    /// each leaves at its first write.
    EachWriterCopies,
}

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The process that the mappings were made in.
    Parent,
    /// The process it forked.
    Child,
}

/// The pages, and who looks at them.
#[derive(Debug)]
pub struct Family {
    arrangement: Arrangement,
    /// The parent's.
    parent: Mapping,
    /// The kernel's, if it is not the parent's.
    wired: Option<(Mapping, Descriptor)>,
    child: Option<Child>,
}

#[derive(Debug)]
struct Child {
    pid: libc::pid_t,
    commands: Descriptor,
    answers: Descriptor,
}

/// What the child is asked, as it goes through the pipe.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Command {
    op: u32,
    at: u32,
    /// To peek at; at most those of an answer.
    len: u32,
    /// To poke.
    byte: u32,
}

/// The bytes peeked at come first.
type Answer = [u8; 256];

const PEEK: u32 = 1;
const POKE: u32 = 2;
const QUIT: u32 = 3;

impl Family {
    /// A process with `len` bytes of zeroed pages.
    ///
    /// # Errors
    ///
    /// What the system refuses.
    pub fn new(arrangement: Arrangement, len: usize) -> io::Result<Self> {
        let anonymous = |flags| Mapping::new(len, flags | libc::MAP_ANONYMOUS, None);
        let (parent, wired) = match arrangement {
            Arrangement::Shared => (anonymous(libc::MAP_SHARED)?, None),
            Arrangement::CopiedAtFork => (anonymous(libc::MAP_PRIVATE)?, None),
            Arrangement::EachWriterCopies => {
                let file = memory_file(len)?;
                let shared = || Mapping::new(len, libc::MAP_SHARED, Some(&file));
                (shared()?, Some((shared()?, file)))
            }
        };
        Ok(Family { arrangement, parent, wired, child: None })
    }

    /// Forks the child.
    ///
    /// # Errors
    ///
    /// There is one already; what the system refuses.
    pub fn fork(&mut self) -> io::Result<()> {
        if self.child.is_some() {
            return Err(io::Error::other("this family has its child"));
        }
        if let Some((_, file)) = &self.wired {
            self.parent.make_private(file)?;
        }
        let (commands_out, commands_in) = pipe()?;
        let (answers_out, answers_in) = pipe()?;
        // SAFETY: the child calls `serve` alone, which keeps to async-signal-safe functions.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // The parent's ends, so that the child hears of the parent's death.
            drop((commands_in, answers_out));
            serve(&self.parent, &commands_out, &answers_in);
        }
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        self.child = Some(Child { pid, commands: commands_in, answers: answers_out });
        Ok(())
    }

    /// Whether the child is there.
    pub fn has_child(&self) -> bool {
        self.child.is_some()
    }

    /// How it is arranged.
    pub fn arrangement(&self) -> Arrangement {
        self.arrangement
    }

    /// Bytes as somebody sees them.
    ///
    /// # Errors
    ///
    /// There is no child; it is gone; a place outside the pages.
    pub fn peek(&self, who: Who, at: usize, out: &mut [u8]) -> io::Result<()> {
        if who == Who::Parent {
            return self.parent.peek(at, out);
        }
        for (part, at) in
            out.chunks_mut(size_of::<Answer>()).zip((at..).step_by(size_of::<Answer>()))
        {
            part.copy_from_slice(&self.ask(PEEK, at, part.len(), 0)?[..part.len()]);
        }
        Ok(())
    }

    /// Somebody writes bytes.
    ///
    /// # Errors
    ///
    /// As [`Family::peek`].
    pub fn poke(&mut self, who: Who, at: usize, bytes: &[u8]) -> io::Result<()> {
        if who == Who::Parent {
            return self.parent.poke(at, bytes);
        }
        for (byte, at) in bytes.iter().zip(at..) {
            self.ask(POKE, at, 1, *byte)?;
        }
        Ok(())
    }

    /// Bytes as the kernel sees them.
    ///
    /// # Errors
    ///
    /// A place outside the pages.
    pub fn kernel_peek(&self, at: usize, out: &mut [u8]) -> io::Result<()> {
        self.kernel().peek(at, out)
    }

    /// The kernel writes bytes.
    ///
    /// # Errors
    ///
    /// A place outside the pages.
    pub fn kernel_poke(&mut self, at: usize, bytes: &[u8]) -> io::Result<()> {
        self.kernel().poke(at, bytes)
    }

    fn kernel(&self) -> &Mapping {
        self.wired.as_ref().map_or(&self.parent, |(mapping, _)| mapping)
    }

    fn ask(&self, op: u32, at: usize, len: usize, byte: u8) -> io::Result<Answer> {
        let child = self.child.as_ref().ok_or_else(|| io::Error::other("there is no child"))?;
        self.parent.check(at, len)?;
        let (at, len) = (at as u32, len as u32);
        if !child.commands.write(&Command { op, at, len, byte: byte.into() }) {
            return Err(io::Error::other("the child does not listen"));
        }
        let mut answer = [0; size_of::<Answer>()];
        if !child.answers.read(&mut answer) {
            return Err(io::Error::other("the child does not answer"));
        }
        Ok(answer)
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        let Some(child) = self.child.take() else { return };
        // Other children of this process may hold the ends of the pipe, so closing it tells nothing.
        child.commands.write(&Command { op: QUIT, ..Command::default() });
        // SAFETY: the child is ours and nobody else has waited for it; no status is written.
        unsafe { libc::waitpid(child.pid, ptr::null_mut(), 0) };
    }
}

/// The child's life: does what the pipe says until it says to quit or breaks. The parent has checked
/// the places; the child has the same mapping.
fn serve(pages: &Mapping, commands: &Descriptor, answers: &Descriptor) -> ! {
    loop {
        let mut command = Command::default();
        if !commands.read(&mut command) || command.op == QUIT {
            break;
        }
        let (at, mut answer) = (command.at as usize, [0; size_of::<Answer>()]);
        if command.op == POKE {
            pages.store(at, command.byte as u8);
        }
        for (byte, at) in answer.iter_mut().zip(at..at + command.len as usize) {
            *byte = pages.load(at);
        }
        if !answers.write(&answer) {
            break;
        }
    }
    // SAFETY: ends this process without running anything of the parent's.
    unsafe { libc::_exit(0) }
}

/// Pages mapped for reading and writing.
#[derive(Debug)]
struct Mapping {
    base: *mut u8,
    len: usize,
}

impl Mapping {
    fn new(len: usize, flags: libc::c_int, file: Option<&Descriptor>) -> io::Result<Self> {
        let base = map(ptr::null_mut(), len, flags, file)?;
        Ok(Mapping { base, len })
    }

    /// From here on looks at the file's pages until it writes to them.
    fn make_private(&mut self, file: &Descriptor) -> io::Result<()> {
        // In place of what is there: `self` owns it, and no reference into it exists.
        let flags = libc::MAP_PRIVATE | libc::MAP_FIXED;
        self.base = map(self.base, self.len, flags, Some(file))?;
        Ok(())
    }

    fn peek(&self, at: usize, out: &mut [u8]) -> io::Result<()> {
        self.check(at, out.len())?;
        for (byte, at) in out.iter_mut().zip(at..) {
            *byte = self.load(at);
        }
        Ok(())
    }

    fn poke(&self, at: usize, bytes: &[u8]) -> io::Result<()> {
        self.check(at, bytes.len())?;
        for (byte, at) in bytes.iter().zip(at..) {
            self.store(at, *byte);
        }
        Ok(())
    }

    fn check(&self, at: usize, len: usize) -> io::Result<()> {
        let inside = at.checked_add(len).is_some_and(|end| end <= self.len);
        if inside { Ok(()) } else { Err(io::Error::other("a place outside the pages")) }
    }

    /// A place outside is no place: 0.
    fn load(&self, at: usize) -> u8 {
        if at >= self.len {
            return 0;
        }
        // SAFETY: inside the mapping, which lives as long as `self`; volatile, since other mappings of
        // these pages are written to.
        unsafe { self.base.add(at).read_volatile() }
    }

    /// Not outside.
    fn store(&self, at: usize, byte: u8) {
        if at >= self.len {
            return;
        }
        // SAFETY: as in `load`; nothing holds a reference into the pages.
        unsafe { self.base.add(at).write_volatile(byte) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by `map` with this length, and unmapped once.
        unsafe { libc::munmap(self.base.cast(), self.len) };
    }
}

/// With MAP_FIXED, `hint` must be a whole mapping of the caller's.
fn map(
    hint: *mut u8,
    len: usize,
    flags: libc::c_int,
    file: Option<&Descriptor>,
) -> io::Result<*mut u8> {
    let descriptor = file.map_or(-1, |file| file.0);
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: maps new pages where the system likes, or over the caller's own.
    let base = unsafe { libc::mmap(hint.cast(), len, access, flags, descriptor, 0) };
    if base == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(base.cast()) }
}

/// An open file descriptor.
#[derive(Debug)]
struct Descriptor(libc::c_int);

/// What goes through a pipe: no padding, every bit pattern a value.
trait Plain: Copy {}
impl Plain for Command {}
impl Plain for Answer {}

impl Descriptor {
    /// Reads all of `value`; false if that does not come. It is smaller than a pipe's atomic unit.
    fn read<T: Plain>(&self, value: &mut T) -> bool {
        loop {
            // SAFETY: `value` is writable for its size, and any bytes are a value of it.
            let got = unsafe { libc::read(self.0, ptr::from_mut(value).cast(), size_of::<T>()) };
            if got != -1 || !interrupted() {
                return got == size_of::<T>() as isize;
            }
        }
    }

    /// Writes all of `value`; false if that cannot be.
    fn write<T: Plain>(&self, value: &T) -> bool {
        loop {
            // SAFETY: `value` is readable for its size and has no padding.
            let put = unsafe { libc::write(self.0, ptr::from_ref(value).cast(), size_of::<T>()) };
            if put != -1 || !interrupted() {
                return put == size_of::<T>() as isize;
            }
        }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: open, and closed once.
        unsafe { libc::close(self.0) };
    }
}

fn interrupted() -> bool {
    // SAFETY: points to this thread's own errno.
    unsafe { *libc::__errno_location() == libc::EINTR }
}

/// The reading and the writing end.
fn pipe() -> io::Result<(Descriptor, Descriptor)> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for two descriptors.
    let failed = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0;
    if failed {
        return Err(io::Error::last_os_error());
    }
    Ok((Descriptor(ends[0]), Descriptor(ends[1])))
}

/// A file of `len` zero bytes that is nowhere but in memory.
fn memory_file(len: usize) -> io::Result<Descriptor> {
    // SAFETY: the name is a string that ends with a zero byte.
    let number = unsafe { libc::memfd_create(c"wired pages".as_ptr(), libc::MFD_CLOEXEC) };
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    let file = Descriptor(number);
    let len = libc::off_t::try_from(len).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open.
    if unsafe { libc::ftruncate(file.0, len) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file)
}
