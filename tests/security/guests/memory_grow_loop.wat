;; Grows memory by one page for ever, ignoring refusals. Growth must stop at the limit or at what
;; bond and rent afford; the calls themselves must be paid for.
(module
  (memory (export "memory") 1)
  (func (export "_start")
    (loop $more
      (drop (memory.grow (i32.const 1)))
      (br $more))))
