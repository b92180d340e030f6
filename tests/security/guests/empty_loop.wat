;; The smallest endless loop there is: one branch.
(module
  (memory (export "memory") 1)
  (func (export "_start") (loop $again (br $again))))
