"""One guest in one operating-system process, on the stock engine: what the baselines run.

The engine is the PyPI package `wasmtime`, with its defaults: Maxwell's prices of operators, its
slices and its purses have no part here. The `maxwell` imports do the least that lets a guest work:
`report` hands its line on (`maxwell.lab.report_ring`), `sleep` sleeps, the rest are constants.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.lab.report_ring import FLUSH, ReportRing, hand_on

if TYPE_CHECKING:
    from collections.abc import Callable

    import wasmtime

FUEL_MAX: Final = 1 << 62
"""More than a guest burns in a year: fuel is counted, never a limit here."""
_ENOENT: Final = 44
_ENOSYS: Final = 52

_CONSTANTS: Final[dict[str, tuple[str, str, int]]] = {
    "balance": ("", "I", 500_000),
    "price": ("", "I", 1_000_000),
    "bid": ("I", "i", 0),
    "urgency": ("i", "i", 0),
    "believe": ("iii", "i", -_ENOENT),
    "observe": ("iii", "i", -_ENOENT),
    "discard": ("ii", "i", -_ENOSYS),
    "transfer": ("iI", "i", -_ENOENT),
}
"""Parameters, result (`i` of 32 bits, `I` of 64) and answer of the calls without an effect."""


class GuestOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a guest process is told."""

    name: str
    module: str
    """Path of the module."""
    args: tuple[str, ...]
    core: int
    report_fd: int
    folders: tuple[tuple[str, str], ...] = ()
    """Read-only folders: path inside, path outside."""


class Engine:
    """The engine and its compiled modules; made once, before processes are forked."""

    def __init__(self, *, metered: bool) -> None:
        import wasmtime

        config = wasmtime.Config()
        config.consume_fuel = metered
        # A thread pool does not survive a fork.
        config.parallel_compilation = False
        self._metered = metered
        self._engine = wasmtime.Engine(config)
        self._modules: dict[str, wasmtime.Module] = {}

    def compile(self, path: str) -> None:
        """Compiles a module, once."""
        import wasmtime

        if path not in self._modules:
            self._modules[path] = wasmtime.Module(self._engine, Path(path).read_bytes())

    def run(self, order: GuestOrder) -> None:
        """Prepares a guest, waits for SIGCONT, and runs it to its end."""
        import wasmtime

        # Before the engine makes threads, which keep the mask that they were made with.
        signal.pthread_sigmask(signal.SIG_BLOCK, {FLUSH})
        store = wasmtime.Store(self._engine)
        if self._metered:
            store.set_fuel(FUEL_MAX)
        wasi = wasmtime.WasiConfig()
        wasi.argv = [order.name, *order.args]
        for inside, outside in order.folders:
            wasi.preopen_dir(outside, inside, fs_mutable=False)
        store.set_wasi(wasi)
        linker = wasmtime.Linker(self._engine)
        linker.define_wasi()
        _define_maxwell(linker)
        module = self._modules[order.module]
        ring = None
        if any(item.module == "maxwell" and item.name == "report" for item in module.imports):
            ring = ReportRing(self._engine, store)
            linker.define(store, "maxwell", "report", ring.function)
        instance = linker.instantiate(store, module)
        if ring is not None:
            memory = instance.exports(store)["memory"]
            assert isinstance(memory, wasmtime.Memory)
            ring.bind(memory)
        hand_on(ring, order.report_fd)
        start = instance.exports(store)["_start"]
        assert isinstance(start, wasmtime.Func)
        # From here on the experiment's clocks run: the parent notes them while this process stands.
        os.kill(os.getpid(), signal.SIGSTOP)
        try:
            start(store)
        except wasmtime.ExitTrap as end:
            if end.code:
                raise


def _define_maxwell(linker: wasmtime.Linker) -> None:
    import wasmtime

    kinds = {"i": wasmtime.ValType.i32(), "I": wasmtime.ValType.i64()}

    def define(name: str, takes: str, gives: str, call: Callable[..., int]) -> None:
        kind = wasmtime.FuncType([kinds[letter] for letter in takes], [kinds[gives]])
        linker.define_func("maxwell", name, kind, call)

    for name, (takes, gives, answer) in _CONSTANTS.items():
        define(name, takes, gives, _constant(answer))

    def sleep(ns: int) -> int:
        if ns > 0:
            time.sleep(ns / 1e9)
        return 0

    define("sleep", "I", "i", sleep)


def _constant(answer: int) -> Callable[..., int]:
    """Returns a host function that always answers the same."""

    def call(*_: object) -> int:
        return answer

    return call
