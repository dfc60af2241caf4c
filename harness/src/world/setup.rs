//! From a scenario to a laboratory: builds device, driver, adapter, CPUs and readers, and brings the
//! driver up.
//!
//! Guest memory is one region from address 0. Vector 0 is the configuration's, vector 1 + i that of
//! RX queue i. Bring-up happens before time 0 of the run, at time 0: its events are part of the
//! stream, its cost is not.

use super::book::Book;
use super::control::Control;
use super::cpu::Cpu;
use super::dump::Stdio;
use super::engine::{self, engine_kind, kernel_buffer, shares_buffers};
use super::nic::Device;
use super::port::Port;
use super::reader::Reader;
use super::tap::DriverEvents;
use crate::account::{HandleLimit, Limits};
use crate::event::Recorder;
use crate::filter::{self, LoadError};
use crate::output::file::OutputError;
use crate::scenario::{
    self, BufferPolicy, Exhausted, FilterEngine, Handle, Masking, Moderation, Rearm, Recover,
    Refill, RingFormat, RxFilter, Scenario, TxHeader,
};
use crate::source::{self, Source, SourceError};
use driver::{
    Buffers, DmaRegion, Driver, DriverConfig, DriverError, HashSettings, Progress, ReceiveFilter,
    RssSettings,
};
use nic_model::spec::feature;
use nic_model::{Coalesce, DeviceConfig, RingKind};
use npf_core::filter::{Filter, Program};
use npf_core::{Adapter, ControlError, HandleOptions, ViewError, ZeroCopyReader};
use std::cell::RefCell;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use vm_memory::{GuestAddress, GuestMemory, GuestMemoryMmap, GuestRegionMmap};

/// Everything that a world is made of.
pub struct Parts {
    /// The NIC.
    pub device: Device,
    /// Its driver, running.
    pub driver: Driver,
    /// The NPF core with every handle open.
    pub adapter: Adapter,
    /// The book, with the bring-up in it.
    pub book: Book,
    /// Virtual CPUs.
    pub cpus: Vec<Cpu>,
    /// One reader per handle.
    pub readers: Vec<Reader>,
    /// Where frames come from.
    pub source: Box<dyn Source>,
    /// Which CPU polls which RX queue.
    pub queue_cpu: Vec<u16>,
    /// Names of the handles.
    pub handle_names: Vec<String>,
    /// What is changed on each handle while the run goes on.
    pub controls: Vec<Vec<Control>>,
}

/// Why a scenario cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The device refuses its configuration.
    #[error("the NIC cannot be configured so: {0}")]
    Device(#[from] nic_model::ConfigError),
    /// There is no NIC to be had, or it cannot be reached.
    #[error("the NIC: {0}")]
    Slot(String),
    /// The driver does not come up.
    #[error("the driver does not come up: {0}")]
    Driver(#[from] DriverError),
    /// Guest memory cannot be mapped.
    #[error("cannot map {bytes} bytes of guest memory: {cause}; use fewer or smaller rings")]
    Memory {
        /// Bytes asked for.
        bytes: u64,
        /// What the system said.
        cause: String,
    },
    /// A handle is refused.
    #[error("handle {index} is refused: {cause}")]
    Handle {
        /// Which `[[handle]]`, from 0.
        index: usize,
        /// Why.
        cause: ControlError,
    },
    /// A handle's buffers cannot be shared.
    #[error("handle {index} shares no buffers: {cause}")]
    Shared {
        /// Which `[[handle]]`, from 0.
        index: usize,
        /// Why.
        cause: ViewError,
    },
    /// A filter does not compile, cannot be read, or is not sound.
    #[error("filter of handle {index}: {cause}")]
    Filter {
        /// Which `[[handle]]`, from 0.
        index: usize,
        /// Why.
        cause: LoadError,
    },
    /// The source cannot be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An output cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Builds everything that `scenario` names, without outputs. `scenario` must be resolved.
///
/// # Errors
/// The first part that refuses.
pub fn build(scenario: &Scenario) -> Result<Parts, SetupError> {
    build_recorded(scenario, || Ok(Recorder::default()))
}

/// As [`build`], with the event stream going where `open` says. It is called when all that can be
/// refused was accepted, and before the first event.
///
/// # Errors
/// The first part that refuses, or what `open` says.
pub fn build_recorded(
    scenario: &Scenario,
    open: impl FnOnce() -> Result<Recorder, OutputError>,
) -> Result<Parts, SetupError> {
    build_around(scenario, open, |bytes| {
        let region = guest_memory(bytes)?;
        let memory = GuestMemoryMmap::from_arc_regions(vec![Arc::clone(&region)])
            .map_err(|cause| memory_error(bytes, &cause))?;
        let device = model(scenario, Arc::new(memory))?;
        Ok((Device::Here(Box::new(device)), DmaRegion::new(region)))
    })
}

/// The scenario's device of the NIC model.
///
/// # Errors
/// It refuses its configuration.
pub fn model<M>(scenario: &Scenario, memory: M) -> Result<nic_model::Device<M>, SetupError>
where
    M: Deref<Target: GuestMemory + Sized>,
{
    let mut device = nic_model::Device::new(device_config(scenario), memory)?;
    for (vector, queue) in (1..).zip(0..scenario.channels.combined) {
        device.set_vector_cpu(vector, scenario.rx_cpu(queue));
    }
    Ok(device)
}

/// As [`build_recorded`], around the NIC that `slot` gives, and memory that it reaches, of so many bytes at
/// least.
///
/// # Errors
/// The first part that refuses, or what `open` or `slot` say.
pub fn build_around(
    scenario: &Scenario,
    open: impl FnOnce() -> Result<Recorder, OutputError>,
    slot: impl FnOnce(u64) -> Result<(Device, DmaRegion), SetupError>,
) -> Result<Parts, SetupError> {
    let queues = scenario.channels.combined;
    let config = driver_config(scenario);
    let bytes = config.memory_needed().map_err(DriverError::from)?;
    let (mut device, memory) = slot(bytes)?;
    let queue_cpu: Vec<u16> = (0..queues).map(|queue| scenario.rx_cpu(queue)).collect();
    let mut adapter = Adapter::new();
    let mut readers = Vec::new();
    let mut handle_names = Vec::new();
    let mut controls = Vec::new();
    for (index, handle) in scenario.handle.iter().enumerate() {
        let options = handle_options(scenario, index, handle)?;
        let opened = adapter.open(options).map_err(|cause| SetupError::Handle { index, cause })?;
        let mut reader = reader(scenario, handle);
        if shares_buffers(handle) {
            let shared = ZeroCopyReader::new(&mut adapter, opened);
            reader.shared = Some(shared.map_err(|cause| SetupError::Shared { index, cause })?);
        }
        readers.push(reader);
        handle_names.push(handle.name.clone());
        controls.push(handle_controls(scenario, index, handle)?);
    }
    let source = source::open(scenario)?;
    let mut book = Book::new(queues, limits(scenario), open()?);
    let writer = |handle: &Handle| handle.reader.write.then(|| Stdio::new(handle.snaplen));
    book.writers = scenario.handle.iter().map(writer).collect();
    book.faulty = !scenario.fault.is_empty();
    scenario.fault.iter().for_each(|fault| book.faults.plan(fault.kind));
    book.faults.patience_ps = scenario.driver.control_timeout.0;
    let book = RefCell::new(book);
    let driver = bring_up(config, memory, &mut device, &book)?;
    Ok(Parts {
        device,
        driver,
        adapter,
        book: book.into_inner(),
        cpus: (0..scenario.cpu_count()).map(Cpu::new).collect(),
        readers,
        source,
        queue_cpu,
        handle_names,
        controls,
    })
}

/// All filter expressions of a scenario, compiled.
///
/// # Errors
/// One does not compile.
pub fn compiled(scenario: &Scenario) -> Result<filter::Compiled, SetupError> {
    let mut compiled = filter::Compiled::default();
    for (index, handle) in scenario.handle.iter().enumerate() {
        let own = handle.filter.as_deref().map(|filter| (filter, handle.snaplen));
        let changed = handle.control.iter().filter_map(|control| {
            let filter = control.filter.as_deref().filter(|filter| !filter.is_empty())?;
            Some((filter, control.snaplen.unwrap_or(handle.snaplen)))
        });
        for (filter, snaplen) in own.into_iter().chain(changed) {
            let done = compiled.compile(filter, snaplen);
            done.map_err(|cause| SetupError::Filter { index, cause })?;
        }
    }
    Ok(compiled)
}

/// The filter of a handle with what runs it.
fn filter_of(
    scenario: &Scenario,
    index: usize,
    filter: &str,
    snaplen: u32,
) -> Result<Filter, SetupError> {
    let handle = &scenario.handle[index];
    // A file is relative to the scenario's folder; one from the command line is absolute by now.
    let filter = match filter.strip_prefix('@') {
        Some(file) => format!("@{}", scenario.path(Path::new(file)).display()),
        None => filter.to_owned(),
    };
    let program = scenario
        .compiled
        .load(&filter, snaplen, engine::dialect(handle))
        .map_err(|cause| SetupError::Filter { index, cause })?;
    Ok(run_by(handle.filter_engine, program))
}

fn bring_up(
    config: DriverConfig,
    memory: DmaRegion,
    device: &mut Device,
    book: &RefCell<Book>,
) -> Result<Driver, SetupError> {
    let mut driver = Driver::new(config, memory)?;
    let mut port = Port { now: 0, device, book };
    let mut events = DriverEvents { book };
    // The device answers a control command within the kick, so a driver that still waits after one
    // more step waits for ever: past its time limit it says so itself.
    let mut progress = driver.start(0, &mut port, &mut events)?;
    for _ in 0..2 {
        if let Progress::Waiting { deadline } = progress {
            progress = driver.step(deadline.saturating_add(1), &mut port, &mut events)?;
        }
    }
    let oracle = &mut book.borrow_mut().oracle;
    oracle.ready(true);
    // The first filling of the rings is part of the bring-up, not of a poll that would tell.
    for queue in 0..driver.config().queue_pairs {
        oracle.posted(queue, driver.posted(queue));
    }
    Ok(driver)
}

fn guest_memory(bytes: u64) -> Result<Arc<GuestRegionMmap>, SetupError> {
    let size = usize::try_from(bytes).map_err(|cause| memory_error(bytes, &cause))?;
    let region = GuestRegionMmap::from_range(GuestAddress(0), size, None)
        .map_err(|cause| memory_error(bytes, &cause))?;
    Ok(Arc::new(region))
}

fn memory_error(bytes: u64, cause: &dyn std::fmt::Display) -> SetupError {
    SetupError::Memory { bytes, cause: cause.to_string() }
}

/// The device of a scenario.
pub(crate) fn device_config(scenario: &Scenario) -> DeviceConfig {
    let mut features = scenario.net_features();
    if scenario.nic.event_idx {
        features |= feature::EVENT_IDX;
    }
    features |= ring_features(scenario);
    if scenario.resets_queues() {
        features |= feature::RING_RESET;
    }
    DeviceConfig {
        mac: scenario.nic.mac.0,
        mtu: scenario.wire.mtu as u16,
        max_queue_pairs: scenario.channels.combined,
        queue_size_max: scenario.ring.rx.max(scenario.ring.tx),
        features,
        ring: match scenario.nic.ring {
            scenario::RingKind::Reference => RingKind::Reference,
            scenario::RingKind::Batched => RingKind::Batched,
        },
        polled: false,
        fifo_bytes: scenario.nic.fifo.0,
        min_frame: scenario.min_frame().0 as u16,
        dma_frame_ps: scenario.dma.frame.0,
        dma_byte_ps: scenario.dma.byte.0,
        vectors: scenario.vectors(),
        tx_coalesce: Coalesce::default(),
        rx_coalesce: scenario.coalesce.start(&scenario.nic),
    }
}

/// What the scenario says about the virtqueues, but for EVENT_IDX. The bits are those of virtio, so they are
/// the same on both sides.
fn ring_features(scenario: &Scenario) -> u64 {
    let chosen = [
        (scenario.ring.format == RingFormat::Packed, feature::RING_PACKED),
        (scenario.nic.in_order, feature::IN_ORDER),
        (scenario.nic.indirect_desc, feature::INDIRECT_DESC),
    ];
    chosen.iter().filter(|(on, _)| *on).map(|(_, bit)| bit).sum()
}

/// The driver of a scenario.
pub(crate) fn driver_config(scenario: &Scenario) -> DriverConfig {
    let rxfh = &scenario.rxfh;
    let rss = rxfh.enabled.then(|| RssSettings {
        hash_types: rxfh.hash_type_bits(),
        key: rxfh.key.0.to_vec(),
        table: rxfh.table(scenario.channels.combined),
        unclassified: rxfh.unclassified_queue,
    });
    DriverConfig {
        queue_pairs: scenario.channels.combined,
        rx_ring: scenario.ring.rx,
        tx_ring: scenario.ring.tx,
        buffer_size: scenario.driver.buffer.0 as u32,
        buffers: buffers(&scenario.driver),
        refill: refill(scenario.driver.refill),
        refill_threshold: scenario.driver.refill_threshold,
        rearm: match scenario.driver.rearm {
            Rearm::LookAgain => driver::Rearm::LookAgain,
            Rearm::Blind => driver::Rearm::Blind,
        },
        moderation: moderation(&scenario.driver),
        watchdog_ps: scenario.driver.watchdog.map_or(0, |period| period.0),
        recover: match scenario.driver.recover {
            Recover::None => driver::Recover::None,
            Recover::Queue => driver::Recover::Queue,
            Recover::Device => driver::Recover::Device,
        },
        recover_limit: scenario.driver.recover_limit,
        mask: match scenario.driver.masking {
            Masking::Ring => driver::Masking::Ring,
            Masking::Msix => driver::Masking::Msix,
        },
        tx_header: match scenario.driver.tx_header {
            TxHeader::WithFrame => driver::TxHeader::WithFrame,
            TxHeader::Apart => driver::TxHeader::Apart,
        },
        features: driver_features(scenario),
        required: if scenario.nic.mrg_rxbuf { feature::MRG_RXBUF } else { 0 },
        rss,
        hash_report: scenario
            .nic
            .hash_report
            .then(|| HashSettings { hash_types: rxfh.hash_type_bits(), key: rxfh.key.0.to_vec() }),
        filter: receive_filter(&scenario.rx_filter),
        coalesce: scenario.coalesce.settings(&scenario.nic),
        control_timeout_ps: scenario.driver.control_timeout.0,
    }
}

fn buffers(driver: &scenario::Driver) -> Buffers {
    let spares = driver.spare_buffers;
    let exhausted = match driver.spares_exhausted {
        Exhausted::Copy => driver::Exhausted::Copy,
        Exhausted::Drop => driver::Exhausted::Drop,
    };
    match driver.buffer_policy {
        BufferPolicy::Copy => Buffers::Copy,
        BufferPolicy::PageFlip => Buffers::PageFlip { spares, exhausted },
        BufferPolicy::HeaderSplit => {
            let header = driver.header_buffer.0 as u16;
            Buffers::HeaderSplit { header, spares, exhausted }
        }
    }
}

/// What the driver takes if it is offered.
fn driver_features(scenario: &Scenario) -> u64 {
    let checksums = if scenario.nic.guest_csum { feature::GUEST_CSUM } else { 0 };
    driver::spec::DEFAULT_FEATURES | ring_features(scenario) | checksums
}

fn receive_filter(filter: &RxFilter) -> ReceiveFilter {
    ReceiveFilter {
        promiscuous: filter.promiscuous,
        all_multicast: filter.allmulticast,
        all_unicast: filter.allunicast,
        no_multicast: filter.nomulticast,
        no_unicast: filter.nounicast,
        no_broadcast: filter.nobroadcast,
        unicast: filter.unicast.iter().map(|mac| mac.0).collect(),
        multicast: filter.multicast.iter().map(|group| group.0).collect(),
        vlans: filter.vlan.clone(),
    }
}

fn refill(refill: Refill) -> driver::Refill {
    match refill {
        Refill::EachPoll => driver::Refill::EachPoll,
        Refill::Threshold => driver::Refill::Threshold,
        Refill::WhenEmpty => driver::Refill::WhenEmpty,
        Refill::WithoutKick => driver::Refill::WithoutKick,
    }
}

fn moderation(driver: &scenario::Driver) -> driver::Moderation {
    match driver.moderation {
        Moderation::Interrupts => driver::Moderation::Interrupts,
        Moderation::Adaptive => driver::Moderation::Adaptive,
        Moderation::AdaptiveDevice => driver::Moderation::AdaptiveDevice,
        Moderation::BusyPoll => driver::Moderation::BusyPoll { period_ps: driver.busy_poll.0 },
        Moderation::DeferHardIrqs => driver::Moderation::Deferred {
            hard_irqs: driver.defer_hard_irqs,
            flush_timeout_ps: driver.gro_flush_timeout.0,
        },
    }
}

/// What a handle of the scenario is opened with.
pub(crate) fn handle_options(
    scenario: &Scenario,
    index: usize,
    handle: &Handle,
) -> Result<HandleOptions, SetupError> {
    let filter = match &handle.filter {
        Some(filter) => Some(filter_of(scenario, index, filter, handle.snaplen)?),
        None => None,
    };
    Ok(HandleOptions {
        engine: engine_kind(handle),
        kernel_buffer: kernel_buffer(handle),
        min_to_copy: handle.min_to_copy.0,
        immediate: handle.immediate,
        snaplen: handle.snaplen,
        filter,
        object_limit: handle.object_limit,
        cpus: scenario.cpu_count(),
        mode: engine::mode(handle.mode, handle),
        direction: engine::direction(handle.direction),
        skip_own: handle.skip_own,
        markers: handle.markers,
        ..HandleOptions::default()
    })
}

/// A program with what runs it. One that cannot be compiled is interpreted, with a notice.
fn run_by(engine: FilterEngine, program: Program) -> Filter {
    match engine {
        FilterEngine::Interpreter => Filter::interpreted(program),
        FilterEngine::Jit => {
            let filter = Filter::compiled(program);
            if let Some(notice) = filter.notice() {
                eprintln!("rxlab: the filter is interpreted: {notice}");
            }
            filter
        }
    }
}

fn handle_controls(
    scenario: &Scenario,
    index: usize,
    handle: &Handle,
) -> Result<Vec<Control>, SetupError> {
    let prepare = |asked: &scenario::Control| {
        let filter = match asked.filter.as_deref() {
            None => None,
            Some("") => Some(None),
            Some(filter) => {
                let snaplen = asked.snaplen.unwrap_or(handle.snaplen);
                Some(Some(filter_of(scenario, index, filter, snaplen)?))
            }
        };
        let mode = asked.mode.map(|mode| engine::mode(mode, handle));
        Ok(Control { asked: asked.clone(), filter, mode })
    };
    handle.control.iter().map(prepare).collect()
}

/// The program that reads a handle.
pub(crate) fn reader(scenario: &Scenario, handle: &Handle) -> Reader {
    let reader = &handle.reader;
    // A design that reads exactly one length leaves no choice.
    let exact = engine_kind(handle).read_length(handle.kernel_buffer.0);
    let user_buffer = exact.unwrap_or(handle.user_buffer.0);
    let mut made = Reader::new(
        reader.cpu.unwrap_or(scenario.cpu_count() - 1),
        user_buffer as usize,
        reader.frame.unwrap_or(scenario.costs.reader_frame).0,
        handle.read_timeout.0,
        reader.period.map_or(0, |period| period.0),
        reader.stall.clone(),
        reader.stop_at.map(|at| at.0),
    );
    made.exact = exact.is_some();
    made
}

fn limits(scenario: &Scenario) -> Limits {
    let limit = |handle: &Handle| HandleLimit {
        engine: engine_kind(handle),
        capacity: kernel_buffer(handle),
        cpus: scenario.cpu_count(),
        object_limit: handle.object_limit,
        dump: engine::dump_limits(handle),
        markers: handle.markers,
    };
    Limits {
        fifo_bytes: scenario.nic.fifo.0,
        min_frame: scenario.min_frame().0,
        mtu: scenario.wire.mtu.into(),
        buffer_bytes: scenario.receive_chain(),
        spare_buffers: scenario.driver.spare_buffers.into(),
        header_bytes: scenario.virtio_header(),
        rx_ring: scenario.ring.rx.into(),
        mergeable: scenario.nic.mrg_rxbuf,
        packed: scenario.ring.format == RingFormat::Packed,
        mac: scenario.nic.mac.0,
        rx_filter: scenario.rx_filter.clone(),
        hash_report: scenario
            .nic
            .hash_report
            .then(|| (scenario.rxfh.hash_type_bits(), scenario.rxfh.key.0.to_vec())),
        handles: scenario.handle.iter().map(limit).collect(),
    }
}
