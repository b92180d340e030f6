;; Fills all of its memory, 256 MiB, with one bulk instruction, again and again: the longest
;; operation between two fuel checks. Other guests must still be scheduled, and the guest must pay
;; for each byte.
(module
  (memory (export "memory") 4096)
  (func (export "_start")
    (local $value i32)
    (loop $again
      (memory.fill (i32.const 0) (local.get $value) (i32.const 0x10000000))
      (local.set $value (i32.add (local.get $value) (i32.const 1)))
      (br $again))))
