;; Bids and urges with every extreme value (exit 1 to 4 if a bad one is accepted), then computes
;; for ever under the highest bid. The price paid must never exceed what the purse holds, and no
;; arithmetic may overflow.
(module
  (import "maxwell" "bid" (func $bid (param i64) (result i32)))
  (import "maxwell" "urgency" (func $urgency (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (if (i32.ge_s (call $bid (i64.const -1)) (i32.const 0)) (then (call $exit (i32.const 1))))
    (if (i32.ge_s (call $bid (i64.const 0x8000000000000000)) (i32.const 0))
      (then (call $exit (i32.const 2))))
    (if (i32.ge_s (call $urgency (i32.const 1001)) (i32.const 0)) (then (call $exit (i32.const 3))))
    (if (i32.ge_s (call $urgency (i32.const -1)) (i32.const 0)) (then (call $exit (i32.const 4))))
    (drop (call $urgency (i32.const 1000)))
    (drop (call $bid (i64.const 1)))
    (drop (call $bid (i64.const 0)))
    (drop (call $bid (i64.const 0x7fffffffffffffff)))
    (loop $again (br $again))))
