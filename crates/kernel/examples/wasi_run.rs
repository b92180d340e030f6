//! Runs one WASI preview 1 module to its end on Maxwell's shim, without a market around it.
//!
//! ```text
//! wasi_run [--dir HOST::GUEST[::ro]]… [--env NAME=VALUE]… [--stdin FILE] [--deterministic SEED]
//!          [--statistics] [--cache] MODULE.wasm [ARGUMENT]…
//! ```
//!
//! The exit code is the guest's, 134 after a trap. It exists to try guests on the shim and to show
//! the least that a store must offer it.

use std::future::Future;
use std::io::Write;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use maxwell_kernel::pause::{Pause, PauseFuture, PauseSlot};
use maxwell_kernel::wasi::{
    Exit, OutputBuffer, Preopen, RandomSource, Stream, WasiConfig, WasiContext, WasiView,
    add_to_linker,
};
use wasmtime::{Cache, Config, Engine, Linker, Module, Store};

/// Fuel between two looks at the output buffers: about 10 ms.
const QUANTUM_FUEL: u64 = 10_000_000;
/// As good as without end.
const FUEL: u64 = 1 << 62;

struct Process {
    wasi: WasiContext,
    slot: PauseSlot,
    start: Instant,
    /// In deterministic mode the guest's clock is what it slept, and a step for each call.
    virtual_ns: Option<Arc<AtomicU64>>,
    calls: u64,
    moved_bytes: u64,
}

impl WasiView for Process {
    fn wasi(&mut self) -> &mut WasiContext {
        &mut self.wasi
    }

    fn charge(&mut self, bytes: u64) {
        self.calls += 1;
        self.moved_bytes += bytes;
        if let Some(ns) = &self.virtual_ns {
            ns.fetch_add(1_000, Ordering::Relaxed);
        }
    }

    fn monotonic_ns(&mut self) -> u64 {
        match &self.virtual_ns {
            Some(ns) => ns.load(Ordering::Relaxed),
            None => saturating_ns(self.start.elapsed()),
        }
    }

    fn realtime_ns(&mut self) -> u64 {
        match &self.virtual_ns {
            Some(ns) => 1_700_000_000_000_000_000 + ns.load(Ordering::Relaxed),
            None => saturating_ns(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
        }
    }

    fn pause(&mut self, pause: Pause) -> PauseFuture {
        self.slot.pause(pause)
    }
}

fn saturating_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

struct Command {
    config: WasiConfig,
    module: PathBuf,
    statistics: bool,
    cache: bool,
}

fn main() -> ExitCode {
    let result = parse(std::env::args().skip(1)).and_then(|command| run(&command));
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:?}");
            ExitCode::from(134)
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> wasmtime::Result<Command> {
    let mut config = WasiConfig { disk_bytes_max: 1 << 30, ..WasiConfig::default() };
    let (mut statistics, mut cache) = (false, false);
    loop {
        let word = words.next().ok_or_else(|| wasmtime::Error::msg("no module is named"))?;
        let mut value =
            || words.next().ok_or_else(|| wasmtime::Error::msg("an option has no value"));
        match word.as_str() {
            "--dir" => config.preopens.push(preopen(&value()?)),
            "--env" => {
                let value = value()?;
                let (name, value) = value.split_once('=').unwrap_or((&value, ""));
                config.env.push((name.to_owned(), value.to_owned()));
            }
            "--stdin" => config.stdin = std::fs::read(value()?)?,
            "--deterministic" => {
                config.deterministic = true;
                config.random = RandomSource::Seeded([value()?.parse()?; 32]);
            }
            "--statistics" => statistics = true,
            "--cache" => cache = true,
            _ => {
                let module = PathBuf::from(&word);
                let name = module.file_name().unwrap_or_default().to_string_lossy().into_owned();
                config.args = std::iter::once(name).chain(words).collect();
                return Ok(Command { config, module, statistics, cache });
            }
        }
    }
}

fn preopen(text: &str) -> Preopen {
    let mut parts = text.split("::");
    let host = parts.next().unwrap_or_default();
    let guest = parts.next().unwrap_or(host);
    let read_only = parts.next() == Some("ro");
    Preopen { guest_path: guest.to_owned(), host_path: PathBuf::from(host), read_only }
}

fn run(command: &Command) -> wasmtime::Result<u8> {
    let mut config = Config::new();
    config.consume_fuel(true);
    config.wasm_exceptions(true);
    if command.cache {
        config.cache(Some(Cache::from_file(None)?));
    }
    let engine = Engine::new(&config)?;
    let module = Module::from_file(&engine, &command.module)?;
    let mut wasi = WasiContext::new(command.config.clone())?;
    let stdout = wasi.output(Stream::Stdout).clone();
    let stderr = wasi.output(Stream::Stderr).clone();
    let virtual_ns = command.config.deterministic.then(Arc::default);
    let start = Instant::now();
    let slot = PauseSlot::default();
    let process = Process {
        wasi,
        slot: slot.clone(),
        start,
        virtual_ns: virtual_ns.clone(),
        calls: 0,
        moved_bytes: 0,
    };
    let mut store = Store::new(&engine, process);
    store.set_fuel(FUEL)?;
    store.fuel_async_yield_interval(Some(QUANTUM_FUEL))?;
    let mut linker = Linker::new(&engine);
    add_to_linker(&mut linker)?;
    linker.define_unknown_imports_as_traps(&module)?;
    let cell = Cell { slot, start, virtual_ns, stdout, stderr };
    let result = cell.drive(call(&mut store, &linker, &module));
    if command.statistics {
        report(&store)?;
    }
    match result? {
        Ok(()) => Ok(0),
        Err(error) => match error.downcast_ref::<Exit>() {
            Some(Exit(code)) => Ok(u8::try_from(*code).unwrap_or(255)),
            None => Err(error),
        },
    }
}

async fn call(
    store: &mut Store<Process>,
    linker: &Linker<Process>,
    module: &Module,
) -> wasmtime::Result<()> {
    let instance = linker.instantiate_async(&mut *store, module).await?;
    let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
    start.call_async(store, ()).await
}

/// What stays outside the store, which a suspended guest holds.
struct Cell {
    slot: PauseSlot,
    start: Instant,
    virtual_ns: Option<Arc<AtomicU64>>,
    stdout: OutputBuffer,
    stderr: OutputBuffer,
}

impl Cell {
    /// Polls the guest as a slice loop would: after each pause, when its reason is over.
    fn drive<R>(&self, guest: impl Future<Output = R>) -> std::io::Result<R> {
        let mut guest = pin!(guest);
        loop {
            let poll = guest.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            std::io::stdout().write_all(&self.stdout.take())?;
            std::io::stderr().write_all(&self.stderr.take())?;
            if let Poll::Ready(result) = poll {
                return Ok(result);
            }
            if let Some(Pause::Until { guest_ns }) = self.slot.take() {
                self.wait(guest_ns);
            }
        }
    }

    fn wait(&self, guest_ns: u64) {
        match &self.virtual_ns {
            Some(ns) => ns.store(guest_ns, Ordering::Relaxed),
            None => {
                let left = Duration::from_nanos(guest_ns).saturating_sub(self.start.elapsed());
                std::thread::sleep(left);
            }
        }
    }
}

fn report(store: &Store<Process>) -> wasmtime::Result<()> {
    let process = store.data();
    let unsupported: Vec<_> = process.wasi.unsupported().collect();
    writeln!(
        std::io::stderr(),
        "wall_ms={} fuel={} calls={} moved_bytes={} disk_bytes={} unsupported={unsupported:?}",
        process.start.elapsed().as_millis(),
        FUEL - store.get_fuel()?,
        process.calls,
        process.moved_bytes,
        process.wasi.disk_written_bytes(),
    )?;
    Ok(())
}
