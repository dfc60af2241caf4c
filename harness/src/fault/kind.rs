//! The kinds of faults: one enum, one table.
//!
//! A *legal* fault is what a device, a wire or a guest may do and a driver must live with: it costs no
//! frame without a reason. An *illegal* one breaks the specification or the hardware: the driver or the
//! laboratory must notice it, and it must stay where it is. The table says for each who has to notice, and
//! which of the driver's counters shows it. `rxlab faults` prints it.

use serde::{Deserialize, Serialize};

/// A kind of fault, by the name that scenarios and outputs use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is documented by its row of the table below")]
pub enum Kind {
    LinkFlap,
    BadFcs,
    Runt,
    Giant,
    PayloadBitFlip,
    FifoShrink,
    DmaSlow,
    DmaStall,
    DmaReorder,
    UsedIndexDelayed,
    CompletionDuplicated,
    CompletionStale,
    CompletionShort,
    CompletionWrongId,
    QueueStuck,
    ControlQueueDead,
    ConfigChanged,
    DeviceReset,
    SurpriseRemoval,
    InterruptLost,
    InterruptSpurious,
    InterruptDelayed,
    InterruptDuplicated,
    InterruptWrongVector,
    VectorMasked,
    CpuStolen,
    DescriptorsWithheld,
}

/// Where a fault acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the cable, before the frame check sequence is looked at.
    Wire,
    /// In the NIC.
    Nic,
    /// Between the NIC and the CPU that takes its interrupts.
    Interrupt,
    /// In the guest: its CPUs and its driver.
    Guest,
}

/// Who has to notice a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Nobody: it is legal, and works like bad luck.
    Nobody,
    /// The driver, by the counter named in [`Facts::counter`].
    Driver,
    /// The laboratory: no driver can see it.
    Laboratory,
    /// The driver where it can tell, else the laboratory.
    Either,
}

/// Whether a key belongs to a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// It has no meaning here, and is refused.
    No,
    /// It may be left out; the table says what that means.
    May,
    /// It must be there.
    Must,
}

/// What `amount` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// There is none.
    None,
    /// A size, `"4KiB"`.
    Bytes,
    /// How many times as long, 2 or more.
    Times,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The kind's name.
    pub name: &'static str,
    /// Where it acts.
    pub place: Place,
    /// Whether a driver must live with it.
    pub legal: bool,
    /// Who has to notice it.
    pub notice: Notice,
    /// The counter that shows it, as result.json spells it; empty if none does.
    pub counter: &'static str,
    /// Key `for`: how long it lasts.
    pub lasting: Key,
    /// Key `queue`: which receive queue.
    pub queue: Key,
    /// Key `count`: how many frames, completions or messages in a row, 1 if left out.
    pub count: Key,
    /// Key `amount`, and what it is; it must be there if it is anything.
    pub amount: Unit,
    /// What happens.
    pub effect: &'static str,
}

use Key::{May, Must, No};

/// A row: name, place, legal, notice, counter, `for`, `queue`, `count`, amount, effect.
macro_rules! row {
    ($name:literal, $place:ident, $legal:literal, $notice:ident, $counter:literal,
     $lasting:ident, $queue:ident, $count:ident, $amount:ident, $effect:literal) => {
        Facts {
            name: $name,
            place: Place::$place,
            legal: $legal,
            notice: Notice::$notice,
            counter: $counter,
            lasting: $lasting,
            queue: $queue,
            count: $count,
            amount: Unit::$amount,
            effect: $effect,
        }
    };
}

/// The table, in the order of [`Kind`].
#[rustfmt::skip]
const TABLE: [Facts; Kind::COUNT] = [
    row!("link_flap", Wire, true, Nobody, "link_changes", Must, No, No, None,
        "the link goes down, and up again after `for`; frames meanwhile are dropped link_down"),
    row!("bad_fcs", Wire, true, Nobody, "bad_fcs", No, No, May, None,
        "frames arrive damaged, as wire.bad_fcs has it; dropped bad_fcs"),
    row!("runt", Wire, true, Nobody, "runt", No, No, May, None,
        "frames arrive cut below the least length, as wire.runt has it; dropped runt"),
    row!("giant", Wire, true, Nobody, "giant", No, No, May, None,
        "frames arrive longer than the MTU allows, as wire.giant has it; dropped giant"),
    row!("payload_bit_flip", Nic, false, Laboratory, "", No, No, May, None,
        "one bit behind the Ethernet header changes after the frame check sequence was found right; the frame \
         goes its way with the wrong bit"),
    row!("fifo_shrink", Nic, true, Nobody, "fifo_overflow", Must, No, No, Bytes,
        "the FIFO takes only `amount` for so long"),
    row!("dma_slow", Nic, true, Nobody, "", Must, No, No, Times,
        "transfers take `amount` times as long for so long"),
    row!("dma_stall", Nic, true, Nobody, "", Must, No, No, None,
        "the DMA engine stands still for so long"),
    row!("dma_reorder", Nic, true, Nobody, "", Must, No, No, None,
        "the DMA engine goes round the queues backwards, so that queues overtake each other"),
    row!("used_index_delayed", Nic, true, Nobody, "", Must, Must, No, None,
        "frames of the queue are written and published only when the time is over, all at once"),
    row!("completion_duplicated", Nic, false, Either, "duplicate_id", No, May, May, None,
        "a used element is published twice; the queue stops if the driver does not own the descriptor, or the \
         laboratory finds a frame that nobody sent"),
    row!("completion_stale", Nic, false, Either, "duplicate_id", No, May, May, None,
        "the used index moves on over the element of a lap ago; from then on two frames may share a buffer"),
    row!("completion_short", Nic, false, Either, "short_completion", No, May, May, Bytes,
        "a used element says `amount` bytes, the 12 of the virtio header included, whatever was written"),
    row!("completion_wrong_id", Nic, false, Driver, "unknown_id", No, May, May, None,
        "a used element names a descriptor that no ring has; the queue stops"),
    row!("queue_stuck", Nic, true, Nobody, "fifo_overflow", May, Must, No, None,
        "the NIC serves the queue no more; without `for` for good"),
    row!("control_queue_dead", Nic, false, Driver, "control_failed", May, No, No, None,
        "commands get no answer; without `for` never again"),
    row!("config_changed", Nic, true, Nobody, "config_interrupts", No, No, May, None,
        "the configuration says that it has changed, and changes again at the next `count` readings"),
    row!("device_reset", Nic, true, Driver, "needs_reset", No, No, No, None,
        "the NIC stops by itself and sets DEVICE_NEEDS_RESET (virtio 2.1.2); frames are dropped needs_reset"),
    row!("surprise_removal", Nic, false, Driver, "failures", No, No, No, None,
        "the NIC leaves its slot: reads give all ones, writes go nowhere, frames are dropped removed; the \
         slot's own interrupt has the driver look"),
    row!("interrupt_lost", Interrupt, false, Either, "watchdog_recovered", No, May, May, None,
        "messages of receive queues never arrive; without a watchdog frames may stay held"),
    row!("interrupt_spurious", Interrupt, true, Nobody, "spurious_interrupts", No, May, May, None,
        "messages arrive that nobody sent; without `queue` for any receive queue"),
    row!("interrupt_delayed", Interrupt, true, Nobody, "", Must, May, May, None,
        "messages arrive so much later"),
    row!("interrupt_duplicated", Interrupt, true, Nobody, "spurious_interrupts", Must, May, May, None,
        "messages arrive twice, the second time so much later"),
    row!("interrupt_wrong_vector", Interrupt, false, Either, "spurious_interrupts", No, May, May, None,
        "messages arrive on the vector of the next receive queue instead, or of none if there is one queue"),
    row!("vector_masked", Interrupt, true, Nobody, "interrupts_pended", Must, Must, No, None,
        "the system masks the queue's vector for so long, whatever the driver does"),
    row!("cpu_stolen", Guest, true, Nobody, "", Must, No, No, None,
        "the hypervisor takes `cpu` away for so long, interrupts included"),
    row!("descriptors_withheld", Guest, true, Nobody, "refills_withheld", Must, Must, No, None,
        "the driver gives the queue no buffers for so long, as without memory"),
];

impl Kind {
    /// How many there are.
    pub const COUNT: usize = 27;

    /// All of them, in the order of the table.
    pub const ALL: [Self; Self::COUNT] = [
        Self::LinkFlap,
        Self::BadFcs,
        Self::Runt,
        Self::Giant,
        Self::PayloadBitFlip,
        Self::FifoShrink,
        Self::DmaSlow,
        Self::DmaStall,
        Self::DmaReorder,
        Self::UsedIndexDelayed,
        Self::CompletionDuplicated,
        Self::CompletionStale,
        Self::CompletionShort,
        Self::CompletionWrongId,
        Self::QueueStuck,
        Self::ControlQueueDead,
        Self::ConfigChanged,
        Self::DeviceReset,
        Self::SurpriseRemoval,
        Self::InterruptLost,
        Self::InterruptSpurious,
        Self::InterruptDelayed,
        Self::InterruptDuplicated,
        Self::InterruptWrongVector,
        Self::VectorMasked,
        Self::CpuStolen,
        Self::DescriptorsWithheld,
    ];

    /// Position in [`Kind::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its row of the table.
    #[must_use]
    pub const fn facts(self) -> &'static Facts {
        &TABLE[self as usize]
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// The keys of a `[[fault]]` besides the one that says when, and whether this kind has them.
    #[must_use]
    pub const fn keys(self) -> [(&'static str, Key); 5] {
        let facts = self.facts();
        [
            ("for", facts.lasting),
            ("queue", facts.queue),
            ("count", facts.count),
            ("amount", if matches!(facts.amount, Unit::None) { No } else { Must }),
            ("cpu", if matches!(self, Self::CpuStolen) { Must } else { No }),
        ]
    }

    /// Whether it has a key, which it need not have if `may` is false.
    #[must_use]
    pub fn has(self, name: &str, may: bool) -> bool {
        let rule = self.keys().into_iter().find(|(key, _)| *key == name).map(|(_, rule)| rule);
        rule == Some(Must) || may && rule == Some(May)
    }

    /// Whether it acts on a cable: the frame itself is changed before it arrives.
    #[must_use]
    pub const fn damages_frames(self) -> bool {
        matches!(self, Self::BadFcs | Self::Runt | Self::Giant | Self::PayloadBitFlip)
    }

    /// Whether it acts on a message that the NIC sends.
    #[must_use]
    pub const fn hits_messages(self) -> bool {
        matches!(
            self,
            Self::InterruptLost
                | Self::InterruptDelayed
                | Self::InterruptDuplicated
                | Self::InterruptWrongVector
        )
    }
}

impl Place {
    /// Its name in outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wire => "wire",
            Self::Nic => "nic",
            Self::Interrupt => "interrupt",
            Self::Guest => "guest",
        }
    }
}

impl Notice {
    /// Its name in outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Driver => "driver",
            Self::Laboratory => "laboratory",
            Self::Either => "driver or laboratory",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_that_of_its_kind() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), index);
            let spelled = serde_json::to_value(kind).unwrap();
            assert_eq!(spelled, kind.name(), "scenario files and outputs spell it alike");
            let facts = kind.facts();
            assert!(facts.legal || facts.notice != Notice::Nobody, "{} goes unseen", kind.name());
        }
    }
}
