"""What the tests of the heat planes share."""

from __future__ import annotations

from random import Random
from typing import Any

from maxwell.heat import Ed25519Signer, HeatNode, HeatSettings, KeyRing, Reading, StandInKeys
from maxwell.heat.entry import State, make_entry
from maxwell.heat.signing import Signer, StandInSigner

KEYS = StandInKeys(b"tests")


def entry_body(node: int = 1, seq: int = 1, **changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "state": State.OK, "zone": 1, "node": node, "boot": 1, "seq": seq, "t_ms": 5, "t_c": 60.0,
        "t_hat_c": 61.0, "t_in_c": 24.0, "power_w": 250.0, "meter_w": 250.0, "headroom_w": 80.0,
        "ln_price": 0.1, "resistance_k_per_w": 0.16, "wanted_w": 0.0, "offer_w": 0.0, "prev": 7,
    }  # fmt: skip
    fields.update(changes)
    return make_entry(**fields).pack()


def signed(node: int = 1, seq: int = 1, **changes: Any) -> bytes:
    body = entry_body(node, seq, **changes)
    return body + KEYS.sign_as(node, body)


def stand_in_node(number: int, *, seed: int = 1, **more: Any) -> HeatNode:
    return HeatNode(StandInSigner(KEYS, number), KEYS, Random(seed), zone=0, boot=1, **more)


def real_nodes(count: int) -> list[HeatNode]:
    signers = [Ed25519Signer(bytes([i + 1]) * 32) for i in range(count)]
    nodes: list[HeatNode] = []
    for i, signer in enumerate(signers):
        keys = KeyRing()
        for other in signers:
            keys.add(other.public_key)
        seeds = tuple(s.node for s in signers if s is not signer)[:8]
        nodes.append(make_node(signer, keys, i, count, seeds))
    return nodes


def make_node(
    signer: Signer, keys: KeyRing, seed: int, count: int, seeds: tuple[int, ...]
) -> HeatNode:
    return HeatNode(
        signer, keys, Random(seed), zone=0, boot=1, seeds=seeds, nodes=count,
        settings=HeatSettings(),
    )  # fmt: skip


def reading(t_c: float, power_w: float = 260.0, inlet_c: float = 24.0) -> Reading:
    return Reading(t_c, power_w, inlet_c, power_w)
