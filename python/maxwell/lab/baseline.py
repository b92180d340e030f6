"""A baseline: the same guests, one operating-system process each, under a scheduler without prices.

What is compared with the market is counted here as there: joules are the CPU time of the processes
that run guests times core power, from the moment that all are ready; results are what the same
resolver accepts. The parent's own time (reading reports, verifying, scheduling) is `control_uj`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.errors import LabError
from maxwell.lab.plan import FOLDER, MODULES
from maxwell.lab.result import GuestResult, Side
from maxwell.lab.schedulers import TICK_NS
from maxwell.lab.wasm_process import GuestOrder
from maxwell.lab.worker import Worker
from maxwell.lab.zygote import Order, Started
from maxwell.market.lines import LineJoiner
from maxwell.modules import resolve_module
from maxwell.node.place import child_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from maxwell.energy import EnergyModel
    from maxwell.lab.plan import GuestSpec, Plan
    from maxwell.lab.result import SideName
    from maxwell.lab.schedulers import Scheduler
    from maxwell.lab.sponsor import Sponsor

READY_S_MAX: Final = 60.0
"""Loading the engine and compiling four small modules takes a second on a busy machine."""
CHECK_NS: Final = 1_000_000_000
"""How often it is checked that every process lives; guests of this experiment never end."""
SHOW_NS: Final = 100_000_000
READ_NS: Final = 100_000_000
"""How often reports are read and paid: an epoch, as in the market."""
STALL_S: Final = 60.0
"""A side whose processes get no time at all for so long will not end."""
_READ_BYTES: Final = 1 << 16
_STDERR_BYTES: Final = 4_096


class Baseline:
    """One side without a market. Use as a context manager; processes are gone at its end.

    Args:
        name: of the side.
        plan: what runs.
        model: what a second of CPU time costs.
        sponsor: judges results.
        scheduler: gives out the cores.
        metered: whether the engine counts fuel.
        folder: the list of paid results is in it.
    """

    def __init__(
        self,
        name: SideName,
        plan: Plan,
        *,
        model: EnergyModel,
        sponsor: Sponsor,
        scheduler: Scheduler,
        metered: bool,
        folder: Path,
    ) -> None:
        self._name: SideName = name
        self._plan = plan
        self._model = model
        self._sponsor = sponsor
        self._scheduler = scheduler
        self._metered = metered
        self._folder = folder
        self._stack = ExitStack()
        self._workers: list[Worker] = []
        self._joiners: dict[int, LineJoiner] = {}

    def run(self, on_joules: Callable[[int], None]) -> Side:
        """Runs until the plan's joules are burned, or nobody runs any more.

        Args:
            on_joules: called about ten times a second with the µJ burned so far.

        Raises:
            LabError: MX1951 when a process could not be started or ended by itself.
        """
        control_start_ns = time.process_time_ns()
        with self._stack:
            self._start()
            self._stack.callback(self._scheduler.close)
            # Closed before the scheduler: control groups can be removed when their processes are
            # gone.
            self._stack.callback(self._kill)
            started_ns = time.monotonic_ns()
            self._loop(on_joules)
            self._flush()
            wall_ns = time.monotonic_ns() - started_ns
            used_ns = [worker.cpu_ns() for worker in self._workers]
            startup_ns = sum(worker.startup_ns for worker in self._workers)
        control_ns = time.process_time_ns() - control_start_ns + startup_ns + self._zygote_ns
        return self._side(used_ns, wall_ns, control_ns)

    # Start.

    def _start(self) -> None:
        cores = sorted(os.sched_getaffinity(0))
        guests = self._plan.guests()
        pipes = [os.pipe() for _ in guests]
        for read_fd, write_fd in pipes:
            self._stack.callback(os.close, read_fd)
            os.set_blocking(read_fd, False)
            os.set_inheritable(write_fd, True)
        orders = tuple(
            self._order(guest, cores[guest.lane], write_fd)
            for guest, (_, write_fd) in zip(guests, pipes, strict=True)
        )
        ours, theirs = socket.socketpair()
        self._control = ours
        self._stack.callback(ours.close)
        write_fds = [write_fd for _, write_fd in pipes]
        with theirs:
            self._zygote = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [
                    sys.executable,
                    "-m",
                    "maxwell.lab.zygote",
                    str(theirs.fileno()),
                    str(os.getpid()),
                ],
                pass_fds=(theirs.fileno(), *write_fds),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=child_environment(),
                start_new_session=True,
            )
        self._zygote_ns = 0
        self._stack.callback(self._kill)
        for write_fd in write_fds:
            os.close(write_fd)
        order = msgspec.json.encode(Order(metered=self._metered, guests=orders))
        with suppress(BrokenPipeError, ConnectionResetError):
            ours.sendall(len(order).to_bytes(4, "big") + order)
        pids = self._await_pids()
        for guest, pid, (read_fd, _) in zip(guests, pids, pipes, strict=True):
            self._workers.append(Worker(guest, pid, read_fd))
            self._joiners[pid] = LineJoiner()
        self._await_stopped("is not ready in time")
        for worker in self._workers:
            worker.zero()

    def _order(self, guest: GuestSpec, core: int, write_fd: int) -> GuestOrder:
        return GuestOrder(
            name=guest.name,
            module=str(resolve_module(MODULES[guest.kind], Path.cwd())),
            args=guest.args,
            core=core,
            report_fd=write_fd,
            folders=((FOLDER, str(self._folder)),) if guest.kind == "imitator" else (),
        )

    def _await_pids(self) -> tuple[int, ...]:
        self._control.settimeout(READY_S_MAX)
        data = b""
        try:
            while not data.endswith(b"\n"):
                piece = self._control.recv(_READ_BYTES)
                if not piece:
                    raise self._failed("the engine did not start")
                data += piece
        except TimeoutError:
            raise self._failed("the engine is not ready in time") from None
        except ConnectionResetError:
            raise self._failed("the engine did not start") from None
        return msgspec.json.decode(data, type=Started).pids

    # The run.

    def _loop(self, on_joules: Callable[[int], None]) -> None:
        lanes: list[list[Worker]] = [[] for _ in range(self._plan.cores)]
        for worker in self._workers:
            lanes[worker.spec.lane].append(worker)
        next_tick = next_read = next_show = next_check = time.monotonic_ns()
        best_uj, moved_s = 0, time.monotonic()
        self._scheduler.start(lanes)
        while True:
            # Nobody waits on the pipes: a waiter would have to be woken by every report, and the
            # reporting guest would pay for it. A pipe holds four thousand.
            time.sleep(max(0, next_tick - time.monotonic_ns()) / 1e9)
            now = time.monotonic_ns()
            next_tick = max(next_tick + TICK_NS, now)
            if not self._scheduler.tick(now):
                return
            burned_uj = self._energy_uj(sum(worker.cpu_ns() for worker in self._workers))
            if burned_uj >= self._plan.target_uj:
                return
            if burned_uj > best_uj:
                best_uj, moved_s = burned_uj, time.monotonic()
            elif time.monotonic() - moved_s > STALL_S:
                raise self._failed(f"no process got any time for {STALL_S:.0f} s")
            if now >= next_read:
                next_read = now + READ_NS
                self._read()
            if now >= next_show:
                next_show = now + SHOW_NS
                on_joules(burned_uj)
            if now >= next_check:
                next_check = now + CHECK_NS
                self._check_alive(self._workers)

    def _flush(self) -> None:
        """Stops all processes; who ran hands on its last results first, and its time counts."""
        for worker in self._workers:
            if worker.outcome == "survived":
                worker.flush()
        self._await_stopped("does not stop")
        while self._read():
            pass

    def _await_stopped(self, complaint: str) -> None:
        """Waits until every process has stopped itself, and keeps their pipes from filling up."""
        deadline = time.monotonic() + READY_S_MAX
        waiting = list(self._workers)
        while waiting:
            waiting = [worker for worker in waiting if worker.state() != "T"]
            self._check_alive(waiting)
            if time.monotonic() > deadline:
                raise self._failed(f"{waiting[0].spec.name} {complaint}")
            if waiting:
                self._read()
                time.sleep(0.002)

    def _check_alive(self, workers: list[Worker]) -> None:
        for worker in workers:
            if worker.state() in {"Z", "X"}:
                raise self._failed(f"{worker.spec.name} ended by itself")

    def _read(self) -> bool:
        """Judges what processes have reported, 64 KiB each; False when there was nothing.

        Bounded: a guest that reports faster than a busy machine lets us judge must not keep the
        scheduler from its ticks.
        """
        found = False
        for worker in self._workers:
            try:
                data = os.read(worker.read_fd, _READ_BYTES)
            except BlockingIOError:
                continue
            found = found or bool(data)
            for line in self._joiners[worker.pid].feed(data):
                self._sponsor.judge(worker.spec.name, line)
        return found

    # The end.

    def _kill(self) -> None:
        """Ends the whole session at once, and waits for the one process that is our child."""
        if self._zygote.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._zygote.pid, signal.SIGKILL)
        if self._zygote.stderr is not None and not self._zygote.stderr.closed:
            self._zygote.wait()
            self._zygote.stderr.close()

    def _failed(self, what: str) -> LabError:
        """Makes the error of a process that did not do its part, with its last words."""
        with suppress(ProcessLookupError):
            os.killpg(self._zygote.pid, signal.SIGKILL)
        assert self._zygote.stderr is not None
        said = self._zygote.stderr.read(_STDERR_BYTES).decode("utf-8", "replace").strip()
        last = said.rpartition("\n")[2]
        return LabError(
            f"lab: side {self._name!r}: {what}" + (f": {last}" if last else ""),
            code="MX1951",
            hint="the machine may be short of memory or of processes; `maxwell doctor` shows it",
        )

    def _energy_uj(self, cpu_ns: int) -> int:
        return self._model.cpu_energy_uj(cpu_ns)

    def _side(self, used_ns: list[int], wall_ns: int, control_ns: int) -> Side:
        guests = tuple(
            GuestResult(
                name=worker.spec.name,
                kind=worker.spec.kind,
                outcome=worker.outcome,
                energy_uj=self._energy_uj(ns),
                results=len(self._sponsor.paid.get(worker.spec.name, ())),
                wrong=self._sponsor.wrong[worker.spec.name],
            )
            for worker, ns in zip(self._workers, used_ns, strict=True)
        )
        parasites_ns = sum(
            ns for worker, ns in zip(self._workers, used_ns, strict=True) if worker.spec.is_parasite
        )
        return Side(
            side=self._name,
            scheduler=self._scheduler.words,
            results=self._sponsor.results,
            energy_uj=self._energy_uj(sum(used_ns)),
            control_uj=self._energy_uj(control_ns),
            parasites_uj=self._energy_uj(parasites_ns),
            wall_ns=wall_ns,
            guests=guests,
        )
