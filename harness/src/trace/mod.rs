//! `rxlab run --trace rings`: every virtqueue as a picture, each time that it has changed.
//!
//! ```text
//! 1.234us  rx 0, split, 16 entries: driver 4, device 9, used 3
//!   descriptors UUUDDDDDDDDD....          . driver's  D device's  U used, and not taken yet
//! ```
//!
//! Contract: pictures are drawn from guest memory, as a person with a debugger would, and from the one
//! thing that memory does not hold: how many chains the driver has not got back. Drawing changes nothing: a
//! traced run has the digest of one that is not. What was changed and changed back within a step is not seen.

mod packed;
mod picture;
mod sides;
mod split;

pub use picture::{Owner, Picture};
pub use sides::Sides;

use crate::event::{Event, WorldEvent};
use crate::world::nic::Device;
use driver::Driver;
use nic_model::spec::feature;
use std::io::Write;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// Pictures drawn unless another number is asked for.
pub const PICTURES: u64 = 100;

/// Draws the virtqueues of a run.
pub struct Tracer {
    out: Box<dyn Write>,
    left: u64,
    /// The last picture of each virtqueue.
    last: Vec<Option<Picture>>,
}

impl Tracer {
    /// A tracer that draws so many pictures at most into `out`.
    #[must_use]
    pub fn new(out: Box<dyn Write>, pictures: u64) -> Self {
        Self { out, left: pictures, last: Vec::new() }
    }

    /// Draws those virtqueues that have changed, and gives an event for each.
    pub(crate) fn look(
        &mut self,
        now: u64,
        device: &Device,
        driver: &Driver,
        mut event: impl FnMut(Event),
    ) {
        if self.left == 0 {
            return;
        }
        let queues = device.num_queues();
        self.last.resize(usize::from(queues), None);
        for virtqueue in 0..queues {
            let picture = draw(virtqueue, device, driver);
            let last = std::mem::replace(&mut self.last[usize::from(virtqueue)], picture);
            let picture = &self.last[usize::from(virtqueue)];
            let Some(picture) = picture.as_ref().filter(|_| last != *picture) else { continue };
            // A queue that nobody has used yet shows nothing.
            if last.is_none() && picture.count(Owner::Driver) == picture.owners.len() as u16 {
                continue;
            }
            event(picture.event());
            let text = picture.text(last.as_ref());
            self.print(now, &text);
            self.left -= 1;
            if self.left == 0 {
                return self.print_line("(no more pictures; --pictures N draws more)");
            }
        }
    }

    fn print(&mut self, now: u64, text: &str) {
        let at = crate::scenario::Duration(now);
        self.print_line(&format!("{at}  {text}"));
    }

    fn print_line(&mut self, line: &str) {
        // Whoever closes the pipe has seen enough; the run goes on, and its report tells the same error.
        let _ = writeln!(self.out, "{line}");
    }
}

/// The picture of a virtqueue; `None` for one that is not in use.
fn draw(virtqueue: u16, device: &Device, driver: &Driver) -> Option<Picture> {
    let setup = *device.queue_setup(virtqueue)?;
    let control = virtqueue + 1 == device.num_queues() && device.has_control_queue();
    let name = match virtqueue {
        _ if control => "control".to_owned(),
        even if even % 2 == 0 => format!("rx {}", even / 2),
        odd => format!("tx {}", odd / 2),
    };
    let memory = Memory(device.memory());
    let outstanding = driver.outstanding(virtqueue);
    Some(match device.negotiated(feature::RING_PACKED) {
        true => packed::draw(virtqueue, name, &setup, outstanding, &memory),
        false => split::draw(virtqueue, name, &setup, outstanding, &memory),
    })
}

/// Guest memory, of which what cannot be read is 0.
struct Memory<'a>(&'a GuestMemoryMmap);

impl Memory<'_> {
    fn bytes<const N: usize>(&self, at: u64) -> [u8; N] {
        let mut bytes = [0; N];
        match self.0.read_slice(&mut bytes, GuestAddress(at)) {
            Ok(()) => bytes,
            Err(_) => [0; N],
        }
    }

    fn u16(&self, at: u64) -> u16 {
        u16::from_le_bytes(self.bytes(at))
    }

    fn u32(&self, at: u64) -> u32 {
        u32::from_le_bytes(self.bytes(at))
    }

    fn u64(&self, at: u64) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }
}

impl Picture {
    /// What the event stream shows of it.
    fn event(&self) -> Event {
        Event::World(WorldEvent::Ring {
            virtqueue: self.virtqueue,
            driver: self.count(Owner::Driver),
            device: self.count(Owner::Device),
            used: self.count(Owner::Used),
        })
    }
}
