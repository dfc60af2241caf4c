//! The account over both sides: what the NIC here has counted, and what the guest has.
//!
//! Contract: at rest every frame that a queue was offered is dropped by the NIC, held by it, or delivered; what was
//! delivered the guest has received, frame for frame, and says what became of it.

use qemu::protocol::{LiveAccount, QueueAccount, SocketAccount};

use super::Driver;
use crate::nic::tally::Tally;

/// See the module's contract.
#[derive(Clone, Debug)]
pub struct Account {
    /// By queue pair.
    pub nic: Vec<Tally>,
    /// The guest's part.
    pub guest: LiveAccount,
    /// Who drives the NIC there.
    pub driver: Driver,
    /// All lanes played the same traffic, each its share: together they make the whole.
    pub shares_traffic: bool,
}

impl Account {
    /// Frames offered, over all queues.
    #[must_use]
    pub fn offered(&self) -> u64 {
        self.nic.iter().map(|nic| nic.device.offered).sum()
    }

    /// Frames that the NIC has written into rings, over all queues.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.nic.iter().map(|nic| nic.device.written).sum()
    }

    /// Frames that the NIC or our driver dropped, over all queues, or that had no room in the first socket.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        let nic: u64 = self.nic.iter().map(|nic| nic.device.dropped_total()).sum();
        let driver: u64 = self.guest.queues.iter().map(QueueAccount::dropped_total).sum();
        nic + driver + self.guest.sockets.first().map_or(0, |socket| socket.dropped)
    }

    /// Frames on the way to the handles: in the NIC, in rings, in the system of the guest.
    #[must_use]
    pub fn held(&self) -> u64 {
        let socket = self.guest.sockets.first();
        let taken = socket.map_or_else(|| self.guest.indicated(), |socket| socket.taken);
        self.offered().saturating_sub(taken + self.dropped())
    }

    /// Whether no more frames come.
    #[must_use]
    pub fn is_fed(&self) -> bool {
        self.nic.iter().all(|nic| nic.feed.is_over)
    }

    /// Whether no frame is on its way to anybody.
    #[must_use]
    pub fn rests(&self) -> bool {
        let indicated = self.guest.indicated();
        let shown =
            self.guest.handles.iter().all(|handle| handle.shown + handle.skipped == indicated);
        let frames = self.delivered();
        let captured = |socket: &SocketAccount| socket.taken + socket.dropped == frames;
        self.held() == 0 && shown && self.guest.sockets.iter().all(captured)
    }

    /// Whether the account adds up, of a run that is at rest.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self) -> Result<(), String> {
        for (number, nic) in self.nic.iter().enumerate() {
            if !nic.adds_up() {
                let device = &nic.device;
                return Err(format!(
                    "rxq{number}: the NIC was offered {} frames; delivered {} + dropped {} + held {}",
                    device.offered,
                    device.written,
                    device.dropped_total(),
                    nic.held
                ));
            }
        }
        self.guest.check()?;
        match self.driver {
            Driver::Vfio => self.check_queues()?,
            Driver::Linux => self.check_linux()?,
        }
        let played = self.nic.iter().map(|nic| nic.feed.position).max().unwrap_or_default();
        match self.offered() {
            offered if offered == played || !self.shares_traffic => Ok(()),
            offered => Err(format!(
                "the traffic had {played} frames, and the queues were offered {offered} of them together"
            )),
        }
    }

    fn check_queues(&self) -> Result<(), String> {
        if self.nic.len() != self.guest.queues.len() {
            let (here, there) = (self.nic.len(), self.guest.queues.len());
            return Err(format!("the NIC has {here} receive queues, the guest {there}"));
        }
        for (number, (nic, queue)) in self.nic.iter().zip(&self.guest.queues).enumerate() {
            let (written, received) = (nic.device.written, queue.received);
            let gave_up = queue.error.is_some() || self.guest.error.is_some();
            if written < received || written > received && !gave_up {
                return Err(format!(
                    "rxq{number}: the NIC has delivered {written} frames, the driver received {received}"
                ));
            }
        }
        Ok(())
    }

    fn check_linux(&self) -> Result<(), String> {
        let delivered = self.delivered();
        let received = self.guest.interface.get("rx_packets").copied().unwrap_or_default();
        if delivered != received {
            return Err(format!(
                "the NIC has delivered {delivered} frames, Linux's driver received {received}"
            ));
        }
        for SocketAccount { name, seen, .. } in &self.guest.sockets {
            if *seen != delivered {
                return Err(format!(
                    "the NIC has delivered {delivered} frames, socket {name} has seen {seen}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nic_model::DeviceCounters;

    /// Puts something wrong into an account.
    type Spoil = fn(&mut Account);

    fn nic(frames: u64) -> Tally {
        let device = DeviceCounters { offered: frames, written: frames, ..Default::default() };
        let mut nic = Tally { device, ..Tally::default() };
        nic.feed.position = frames;
        nic
    }

    fn linux() -> Account {
        let socket = |name: &str, dropped| SocketAccount {
            name: name.into(),
            seen: 10,
            dropped,
            taken: 10 - dropped,
            bytes: 600,
        };
        let guest = LiveAccount {
            sockets: vec![socket("npf", 1), socket("tpacket_v3", 0)],
            interface: [("rx_packets".into(), 10)].into(),
            ..LiveAccount::default()
        };
        Account { nic: vec![nic(10)], guest, driver: Driver::Linux, shares_traffic: true }
    }

    fn vfio() -> Account {
        let queue = QueueAccount { received: 10, indicated: 10, ..QueueAccount::default() };
        let guest = LiveAccount { queues: vec![queue], ..LiveAccount::default() };
        Account { nic: vec![nic(10)], guest, driver: Driver::Vfio, shares_traffic: true }
    }

    #[test]
    fn what_linux_has_not_seen_is_named() {
        assert_eq!((linux().check(), linux().rests(), linux().held()), (Ok(()), true, 0));
        let spoilt: [(Spoil, &str); 4] = [
            (|account| account.nic[0].device.offered = 11, "the NIC was offered 11"),
            (|account| account.guest.sockets[1].taken = 9, "socket tpacket_v3"),
            (
                |account| {
                    let socket = &mut account.guest.sockets[1];
                    (socket.taken, socket.seen) = (9, 9);
                },
                "tpacket_v3 has seen 9",
            ),
            (|account| account.guest.interface.clear(), "Linux's driver received 0"),
        ];
        for (spoil, says) in spoilt {
            let mut account = linux();
            spoil(&mut account);
            let said = account.check().unwrap_err();
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn what_our_driver_has_not_received_is_named() {
        assert_eq!((vfio().check(), vfio().rests()), (Ok(()), true));
        let mut account = vfio();
        let queue = &mut account.guest.queues[0];
        (queue.received, queue.indicated) = (9, 9);
        assert!(account.check().unwrap_err().contains("the driver received 9"));
        assert_eq!((account.rests(), account.held()), (false, 1));
        account.guest.error = Some("it gave up".into());
        assert_eq!(account.check(), Ok(()));
        account.nic[0].feed.position = 11;
        assert!(account.check().unwrap_err().contains("the traffic had 11"));
    }
}
