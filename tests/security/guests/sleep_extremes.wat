;; Sleeps for negative times, which must fail at once (exit 1 or 2 if not), and ends in the longest
;; sleep there is, which must not overflow: only its deadline or its rent may end it.
(module
  (import "maxwell" "sleep" (func $sleep (param i64) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (if (i32.ge_s (call $sleep (i64.const -1)) (i32.const 0)) (then (call $exit (i32.const 1))))
    (if (i32.ge_s (call $sleep (i64.const 0x8000000000000000)) (i32.const 0))
      (then (call $exit (i32.const 2))))
    (loop $again
      (drop (call $sleep (i64.const 0x7fffffffffffffff)))
      (br $again))))
