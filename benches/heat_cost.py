"""What the heat planes cost: CPU time of one node's second, signatures and sealing included.

Goal: the share of a core that gossip at 1 Hz takes with a full view; not: the simulator's speed.

Method: one node with real Ed25519 keys and 38 nodes in view is driven by its own timers through
simulated seconds. Each second it opens and takes in three sealed messages of eight entries, all
newly signed and all news (the worst case: 24 verifications), two readings and ten guard steps,
and it signs, packs and seals its own three messages. What the others do to make those messages is
not counted. The value is CPU time over simulated time, best of the blocks.

`python benches/heat_cost.py [--smoke]`
"""

from __future__ import annotations

import random
import time

from harness import emit, parse_options
from maxwell.heat import Ed25519Signer, HeatNode, Hosted, KeyRing, Reading
from maxwell.heat.entry import AGE, make_entry
from maxwell.heat.seal import Seal
from maxwell.heat.wire import HEADER, Kind

NODES = 39
KEY = bytes(range(32))
TARGET_RATIO = 0.01


class Others:
    """Signs and seals what arrives."""

    def __init__(self, count: int) -> None:
        self.signers = [Ed25519Signer(bytes([i + 1]) * 32) for i in range(count)]
        self.seals = [Seal(KEY, s.node, 1) for s in self.signers]
        self.seq = 0

    def entry(self, i: int, now_ms: int) -> bytes:
        """Returns a new entry of node i on the wire."""
        self.seq += 1
        body = make_entry(
            state=0, zone=i // 8, node=self.signers[i].node, boot=1, seq=self.seq, t_ms=now_ms,
            t_c=60 + i % 9, t_hat_c=60 + i % 9, t_in_c=24, power_w=250, meter_w=250, headroom_w=50,
            ln_price=0.1, resistance_k_per_w=0.16, wanted_w=0, offer_w=0, prev=0,
        ).pack()  # fmt: skip
        return body + self.signers[i].sign(body) + AGE.pack(10)

    def message(self, number: int, now_ms: int) -> bytes:
        """Returns one sealed message of eight entries."""
        count = len(self.signers)
        sender = number % count
        entries = b"".join(self.entry((number * 8 + k) % count, now_ms) for k in range(8))
        header = HEADER.pack(1, Kind.HEAT, 8, 0, self.signers[sender].node, 1, number, count)
        return self.seals[sender].seal(header + entries)


def run(seconds: int) -> tuple[float, int]:
    """Returns CPU seconds of one node, and the entries that it verified."""
    others = Others(NODES - 1)
    own = Ed25519Signer(bytes(32))
    keys = KeyRing()
    for signer in others.signers:
        keys.add(signer.public_key)
    near = tuple(s.node for s in others.signers[:6])
    node = HeatNode(own, keys, random.Random(1), zone=0, boot=1, near=near, nodes=NODES)
    seal = Seal(KEY, own.node, 1)
    for number in range(6):
        node.add(0, Hosted(number + 1, 25.0, 1.0, 0))
    timers = list(node.start(0).timers)
    node.out.clear()
    spent = 0
    for second in range(seconds):
        now = second * 1_000
        arriving = [others.message(second * 3 + k, now) for k in range(3)]
        start = time.process_time_ns()
        for data in arriving:
            opened = seal.open(data)
            assert opened is not None, "sealed by the cluster"
            node.on_packet(now, opened.data)
        for tenth in range(10):
            node.guard.step(now + tenth * 100, 65.0, 150.0)
            if tenth % 5 == 0:
                node.on_reading(now + tenth * 100, Reading(65.0, 255.0, 24.0, 255.0))
        timers += node.out.timers
        node.out.timers.clear()
        due = [t for t in timers if t.due_ms <= now + 1_000]
        timers = [t for t in timers if t.due_ms > now + 1_000]
        for timer in due:
            node.on_timer(max(now, timer.due_ms), timer.kind, timer.argument)
        timers += node.out.timers
        for _, packet in node.out.packets:
            seal.seal(packet)
        node.out.clear()
        spent += time.process_time_ns() - start
    assert len(node.plane.table) >= 30, "a full view"
    return spent / 1e9, node.counters.accepted


def main() -> None:
    """Prints the share of a core."""
    options = parse_options(__doc__ or "")
    seconds, blocks = (20, 1) if options.smoke else (200, 5)
    best = 1e9
    verified = 0
    for _ in range(blocks):
        cpu_s, accepted = run(seconds)
        if cpu_s < best:
            best, verified = cpu_s, accepted
    emit(
        "heat.cpu_of_one_core",
        best / seconds,
        "ratio",
        target=TARGET_RATIO,
        more={"verified_per_s": round(verified / seconds, 1), "simulated_s": seconds},
    )


if __name__ == "__main__":
    main()
