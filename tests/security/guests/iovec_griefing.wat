;; Writes 8,191 empty iovecs a call, for ever: host work that moves no byte. It must cost fuel by
;; the vector.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "_start")
    (loop $again
      (drop (call $write (i32.const 1) (i32.const 65536) (i32.const 8191) (i32.const 0)))
      (br $again))))
