"""How a guest of a baseline hands in results: a ring in WebAssembly, emptied once an epoch.

A host function in Python costs a guest 12 to 17 µs a call, one and a half per cent of what a prime
costs; Maxwell's costs it less than one microsecond. The baselines would look worse than they are.
So `report` is WebAssembly here: it copies the line into a ring of 4,096 slots, as many as Maxwell
lets wait, and a thread hands the ring on ten times a second, as a cell does at an epoch's end.

The guest's memory exists only when the guest is instantiated, and its imports must exist before.
The import is therefore a call through a table, which is filled afterwards.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import wasmtime

SLOTS: Final = 4_096
SLOT_BYTES: Final = 64
LINE_BYTES_MAX: Final = SLOT_BYTES - 4
"""A result of this experiment has 13 digits."""
HEADER_BYTES: Final = 65_536
"""The first page: the number of lines handed in, then the number of lines taken."""
DRAIN_S: Final = 0.1
"""An epoch."""
FLUSH: Final = signal.SIGUSR1
"""Asks a guest's process to hand on what is in its ring and then to stop."""

_TRAMPOLINE: Final = """(module
  (type $report (func (param i32 i32) (result i32)))
  (table (export "table") 1 1 funcref)
  (func (export "report") (type $report)
    (call_indirect (type $report) (local.get 0) (local.get 1) (i32.const 0))))"""

_RING: Final = f"""(module
  (import "guest" "memory" (memory $guest 0))
  (memory $ring (export "ring") 5 5)
  (func (export "report") (param $start i32) (param $bytes i32) (result i32)
    (local $head i32) (local $slot i32)
    (if (i32.gt_u (local.get $bytes) (i32.const {LINE_BYTES_MAX}))
      (then (return (i32.const -35))))
    (if (i64.gt_u
          (i64.add (i64.extend_i32_u (local.get $start)) (i64.extend_i32_u (local.get $bytes)))
          (i64.shl (i64.extend_i32_u (memory.size $guest)) (i64.const 16)))
      (then (return (i32.const -21))))
    (local.set $head (i32.load $ring (i32.const 0)))
    (if (i32.ge_u
          (i32.sub (local.get $head) (i32.load $ring (i32.const 4)))
          (i32.const {SLOTS}))
      (then (return (i32.const -6))))
    (local.set $slot (i32.add (i32.const {HEADER_BYTES})
      (i32.mul (i32.and (local.get $head) (i32.const {SLOTS - 1})) (i32.const {SLOT_BYTES}))))
    (i32.store $ring (local.get $slot) (local.get $bytes))
    (memory.copy $ring $guest
      (i32.add (local.get $slot) (i32.const 4)) (local.get $start) (local.get $bytes))
    (i32.store $ring (i32.const 0) (i32.add (local.get $head) (i32.const 1)))
    (i32.const 0)))"""


class ReportRing:
    """The `report` import of one guest.

    Args:
        engine: the guest's.
        store: the guest's.
    """

    def __init__(self, engine: wasmtime.Engine, store: wasmtime.Store) -> None:
        import wasmtime

        self._engine = engine
        self._store = store
        trampoline = wasmtime.Instance(store, wasmtime.Module(engine, _TRAMPOLINE), [])
        exports = trampoline.exports(store)
        report, table = exports["report"], exports["table"]
        assert isinstance(report, wasmtime.Func)
        assert isinstance(table, wasmtime.Table)
        self.function: Final = report
        """What the guest imports."""
        self._table = table
        self._memory: wasmtime.Memory | None = None
        self._base = 0
        self._taken = 0

    def bind(self, memory: wasmtime.Memory) -> None:
        """Names the guest's memory, once the guest is instantiated."""
        import wasmtime

        ring = wasmtime.Instance(self._store, wasmtime.Module(self._engine, _RING), [memory])
        exports = ring.exports(self._store)
        kept = exports["ring"]
        assert isinstance(kept, wasmtime.Memory)
        self._memory = kept
        # Its size is fixed, so that it stays where it is.
        self._base = ctypes.addressof(kept.data_ptr(self._store).contents)
        self._table.set(self._store, 0, exports["report"])

    def take(self) -> bytes:
        """Returns the lines handed in since the last call, each with a line end."""
        (handed_in,) = struct.unpack("<I", ctypes.string_at(self._base, 4))
        lines: list[bytes] = []
        while self._taken != handed_in:
            slot = self._base + HEADER_BYTES + self._taken % SLOTS * SLOT_BYTES
            (size,) = struct.unpack("<I", ctypes.string_at(slot, 4))
            line = ctypes.string_at(slot + 4, min(size, LINE_BYTES_MAX))
            lines.append(line.replace(b"\n", b" ") + b"\n")
            self._taken = (self._taken + 1) & 0xFFFF_FFFF
        # Only now may the guest write there again.
        ctypes.memmove(self._base + 4, struct.pack("<I", self._taken), 4)
        return b"".join(lines)


def hand_on(ring: ReportRing | None, descriptor: int) -> None:
    """Starts the thread that writes a ring to a pipe, ten times a second and when asked to.

    The guest runs without the interpreter's lock, which this thread therefore finds free. It is the
    one thread of our own in Python: the guest's own call never returns.

    Args:
        ring: the guest's; None for a guest that reports nothing.
        descriptor: the pipe, blocking. A reader that is behind makes the ring fill.
    """

    def work() -> None:
        if ring is None:
            signal.sigwait({FLUSH})
            os.kill(os.getpid(), signal.SIGSTOP)
        while ring is not None:
            # Not sigtimedwait: a process that is stopped in it may be told of a signal that never
            # came, when it goes on after the time limit.
            time.sleep(DRAIN_S)
            asked = FLUSH in signal.sigpending()
            rest = memoryview(ring.take())
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if asked:
                signal.sigwait({FLUSH})
                os.kill(os.getpid(), signal.SIGSTOP)

    threading.Thread(target=work, daemon=True).start()
