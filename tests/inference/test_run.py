"""Goal: a sponsor pays for inferences that verify, once each, and nobody thinks for nothing.

Method: guests in real runs, with the real prover; every run's sums are checked and its folder is
audited by `support.fleets.run`.
"""

from __future__ import annotations

import base64
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from inference.fleet import (
    CELLS,
    MACS,
    PAYS,
    RUN,
    TAKE,
    guest,
    inputs,
    network,
    think,
    thinker,
)
from maxwell.node.record import ProcessRecord
from maxwell.node.view import NodeView
from maxwell.observe.unfinished import unfinished_process
from maxwell.proofs import Model, semantics
from maxwell.proofs.secret_vectors import sums_of
from support.fleets import Run
from support.guests import REPOSITORY, write
from support.program import cells_of, is_running, maxwell, report_of

pytestmark = pytest.mark.native

EACCES, EAGAIN, EALREADY, EBADMSG, EDQUOT, EFAULT, EINVAL, EIO = 2, 6, 7, 9, 19, 21, 28, 29
EMSGSIZE, ENOENT, EPERM = 35, 44, 63


def price(batch: int) -> int:
    return -(-PAYS * MACS * batch // 1_000_000)


def paid(result: Run) -> list[str]:
    return [event.text("nullifier") for event in result.events("inference_paid")]


def spent(record: ProcessRecord) -> int:
    return record.paid_credits + record.returned_credits


@pytest.mark.parametrize("tier", ["T0", "T3"])
def test_an_honest_thinker_is_paid_from_the_models_shapes(tmp_path: Path, tier: str) -> None:
    result = think([thinker("t")], tier=tier, folder=tmp_path)
    record = result["t"]
    assert (record.outcome, record.exit_code) == ("finished", 0)
    assert (record.claims_paid, record.results, record.claims_refused) == (2, 2, 0)
    assert record.earned_credits == 2 * price(4)
    assert (record.inferences, record.macs) == (8, 8 * MACS)
    assert spent(record) == 4_000_000 + record.earned_credits
    assert record.inference_uj > 0
    # Checking costs at every tier, a proof much more.
    assert (record.proof_uj > 5 * record.inference_uj) or tier == "T0"
    assert record.energy_uj > record.inference_uj + record.proof_uj
    events = result.events("inference_paid")
    y = semantics.run(network().proof_model, inputs(8))
    for number, event in enumerate(events):
        output = np.frombuffer(base64.b64decode(event.text("output")), "<i2").reshape(4, -1)
        assert np.array_equal(output, y[4 * number : 4 * number + 4]), "the buyer's answers"
        assert event.integer("paid_credits") == price(4)
    charged = sum(event.integer("charged_credits") for event in result.events("inference"))
    metered = sum(
        event.integer("run_uj") + event.integer("proof_uj") for event in result.events("inference")
    )
    assert metered == record.inference_uj + record.proof_uj
    assert charged >= metered, "no joule below cost price"


def test_hidden_weights_are_counted_in_the_users_store_and_refreshed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One proof more than the commitment allows: new randomness, the digest stays, all are paid."""
    monkeypatch.setenv("MAXWELL_DATA_DIR", os.fspath(tmp_path / "data"))
    model = Model(network(), hiding=True, openings=5)
    model.save()
    assert model.proofs_left == 3
    table = {"name": "digits", "digest": model.digest}
    result = think(
        [thinker("t", funds="9 J")],
        tier="T4",
        batch=2,
        model=table,
        folder=tmp_path,
        deterministic=False,
    )
    record = result["t"]
    assert (record.outcome, record.claims_paid, record.claims_refused) == ("finished", 4, 0)
    assert record.proof_uj > record.inference_uj
    # The old commitment gave three proofs and the link, the new one the link and a proof.
    assert Model.stored(model.digest).proofs_left == 1


def test_who_replays_or_substitutes_earns_nothing_and_it_is_on_record(tmp_path: Path) -> None:
    fleet = [
        thinker("honest"),
        thinker("replayer", "samples:replayer.wasm"),
        thinker("substituter", "samples:substituter.wasm", args=["other"], models=["other"]),
    ]
    result = think(fleet, tier="T3", rows=16, folder=tmp_path, reward={"rounds": 2}, other=True)
    honest, replayer, cheat = (result[name] for name in ("honest", "replayer", "substituter"))
    assert honest.claims_refused == 0
    assert replayer.claims_paid == 1, "its own first answer"
    assert replayer.claims_refused > 0
    assert (cheat.claims_paid, cheat.earned_credits) == (0, 0)
    assert cheat.claims_refused > 0
    assert honest.claims_paid + 1 == len(paid(result)) == len(set(paid(result))) == 8
    whys = {
        (event.text("process"), event.text("code"), event.text("why"))
        for event in result.events("refused_claim")
    }
    assert ("substituter", "MX1712", "claim for another model than ordered") in whys
    assert ("replayer", "MX1712", "claim for another nonce than ordered") in whys
    assert {code for _, code, _ in whys} == {"MX1712"}


def test_runs_with_inferences_replay_byte_by_byte(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        think(
            [
                thinker("t", count=2),
                thinker("r", "samples:replayer.wasm", deadline="450 ms"),
                thinker("poor", funds="60 mJ"),
            ],
            tier="T3",
            rows=32,
            cells=2,
            duration="900 ms",
            folder=folder,
        )
    first, second = (
        {path.name: path.read_bytes() for path in (folder / "run").iterdir() if path.is_file()}
        for folder in folders
    )
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def sums_data(*, wrong: int = 0) -> str:
    """Data at 131072: the sums of the first order's two inputs; one is off by `wrong`."""
    sums = sums_of(network().proof_model, inputs(2))
    flat = np.concatenate([part.reshape(-1) for part in sums]).astype("<i8")
    flat[-1] += wrong
    text = "".join(f"\\{byte:02x}" for byte in flat.tobytes())
    return f'(data (i32.const 131072) "{text}")'


def test_at_tier_1_the_guest_computes_and_the_host_checks(tmp_path: Path) -> None:
    length = 8 * 2 * sum(part[0].size for part in sums_of(network().proof_model, inputs(1)))
    give = (
        f"(call $deliver (i32.load (i32.const 4096)) (i32.const 131072) (i32.const {length})"
        " (i32.const 65536) (i32.const 1000))"
    )
    tell = (
        f"{TAKE} (local.set $n {give}) (call $check (local.get $n))"
        " (i32.store (i32.const 100) (i32.const 65536)) (i32.store (i32.const 104) (local.get $n))"
        " (drop (call $write (i32.const 1) (i32.const 100) (i32.const 1) (i32.const 108)))"
        f" (call $check {give})"
    )
    # A refusal spends the secret, and the node prepares another: the next honest one is paid.
    result = think(
        [
            thinker("liar", write(tmp_path, "liar", guest(tell, sums_data(wrong=1)))),
            thinker(
                "honest",
                write(tmp_path, "honest", guest(tell, sums_data())),
                start_after="400 ms",
            ),
        ],
        tier="T1",
        batch=2,
        rows=2,
        folder=tmp_path,
    )
    assert result["liar"].exit_code == EBADMSG
    assert result["liar"].earned_credits == 0
    honest = result["honest"]
    assert (honest.earned_credits, honest.claims_paid) == (price(2), 1)
    assert honest.exit_code == EALREADY, "the same sums are not paid twice"
    assert (honest.inferences, honest.inference_uj) == (0, 0), "it ran on its own fuel"
    assert honest.proof_uj > 0
    said = result.output["honest", "stdout"]
    assert int.from_bytes(said[:8], "little") == price(2)
    y = semantics.run(network().proof_model, inputs(2))
    assert said[8:] == y.astype("<i2").tobytes()


def call(name: str, *arguments: int) -> str:
    return f"(call ${name} {' '.join(f'(i32.const {argument})' for argument in arguments)})"


ONE = 2 * CELLS
HOSTILE = {
    "unknown-model": (call("infer", 1, 5, 0, -1, 4096, ONE, 8192, 64), ENOENT),
    "model-not-granted": (call("infer", 16, 5, 0, -1, 4096, ONE, 8192, 64), ENOENT),
    "name-beyond-memory": (call("infer", 655_359, 6, 0, -1, 4096, ONE, 8192, 64), EFAULT),
    "name-too-long": (call("infer", 0, -1, 0, -1, 4096, ONE, 8192, 64), EMSGSIZE),
    "tier-1-is-no-run": (call("infer", 0, 6, 1, -1, 4096, ONE, 8192, 64), EINVAL),
    "tier-4-does-not-hide": (call("infer", 0, 6, 4, -1, 4096, ONE, 8192, 64), EINVAL),
    "no-tier": (call("infer", 0, 6, -7, -1, 4096, ONE, 8192, 64), EINVAL),
    "half-an-input": (call("infer", 0, 6, 0, -1, 4096, ONE - 2, 8192, 64), EINVAL),
    "no-input": (call("infer", 0, 6, 0, -1, 4096, 0, 8192, 64), EINVAL),
    "batch-too-large": (call("infer", 0, 6, 0, -1, 4096, 65 * ONE, 8192, 64), EMSGSIZE),
    "huge-length": (call("infer", 0, 6, 0, -1, 4096, -ONE, 8192, 64), EMSGSIZE),
    "input-beyond-memory": (call("infer", 0, 6, 0, -1, 655_300, ONE, 8192, 64), EFAULT),
    "input-at-the-end": (call("infer", 0, 6, 0, -1, -4, ONE, 8192, 64), EFAULT),
    "answer-beyond-memory": (call("infer", 0, 6, 0, -1, 4096, ONE, 655_300, 64), EFAULT),
    "huge-answer": (call("infer", 0, 6, 0, -1, 4096, ONE, 8192, -1), EFAULT),
    "input-out-of-range": (call("infer", 0, 6, 0, -1, 32, ONE, 8192, 64), EINVAL),
    "order-it-has-not": (call("infer", 0, 6, 0, 7, 4096, ONE, 8192, 64), ENOENT),
    "order-minus-two": (call("infer", 0, 6, 0, -2, 4096, ONE, 8192, 64), EINVAL),
    "reward-it-has-not": (call("order", 1, 8192, 64), ENOENT),
    "reward-minus-one": (call("order", -1, 8192, 64), ENOENT),
    "order-beyond-memory": (call("order", 0, -1, 8192), EFAULT),
    "no-room-for-an-order": (call("order", 0, 8192, 96 + 4 * ONE - 1), EMSGSIZE),
    "deliver-without-order": (call("deliver", 3, 4096, 64, 8192, 64), ENOENT),
    "deliver-minus-one": (call("deliver", -1, 4096, 64, 8192, 64), EINVAL),
    "deliver-too-much": (call("deliver", 0, 4096, -1, 8192, 64), EMSGSIZE),
    "deliver-beyond-memory": (call("deliver", 0, 655_300, 4096, 8192, 64), EFAULT),
}
"""Each call, and the errno that its guest exits with."""


def test_what_guests_get_wrong_is_an_errno_and_never_a_trap(tmp_path: Path) -> None:
    # Bytes at 32 are numbers that the model's input cannot hold.
    data = f'(data (i32.const 32) "{chr(92)}ff{chr(92)}7f")'
    fleet = [
        thinker(name, write(tmp_path, name, guest(f"(call $check {code})", data)))
        for name, (code, _) in HOSTILE.items()
    ]
    claim = guest(
        f"{TAKE} (call $check (call $deliver (i32.load (i32.const 4096)) (i32.const 4096)"
        " (i32.const 64) (i32.const 65536) (i32.const 8)))"
    )
    fleet += [
        thinker("no-claim", write(tmp_path, "no-claim", claim)),
        thinker("stranger", write(tmp_path, "stranger", guest(f"(call $check {TAKE[13:-1]})")),
                rewards=[]),
        thinker("poor", write(tmp_path, "poor", guest(f"{TAKE} (call $check {RUN})")),
                funds="30 mJ"),
    ]  # fmt: skip
    result = think(fleet, tier="T3", rows=32, folder=tmp_path, other=True)
    expected = {name: errno for name, (_, errno) in HOSTILE.items()}
    expected |= {"no-claim": EINVAL, "stranger": EACCES, "poor": EDQUOT}
    codes = {name: record.exit_code for name, record in result.report.processes.items()}
    assert {name: code for name, code in codes.items() if code != expected[name]} == {}
    assert {record.outcome for record in result.report.processes.values()} == {"finished"}
    assert result["poor"].proof_uj == 0, "nothing was done that its purse could not cover"
    assert result["input-out-of-range"].inference_uj > 0, "looking at it had its cost"


def test_a_flood_of_inferences_spends_its_purse_and_dies(tmp_path: Path) -> None:
    free = (
        "(loop $on (drop (call $infer (i32.const 0) (i32.const 6) (i32.const 0) (i32.const -1)"
        " (i32.const 4096) (i32.const 128) (i32.const 65536) (i32.const 4096))) (br $on))"
    )
    flood = write(tmp_path, "flood", guest(free))
    result = think([thinker("flood", flood, funds="30 mJ")], folder=tmp_path, duration="60 s")
    record = result["flood"]
    assert record.outcome == "bankrupt"
    assert record.inferences > 0
    assert record.inference_uj > 0
    assert record.earned_credits == 0
    assert spent(record) == 30_000


def test_who_dies_while_the_host_works_pays_for_that_work(tmp_path: Path) -> None:
    result = think(
        [thinker("t", deadline="150 ms"), thinker("other", rewards=[], models=["digits"])],
        tier="T3",
        folder=tmp_path,
        duration="1 s",
    )
    record = result["t"]
    assert record.outcome == "deadline"
    assert spent(record) == 4_000_000
    assert record.inference_uj > 0


class Killer:
    """Kills something when the first claim was paid."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.killed = 0

    def __call__(self, view: NodeView) -> None:
        if self.killed or not any(process.results for process in view.processes):
            return
        pids = cells_of(os.getpid()) if self.target == "cell" else provers()
        self.killed = pids[0]
        os.kill(self.killed, signal.SIGKILL)


def provers() -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        try:
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except (OSError, IndexError):
            continue
        if parent == str(os.getpid()) and b"maxwell.inference.worker" in words:
            found.append(int(entry.name))
    return found


def test_nothing_is_paid_twice_after_a_cell_was_killed(tmp_path: Path) -> None:
    killer = Killer("cell")
    result = think(
        [thinker("first"), thinker("second", start_after="900 ms")],
        tier="T3",
        rows=16,
        folder=tmp_path,
        deterministic=False,
        cells=1,
        duration="10 s",
        on_view=killer,
    )
    assert killer.killed
    assert result["first"].outcome == "lost"
    assert spent(result["first"]) == 4_000_000 + result["first"].earned_credits
    assert result["second"].outcome == "finished"
    nullifiers = paid(result)
    assert len(nullifiers) == len(set(nullifiers)) == 4, "each order once, whoever delivered it"


def test_a_killed_prover_is_replaced_and_its_guest_hears_of_it(tmp_path: Path) -> None:
    stubborn = guest(
        "(loop $on (local.set $n (call $order (i32.const 0) (i32.const 4096) (i32.const 8192)))"
        " (if (i32.eq (local.get $n) (i32.const -64)) (then (return)))"
        f" (local.set $n {RUN})"
        " (if (i32.gt_s (local.get $n) (i32.const 0)) (then (drop (call $deliver"
        " (i32.load (i32.const 4096)) (i32.const 65536) (local.get $n) (i32.const 65536)"
        " (i32.const 8))))) (br $on))"
    )
    killer = Killer("prover")
    result = think(
        [thinker("t", write(tmp_path, "t", stubborn), count=2)],
        tier="T3",
        rows=16,
        folder=tmp_path,
        deterministic=False,
        cells=1,
        duration="15 s",
        on_view=killer,
    )
    assert killer.killed
    assert provers() == []
    assert len(set(paid(result))) == 4
    assert {record.outcome for record in result.report.processes.values()} == {"finished"}
    failed = [event for event in result.events("inference") if event.integer("errno") == EIO]
    assert len(failed) <= 1


def test_an_escrow_orders_what_it_can_pay_and_no_more(tmp_path: Path) -> None:
    result = think([thinker("t")], rows=16, escrow=f"{price(4) + 5} uJ", folder=tmp_path)
    assert result["t"].earned_credits == price(4)
    credits = [event.integer("paid_credits") for event in result.events("inference_paid")]
    assert credits == [price(4)]
    assert len(result.events("order")) == 1, "nobody is asked for outputs that are not paid"


def test_the_example_runs_audits_and_explains(tmp_path: Path) -> None:
    fleet = REPOSITORY / "examples/inferences.toml"
    done = maxwell(
        *("run", str(fleet), "--deterministic", "--out", "out", "--prometheus", "x.prom"),
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    assert "proof/inf" in done.out.decode()
    done = maxwell("audit", "out", cwd=tmp_path)
    assert done.code == 0, done.out
    done = maxwell("why", "thinker", "--run", "out", cwd=tmp_path)
    # What the events alone say is what the report says.
    seen = unfinished_process(tmp_path / "out/events.jsonl", "thinker")
    assert (seen.claims_paid, seen.results) == (21, 21)
    assert seen.proof_uj > 5 * seen.inference_uj > 0
    paid_to = {p["name"]: p["claims_paid"] for p in report_of(tmp_path / "out")["processes"]}
    assert paid_to == {"thinker": 21, "replayer": 1}, "of 22 orders"
    assert "21 claims of them were paid" in " ".join(done.out.decode().split())
    lines = (tmp_path / "x.prom").read_text().splitlines()
    figures = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    ratio = float(figures["maxwell_proof_inference_ratio"])
    joules = {
        kind: sum(float(v) for k, v in figures.items() if k.startswith(f"maxwell_process_{kind}"))
        for kind in ("inference_joules", "proof_joules")
    }
    expected = joules["proof_joules"] / joules["inference_joules"]
    assert ratio == pytest.approx(expected, rel=1e-3)
    assert figures['maxwell_process_results_total{process="thinker"}'] == "21"


def test_whoever_leaves_a_job_behind_pays_what_its_shapes_say(tmp_path: Path) -> None:
    """A prover that stands still: the node waits for nobody."""
    stopped: list[int] = []

    def stop(view: NodeView) -> None:
        del view
        if not stopped:
            stopped.extend(provers())
            os.kill(stopped[0], signal.SIGSTOP)

    result = think(
        [thinker("t", deadline="700 ms")],
        tier="T3",
        folder=tmp_path,
        deterministic=False,
        cells=1,
        duration="10 s",
        on_view=stop,
    )
    record = result["t"]
    assert record.outcome == "deadline"
    (event,) = result.events("inference")
    assert event.text("why") == "its process ended"
    charged = event.integer("charged_credits")
    assert charged == event.integer("run_uj") == record.inference_uj > 0
    assert (record.proof_uj, record.inferences) == (0, 0)
    assert spent(record) == 4_000_000
    assert not is_running(stopped[0])
