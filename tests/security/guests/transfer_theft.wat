;; Tries to mint by transfers: negative amounts, more than it has, to processes that do not exist.
;; Exits with the number of the first call that succeeded, 0 when none did.
(module
  (import "maxwell" "transfer" (func $transfer (param i32 i64) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func $try (param $number i32) (param $process i32) (param $credits i64)
    (if (i32.ge_s (call $transfer (local.get $process) (local.get $credits)) (i32.const 0))
      (then (call $exit (local.get $number)))))
  (func (export "_start")
    (call $try (i32.const 1) (i32.const 0) (i64.const -1))
    (call $try (i32.const 2) (i32.const 1) (i64.const -1000000))
    (call $try (i32.const 3) (i32.const 1) (i64.const 0x8000000000000000))
    (call $try (i32.const 4) (i32.const 1) (i64.const 0x7fffffffffffffff))
    (call $try (i32.const 5) (i32.const -1) (i64.const 1))
    (call $try (i32.const 6) (i32.const 0x7fffffff) (i64.const 1))
    (call $exit (i32.const 0))))
