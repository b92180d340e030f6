"""Goal: no model and no order takes the node down by the memory that proving them takes.

Method: the estimate beside measured peaks of a process of its own; a real prover under a limit."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from inference.fleet import MLP, inputs, network, think, thinker
from maxwell.config import ModelConfig
from maxwell.errors import ConfigError
from maxwell.inference import memory
from maxwell.inference.costs import Shapes
from maxwell.inference.jobs import Done, Job
from maxwell.inference.memory import BASE_BYTES, job_bytes, memory_bytes_max, registered_bytes
from maxwell.inference.models import RunModel, load_models
from maxwell.inference.prover import Prover
from maxwell.node.inference import batch_max
from maxwell.proofs import Model, ModelStore, ProofModel
from maxwell.proofs.backend import to_bytes
from maxwell.proofs.model import Dense, Requant, Table

pytestmark = pytest.mark.native

MIB = 1 << 20

PEAK = """
import sys
import numpy as np
from maxwell.proofs import ProofModel, backend
text, weights, batch, openings, security = sys.argv[1:]
model = ProofModel.from_json(open(text).read(), open(weights, "rb").read())


def peak(key):
    line = next(line for line in open("/proc/self/status") if line.startswith(key))
    return int(line.split()[1]) << 10


def reset():
    open("/proc/self/clear_refs", "w").write("5")


x = np.zeros((int(batch), *model.input_shape), np.int16)
before = peak("VmRSS")
reset()
made = backend.register(model, security=int(security), **({} if openings == "0" else dict(
    seed=bytes(range(32)), openings=int(openings))))
registered = peak("VmHWM") - before
before = peak("VmRSS")
reset()
backend.prove(made, x, model.output_shape, b"")
print(registered, peak("VmHWM") - before)
"""


def dense(k: int, n: int, *, shift: int = 16) -> ProofModel:
    weights = np.ones((k, n), np.int16)
    bound = 8 * k
    table = Table(-bound - 1, tuple(max(-100, min(100, q)) for q in range(-bound - 1, bound + 2)))
    requant = Requant((1 << shift,), shift, 0)
    op = Dense(0, 0, n, (0,) * n, requant)
    return ProofModel((k,), (-8, 8), (table,), (op,), (weights,))


@pytest.mark.parametrize(
    ("k", "n", "shift", "batch", "openings", "security"),
    [
        (512, 512, 16, 1, 64, 100), (64, 64, 24, 2048, 0, 100), (33, 65, 8, 1024, 16, 100),
        (1024, 512, 16, 1, 0, 100), (512, 512, 16, 1, 64, 128), (64, 64, 24, 2048, 0, 128),
    ],
)  # fmt: skip
def test_the_estimate_is_above_what_proving_takes(
    tmp_path: Path, k: int, n: int, shift: int, batch: int, openings: int, security: int
) -> None:
    model = dense(k, n, shift=shift)
    (tmp_path / "m.json").write_text(model.to_json())
    (tmp_path / "w.bin").write_bytes(model.weight_bytes())
    done = subprocess.run(
        [sys.executable, "-c", PEAK, "m.json", "w.bin", str(batch), str(openings), str(security)],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    registered, proved = map(int, done.stdout.split())
    assert registered <= registered_bytes(model, openings=openings, security=security)
    assert proved <= job_bytes(model, batch, openings=openings, security=security)


def test_estimates_grow_with_all_that_takes_memory() -> None:
    small, wide = dense(64, 64), dense(64, 65)
    assert registered_bytes(dense(65, 64), openings=0) > registered_bytes(small, openings=0)
    for grows in (
        [job_bytes(small, batch, openings=0) for batch in (64, 65, 4096)],
        [job_bytes(small, 64, openings=openings) for openings in (0, 16, 256)],
        [registered_bytes(small, openings=openings) for openings in (0, 16, 256)],
        [job_bytes(model, 64, openings=0) for model in (small, wide, dense(64, 65, shift=40))],
    ):
        assert grows == sorted(set(grows))


def test_a_model_that_does_not_fit_is_refused_before_it_is_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def registers(*_: object, **__: object) -> None:
        raise AssertionError("it is registered")

    config = ModelConfig(name="digits", onnx=MLP.name)
    needed = registered_bytes(network().proof_model, openings=0)
    needed += job_bytes(network().proof_model, 1, openings=0)
    loaded = load_models([config], MLP.parent, tmp_path / "a", bytes_max=BASE_BYTES + needed)
    assert loaded["digits"].job_bytes_max < needed
    assert batch_max(loaded["digits"]) >= 1
    monkeypatch.setattr("maxwell.inference.models.Model", registers)
    for count, most in ((1, needed - 1), (2, needed), (1, 0)):
        models = [msgspec.structs.replace(config, name=f"m{i}") for i in range(count)]
        with monkeypatch.context() as first:
            if count == 2:
                first.setattr("maxwell.inference.models.Model", Model)
            with pytest.raises(ConfigError) as caught:
                load_models(models, MLP.parent, tmp_path / "b", bytes_max=BASE_BYTES + most)
        assert caught.value.code == "MX1732"
        assert f"m{count - 1}" in caught.value.message


def test_a_batch_is_no_larger_than_memory_lets_it_be() -> None:
    model = RunModel(
        name="m",
        digest="0" * 64,
        hiding=False,
        batch_max=512,
        shapes=Shapes.of(network().proof_model),
        network=network(),
    )
    assert batch_max(model) == 512
    for most in (400, 64, 40, 1):
        bound = msgspec.structs.replace(model, job_bytes_max=most * MIB)
        batch = batch_max(bound)
        assert batch == 0 or job_bytes(network().proof_model, batch, openings=0) <= most * MIB
        assert job_bytes(network().proof_model, 2 * max(1, batch), openings=0) > most * MIB or (
            batch == 512
        )


def test_a_run_refuses_what_this_machine_cannot_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maxwell.node.inference.memory_bytes_max", lambda: BASE_BYTES)
    with pytest.raises(ConfigError) as caught:
        think([thinker("t")], folder=tmp_path)
    assert caught.value.code == "MX1732"


@contextmanager
def prover(folder: Path, digest: str, bytes_max: int) -> Generator[Prover]:
    made = Prover(folder, [digest], dict(os.environ), memory_bytes=bytes_max)
    try:
        yield made
    finally:
        made.close()


def test_a_job_beyond_the_limit_fails_and_the_next_one_does_not(tmp_path: Path) -> None:
    """Whatever an estimate misses: the process has a limit, and whoever asks hears of it."""
    store = ModelStore(tmp_path)
    model = Model(network())
    model.save(store)

    def job(rows: int) -> Job:
        x = np.repeat(inputs(1), rows, axis=0)
        return Job(
            kind="prove", digest=model.digest, input=to_bytes(x), batch=rows, buyer_nonce=bytes(32)
        )

    def finished(served: Prover, number: int, rows: int) -> Done:
        served.ask((number, 0), job(rows), lane="a")
        # A hang guard.
        end = time.monotonic() + 40
        done = served.finish((number, 0), give_up=lambda: time.monotonic() > end)
        assert done is not None
        return done

    with prover(tmp_path, model.digest, 250 * MIB) as served:
        assert finished(served, 1, 1).code == ""
        failed = finished(served, 2, 4096)
        assert failed.code in {"MX1730", "MX1732"}
        assert finished(served, 3, 1).code == ""
    with prover(tmp_path, model.digest, 2_000 * MIB) as served:
        assert finished(served, 1, 4096).code == ""


def test_half_of_the_machine_is_the_provers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_CGROUP_LIMIT", limit)
    assert memory_bytes_max() == min(8 << 30, there // 2)
    limit.write_text("max\n")
    assert memory_bytes_max() == min(8 << 30, there // 2)
    limit.write_text(f"{512 * MIB}\n")
    assert memory_bytes_max() == 256 * MIB
