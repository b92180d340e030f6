//! Putting a module together again: all sections as they were, but globals, exports and some code.

use std::collections::BTreeMap;

use wasm_encoder::{ConstExpr, Encode, Module, RawSection};
use wasmparser::{BinaryReader, BinaryReaderError, Parser, Payload};

use super::body::{self, Shared};
use super::find::{Found, Plan};
use super::{FREED_EXPORT, IMAGE_END_EXPORT, Rewritten};

type Result<T> = std::result::Result<T, BinaryReaderError>;

const CUSTOM: u8 = 0;
const GLOBAL: u8 = 6;
const EXPORT: u8 = 7;
const CODE: u8 = 10;
/// Sections in the order that a module must have them in.
const ORDER: [u8; 13] = [1, 2, 3, 4, 5, 13, GLOBAL, EXPORT, 8, 9, 12, CODE, 11];
/// Its positions are offsets into bodies that change.
const BRANCH_HINTS: &str = "metadata.code.branch_hint";
const I64: u8 = 0x7e;
const KIND_GLOBAL: u8 = 3;

/// Assembles the new module.
pub(super) fn assemble(wasm: &[u8], found: &Found<'_>, plan: &Plan) -> Result<Rewritten> {
    let mut module = Module::new();
    let mut added = [(GLOBAL, false), (EXPORT, false)];
    let mut counted = Vec::new();
    let empty: &[u8] = &[0];
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        let Some((id, range)) = payload.as_section() else { continue };
        if matches!(&payload, Payload::CustomSection(section) if section.name() == BRANCH_HINTS) {
            continue;
        }
        let data = &wasm[range];
        for (ours, done) in &mut added {
            if !*done && id != CUSTOM && rank(id) > rank(*ours) {
                push(&mut module, *ours, &extended(*ours, empty, found, plan)?);
                *done = true;
            }
            *done |= *ours == id;
        }
        match id {
            GLOBAL | EXPORT => push(&mut module, id, &extended(id, data, found, plan)?),
            CODE => {
                let bodies = rewrite_bodies(found, plan)?;
                counted = bodies.keys().map(|&index| found.name_of(index)).collect();
                push(&mut module, id, &code(data, found.imported(), &bodies)?);
            }
            _ => push(&mut module, id, data),
        }
    }
    for (id, _) in added.into_iter().filter(|(_, done)| !done) {
        push(&mut module, id, &extended(id, empty, found, plan)?);
    }
    Ok(Rewritten { wasm: module.finish(), counted })
}

fn rank(id: u8) -> usize {
    ORDER.iter().position(|&known| known == id).unwrap_or(ORDER.len())
}

fn push(module: &mut Module, id: u8, data: &[u8]) {
    module.section(&RawSection { id, data });
}

/// A vector section with two items more.
fn extended(id: u8, data: &[u8], found: &Found<'_>, plan: &Plan) -> Result<Vec<u8>> {
    let mut reader = BinaryReader::new(data, 0);
    let count = reader.read_var_u32()?;
    let mut new = Vec::with_capacity(data.len() + 64);
    count.saturating_add(2).encode(&mut new);
    new.extend_from_slice(&data[reader.original_position()..]);
    if id == GLOBAL {
        let image_end = plan.image_end.cast_signed();
        for (mutable, value) in [(1, 0), (0, image_end)] {
            new.extend_from_slice(&[I64, mutable]);
            ConstExpr::i64_const(value).encode(&mut new);
        }
    } else {
        for (name, index) in [(FREED_EXPORT, found.globals), (IMAGE_END_EXPORT, found.globals + 1)]
        {
            name.encode(&mut new);
            new.push(KIND_GLOBAL);
            index.encode(&mut new);
        }
    }
    Ok(new)
}

/// New bodies of the functions that count, by index.
fn rewrite_bodies(found: &Found<'_>, plan: &Plan) -> Result<BTreeMap<u32, Vec<u8>>> {
    let shared = Shared { counter: found.globals, layout: plan.layout };
    let mut bodies = BTreeMap::new();
    for (&index, &role) in &plan.counted {
        let Some(old) = found.body(index) else { continue };
        if let Some(new) = body::rewrite(old, role, shared)? {
            bodies.insert(index, new);
        }
    }
    Ok(bodies)
}

/// The code section with the bodies of `new` in their places.
fn code(data: &[u8], imported: u32, new: &BTreeMap<u32, Vec<u8>>) -> Result<Vec<u8>> {
    let mut reader = BinaryReader::new(data, 0);
    let count = reader.read_var_u32()?;
    let mut section = Vec::with_capacity(data.len() + new.len() * 512);
    count.encode(&mut section);
    for defined in 0..count {
        let start = reader.original_position();
        let length = reader.read_var_u32()? as usize;
        reader.read_bytes(length)?;
        match new.get(&(imported + defined)) {
            Some(body) => body.as_slice().encode(&mut section),
            None => section.extend_from_slice(&data[start..reader.original_position()]),
        }
    }
    Ok(section)
}
