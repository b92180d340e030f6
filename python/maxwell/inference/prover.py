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
    from collections.abc import Mapping, Sequence
    from pathlib import Path

RESTARTS_MAX: Final = 16
"""A prover that died so often is given up: every further job fails."""
JOB_S_MAX: Final = 120.0
"""A job that takes longer is ended with its prover."""
END_S: Final = 5.0

Key: TypeAlias = tuple[int, int]
"""Process, and the number of what it asked."""


class Prover:
    """Does jobs in another process. `fileno` becomes readable when `take` has something.

    Args:
        folder: a model store with the models.
        digests: the models.
        environ: of the process.
    """

    def __init__(self, folder: Path, digests: Sequence[str], environ: Mapping[str, str]) -> None:
        self._arguments = [str(folder), *digests]
        self._environ = dict(environ)
        self._jobs: deque[tuple[Key, Job]] = deque()
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

    def ask(self, key: Key, job: Job, *, first: bool = False) -> None:
        """Takes a job; `first` puts it before those that wait."""
        with self._changed:
            if first:
                self._jobs.appendleft((key, job))
            else:
                self._jobs.append((key, job))
            self._changed.notify_all()

    def take(self) -> list[tuple[Key, Done]]:
        """Returns the jobs that were done since the last call."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        with self._changed:
            done = list(self._done)
            self._done.clear()
        return done

    def cancel(self, key: Key, *, timeout_s: float) -> tuple[Done | None, bool]:
        """Takes a job back. One that runs is waited for, since it has its cost.

        Returns:
            What came of it if it began, and whether it still runs after `timeout_s`; what comes of
            it then must be ignored.
        """
        with self._changed:
            self._jobs = deque(item for item in self._jobs if item[0] != key)
            is_late = not self._changed.wait_for(lambda: self._running != key, timeout_s)
            for item in self._done:
                if item[0] == key:
                    self._done.remove(item)
                    return item[1], False
        return None, is_late

    def finish(self, key: Key) -> Done:
        """Waits for a job that was asked and not taken, and takes it."""
        with self._changed:
            while True:
                for item in self._done:
                    if item[0] == key:
                        self._done.remove(item)
                        return item[1]
                self._changed.wait()

    def cpu_ns(self) -> int:
        """CPU time of the living process; that of dead ones is among the node's children."""
        with self._changed:
            return 0 if self._process.returncode is not None else self._clock.read()

    def close(self) -> None:
        """Ends the process, and whatever it does."""
        with self._changed:
            self._closing = True
            self._jobs.clear()
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

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closing)
                if self._closing:
                    return
                key, job = self._jobs.popleft()
                self._running = key
            done = self._do(job)
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
