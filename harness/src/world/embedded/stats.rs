//! The device's statistics at the end of a run: the driver asks for them by command, and what the device
//! answers must be the account.
//!
//! Contract: only with VIRTIO_NET_F_DEVICE_STATS agreed, and only if the device answers; a control queue
//! that faults keep from answering is no breach. What the ledger knows is compared with the ledger, the
//! rest with the device's own counters, so that a slip between counter and answer is found.

use super::Embedded;
use crate::account::{Broken, Reason};
use crate::world::outcome::Counters;
use crate::world::port::Port;
use crate::world::tap::DriverEvents;
use nic_model::DropReason as Nic;

impl Embedded {
    /// Asks, compares, and keeps what was told for the report.
    pub(super) fn ask_for_stats(&mut self) -> Result<(), Broken> {
        let asked = {
            let mut port = Port { now: self.now, device: &mut self.device, book: &self.book };
            let mut events = DriverEvents { book: &self.book };
            self.driver.query_stats(self.now, &mut port, &mut events)
        };
        if !asked {
            return Ok(());
        }
        let Some(stats) = self.driver.device_stats() else { return Ok(()) };
        let queues = self.driver.config().queue_pairs;
        self.device_stats = (0..queues)
            .map(|queue| {
                let of = [2 * queue, 2 * queue + 1];
                let own = stats.numbers.iter().filter(|stat| of.contains(&stat.virtqueue));
                own.map(|stat| (stat.name, stat.value)).collect()
            })
            .collect();
        for queue in 0..queues {
            self.compare_stats(queue)?;
        }
        Ok(())
    }

    fn compare_stats(&self, queue: u16) -> Result<(), Broken> {
        let book = self.book.borrow();
        let of = &book.ledger.queues[usize::from(queue)];
        let lost = |reason: Nic| of.tally.reasons[Reason::Nic(reason).index()];
        let drops: u64 = Nic::ALL.into_iter().map(lost).sum();
        let device = self.device.queue_counters(queue);
        let expected = [
            ("rx_packets", of.tally.offered - drops - of.held.fifo),
            ("rx_drops", drops),
            ("rx_drop_overruns", lost(Nic::NoDescriptor)),
            ("rx_bytes", device.written_bytes),
            ("rx_notifications", device.kicks),
            ("rx_interrupts", device.interrupts),
            ("tx_packets", device.transmitted),
            ("tx_bytes", device.transmitted_bytes),
            ("tx_notifications", device.transmit_kicks),
            ("tx_interrupts", device.transmit_interrupts),
            ("tx_drops", device.transmit_link_down + device.dropped[Nic::TxMalformed.index()]),
            ("tx_drop_malformed", device.dropped[Nic::TxMalformed.index()]),
        ];
        let told: &Counters = &self.device_stats[usize::from(queue)];
        for (name, account) in expected {
            let said = told.iter().find(|(told, _)| *told == name).map(|(_, value)| *value);
            if said != Some(account) {
                let said = said.map_or("nothing".into(), |said| said.to_string());
                let what = format!(
                    "queue {queue}: the device's statistics say {name} = {said}, the account has {account}"
                );
                return Err(Broken { what });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use crate::world::embedded::Unwatched;
    use crate::world::setup;

    /// More than one CPU can take, in two queues with coalescing of their own, and two announcements.
    const TEXT: &str = r#"
        [traffic]
        source = "generator"
        frames = 40_000
        rate = "12Mpps"
        size = "64B"
        [wire]
        bad_fcs = "1%"
        [channels]
        combined = 2
        [ring]
        rx = 64
        [costs]
        poll_frame = "1us"
        [nic]
        fifo = "2KiB"
        notf_coal = true
        vq_notf_coal = true
        device_stats = true
        announce = ["1ms", "2ms"]
        [coalesce]
        rx_usecs = "20us"
        rx_frames = 16
        [[coalesce.queue]]
        queue = 1
        rx_usecs = "40us"
        rx_frames = 32
        [[handle]]
        name = "capture"
    "#;

    fn world(text: &str) -> Embedded {
        let scenario = Scenario::parse(text, "test.toml", &[]).unwrap().resolved();
        let parts = setup::build(&scenario).unwrap();
        Embedded::new(&scenario, parts)
    }

    #[test]
    fn the_device_tells_the_driver_what_the_account_says() {
        let outcome = world(TEXT).run(&mut Unwatched).outcome;
        assert!(outcome.ok(), "{}", outcome.end);
        for queue in &outcome.queues {
            let told = |name: &str| queue.told.iter().find(|(told, _)| *told == name).unwrap().1;
            let counted = |name: &str| queue.nic.iter().find(|(of, _)| *of == name).unwrap().1;
            assert!(told("rx_drop_overruns") > 0 && told("rx_packets") > 0, "{:?}", queue.told);
            assert_eq!(told("rx_drop_overruns"), counted("no_descriptor"));
            assert_eq!(told("rx_interrupts"), counted("interrupts"));
            assert!(counted("interrupts_coalesced") > 0, "set by command");
        }
        let plain = TEXT.replace("device_stats = true", "");
        let outcome = world(&plain).run(&mut Unwatched).outcome;
        assert!(outcome.queues.iter().all(|queue| queue.told.is_empty()), "nobody asked");
    }

    #[test]
    fn an_announcement_leaves_the_device_and_is_acknowledged() {
        let outcome = world(TEXT).run(&mut Unwatched).outcome;
        assert_eq!(outcome.nic_count("transmitted"), 2);
    }

    #[test]
    fn a_statistic_that_is_not_the_accounts_breaks_the_run() {
        let mut world = world(TEXT);
        assert_eq!(world.ask_for_stats(), Ok(()));
        assert_eq!(world.compare_stats(1), Ok(()));
        for at in 0..world.device_stats[1].len() {
            let (name, value) = world.device_stats[1][at];
            let compared = !name.contains("allowance");
            world.device_stats[1][at].1 = value + 1;
            let broken = world.compare_stats(1).err().map(|broken| broken.what);
            assert_eq!(broken.is_some(), compared, "{name}");
            assert!(broken.is_none_or(|what| what.contains(name)), "{name}");
            world.device_stats[1][at].1 = value;
        }
    }
}
