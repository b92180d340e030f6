"""`maxwell prove`: runs a model on an input and writes the proof."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maxwell.cli.console import print_note
from maxwell.cli.model import import_model, import_options, security_option
from maxwell.cli.settings import Settings, common_options
from maxwell.cli.stages import Stages
from maxwell.errors import ProofError
from maxwell.proofs.arrays import load_array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from maxwell.proofs.proof import Model


@click.command()
@click.argument("model", metavar="MODEL.onnx|DIGEST|NAME")
@click.argument("x", metavar="X.npy", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="FILE", required=True,
    help="Where the proof goes.",
)  # fmt: skip
@click.option("--zk", is_flag=True, help="Hide weights and activations.")
@security_option(default=None)
@click.option(
    "--hide-input", is_flag=True,
    help="Hide the input as well: the proof has a commitment in its place. Needs --zk.",
)  # fmt: skip
@click.option(
    "--opening", type=click.Path(path_type=Path), metavar="FILE",
    help="Where the secret of a hidden input goes: the proof's name with .opening.",
)  # fmt: skip
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
    security: int | None,
    hide_input: bool,
    opening: Path | None,
    context: str,
    calibration: Path | None,
    percentile: float | None,
    per_tensor: bool,
    json: bool,
) -> int:
    """Run a model on an input and write a proof of the result.

    With --zk the proof tells nothing about weights and activations beyond input and output; a model
    that is registered with --zk is always proved so. A model is proved with the security that it is
    registered with; a file that is registered here and now with --security, or 100 bits.

    X.npy holds one input or a batch: real numbers, which are rounded to the model's grid, or the
    model's integers. A file that was registered is used as it was registered.

    With --hide-input the proof has a commitment where the input would be. The file that --opening
    names is the secret that shows later which input that was (`maxwell verify --input`).
    """
    if opening is not None and not hide_input:
        raise click.UsageError("'--opening' goes with '--hide-input'")
    if opening == out:
        raise click.UsageError("'--opening' and '--out' name one file")
    stages = Stages(settings)
    bound_to = parse_hex(context, "--context")
    data = load_array(x)
    how = (calibration, percentile, per_tensor)
    registered = _registered(
        stages, model, data, how, zk=zk, security=security, hide_input=hide_input
    )
    network = registered.network
    with stages.stage("prove", f"proving {network.proof_model.macs():,} multiplications"):
        proof = registered.prove(data, context=bound_to, hide_input=hide_input)
    secret = opening or out.with_name(out.name + ".opening")
    if proof.opening is not None:
        # First: a proof without it could never be shown to be of this input.
        proof.opening.save(secret)
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
            "hiding": proof.hiding,
            "security": proof.security,
            "input_commitment": proof.input_commitment.hex() or None,
            "proofs_left": registered.proofs_left,
            "took_ns": {name: str(ns) for name, ns in stages.took_ns.items()},
        }
        click.echo(msgspec.json.encode(shown))
        return 0
    import numpy as np

    click.echo(np.array2string(proof.result, precision=6, threshold=1_000, max_line_width=100))
    if not settings.quiet:
        took = stages.took_ns["prove"] / 1e6
        print_note(
            f"{out}: {len(proof.proof):,} bytes of proof, {proof.security} bits, {took:,.0f} ms"
        )
        print_note(f"model {proof.digest}")
        if registered.proofs_left is not None:
            print_note(f"weights hidden; {registered.proofs_left} proofs left before a refresh")
        if proof.hides_input:
            print_note(f"input hidden behind {proof.input_commitment.hex()}")
            print_note(f"keep {secret}: it shows which input that is, to you or whom you give it")
    return 0


def _registered(
    stages: Stages,
    word: str,
    data: NDArray[np.generic],
    how: tuple[Path | None, float | None, bool],
    *,
    zk: bool,
    security: int | None,
    hide_input: bool,
) -> Model:
    """Returns the registered model that a word or a file means, or imports and registers it.

    Args:
        stages: to tell of what takes time.
        word: the model.
        data: the input, which must fit.
        how: samples, percentile and whether weights share a scale, for an import.
        zk: whether weights must be hidden.
        security: the least bits; None for any.
        hide_input: whether the input will be.
    """
    from maxwell.proofs.onnx_file import read_bytes
    from maxwell.proofs.profiles import SECURITY_DEFAULT
    from maxwell.proofs.proof import Model
    from maxwell.proofs.store import ModelStore

    store = ModelStore()
    path = Path(word)
    known = None
    if not (word.endswith(".onnx") or path.is_file()):
        known = store.find(word)
        if zk and not store.about(known).hiding:
            raise ProofError(
                f"model {known[:16]}… was registered without hiding its weights",
                hint="`maxwell model register --zk m.onnx` registers it anew",
            )
        if security is not None and store.security(known) < security:
            raise ProofError(
                f"model {known[:16]}… was registered for {store.security(known)} bits",
                hint=f"`maxwell model register --security {security} m.onnx` registers it anew",
            )
    elif how == (None, None, False):
        source = hashlib.sha256(read_bytes(path)).hexdigest()
        known = store.find_source(source, hiding=zk, security=security or 0)
    hides = zk if known is None else store.about(known).hiding
    if hide_input and not hides:
        raise ProofError(
            "a model that hides nothing hides no input",
            code="MX1717",
            hint="give --zk as well, which registers the model's file with hidden weights",
        )
    # Inputs are checked before the work of committing, so that a misfit is told at once.
    if known is not None:
        store.load(known).to_ints(data)
        with stages.stage("commit", "committing to the weights"):
            return Model.stored(known, store)
    network = import_model(stages, path, *how)
    network.to_ints(data)
    with stages.stage("commit", "committing to the weights"):
        model = Model(network, hiding=zk, security=security or SECURITY_DEFAULT)
        model.save(store)
    return model


def parse_hex(text: str, option: str) -> bytes:
    """Returns the bytes of an option.

    Raises:
        UsageError: it is not hexadecimal.
    """
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise click.UsageError(f"invalid value for '{option}': {text!r} is not hex") from None
