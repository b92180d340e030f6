;; Imports a function that no host offers: admission must refuse it and name the import.
(module
  (import "env" "open_vault" (func $open (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (drop (call $open (i32.const 1)))))
