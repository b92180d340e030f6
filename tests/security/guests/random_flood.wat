;; Asks for 64 MiB of random bytes a call, for ever: host work by the byte.
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 1025)
  (func (export "_start")
    (loop $again
      (drop (call $random (i32.const 0) (i32.const 0x04000000)))
      (br $again))))
