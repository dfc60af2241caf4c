//! The law: `offered = delivered + filtered + dropped + held`, where `held` is what the components
//! say they hold, not what is missing from the sum.
//!
//! It is checked after every event of every run, for whatever the event touched, and for everything
//! at the end. A breach carries the numbers of both sides.

use super::{Ledger, Reason, Tally};
use npf_core::DropReason as Npf;

/// The account does not add up, or a drop was not justified: what, and with which numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// One sentence with the numbers.
    pub what: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

/// What the components say they hold. Asked after every event, so it must be cheap.
pub trait Holdings {
    /// Frames in the NIC's FIFO, over all queues.
    fn fifo(&self) -> u64;
    /// Frames in the FIFO for one RX queue.
    fn fifo_of(&self, queue: u16) -> u64;
    /// Completions that the device has published in the used ring of one RX queue.
    fn published(&self, queue: u16) -> u64;
    /// Completions that the driver has taken from it.
    fn consumed(&self, queue: u16) -> u64;
    /// Packets queued for one handle.
    fn queued(&self, handle: u32) -> u64;
    /// Frames that the device says it was offered.
    fn offered(&self) -> u64;
    /// Frames that the component of `reason` says it dropped for it, as often as it counts one: a
    /// frame that two handles drop counts twice.
    fn dropped(&self, reason: Reason) -> u64;
    /// Packets that one handle says it delivered: to its reader, its dump file or its counters.
    fn delivered(&self, handle: u32) -> u64;
    /// Frames that one handle says its filter refused.
    fn filtered(&self, handle: u32) -> u64;
}

/// Checks what the last event touched, and the total.
///
/// # Errors
/// The first sum that does not come out.
#[inline]
pub fn check_touched(ledger: &mut Ledger, holdings: &impl Holdings) -> Result<(), Broken> {
    if let Some(fault) = ledger.fault() {
        return Err(Broken { what: fault.into() });
    }
    let mut touched = std::mem::take(&mut ledger.touched_queues);
    while touched != 0 {
        check_queue(ledger, holdings, touched.trailing_zeros() as u16)?;
        touched &= touched - 1;
    }
    if std::mem::take(&mut ledger.touched_handles) {
        check_handles(ledger, holdings)?;
    }
    check_total(ledger, holdings)
}

/// Checks every queue, every handle and the total, reasons included.
///
/// # Errors
/// The first sum that does not come out.
pub fn check_all(ledger: &Ledger, holdings: &impl Holdings) -> Result<(), Broken> {
    if let Some(fault) = ledger.fault() {
        return Err(Broken { what: fault.into() });
    }
    for queue in 0..ledger.queues.len() {
        check_queue(ledger, holdings, queue as u16)?;
        reasons("queue", queue, &ledger.queues[queue].tally)?;
    }
    check_handles(ledger, holdings)?;
    for (handle, book) in ledger.handles.iter().enumerate() {
        reasons("handle", handle, &book.tally)?;
    }
    reasons("total", 0, &ledger.total)?;
    let steered: u64 = ledger.queues.iter().map(|book| book.tally.offered).sum();
    if steered > ledger.total.offered {
        return broken(format!("{steered} frames steered, {} offered", ledger.total.offered));
    }
    check_counters(ledger, holdings)?;
    check_total(ledger, holdings)
}

/// The components count for themselves; what they counted must be what the ledger saw.
fn check_counters(ledger: &Ledger, holdings: &impl Holdings) -> Result<(), Broken> {
    for reason in Reason::all() {
        let index = reason.index();
        // The tap's drops belong to handles; only a frame that no handle was there for has none.
        let seen = match reason {
            Reason::Npf(Npf::NoHandle) | Reason::Nic(_) | Reason::Driver(_) => {
                ledger.total.reasons[index]
            }
            Reason::Npf(_) => ledger.handles.iter().map(|book| book.tally.reasons[index]).sum(),
        };
        // What was dropped and was no frame is in no tally.
        let seen = seen + ledger.false_drops[index];
        let counted = holdings.dropped(reason) + ledger.uncounted_drops[index];
        if counted != seen {
            let name = reason.name();
            return broken(format!("{name} is counted {counted} times, the ledger has {seen}"));
        }
    }
    for (handle, book) in (0u32..).zip(&ledger.handles) {
        let counted = (holdings.delivered(handle), holdings.filtered(handle));
        if counted != (book.tally.delivered, book.tally.filtered) {
            return broken(format!(
                "handle {handle} counts {counted:?} delivered and filtered, the ledger has {} and {}",
                book.tally.delivered, book.tally.filtered
            ));
        }
    }
    Ok(())
}

#[inline]
fn check_queue(ledger: &Ledger, holdings: &impl Holdings, queue: u16) -> Result<(), Broken> {
    let Some(book) = ledger.queues.get(usize::from(queue)) else {
        return broken(format!("queue {queue} was touched, there are {}", ledger.queues.len()));
    };
    let fifo = holdings.fifo_of(queue);
    let (published, consumed) = (holdings.published(queue), holdings.consumed(queue));
    let no_frames = book.false_in_ring + book.never_taken;
    let Some(ring) = (published + book.never_written).checked_sub(consumed + no_frames) else {
        return broken(format!(
            "queue {queue} has {published} completions and {} never written, the driver took {consumed}, \
             {no_frames} are false or left behind",
            book.never_written
        ));
    };
    if book.held.fifo != fifo || book.held.ring != ring {
        return broken(format!(
            "queue {queue} holds {fifo} frames in the FIFO and {ring} in the ring, the ledger has {} and {}",
            book.held.fifo, book.held.ring
        ));
    }
    adds_up("queue", queue.into(), &book.tally, fifo + ring + book.held.core)
}

fn check_handles(ledger: &Ledger, holdings: &impl Holdings) -> Result<(), Broken> {
    for (handle, book) in ledger.handles.iter().enumerate() {
        adds_up("handle", handle, &book.tally, holdings.queued(handle as u32))?;
    }
    Ok(())
}

#[inline]
fn check_total(ledger: &Ledger, holdings: &impl Holdings) -> Result<(), Broken> {
    let wire = ledger.total.offered - ledger.sent;
    if holdings.offered() != wire {
        return broken(format!(
            "the device was offered {} frames, the wire offered {wire}",
            holdings.offered()
        ));
    }
    // With one handle the core's own count stands in for the ledger's: nothing is taken on trust.
    let core = match ledger.handles.len() {
        1 => holdings.queued(0),
        _ => ledger.held.core,
    };
    adds_up("total", 0, &ledger.total, holdings.fifo() + ledger.held.ring + core)
}

#[inline]
fn adds_up(what: &str, which: usize, tally: &Tally, held: u64) -> Result<(), Broken> {
    if tally.offered == tally.settled() + held {
        return Ok(());
    }
    broken(format!(
        "{what} {which}: offered {} is not delivered {} + filtered {} + dropped {} + held {held}",
        tally.offered, tally.delivered, tally.filtered, tally.dropped
    ))
}

fn reasons(what: &str, which: usize, tally: &Tally) -> Result<(), Broken> {
    if tally.reasons_add_up() {
        return Ok(());
    }
    broken(format!("{what} {which}: the reasons do not add up to {} drops", tally.dropped))
}

#[cold]
fn broken(what: String) -> Result<(), Broken> {
    Err(Broken { what })
}
