"""What the prover's memory must hold, from a model's shapes alone, and how much of it there is.

The figures are upper bounds with about a third to spare, fitted to peaks that were measured on
dense layers of 64² to 2048² weights and convolutions of up to 2^21 outputs, plain and hiding, with
16 to 256 openings. What they miss meets the limit of the process, which ends it and not the node.
"""

from __future__ import annotations

import os
from contextlib import suppress
from math import isqrt, prod
from pathlib import Path
from typing import TYPE_CHECKING, Final

from maxwell.proofs.model import Conv2d, Dense
from maxwell.proofs.profiles import SECURITY_DEFAULT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from maxwell.proofs.model import ProofModel

MEMORY_BYTES_MAX: Final = 8 << 30
BASE_BYTES: Final = 256 << 20
"""Of an interpreter with numpy and its threads."""
_CGROUP_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")

_PLAIN_WEIGHT: Final = 64
_HIDING_WEIGHT: Final = 96
_OPENING_FIXED: Final = 256 << 10
_OPENING_ROW: Final = 2 << 10
"""Of each opening, times the root of the weights: longer code words."""
_FRACTION: Final = {False: 128, True: 224}
"""Of each look-up, padded: the tree of fractions, plain and hiding."""
_COLUMN: Final = {False: 64, True: 128}
"""Of each committed cell: value, code word, hashes."""
_CELL: Final = 32
"""Of each cell of a tensor: as it is run, and as it is bound."""
_JOB_FIXED: Final = 32 << 20
_MODEL_FIXED: Final = 8 << 20


def memory_bytes_max() -> int:
    """Returns what the prover may take: half of what this machine or its control group has."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # "max" is no limit.
    with suppress(OSError, ValueError):
        there = min(there, int(_CGROUP_LIMIT.read_text()))
    return min(MEMORY_BYTES_MAX, there // 2)


def registered_bytes(model: ProofModel, *, openings: int, security: int = 100) -> int:
    """Returns what a registered model takes.

    Args:
        model: which.
        openings: 0 when it hides nothing. A refresh makes a second commitment beside the first.
        security: bits; more of them take more queries, and random values for each.
    """
    weights = _padded_weights(model)
    if not openings:
        return _PLAIN_WEIGHT * weights + _MODEL_FIXED
    longer = openings * (_OPENING_FIXED + _OPENING_ROW * isqrt(weights))
    return _MODEL_FIXED + 2 * (_HIDING_WEIGHT * weights + _scaled(longer, security))


def job_bytes(model: ProofModel, batch: int, *, openings: int, security: int = 100) -> int:
    """Returns what proving a batch takes at its peak; running, checking and auditing take less.

    Args:
        model: which.
        batch: inputs.
        openings: 0 when it hides nothing.
        security: bits, which the size of challenges follows.
    """
    shapes = model.shapes()
    look_ups = sum(_ceil_2(len(table.values)) for table in model.tables) + 256
    columns = look_ups
    for op, shape in zip(model.ops, shapes[1:], strict=True):
        cells, limbs = _padded(shape, batch), op.requant.shift // 8
        look_ups += (1 + limbs) * cells
        columns += (2 + limbs) * cells
    hides = openings > 0
    tensors = _CELL * sum(_padded(shape, batch) for shape in shapes)
    grows = openings * _OPENING_FIXED + _FRACTION[hides] * _ceil_2(look_ups)
    return _JOB_FIXED + _scaled(grows + _COLUMN[hides] * columns, security) + tensors


def _scaled(count: int, security: int) -> int:
    """Returns what is counted for 100 bits at another security: 128 has cubic challenges."""
    return count * 3 // 2 if security > SECURITY_DEFAULT else count


def _padded_weights(model: ProofModel) -> int:
    """Returns the weights with each axis of a sum padded to a power of two."""
    shapes, total = model.shapes(), 0
    for op in model.ops:
        shape = shapes[op.input]
        if isinstance(op, Dense):
            total += op.n * _product_2(shape[op.row_axes :])
        elif isinstance(op, Conv2d):
            total += op.o * _product_2((shape[0], *op.kernel))
    return total


def _padded(shape: Iterable[int], batch: int) -> int:
    return _product_2((batch, *shape))


def _product_2(sizes: Iterable[int]) -> int:
    return prod(_ceil_2(size) for size in sizes)


def _ceil_2(size: int) -> int:
    return 1 << max(0, size - 1).bit_length()
