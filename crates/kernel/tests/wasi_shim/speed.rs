//! What a call costs. The bounds are loose, because tests run unoptimised on busy machines; the
//! number itself is printed by `cargo test --release -- --ignored --nocapture speed`.

use std::time::Instant;

use maxwell_kernel::wasi::WasiConfig;
use wasmtime::{Linker, Module, Store};

use super::harness::*;

const CALLS: u32 = 200_000;

/// A guest that makes one call [`CALLS`] times, so that entering the guest costs nothing.
fn per_call_ns(import: &str, call: &str) -> f64 {
    let text = format!(
        "(module {import} (memory (export \"memory\") 1)
           (data (i32.const 0) \"\\40\\00\\00\\00\\20\\00\\00\\00\")
           (func (export \"run\") (local $i i32)
             (loop $l
               {call} drop
               (local.set $i (i32.add (local.get $i) (i32.const 1)))
               (br_if $l (i32.lt_u (local.get $i) (i32.const {CALLS}))))))"
    );
    let engine = engine();
    let module = Module::new(&engine, wat::parse_str(text).unwrap()).unwrap();
    let mut store = Store::new(&engine, Guest::process(WasiConfig::default()));
    let mut linker = Linker::new(&engine);
    maxwell_kernel::wasi::add_to_linker(&mut linker).unwrap();
    let instance = finish(linker.instantiate_async(&mut store, &module)).unwrap();
    let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
    let start = Instant::now();
    finish(run.call_async(&mut store, ())).unwrap();
    let elapsed = start.elapsed();
    assert_eq!(store.data().charges.len(), CALLS as usize);
    elapsed.as_secs_f64() * 1e9 / f64::from(CALLS)
}

fn measure() -> [(&'static str, f64); 3] {
    let import = |name: &str, params: &str| {
        format!(
            "(import \"wasi_snapshot_preview1\" \"{name}\" (func $f (param {params}) (result i32)))"
        )
    };
    [
        (
            "clock_time_get",
            per_call_ns(
                &import("clock_time_get", "i32 i64 i32"),
                "(call $f (i32.const 1) (i64.const 0) (i32.const 128))",
            ),
        ),
        (
            "fd_write of 32 bytes",
            per_call_ns(
                &import("fd_write", "i32 i32 i32 i32"),
                "(call $f (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 128))",
            ),
        ),
        (
            "random_get of 16 bytes",
            per_call_ns(
                &import("random_get", "i32 i32"),
                "(call $f (i32.const 64) (i32.const 16))",
            ),
        ),
    ]
}

#[test]
fn small_calls_stay_small() {
    for (name, ns) in measure() {
        assert!(ns < 20_000.0, "{name} took {ns:.0} ns");
    }
}

#[test]
#[ignore = "a measurement: run it in release, alone, with --nocapture"]
fn report_speed() {
    for (name, ns) in measure() {
        println!("{name}: {ns:.0} ns");
    }
}
