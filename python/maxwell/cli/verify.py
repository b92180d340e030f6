"""`maxwell verify`: checks a proof without running the model."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from maxwell.cli.console import print_maxwell_error, print_note
from maxwell.cli.prove import parse_hex
from maxwell.cli.settings import Settings, common_options
from maxwell.cli.stages import Stages
from maxwell.errors import ProofError

EXIT_REFUSED: Final = 1


@click.command()
@click.argument("proof", metavar="PROOF", type=click.Path(path_type=Path))
@click.option(
    "--model", metavar="DIGEST|NAME", required=True,
    help="The model that you expect: its digest, or a model of the local store.",
)  # fmt: skip
@click.option("--context", metavar="HEX", default="", help="Bytes that it must be bound to.")
@click.option(
    "--input", "x", type=click.Path(path_type=Path), metavar="X.npy",
    help="Check as well that the proof is about this input.",
)  # fmt: skip
@click.option(
    "--opening", type=click.Path(path_type=Path), metavar="FILE",
    help="The secret of a hidden input, which `prove --hide-input` wrote.",
)  # fmt: skip
@click.option("--json", is_flag=True, help="Print as JSON.")
@common_options
@click.pass_obj
def command(
    settings: Settings,
    *,
    proof: Path,
    model: str,
    context: str,
    x: Path | None,
    opening: Path | None,
    json: bool,
) -> int:
    """Check a proof and print the output that it proves.

    Needs neither the weights nor a second run. Exits with 1 when the proof does not hold, or is
    about another input than --input. A proof that hides its input shows the commitment to it.
    """
    if opening is not None and x is None:
        raise click.UsageError("'--opening' goes with '--input X.npy'")
    import numpy as np

    from maxwell.proofs.arrays import load_array
    from maxwell.proofs.input_opening import InputOpening
    from maxwell.proofs.proof import Proof
    from maxwell.proofs.store import ModelStore

    stages = Stages(settings)
    bound_to = parse_hex(context, "--context")
    store = ModelStore()
    whole = len(model) == 64 and all(c in "0123456789abcdef" for c in model.lower())
    expected = model if whole else store.find(model)
    try:
        loaded = Proof.load(proof, store)
        with stages.stage("verify", "verifying"):
            loaded.verify(expected, context=bound_to)
            if x is not None:
                secret = None if opening is None else InputOpening.load(opening)
                loaded.check_input(load_array(x), secret)
    except ProofError as error:
        if error.code != "MX1706":
            raise
        print_maxwell_error(error)
        return EXIT_REFUSED
    output = loaded.output_ints if loaded.network is None else loaded.result
    if json:
        import msgspec

        shown = {
            "schema": "maxwell.verification/1",
            "ok": True,
            "model": loaded.digest,
            "hiding": loaded.hiding,
            "security": loaded.security,
            "batch": loaded.batch,
            "input_commitment": loaded.input_commitment.hex() or None,
            "input_checked": x is not None,
            "output": loaded.output_ints.tolist(),
            "result": None if loaded.network is None else loaded.result.tolist(),
            "took_ns": str(stages.took_ns["verify"]),
        }
        click.echo(msgspec.json.encode(shown))
        return 0
    click.echo(np.array2string(output, precision=6, threshold=1_000, max_line_width=100))
    if not settings.quiet:
        name = loaded.digest if loaded.network is None else loaded.network.name
        if loaded.hides_input:
            print_note(f"input hidden behind {loaded.input_commitment.hex()}")
        if x is not None:
            print_note(f"the input is that of {x}")
        took_ms = stages.took_ns["verify"] / 1e6
        print_note(f"verified to {loaded.security} bits: {name} gave this, {took_ms:,.1f} ms")
    return 0
