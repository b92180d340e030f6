"""Goal: hidden weights that are committed to anew beside a run are proved and checked on.

Method: the prover's own worker, on a store that somebody else refreshes, or whose disk is full.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from inference.fleet import inputs, network
from maxwell.errors import ProofError
from maxwell.inference.worker import HEADERS_KEPT, _Served  # pyright: ignore[reportPrivateUsage]
from maxwell.proofs import Model, ModelStore, Proof

pytestmark = pytest.mark.native


@pytest.fixture
def digest(tmp_path: Path) -> str:
    model = Model(network(), hiding=True, openings=4)
    model.save(ModelStore(tmp_path))
    return model.digest


def prove(served: _Served) -> Proof:
    return served.prove(inputs(1), b"c")


def verify(served: _Served, made: Proof) -> None:
    served.verify(x=made.input, y=made.output, batch=1, context=b"c", proof=made.proof)


def test_a_refresh_beside_a_run_is_followed(tmp_path: Path, digest: str) -> None:
    store = ModelStore(tmp_path)
    served = _Served(store, digest)
    proofs = [prove(served), prove(served)]
    Model.stored(digest, store).refresh()
    proofs.append(prove(served))
    assert len({made.header for made in proofs}) == 2
    assert served.model.header == Model.stored(digest, store).header
    # The same for a prover that was started since.
    for prover in (served, _Served(store, digest)):
        for made in proofs:
            verify(prover, made)


def test_proofs_are_taken_for_some_refreshes(tmp_path: Path, digest: str) -> None:
    store = ModelStore(tmp_path)
    made = prove(_Served(store, digest))
    for _ in range(HEADERS_KEPT - 1):
        Model.stored(digest, store).refresh()
    verify(_Served(store, digest), made)
    Model.stored(digest, store).refresh()
    with pytest.raises(ProofError) as caught:
        verify(_Served(store, digest), made)
    assert caught.value.code == "MX1706"


def test_a_full_disk_does_not_cost_the_model(
    tmp_path: Path, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ModelStore(tmp_path)
    served = _Served(store, digest)
    for _ in range(2):
        prove(served)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr("maxwell.proofs.hidden._write_private", full)
        for code in ("MX1715", "MX1716", "MX1716"):
            with pytest.raises(ProofError) as caught:
                prove(served)
            assert caught.value.code == code
    Model.stored(digest, store).refresh()
    verify(served, prove(served))
