"""`python -m maxwell.lab.zygote FD PARENT`: loads the engine once and forks one process a guest.

Every process here dies with its parent (PR_SET_PDEATHSIG), however that dies: the guests with this
one, this one with the experiment. They share a session, so that one signal ends them all.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from typing import Final

import msgspec

from maxwell.lab.wasm_process import Engine, GuestOrder

_PR_SET_PDEATHSIG: Final = 1
ORDER_BYTES_MAX: Final = 1 << 22
"""An order of 512 guests with long paths takes half a megabyte."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to start."""

    metered: bool
    guests: tuple[GuestOrder, ...]


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: a process id for each guest, in the order's order."""

    pids: tuple[int, ...]


def die_with(parent: int) -> None:
    """Asks the kernel for SIGKILL when the parent ends; ends at once when it has ended already."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _run_guest(engine: Engine, order: GuestOrder, parent: int) -> None:
    """The life of a forked process; never returns."""
    code = 1
    try:
        die_with(parent)
        os.sched_setaffinity(0, {order.core})
        engine.run(order)
        code = 0
    except BaseException as error:
        # Whatever it was ends this process only; the experiment finds it dead and quotes this.
        sys.stderr.write(f"guest {order.name}: {type(error).__name__}: {error}\n")
        sys.stderr.flush()
    os._exit(code)


def main(arguments: list[str]) -> int:
    """Reads one order, starts its guests, and waits for the end of the control pipe."""
    descriptor, parent = (int(argument) for argument in arguments)
    die_with(parent)
    control = socket.socket(fileno=descriptor)
    size = int.from_bytes(_read(control, 4), "big")
    order = msgspec.json.decode(_read(control, min(size, ORDER_BYTES_MAX)), type=Order)
    engine = Engine(metered=order.metered)
    for guest in order.guests:
        engine.compile(guest.module)
    # What guests print is nobody's to read here.
    devnull = os.open(os.devnull, os.O_RDWR)
    os.dup2(devnull, 0)
    os.dup2(devnull, 1)
    own = os.getpid()
    pids: list[int] = []
    for guest in order.guests:
        pid = os.fork()
        if pid == 0:
            _run_guest(engine, guest, own)
        pids.append(pid)
    control.sendall(msgspec.json.encode(Started(pids=tuple(pids))) + b"\n")
    # Guests that end stay zombies, whose CPU time can still be read.
    while control.recv(1):
        pass
    return 0


def _read(control: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = control.recv(size - len(data))
        if not piece:
            os._exit(1)
        data += piece
    return data


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
