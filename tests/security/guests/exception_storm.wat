;; Throws and catches for ever: each exception is an object on the engine's heap, which must be
;; collected, bounded and paid for.
(module
  (tag $e (param i64))
  (memory (export "memory") 1)
  (func (export "_start")
    (loop $again
      (block $caught (result i64)
        (try_table (catch $e $caught) (throw $e (i64.const 1)))
        unreachable)
      drop
      (br $again))))
