//! The handles of a scenario in real time, and the threads that serve them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::Scope;

use npf_core::SharedHandle;

use super::reader::{self, Served};
use crate::real_time::Clock;
use crate::scenario::{Engine, Mode, Scenario};
use crate::world::setup::{self, SetupError, handle_options};

/// Opens every handle of `scenario`, which must be resolved.
///
/// # Errors
/// One is refused, or its filter.
pub fn open(scenario: &Scenario) -> Result<Vec<Arc<Served>>, SetupError> {
    let mut handles = Vec::new();
    for (index, handle) in scenario.handle.iter().enumerate() {
        let options = handle_options(scenario, index, handle)?;
        let shared = SharedHandle::open(index as u32, options)
            .map_err(|cause| SetupError::Handle { index, cause })?;
        handles.push(Arc::new(Served::new(shared, handle.name.clone())));
    }
    Ok(handles)
}

/// Starts a thread for the reader of each handle, and one more where its design or its mode has one. They end,
/// with what is left read, when `ends` is set and each handle has been woken.
pub fn serve<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    scenario: &Scenario,
    handles: &'env [Arc<Served>],
    clock: Clock,
    ends: &'env AtomicBool,
) {
    for (served, handle) in handles.iter().zip(&scenario.handle) {
        let mut reader = setup::reader(scenario, handle);
        // Work that the scenario does not ask for takes the time that it takes.
        reader.frame_ps = handle.reader.frame.map_or(0, |frame| frame.0);
        scope.spawn(move || reader::read(served, reader, clock, ends));
        if handle.engine == Engine::Worker || handle.mode == Mode::Dump {
            scope.spawn(move || reader::work(served, clock, ends));
        }
    }
}
