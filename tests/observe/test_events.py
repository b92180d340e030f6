"""The event log: what it writes, and what it does when the disk does not.

Method: the real file system where it can fail on demand (`/dev/full` answers ENOSPC to every
write), and a sink that fails after a given number of bytes where it cannot.
"""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxwell.errors import ConfigError
from maxwell.observe.events import EVENTS, Event, EventLog, as_integer, read_events


class FailingSink:
    """A file that takes `room` bytes and then fails; it keeps what it took."""

    def __init__(self, room: int, *, code: int = errno.ENOSPC, can_truncate: bool = True) -> None:
        self.data = bytearray()
        self.room = room
        self.code = code
        self.can_truncate = can_truncate
        self.closed = False

    def write(self, data: bytes, /) -> int:
        taken = data[: self.room - len(self.data)]
        if not taken:
            raise OSError(self.code, "failing on purpose")
        self.data += taken
        return len(taken)

    def truncate(self, size: int, /) -> int:
        if not self.can_truncate:
            raise OSError(errno.EINVAL, "a device")
        del self.data[size:]
        return size

    def close(self) -> None:
        self.closed = True


def test_every_integer_with_a_unit_is_a_decimal_string(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        log.write("run_started", 0, schema="s", seed=2**64 - 1, cells=2, deterministic=False)
        log.write(
            "sample",
            100_000_000,
            price_ppm=1_000_000,
            power_mw=5_000,
            processes=[["a", "running", 1, 2, 2**63, 4]],
        )
        log.write("settled", 2, credits={"minted": 5, "held": 5}, energy_uj={"metered": 7})
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0] == {
        "event": "run_started",
        "t_ns": "0",
        "schema": "s",
        "seed": "18446744073709551615",
        "cells": 2,
        "deterministic": False,
    }
    assert lines[1]["processes"] == [["a", "running", "1", "2", "9223372036854775808", "4"]]
    assert lines[1]["price_ppm"] == "1000000"
    assert lines[2]["credits"] == {"minted": "5", "held": "5"}
    assert lines[2]["energy_uj"] == {"metered": "7"}


def test_events_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        log.write("spawned", 5, process='ä\n"', account="b", cell=0, funds_credits=7)
        log.write("warning", 6, text="x")
    events = list(read_events(path))
    assert [(event.name, event.t_ns) for event in events] == [("spawned", 5), ("warning", 6)]
    assert events[0].integer("funds_credits") == 7
    assert events[0].integer("cell") == 0
    assert events[0].text("process") == 'ä\n"'
    assert events[0].text("nothing") == ""


def test_lines_reach_the_file_once_a_second_of_the_runs_clock(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        log.write("started", 0, process="a")
        log.write("started", 999_999_999, process="b")
        assert path.read_bytes() == b""
        log.write("started", 1_000_000_000, process="c")
        assert path.read_bytes().count(b"\n") == 3


def test_a_full_disk_stops_the_log_and_not_the_run() -> None:
    """`/dev/full` is a real file that answers every write with ENOSPC."""
    log = EventLog(Path("/dev/full"))
    log.write("started", 0, process="a")
    log.flush()
    log.write("started", 1, process="b")
    log.close()
    statistics = log.statistics()
    assert statistics.lost_events == 2
    assert statistics.written_events == 0
    assert statistics.failure == "No space left on device"
    warning = log.warning()
    assert warning is not None
    assert "2 events lost" in warning
    assert "No space left on device" in warning


@given(
    room=st.integers(0, 400),
    count=st.integers(1, 8),
    code=st.sampled_from([errno.ENOSPC, errno.EIO, errno.EDQUOT]),
)
def test_a_failing_file_ends_with_its_last_whole_line(room: int, count: int, code: int) -> None:
    sink = FailingSink(room, code=code)
    log = EventLog(Path("unused"), sink=sink)
    for index in range(count):
        log.write("started", index, process=f"p{index}")
    log.close()
    log.close()
    statistics = log.statistics()
    assert sink.closed
    assert sink.data == b"" or sink.data.endswith(b"\n")
    assert sink.data.count(b"\n") == statistics.written_events
    assert len(sink.data) == statistics.written_bytes
    assert statistics.written_events + statistics.lost_events == count
    assert (log.warning() is None) == (statistics.lost_events == 0)


def test_a_device_that_cannot_be_cut_leaves_one_torn_line(tmp_path: Path) -> None:
    sink = FailingSink(70, can_truncate=False)
    log = EventLog(Path("unused"), sink=sink)
    for index in range(3):
        log.write("started", index, process=f"p{index}")
    log.close()
    path = tmp_path / "events.jsonl"
    path.write_bytes(bytes(sink.data))
    assert len(list(read_events(path))) == log.statistics().written_events == 1


def test_a_full_log_keeps_room_for_deaths(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path, file_bytes_max=4_000) as log:
        for index in range(200):
            log.write("sample", index, price_ppm=1, power_mw=1, processes=[])
        log.write("died", 200, process="a", outcome="bankrupt", reason="")
    events = list(read_events(path))
    assert events[-1].name == "died"
    assert log.statistics().lost_events == 201 - len(events)
    assert path.stat().st_size <= 4_000
    assert "4,000 bytes" in (log.warning() or "")


@pytest.mark.parametrize("where", ["missing/events.jsonl", "."])
def test_a_log_that_cannot_be_created_is_a_config_error(tmp_path: Path, where: str) -> None:
    with pytest.raises(ConfigError, match="cannot write events"):
        EventLog(tmp_path / where)


def test_a_torn_last_line_is_tolerated(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event":"warning","t_ns":"1","text":"a"}\n{"event":"warn')
    assert [event.t_ns for event in read_events(path)] == [1]


@pytest.mark.parametrize(
    "line",
    [b"nonsense", b"[]", b'{"event":"warning"}', b'{"event":1,"t_ns":"1"}', b'{"t_ns":"x"}', b""],
)
def test_damage_before_the_end_is_an_error_with_its_line(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "events.jsonl"
    good = b'{"event":"warning","t_ns":"1","text":"a"}\n'
    path.write_bytes(good + line + b"\n" + good)
    with pytest.raises(ConfigError, match="line 2"):
        list(read_events(path))


def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        list(read_events(tmp_path / "events.jsonl"))


@given(cut=st.integers(0, 300))
def test_any_cut_of_a_file_is_readable(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """A killed run leaves a prefix of the file: every whole line in it must come back."""
    path = tmp_path_factory.getbasetemp() / "cut.jsonl"
    with EventLog(path) as log:
        for index in range(5):
            log.write("result", index, process="a", reward="r", line="7", paid_credits=2**60)
    data = path.read_bytes()[:cut]
    path.write_bytes(data)
    whole = data.count(b"\n")
    assert len(list(read_events(path))) in (whole, whole + 1)


def test_unknown_events_are_programmers_errors(tmp_path: Path) -> None:
    with EventLog(tmp_path / "e") as log, pytest.raises(AssertionError, match="BUG"):
        log.write("exploded", 0)


def test_as_integer_refuses_what_is_no_integer() -> None:
    values: list[object] = [None, True, 1.5, "1.5", "", "0x1", [], "1" * 50]
    for value in values:
        with pytest.raises(ConfigError, match="not an integer"):
            as_integer(value, what="x")
    assert as_integer("-7", what="x") == -7


def test_the_documentation_lists_every_event() -> None:
    page = Path(__file__, "../../../docs/reference/events.md").resolve().read_text()
    missing = [name for name in sorted(EVENTS) if f"`{name}`" not in page]
    assert missing == []


def test_an_event_is_frozen() -> None:
    event = Event(name="a", t_ns=1, fields={})
    with pytest.raises(AttributeError):
        event.name = "b"  # pyright: ignore[reportAttributeAccessIssue]
