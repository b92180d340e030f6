;; Chains exceptions, each holding the one before: a heap that no collector can shrink. It must be
;; bounded and end in this guest's trap or death.
(module
  (tag $e (param exnref))
  (memory (export "memory") 1)
  (func (export "_start")
    (local $last exnref)
    (loop $again
      (block $caught (result exnref exnref)
        (try_table (catch_ref $e $caught) (throw $e (local.get $last)))
        unreachable)
      (local.set $last)
      drop
      (br $again))))
