"""`report.json`: a `RunRecord` as JSON and back, without loss.

The format is docs/reference/report.schema.json. An integer with a unit is a decimal string, a
count is a number; `lived_s`, `memory_byte_seconds`, `erased_bits_by_tier`, `burned_credits`,
`bits`, `bits_per_joule` and `wall_s` are derived, for readers, and ignored when read back.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, cast

import msgspec

from maxwell.errors import ConfigError
from maxwell.market.information import ONE
from maxwell.node.record import REPORT_SCHEMA, ProcessRecord, RunRecord
from maxwell.observe.decimals import JsonValue, to_json

NS: Final = 1_000_000_000

RENAMED: Final = {"energy": "energy_uj", "setup": "setup_uj"}
"""Fields of `RunRecord` whose key in the file carries the unit."""


def erased_bits_by_tier(process: ProcessRecord) -> dict[str, int]:
    """Returns the bits that a process erased: freed, discarded, and left at its death."""
    by_tier = {"t1": process.freed_bits, "discard": process.discarded_bits}
    return {**by_tier, "death": max(process.erased_bits - sum(by_tier.values()), 0)}


def report_to_json(record: RunRecord) -> dict[str, JsonValue]:
    """Returns the content of `report.json`.

    Deterministic: equal records give equal text.
    """
    plain = cast("dict[str, object]", msgspec.to_builtins(record))
    data = {RENAMED.get(key, key): value for key, value in plain.items()}
    data["wall_s"] = record.wall_ns / NS
    processes = cast("list[dict[str, object]]", data["processes"])
    for process, figures in zip(record.processes, processes, strict=True):
        figures["lived_s"] = (process.died_ns - process.born_ns) / NS
        figures["memory_byte_seconds"] = process.memory_byte_ns // NS
        figures["erased_bits_by_tier"] = erased_bits_by_tier(process)
        figures["burned_credits"] = process.energy_uj - process.uncollected_uj
        figures["bits"] = f"{Decimal(process.bits_q32) / ONE:.6f}"
        figures["bits_per_joule"] = per_joule(process.bits_q32 / ONE, process.energy_uj)
    encoded = to_json(data)
    assert isinstance(encoded, dict)
    return encoded


def per_joule(amount: float, energy_uj: int) -> float:
    """Returns an amount per joule; 0 for a process that used none."""
    return amount * 1e6 / energy_uj if energy_uj else 0.0


def report_text(record: RunRecord) -> str:
    """Returns the text of `report.json`, indented, with a newline at its end."""
    return (
        msgspec.json.format(msgspec.json.encode(report_to_json(record)), indent=2).decode() + "\n"
    )


def report_from_json(data: bytes, *, what: str) -> RunRecord:
    """Reads `report.json`.

    Args:
        data: The file's content.
        what: The file's name, for messages.

    Raises:
        ConfigError: It is no report, or one of another format.
    """
    try:
        fields = msgspec.json.decode(data, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise ConfigError(f"not a report: {what}: {error}", code="MX1002") from error
    schema = fields.get("schema")
    if schema != REPORT_SCHEMA:
        raise ConfigError(
            f"not a report of this version: {what} has schema {schema!r}, not {REPORT_SCHEMA!r}",
            code="MX1002",
            hint="read it with the version of Maxwell that wrote it",
        )
    for name, key in RENAMED.items():
        if key in fields:
            fields[name] = fields.pop(key)
    try:
        # Not strict: decimal strings become the integers that they stand for.
        return msgspec.convert(fields, RunRecord, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"not a whole report: {what}: {error}", code="MX1002") from error
