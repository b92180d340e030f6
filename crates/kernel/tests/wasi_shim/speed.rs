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
    for deterministic in [false, true] {
        for (name, us) in measure_largest(deterministic) {
            println!("{name}, deterministic {deterministic}: {us:.0} us");
        }
    }
}

/// The longest that single calls take a cell away from its other guests.
fn measure_largest(deterministic: bool) -> Vec<(&'static str, f64)> {
    let mut sandbox = Sandbox::with(|config| config.deterministic = deterministic);
    std::fs::write(sandbox.host("file"), vec![1; 2 << 20]).unwrap();
    std::fs::create_dir(sandbox.host("a")).unwrap();
    std::os::unix::fs::symlink(".", sandbox.host("l")).unwrap();
    std::fs::create_dir(sandbox.host("many")).unwrap();
    for index in 0..14_000 {
        std::fs::write(sandbox.host(&format!("many/{index:0240}")), "").unwrap();
    }
    let guest = &mut sandbox.guest;
    let fd = i64::from(guest.open("file", 0, READ | WRITE).unwrap());
    let many = i64::from(guest.open("many", DIRECTORY, READ).unwrap());
    let (buffer, vectors, result) = (i64::from(BUFFER), i64::from(VECTORS), i64::from(RESULT));
    guest.put_vectors(&[(BUFFER, 1 << 20)]);
    let mut timed = |name, call: &str, args: &[i64]| {
        let start = Instant::now();
        assert_eq!(guest.call(call, args), SUCCESS, "{name}");
        (name, start.elapsed().as_secs_f64() * 1e6)
    };
    let mut times = vec![
        timed("random_get of 1 MiB", "random_get", &[buffer, 1 << 20]),
        timed("fd_read of 1 MiB", "fd_read", &[fd, vectors, 1, result]),
        timed("fd_pwrite of 1 MiB", "fd_pwrite", &[fd, vectors, 1, 0, result]),
        timed("fd_write of 1 MiB to stdout", "fd_write", &[1, vectors, 1, result]),
        timed("fd_readdir of 14,000 names", "fd_readdir", &[many, buffer, 1 << 20, 0, result]),
        timed("fd_allocate of 32 MiB", "fd_allocate", &[fd, 0, 32 << 20]),
    ];
    let deep = "a/../".repeat(816) + "l/l/l/l/l/file";
    let [pointer, length] = guest.path(&deep);
    let mut timed = |name, call: &str, args: &[i64]| {
        let start = Instant::now();
        assert_eq!(guest.call(call, args), SUCCESS, "{name}");
        (name, start.elapsed().as_secs_f64() * 1e6)
    };
    let stat = [3, 1, pointer, length, result];
    times.push(timed("path_filestat_get of 4 KiB", "path_filestat_get", &stat));
    let set = [3, 1, pointer, length, 0, 0, 1];
    times.push(timed("path_filestat_set_times of 4 KiB", "path_filestat_set_times", &set));
    let open = [3, 1, pointer, length, 0, READ, 0, 0, result];
    times.push(timed("path_open of 4 KiB", "path_open", &open));
    times
}
