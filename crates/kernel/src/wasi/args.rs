//! Arguments and environment: tables of strings laid out once, copied at each call.

use super::errno::Errno;
use super::memory::GuestMemory;

/// Strings as C programs expect them: each ends with NUL, all in one block.
#[derive(Debug)]
pub(super) struct StringTable {
    block: Vec<u8>,
    offsets: Vec<u32>,
}

impl StringTable {
    /// `None` when a string holds a NUL or the block exceeds `bytes_max`.
    pub(super) fn new<'a>(
        strings: impl Iterator<Item = &'a str>,
        bytes_max: usize,
    ) -> Option<Self> {
        let mut table = Self { block: Vec::new(), offsets: Vec::new() };
        for string in strings {
            table.offsets.push(u32::try_from(table.block.len()).ok()?);
            table.block.extend_from_slice(string.as_bytes());
            table.block.push(0);
            if string.contains('\0') || table.block.len() > bytes_max {
                return None;
            }
        }
        Some(table)
    }
}

/// `args_sizes_get` and `environ_sizes_get`.
pub(super) fn sizes_get(
    table: &StringTable,
    memory: &mut GuestMemory<'_>,
    count_pointer: u32,
    bytes_pointer: u32,
) -> Result<(), Errno> {
    let count = u32::try_from(table.offsets.len()).map_err(|_| Errno::Overflow)?;
    let bytes = u32::try_from(table.block.len()).map_err(|_| Errno::Overflow)?;
    memory.write_u32(count_pointer, count)?;
    memory.write_u32(bytes_pointer, bytes)
}

/// `args_get` and `environ_get`.
pub(super) fn get(
    table: &StringTable,
    memory: &mut GuestMemory<'_>,
    pointers: u32,
    block: u32,
) -> Result<(), Errno> {
    memory.write(block, &table.block)?;
    let mut pointer = pointers;
    for offset in &table.offsets {
        let string = block.checked_add(*offset).ok_or(Errno::Fault)?;
        memory.write_u32(pointer, string)?;
        pointer = pointer.checked_add(4).ok_or(Errno::Fault)?;
    }
    Ok(())
}
