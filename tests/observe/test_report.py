"""The report: lossless, of the documented schema, and honest about what it could not keep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maxwell.energy import EnergySplit
from maxwell.errors import ConfigError
from maxwell.market.ledger import Credits
from maxwell.node.record import CellRecord, ProcessRecord, RunRecord
from maxwell.observe.report import Report
from maxwell.observe.report_json import report_from_json, report_text, report_to_json
from observe.made_up import MadeUpRun

SCHEMA_FILE = Path(__file__).resolve().parents[2] / "docs/reference/report.schema.json"

amounts = st.integers(0, 2**64 - 1)
counts = st.integers(0, 2**53)
names = st.text(min_size=1, max_size=20)


def made_up_record() -> RunRecord:
    run = MadeUpRun(seconds=20)
    for _ in run.views():
        pass
    return run.record()


RECORD = made_up_record()
PROCESS = RECORD.processes[0]


@st.composite
def processes(draw: st.DrawFn) -> ProcessRecord:
    """Processes with any figures, without regard to their sums."""
    return msgspec.structs.replace(
        PROCESS,
        name=draw(names),
        energy_uj=draw(amounts),
        memory_byte_ns=draw(st.integers(0, 2**128 - 1)),
        stdout_lost_bytes=draw(amounts),
        uncollected_uj=0,
        exit_code=draw(st.none() | st.integers(0, 2**31 - 1)),
        reason=draw(st.text(max_size=30)),
        cell=draw(st.integers(-1, 1_000)),
    )


@st.composite
def records(draw: st.DrawFn) -> RunRecord:
    """Runs with any figures."""
    part, cell_ns = draw(amounts), draw(amounts)
    return msgspec.structs.replace(
        RECORD,
        processes=tuple(draw(st.lists(processes(), max_size=3))),
        seed=draw(amounts),
        energy=EnergySplit(metered=part, processes=0, idle=0, system=2 * part, unattributed=-part),
        cells=(msgspec.structs.replace(RECORD.cells[0], cpu_ns=cell_ns, slice_ns=cell_ns),),
        market_overhead_ratio=draw(st.floats(0, 1)),
        started_at=draw(st.none() | st.just("2026-03-01T12:00:00Z")),
    )


@given(record=records())
@settings(max_examples=60, deadline=None)
def test_a_report_comes_back_from_json_as_it_was(record: RunRecord) -> None:
    data = report_text(record).encode()
    assert report_from_json(data, what="x") == record


@given(record=records())
@settings(max_examples=40, deadline=None)
def test_any_report_is_of_the_documented_schema(record: RunRecord) -> None:
    validator().validate(json.loads(report_text(record)))


def validator() -> Any:
    schema = json.loads(SCHEMA_FILE.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_made_up_report_is_of_the_documented_schema(report: Report) -> None:
    validator().validate(report.to_json())


def test_the_schema_lets_no_unknown_and_no_missing_key_pass(report: Report) -> None:
    """The schema is exact: what the builder writes and what the schema names are the same."""
    data: dict[str, Any] = dict(report.to_json())
    with pytest.raises(jsonschema.ValidationError):
        validator().validate({**data, "joules": 1})
    for key in data:
        fewer = {name: value for name, value in data.items() if name != key}
        with pytest.raises(jsonschema.ValidationError):
            validator().validate(fewer)
    schema = json.loads(SCHEMA_FILE.read_text())["$defs"]
    for kind, example in (("process", data["processes"][0]), ("cell", data["cells"][0])):
        assert sorted(schema[kind]["required"]) == sorted(example)
        assert schema[kind]["additionalProperties"] is False


def test_the_report_holds_at_least_what_was_promised(report: Report) -> None:
    data: dict[str, Any] = report.to_json()
    assert data["conservation_ok"] is True
    assert set(data["energy_uj"]) == {"metered", "processes", "idle", "system", "unattributed"}
    assert set(data["credits"]) == {
        "minted", "held", "escrowed", "leased", "burned", "commons", "expired",
    }  # fmt: skip
    for key in ("uncollected_uj", "market_overhead_ratio", "metering_overhead_ratio", "provenance"):
        assert key in data
    assert {"cpu_ns", "slice_ns"} <= set(data["cells"][0])
    process = data["processes"][0]
    for key in (
        "name", "outcome", "reason", "energy_uj", "paid_credits", "earned_credits", "erased_bits",
        "memory_byte_seconds", "results", "slices", "lived_s",
    ):  # fmt: skip
        assert key in process
    for key in ("energy_uj", "paid_credits", "erased_bits", "memory_byte_seconds"):
        assert isinstance(process[key], str)
    for key in ("results", "slices", "lived_s"):
        assert isinstance(process[key], int | float)
    assert isinstance(data["cells"][0]["cpu_ns"], str)
    assert isinstance(data["market_overhead_ratio"], float)


def test_derived_figures_follow_from_the_record() -> None:
    record = made_up_record()
    data: dict[str, Any] = report_to_json(record)
    for process, figures in zip(record.processes, data["processes"], strict=True):
        assert int(figures["memory_byte_seconds"]) == process.memory_byte_ns // 10**9
        assert int(figures["burned_credits"]) == process.energy_uj - process.uncollected_uj
        assert figures["lived_s"] == (process.died_ns - process.born_ns) / 1e9


def test_save_and_load(tmp_path: Path) -> None:
    record = made_up_record()
    report = Report(record)
    report.save(tmp_path)
    assert Report.load(tmp_path).record == record
    # No history, no picture; and nothing half-written stays behind.
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_equal_runs_give_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Report(made_up_record()).save(tmp_path / name)
    assert (tmp_path / "a/report.json").read_bytes() == (tmp_path / "b/report.json").read_bytes()


def test_a_report_that_cannot_be_written_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write the report"):
        Report(made_up_record()).save(tmp_path / "file")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a report"),
        (b"[]", "not a report"),
        (b'{"schema": "maxwell.report/99"}', "not a report of this version"),
        (b'{"schema": "maxwell.report/1"}', "not a whole report"),
        (b'{"schema": "maxwell.report/1", "version": 7}', "not a whole report"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "report.json").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        Report.load(tmp_path)


def test_a_missing_report_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        Report.load(tmp_path)
    assert "--run DIR" in (error.value.hint or "")


def test_an_unknown_process_gets_a_near_miss(report: Report) -> None:
    with pytest.raises(ConfigError, match="no such process") as error:
        report.process("lech")
    assert "leech" in (error.value.hint or "")


def test_later_warnings_are_saved(tmp_path: Path) -> None:
    report = Report(made_up_record()).with_warnings(("events lost",))
    report.save(tmp_path)
    assert Report.load(tmp_path).warnings == ("events lost",)
    assert report.warnings == ("events lost",)


def test_a_notebook_shows_a_table_and_a_picture(report: Report) -> None:
    html = report._repr_html_()  # pyright: ignore[reportPrivateUsage]
    assert "<td>leech</td><td>bankrupt</td>" in html
    assert "conservation: ok" in html
    assert "data:image/svg+xml;base64," in html


def test_a_notebook_escapes_names() -> None:
    record = made_up_record()
    evil = msgspec.structs.replace(record.processes[0], name="<script>x</script>")
    html = Report(msgspec.structs.replace(record, processes=(evil,)))._repr_html_()  # pyright: ignore[reportPrivateUsage]
    assert "<script>" not in html
    assert "<img" not in html


def test_records_are_frozen() -> None:
    record = made_up_record()
    for struct in (record, record.processes[0], record.cells[0], record.credits, record.energy):
        assert isinstance(struct, RunRecord | ProcessRecord | CellRecord | Credits | EnergySplit)
        field = struct.__struct_fields__[0]
        with pytest.raises(AttributeError):
            setattr(struct, field, getattr(struct, field))
