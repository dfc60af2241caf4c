//! Linux's own virtio_net in a guest of QEMU, on our NIC: whole traffic through a TAP interface, with what
//! both sides count, and the loss of either side.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it fails")]
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;
mod traffic;
mod world;

use std::time::{Duration, Instant};

use qemu::protocol::{Command, Datagrams, Reply};
use serde_json::Value;

use common::process::wait_for;
use traffic::{PORT, Sender, datagrams_from, stream_from, stream_to, stream_to_meanwhile};
use world::{ETH, Guest, World, alone};

#[test]
fn linux_on_one_queue() {
    alone("linux_on_one_queue", || whole_traffic(1, false));
}

#[test]
fn linux_on_four_queues() {
    alone("linux_on_four_queues", || whole_traffic(4, false));
}

#[test]
fn linux_behind_an_iommu() {
    alone("linux_behind_an_iommu", || whole_traffic(4, true));
}

/// Ping, streams and datagrams, each checked at its end; then what was counted on both sides.
fn whole_traffic(queues: u16, iommu_platform: bool) {
    let mut world = World::new(&format!("linux_{queues}_{iommu_platform}"), queues);
    let mut card = world.card();
    card.ring = (512, 256);
    card.iommu_platform = iommu_platform;
    let mut guest = world.boot(card);
    let all = u32::from(queues);
    if queues > 1 {
        guest.call(Command::SetChannels { interface: ETH.into(), combined: all });
    }
    let channels = guest.call(Command::Channels { interface: ETH.into() });
    assert_eq!(channels, Reply::Channels { combined_max: all, combined: all });
    let ring = guest.call(Command::Ring { interface: ETH.into() });
    assert_eq!(ring, Reply::Ring { rx_max: 512, rx: 512, tx_max: 256, tx: 256 });

    assert_eq!(guest.ping(20, 56) + guest.ping(5, 1400), 25, "echo requests are answered");
    let started = Instant::now();
    stream_from(&mut guest, 3_000_000, 1);
    stream_to(&mut guest, 3_000_000, 2);
    println!("both streams took {:?}", started.elapsed());
    let sent = 64 * u64::from(queues);
    let got = datagrams_from(&mut guest, sent);
    assert_eq!(got, (sent, 0), "datagrams of the guest that came here, and came again");
    let mut sender = Sender::new(64);
    guest.vm.begin(Command::ReceiveDatagrams { port: PORT, idle_ms: 5000 }).unwrap();
    sender.when_heard(&world);
    sender.send(sent, Duration::from_millis(1));
    sender.end();
    let whole = Datagrams { different: sent, again: 0, foreign: 0, ended: true };
    assert_eq!(guest.finish(), Reply::Datagrams(whole));

    let stats = counted_alike(&world, &mut guest);
    assert_eq!(stats["iommu"], iommu_platform, "{stats}");
    interrupts_counted(&mut guest, &stats);
    guest.vm.check().unwrap();
    guest.vm.power_off().unwrap();
    let account = world.stop_nic();
    assert_eq!(account["total"]["adds_up"], true, "{account}");
    let lanes = account["lanes"].as_array().unwrap();
    let used = |key: &str| lanes.iter().filter(|lane| lane[key].as_u64() > Some(0)).count();
    // By which queues Linux sends goes by the CPU, of which the guest has two at most.
    assert_eq!(used("delivered"), usize::from(queues), "{account}");
    assert!(used("sent") >= usize::from(queues.min(2)), "{account}");
}

/// Once all is at rest, Linux has received as many frames as our NIC has delivered; and what Linux has sent, our
/// NIC has: more frames, since it cuts large segments. By queue too, where the kernel's ethtool counts them by
/// queue (up to 6.9 or so). The NIC's account.
fn counted_alike(world: &World, guest: &mut Guest) -> Value {
    let started = Instant::now();
    loop {
        let (stats, counted) = (world.stats(), guest.statistics());
        let lanes = stats["lanes"].as_array().unwrap();
        let alike = (0..).zip(lanes).all(|(queue, lane)| {
            let of = |name: &str| counted.get(&format!("{name}_{queue}_packets")).copied();
            let (got, sent) = (of("rx_queue"), of("tx_queue"));
            (got.is_none() || got == lane["delivered"].as_u64()) && sent <= lane["sent"].as_u64()
        });
        let (got, sent) = (counted["net_rx_packets"], counted["net_tx_packets"]);
        let total = &stats["total"];
        let alike = alike && total["delivered"] == got && total["sent"].as_u64() >= Some(sent);
        if alike && stats["total"]["adds_up"] == true {
            return stats;
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{stats:#} {counted:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// `/proc/interrupts` has a line for each queue that was used, with no more than our NIC has raised.
fn interrupts_counted(guest: &mut Guest, stats: &Value) {
    let Reply::Interrupts(lines) = guest.call(Command::Interrupts) else { panic!() };
    let of = |name: &str| -> Vec<u64> {
        let ours = lines.iter().filter(|line| line.name.ends_with(name));
        ours.map(|line| line.by_cpu.iter().sum()).collect()
    };
    let mut raised = 0;
    for (queue, lane) in (0..).zip(stats["lanes"].as_array().unwrap()) {
        for (side, key) in [("input", "rx_interrupts"), ("output", "tx_interrupts")] {
            let most = lane[key].as_u64().unwrap();
            raised += most;
            if guest.vm.msix {
                let count = of(&format!("-{side}.{queue}"));
                let [count] = count[..] else { panic!("{side} {queue}: {lines:?}") };
                let idle = side == "output" && lane["sent"] == 0;
                assert!((count > 0 || idle) && count <= most, "{side} {queue}: {count} of {most}");
            }
        }
    }
    if !guest.vm.msix {
        // One line for all rings.
        let count = of("virtio1");
        assert!(count.len() == 1 && count[0] > 0 && count[0] <= raised, "{count:?} of {raised}");
    }
}

#[test]
fn qemu_dies_and_another_is_served() {
    alone("qemu_dies_and_another_is_served", || {
        let mut world = World::new("linux_qemu_dies", 1);
        let mut guest = world.boot(world.card());
        stream_to(&mut guest, 500_000, 3);
        let mut sender = Sender::new(1);
        sender.send(20, Duration::from_millis(1));
        // In the middle of traffic both ways.
        guest
            .vm
            .begin(Command::Ping { to: world::HOST, count: 1000, size: 56, wait_ms: 10 })
            .unwrap();
        sender.send(20, Duration::from_millis(1));
        guest.vm.kill();
        sender.send(20, Duration::from_millis(1));
        wait_for(|| world.stats()["connected"] == false);
        sender.send(20, Duration::from_millis(1));
        let before = world.stats();
        let delivered = |stats: &Value| stats["total"]["delivered"].as_u64().unwrap();
        assert!(before["total"]["dropped"].as_u64() > Some(0), "{before}");
        let mut guest = world.boot(world.card());
        assert_eq!(guest.ping(3, 56), 3);
        stream_to(&mut guest, 500_000, 4);
        stream_from(&mut guest, 500_000, 5);
        let got = |guest: &mut Guest| guest.statistics()["net_rx_packets"];
        wait_for(|| delivered(&world.stats()) == delivered(&before) + got(&mut guest));
        guest.vm.power_off().unwrap();
        let account = world.stop_nic();
        assert_eq!(account["total"]["adds_up"], true, "{account}");
    });
}

#[test]
fn the_nic_dies_under_a_live_guest() {
    alone("the_nic_dies_under_a_live_guest", || {
        let mut world = World::new("linux_nic_dies", 1);
        let mut guest = world.boot(world.card());
        let mut sender = Sender::new(4);
        guest.vm.begin(Command::ReceiveDatagrams { port: PORT, idle_ms: 30_000 }).unwrap();
        sender.when_heard(&world);
        let pause = Duration::from_millis(1);
        sender.send(200, pause);

        // Told to end, under traffic: its account is whole.
        let (first, mut sender) = sender.meanwhile(300, pause, || world.stop_nic());
        world.start_nic();
        wait_for(|| world.stats()["connected"] == true);
        sender.when_heard(&world);
        sender.send(200, pause);

        // Killed, under traffic.
        let second = world.stats();
        let ((), mut sender) = sender.meanwhile(300, pause, || world.kill_nic());
        world.start_nic();
        wait_for(|| world.stats()["connected"] == true);
        sender.when_heard(&world);
        sender.send(200, pause);
        sender.end();
        let Reply::Datagrams(got) = guest.finish() else { panic!() };
        println!("{} sent, {got:?}", sender.sent());
        assert_eq!((got.again, got.foreign, got.ended), (0, 0, true), "{got:?}");
        assert!(got.different >= 600 && got.different < sender.sent(), "{got:?}");

        // What the second one had delivered when it was killed, nobody knows but the guest.
        let counted = |account: &Value| account["total"]["delivered"].as_u64().unwrap();
        assert_eq!(first["total"]["adds_up"], true, "{first}");
        assert_eq!(guest.ping(5, 56), 5);
        let rx = guest.statistics()["net_rx_packets"];
        let known = counted(&first) + counted(&second) + counted(&world.stats());
        assert!(rx >= known && rx <= known + 300, "{rx} {known}");
        stream_to(&mut guest, 500_000, 6);
        stream_from(&mut guest, 500_000, 7);
        guest.vm.check().unwrap();
        guest.vm.power_off().unwrap();
        assert_eq!(world.stop_nic()["total"]["adds_up"], true);
    });
}

/// What the NIC writes while the guest's memory is copied is logged, and copied again: or the guest would go on
/// with old bytes, and see another stream than was sent.
#[test]
fn a_guest_moves_to_another_nic_under_traffic() {
    alone("a_guest_moves_to_another_nic_under_traffic", || {
        let mut here = World::new("linux_moves", 1);
        let mut there = here.beside("linux_moves_there");
        let mut guest = here.boot(here.card());
        assert_eq!(guest.ping(3, 56), 3);
        let started = Instant::now();
        let mut guest = stream_to_meanwhile(guest, 30_000_000, 8, |guest| {
            let delivered = || here.stats()["total"]["delivered"].as_u64().unwrap();
            wait_for(|| delivered() > 1000);
            let guest = guest.moves(&there);
            println!("{} frames delivered before it had moved", delivered());
            guest
        });
        println!("the stream took {:?}", started.elapsed());
        assert_eq!(guest.ping(3, 56), 3);
        stream_from(&mut guest, 500_000, 9);
        guest.vm.check().unwrap();
        guest.vm.power_off().unwrap();
        for account in [here.stop_nic(), there.stop_nic()] {
            let total = &account["total"];
            assert!(
                total["adds_up"] == true && total["delivered"].as_u64() > Some(1000),
                "{account}"
            );
        }
    });
}
