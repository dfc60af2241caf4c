//! Control commands: whatever a command says, the answer is OK or an error, and the device goes on.

use arbitrary::{Arbitrary, Unstructured};
use nic_model::{DeviceConfig, spec};
use vm_memory::{Bytes, GuestAddress};

use crate::rig::{Rig, SIZE, buffer, place};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    pairs: u8,
    decline: u64,
    commands: Vec<Command<'a>>,
}

#[derive(Arbitrary, Debug)]
struct Command<'a> {
    class: u8,
    command: u8,
    data: &'a [u8],
    /// Where the command is cut into two descriptors.
    cut: Option<u8>,
    /// Room for the answer.
    answer: u8,
    /// Length of a frame that arrives afterwards.
    frame: u8,
}

/// The bytes, as commands of a driver that keeps the rules of its rings.
pub fn run(bytes: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let pairs = u16::from(input.pairs % 4) + 1;
    let config = DeviceConfig { max_queue_pairs: pairs, vectors: 4, ..DeviceConfig::default() };
    let Some(mut rig) = Rig::new(config) else { return };
    // Rings are written in the split format here.
    let keep = spec::feature::VERSION_1 | spec::feature::CTRL_VQ;
    let features =
        rig.device.device_features() & !input.decline & !spec::feature::RING_PACKED | keep;
    rig.bring_up(features);
    if rig.device.status() & spec::status::DRIVER_OK == 0 {
        return;
    }
    let multi = features & (spec::feature::MQ | spec::feature::RSS) != 0;
    let queue = if multi { 2 * pairs } else { 2 };
    for command in &input.commands {
        give(&mut rig, queue, command);
        rig.check();
        rig.frame(&[command.frame; 60], true);
        rig.check();
        assert!(rig.device.broken().is_none(), "{:?}", rig.device.broken());
    }
}

fn give(rig: &mut Rig, queue: u16, command: &Command<'_>) {
    let mut bytes = vec![command.class % 12, command.command % 8];
    bytes.extend(&command.data[..command.data.len().min(0x1000)]);
    let cut = command.cut.map_or(bytes.len(), |cut| usize::from(cut).clamp(1, bytes.len()));
    let (first, second) = bytes.split_at(cut);
    // Each part in buffers of its own, which lie one behind the other.
    let (at, ack) = (buffer(queue, 0), 0x8_0000);
    rig.write(at, &bytes);
    rig.write(ack, &[0xee; 0x100]);
    let next = spec::ring::DESC_F_NEXT;
    rig.describe(queue, 0, (at, first.len() as u32), next, if second.is_empty() { 2 } else { 1 });
    rig.describe(queue, 1, (at + first.len() as u64, second.len() as u32), next, 2);
    let answer = u32::from(command.answer).max(1);
    rig.describe(queue, 2, (ack, answer), spec::ring::DESC_F_WRITE, 0);
    let used_ring = place(queue).used_ring;
    let element = used_ring + 4 + 8 * u64::from(rig.u16_at(used_ring + 2) % SIZE);
    rig.offer(queue, 0);
    rig.kick(queue);
    let [id, len] = [element, element + 4].map(|at| rig.memory.read_obj(GuestAddress(at)));
    let (id, len) = (id.map_or(u32::MAX, u32::from_le), len.map_or(u32::MAX, u32::from_le));
    assert!(
        id == 0 && (1..=answer).contains(&len),
        "chain {id} is used with {len} of {answer} bytes"
    );
    let mut written = [0; 0x100];
    let read = rig.memory.read_slice(&mut written, GuestAddress(ack));
    assert!(read.is_ok(), "{read:?}");
    // Behind the data if the command has some, and it was negotiated; then what it asks for comes.
    let limits = bytes
        .starts_with(&[spec::control::CLASS_NOTF_COAL, spec::control::NOTF_COAL_VQ_GET])
        && rig.device.driver_features() & spec::feature::VQ_NOTF_COAL != 0;
    let before = if limits { 8.min(answer - 1) } else { 0 };
    assert!(written[before as usize] <= 1, "no answer at {before}: {written:?}");
    assert!(written[len as usize..].iter().all(|byte| *byte == 0xee), "written beyond {len} bytes");
}
