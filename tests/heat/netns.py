"""Where the processes of a test listen: a network namespace each where permitted, else loopback.

Namespaces are joined by a bridge in one of their own; each lives as long as a sleeping process in
it, so that nothing is left behind on the host. Loss is made by the kernel (tc netem) where it has
that, else by the node's own transport.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from typing import NamedTuple

PORT = 7_411
LOSS_PERCENT = 10


class Place(NamedTuple):
    """Where one process runs."""

    prefix: tuple[str, ...]
    """Put before its command."""
    address: str
    loss: str
    """For `--loss`; 0 where the kernel loses packets."""


def free_ports(count: int) -> list[int]:
    """Returns UDP ports of loopback that are free now."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [int(s.getsockname()[1]) for s in sockets]
    for s in sockets:
        s.close()
    return ports


def permitted() -> bool:
    """Whether this process may make network namespaces with a bridge."""
    line = "ip link add dev bridge0 type bridge && ip link add name veth0 type veth peer name veth1"
    try:
        return _run("unshare", "-n", "sh", "-c", line)
    except OSError:
        return False


@contextmanager
def places(count: int) -> Generator[list[Place]]:
    """Makes places for so many processes."""
    if not permitted():
        yield [Place((), f"127.0.0.1:{port}", f"0.{LOSS_PERCENT}") for port in free_ports(count)]
        return
    keepers = [subprocess.Popen(["unshare", "-n", "sleep", "3600"]) for _ in range(count + 1)]
    try:
        yield _connect([keeper.pid for keeper in keepers])
    finally:
        for keeper in keepers:
            keeper.kill()
        for keeper in keepers:
            keeper.wait(10)


def _connect(pids: list[int]) -> list[Place]:
    hub, *nodes = pids
    for pid in pids:
        _await_namespace(pid)
    _must(hub, "ip", "link", "add", "dev", "bridge0", "type", "bridge")
    _must(hub, "ip", "link", "set", "dev", "bridge0", "up")
    found: list[Place] = []
    for i, pid in enumerate(nodes, start=1):
        outer, inner = f"hub{i}", f"node{i}"
        _must(hub, "ip", "link", "add", "name", outer, "type", "veth", "peer", "name", inner)
        _must(hub, "ip", "link", "set", "dev", inner, "netns", str(pid))
        _must(hub, "ip", "link", "set", "dev", outer, "master", "bridge0", "up")
        _must(pid, "ip", "addr", "add", f"10.77.0.{i}/24", "dev", inner)
        _must(pid, "ip", "link", "set", "dev", inner, "up")
        enter = ("nsenter", "-t", str(pid), "-n")
        lossy = _run(
            *enter, "tc", "qdisc", "add", "dev", inner, "root", "netem", "loss", f"{LOSS_PERCENT}%"
        )
        found.append(Place(enter, f"10.77.0.{i}:{PORT}", "0" if lossy else f"0.{LOSS_PERCENT}"))
    return found


def _await_namespace(pid: int) -> None:
    """Waits until the keeper has left this process's namespace."""
    here, there = "$(readlink /proc/self/ns/net)", f"$(readlink /proc/{pid}/ns/net)"
    line = f'until [ "{here}" != "{there}" ]; do :; done'
    assert _run("timeout", "20", "sh", "-c", line), "the namespace was not made"


def _must(pid: int, *command: str) -> None:
    assert _run("nsenter", "-t", str(pid), "-n", *command), command


def _run(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
