"""Runs one WASI module on stock Wasmtime (the PyPI package) with fuel on, and meters it.

This is the yardstick beside Maxwell, never a part of it: `tools/prepare_fleet.py` can synthesise
with it where Maxwell is not built yet, and `tools/measure_fleet.py` takes solo costs from it. The
`maxwell` imports are answered by stand-ins: reports are accepted and counted, sleeps return at
once after `--sleeps` calls end the run, the rest returns constants.

Usage: `python tools/reference_runner.py [OPTIONS] MODULE.wasm [ARGUMENT ...]`
The guest's standard output and error pass through; the meters go as JSON to `--meters FILE`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import wasmtime

FUEL_MAX = 2**62
"""More than any run burns; fuel is counted, never a limit here."""

DEFAULT_CACHE = Path(__file__).resolve().parent.parent / ".cache" / "maxwell"

WASM_PAGE_BYTES = 65536

STAND_INS = {
    "balance": 20_000_000,
    "price": 1_000_000,
    "bid": 0,
    "urgency": 0,
    "believe": -44,
    "observe": -44,
    "discard": -52,
    "transfer": -44,
}
"""What each `maxwell` call without an effect here returns."""


@dataclass
class PaidLine:
    """One improvement of the objective, or one report, and what had been spent when it came."""

    text: str
    cpu_s: float
    fuel: int


@dataclass
class Meters:
    """What one run took. `cpu_s` is process CPU time of execution only, without compilation."""

    module: str
    exit_code: int = 0
    trap: str = ""
    compile_s: float = 0.0
    instantiate_s: float = 0.0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    fuel: int = 0
    memory_bytes_max: int = 0
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    stdout_lines: int = 0
    reports: int = 0
    sleeps: int = 0
    paid: list[PaidLine] = field(default_factory=list[PaidLine])


class Runner:
    """One module, one store, one run."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.meters = Meters(module=str(options.module))
        self.pattern = re.compile(options.pattern) if options.pattern else None
        self.best: float | None = None
        self.tails = {"stdout": b"", "stderr": b""}
        self.cpu_started = 0.0
        self.engine = wasmtime.Engine(self._config())
        self.store = wasmtime.Store(self.engine)

    @staticmethod
    def _config() -> wasmtime.Config:
        config = wasmtime.Config()
        config.consume_fuel = True
        config.wasm_exceptions = True
        config.max_wasm_stack = 1 << 20
        return config

    def load(self) -> wasmtime.Module:
        """Compiles the module, or loads it from the cache of compiled modules."""
        data = Path(self.options.module).read_bytes()
        digest = hashlib.sha256(data).hexdigest()[:32]
        version = getattr(wasmtime, "__version__", "unknown")
        cached = self.options.cache / "cwasm" / f"{digest}-wasmtime-{version}.cwasm"
        started = time.monotonic()
        if cached.is_file():
            try:
                return wasmtime.Module.deserialize_file(self.engine, str(cached))
            except wasmtime.WasmtimeError:
                cached.unlink()
        module = wasmtime.Module(self.engine, data)
        self.meters.compile_s = time.monotonic() - started
        cached.parent.mkdir(parents=True, exist_ok=True)
        partial = cached.with_suffix(f".{os.getpid()}.partial")
        partial.write_bytes(module.serialize())
        partial.replace(cached)
        return module

    def _spent(self) -> tuple[float, int]:
        return time.process_time() - self.cpu_started, FUEL_MAX - self.store.get_fuel()

    def _pay(self, text: str) -> None:
        cpu_s, fuel = self._spent()
        self.meters.paid.append(PaidLine(text, round(cpu_s, 4), fuel))

    def _score(self, line: bytes) -> None:
        if self.pattern is None:
            return
        found = self.pattern.search(line.decode("utf-8", "replace"))
        if found is None:
            return
        value = float(found.group(1))
        signed = value if self.options.direction == "down" else -value
        if self.best is None or signed < self.best:
            self.best = signed
            self._pay(found.group(1))

    def _write(self, stream: str, data: bytes) -> int:
        if stream == "stdout":
            self.meters.stdout_bytes += len(data)
            self.meters.stdout_lines += data.count(b"\n")
            if not self.options.quiet:
                sys.stdout.buffer.write(data)
        else:
            self.meters.stderr_bytes += len(data)
            if not self.options.quiet:
                sys.stderr.buffer.write(data)
        *lines, self.tails[stream] = (self.tails[stream] + data).split(b"\n")
        for line in lines:
            self._score(line)
        return len(data)

    def _write_stdout(self, data: bytes) -> int:
        return self._write("stdout", bytes(data))

    def _write_stderr(self, data: bytes) -> int:
        return self._write("stderr", bytes(data))

    def wasi(self) -> wasmtime.WasiConfig:
        """Builds the WASI context: arguments, environment, folders and metered output."""
        config = wasmtime.WasiConfig()
        config.argv = [Path(self.options.module).name, *self.options.arguments]
        config.env = [tuple(pair.split("=", 1)) for pair in self.options.env]
        for pair in self.options.dir:
            guest, host = pair.split("=", 1)
            writable = not host.endswith(":ro")
            config.preopen_dir(host.removesuffix(":ro"), guest, fs_mutable=writable)
        config.stdout_custom = self._write_stdout
        config.stderr_custom = self._write_stderr
        return config

    def _report(self, caller: wasmtime.Caller, start: int, length: int) -> int:
        memory = caller["memory"]
        assert isinstance(memory, wasmtime.Memory)
        text = bytes(memory.read(caller, start, start + length)).decode("utf-8", "replace")
        self.meters.reports += 1
        self._pay(text)
        return 0

    def _sleep(self, _ns: int) -> int:
        self.meters.sleeps += 1
        if self.meters.sleeps > self.options.sleeps:
            raise SleepsForEver
        return 0

    def define_maxwell(self, linker: wasmtime.Linker) -> None:
        """Defines the stand-ins for the `maxwell` import module."""
        i32, i64 = wasmtime.ValType.i32(), wasmtime.ValType.i64()

        def define(name: str, takes: list[wasmtime.ValType], gives: wasmtime.ValType) -> None:
            kind = wasmtime.FuncType(takes, [gives])
            answer = STAND_INS[name]
            linker.define_func("maxwell", name, kind, lambda *_arguments: answer)

        define("balance", [], i64)
        define("price", [], i64)
        define("bid", [i64], i32)
        define("urgency", [i32], i32)
        define("believe", [i32, i32, i32], i32)
        define("observe", [i32, i32, i32], i32)
        define("discard", [i32, i32], i32)
        define("transfer", [i32, i64], i32)
        kind = wasmtime.FuncType([i32, i32], [i32])
        linker.define_func("maxwell", "report", kind, self._report, access_caller=True)
        linker.define_func("maxwell", "sleep", wasmtime.FuncType([i64], [i32]), self._sleep)

    def run(self) -> Meters:
        """Runs the module's `_start` to its end."""
        module = self.load()
        self.store.set_fuel(FUEL_MAX)
        self.store.set_wasi(self.wasi())
        linker = wasmtime.Linker(self.engine)
        linker.define_wasi()
        self.define_maxwell(linker)
        started = time.monotonic()
        self.cpu_started = time.process_time()
        exports = None
        try:
            instance = linker.instantiate(self.store, module)
            self.meters.instantiate_s = time.monotonic() - started
            exports = instance.exports(self.store)
            started, self.cpu_started = time.monotonic(), time.process_time()
            start = exports["_start"]
            assert isinstance(start, wasmtime.Func)
            start(self.store)
        except wasmtime.ExitTrap as exit_trap:
            self.meters.exit_code = exit_trap.code
        except SleepsForEver:
            self.meters.trap = "sleeps for ever"
        except (wasmtime.Trap, wasmtime.WasmtimeError) as trap:
            self.meters.trap = str(trap).splitlines()[-1]
            self.meters.exit_code = 134
        cpu_s, self.meters.fuel = self._spent()
        self.meters.cpu_s = round(cpu_s, 4)
        self.meters.wall_s = round(time.monotonic() - started, 4)
        memory = exports.get("memory") if exports is not None else None
        if isinstance(memory, wasmtime.Memory):
            self.meters.memory_bytes_max = memory.size(self.store) * WASM_PAGE_BYTES
        return self.meters


class SleepsForEver(Exception):
    """Ends the run of a guest that has slept more often than `--sleeps`."""


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dir", action="append", default=[], metavar="GUEST=HOST[:ro]")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument(
        "--cache", type=Path, default=Path(os.environ.get("MAXWELL_CACHE_DIR", DEFAULT_CACHE))
    )
    parser.add_argument("--meters", type=Path, help="file for the meters, as JSON")
    parser.add_argument("--pattern", help="regular expression with one group: the objective")
    parser.add_argument("--direction", choices=("down", "up"), default="down")
    parser.add_argument("--sleeps", type=int, default=3, help="maxwell.sleep calls allowed")
    parser.add_argument("--quiet", action="store_true", help="drop the guest's output")
    parser.add_argument("module", type=Path)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Runs the module and returns its exit code."""
    options = parse(arguments)
    meters = Runner(options).run()
    if options.meters is not None:
        options.meters.write_text(json.dumps(asdict(meters), indent=1) + "\n", encoding="utf-8")
    sys.stdout.flush()
    if meters.trap:
        sys.stderr.write(f"\ntrap: {meters.trap}\n")
    return meters.exit_code


if __name__ == "__main__":
    exit_code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Skips the interpreter's shutdown: Wasmtime's output threads still hold callbacks then.
    os._exit(exit_code)
