;; Grows by 16 MiB at a time and writes every page, for ever: memory that must be erased, and that
;; would make the host swap if it were not bounded.
(module
  (memory (export "memory") 1)
  (func (export "_start")
    (local $at i32) (local $end i32)
    (loop $more
      (drop (memory.grow (i32.const 256)))
      (local.set $end (i32.shl (memory.size) (i32.const 16)))
      (if (i32.lt_u (local.get $at) (local.get $end))
        (then
          (loop $touch
            (i32.store8 (local.get $at) (i32.const 0xa5))
            (local.set $at (i32.add (local.get $at) (i32.const 4096)))
            (br_if $touch (i32.lt_u (local.get $at) (local.get $end))))))
      (br $more))))
