"""`maxwell prove`: runs a model on an input and writes the proof."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maxwell.cli.console import print_note
from maxwell.cli.model import import_model, import_options
from maxwell.cli.settings import Settings, common_options
from maxwell.cli.stages import Stages
from maxwell.errors import ProofError
from maxwell.proofs.arrays import load_array

if TYPE_CHECKING:
    from maxwell.proofs.importer import Network
    from maxwell.proofs.store import ModelStore


@click.command()
@click.argument("model", metavar="MODEL.onnx|DIGEST|NAME")
@click.argument("x", metavar="X.npy", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="FILE", required=True,
    help="Where the proof goes.",
)  # fmt: skip
@click.option("--zk", is_flag=True, help="Hide the weights.")
@click.option("--context", metavar="HEX", default="", help="Bytes that the proof is bound to.")
@import_options
@click.option("--json", is_flag=True, help="Print as JSON.")
@common_options
@click.pass_obj
def command(
    settings: Settings,
    *,
    model: str,
    x: Path,
    out: Path,
    zk: bool,
    context: str,
    calibration: Path | None,
    percentile: float | None,
    per_tensor: bool,
    json: bool,
) -> int:
    """Run a model on an input and write a proof of the result.

    X.npy holds one input or a batch: real numbers, which are rounded to the model's grid, or the
    model's integers. A file that was registered is used as it was registered.
    """
    from maxwell.proofs.proof import Model

    stages = Stages(settings)
    bound_to = parse_hex(context, "--context")
    data = load_array(x)
    network, known = _network(stages, model, calibration, percentile, per_tensor)
    network.to_ints(data)  # before the work of committing, so that a misfit is told at once
    with stages.stage("commit", "committing to the weights"):
        registered = Model(network, hiding=zk)
        if known is not None and not zk and registered.digest != known:
            raise ProofError(
                f"model {known[:16]}… of the store has other weights than its digest says",
                code="MX1715",
                hint="remove its folder and register the model again",
            )
        registered.save()
    with stages.stage("prove", f"proving {network.proof_model.macs():,} multiplications"):
        proof = registered.prove(data, context=bound_to)
    proof.save(out)
    if json:
        import msgspec

        shown = {
            "schema": "maxwell.proof/1",
            "model": proof.digest,
            "batch": proof.batch,
            "output": proof.output_ints.tolist(),
            "result": proof.result.tolist(),
            "proof_bytes": len(proof.proof),
            "took_ns": {name: str(ns) for name, ns in stages.took_ns.items()},
        }
        click.echo(msgspec.json.encode(shown))
        return 0
    import numpy as np

    click.echo(np.array2string(proof.result, precision=6, threshold=1_000, max_line_width=100))
    if not settings.quiet:
        took = stages.took_ns["prove"] / 1e6
        print_note(f"{out}: {len(proof.proof):,} bytes of proof, {took:,.0f} ms")
        print_note(f"model {proof.digest}")
    return 0


def _network(
    stages: Stages,
    model: str,
    calibration: Path | None,
    percentile: float | None,
    per_tensor: bool,
) -> tuple[Network, str | None]:
    """Returns the registered model that a word or a file means, with its digest, or imports it."""
    from maxwell.proofs.onnx_file import read_bytes
    from maxwell.proofs.store import ModelStore

    store = ModelStore()
    path = Path(model)
    if not (model.endswith(".onnx") or path.is_file()):
        found = store.find(model)
        return store.load(found), _plain(store, found)
    if calibration is None and percentile is None and not per_tensor:
        source = hashlib.sha256(read_bytes(path)).hexdigest()
        digest = store.find_source(source)
        if digest is not None:
            return store.load(digest), _plain(store, digest)
    return import_model(stages, path, calibration, percentile, per_tensor), None


def _plain(store: ModelStore, digest: str) -> str | None:
    """Returns the digest if registering again must give it: hiding draws new randomness."""
    return None if store.about(digest).hiding else digest


def parse_hex(text: str, option: str) -> bytes:
    """Returns the bytes of an option.

    Raises:
        UsageError: it is not hexadecimal.
    """
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise click.UsageError(f"invalid value for '{option}': {text!r} is not hex") from None
