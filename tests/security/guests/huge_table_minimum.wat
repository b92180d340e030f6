;; Demands a table of 200,000,000 elements from the first moment: admission must refuse it.
(module
  (table 200000000 funcref)
  (memory (export "memory") 1)
  (func (export "_start")))
