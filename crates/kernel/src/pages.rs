//! Counting the pages of a guest's memory that hold something.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Bytes of a page of the machine.
pub const PAGE_BYTES: usize = 4096;
/// Page-table entries read at once.
const CHUNK_PAGES: usize = 4096;
/// Bits of a `/proc/self/pagemap` entry: present in memory, or swapped out.
const PRESENT_OR_SWAPPED: u64 = 0b11 << 62;

thread_local! {
    /// The process's page map, and which process that was: a fork has another one. Opening it takes
    /// as long as a third of a small guest's life.
    static PAGEMAP: RefCell<Option<(u32, Option<File>)>> = const { RefCell::new(None) };
}

/// Pages of `memory` that are not all zero.
///
/// Pages that the machine never backed are zero and are not touched: the kernel's page map tells
/// them (`Documentation/admin-guide/mm/pagemap.rst`). Without it, and where `ask_machine` is false,
/// every page is read.
#[must_use]
pub fn nonzero(memory: &[u8], ask_machine: bool) -> u64 {
    if !ask_machine {
        return count(memory, None);
    }
    with_pagemap(|map| count(memory, map))
}

fn with_pagemap<R>(read: impl FnOnce(Option<&File>) -> R) -> R {
    PAGEMAP.with_borrow_mut(|known| {
        let here = std::process::id();
        let (_, map) = known
            .take_if(|(process, _)| *process == here)
            .unwrap_or_else(|| (here, File::open("/proc/self/pagemap").ok()));
        let result = read(map.as_ref());
        *known = Some((here, map));
        result
    })
}

fn count(memory: &[u8], pagemap: Option<&File>) -> u64 {
    let pages = memory.len().div_ceil(PAGE_BYTES).min(CHUNK_PAGES);
    let mut entries = vec![0u8; pages * 8];
    let mut count = 0;
    for chunk in memory.chunks(CHUNK_PAGES * PAGE_BYTES) {
        let pages = chunk.len().div_ceil(PAGE_BYTES);
        let known = &mut entries[..pages * 8];
        let backed = pagemap.is_some_and(|map| read_entries(map, chunk, known));
        for (index, page) in chunk.chunks(PAGE_BYTES).enumerate() {
            let may_hold = !backed || is_backed(known, index);
            if may_hold && holds_something(page) {
                count += 1;
            }
        }
    }
    count
}

/// Zeroes the whole pages `memory[start..end]` and returns how many held something. Pages at or
/// behind `fresh_from` (a byte offset from which on the machine itself would supply zeros) are given
/// back to the machine.
pub(crate) fn clear(memory: &mut [u8], (start, end): (usize, usize), fresh_from: u64) -> u64 {
    let range = &mut memory[start..end];
    let held = range.chunks(PAGE_BYTES).filter(|page| holds_something(page)).count() as u64;
    let fresh_from = usize::try_from(fresh_from).unwrap_or(usize::MAX);
    let split = fresh_from.saturating_sub(start).next_multiple_of(PAGE_BYTES).min(range.len());
    let (image, fresh) = range.split_at_mut(split);
    image.fill(0);
    if held > 0 && !give_back(fresh) {
        fresh.fill(0);
    }
    held
}

/// Gives whole pages back to the machine: they read as zero from now on. Returns whether it did.
#[allow(unsafe_code)]
fn give_back(pages: &mut [u8]) -> bool {
    let whole =
        pages.as_ptr().align_offset(PAGE_BYTES) == 0 && pages.len().is_multiple_of(PAGE_BYTES);
    if pages.is_empty() || !whole {
        return false;
    }
    let advice = rustix::mm::Advice::LinuxDontNeed;
    // SAFETY: the range is exclusively borrowed, page-aligned and whole pages long (checked above),
    // so that the machine changes bytes that nobody else looks at; any bytes are valid in a `u8`.
    // The caller passes memory that is private and anonymous, whose pages then read as zero.
    // JUSTIFICATION: rent falls only for memory that the machine really gets back, and there is no
    // safe form of this call.
    unsafe { rustix::mm::madvise(pages.as_mut_ptr().cast(), pages.len(), advice) }.is_ok()
}

/// Takes out of `bits` (one a page) the pages that hold something, and returns how many.
pub(crate) fn take_touched(memory: &[u8], bits: &mut [u64], ask_machine: bool) -> u64 {
    if !ask_machine {
        return touched(memory, bits, None);
    }
    with_pagemap(|map| touched(memory, bits, map))
}

fn touched(memory: &[u8], bits: &mut [u64], pagemap: Option<&File>) -> u64 {
    let mut entries = vec![0u8; CHUNK_PAGES * 8];
    let mut count = 0;
    let chunks = memory.chunks(CHUNK_PAGES * PAGE_BYTES);
    for (chunk, words) in chunks.zip(bits.chunks_mut(CHUNK_PAGES / 64)) {
        if words.iter().all(|&word| word == 0) {
            continue;
        }
        let known = &mut entries[..chunk.len().div_ceil(PAGE_BYTES) * 8];
        let backed = pagemap.is_some_and(|map| read_entries(map, chunk, known));
        for (index, page) in chunk.chunks(PAGE_BYTES).enumerate() {
            let Some(word) = words.get_mut(index / 64) else { break };
            let bit = 1 << (index % 64);
            let may_hold = *word & bit != 0 && (!backed || is_backed(known, index));
            if may_hold && holds_something(page) {
                *word &= !bit;
                count += 1;
            }
        }
    }
    count
}

/// Reads the page map's entries of `chunk`; returns whether it could.
fn read_entries(pagemap: &File, chunk: &[u8], entries: &mut [u8]) -> bool {
    let first = (chunk.as_ptr() as usize / PAGE_BYTES) as u64 * 8;
    pagemap.read_exact_at(entries, first).is_ok()
}

fn is_backed(entries: &[u8], index: usize) -> bool {
    let entry: [u8; 8] = entries[index * 8..][..8].try_into().unwrap_or([0xff; 8]);
    u64::from_ne_bytes(entry) & PRESENT_OR_SWAPPED != 0
}

fn holds_something(page: &[u8]) -> bool {
    // Compared whole, which the compiler's memory comparison does some 30 bytes a cycle.
    page != &[0; PAGE_BYTES][..page.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_pages_that_hold_something() {
        let mut memory = vec![0u8; 100 * PAGE_BYTES];
        let start = memory.as_ptr().align_offset(PAGE_BYTES);
        let pages = &mut memory[start..start + 64 * PAGE_BYTES];
        assert_eq!(nonzero(pages, true), 0);
        for page in [0, 7, 63] {
            pages[page * PAGE_BYTES + 4095] = 1;
        }
        assert_eq!(nonzero(pages, true), 3);
        assert_eq!(nonzero(pages, false), 3);
    }
}
