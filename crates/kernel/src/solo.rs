//! One guest alone, without a market: what calibration, overhead and replay are measured with.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use wasmtime::{Engine, Module};

use crate::clock::thread_cpu_ns;
use crate::engine::{EngineOptions, Metering, engine};
use crate::erasure;
use crate::error::{KernelError, Result};
use crate::guest::{self, GuestEnd, GuestExit, GuestParts, GuestState};
use crate::imports;
use crate::pause::{Pause, PauseSlot};
use crate::purse::Purse;
use crate::rent::{RentMeter, RentRates};
use crate::shared::{CellShared, GuestShared, OUTPUT_BYTES_MAX};
use crate::wasi::{RandomSource, WasiConfig, WasiContext};

/// How a guest is measured.
#[derive(Clone, Debug)]
pub struct SoloOptions {
    /// What it sees of the world. Sleeps pass at once.
    pub wasi: WasiConfig,
    /// Fuel between two yields; 0 for unmetered code.
    pub quantum_fuel: u64,
    /// Stop at the first yield after this much fuel.
    pub fuel_max: u64,
    /// Trap when exactly this much fuel is used up.
    pub store_fuel: Option<u64>,
    /// Stop at this host call.
    pub calls_max: u64,
    /// Stop at the first yield after this much time.
    pub wall_ns_max: u64,
    /// Limit of its memory, bytes.
    pub memory_bytes_max: u64,
    /// Hash its memory at the end.
    pub digest_memory: bool,
}

impl Default for SoloOptions {
    fn default() -> Self {
        Self {
            wasi: WasiConfig { random: RandomSource::Seeded([0; 32]), ..WasiConfig::default() },
            quantum_fuel: 800_000,
            fuel_max: u64::MAX,
            store_fuel: None,
            calls_max: u64::MAX,
            wall_ns_max: u64::MAX,
            memory_bytes_max: 4 << 30,
            digest_memory: false,
        }
    }
}

/// What a guest used.
#[derive(Clone, Debug, Default)]
pub struct Measurement {
    /// Fuel; 0 for unmetered code.
    pub fuel: u64,
    /// Time from the first instruction to the end, ns.
    pub wall_ns: u64,
    /// CPU time of it, ns.
    pub cpu_ns: u64,
    /// Host calls.
    pub calls: u64,
    /// Bytes moved by them.
    pub bytes: u64,
    /// Most resident bytes.
    pub memory_bytes_max: u64,
    /// How it ended: `exited N`, `stopped`, or the trap.
    pub exit: String,
    /// Whether it ended by itself.
    pub completed: bool,
    /// Standard output, the first part.
    pub stdout: Vec<u8>,
    /// Standard error, the first part.
    pub stderr: Vec<u8>,
    /// Bytes that its allocator freed, if it counts.
    pub freed_bytes: u64,
    /// Hash of its memory.
    pub memory_digest: Option<u64>,
}

/// Compiles `wasm` for a measurement, its allocator `counted` as admission does or as it is.
///
/// # Errors
/// [`KernelError::InvalidModule`] and [`KernelError::Engine`].
pub fn compile(wasm: &[u8], metering: Metering, counted: bool) -> Result<(Engine, Module)> {
    let rewritten = if counted { erasure::rewrite(wasm)? } else { None };
    let wasm = rewritten.as_ref().map_or(wasm, |rewritten| &rewritten.wasm);
    let engine = engine(EngineOptions { metering, guests_max: None, cache: None })?;
    let module =
        Module::new(&engine, wasm).map_err(|e| KernelError::InvalidModule(e.to_string()))?;
    Ok((engine, module))
}

/// Runs a compiled module alone on this thread.
///
/// # Errors
/// [`KernelError::Engine`] when it cannot be linked, [`KernelError::Setup`] when its world cannot
/// be made.
pub fn measure(engine: &Engine, module: &Module, options: &SoloOptions) -> Result<Measurement> {
    let linker = imports::linker(engine)?;
    let prepared = linker.instantiate_pre(module).map_err(KernelError::engine)?;
    let free = RentRates { per_process: 0, per_mib: 0 };
    let mut purse = Purse::default();
    assert!(purse.fund(1 << 60), "an empty purse takes 2^60 credits");
    let shared = Arc::new(GuestShared::new(purse, RentMeter::new(free, 0), 0, None));
    let wasi = WasiConfig { output_bytes_max: OUTPUT_BYTES_MAX, ..options.wasi.clone() };
    let wasi = WasiContext::new(wasi).map_err(|error| KernelError::Setup(error.to_string()))?;
    let pause = PauseSlot::default();
    let mut state = GuestState::new(GuestParts {
        wasi,
        shared: Arc::clone(&shared),
        cell: Arc::new(CellShared::new(Some(20_000), 1_000_000)),
        pause: pause.clone(),
        quantum_fuel: options.quantum_fuel,
        memory_bytes_max: options.memory_bytes_max,
    });
    if let Some(fuel) = options.store_fuel {
        state.set_store_fuel(fuel);
    }
    state.calls_max = options.calls_max;
    state.digest_memory = options.digest_memory;
    let mut future = guest::start(prepared, state);
    let (cpu, wall) = (thread_cpu_ns(), Instant::now());
    let end = drive(&mut future, &shared, &pause, options, wall);
    let mut measured = Measurement {
        wall_ns: u64::try_from(wall.elapsed().as_nanos()).unwrap_or(u64::MAX),
        cpu_ns: thread_cpu_ns() - cpu,
        ..Measurement::default()
    };
    drop(future);
    describe(&mut measured, end, &shared);
    Ok(measured)
}

fn drive(
    future: &mut guest::GuestFuture,
    shared: &GuestShared,
    pause: &PauseSlot,
    options: &SoloOptions,
    start: Instant,
) -> GuestEnd {
    let mut context = Context::from_waker(Waker::noop());
    loop {
        shared.generation.fetch_add(1, Relaxed);
        if let Poll::Ready(end) = future.as_mut().poll(&mut context) {
            return end;
        }
        if let Some(Pause::Until { guest_ns }) = pause.take() {
            shared.slept_ns.fetch_max(guest_ns, Relaxed);
        }
        let over_time = start.elapsed().as_nanos() > u128::from(options.wall_ns_max);
        if shared.fuel.load(Relaxed) >= options.fuel_max || over_time {
            shared.kill.store(true, Relaxed);
        }
        let mut books = shared.books();
        books.reports.clear();
        books.transfers.clear();
    }
}

fn describe(measured: &mut Measurement, end: GuestEnd, shared: &GuestShared) {
    measured.fuel = shared.fuel.load(Relaxed);
    measured.calls = shared.calls.load(Relaxed);
    measured.bytes = shared.bytes.load(Relaxed);
    measured.freed_bytes = shared.freed.load(Relaxed);
    measured.memory_digest = end.memory_digest;
    measured.completed = matches!(end.exit, GuestExit::Exited(_));
    measured.exit = match end.exit {
        GuestExit::Exited(code) => format!("exited {code}"),
        GuestExit::Killed => "stopped".to_owned(),
        GuestExit::Trapped(why) | GuestExit::OutOfMemory(why) | GuestExit::CannotPayMemory(why) => {
            why
        }
    };
    let mut books = shared.books();
    measured.memory_bytes_max = books.rent.resident_bytes_max();
    measured.stdout = std::mem::take(&mut books.output[0].kept);
    measured.stderr = std::mem::take(&mut books.output[1].kept);
}
