"""`maxwell model`: models that can be proved, from ONNX files and in the local store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from maxwell.cli.console import print_data, print_hint, print_warning
from maxwell.cli.settings import Settings, common_options
from maxwell.cli.stages import Stages
from maxwell.proofs.profiles import SECURITIES, SECURITY_DEFAULT

if TYPE_CHECKING:
    from collections.abc import Callable

    from maxwell.proofs.importer import Network


@click.group()
@common_options
def command() -> None:
    """Import, inspect and register models whose inferences can be proved."""


def import_options(function: Callable[..., object]) -> Callable[..., object]:
    """Adds the options that say how real numbers become integers."""
    for option in (
        click.option(
            "--calibration", type=click.Path(path_type=Path), metavar="X.npy",
            help="Sample inputs, for the scales that the file does not have.",
        ),
        click.option(
            "--percentile", type=click.FloatRange(50, 100), metavar="P",
            help="Scales from this percentile of magnitudes instead of the largest.",
        ),
        click.option("--per-tensor", is_flag=True, help="One scale for all channels of weights."),
    ):  # fmt: skip
        function = option(function)
    return function


def security_option(
    *, default: int | None
) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Adds the option that says how many bits proofs shall have."""
    return click.option(
        "--security", type=click.Choice(SECURITIES), default=default,
        show_default=default is not None,
        help="Bits: a false statement is proved once in 2^BITS at most.",
    )  # fmt: skip


def import_model(
    stages: Stages, file: Path, calibration: Path | None, percentile: float | None, per_tensor: bool
) -> Network:
    """Imports an ONNX file and warns when made-up inputs set its scales."""
    from maxwell.proofs.arrays import load_array
    from maxwell.proofs.calibrate import Options
    from maxwell.proofs.importer import STANDARD, load_onnx

    options = Options(
        method="minmax" if percentile is None else "percentile",
        percentile=99.99 if percentile is None else percentile,
        per_channel=not per_tensor,
    )
    samples = None if calibration is None else load_array(calibration)
    with stages.stage("import", f"importing {file}"):
        network = load_onnx(
            file,
            calibration=None if samples is None else samples.astype("float64"),
            options=options,
        )
    if network.calibration.startswith(STANDARD):
        print_warning(f"{file}: scales from {network.calibration}, not from real ones")
        print_hint("--calibration X.npy gives sample inputs; scales decide the accuracy")
    return network


@command.command()
@click.argument("file", metavar="MODEL.onnx", type=click.Path(path_type=Path))
@import_options
@click.option("--zk", is_flag=True, help="Commit so that proofs hide the weights.")
@click.option(
    "--openings", type=click.IntRange(3, 256), metavar="N", default=16, show_default=True,
    help="With --zk: how often the weights may be opened; more make proofs longer.",
)  # fmt: skip
@security_option(default=SECURITY_DEFAULT)
@click.option("--json", is_flag=True, help="Print as JSON.")
@common_options
@click.pass_obj
def register(
    settings: Settings,
    *,
    file: Path,
    calibration: Path | None,
    percentile: float | None,
    per_tensor: bool,
    zk: bool,
    openings: int,
    security: int,
    json: bool,
) -> int:
    """Import a model, commit to its weights, and keep it in the local store.

    Prints the model's digest: what its proofs are checked against. With --zk the commitment has a
    secret, which is kept in the store for you alone, and gives a limited number of proofs.
    """
    from maxwell.proofs.proof import Model

    stages = Stages(settings)
    network = import_model(stages, file, calibration, percentile, per_tensor)
    weights = sum(0 if w is None else w.size for w in network.proof_model.weights)
    with stages.stage("commit", f"committing to {weights:,} weights"):
        model = Model(network, hiding=zk, openings=openings, security=security)
    folder = model.save()
    if json:
        import msgspec

        about = {
            "digest": model.digest,
            "folder": str(folder),
            "hiding": zk,
            "security": security,
            "proofs_left": model.proofs_left,
        }
        click.echo(msgspec.json.encode({"schema": "maxwell.model/1", **about}))
    else:
        click.echo(model.digest)
    return 0


@command.command()
@click.argument("model", metavar="DIGEST|NAME")
@click.option("--json", is_flag=True, help="Print as JSON.")
@common_options
@click.pass_obj
def refresh(settings: Settings, *, model: str, json: bool) -> int:
    """Commit to hidden weights again, with new randomness, under the same digest.

    For a model whose proofs are used up. Later proofs carry a proof that the weights are the same.
    """
    from maxwell.proofs.proof import Model
    from maxwell.proofs.store import ModelStore

    store = ModelStore()
    stages = Stages(settings)
    digest = store.find(model)
    with stages.stage("commit", "committing to the weights again"):
        registered = Model.stored(digest, store)
        registered.refresh()
    if json:
        import msgspec

        about = {
            "digest": digest,
            "hiding": True,
            "security": registered.security,
            "proofs_left": registered.proofs_left,
        }
        click.echo(msgspec.json.encode({"schema": "maxwell.model/1", **about}))
    else:
        click.echo(digest)
    return 0


@command.command()
@click.argument("file", metavar="MODEL.onnx|DIGEST")
@import_options
@click.option("--json", is_flag=True, help="Print as JSON.")
@common_options
@click.pass_obj
def inspect(
    settings: Settings,
    *,
    file: str,
    calibration: Path | None,
    percentile: float | None,
    per_tensor: bool,
    json: bool,
) -> int:
    """Show a model's operations, shapes, static bounds, digest and multiplications."""
    from maxwell.cli.model_view import inspection, inspection_view
    from maxwell.proofs import backend
    from maxwell.proofs.store import ModelStore

    store = ModelStore()
    if file.endswith(".onnx") or Path(file).is_file():
        stages = Stages(settings)
        network = import_model(stages, Path(file), calibration, percentile, per_tensor)
        digest, header, openings = None, None, None
        if backend.available():
            with stages.stage("commit", "committing to the weights"):
                registered = backend.register(network.proof_model)
            digest, header = registered.digest.hex(), registered.header
    else:
        digest = store.find(file)
        network = store.load(digest)
        header = store.header(digest)
        openings = store.openings(digest)
    data = inspection(network, digest, header, openings)
    if json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())
    else:
        print_data(inspection_view(data))
    return 0


@command.command("list")
@click.option("--json", is_flag=True, help="Print as JSON.")
@common_options
@click.pass_obj
def list_models(settings: Settings, *, json: bool) -> int:
    """List the models of the local store."""
    from maxwell.proofs.store import ModelStore

    store = ModelStore()
    found = {digest: store.about(digest) for digest in store.digests()}
    if json:
        import msgspec

        click.echo(msgspec.json.encode({"schema": "maxwell.models/1", "models": found}))
        return 0
    if not found:
        if not settings.quiet:
            print_hint("`maxwell model register m.onnx` adds one")
        return 0
    from rich.table import Table

    from maxwell.proofs.openings import proofs_left

    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(5):
        table.add_column(no_wrap=True)
    for digest, about in found.items():
        kind = ""
        if about.hiding:
            openings = store.openings(digest)
            left = "unknown" if openings is None else f"{proofs_left(openings)}"
            kind = f"weights hidden, {left} proofs left"
        bits = f"{store.security(digest)} bits"
        table.add_row(digest[:16], about.name, f"{about.macs:,} multiplications", bits, kind)
    print_data(table)
    return 0
