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
    PAGEMAP.with_borrow_mut(|known| {
        let here = std::process::id();
        let (_, map) = known
            .take_if(|(process, _)| *process == here)
            .unwrap_or_else(|| (here, File::open("/proc/self/pagemap").ok()));
        let count = count(memory, map.as_ref());
        *known = Some((here, map));
        count
    })
}

fn count(memory: &[u8], pagemap: Option<&File>) -> u64 {
    let pages = memory.len().div_ceil(PAGE_BYTES).min(CHUNK_PAGES);
    let mut entries = vec![0u8; pages * 8];
    let mut count = 0;
    for chunk in memory.chunks(CHUNK_PAGES * PAGE_BYTES) {
        let pages = chunk.len().div_ceil(PAGE_BYTES);
        let first = (chunk.as_ptr() as usize / PAGE_BYTES) as u64 * 8;
        let known = &mut entries[..pages * 8];
        let backed = pagemap.is_some_and(|map| map.read_exact_at(known, first).is_ok());
        for (index, page) in chunk.chunks(PAGE_BYTES).enumerate() {
            let entry: [u8; 8] = entries[index * 8..][..8].try_into().unwrap_or([0xff; 8]);
            let may_hold = !backed || u64::from_ne_bytes(entry) & PRESENT_OR_SWAPPED != 0;
            if may_hold && holds_something(page) {
                count += 1;
            }
        }
    }
    count
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
