//! Purses and meters in shared memory: one slot a process, written by one cell, read by the parent.
//!
//! A cell may be killed between any two instructions. Each slot therefore holds two copies of its
//! record and a sequence number: the writer fills the copy that nobody reads and then turns the
//! sequence over with one aligned store, so that the parent always finds a whole record, at most
//! one slice old. This is the only module of the kernel that touches memory by address, and the one
//! that hints at addresses (`prefetch`); see also
//! `artifact.rs` for the loading of compiled code.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering, fence};

use memmap2::{MmapOptions, MmapRaw};

use crate::error::{KernelError, Result};
use crate::purse::Purse;

/// Layout version of the mapping.
pub const SLOTS_VERSION: u64 = 3;
const MAGIC: u64 = u64::from_le_bytes(*b"MAXWELL1");
const HEADER_WORDS: usize = 64;
const RECORD_WORDS: usize = 39;
/// Words of a slot: the sequence number, then two records, padded to cache lines.
const SLOT_WORDS: usize = 80;
/// Slots a mapping may hold: 64 MiB of shared memory.
pub const SLOTS_MAX: usize = 100_000;

/// A record's words; that they fit is checked when this is compiled.
fn padded<const WORDS: usize>(words: [u64; WORDS]) -> [u64; RECORD_WORDS] {
    const { assert!(WORDS <= RECORD_WORDS) }
    let mut record = [0; RECORD_WORDS];
    record[..WORDS].copy_from_slice(&words);
    record
}

macro_rules! record {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        /// What a slot says about its process; every field is a plain 64-bit number.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub struct Record {
            /// The money.
            pub purse: Purse,
            $($(#[$doc])* pub $field: u64,)*
        }

        impl Record {
            fn to_words(self) -> [u64; RECORD_WORDS] {
                let p = self.purse;
                padded([
                    p.free, p.escrow, p.bond, p.funded, p.burned, p.premium, p.rent, p.tax, p.sent,
                    p.returned, p.stake, p.staked, $(self.$field,)*
                ])
            }

            fn from_words(words: &[u64; RECORD_WORDS]) -> Self {
                let mut next = words.iter().copied();
                let mut word = || next.next().unwrap_or(0);
                Self {
                    purse: Purse {
                        free: word(), escrow: word(), bond: word(), funded: word(), burned: word(),
                        premium: word(), rent: word(), tax: word(), sent: word(), returned: word(),
                        stake: word(), staked: word(),
                    },
                    $($field: word(),)*
                }
            }
        }
    };
}

record! {
    /// Process number.
    pid,
    /// See [`state`].
    state,
    energy_uj,
    uncollected_uj,
    rent_unpaid,
    fuel,
    cpu_ns,
    bytes,
    calls,
    slices,
    wins,
    memory_bytes,
    memory_bytes_max,
    memory_byte_ns_low,
    memory_byte_ns_high,
    /// At its end.
    erased_bits,
    /// By its allocator.
    freed_bytes,
    /// By `discard`.
    discarded_bytes,
    tax_unpaid,
    bid_ppm,
    price_ppm,
    born_ns,
    died_ns,
    stdout_bytes,
    lost_bytes,
    reports,
    /// When rent will have eaten the purse, ns on the cell's clock; 0: not known.
    bankrupt_ns,
}

/// Values of [`Record::state`].
pub mod state {
    /// The slot is free.
    pub const FREE: u64 = 0;
    /// Placed, not yet run.
    pub const BORN: u64 = 1;
    /// Waiting for a slice.
    pub const READY: u64 = 2;
    /// In a slice.
    pub const RUNNING: u64 = 3;
    /// Sleeping.
    pub const BLOCKED: u64 = 4;
    /// Ended; its money is settled.
    pub const DEAD: u64 = 5;
    /// Cannot afford a slice; lives on its runway.
    pub const BROKE: u64 = 6;
}

/// The mapping.
#[derive(Debug)]
pub struct Slots {
    map: MmapRaw,
    capacity: usize,
    path: PathBuf,
}

impl Slots {
    /// Creates a mapping for `capacity` processes at `path` and reserves its memory.
    ///
    /// # Errors
    /// [`KernelError::Io`] when the file exists, cannot be created, or there is no memory for it.
    pub fn create(path: &Path, capacity: usize) -> Result<Self> {
        if capacity == 0 || capacity > SLOTS_MAX {
            let (value, limit) = (capacity as u64, SLOTS_MAX as u64);
            return Err(KernelError::OverLimit { what: "processes of a node", value, limit });
        }
        let io = |what| move |source| KernelError::Io { what, path: path.to_owned(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(io("cannot create the meters"))?;
        // A page that the file system cannot back would end a cell with SIGBUS: reserve them all.
        rustix::fs::fallocate(
            &file,
            rustix::fs::FallocateFlags::empty(),
            0,
            bytes(capacity) as u64,
        )
        .map_err(|errno| io("cannot reserve the meters")(errno.into()))?;
        let slots = Self::map(&file, capacity, path)?;
        slots.word(0).store(MAGIC, Ordering::Relaxed);
        slots.word(1).store(SLOTS_VERSION, Ordering::Relaxed);
        slots.word(2).store(capacity as u64, Ordering::Release);
        Ok(slots)
    }

    /// Opens a mapping that the parent created.
    ///
    /// # Errors
    /// [`KernelError::Io`] when it cannot be opened, [`KernelError::Protocol`] when it is torn or of
    /// another version.
    pub fn open(path: &Path) -> Result<Self> {
        let io = |what| move |source| KernelError::Io { what, path: path.to_owned(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(io("cannot open the meters"))?;
        let length = file.metadata().map_err(io("cannot read the meters"))?.len();
        let words = usize::try_from(length).unwrap_or(0) / 8;
        if words < HEADER_WORDS + SLOT_WORDS {
            return Err(KernelError::Protocol(format!("the meters `{}` are torn", path.display())));
        }
        let capacity = (words - HEADER_WORDS) / SLOT_WORDS;
        let slots = Self::map(&file, capacity, path)?;
        let header =
            [slots.word(0), slots.word(1), slots.word(2)].map(|w| w.load(Ordering::Acquire));
        if header != [MAGIC, SLOTS_VERSION, capacity as u64] {
            let shown = path.display();
            return Err(KernelError::Protocol(format!(
                "the meters `{shown}` are of another version or torn"
            )));
        }
        Ok(slots)
    }

    fn map(file: &File, capacity: usize, path: &Path) -> Result<Self> {
        let map = MmapOptions::new().len(bytes(capacity)).map_raw(file).map_err(|source| {
            KernelError::Io { what: "cannot map the meters", path: path.to_owned(), source }
        })?;
        Ok(Self { map, capacity, path: path.to_owned() })
    }

    /// Slots in the mapping.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    #[allow(unsafe_code)]
    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < HEADER_WORDS + self.capacity * SLOT_WORDS, "slot word out of range");
        // SAFETY: the mapping is page-aligned and `bytes(capacity)` long, so word `index` is in
        // bounds (asserted above) and 8-byte aligned; it lives as long as `self`; every access from
        // any process goes through an atomic, so there is no data race.
        // JUSTIFICATION: memory shared between processes can only be reached by address.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().cast::<u64>().add(index)) }
    }

    /// Asks the core to bring `slot` into its caches; nothing changes.
    pub(crate) fn prefetch(&self, slot: usize) {
        if slot < self.capacity {
            let base = HEADER_WORDS + slot * SLOT_WORDS;
            (0..SLOT_WORDS).step_by(8).for_each(|word| prefetch(self.word(base + word)));
        }
    }

    /// Publishes `record` in `slot`. Only the slot's own cell may call it.
    pub fn publish(&self, slot: usize, record: &Record) {
        let base = HEADER_WORDS + slot * SLOT_WORDS;
        let sequence = self.word(base);
        let next = sequence.load(Ordering::Relaxed).wrapping_add(1);
        // No word below may be seen before the sequence number of the last publication: a reader
        // that sees one sees (after its own fence) that number too, and reads again.
        fence(Ordering::Release);
        let copy = base + copy_offset(next);
        for (offset, word) in record.to_words().into_iter().enumerate() {
            self.word(copy + offset).store(word, Ordering::Relaxed);
        }
        sequence.store(next, Ordering::Release);
    }

    /// The last whole record of `slot`; `None` for a slot outside the mapping.
    #[must_use]
    pub fn read(&self, slot: usize) -> Option<Record> {
        if slot >= self.capacity {
            return None;
        }
        let base = HEADER_WORDS + slot * SLOT_WORDS;
        let sequence = self.word(base);
        // A writer publishes at most every few hundred nanoseconds, a read takes tens.
        for _ in 0..1_000_000 {
            let before = sequence.load(Ordering::Acquire);
            let copy = base + copy_offset(before);
            let mut words = [0; RECORD_WORDS];
            for (offset, word) in words.iter_mut().enumerate() {
                *word = self.word(copy + offset).load(Ordering::Relaxed);
            }
            fence(Ordering::Acquire);
            if sequence.load(Ordering::Relaxed) == before {
                return Some(Record::from_words(&words));
            }
        }
        None
    }
}

/// Asks the core to bring every cache line of `thing` into its caches, and does not wait.
#[allow(unsafe_code)]
pub(crate) fn prefetch<T>(thing: &T) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..size_of::<T>().max(1)).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let line = std::ptr::from_ref(thing).cast::<i8>().wrapping_add(offset);
        // SAFETY: a prefetch is a hint: it reads and writes no memory, raises no fault for any
        // address, and these addresses lie within a live object. SSE is part of every x86-64.
        // JUSTIFICATION: no safe form exists, and the slice loop waits for memory most of its time.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = thing;
}

fn bytes(capacity: usize) -> usize {
    (HEADER_WORDS + capacity * SLOT_WORDS) * 8
}

fn copy_offset(sequence: u64) -> usize {
    1 + if sequence & 1 == 0 { 0 } else { RECORD_WORDS }
}

#[cfg(test)]
mod tests {
    use super::*;

    const _: () = assert!(2 * RECORD_WORDS < SLOT_WORDS);

    fn record(seed: u64) -> Record {
        let purse = Purse { funded: seed, free: seed, ..Purse::default() };
        Record { purse, pid: seed, energy_uj: seed, bankrupt_ns: seed, ..Record::default() }
    }

    #[test]
    fn what_is_published_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slots");
        let slots = Slots::create(&path, 3).unwrap();
        let other = Slots::open(&path).unwrap();
        slots.publish(2, &record(7));
        assert_eq!(other.read(2), Some(record(7)));
        assert_eq!(other.read(1), Some(Record::default()));
        assert_eq!(other.read(3), None);
    }

    /// Goal: a reader never sees half a record. Method: one thread publishes records whose fields
    /// are all equal, another reads them.
    #[test]
    fn a_record_is_never_torn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slots");
        let writer = Slots::create(&path, 1).unwrap();
        let reader = Slots::open(&path).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || (1..200_000).for_each(|seed| writer.publish(0, &record(seed))));
            for _ in 0..100_000 {
                let seen = reader.read(0).unwrap();
                assert_eq!(seen, record(seen.pid));
            }
        });
    }

    #[test]
    fn torn_and_foreign_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slots");
        std::fs::write(&path, b"short").unwrap();
        assert!(matches!(Slots::open(&path), Err(KernelError::Protocol(_))));
        std::fs::write(&path, vec![0; bytes(1)]).unwrap();
        assert!(matches!(Slots::open(&path), Err(KernelError::Protocol(_))));
        assert!(matches!(Slots::create(&path, 1), Err(KernelError::Io { .. })));
    }
}
