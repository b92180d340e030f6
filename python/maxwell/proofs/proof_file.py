"""Proof files: one canonical CBOR map, of anyone's making, read without trust.

`maxwell-proof/1` carries its input, `maxwell-proof/2` the commitment to one that is hidden. A file
has one encoding: what is not canonical, or has a field too many, is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from maxwell.errors import ProofError
from maxwell.proofs.extras import optional
from maxwell.proofs.input_opening import COMMITMENT_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT: Final = "maxwell-proof/1"
HIDDEN_INPUT_FORMAT: Final = "maxwell-proof/2"
"""Of a file that has a commitment where the other has the input."""

FILE_BYTES_MAX: Final = 256 * 1024 * 1024
"""Header, lineage, input, output and proof; the largest of the documented cases is below 2 MiB."""

_COMMON: Final = {
    "header": bytes,
    "output": bytes,
    "batch": int,
    "context": bytes,
    "proof": bytes,
    "lineage": bytes,
}
_KINDS: Final[Mapping[str, Mapping[str, type]]] = {
    FORMAT: _COMMON | {"input": bytes},
    HIDDEN_INPUT_FORMAT: _COMMON | {"input_commitment": bytes},
}
"""Fields and their types, by format; `lineage` is left out when it is empty."""


def encode(values: Mapping[str, object]) -> bytes:
    """Returns the bytes of a proof with these fields.

    Args:
        values: all fields of `Proof` that a file may have; those that are empty and may be left
            out are.
    """
    file_format = HIDDEN_INPUT_FORMAT if values["input_commitment"] else FORMAT
    kept = {name: values[name] for name in _KINDS[file_format]}
    if not kept["lineage"]:
        del kept["lineage"]
    return _dumps(kept, file_format)


def read(path: Path) -> dict[str, object]:
    """Reads a file; types, sizes and the encoding are checked, and nothing of what it says.

    Raises:
        ProofError: MX1706 when it is malformed.
    """
    data = _read_bytes(path)
    try:
        decoded: object = optional("cbor2").loads(data)
    except ProofError:
        raise
    # The decoder's exceptions vary with what is wrong; none may pass as a bug of ours.
    except Exception as error:
        raise malformed(path, "not CBOR, or cut short") from error
    if not isinstance(decoded, dict):
        raise malformed(path, "not a map")
    values = cast("dict[str, object]", decoded)
    file_format = values.pop("format", None)
    known = _KINDS.get(file_format) if isinstance(file_format, str) else None
    if not isinstance(file_format, str) or known is None:
        raise malformed(path, f"not of format {FORMAT} or {HIDDEN_INPUT_FORMAT}")
    kinds = {n: kind for n, kind in known.items() if n != "lineage" or "lineage" in values}
    if values.keys() != kinds.keys():
        raise malformed(path, f"not of format {file_format}")
    for name, kind in kinds.items():
        if type(values[name]) is not kind:
            raise malformed(path, f"{name} is not of type {kind.__name__}")
    if _dumps(values, file_format) != data:
        raise malformed(path, "not in canonical form")
    if values.get("lineage") == b"":
        raise malformed(path, "an empty lineage")
    _check_sizes(path, values)
    return values


def _check_sizes(path: Path, values: Mapping[str, object]) -> None:
    batch = cast("int", values["batch"])
    tensors = [cast("bytes", values[name]) for name in ("input", "output") if name in values]
    if batch < 1 or any(not data or len(data) % (2 * batch) for data in tensors):
        raise malformed(path, f"sizes do not fit a batch of {batch}")
    commitment = cast("bytes", values.get("input_commitment", bytes(COMMITMENT_BYTES)))
    if len(commitment) != COMMITMENT_BYTES:
        raise malformed(path, f"a commitment of {len(commitment)} bytes")


def _read_bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ProofError(f"{path}: more than {FILE_BYTES_MAX:,} bytes", code="MX1706")
        return path.read_bytes()
    except OSError as error:
        raise ProofError(
            f"cannot read {path}: {error.strerror or error}",
            code="MX1706",
            hint="name a file that `maxwell prove` wrote",
        ) from error


def _dumps(values: Mapping[str, object], file_format: str) -> bytes:
    data = optional("cbor2").dumps({**values, "format": file_format}, canonical=True)
    assert isinstance(data, bytes)
    return data


def malformed(path: Path, why: str) -> ProofError:
    """Returns the error of a file that is no proof."""
    return ProofError(
        f"{path} is no proof: {why}", code="MX1706", hint="it may be damaged or made to mislead"
    )
