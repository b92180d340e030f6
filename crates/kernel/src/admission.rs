//! Admission: a module is checked against every limit, then compiled, in a process of its own.

use std::path::Path;

use serde::Serialize;
use wasmparser::{Payload, TypeRef, Validator, WasmFeatures};
use wasmtime::Module;

use crate::engine::{
    EngineOptions, MEMORIES_PER_MODULE_MAX, Metering, TABLE_ELEMENTS_MAX, TABLES_PER_MODULE_MAX,
    engine, open_cache,
};
use crate::erasure::{self, RESERVED_PREFIX};
use crate::error::{KernelError, Result};
use crate::imports;

/// Bytes of a module.
pub const MODULE_BYTES_MAX: u64 = 256 << 20;
/// Functions a module may define; the largest program known to us, a logic synthesiser of 69 MB,
/// stays below it.
pub const FUNCTIONS_MAX: u64 = 99_999;
/// Bytes of one function's body: it bounds the longest path without a loop, and so the kill time.
pub const FUNCTION_BYTES_MAX: u64 = 1 << 20;
/// Types a module may define; they cost the compiler more than their bytes.
pub const TYPES_MAX: u64 = 10_000;
/// Globals of a module.
pub const GLOBALS_MAX: u64 = 100_000;
/// Data and element segments of a module.
pub const SEGMENTS_MAX: u64 = 100_000;
/// Bytes in a WebAssembly page.
pub const PAGE_BYTES: u64 = 65_536;

/// What admission learnt about a module.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ModuleInfo {
    /// Bytes of the module.
    pub module_bytes: u64,
    /// Functions it defines.
    pub functions: u64,
    /// Bytes of its largest function.
    pub function_bytes_max: u64,
    /// Memory it starts with, bytes.
    pub memory_bytes_min: u64,
    /// Memory it may grow to by its own declaration, bytes.
    pub memory_bytes_max: Option<u64>,
    /// Whether it has a `_start` function.
    pub has_start: bool,
    /// Its imports, `module.name`.
    pub imports: Vec<String>,
    /// Functions whose frees are counted, by the names they were found by.
    pub counted: Vec<String>,
    /// Bytes of compiled code.
    pub artifact_bytes: u64,
    /// Whether the compiled code came out of the cache.
    pub cached: bool,
}

/// The WebAssembly that guests may use; it must equal the engine's (`engine.rs`).
pub(crate) fn features() -> WasmFeatures {
    let mut features = WasmFeatures::default();
    for off in [
        WasmFeatures::MEMORY64,
        WasmFeatures::MULTI_MEMORY,
        WasmFeatures::GC,
        WasmFeatures::FUNCTION_REFERENCES,
        WasmFeatures::COMPONENT_MODEL,
    ] {
        features.remove(off);
    }
    features.insert(WasmFeatures::EXCEPTIONS);
    features.insert(WasmFeatures::THREADS);
    features
}

/// Checks `wasm` against the limits of admission without compiling it.
///
/// # Errors
/// [`KernelError::InvalidModule`], [`KernelError::OverLimit`], [`KernelError::UnknownImport`].
pub fn inspect(wasm: &[u8]) -> Result<ModuleInfo> {
    check("module bytes", wasm.len() as u64, MODULE_BYTES_MAX)?;
    if !wasm.starts_with(b"\0asm") {
        let shown: String = wasm.iter().take(4).map(|byte| format!("{byte:02x} ")).collect();
        let why = if wasm.is_empty() {
            "the file is empty".to_owned()
        } else {
            format!("it starts with {}, not with 00 61 73 6d (`\\0asm`)", shown.trim_end())
        };
        return Err(KernelError::InvalidModule(why));
    }
    let mut info = ModuleInfo { module_bytes: wasm.len() as u64, ..ModuleInfo::default() };
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        note(&mut info, &payload.map_err(invalid)?)?;
    }
    Validator::new_with_features(features()).validate_all(wasm).map_err(invalid)?;
    Ok(info)
}

#[allow(clippy::needless_pass_by_value)]
pub(crate) fn invalid(error: wasmparser::BinaryReaderError) -> KernelError {
    KernelError::InvalidModule(error.to_string())
}

fn check(what: &'static str, value: u64, limit: u64) -> Result<()> {
    if value > limit { Err(KernelError::OverLimit { what, value, limit }) } else { Ok(()) }
}

fn note(info: &mut ModuleInfo, payload: &Payload<'_>) -> Result<()> {
    match payload {
        Payload::Version { encoding: wasmparser::Encoding::Component, .. } => {
            let why = "it is a component; this version runs core modules".to_owned();
            return Err(KernelError::InvalidModule(why));
        }
        Payload::TypeSection(section) => check("types", section.count().into(), TYPES_MAX)?,
        Payload::FunctionSection(section) => {
            info.functions = u64::from(section.count());
            check("functions of the module", info.functions, FUNCTIONS_MAX)?;
        }
        Payload::CodeSectionEntry(body) => {
            let size = body.range().len() as u64;
            info.function_bytes_max = info.function_bytes_max.max(size);
            check("bytes of one function", size, FUNCTION_BYTES_MAX)?;
        }
        Payload::MemorySection(section) => {
            check("memories", section.count().into(), MEMORIES_PER_MODULE_MAX.into())?;
            for memory in section.clone() {
                note_memory(info, &memory.map_err(invalid)?)?;
            }
        }
        Payload::TableSection(section) => {
            check("tables", section.count().into(), TABLES_PER_MODULE_MAX.into())?;
            for table in section.clone() {
                let table = table.map_err(invalid)?;
                check("elements of a table", table.ty.initial, TABLE_ELEMENTS_MAX as u64)?;
            }
        }
        Payload::GlobalSection(section) => check("globals", section.count().into(), GLOBALS_MAX)?,
        Payload::DataSection(section) => {
            check("data segments", section.count().into(), SEGMENTS_MAX)?;
        }
        Payload::ElementSection(section) => {
            check("element segments", section.count().into(), SEGMENTS_MAX)?;
        }
        Payload::ImportSection(section) => {
            for import in section.clone().into_imports() {
                note_import(info, &import.map_err(invalid)?)?;
            }
        }
        Payload::ExportSection(section) => {
            for export in section.clone() {
                let name = export.map_err(invalid)?.name;
                info.has_start |= name == "_start";
                if name.starts_with(RESERVED_PREFIX) {
                    let shown: String = name.chars().take(64).collect();
                    let why = format!(
                        "it exports `{shown}`: names that begin with `{RESERVED_PREFIX}` are the \
                         hypervisor's"
                    );
                    return Err(KernelError::InvalidModule(why));
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn note_memory(info: &mut ModuleInfo, memory: &wasmparser::MemoryType) -> Result<()> {
    if memory.shared {
        let why = "its memory is shared between threads; processes have one thread".to_owned();
        return Err(KernelError::InvalidModule(why));
    }
    info.memory_bytes_min = memory.initial.saturating_mul(PAGE_BYTES);
    info.memory_bytes_max = memory.maximum.map(|pages| pages.saturating_mul(PAGE_BYTES));
    Ok(())
}

fn note_import(info: &mut ModuleInfo, import: &wasmparser::Import<'_>) -> Result<()> {
    let unknown = |why: String| KernelError::UnknownImport {
        module: import.module.to_owned(),
        name: import.name.to_owned(),
        why,
    };
    if !matches!(import.ty, TypeRef::Func(_)) {
        return Err(unknown("processes import functions only".to_owned()));
    }
    if !imports::MODULES.contains(&import.module) {
        let known = imports::MODULES.join("`, `");
        return Err(unknown(format!("processes may import from `{known}`")));
    }
    info.imports.push(format!("{}.{}", import.module, import.name));
    Ok(())
}

/// A process begins in `_start`, which takes nothing and returns nothing.
fn check_entry(module: &Module) -> Result<()> {
    let entry = module.get_export("_start");
    let function = entry.as_ref().and_then(wasmtime::ExternType::func);
    if function.is_some_and(|f| f.params().len() == 0 && f.results().len() == 0) {
        return Ok(());
    }
    let why = "its `_start` is not a function without parameters and results".to_owned();
    Err(KernelError::InvalidModule(why))
}

/// Checks and compiles `wasm`, and writes the compiled code to `artifact`.
///
/// # Errors
/// As [`inspect`]; [`KernelError::Engine`] when compiling fails; [`KernelError::Io`] when the
/// artifact cannot be written. A half-written artifact is removed.
pub fn admit(
    wasm: &[u8],
    artifact: &Path,
    metering: Metering,
    cache_dir: Option<&Path>,
) -> Result<ModuleInfo> {
    let mut info = inspect(wasm)?;
    if !info.has_start {
        let why = "it exports no `_start` function, so there is nothing to run".to_owned();
        return Err(KernelError::InvalidModule(why));
    }
    let cache = cache_dir.map(open_cache).transpose()?;
    let engine = engine(EngineOptions { metering, guests_max: None, cache: cache.as_ref() })?;
    let linker = imports::linker(&engine)?;
    imports::check_names(&engine, &linker, &info.imports)?;
    let rewritten = erasure::rewrite(wasm)?;
    let compiled = rewritten.as_ref().map_or(wasm, |rewritten| &rewritten.wasm);
    let module = Module::new(&engine, compiled).map_err(KernelError::engine)?;
    info.counted = rewritten.map(|rewritten| rewritten.counted).unwrap_or_default();
    check_entry(&module)?;
    info.cached = cache.is_some_and(|cache| cache.cache_hits() > 0);
    imports::check_types(&linker, &module)?;
    let code = module.serialize().map_err(KernelError::engine)?;
    info.artifact_bytes = code.len() as u64;
    if let Err(source) = std::fs::write(artifact, &code) {
        let _ = std::fs::remove_file(artifact);
        let path = artifact.to_owned();
        return Err(KernelError::Io { what: "cannot write compiled code", path, source });
    }
    Ok(info)
}
