;; Calls through a table with the wrong signature.
(module
  (type $other (func (param i64)))
  (table 1 funcref)
  (elem (i32.const 0) $plain)
  (memory (export "memory") 1)
  (func $plain)
  (func (export "_start") (call_indirect (type $other) (i64.const 1) (i32.const 0))))
