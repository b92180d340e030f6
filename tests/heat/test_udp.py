"""Real sockets: processes of `maxwell heat node` on loopback, with loss and a dying fan."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from heat.netns import free_ports, places
from maxwell.errors import HeatError
from maxwell.heat.live import LiveConfig, LiveNode, read_secret
from maxwell.heat.seal import Seal

KEY = bytes(range(32))


def live(number: int, ports: list[int], **more: Any) -> LiveNode:
    seeds = tuple(("127.0.0.1", p) for p in ports[:2])
    config = LiveConfig(
        bind=("127.0.0.1", ports[number]), cluster_key=KEY, identity=bytes([number + 1]) * 32,
        seeds=seeds, nodes=len(ports), **more,
    )  # fmt: skip
    return LiveNode(config)


def test_nodes_on_sockets_find_each_other_and_ignore_strangers() -> None:
    async def scene() -> list[LiveNode]:
        ports = free_ports(4)
        nodes = [live(i, ports) for i in range(4)]
        stranger = Seal(bytes(32), 7, 1)
        tasks = [asyncio.create_task(node.run(60.0)) for node in nodes]
        for _ in range(300):
            await asyncio.sleep(0.1)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.sendto(b"noise", ("127.0.0.1", ports[0]))
                s.sendto(stranger.seal(b"hello"), ("127.0.0.1", ports[0]))
            if all(len(n.node.plane.table) == 3 for n in nodes):
                break
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return nodes

    nodes = asyncio.run(scene())
    for node in nodes:
        assert len(node.node.plane.table) == 3
        assert node.node.counters.forged == node.node.counters.malformed == 0
        status = node.status(1_000)
        assert json.loads(json.dumps(status))["schema"] == "maxwell.heat.status/1"
    assert nodes[0].udp._seal.refused_forged >= 1  # pyright: ignore[reportPrivateUsage]


def test_a_taken_port_and_a_bad_secret_are_errors(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        node = live(0, [int(s.getsockname()[1])] * 2)
        with pytest.raises(HeatError) as caught:
            asyncio.run(node.run(1.0))
        assert caught.value.code == "MX1801"
    bad = tmp_path / "key"
    for text in ("xyz", "00" * 31):
        bad.write_text(text)
        with pytest.raises(HeatError) as caught:
            read_secret(bad, "cluster key")
        assert caught.value.code == "MX1802"


def read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


@pytest.mark.slow
def test_twenty_processes_evacuate_a_dying_node(tmp_path: Path) -> None:
    # Goal: over real sockets, with 10 % loss, a node whose fan dies says so, gets tickets, and its
    # load arrives at the others. Method: 20 processes of the shipped command, in a network
    # namespace each where that is permitted; time is real, so that the plant and the planes run as
    # they would.
    count, dying = 20, 7
    key = tmp_path / "key"
    key.write_text(secrets.token_hex(32))
    processes: list[subprocess.Popen[bytes]] = []
    with places(count) as where:
        try:
            for i, place in enumerate(where):
                (tmp_path / f"id{i}").write_text(secrets.token_hex(32))
                command = [
                    *place.prefix, sys.executable, "-m", "maxwell", "heat", "node", "-q",
                    "--bind", place.address, "--join", where[0].address,
                    "--join", where[1].address, "--cluster-key", str(key),
                    "--identity", str(tmp_path / f"id{i}"), "--nodes", str(count),
                    "--loss", place.loss, "--zone", str(i // 5),
                    "--load", "220" if i == dying else "120",
                    "--status", str(tmp_path / f"s{i}.json"), "--duration", "240",
                ]  # fmt: skip
                if i == dying:
                    command += ["--fan-dies-after", "25"]
                processes.append(subprocess.Popen(command))
            asleep: dict[str, Any] = {}
            for _ in range(400):
                time.sleep(0.5)
                asleep = read(tmp_path / f"s{dying}.json")
                if asleep.get("state") == "asleep":
                    break
            views = [read(tmp_path / f"s{i}.json") for i in range(count)]
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(20)
    assert asleep["state"] == "asleep"
    assert asleep["true_c"] < 90
    events = " ".join(asleep["events"])
    assert "distress" in events
    assert "moved" in events
    assert sum(v["counters"]["offers_made"] for v in views) >= 3
    taken = sum(v["counters"]["offers_taken"] for v in views)
    assert taken >= 3
    for i, view in enumerate(views):
        assert len(view["view"]) >= 15
        assert view["counters"]["forged"] == 0
        if i != dying:
            assert view["true_c"] < 82
    # The others see that the node is gone or closed.
    closed = [r for v in views for r in v["view"] if r["node"] == asleep["node"]]
    assert all(r["ln_price"] > 32 for r in closed)
