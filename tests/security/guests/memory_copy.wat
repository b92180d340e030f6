;; Copies one half of 256 MiB over the other, overlapping by a byte, for ever.
(module
  (memory (export "memory") 4096)
  (func (export "_start")
    (loop $again
      (memory.copy (i32.const 0x07ffffff) (i32.const 0) (i32.const 0x08000000))
      (br $again))))
