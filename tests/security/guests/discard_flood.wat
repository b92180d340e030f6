;; Dirties and discards the same 16 MiB for ever: the rent saved must not be worth less than the
;; erasing it causes.
(module
  (import "maxwell" "discard" (func $discard (param i32 i32) (result i32)))
  (memory (export "memory") 257)
  (func (export "_start")
    (local $at i32)
    (loop $again
      (local.set $at (i32.const 0))
      (loop $touch
        (i32.store8 (local.get $at) (i32.const 1))
        (local.set $at (i32.add (local.get $at) (i32.const 4096)))
        (br_if $touch (i32.lt_u (local.get $at) (i32.const 0x01000000))))
      (drop (call $discard (i32.const 0) (i32.const 0x01000000)))
      (br $again))))
