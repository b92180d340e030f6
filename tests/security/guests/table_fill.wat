;; Grows a table to a million elements, or as far as it may, and fills it for ever: a bulk
;; operation that is not on memory.
(module
  (table $t 1 funcref)
  (memory (export "memory") 1)
  (func (export "_start")
    (drop (table.grow $t (ref.null func) (i32.const 1000000)))
    (loop $again
      (table.fill $t (i32.const 0) (ref.null func) (table.size $t))
      (br $again))))
