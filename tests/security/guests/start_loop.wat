;; Loops in the start function, before instantiation has finished: it must be metered and killed
;; like any other code.
(module
  (memory (export "memory") 1)
  (func $loop (loop $again (br $again)))
  (start $loop)
  (func (export "_start")))
