;; Reads past the end of its memory, at the farthest address an instruction can name: guard pages
;; must hold.
(module
  (memory (export "memory") 1)
  (func (export "_start") (drop (i64.load offset=0xffffffff (i32.const -1)))))
