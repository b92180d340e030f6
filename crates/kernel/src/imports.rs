//! What a guest may import: WASI preview 1 and Maxwell's own module.
//!
//! Results of the `maxwell` module are ≥ 0, or minus an errno of WASI. Every call costs
//! [`crate::prices::HOST_CALL_FUEL`] plus [`crate::prices::HOST_BYTE_FUEL`] a byte.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;

use wasmtime::{Caller, Engine, Extern, Linker, Memory, Module, Store};

use crate::error::{KernelError, Result};
use crate::guest::GuestState;
use crate::inference;
use crate::pause::Pause;
use crate::questions::calls;
use crate::requests;
use crate::shared::{REPORT_BYTES_MAX, REPORT_BYTES_QUEUED_MAX, REPORTS_MAX, TRANSFERS_MAX};
use crate::wasi::{self, WasiView};

/// Import modules that exist.
pub const MODULES: [&str; 2] = ["wasi_snapshot_preview1", MAXWELL];
const MAXWELL: &str = "maxwell";

pub(crate) const EACCES: i32 = 2;
pub(crate) const EAGAIN: i32 = 6;
pub(crate) const EDQUOT: i32 = 19;
pub(crate) const EFAULT: i32 = 21;
pub(crate) const EINTR: i32 = 27;
pub(crate) const EINVAL: i32 = 28;
pub(crate) const EMSGSIZE: i32 = 35;
pub(crate) const ENOENT: i32 = 44;
pub(crate) const ETIMEDOUT: i32 = 73;

/// Bytes of a page that `discard` can give back.
const DISCARD_PAGE: usize = crate::pages::PAGE_BYTES;

/// Bytes that one `discard` may clear, as any host call may move.
const DISCARD_BYTES_MAX: usize = 1 << 20;

/// A linker with everything a guest may import.
///
/// # Errors
/// [`KernelError::Engine`]; only a bug in the definitions leads there.
pub fn linker(engine: &Engine) -> Result<Linker<GuestState>> {
    let mut linker = Linker::new(engine);
    wasi::add_to_linker(&mut linker).map_err(KernelError::engine)?;
    define_market(&mut linker).map_err(KernelError::engine)?;
    define_information(&mut linker).map_err(KernelError::engine)?;
    requests::define(&mut linker, MAXWELL).map_err(KernelError::engine)?;
    inference::define(&mut linker, MAXWELL).map_err(KernelError::engine)?;
    Ok(linker)
}

fn define_market(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap(MAXWELL, "balance", |mut caller: Caller<'_, GuestState>| -> i64 {
        caller.data_mut().charge(0);
        let free = caller.data().shared.books().purse.free;
        i64::try_from(free).unwrap_or(i64::MAX)
    })?;
    linker.func_wrap(MAXWELL, "price", |mut caller: Caller<'_, GuestState>| -> i64 {
        caller.data_mut().charge(0);
        i64::try_from(caller.data().cell.price_ppm()).unwrap_or(i64::MAX)
    })?;
    linker.func_wrap(MAXWELL, "bid", |mut caller: Caller<'_, GuestState>, ppm: i64| -> i32 {
        caller.data_mut().charge(0);
        let Ok(ppm) = u64::try_from(ppm) else { return -EINVAL };
        // A bid below the floor waits.
        GuestState::before_wait(&mut caller);
        let mut books = caller.data().shared.books();
        books.bid_ppm = (ppm > 0).then_some(ppm);
        books.bid_changed = true;
        0
    })?;
    linker.func_wrap(
        MAXWELL,
        "urgency",
        |mut caller: Caller<'_, GuestState>, millis: i32| -> i32 {
            caller.data_mut().charge(0);
            let Ok(millis @ 0..=1000) = u32::try_from(millis) else { return -EINVAL };
            let mut books = caller.data().shared.books();
            books.urgency_millis = millis;
            books.bid_changed = true;
            0
        },
    )?;
    linker.func_wrap(MAXWELL, "transfer", transfer)?;
    linker.func_wrap_async(
        MAXWELL,
        "sleep",
        |mut caller: Caller<'_, GuestState>, (ns,): (i64,)| {
            caller.data_mut().charge(0);
            GuestState::before_wait(&mut caller);
            let pause = u64::try_from(ns).ok().map(|ns| {
                let state = caller.data_mut();
                let guest_ns = state.monotonic_ns().saturating_add(ns);
                state.pause(Pause::Until { guest_ns })
            });
            Box::new(async move {
                match pause {
                    Some(pause) => {
                        pause.await;
                        0
                    }
                    None => -EINVAL,
                }
            })
        },
    )?;
    Ok(())
}

fn define_information(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.func_wrap(MAXWELL, "report", report)?;
    linker.func_wrap(MAXWELL, "discard", discard)?;
    linker.func_wrap(MAXWELL, "believe", calls::believe)?;
    linker.func_wrap(MAXWELL, "observe", calls::observe)?;
    Ok(())
}

fn transfer(mut caller: Caller<'_, GuestState>, process: i32, credits: i64) -> i32 {
    caller.data_mut().charge(0);
    let (Ok(process), Ok(credits)) = (u32::try_from(process), u64::try_from(credits)) else {
        return -EINVAL;
    };
    if credits == 0 {
        return 0;
    }
    let mut books = caller.data().shared.books();
    if books.transfers.len() >= TRANSFERS_MAX {
        return -EAGAIN;
    }
    let runway = books.rent.runway();
    if !books.purse.send(credits, runway) {
        return -EDQUOT;
    }
    books.transfers.push_back((process, credits));
    0
}

fn report(mut caller: Caller<'_, GuestState>, ptr: i32, len: i32) -> i32 {
    let length = u64::from(len.cast_unsigned());
    if length > REPORT_BYTES_MAX as u64 {
        caller.data_mut().charge(0);
        return -EMSGSIZE;
    }
    caller.data_mut().charge(length);
    let Some(memory) = memory(&mut caller) else { return -EFAULT };
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let start = ptr.cast_unsigned() as usize;
    let Some(line) = bytes.get(start..).and_then(|tail| tail.get(..len.cast_unsigned() as usize))
    else {
        return -EFAULT;
    };
    if !state.shared.rewards_open.load(Relaxed) {
        return -EDQUOT;
    }
    let mut books = state.shared.books();
    let queued = books.report_bytes + line.len();
    if books.reports.len() >= REPORTS_MAX || queued > REPORT_BYTES_QUEUED_MAX {
        return -EAGAIN;
    }
    // What a line claims may turn out wrong: its stake is gone before anybody judges it.
    let (stake, runway) = (books.questions.report_stake, books.rent.runway());
    if !books.purse.stake_away(stake, runway) {
        return -EDQUOT;
    }
    books.report_bytes = queued;
    books.reports.push_back((line.to_vec(), stake));
    0
}

fn discard(mut caller: Caller<'_, GuestState>, ptr: i32, len: i32) -> i32 {
    let start = (ptr.cast_unsigned() as usize).next_multiple_of(DISCARD_PAGE);
    let end = ptr.cast_unsigned() as usize + len.cast_unsigned() as usize;
    let end = end - end % DISCARD_PAGE;
    let Some(memory) = memory(&mut caller) else {
        caller.data_mut().charge(0);
        return -EFAULT;
    };
    if end > memory.data_size(&caller) {
        caller.data_mut().charge(0);
        return -EFAULT;
    }
    let length = end.saturating_sub(start);
    if length > DISCARD_BYTES_MAX {
        caller.data_mut().charge(0);
        return -EINVAL;
    }
    caller.data_mut().charge(length as u64);
    if length > 0 {
        let (bytes, state) = memory.data_and_store_mut(&mut caller);
        state.discard(bytes, (start, end));
    }
    0
}

/// The guest's memory, if it exports one.
pub(crate) fn memory(caller: &mut Caller<'_, GuestState>) -> Option<Memory> {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Some(memory),
        _ => None,
    }
}

/// Refuses an import by name before anything is compiled.
///
/// # Errors
/// [`KernelError::UnknownImport`], with the nearest name that exists.
pub fn check_names(engine: &Engine, linker: &Linker<GuestState>, names: &[String]) -> Result<()> {
    let known = known_names(engine, linker)?;
    for full in names {
        if known.contains(full) {
            continue;
        }
        let (module, name) = full.split_once('.').unwrap_or((MAXWELL, full));
        let why = "this hypervisor does not define it".to_owned();
        let (module, name) = (module.to_owned(), name.to_owned());
        return Err(KernelError::UnknownImport { module, name, why });
    }
    Ok(())
}

fn known_names(engine: &Engine, linker: &Linker<GuestState>) -> Result<BTreeSet<String>> {
    let state = GuestState::idle()?;
    let mut store = Store::new(engine, state);
    Ok(linker.iter(&mut store).map(|(module, name, _)| format!("{module}.{name}")).collect())
}

/// Refuses an import whose type is not the one defined.
///
/// # Errors
/// [`KernelError::UnknownImport`].
pub fn check_types(linker: &Linker<GuestState>, module: &Module) -> Result<()> {
    match linker.instantiate_pre(module) {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = format!("{error:#}");
            let import = module.imports().find(|import| text.contains(import.name()));
            let (module, name) = import.map_or(("", ""), |import| (import.module(), import.name()));
            let (module, name) = (module.to_owned(), name.to_owned());
            Err(KernelError::UnknownImport { module, name, why: text })
        }
    }
}
