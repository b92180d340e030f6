"""Goal: a prover that is slow, stopped or of no use costs nobody money or time that is not theirs.

Method: real runs with the real prover, which is stopped by a signal where a job must not end.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.fleet import IMAGES, MLP, PAYS, TAKE, guest, inputs, network, think, thinker
from inference.test_run import ENOENT, price, provers, spent
from maxwell.inference.costs import Shapes
from maxwell.inference.jobs import Job
from maxwell.inference.prover import Prover
from maxwell.node.view import NodeView
from maxwell.observe.unfinished import unfinished_process
from maxwell.proofs.secret_vectors import sums_of
from maxwell.proofs.tiers import Tier
from support.guests import write
from support.program import await_true, events_so_far, is_running, maxwell, report_of, started

pytestmark = pytest.mark.native


def worker_of(pid: int) -> int | None:
    """The prover of a running program, or None while there is none."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in children:
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            if b"maxwell.inference.worker" in words:
                return int(child)
    except OSError:
        pass
    return None


class Quiet:
    """Whether a process has used no CPU time for a third of a second: it waits for something."""

    def __init__(self, pid: int) -> None:
        self.stat = Path(f"/proc/{pid}/stat")
        self.used, self.since = "", 0.0

    def __call__(self) -> bool:
        words = self.stat.read_text().rpartition(")")[2].split()
        used, now = " ".join(words[11:13]), time.monotonic()
        if used != self.used:
            self.used, self.since = used, now
        return now - self.since > 1 / 3


FLEET = f"""
[node]
budget = "60 J"
cells = 1
seed = 1
deterministic = true
[[model]]
name = "digits"
onnx = "{MLP}"
[[sponsor]]
name = "school"
escrow = "30 J"
[[reward]]
sponsor = "school"
name = "digits"
resolver = "proof"
model = "digits"
inputs = "{IMAGES}"
array = "images"
tier = "T3"
pays = "{PAYS} uJ"
[[process]]
name = "t"
module = "samples:thinker.wasm"
args = ["digits"]
rewards = ["digits"]
funds = "4 J"
memory_max = "2 MiB"
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_deterministic_run_whose_prover_does_not_answer(
    tmp_path: Path, number: signal.Signals
) -> None:
    """The job is cancelled, its process pays by the shapes, and receipts are signed."""
    (tmp_path / "fleet.toml").write_text(FLEET)
    with started("run", "fleet.toml", "--out", "out", cwd=tmp_path) as child:
        await_true("its prover", lambda: worker_of(child.pid), while_runs=child)
        worker = worker_of(child.pid)
        assert worker is not None
        os.kill(worker, signal.SIGSTOP)
        out = tmp_path / "out"
        await_true("its start", lambda: events_so_far(out), while_runs=child)
        await_true("its wait for the prover", Quiet(child.pid), while_runs=child)
        child.send_signal(number)
        # A hang guard: a prover that does not answer is given up after two minutes.
        assert child.wait(timeout=40) == 130
    assert not is_running(worker)
    report = report_of(out)
    assert (report["interrupted"], report["conservation_ok"]) == (True, True)
    assert maxwell("audit", "out", cwd=tmp_path).code == 0


class Holder:
    """Stops the prover before it gets a job of one kind, and lets it go on a while later."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: str, hold_ns: int) -> None:
        self.kind, self.hold_ns = kind, hold_ns
        self.stopped: int | None = None
        self.until_ns: int | None = None
        self.is_over = False
        ask = Prover.ask

        def held(prover: Prover, key: Any, job: Job, **named: Any) -> None:
            if job.kind == kind and self.stopped is None:
                self.stopped = provers()[0]
                os.kill(self.stopped, signal.SIGSTOP)
            ask(prover, key, job, **named)

        monkeypatch.setattr(Prover, "ask", held)

    def __call__(self, view: NodeView) -> None:
        if self.stopped is None or self.is_over:
            return
        if self.until_ns is None:
            self.until_ns = view.elapsed_ns + self.hold_ns
        if view.elapsed_ns > self.until_ns:
            self.is_over = True
            os.kill(self.stopped, signal.SIGCONT)


@pytest.mark.parametrize("tier", ["T0", "T1"])
def test_what_was_delivered_in_time_is_paid_however_long_it_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tier: str
) -> None:
    kind = "audit" if tier == "T1" else "check"
    holder = Holder(monkeypatch, kind, 1_500_000_000)
    module = "samples:thinker.wasm"
    if tier == "T1":
        module = write(tmp_path, "t", sums_guest(right_sums()))
    result = think(
        [thinker("t", module)],
        tier=tier,
        rows=4,
        reward={"expires": "1 s"},
        folder=tmp_path,
        deterministic=False,
        cells=1,
        on_view=holder,
    )
    assert holder.is_over
    record = result["t"]
    assert (record.claims_paid, record.claims_refused) == (1, 0)
    assert record.earned_credits == price(4)
    assert len(result.events("order")) == 1, "it was handed to nobody else meanwhile"


def right_sums() -> bytes:
    """The sums of the first four inputs."""
    parts = sums_of(network().proof_model, inputs(4))
    return b"".join(part.astype("<i8").tobytes() for part in parts)


def sums_guest(sums: bytes) -> bytes:
    """Delivers, at tier T1, sums that it brings along."""
    text = "".join(f"\\{byte:02x}" for byte in sums)
    return guest(
        f"{TAKE} (drop (call $deliver (i32.load (i32.const 4096)) (i32.const 131072)"
        f" (i32.const {len(sums)}) (i32.const 65536) (i32.const 4096)))",
        f'(data (i32.const 131072) "{text}")',
    )


def audit_ns(tmp_path: Path, sums: bytes, name: str) -> list[int]:
    folder = tmp_path / name
    folder.mkdir()
    fleet = [thinker("t", write(folder, "t", sums_guest(sums)))]
    result = think(fleet, tier="T1", rows=4, folder=folder)
    return [event.integer("cpu_ns") for event in result.events("inference")]


def test_right_sums_pay_for_no_new_secret_and_wrong_ones_do(tmp_path: Path) -> None:
    """In deterministic mode, by the shapes; malformed sums reach no prover and cost a fee."""
    sums, shapes = right_sums(), Shapes.of(network().proof_model)
    right = shapes.check_ns(Tier.SECRET_VECTOR, 4, is_refused=False)
    wrong = shapes.check_ns(Tier.SECRET_VECTOR, 4)
    assert wrong - right >= 2_000_000 + 20 * shapes.weights
    changed = bytes([sums[0] ^ 1]) + sums[1:]
    assert audit_ns(tmp_path, sums, "right") == [right]
    assert audit_ns(tmp_path, changed, "wrong") == [wrong]
    assert audit_ns(tmp_path, sums[:-8], "short") == [0]


def test_deliveries_of_orders_that_one_does_not_have_cost_and_are_told_in_few_words(
    tmp_path: Path,
) -> None:
    flood = guest(
        "(local.set $n (i32.const 100))"
        " (loop $on (drop (call $deliver (i32.const 77) (i32.const 4096) (i32.const 64)"
        " (i32.const 65536) (i32.const 8)))"
        " (local.set $n (i32.sub (local.get $n) (i32.const 1)))"
        " (br_if $on (local.get $n)))"
        " (call $check (call $deliver (i32.const 77) (i32.const 4096) (i32.const 64)"
        " (i32.const 65536) (i32.const 8)))"
    )
    result = think([thinker("t", write(tmp_path, "t", flood))], folder=tmp_path, duration="60 s")
    record = result["t"]
    assert (record.outcome, record.exit_code) == ("finished", ENOENT)
    assert (record.claims_refused, record.inference_uj, record.proof_uj) == (101, 0, 0)
    events = result.events("refused_claim")
    assert [event.integer("count") for event in events] == [1, 1, 2, 4, 8, 16, 32, 37]
    charged = sum(event.integer("charged_credits") for event in events)
    # At cost price, what 0.1 ms of the node's CPU time draws; the price may be above.
    model = result.report.record.model
    assert charged >= 101 * model.cpu_energy_uj(100_000) > 0
    assert record.premium_credits >= charged, "it goes to the commons"
    assert spent(record) == 4_000_000
    assert unfinished_process(tmp_path / "run/events.jsonl", "t").claims_refused == 101


def test_a_delivery_of_no_form_costs_its_fee(tmp_path: Path) -> None:
    code = guest(
        f"{TAKE} (drop (call $deliver (i32.load (i32.const 4096)) (i32.const 4096) (i32.const 64)"
        " (i32.const 65536) (i32.const 8)))"
    )
    result = think([thinker("t", write(tmp_path, "t", code))], folder=tmp_path)
    (event,) = result.events("inference")
    model = result.report.record.model
    assert event.integer("charged_credits") >= model.cpu_energy_uj(100_000) > 0
    assert (event.integer("run_uj"), event.integer("proof_uj")) == (0, 0)
    assert np.isclose(result["t"].claims_refused, 1)
