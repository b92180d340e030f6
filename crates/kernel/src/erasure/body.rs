//! One function that frees: its new body.

use wasm_encoder::{BlockType, Encode, InstructionSink, ValType};
use wasmparser::{BinaryReaderError, FunctionBody, Operator};

use super::find::{Role, Source};
use super::size::{Layout, Locals, forget_absurd};

type Result<T> = std::result::Result<T, BinaryReaderError>;

/// Locals a function may have (the engine's limit is 50,000); up to seven are added.
const LOCALS_MAX: u32 = 49_000;
const ADDED_I32: u32 = 6;

/// What the code of all counting functions has in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared {
    /// The counter's index.
    pub(super) counter: u32,
    /// How blocks keep their sizes.
    pub(super) layout: Option<Layout>,
}

/// The new body, without its length in front; `None` for one that must stay as it is.
pub(super) fn rewrite(
    body: &FunctionBody<'_>,
    role: Role,
    shared: Shared,
) -> Result<Option<Vec<u8>>> {
    let mut groups = 0u32;
    let mut declared = 0u32;
    let mut locals = body.get_locals_reader()?;
    let first_group = locals.original_position();
    for _ in 0..locals.get_count() {
        declared = declared.saturating_add(locals.read()?.0);
        groups += 1;
    }
    let (start, first_operator) = (body.range().start, locals.original_position());
    if declared > LOCALS_MAX {
        return Ok(None);
    }
    let whole = body.as_bytes();
    let mut new = Vec::with_capacity(whole.len() + 256);
    (groups + 2).encode(&mut new);
    new.extend_from_slice(&whole[first_group - start..first_operator - start]);
    for (count, ty) in [(ADDED_I32, ValType::I32), (1, ValType::I64)] {
        count.encode(&mut new);
        ty.encode(&mut new);
    }
    let fresh = role.params() + declared;
    let operators = &whole[first_operator - start..];
    match role {
        Role::Free(source) => {
            count_free(&mut new, source, fresh, shared);
            new.extend_from_slice(operators);
        }
        Role::Realloc { old_size, new_size } => {
            let code = Realloc { old_size, new_size, fresh, shared };
            code.before(&mut new);
            if !copy_without_returns(body, &mut new)? {
                return Ok(None);
            }
            code.after(&mut new);
        }
    }
    Ok(Some(new))
}

fn emit_size(code: &mut InstructionSink<'_>, source: Source, layout: Option<Layout>, at: Locals) {
    match (source, layout) {
        (Source::Block, Some(layout)) => layout.emit(code, at),
        (Source::Parameter(size), _) => {
            code.local_get(size).local_set(at.size);
            forget_absurd(code, at.size);
        }
        // Such functions are not counted.
        (Source::Block, None) => {
            code.i32_const(0).local_set(at.size);
        }
    }
}

/// `counter += size(pointer)`, before anything else.
fn count_free(new: &mut Vec<u8>, source: Source, fresh: u32, shared: Shared) {
    let size = fresh;
    let mut code = InstructionSink::new(new);
    emit_size(&mut code, source, shared.layout, Locals { pointer: 0, size, scratch: fresh + 1 });
    if let Source::Parameter(_) = source {
        // A dangling pointer of an empty block frees nothing; its size is 0. Null is no block.
        code.local_get(size).i32_const(0).local_get(0).select().local_set(size);
    }
    code.global_get(shared.counter).local_get(size).i64_extend_i32_u().i64_add();
    code.global_set(shared.counter);
}

struct Realloc {
    old_size: Source,
    new_size: u32,
    fresh: u32,
    shared: Shared,
}

impl Realloc {
    /// Keeps what the body may change, and opens the block that every way out leads through.
    fn before(&self, new: &mut Vec<u8>) {
        let [pointer, size, new_size, _, _, scratch] = self.locals();
        let mut code = InstructionSink::new(new);
        code.local_get(0).local_set(pointer).local_get(self.new_size).local_set(new_size);
        let at = Locals { pointer, size, scratch };
        emit_size(&mut code, self.old_size, self.shared.layout, at);
        code.global_get(self.shared.counter).local_set(self.start());
        code.block(BlockType::Result(ValType::I32));
    }

    /// Raises the counter to where the call began plus what it freed, if it is not there yet.
    fn after(&self, new: &mut Vec<u8>) {
        let [pointer, size, new_size, result, left, scratch] = self.locals();
        let mut code = InstructionSink::new(new);
        code.local_set(result);
        code.local_get(pointer).i32_eqz().local_get(size).i32_eqz().i32_or().i32_eqz();
        code.if_(BlockType::Empty);
        {
            // What is still allocated of the old block: what the same place holds now; nothing
            // after a move or after freeing; all of it after a refusal.
            code.local_get(result).local_get(pointer).i32_eq().if_(BlockType::Empty);
            match self.old_size {
                Source::Parameter(_) => {
                    code.local_get(new_size).local_set(left);
                }
                Source::Block => {
                    let at = Locals { pointer, size: left, scratch };
                    emit_size(&mut code, self.old_size, self.shared.layout, at);
                }
            }
            code.else_();
            code.local_get(size).i32_const(0);
            code.local_get(result).i32_eqz().local_get(new_size).i32_const(0).i32_ne().i32_and();
            code.select().local_set(left).end();
            code.local_get(left).local_get(size).i32_lt_u().if_(BlockType::Empty);
            let (counter, start) = (self.shared.counter, self.start());
            code.local_get(start).local_get(size).local_get(left).i32_sub();
            code.i64_extend_i32_u().i64_add().local_tee(start);
            code.global_get(counter).i64_gt_s().if_(BlockType::Empty);
            code.local_get(start).global_set(counter).end();
            code.end();
        }
        code.end().local_get(result).end();
    }

    fn locals(&self) -> [u32; ADDED_I32 as usize] {
        std::array::from_fn(|offset| self.fresh + u32::try_from(offset).unwrap_or(0))
    }

    /// The counter at the start, i64.
    fn start(&self) -> u32 {
        self.fresh + ADDED_I32
    }
}

/// Copies a body into the block that [`Realloc::before`] opened: branches to the function's own
/// label reach that block as they are, returns become branches to it, and the function's `end`
/// closes it. Returns `false` for a body that uses what this cannot do.
fn copy_without_returns(body: &FunctionBody<'_>, new: &mut Vec<u8>) -> Result<bool> {
    let (whole, start) = (body.as_bytes(), body.range().start);
    let mut reader = body.get_operators_reader()?;
    let mut depth = 0u32;
    while !reader.eof() {
        let from = reader.original_position() - start;
        let operator = reader.read()?;
        let to = reader.original_position() - start;
        let mut code = InstructionSink::new(new);
        match operator {
            Operator::Return => {
                code.br(depth);
                continue;
            }
            Operator::ReturnCall { function_index } => {
                code.call(function_index).br(depth);
                continue;
            }
            Operator::ReturnCallIndirect { type_index, table_index } => {
                code.call_indirect(table_index, type_index).br(depth);
                continue;
            }
            Operator::ReturnCallRef { .. }
            | Operator::Try { .. }
            | Operator::Catch { .. }
            | Operator::CatchAll
            | Operator::Delegate { .. } => return Ok(false),
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::TryTable { .. } => depth += 1,
            Operator::End => depth = depth.saturating_sub(1),
            _ => {}
        }
        new.extend_from_slice(&whole[from..to]);
    }
    Ok(true)
}
