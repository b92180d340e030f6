;; Waits for ever on an atomic of its own, unshared memory. nextpnr needs the atomic instructions of
;; the threads proposal, so they are on; but a wait would block a whole cell, and must trap instead.
(module
  (memory (export "memory") 1)
  (func (export "_start")
    (drop (memory.atomic.notify (i32.const 0) (i32.const -1)))
    (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))))
