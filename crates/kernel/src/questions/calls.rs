//! `believe` and `observe` as guests call them.

use wasmtime::Caller;

use super::Refusal;
use crate::guest::GuestState;
use crate::imports::memory;
use crate::wasi::WasiView;

/// The errno of WASI that tells a guest why.
fn errno(refusal: Refusal) -> i32 {
    match refusal {
        Refusal::Busy => 6,
        Refusal::Sum => 18,
        Refusal::Closed | Refusal::Stake => 19,
        Refusal::Memory => 21,
        Refusal::Length => 35,
        Refusal::Unknown => 44,
        Refusal::Ended => 64,
        Refusal::Late => 73,
    }
}

/// `believe(question, ptr, len)`: fixes a belief over the next chunk of a stream.
pub(crate) fn believe(
    mut caller: Caller<'_, GuestState>,
    question: i32,
    ptr: i32,
    len: i32,
) -> i32 {
    // No belief is longer; whatever else a guest claims is refused before a byte is read.
    let longest = 4 * 256;
    caller.data_mut().charge(u64::from(len.cast_unsigned()).min(longest));
    let Some(memory) = memory(&mut caller) else { return -errno(Refusal::Memory) };
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let start = ptr.cast_unsigned() as usize;
    let length = len.cast_unsigned() as usize;
    let bytes = bytes.get(start..).and_then(|tail| tail.get(..length));
    let now_ns = state.cell.now_ns();
    let mut books = state.shared.books();
    let books = &mut *books;
    let runway = books.rent.runway();
    let fixed =
        books.questions.believe(question.cast_unsigned(), bytes, &mut books.purse, runway, now_ns);
    fixed.map_or_else(|refusal| -errno(refusal), |()| 0)
}

/// `observe(question, ptr, len)`: reveals the next chunk of a stream; bytes read, 0 at its end.
pub(crate) fn observe(
    mut caller: Caller<'_, GuestState>,
    question: i32,
    ptr: i32,
    len: i32,
) -> i32 {
    let Some(memory) = memory(&mut caller) else {
        caller.data_mut().charge(0);
        return -errno(Refusal::Memory);
    };
    let (bytes, state) = memory.data_and_store_mut(&mut caller);
    let start = ptr.cast_unsigned() as usize;
    let length = len.cast_unsigned() as usize;
    let buffer = bytes.get_mut(start..).and_then(|tail| tail.get_mut(..length));
    let mut books = state.shared.books();
    let inner = &mut *books;
    let read = inner.questions.observe(question.cast_unsigned(), buffer, &mut inner.purse);
    drop(books);
    state.charge(*read.as_ref().unwrap_or(&0) as u64);
    read.map_or_else(|refusal| -errno(refusal), |bytes| i32::try_from(bytes).unwrap_or(i32::MAX))
}
