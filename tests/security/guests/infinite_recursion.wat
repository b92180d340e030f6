;; Calls itself without end and without arguments. Must end as a trap (stack exhausted) of this
;; guest alone; the host's stack must not grow with it.
(module
  (func $again (export "_start")
    (call $again)))
