"""`[[model]]`: models that the host runs for guests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from maxwell.config.records import ModelConfig
from maxwell.market.proof_options import BATCH_MAX
from maxwell.proofs.profiles import SECURITIES

if TYPE_CHECKING:
    from maxwell.config.table import Table

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def read_model(table: Table) -> ModelConfig:
    """Reads a table.

    Raises:
        ConfigError: MX1003 to MX1006.
    """
    name = table.name()
    onnx, digest = table.text("onnx", default=""), table.text("digest", default="").lower()
    if not (onnx or digest):
        table.fail(
            None,
            f"model {name!r} has neither onnx nor digest",
            code="MX1003",
            hint='such as onnx = "digits.onnx", or digest = "…" of a registered model',
        )
    if digest and not _DIGEST.fullmatch(digest):
        table.fail(
            "digest",
            f"digest: not a digest: {digest[:80]!r}",
            code="MX1006",
            hint="64 hexadecimal digits, as `maxwell model register` prints",
        )
    security = table.integer(
        "security",
        default=ModelConfig(name=name).security,
        least=min(SECURITIES),
        most=max(SECURITIES),
    )
    if security not in SECURITIES:
        table.fail(
            "security",
            f"security: {security} bits are not offered",
            code="MX1006",
            hint=" or ".join(map(str, SECURITIES)),
        )
    return ModelConfig(
        name=name,
        onnx=onnx,
        digest=digest,
        calibration=table.text("calibration", default=""),
        batch_max=table.integer(
            "batch_max", default=ModelConfig(name=name).batch_max, least=1, most=BATCH_MAX
        ),
        hiding=table.boolean("hiding", default=False),
        security=security,
    )
