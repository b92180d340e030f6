;; Uses a 64-bit memory, a proposal that is switched off: admission must refuse it.
(module
  (memory (export "memory") i64 1)
  (func (export "_start")))
