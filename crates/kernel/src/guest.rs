//! A guest: the future that owns its store, and the hook that meters it.
//!
//! The store holds 2^62 fuel and yields every quantum. The engine calls the hook around every host
//! call and every yield; there the fuel used since the last time is booked, host calls are turned
//! into fuel, and a process that must die is ended before it runs another instruction.

use std::future::Future;
use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use wasmtime::{
    AsContext, AsContextMut, CallHook, Caller, Extern, Global, Instance, InstancePre, Memory,
    ResourceLimiter, Store, StoreContextMut, Trap,
};

use crate::clock::realtime_ns;
use crate::discard::Discarded;
use crate::engine::TABLE_ELEMENTS_MAX;
use crate::erasure::{FREED_EXPORT, IMAGE_END_EXPORT};
use crate::error::{KernelError, Result};
use crate::inference::InferenceTerms;
use crate::pages;
use crate::pause::{Pause, PauseFuture, PauseSlot};
use crate::prices::{HOST_BYTE_FUEL, HOST_CALL_FUEL};
use crate::purse::{BOND_PER_KIB, Purse};
use crate::rent::{RentMeter, RentRates};
use crate::requests::RequestTerms;
use crate::shared::{CellShared, GuestShared};
use crate::wasi::{Exit, Stream, WasiConfig, WasiContext, WasiView};

/// Fuel a store starts with; at 100 units a nanosecond it lasts 1,400 years.
pub const STORE_FUEL: u64 = 1 << 62;
/// Bytes of a table element on the host.
const TABLE_ELEMENT_BYTES: u64 = 8;
const PAGE: u64 = pages::PAGE_BYTES as u64;
/// Guests' wall clock in virtual time begins here: 2026-01-01T00:00:00Z.
const VIRTUAL_EPOCH_NS: u64 = 1_767_225_600_000_000_000;

/// How a guest ended.
#[derive(Debug)]
pub struct GuestEnd {
    /// Why.
    pub exit: GuestExit,
    /// Pages of 4 KiB that were not zero at the end.
    pub pages_erased: u64,
    /// Unsupported host calls it tried.
    pub unsupported: Vec<String>,
    /// Hash of its memory, if it was asked for.
    pub memory_digest: Option<u64>,
}

/// Why a guest ended.
#[derive(Debug, PartialEq, Eq)]
pub enum GuestExit {
    /// It returned or called `proc_exit`.
    Exited(u32),
    /// The slice loop ended it.
    Killed,
    /// It trapped.
    Trapped(String),
    /// It ran into its memory limit.
    OutOfMemory(String),
    /// It could not pay for its first memory.
    CannotPayMemory(String),
}

/// The running guest.
pub type GuestFuture = Pin<Box<dyn Future<Output = GuestEnd> + Send>>;

/// The error that ends a guest from the hook.
#[derive(Debug, thiserror::Error)]
#[error("ended by the cell")]
struct Killed;

/// Data of a guest's store.
pub struct GuestState {
    pub(crate) wasi: WasiContext,
    pub(crate) shared: Arc<GuestShared>,
    pub(crate) cell: Arc<CellShared>,
    pub(crate) pause: PauseSlot,
    quantum_fuel: u64,
    memory_bytes_max: u64,
    /// Fuel left at the last booking.
    fuel_left: u64,
    /// Fuel left when this quantum began.
    quantum_start: u64,
    /// The yield interval in force.
    interval: u64,
    generation_seen: u64,
    host_fuel: u64,
    last_growth: u64,
    /// Linear memory and the heap of exceptions, bytes.
    memory_bytes: u64,
    memory_refused: Option<Refusal>,
    lost_seen: [u64; 2],
    memory: Option<Memory>,
    /// Where its allocator counts what it frees, if it does.
    freed_counter: Option<Global>,
    /// Bytes from the start of memory that may come back as something else than zeros.
    image_end: u64,
    discarded: Discarded,
    /// Fuel the store begins with.
    pub(crate) store_fuel: u64,
    /// Host calls after which the guest is ended (measurements).
    pub(crate) calls_max: u64,
    /// Whether the end of the guest carries a hash of its memory.
    pub(crate) digest_memory: bool,
    /// Whether and at which price it may ask for outbound requests.
    pub(crate) request_terms: Option<RequestTerms>,
    /// Which models it may have run, and what is taken in advance.
    pub(crate) inference_terms: Option<Arc<InferenceTerms>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Limit,
    Money,
}

/// What a guest is made of.
pub struct GuestParts {
    /// Its side of WASI.
    pub wasi: WasiContext,
    /// What it shares with the slice loop.
    pub shared: Arc<GuestShared>,
    /// What it sees of the cell.
    pub cell: Arc<CellShared>,
    /// How it waits.
    pub pause: PauseSlot,
    /// Fuel between two yields.
    pub quantum_fuel: u64,
    /// Limit of its memory, bytes.
    pub memory_bytes_max: u64,
}

impl GuestState {
    /// The data of a fresh store.
    #[must_use]
    pub fn new(parts: GuestParts) -> Self {
        Self {
            wasi: parts.wasi,
            shared: parts.shared,
            cell: parts.cell,
            pause: parts.pause,
            quantum_fuel: parts.quantum_fuel,
            memory_bytes_max: parts.memory_bytes_max,
            fuel_left: STORE_FUEL,
            quantum_start: STORE_FUEL,
            interval: parts.quantum_fuel,
            generation_seen: 0,
            host_fuel: 0,
            last_growth: 0,
            memory_bytes: 0,
            memory_refused: None,
            lost_seen: [0; 2],
            memory: None,
            freed_counter: None,
            image_end: u64::MAX,
            discarded: Discarded::default(),
            store_fuel: STORE_FUEL,
            calls_max: u64::MAX,
            digest_memory: false,
            request_terms: None,
            inference_terms: None,
        }
    }

    /// The data of a store that runs nothing: what a linker is read through.
    ///
    /// # Errors
    /// [`KernelError::Setup`]; only a bug leads there.
    pub fn idle() -> Result<Self> {
        let wasi = WasiContext::new(WasiConfig::default())
            .map_err(|error| KernelError::Setup(error.to_string()))?;
        let rates = RentRates { per_process: 0, per_mib: 0 };
        let shared = GuestShared::new(Purse::default(), RentMeter::new(rates, 0), 0, None);
        Ok(Self::new(GuestParts {
            wasi,
            shared: Arc::new(shared),
            cell: Arc::new(CellShared::new(None, 0)),
            pause: PauseSlot::default(),
            quantum_fuel: STORE_FUEL,
            memory_bytes_max: 0,
        }))
    }

    /// Gives the store less fuel than a lifetime's: it traps when the fuel is used up.
    pub(crate) fn set_store_fuel(&mut self, fuel: u64) {
        self.store_fuel = fuel;
        self.fuel_left = fuel;
        self.quantum_start = fuel;
    }

    /// Zeroes whole pages of `memory`, which must be this guest's, and stops their rent.
    pub(crate) fn discard(&mut self, memory: &mut [u8], pages: (usize, usize)) {
        let now_ns = self.cell.now_ns();
        let cleared = self.discarded.clear(memory, pages, self.image_end, now_ns);
        self.shared.discarded.fetch_add(cleared.held * PAGE, Relaxed);
        if cleared.given_back > 0 {
            self.shared.books().resize(cleared.given_back * PAGE, 0, now_ns);
        }
    }

    /// Books the fuel used since the last booking.
    fn book(&mut self, fuel_left: u64) {
        let used = self.fuel_left.saturating_sub(fuel_left);
        self.fuel_left = fuel_left;
        self.shared.fuel.fetch_add(used, Relaxed);
    }

    /// Moves what the guest printed to where the slice loop can take it.
    fn flush_output(&mut self) {
        for (index, stream) in [Stream::Stdout, Stream::Stderr].into_iter().enumerate() {
            let buffer = self.wasi.output(stream);
            let lost = buffer.lost_bytes() - self.lost_seen[index];
            if buffer.pending_bytes() == 0 && lost == 0 {
                continue;
            }
            self.lost_seen[index] += lost;
            let data = buffer.take();
            self.shared.books().output[index].push(&data, lost);
        }
    }
}

impl GuestState {
    /// Counts and prices bytes that a call moves which was itself counted when it began.
    pub(crate) fn charge_bytes(&mut self, bytes: u64) {
        self.shared.bytes.fetch_add(bytes, Relaxed);
        self.host_fuel += bytes.saturating_mul(HOST_BYTE_FUEL);
    }
}

impl WasiView for GuestState {
    fn wasi(&mut self) -> &mut WasiContext {
        &mut self.wasi
    }

    fn charge(&mut self, bytes: u64) {
        if self.shared.calls.fetch_add(1, Relaxed) + 1 >= self.calls_max {
            self.shared.kill.store(true, Relaxed);
        }
        self.shared.bytes.fetch_add(bytes, Relaxed);
        self.host_fuel += HOST_CALL_FUEL.saturating_add(bytes.saturating_mul(HOST_BYTE_FUEL));
    }

    fn host_time(&mut self, ns: u64) {
        self.shared.host_ns.fetch_add(ns, Relaxed);
    }

    fn monotonic_ns(&mut self) -> u64 {
        // The clock of a guest that is being ended stands at the end of time: nothing sleeps on.
        if self.shared.kill.load(Relaxed) {
            return u64::MAX;
        }
        self.cell.guest_ns(&self.shared)
    }

    fn realtime_ns(&mut self) -> u64 {
        if self.cell.is_virtual() {
            VIRTUAL_EPOCH_NS.saturating_add(self.cell.guest_ns(&self.shared))
        } else {
            realtime_ns()
        }
    }

    fn pause(&mut self, pause: Pause) -> PauseFuture {
        self.pause.pause(pause)
    }

    /// Nobody looks at discarded pages while their guest waits: what it touched since counts now.
    fn before_wait(caller: &mut Caller<'_, Self>) {
        let pages = caller.data().discarded.pages();
        if pages > 0 {
            // A look is not free, so that short waits are no way to have many for nothing.
            caller.data_mut().host_fuel += pages.saturating_mul(8 * HOST_BYTE_FUEL);
            look_at_discarded(&mut caller.as_context_mut());
        }
    }
}

impl ResourceLimiter for GuestState {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.last_growth = 0;
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let bytes = (desired - current) as u64;
        let total = self.memory_bytes.saturating_add(bytes);
        if total > self.memory_bytes_max {
            self.memory_refused = Some(Refusal::Limit);
            return Ok(false);
        }
        if !self.shared.books().grow(bytes, true, self.cell.now_ns()) {
            self.memory_refused = Some(Refusal::Money);
            return Ok(false);
        }
        self.last_growth = bytes;
        self.memory_bytes = total;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory_bytes = self.memory_bytes.saturating_sub(self.last_growth);
        self.shared.books().shrink(std::mem::take(&mut self.last_growth), true);
        self.memory_refused = Some(Refusal::Limit);
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.last_growth = 0;
        if desired > TABLE_ELEMENTS_MAX || maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let bytes = ((desired - current) as u64).saturating_mul(TABLE_ELEMENT_BYTES);
        let grown = self.shared.books().grow(bytes, false, self.cell.now_ns());
        self.last_growth = if grown { bytes } else { 0 };
        Ok(grown)
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.shared.books().shrink(std::mem::take(&mut self.last_growth), false);
        Ok(())
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        crate::engine::TABLES_PER_MODULE_MAX as usize
    }

    fn memories(&self) -> usize {
        crate::engine::MEMORIES_PER_MODULE_MAX as usize
    }
}

#[allow(clippy::needless_pass_by_value)]
fn hook(mut context: StoreContextMut<'_, GuestState>, call: CallHook) -> wasmtime::Result<()> {
    if context.data().quantum_fuel == 0 {
        return unmetered_hook(context.data_mut(), call);
    }
    let fuel_left = context.get_fuel()?;
    if call.entering_host() {
        note_freed(&mut context);
        context.data_mut().book(fuel_left);
        return Ok(());
    }
    let state = context.data_mut();
    if state.shared.kill.load(Relaxed) {
        return Err(Killed.into());
    }
    let generation = state.shared.generation.load(Relaxed);
    let host_fuel = std::mem::take(&mut state.host_fuel);
    if host_fuel > 0 {
        state.flush_output();
    }
    let new_quantum = generation != state.generation_seen;
    if !new_quantum && host_fuel == 0 {
        return Ok(());
    }
    let fuel_left = fuel_left.saturating_sub(host_fuel);
    state.book(fuel_left);
    if new_quantum && state.discarded.is_due(state.cell.now_ns()) {
        look_at_discarded(&mut context);
    }
    let state = context.data_mut();
    if new_quantum {
        state.generation_seen = generation;
        state.quantum_start = fuel_left;
    }
    // What this quantum may still use: host calls shorten it, so that a flood of them yields too.
    let used = state.quantum_start - fuel_left;
    let interval = state.quantum_fuel.saturating_sub(used).max(1);
    let changed = interval != state.interval || host_fuel > 0 || new_quantum;
    state.interval = interval;
    if changed {
        context.set_fuel(fuel_left)?;
        context.fuel_async_yield_interval(Some(interval))?;
    }
    Ok(())
}

/// Reads the counter of freed bytes.
fn note_freed(context: &mut StoreContextMut<'_, GuestState>) {
    if let Some(counter) = context.data().freed_counter {
        let freed = counter.get(&mut *context).i64().unwrap_or(0);
        context.data().shared.freed.store(freed.cast_unsigned(), Relaxed);
    }
}

/// Pages that were given back and hold something again are resident from now on.
fn look_at_discarded(context: &mut StoreContextMut<'_, GuestState>) {
    let Some(memory) = context.data().memory else { return };
    let (bytes, state) = memory.data_and_store_mut(&mut *context);
    let now_ns = state.cell.now_ns();
    let touched = state.discarded.look(bytes, !state.cell.is_virtual(), now_ns);
    if touched > 0 {
        state.shared.books().resize(0, touched * PAGE, now_ns);
    }
}

/// Unmetered guests (measurements only) end and print like others; nothing is counted.
fn unmetered_hook(state: &mut GuestState, call: CallHook) -> wasmtime::Result<()> {
    if call.entering_host() {
        return Ok(());
    }
    if std::mem::take(&mut state.host_fuel) > 0 {
        state.flush_output();
    }
    if state.shared.kill.load(Relaxed) { Err(Killed.into()) } else { Ok(()) }
}

/// Makes the future of a guest; nothing runs before it is first polled.
#[must_use]
pub fn start(pre: InstancePre<GuestState>, state: GuestState) -> GuestFuture {
    Box::pin(run(pre, state))
}

async fn run(pre: InstancePre<GuestState>, state: GuestState) -> GuestEnd {
    let quantum_fuel = state.quantum_fuel;
    let mut store = Store::new(pre.module().engine(), state);
    store.limiter(|state| state);
    store.call_hook(hook);
    let fuel = store.data().store_fuel;
    let exit = match prepare(&mut store, quantum_fuel, fuel) {
        Ok(()) => match call(&mut store, &pre).await {
            Ok(()) => GuestExit::Exited(0),
            Err(error) => classify(&error, store.data()),
        },
        Err(error) => GuestExit::Trapped(error.to_string()),
    };
    note_freed(&mut store.as_context_mut());
    let fuel_left = store.get_fuel().ok();
    let state = store.data_mut();
    let host_fuel = std::mem::take(&mut state.host_fuel);
    if let Some(fuel_left) = fuel_left {
        state.book(fuel_left.saturating_sub(host_fuel));
    }
    state.flush_output();
    let unsupported = state.wasi.unsupported().map(str::to_owned).collect();
    let memory_digest = store.data().digest_memory.then(|| memory_digest(&store));
    GuestEnd { exit, pages_erased: pages_erased(&store), unsupported, memory_digest }
}

fn prepare(store: &mut Store<GuestState>, quantum_fuel: u64, fuel: u64) -> Result<()> {
    if quantum_fuel == 0 {
        return Ok(());
    }
    store.set_fuel(fuel).map_err(KernelError::engine)?;
    store.fuel_async_yield_interval(Some(quantum_fuel)).map_err(KernelError::engine)
}

async fn call(
    store: &mut Store<GuestState>,
    pre: &InstancePre<GuestState>,
) -> wasmtime::Result<()> {
    let instance = pre.instantiate_async(&mut *store).await?;
    let memory = instance.exports(&mut *store).find_map(|export| match export.into_extern() {
        Extern::Memory(memory) => Some(memory),
        _ => None,
    });
    store.data_mut().memory = memory;
    find_counters(store, &instance);
    let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
    start.call_async(store, ()).await
}

/// Finds what admission added to the module.
fn find_counters(store: &mut Store<GuestState>, instance: &Instance) {
    let counter = instance.get_global(&mut *store, FREED_EXPORT);
    let image_end = instance.get_global(&mut *store, IMAGE_END_EXPORT);
    let image_end = image_end.and_then(|global| global.get(&mut *store).i64());
    let state = store.data_mut();
    state.freed_counter = counter;
    state.image_end = image_end.map_or(u64::MAX, i64::cast_unsigned);
}

fn classify(error: &wasmtime::Error, state: &GuestState) -> GuestExit {
    if let Some(Exit(code)) = error.downcast_ref::<Exit>() {
        return GuestExit::Exited(*code);
    }
    if error.is::<Killed>() {
        return GuestExit::Killed;
    }
    let text =
        error.downcast_ref::<Trap>().map_or_else(|| format!("{error:#}"), ToString::to_string);
    // A program whose allocator was refused aborts: `unreachable` in every libc known to us.
    let gave_up = matches!(error.downcast_ref::<Trap>(), Some(Trap::UnreachableCodeReached) | None);
    match state.memory_refused {
        Some(Refusal::Limit) if gave_up => GuestExit::OutOfMemory(text),
        Some(Refusal::Money) if gave_up => GuestExit::CannotPayMemory(text),
        _ => GuestExit::Trapped(text),
    }
}

/// A hash of the exported memory that is equal for equal contents in one build.
fn memory_digest(store: &Store<GuestState>) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    if let Some(memory) = store.data().memory {
        memory.data(store.as_context()).hash(&mut hasher);
    }
    hasher.finish()
}

/// Pages that held something. A memory that cannot be reached (not exported, or its start function
/// trapped) counts whole: its bond was locked for exactly that.
fn pages_erased(store: &Store<GuestState>) -> u64 {
    let Some(memory) = store.data().memory else {
        let bonded = store.data().shared.books().purse.bond / BOND_PER_KIB;
        return bonded.div_ceil(pages::PAGE_BYTES as u64 / 1024);
    };
    // What the machine has backed so far is no function of a deterministic run's inputs.
    let ask_machine = !store.data().cell.is_virtual();
    let bytes = memory.data(store.as_context());
    // The heap of exceptions cannot be read: it counts whole, as its bond did.
    let heap_bytes = store.data().memory_bytes.saturating_sub(bytes.len() as u64);
    pages::nonzero(bytes, ask_machine) + heap_bytes.div_ceil(PAGE)
}
