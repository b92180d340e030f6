//! The engine's configuration: one function, used by the compiler's process and by the cells.

use std::path::Path;

use wasmtime::{
    Cache, CacheConfig, Collector, Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel,
    PoolingAllocationConfig, Strategy,
};

use crate::error::{KernelError, Result};
use crate::prices::operator_cost;

/// Version of the engine crate, part of receipts and of the report.
pub const ENGINE_VERSION: &str = "wasmtime 48.0.8";
/// Native stack of a guest that Wasm frames may use, bytes.
pub const WASM_STACK_BYTES_MAX: usize = 1 << 20;
/// Native stack of a guest's fibre: Wasm frames plus host calls, bytes.
pub const FIBRE_STACK_BYTES: usize = 2 << 20;
/// Elements a table may hold; at 8 bytes an element a slot reserves 16 MiB of address space.
pub const TABLE_ELEMENTS_MAX: usize = 2 << 20;
/// Tables a module may define.
pub const TABLES_PER_MODULE_MAX: u32 = 4;
/// Linear memories a module may define.
pub const MEMORIES_PER_MODULE_MAX: u32 = 1;
/// Bytes of an instance's engine-side record (functions, globals, tables).
const INSTANCE_BYTES_MAX: usize = 32 << 20;

/// Whether the code counts fuel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metering {
    /// Every operator is priced: what cells run.
    Fuel,
    /// Plain code: only to measure what metering costs.
    Off,
}

/// What an engine is made for.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions<'a> {
    /// Count fuel or not.
    pub metering: Metering,
    /// Guests alive at once; `None` allocates on demand (compilers, single measurements).
    pub guests_max: Option<u32>,
    /// Where compiled code is cached.
    pub cache: Option<&'a Cache>,
}

/// Builds an engine. Engines of equal `metering` accept each other's compiled code.
///
/// # Errors
/// [`KernelError::Engine`] when the host cannot reserve the address space or open the cache.
pub fn engine(options: EngineOptions<'_>) -> Result<Engine> {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_gc(false)
        .wasm_function_references(false)
        .wasm_exceptions(true)
        // Atomic operators on memories of one owner: real compilers emit them. Memories shared
        // between threads stay impossible (docs/decisions/0003-atomics-without-threads.md).
        .wasm_threads(true)
        .shared_memory(false)
        .collector(Collector::DeferredReferenceCounting)
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false)
        .max_wasm_stack(WASM_STACK_BYTES_MAX)
        .async_stack_size(FIBRE_STACK_BYTES)
        .consume_fuel(options.metering == Metering::Fuel);
    if options.metering == Metering::Fuel {
        config.operator_cost(operator_cost());
    }
    if let Some(cache) = options.cache {
        config.cache(Some(cache.clone()));
    }
    if let Some(guests_max) = options.guests_max {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(guests_max)));
    }
    Engine::new(&config).map_err(KernelError::engine)
}

/// Opens (or makes) the cache of compiled code in `directory`.
///
/// # Errors
/// [`KernelError::Engine`] when the folder cannot be made or read.
pub fn open_cache(directory: &Path) -> Result<Cache> {
    let mut cache = CacheConfig::new();
    cache.with_directory(directory);
    Cache::new(cache).map_err(KernelError::engine)
}

/// Slots of the pool, enough that no mix of admitted modules keeps another one from being born: a
/// guest has one memory, a heap for its exceptions, and up to four tables. Each memory and heap
/// reserves 4 GiB of address space, so 10,000 guests take 80 of 128 TiB.
fn pool(guests_max: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(guests_max)
        .total_memories(guests_max.saturating_mul(2))
        .total_tables(guests_max.saturating_mul(TABLES_PER_MODULE_MAX))
        .total_stacks(guests_max.saturating_add(1))
        .total_gc_heaps(guests_max)
        .max_tables_per_module(TABLES_PER_MODULE_MAX)
        .max_memories_per_module(MEMORIES_PER_MODULE_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_core_instance_size(INSTANCE_BYTES_MAX)
        .max_memory_size(1 << 32)
        .max_unused_warm_slots(64)
        .linear_memory_keep_resident(64 << 10)
        .table_keep_resident(16 << 10)
        .pagemap_scan(Enabled::Auto)
        .decommit_batch_size(8);
    pool
}
