;; Reports the same prime, 2000000000003, for ever: a result must be paid once.
(module
  (import "maxwell" "report" (func $report (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "2000000000003")
  (func (export "_start")
    (loop $again
      (drop (call $report (i32.const 0) (i32.const 13)))
      (br $again))))
