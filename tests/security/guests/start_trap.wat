;; Traps in the start function: a failed start of one guest, nothing else.
(module
  (func $trap unreachable)
  (start $trap)
  (func (export "_start")))
