;; Imports maxwell.report with a wrong type: admission must refuse it.
(module
  (import "maxwell" "report" (func $report (param i64 i64) (result i64)))
  (memory (export "memory") 1)
  (func (export "_start") (drop (call $report (i64.const 0) (i64.const 1)))))
