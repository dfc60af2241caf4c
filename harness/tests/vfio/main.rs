//! Our driver and core in a guest, over VFIO: on our NIC, and on QEMU's own. Each boot is a VM of its own, one at a
//! time.
//!
//! What a QEMU, a kernel and its modules other than the system's are: `RXLAB_QEMU`, `RXLAB_KERNEL`,
//! `RXLAB_MODULES`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;
mod world;

use std::time::Duration;

use harness::scenario::Scenario;
use qemu::launch::{Nic, Wire};
use qemu::protocol::{Command, Disturb, LiveAccount, Start};

use world::{Datagrams, Guest, OurNic, PATIENCE, digests, frames, wait_for};

/// Traffic of 20,000 frames that a translated guest keeps up with, for so many queue pairs. However long the machine
/// stalls, the FIFO holds it.
fn scenario(queues: u16) -> Scenario {
    scenario_with(queues, "")
}

fn scenario_with(queues: u16, more: &str) -> Scenario {
    let text = format!(
        "nic.fifo = '16MiB'\n[traffic]\nsource = 'generator'\nframes = 20_000\nrate = '5kpps'\nflows = 256\n\
         size = 'imix'\n[channels]\ncombined = {queues}\n{more}\
         [[handle]]\nname = 'all'\n[[handle]]\nname = 'half'\nengine = 'segments'\nkernel_buffer = '64KiB'\n\
         [handle.reader]\nperiod = '5ms'\n"
    );
    Scenario::parse(&text, "test.toml", &[]).unwrap().resolved()
}

/// Everything offered has one fate, on both sides together, and what came is what was sent.
fn our_nic(queues: u16) {
    let scenario = scenario(queues);
    let nic = OurNic::new(&scenario);
    let mut guest = Guest::boot(Nic { queues, iommu_platform: true, ..nic.card() });
    let started = guest.start(Start { digest: true, ..Start::of(scenario.to_toml()) });
    assert!(!started.bypasses_iommu && started.memory.0 == 1 << 32, "{started:?}");
    assert_eq!(started.msix, guest.vm.msix, "{started:?}");
    assert!(started.notices.iter().any(|said| said.contains("RSS")), "{started:?}");
    nic.desk().go();
    wait_for(|| nic.total().feed_is_over() && guest.account().received() == nic.total().written());
    let account = guest.stop();
    println!("{account:?}");
    account.check().unwrap();
    let (total, sent) = (nic.total(), frames(&scenario));
    assert_eq!(total.offered(), sent.len() as u64);
    assert_eq!(total.dropped(), 0, "{}", total.line());
    for (number, (queue, lane)) in account.queues.iter().zip(nic.lanes()).enumerate() {
        assert_eq!(queue.received, lane.written(), "queue {number}");
        assert_eq!((queue.dropped_total(), &queue.error), (0, &None), "queue {number}");
        assert!(queue.received > 0 && queue.messages > 0, "queue {number}: {queue:?}");
        assert!(queue.counter("interrupts") <= queue.messages, "queue {number}: {queue:?}");
    }
    assert_eq!(account.queues.len(), usize::from(queues));
    assert_eq!(digest_of(&account), digests(&sent));
    // Nobody has to lose anything, and the handle that does says why.
    let [all, half] = &account.handles[..] else { panic!("{account:?}") };
    assert_eq!(all.delivered + all.dropped_total(), sent.len() as u64);
    assert_eq!(half.delivered + half.dropped_total(), sent.len() as u64);
    assert_eq!((all.held, half.held), (0, 0));
    guest.vm.power_off().unwrap();
}

fn digest_of(account: &LiveAccount) -> u64 {
    account.queues.iter().fold(0, |sum, queue| sum.wrapping_add(queue.digest))
}

#[test]
fn our_driver_on_our_nic_with_one_queue() {
    world::one_at_a_time(|| our_nic(1));
}

#[test]
fn our_driver_on_our_nic_with_four_queues() {
    world::one_at_a_time(|| our_nic(4));
}

/// QEMU's own device has one queue pair with a wire of this kind, and here it bypasses the IOMMU.
#[test]
fn our_driver_on_qemus_own_nic() {
    world::one_at_a_time(|| {
        let scenario = scenario(1);
        let sent = frames(&scenario);
        let wire = Datagrams::new("own");
        let mut guest =
            Guest::boot(Nic::on(Wire::Dgram { here: wire.guest(), there: wire.here() }));
        let started = guest.start(Start { digest: true, ..Start::of(scenario.to_toml()) });
        assert!(started.bypasses_iommu && started.msix, "{started:?}");
        assert!(
            started.notices.iter().any(|said| said.contains("bypasses the IOMMU")),
            "{started:?}"
        );
        // Memory in one physical piece, of huge pages.
        assert_eq!((started.memory.0 % (2 << 20), started.memory.1 % (2 << 20)), (0, 0));
        wire.send(&sent, Duration::from_micros(200));
        wait_for(|| guest.account().received() == sent.len() as u64);
        let account = guest.stop();
        account.check().unwrap();
        assert_eq!(digest_of(&account), digests(&sent));
        assert_eq!(account.queues[0].dropped_total(), 0);
        assert_eq!(account.handles[0].shown, sent.len() as u64);
        // Our driver may be started again, as often as one likes.
        let start = Start { digest: true, ..Start::of(scenario.to_toml()) };
        guest.start(start.clone());
        wire.send(&sent[..100], Duration::from_micros(200));
        wait_for(|| guest.account().received() == 100);
        assert_eq!(digest_of(&guest.stop()), digests(&sent[..100]));
        // An interrupt that is lost, and one that nobody has sent.
        let watched = scenario_with(1, "[driver]\nwatchdog = '20ms'\n").to_toml();
        interrupts_go_wrong(&mut guest, &wire, &sent, Start { scenario: watched, ..start });
        guest.vm.power_off().unwrap();
    });
}

/// The watchdog finds what a held vector keeps from the driver; an interrupt for nothing is counted as that.
fn interrupts_go_wrong(guest: &mut Guest, wire: &Datagrams, sent: &[Vec<u8>], start: Start) {
    let queue = |guest: &mut Guest| guest.account().queue(0);
    guest.start(start);
    guest.disturb(Disturb::Hold(1));
    wire.send(&sent[..50], Duration::from_micros(200));
    wait_for(|| guest.account().received() == 50);
    let held = queue(guest);
    assert!(held.messages == 0 && held.counter("watchdog_recovered") > 0, "{held:?}");
    guest.disturb(Disturb::Release(1));
    wait_for(|| queue(guest).messages > 0);
    let before = queue(guest);
    guest.disturb(Disturb::Trigger(1));
    wait_for(|| queue(guest).messages > before.messages);
    let after = queue(guest);
    assert!(
        after.counter("spurious_interrupts") > before.counter("spurious_interrupts"),
        "{after:?}"
    );
    let refused = guest.vm.call(Command::Disturb(Disturb::Trigger(99)), PATIENCE).unwrap_err();
    assert!(refused.to_string().contains("triggering an interrupt"), "{refused}");
    let account = guest.stop();
    account.check().unwrap();
    assert_eq!(digest_of(&account), digests(&sent[..50]));
}

/// The device writes where memory is mapped for it, and nowhere else: of the driver's receive buffers, those in the
/// middle are not. It fills what comes before them, and then its translation is refused; the ring has broken, and
/// not a byte has changed behind the IOMMU's back.
#[test]
fn a_device_cannot_touch_what_is_not_mapped_for_it() {
    world::one_at_a_time(|| {
        let scenario = scenario(1);
        let nic = OurNic::new(&scenario);
        let mut guest = Guest::boot(Nic { iommu_platform: true, ..nic.card() });
        let hole = Some((0x4_0000, 0x2_0000));
        guest.start(Start { hole, digest: true, ..Start::of(scenario.to_toml()) });
        nic.desk().go();
        wait_for(|| nic.total().broken().is_some());
        let (total, broken) = (nic.total(), nic.total().broken().unwrap());
        println!("{broken}; {}", total.line());
        let reached = total.written();
        wait_for(|| guest.account().received() == reached);
        let account = guest.stop();
        assert_eq!(account.hole_changed, Some(0), "{account:?}");
        account.check().unwrap();
        // Rings and the first buffers come before the hole: 2 KiB each, and the rings some more.
        assert!((100..0x4_0000 / 2048).contains(&reached), "{reached}");
        assert_eq!(digest_of(&account), digests(&frames(&scenario)[..reached as usize]));
        guest.vm.power_off().unwrap();
    });
}
