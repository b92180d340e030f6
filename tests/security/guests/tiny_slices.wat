;; Gives up every slice after a few instructions (sched_yield, sleep 0, sleep 1 ns): makes the host
;; switch as often as it can. The energy of switching must be in the guest's bill.
(module
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (import "maxwell" "sleep" (func $sleep (param i64) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (loop $again
      (drop (call $yield))
      (drop (call $sleep (i64.const 0)))
      (drop (call $sleep (i64.const 1)))
      (br $again))))
