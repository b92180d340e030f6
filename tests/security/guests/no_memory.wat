;; Calls an import that reads memory without having any: the call must fail (exit 1 if it does not)
;; or the module be refused; the host must not crash.
(module
  (import "maxwell" "report" (func $report (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (func (export "_start")
    (call $exit (i32.ge_s (call $report (i32.const 0) (i32.const 1)) (i32.const 0)))))
