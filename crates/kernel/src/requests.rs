//! Outbound requests: a guest asks, the operator's broker (the parent) answers, or does not.
//!
//! A guest has no socket. It hands a request over, pays the most that it may cost in advance, and
//! waits as in a sleep; the slice loop wakes it when the answer is there. One request of a process
//! is open at a time, because a guest has one thread.

use serde::Deserialize;
use wasmtime::{Caller, Linker, Memory};

use crate::guest::GuestState;
use crate::imports::{EACCES, EAGAIN, EDQUOT, EFAULT, EINTR, EMSGSIZE, ETIMEDOUT, memory};
use crate::inference::Inference;
use crate::pause::Pause;
use crate::wasi::WasiView;

/// Time beyond the broker's own limit after which a guest waits no longer, ns.
const GRACE_NS: u64 = 5_000_000_000;

/// What the operator grants a process, and at which price.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub struct RequestTerms {
    /// Credits of each request.
    pub credits_per_request: u64,
    /// Credits of each KiB begun, request and answer together.
    pub credits_per_kib: u64,
    /// Longest request, bytes.
    pub request_bytes_max: u64,
    /// Longest answer, bytes.
    pub answer_bytes_max: u64,
    /// Longest wait, ns.
    pub timeout_ns: u64,
}

impl RequestTerms {
    /// The most that a request of `bytes` may cost, credits.
    #[must_use]
    pub fn credits_max(&self, bytes: u64) -> u64 {
        let kib = bytes.saturating_add(self.answer_bytes_max).div_ceil(1024);
        self.credits_per_request.saturating_add(kib.saturating_mul(self.credits_per_kib))
    }
}

/// A request between its start and the moment its guest reads the answer.
#[derive(Debug)]
pub struct Request {
    /// Which one of this process.
    pub id: u64,
    /// Credits taken for it.
    pub credits: u64,
    /// Whether its guest still waits for it.
    pub awaited: bool,
    /// Where it stands.
    pub state: RequestState,
}

/// What a guest may ask of the host and wait for.
#[derive(Debug)]
pub enum Asked {
    /// An outbound request.
    Outbound(Vec<u8>),
    /// An order, an inference, or a claim to be paid.
    Inference(Inference),
}

/// Where a request stands.
#[derive(Debug)]
pub enum RequestState {
    /// Not yet handed to the broker.
    Asked(Asked),
    /// With the broker.
    Sent,
    /// Answered: the answer, or minus an errno.
    Answered(Result<Vec<u8>, i32>),
}

/// Defines `request`.
///
/// # Errors
/// The linker's; only a bug leads there.
pub(crate) fn define(linker: &mut Linker<GuestState>, module: &str) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        module,
        "request",
        |caller: Caller<'_, GuestState>, (ptr, len, answer, room): (i32, i32, i32, i32)| {
            Box::new(request(caller, ptr, len, answer, room))
        },
    )?;
    Ok(())
}

/// Asks and waits; returns the length of the answer, of which at most `room` bytes are written.
async fn request(
    mut caller: Caller<'_, GuestState>,
    ptr: i32,
    len: i32,
    answer: i32,
    room: i32,
) -> i32 {
    match ask(&mut caller, ptr, len, answer, room) {
        Ok(until_ns) => wait(caller, until_ns, answer, room).await,
        Err(errno) => -errno,
    }
}

/// Waits for the answer to what was asked; returns its length, of which at most `room` bytes are
/// written, or minus an errno.
pub(crate) async fn wait(
    mut caller: Caller<'_, GuestState>,
    until_ns: u64,
    answer: i32,
    room: i32,
) -> i32 {
    GuestState::before_wait(&mut caller);
    let result = loop {
        if let Some(result) = take_answer(&caller) {
            break result;
        }
        if caller.data_mut().monotonic_ns() >= until_ns {
            break Err(forget(&caller));
        }
        let pause = caller.data_mut().pause(Pause::Until { guest_ns: until_ns });
        pause.await;
    };
    match result {
        Ok(bytes) => give(&mut caller, &bytes, answer, room),
        Err(errno) => -errno,
    }
}

/// Checks, takes the money and queues the request; returns how long to wait.
fn ask(
    caller: &mut Caller<'_, GuestState>,
    ptr: i32,
    len: i32,
    answer: i32,
    room: i32,
) -> Result<u64, i32> {
    let bytes = u64::from(len.cast_unsigned());
    let Some(terms) = caller.data().request_terms else {
        caller.data_mut().charge(0);
        return Err(EACCES);
    };
    if bytes > terms.request_bytes_max {
        caller.data_mut().charge(0);
        return Err(EMSGSIZE);
    }
    caller.data_mut().charge(bytes);
    let memory = memory(caller).ok_or(EFAULT)?;
    let data = slice(&memory, caller, ptr, len).ok_or(EFAULT)?.to_vec();
    slice(&memory, caller, answer, room).ok_or(EFAULT)?;
    let credits = terms.credits_max(bytes);
    open(caller, credits, terms.timeout_ns, Asked::Outbound(data))
}

/// Takes the price in advance and queues what is asked; returns how long to wait.
///
/// # Errors
/// EAGAIN while another one is open, EDQUOT when the purse cannot cover `credits` and its runway.
pub(crate) fn open(
    caller: &mut Caller<'_, GuestState>,
    credits: u64,
    timeout_ns: u64,
    asked: Asked,
) -> Result<u64, i32> {
    let state = caller.data_mut();
    let until_ns = state.monotonic_ns().saturating_add(timeout_ns).saturating_add(GRACE_NS);
    let mut books = state.shared.books();
    // An answer that came when nobody waited any more makes room.
    let is_open = |state: &RequestState| !matches!(state, RequestState::Answered(_));
    if books.request.as_ref().is_some_and(|request| is_open(&request.state)) {
        return Err(EAGAIN);
    }
    let runway = books.rent.runway();
    if !books.purse.send(credits, runway) {
        return Err(EDQUOT);
    }
    books.requests += 1;
    let id = books.requests;
    books.request = Some(Request { id, credits, awaited: true, state: RequestState::Asked(asked) });
    Ok(until_ns)
}

fn take_answer(caller: &Caller<'_, GuestState>) -> Option<Result<Vec<u8>, i32>> {
    let mut books = caller.data().shared.books();
    match books.request.take() {
        Some(Request { state: RequestState::Answered(result), .. }) => Some(result),
        other => {
            books.request = other;
            None
        }
    }
}

/// Waits no longer. A request that the broker has stays open there, and its answer finds nobody;
/// one that it has not seen yet is still handed over with its price, and the broker looks whether
/// its process lives.
fn forget(caller: &Caller<'_, GuestState>) -> i32 {
    let mut books = caller.data().shared.books();
    match books.request.take() {
        Some(request @ Request { state: RequestState::Asked(_), .. }) => {
            books.request = Some(Request { awaited: false, ..request });
            EINTR
        }
        _ => ETIMEDOUT,
    }
}

fn give(caller: &mut Caller<'_, GuestState>, bytes: &[u8], answer: i32, room: i32) -> i32 {
    let written = bytes.len().min(room.cast_unsigned() as usize);
    caller.data_mut().charge(written as u64);
    let Some(memory) = memory(caller) else { return -EFAULT };
    let start = answer.cast_unsigned() as usize;
    match memory.data_mut(&mut *caller).get_mut(start..).and_then(|tail| tail.get_mut(..written)) {
        Some(target) => target.copy_from_slice(&bytes[..written]),
        None => return -EFAULT,
    }
    i32::try_from(bytes.len()).unwrap_or(i32::MAX)
}

pub(crate) fn slice<'a>(
    memory: &Memory,
    caller: &'a Caller<'_, GuestState>,
    ptr: i32,
    len: i32,
) -> Option<&'a [u8]> {
    let tail = memory.data(caller).get(ptr.cast_unsigned() as usize..)?;
    tail.get(..len.cast_unsigned() as usize)
}

#[cfg(test)]
mod tests {
    use super::RequestTerms;

    #[test]
    fn the_price_in_advance_covers_the_longest_answer() {
        let terms = RequestTerms {
            credits_per_request: 1_000,
            credits_per_kib: 10,
            request_bytes_max: 4_096,
            answer_bytes_max: 65_536,
            timeout_ns: 1,
        };
        assert_eq!(terms.credits_max(0), 1_000 + 64 * 10);
        assert_eq!(terms.credits_max(1), 1_000 + 65 * 10);
        assert_eq!(terms.credits_max(u64::MAX), 1_000 + (u64::MAX / 1024 + 1) * 10);
    }
}
