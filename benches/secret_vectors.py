"""Tier T1: checking a layer's sums against a secret vector, beside computing the layer.

Goal: microseconds of one check of a 768→3072 layer, from Python, and of the layer itself on one
thread. Not: the audit of a whole network, whose requantisation is elementwise on top.

Method: int8 weights and one int8 row; `holds` of the native module, which Python's
`SecretVectors.audit` calls, on the bytes of row and sums. The layer is the fastest exact run we
have: single precision through BLAS, or int64 in numpy. Best of many blocks.

`python benches/secret_vectors.py [--smoke]`
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
from typing import TYPE_CHECKING, Final

import numpy as np

from harness import emit, parse_options
from maxwell.proofs.backend import secret_vector, to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

K: Final = 768
N: Final = 3_072
CHECK_US_MAX: Final = 5.0


def best_us(work: Callable[[], object], *, blocks: int, calls: int) -> float:
    """Returns microseconds a call, in the fastest block."""
    took: list[float] = []
    for _ in range(blocks):
        start = time.perf_counter()
        for _ in range(calls):
            work()
        took.append((time.perf_counter() - start) / calls)
    return min(took) * 1e6


def main() -> None:
    """Measures check, layer and preparation."""
    options = parse_options(__doc__ or "")
    blocks, calls = (1, 2) if options.smoke else (50, 200)
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (K, N)).astype(np.int16)
    bias = rng.integers(-5_000, 5_000, N)
    x = rng.integers(-127, 128, (1, K)).astype(np.int16)
    single, x_single = weights.astype(np.float32), x.astype(np.float32)
    sums = (x_single @ single).astype(np.int64) + bias
    assert np.array_equal(sums, x.astype(np.int64) @ weights.astype(np.int64) + bias)
    secret = secret_vector(weights, tuple(bias.tolist()), rng.bytes(32))
    row, cells = to_bytes(x), sums.tobytes()
    assert secret.holds(row, cells)
    assert not secret.holds(row, (sums + 1).tobytes())
    layer = best_us(lambda: x_single @ single, blocks=blocks, calls=max(1, calls // 20))
    emit(
        "proofs.t1.768_3072.check_us",
        best_us(lambda: secret.holds(row, cells), blocks=blocks, calls=calls),
        "us",
        target=CHECK_US_MAX,
        peer="the layer: BLAS, single precision, one thread",
        peer_value=layer,
    )
    emit(
        "proofs.t1.768_3072.check_from_arrays_us",
        best_us(lambda: secret.holds(to_bytes(x), sums.tobytes()), blocks=blocks, calls=calls),
        "us",
        peer="the layer: int64 in numpy",
        peer_value=best_us(
            lambda: x.astype(np.int64) @ weights.astype(np.int64), blocks=1, calls=2
        ),
    )
    prepare = best_us(
        lambda: secret_vector(weights, tuple(bias.tolist()), bytes(32)), blocks=2, calls=1
    )
    emit("proofs.t1.768_3072.prepare_us", prepare, "us")


if __name__ == "__main__":
    main()
