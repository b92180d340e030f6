"""What `maxwell model inspect` shows: as records for JSON, and as a table."""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING

import msgspec

from maxwell.proofs.bounds import FIELD_BOUND
from maxwell.proofs.model import NAMES, op_macs
from maxwell.proofs.openings import proofs_left
from maxwell.proofs.profiles import profile_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from maxwell.proofs.importer import Network
    from maxwell.proofs.openings import Openings


class OperationView(msgspec.Struct, frozen=True):
    """One operation."""

    node: str
    op: str
    output_shape: tuple[int, ...]
    weights: int
    macs: int
    accumulator_max: str
    """Largest |acc| over all inputs, a decimal string."""
    product_bits: float
    """Bits of the largest |acc| · multiplier; below 62."""
    multiplier_count: int
    shift: int
    table: int
    q_lo: int
    q_hi: int


class Inspection(msgspec.Struct, frozen=True):
    """A model as `maxwell.model-inspection/1`."""

    schema: str
    name: str
    digest: str | None
    """None where the installation has no prover."""
    profile: str | None
    """Security profile of the commitment; None likewise."""
    security: int | None
    """Bits that its proofs have; None likewise."""
    openings: int | None
    """How often hidden weights may be opened; None when they are not hidden."""
    proofs_left: int | None
    """Proofs that can be made before a refresh; None likewise."""
    input_shape: tuple[int, ...]
    input_range: tuple[int, int]
    input_scale: float
    output_shape: tuple[int, ...]
    output_scale: float
    macs: int
    weights: int
    tables: tuple[int, ...]
    """Length of each."""
    scales_from: str
    operations: tuple[OperationView, ...]


def inspection(
    network: Network, digest: str | None, header: bytes | None, openings: Openings | None
) -> Inspection:
    """Returns what is to be shown of a model.

    Args:
        network: the model.
        digest: its name.
        header: of its commitment.
        openings: the count of hidden weights.
    """
    profile = None if header is None else profile_of(header)
    model = network.proof_model
    shapes, bounds = model.shapes(), network.bounds()
    operations: list[OperationView] = []
    for index, (op, bound) in enumerate(zip(model.ops, bounds, strict=True)):
        block = model.weights[index]
        operations.append(
            OperationView(
                network.operations[index],
                NAMES[type(op)],
                shapes[index + 1],
                0 if block is None else block.size,
                op_macs(model, index),
                str(bound.accumulator_max),
                round(log2(bound.product_max), 2),
                len(op.requant.multipliers),
                op.requant.shift,
                op.requant.table,
                bound.q_lo,
                bound.q_hi,
            )
        )
    return Inspection(
        "maxwell.model-inspection/1",
        network.name,
        digest,
        None if profile is None else str(profile),
        None if profile is None else profile.security,
        None if openings is None else openings.total,
        None if openings is None else proofs_left(openings),
        model.input_shape,
        model.input_range,
        network.input_grid.scale,
        network.output_shape,
        network.output_grid.scale,
        model.macs(),
        sum(view.weights for view in operations),
        tuple(len(table.values) for table in model.tables),
        network.calibration,
        tuple(operations),
    )


def inspection_view(data: Inspection) -> RenderableType:
    """Returns the tables for people."""
    from rich.console import Group
    from rich.table import Table

    about = Table.grid(padding=(0, 2, 0, 0))
    about.add_column(style="bold", no_wrap=True)
    about.add_column()
    lo, hi = data.input_range
    rows = {
        "model": data.name,
        "digest": data.digest or "unknown: this installation has no prover",
        "profile": _profile(data),
        "input": f"{_shape(data.input_shape)}, integers {lo} to {hi}, unit {data.input_scale:.6g}",
        "output": f"{_shape(data.output_shape)}, unit {data.output_scale:.6g}",
        "multiplications": f"{data.macs:,} an inference",
        "weights": f"{data.weights:,}",
        "tables": ", ".join(f"{length:,}" for length in data.tables) + " values",
        "scales from": data.scales_from,
    }
    for key, value in rows.items():
        about.add_row(key, value)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for title, justify in (
        ("node", "left"), ("op", "left"), ("output", "right"), ("weights", "right"),
        ("MACs", "right"), ("|acc| ≤", "right"), ("bits of 62", "right"), ("shift", "right"),
        ("q", "right"),
    ):  # fmt: skip
        table.add_column(title, justify="right" if justify == "right" else "left", no_wrap=True)
    for op in data.operations:
        table.add_row(
            op.node, op.op, _shape(op.output_shape), f"{op.weights:,}", f"{op.macs:,}",
            f"{int(op.accumulator_max):,}", f"{op.product_bits:.1f}", str(op.shift),
            f"{op.q_lo:,} … {op.q_hi:,}",
        )  # fmt: skip
    assert all(op.product_bits < log2(FIELD_BOUND) + 0.01 for op in data.operations)
    return Group(about, "", table)


def _profile(data: Inspection) -> str:
    if data.openings is None:
        return data.profile or "unknown"
    return f"{data.profile}; {data.proofs_left} proofs left, {data.openings} openings in all"


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
