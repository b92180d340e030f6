;; Exports no _start: there is nothing to run.
(module
  (memory (export "memory") 1)
  (func (export "main")))
