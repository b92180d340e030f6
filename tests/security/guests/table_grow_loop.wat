;; Grows a table by 1,024 elements for ever: tables are memory too, and pay rent.
(module
  (table $t 1 funcref)
  (memory (export "memory") 1)
  (func (export "_start")
    (loop $again
      (drop (table.grow $t (ref.null func) (i32.const 1024)))
      (br $again))))
