;; Uses a shared memory (threads), which is switched off: admission must refuse it.
(module
  (memory (export "memory") 1 2 shared)
  (func (export "_start")))
