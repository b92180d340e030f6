;; Reports a different worthless line of the greatest length, 4,096 bytes, for ever. Queues to the
;; resolver must stay bounded, and nothing must be paid.
(module
  (import "maxwell" "report" (func $report (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (memory.fill (i32.const 0) (i32.const 0x39) (i32.const 4096))
    (loop $again
      (i64.store (i32.const 0) (i64.add (i64.load (i32.const 0)) (i64.const 1)))
      (drop (call $report (i32.const 0) (i32.const 4096)))
      (br $again))))
