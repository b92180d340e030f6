;; Demands 4 GiB of memory from the first moment: over any limit, so admission must refuse it
;; before it costs anything.
(module
  (memory (export "memory") 65536)
  (func (export "_start")))
