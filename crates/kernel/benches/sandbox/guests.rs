//! Guests as a cell makes them, without the cell around them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};

use maxwell_kernel::engine::{EngineOptions, Metering, engine};
use maxwell_kernel::guest::{self, GuestEnd, GuestExit, GuestFuture, GuestParts, GuestState};
use maxwell_kernel::imports;
use maxwell_kernel::pause::PauseSlot;
use maxwell_kernel::process::Prepared;
use maxwell_kernel::purse::Purse;
use maxwell_kernel::rent::{RentMeter, RentRates};
use maxwell_kernel::shared::{CellShared, GuestShared, OUTPUT_BYTES_MAX};
use maxwell_kernel::wasi::{RandomSource, WasiConfig, WasiContext};

/// Never ends: counts in its one page of memory. A turn of the loop is seven operators, 40 fuel.
pub const SPIN: &str = r#"(module (memory (export "memory") 1) (func (export "_start")
    (loop (i32.store (i32.const 64) (i32.add (i32.load (i32.const 64)) (i32.const 1)))
          (br 0))))"#;
/// Ends at once.
pub const EMPTY: &str = r#"(module (func (export "_start")))"#;
/// Ends at once, with a page that it never touches.
pub const ONE_PAGE: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;
/// Writes one byte of its page and ends.
pub const ONE_PAGE_WRITTEN: &str = r#"(module (memory (export "memory") 1) (func (export "_start")
    (i32.store8 (i32.const 0) (i32.const 1))))"#;
/// 1 MiB with data in it, as small C programs have; writes one byte and ends.
pub const SIXTEEN_PAGES: &str = r#"(module (memory (export "memory") 16)
    (data (i32.const 1024) "some data of the program")
    (func (export "_start") (i32.store8 (i32.const 70000) (i32.const 1))))"#;

/// Two turns of `SPIN`'s loop: docs/design/kernel.md had ten operators at one fuel each.
pub const SHORT_QUANTUM: u64 = 80;
/// The default quantum.
const QUANTUM: u64 = 800_000;

/// A module on an engine with a pool, linked once.
pub struct Module {
    prepared: Prepared,
    cell: Arc<CellShared>,
}

impl Module {
    /// Compiles `wat` for a cell of `guests_max` guests.
    pub fn new(wat: &str, guests_max: u32) -> Self {
        let guests_max = Some(guests_max);
        let options = EngineOptions { metering: Metering::Fuel, guests_max, cache: None };
        let engine = engine(options).expect("address space for the pool");
        let wasm = wat::parse_str(wat).expect("the module is well-formed");
        let module = wasmtime::Module::new(&engine, wasm).expect("the module compiles");
        let linker = imports::linker(&engine).expect("the imports are well-formed");
        let prepared = linker.instantiate_pre(&module).expect("it imports nothing");
        Self { prepared, cell: Arc::new(CellShared::new(None, 1_000_000)) }
    }

    /// What `Cell::spawn` and `Cell::be_born` make of a message.
    fn start(&self, quantum_fuel: u64) -> Parked {
        let mut purse = Purse::default();
        assert!(purse.fund(1 << 40), "an empty purse takes 2^40 credits");
        let rates = RentRates { per_process: 2_000, per_mib: 400 };
        let shared = Arc::new(GuestShared::new(purse, RentMeter::new(rates, 0), 500, None));
        let wasi = WasiContext::new(WasiConfig {
            args: vec!["bench".to_owned()],
            random: RandomSource::Seeded([0; 32]),
            output_bytes_max: OUTPUT_BYTES_MAX,
            ..WasiConfig::default()
        });
        let pause = PauseSlot::default();
        let state = GuestState::new(GuestParts {
            wasi: wasi.expect("no folders, short arguments"),
            shared: Arc::clone(&shared),
            cell: Arc::clone(&self.cell),
            pause: pause.clone(),
            quantum_fuel,
            memory_bytes_max: 4 << 30,
        });
        Parked { future: guest::start(self.prepared.clone(), state), shared, pause }
    }

    /// A guest in the middle of its loop.
    pub fn park(&self, quantum_fuel: u64) -> Parked {
        let mut guest = self.start(quantum_fuel);
        guest.resume();
        guest
    }

    /// A whole life in one slice.
    pub fn live(&self) -> GuestEnd {
        let mut guest = self.start(QUANTUM);
        let end = guest.poll().expect("it ends in its first quantum");
        assert_eq!(end.exit, GuestExit::Exited(0), "it ends well");
        end
    }
}

/// A guest that waits for its next quantum.
pub struct Parked {
    future: GuestFuture,
    shared: Arc<GuestShared>,
    pause: PauseSlot,
}

impl Parked {
    fn poll(&mut self) -> Option<GuestEnd> {
        self.shared.generation.fetch_add(1, Relaxed);
        match self.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(end) => Some(end),
            Poll::Pending => None,
        }
    }

    /// One quantum, as in `Cell::run_quanta`: resume, yield, the reason of the pause, the fuel.
    pub fn resume(&mut self) -> u64 {
        assert!(self.poll().is_none(), "it loops for ever");
        assert!(self.pause.take().is_none(), "it makes no calls");
        self.shared.fuel.load(Relaxed)
    }

    /// Ends it as `Cell::end` does.
    pub fn kill(mut self) {
        self.shared.kill.store(true, Relaxed);
        let end = self.poll().expect("the hook ends it");
        assert_eq!(end.exit, GuestExit::Killed, "nothing else ended it");
    }
}
