;; Passes unaligned, overflowing and out-of-range pointers and lengths to every import: 38 calls.
;; Each must fail with an error, without a trap, reading or writing nothing elsewhere. Exits with
;; the number of the first call that succeeded, 0 when all failed.
(module
  (import "maxwell" "report"
    (func $report (param i32 i32) (result i32)))
  (import "maxwell" "believe"
    (func $believe (param i32 i32 i32) (result i32)))
  (import "maxwell" "observe"
    (func $observe (param i32 i32 i32) (result i32)))
  (import "maxwell" "discard"
    (func $discard (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get"
    (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get"
    (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get"
    (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get"
    (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get"
    (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get"
    (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1 1)
  ;; At 16 a good iovec (8 bytes at 64), at 32 one that starts inside and ends outside.
  (data (i32.const 16) "\40\00\00\00\08\00\00\00")
  (data (i32.const 32) "\fc\ff\00\00\08\00\00\00")
  ;; A maxwell call fails with a negative result, a WASI call with a non-zero one.
  (func $refused (param $number i32) (param $result i32)
    (if (i32.ge_s (local.get $result) (i32.const 0)) (then (call $exit (local.get $number)))))
  (func $failed (param $number i32) (param $result i32)
    (if (i32.eqz (local.get $result)) (then (call $exit (local.get $number)))))
  (func (export "_start")
    (call $refused (i32.const 1) (call $report (i32.const -1) (i32.const 1)))
    (call $refused (i32.const 2) (call $report (i32.const 65535) (i32.const 2)))
    (call $refused (i32.const 3) (call $report (i32.const 65536) (i32.const 1)))
    (call $refused (i32.const 4) (call $report (i32.const 0) (i32.const 4097)))
    (call $refused (i32.const 5) (call $report (i32.const 0) (i32.const -1)))
    (call $refused (i32.const 6) (call $report (i32.const -4096) (i32.const 4096)))
    (call $refused (i32.const 7) (call $believe (i32.const 0) (i32.const -4) (i32.const 8)))
    (call $refused (i32.const 8) (call $believe (i32.const -1) (i32.const 0) (i32.const 3)))
    (call $refused (i32.const 9) (call $believe (i32.const 0) (i32.const 65533) (i32.const 8)))
    (call $refused (i32.const 10) (call $observe (i32.const 0) (i32.const 65535) (i32.const 2)))
    (call $refused (i32.const 11) (call $observe (i32.const -1) (i32.const 0) (i32.const -1)))
    (call $refused (i32.const 12) (call $discard (i32.const -4096) (i32.const 8192)))
    (call $refused (i32.const 13) (call $discard (i32.const 61440) (i32.const 8192)))
    (call $refused (i32.const 14) (call $discard (i32.const 0) (i32.const -1)))
    (call $failed (i32.const 15)
      (call $fd_write (i32.const 1) (i32.const 65532) (i32.const 1) (i32.const 0)))
    (call $failed (i32.const 16)
      (call $fd_write (i32.const 1) (i32.const 0) (i32.const -1) (i32.const 0)))
    (call $failed (i32.const 17)
      (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const -2)))
    (call $failed (i32.const 18)
      (call $fd_write (i32.const 1) (i32.const 17) (i32.const 0x10000000) (i32.const 3)))
    (call $failed (i32.const 19)
      (call $fd_write (i32.const 1) (i32.const 32) (i32.const 1) (i32.const 8)))
    (call $failed (i32.const 20)
      (call $fd_write (i32.const -1) (i32.const 16) (i32.const 1) (i32.const 8)))
    (call $failed (i32.const 21)
      (call $fd_read (i32.const 0) (i32.const 65535) (i32.const 1) (i32.const 0)))
    (call $failed (i32.const 22)
      (call $fd_read (i32.const 0) (i32.const 32) (i32.const 1) (i32.const 8)))
    (call $failed (i32.const 23)
      (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 65529)))
    (call $failed (i32.const 24)
      (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const -1)))
    (call $failed (i32.const 25)
      (call $clock_time_get (i32.const 99) (i64.const 0) (i32.const 0)))
    (call $failed (i32.const 26) (call $random_get (i32.const 65535) (i32.const 2)))
    (call $failed (i32.const 27) (call $random_get (i32.const 1) (i32.const -1)))
    (call $failed (i32.const 28) (call $args_get (i32.const -1) (i32.const 65535)))
    (call $failed (i32.const 29) (call $args_sizes_get (i32.const 65533) (i32.const 0)))
    (call $failed (i32.const 30) (call $args_sizes_get (i32.const 0) (i32.const -3)))
    (call $failed (i32.const 31) (call $environ_sizes_get (i32.const -1) (i32.const -1)))
    (call $failed (i32.const 32)
      (call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 8)))
    (call $failed (i32.const 33)
      (call $poll_oneoff (i32.const 65500) (i32.const 0) (i32.const 1) (i32.const 8)))
    (call $failed (i32.const 34)
      (call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 8)))
    (call $failed (i32.const 35)
      (call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const 0x05555556) (i32.const 8)))
    (call $failed (i32.const 36) (call $fd_prestat_get (i32.const -1) (i32.const 0)))
    (call $failed (i32.const 37)
      (call $path_open (i32.const 3) (i32.const 0) (i32.const -1) (i32.const 10) (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 8)))
    (call $failed (i32.const 38)
      (call $path_open (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 65535) (i32.const 0) (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 8)))
    (call $exit (i32.const 0))))
