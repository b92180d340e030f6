"""The node's side of its prover: jobs one after the other, so that the node's loop never waits.

A thread hands jobs to the prover's process and takes the answers; a process that died is started
again, and its job is answered with MX1730.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from maxwell.energy.cpu_time import ProcessCpuClock
from maxwell.inference.jobs import Done, Job, receive, send

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

RESTARTS_MAX: Final = 16
"""A prover that died so often is given up: every further job fails."""
JOB_S_MAX: Final = 120.0
"""A job that takes longer is ended with its prover."""
END_S: Final = 5.0
LOOK_S: Final = 0.1
"""A signal handler may not wake the waiting thread through a lock that this may hold."""

Key: TypeAlias = tuple[int, int]
"""Process, and the number of what it asked."""


class Prover:
    """Does jobs in another process. `fileno` becomes readable when `take` has something.

    Args:
        folder: a model store with the models.
        digests: the models.
        environ: of the process.
        memory_bytes: that the process may have; beyond them it fails, and the node does not.
    """

    def __init__(
        self,
        folder: Path,
        digests: Sequence[str],
        environ: Mapping[str, str],
        *,
        memory_bytes: int,
    ) -> None:
        self._arguments = [str(memory_bytes), str(folder), *digests]
        self._environ = dict(environ)
        self._first: deque[tuple[Key, Job]] = deque()
        self._lanes: dict[str, deque[tuple[Key, Job]]] = {}
        self._done: deque[tuple[Key, Done]] = deque()
        self._running: Key | None = None
        self._changed = threading.Condition()
        self._restarts = 0
        self._closing = False
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._decoder = msgspec.msgpack.Decoder(Done)
        self._start()
        self._thread = threading.Thread(target=self._serve, name="maxwell-prover", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        """Descriptor to wait on."""
        return self._wake_read

    def ask(self, key: Key, job: Job, *, lane: str, first: bool = False) -> None:
        """Takes a job.

        Args:
            key: to know it by.
            job: what to do.
            lane: whose; lanes take turns, so that nobody waits for all of another's.
            first: before all that wait.
        """
        with self._changed:
            if first:
                self._first.append((key, job))
            else:
                self._lanes.setdefault(lane, deque()).append((key, job))
            self._changed.notify_all()

    def take(self) -> list[tuple[Key, Done]]:
        """Returns the jobs that were done since the last call."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        with self._changed:
            done = list(self._done)
            self._done.clear()
        return done

    def cancel(self, key: Key) -> tuple[Done | None, bool]:
        """Takes a job back.

        Returns:
            What came of it if it is done, and whether it runs; what comes of it then must be
            ignored.
        """
        with self._changed:
            for waiting in (self._first, *self._lanes.values()):
                for item in [item for item in waiting if item[0] == key]:
                    waiting.remove(item)
            for item in self._done:
                if item[0] == key:
                    self._done.remove(item)
                    return item[1], False
            return None, self._running == key

    def finish(self, key: Key, *, give_up: Callable[[], bool] = bool) -> Done | None:
        """Waits for a job that was asked and not taken, and takes it.

        Args:
            key: of the job.
            give_up: looked at ten times a second, for a signal that came meanwhile.

        Returns:
            What came of it, or None when the wait was given up.
        """
        with self._changed:
            while not give_up():
                for item in self._done:
                    if item[0] == key:
                        self._done.remove(item)
                        return item[1]
                self._changed.wait(LOOK_S)
        return None

    def cpu_ns(self) -> int:
        """CPU time of the living process; that of dead ones is among the node's children."""
        with self._changed:
            return 0 if self._process.returncode is not None else self._clock.read()

    def close(self) -> None:
        """Ends the process, and whatever it does."""
        with self._changed:
            self._closing = True
            self._first.clear()
            self._lanes.clear()
            self._changed.notify_all()
        with contextlib.suppress(OSError):
            self._pipe.shutdown(socket.SHUT_RDWR)
        self._thread.join(END_S)
        with self._changed:
            self._reap()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _start(self) -> None:
        self._pipe, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [
                    sys.executable,
                    "-m",
                    "maxwell.inference.worker",
                    str(theirs.fileno()),
                    *self._arguments,
                ],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=self._environ,
                start_new_session=True,
            )
        self._pipe.settimeout(JOB_S_MAX)
        self._clock = ProcessCpuClock(self._process.pid)

    def _reap(self) -> None:
        """Ends the process; the lock is held, so that nobody reads its clock meanwhile."""
        self._pipe.close()
        self._process.kill()
        self._process.wait()

    def _has_jobs(self) -> bool:
        return bool(self._first) or any(self._lanes.values())

    def _next(self) -> tuple[Key, Job]:
        """Takes the job whose turn it is; its lane goes to the end."""
        if self._first:
            return self._first.popleft()
        lane = next(name for name, jobs in self._lanes.items() if jobs)
        jobs = self._lanes.pop(lane)
        item = jobs.popleft()
        if jobs:
            self._lanes[lane] = jobs
        return item

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._has_jobs() or self._closing)
                if self._closing:
                    return
                key, job = self._next()
                self._running = key
            try:
                done = self._do(job)
            except Exception as error:
                # Whoever waits for it must hear of it; the thread lives on.
                done = Done(cpu_ns=0, code="MX1730", why=f"{type(error).__name__}: {error}"[:300])
            with self._changed:
                self._running = None
                self._done.append((key, done))
                self._changed.notify_all()
                if self._closing:
                    return
                # A full pipe is readable already.
                with contextlib.suppress(BlockingIOError):
                    os.write(self._wake_write, b"\0")

    def _do(self, job: Job) -> Done:
        if self._restarts > RESTARTS_MAX:
            return Done(cpu_ns=0, code="MX1730", why="the prover was given up")
        before_ns = self.cpu_ns()
        try:
            send(self._pipe, job)
            done = receive(self._pipe, self._decoder)
        except (OSError, ValueError) as error:
            with self._changed:
                spent_ns = max(0, self._clock.read() - before_ns)
                if not self._closing:
                    self._reap()
                    self._restarts += 1
                    try:
                        self._start()
                    except OSError:  # no process to be had: whoever asks hears of it
                        self._restarts = RESTARTS_MAX + 1
            return Done(cpu_ns=spent_ns, code="MX1730", why=f"the prover died: {error}"[:300])
        return done
