//! The size of an allocated block: how known allocators write it down, and the code that reads it.

use wasm_encoder::{BlockType, InstructionSink, MemArg};
use wasmparser::{FunctionBody, Operator};

/// How an allocator keeps the size of a block at `pointer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// dlmalloc (wasi-libc, emscripten): the chunk's `head` at `pointer - 4` is its size with flags
    /// in the low three bits (1: the chunk before is in use, 2: this one is, 4: spare); 4 bytes of
    /// it are overhead. Source: `malloc.c` 2.8.6 of Doug Lea, `chunk2mem`, `chunksize`,
    /// `overhead_for`.
    Dlmalloc,
    /// Zig's C library: a 64-bit header at `pointer - 8`, log2 of the alignment in its low five
    /// bits and the requested size in the next 32. Source: `lib/c/malloc.zig` of 0.17.
    Zig,
    /// emmalloc: the region's size at `pointer - 4`, 8 bytes of it overhead. Source:
    /// `system/lib/emmalloc.c` of emscripten, `emmalloc_usable_size`.
    Emmalloc,
    /// AssemblyScript's TLSF: the payload's size at `pointer - 4`, flags in the low two bits.
    /// Source: `std/assembly/rt/tlsf.ts`.
    AssemblyScript,
    /// The module's own `malloc_usable_size`, by index.
    UsableSize(u32),
}

/// Locals that reading a size needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Locals {
    /// The pointer.
    pub(super) pointer: u32,
    /// Receives the size; 0 when there is none to believe.
    pub(super) size: u32,
    /// Free for use.
    pub(super) scratch: u32,
}

impl Layout {
    /// Recognises an allocator by how its `free` or `realloc` takes a header apart.
    pub(super) fn of_body(body: &FunctionBody<'_>) -> Option<Self> {
        let mut loaded = false;
        let mut constant = None;
        let mut wide = false;
        for operator in body.get_operators_reader().ok()? {
            match (operator.ok()?, constant) {
                // load, perhaps kept in a local, and -8: the size without dlmalloc's flags.
                (Operator::I32And, Some(-8)) if loaded => return Some(Self::Dlmalloc),
                (Operator::I64ShrU, Some(5)) if wide => return Some(Self::Zig),
                (Operator::I32Load { .. }, _) => (loaded, constant) = (true, None),
                (Operator::I64Load { .. }, _) => (wide, constant) = (true, None),
                (Operator::LocalTee { .. }, _) => constant = None,
                (Operator::I32Const { value }, _) => constant = Some(i64::from(value)),
                (Operator::I64Const { value }, _) => constant = Some(value),
                _ => (loaded, constant) = (false, None),
            }
        }
        None
    }

    /// Emits code that sets `locals.size`. It reads `[pointer - 8, pointer)` only where that lies in
    /// memory, and calls nothing but `malloc_usable_size`.
    pub(super) fn emit(self, code: &mut InstructionSink<'_>, locals: Locals) {
        let Locals { pointer, size, scratch } = locals;
        code.i32_const(0).local_set(size);
        // 8 <= pointer and pointer - 1 in memory.
        code.local_get(pointer).i32_const(8).i32_ge_u();
        code.local_get(pointer).i32_const(1).i32_sub();
        code.i32_const(16).i32_shr_u().memory_size(0).i32_lt_u();
        code.i32_and().if_(BlockType::Empty);
        match self {
            Self::Dlmalloc => {
                // Only of a chunk in use; of a word that is none, half pass, and the length of
                // memory bounds them.
                word(code, pointer).local_tee(scratch).i32_const(2).i32_and();
                code.if_(BlockType::Empty);
                code.local_get(scratch).i32_const(-8).i32_and().i32_const(4).i32_sub();
                code.local_set(size).end();
            }
            Self::Zig => {
                code.local_get(pointer).i32_const(8).i32_sub();
                code.i64_load(MemArg { offset: 0, align: 3, memory_index: 0 });
                code.i64_const(5).i64_shr_u().i32_wrap_i64().local_set(size);
            }
            Self::Emmalloc => {
                word(code, pointer).local_tee(scratch).i32_const(8).i32_sub();
                code.i32_const(0).local_get(scratch).i32_const(8).i32_gt_u().select();
                code.local_set(size);
            }
            Self::AssemblyScript => {
                word(code, pointer).i32_const(-4).i32_and().local_set(size);
            }
            Self::UsableSize(function) => {
                code.local_get(pointer).call(function).local_set(size);
            }
        }
        code.end();
        forget_absurd(code, size);
    }
}

/// The word before the block.
fn word<'a, 'b>(code: &'a mut InstructionSink<'b>, pointer: u32) -> &'a mut InstructionSink<'b> {
    code.local_get(pointer).i32_const(4).i32_sub();
    code.i32_load(MemArg { offset: 0, align: 2, memory_index: 0 })
}

/// No block is larger than memory.
pub(super) fn forget_absurd(code: &mut InstructionSink<'_>, size: u32) {
    code.local_get(size).i32_const(16).i32_shr_u().memory_size(0).i32_ge_u();
    code.if_(BlockType::Empty).i32_const(0).local_set(size).end();
}
