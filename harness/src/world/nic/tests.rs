//! A world whose NIC is at the other end of a wire, against one whose NIC is here.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use driver::DmaRegion;
use vm_memory::{GuestAddress, GuestMemoryMmap, GuestRegionMmap};

use super::Device;
use super::message::{Answer, Call, WireError};
use super::remote::{Link, Remote};
use super::server::serve;
use crate::event::Recorder;
use crate::report::json::ResultFile;
use crate::scenario::Scenario;
use crate::world::embedded::{Embedded, Unwatched};
use crate::world::outcome::{End, Outcome};
use crate::world::setup::{self, SetupError};

/// The other end in this process: every call and every answer travels as bytes.
struct Loop {
    device: nic_model::Device<Arc<GuestMemoryMmap>>,
    /// Doorbells that were rung and not yet heard.
    rung: Vec<u16>,
    /// Calls that are still answered.
    left: Rc<RefCell<u64>>,
}

impl Link for Loop {
    fn call(&mut self, call: &Call) -> Result<Answer, String> {
        let mut left = self.left.borrow_mut();
        *left = left.checked_sub(1).ok_or("the wire is cut")?;
        let heard = Call::from_bytes(&call.to_bytes().unwrap()).unwrap();
        assert_eq!(*call, heard);
        if let Call::Notify(_, queue) = heard {
            assert_eq!(self.rung.pop(), Some(queue), "rung before it is told");
        }
        let answer = serve(&mut self.device, &heard);
        Ok(Answer::from_bytes(&answer.to_bytes().unwrap()).unwrap())
    }

    fn ring(&mut self, virtqueue: u16) -> Result<(), String> {
        self.rung.push(virtqueue);
        Ok(())
    }

    fn await_message(&mut self, _vector: u16) -> Result<(), String> {
        Ok(())
    }
}

fn scenario(name: &str, sets: &[&str]) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(name);
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    Scenario::load(&path, &sets).unwrap().resolved()
}

fn here(scenario: &Scenario) -> Outcome {
    let parts = setup::build(scenario).unwrap();
    Embedded::new(scenario, parts).run(&mut Unwatched).outcome
}

/// With the NIC at the other end, which answers so many calls.
fn there(scenario: &Scenario, calls: u64) -> Result<Outcome, SetupError> {
    let left = Rc::new(RefCell::new(calls));
    let slot = |bytes: u64| {
        let region = GuestRegionMmap::from_range(GuestAddress(0), bytes as usize, None).unwrap();
        let region = Arc::new(region);
        let memory = GuestMemoryMmap::from_arc_regions(vec![Arc::clone(&region)]).unwrap();
        let memory = Arc::new(memory);
        let device = setup::model(scenario, Arc::clone(&memory))?;
        let link = Loop { device, rung: Vec::new(), left };
        let remote = Remote::new(Box::new(link), memory).map_err(SetupError::Slot)?;
        Ok((Device::There(Box::new(remote)), DmaRegion::new(region)))
    };
    let parts = setup::build_around(scenario, || Ok(Recorder::default()), slot)?;
    Ok(Embedded::new(scenario, parts).run(&mut Unwatched).outcome)
}

#[test]
fn at_the_other_end_of_a_wire_everything_is_the_same() {
    let frames = "traffic.frames=3000";
    for (name, sets) in [
        ("default.toml", &[frames][..]),
        ("faults.toml", &["traffic.frames=20000"]),
        ("resets.toml", &[]),
        ("send.toml", &[]),
        ("statistics.toml", &[frames]),
        ("receive-filter.toml", &[frames]),
        ("moderation.toml", &[frames]),
        ("lost-interrupts.toml", &[frames]),
        ("refill.toml", &[frames, "ring.format=packed"]),
    ] {
        let scenario = scenario(name, sets);
        let (here, there) = (here(&scenario), there(&scenario, u64::MAX).unwrap());
        assert_eq!(here.digest, there.digest, "{name}");
        let text = |outcome| ResultFile::new(&scenario, outcome, None).to_text();
        assert_eq!(text(&here), text(&there), "{name}");
        assert!(matches!(there.end, End::Complete), "{name}: {}", there.end);
    }
}

#[test]
fn a_wire_that_is_cut_ends_the_run_with_the_account_up_to_then() {
    let scenario = scenario("default.toml", &["traffic.frames=300"]);
    let whole = there(&scenario, u64::MAX).unwrap().total.offered;
    // In the middle of the bring-up there is no run yet.
    assert!(there(&scenario, 0).is_err());
    assert!(there(&scenario, 10).is_err());
    let cut = there(&scenario, 500).unwrap();
    assert!(matches!(&cut.end, End::Lost(why) if why == "the wire is cut"), "{}", cut.end);
    assert!(cut.total.offered > 0 && cut.total.offered < whole, "{}", cut.total.offered);
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(0_u8.., 0..200)) {
        let _ = (Call::from_bytes(&bytes), Answer::from_bytes(&bytes));
        let call = Call::Receive { now: 1, fcs_ok: true, tag: 7, frame: bytes };
        let mut sent = call.to_bytes().unwrap();
        proptest::prop_assert_eq!(Call::from_bytes(&sent), Ok(call));
        sent.push(0);
        proptest::prop_assert_eq!(Call::from_bytes(&sent), Err(WireError::Surplus(1)));
    }
}
