"""The parent's end of a cell's pipe: bounded turns, room asked for only when it is needed."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator

import pytest

from maxwell.node.cells import RECEIVE_BYTES_MAX, Cell
from maxwell.node.wire import EpochReport, encode_frame


class PipeOnly(Cell):
    """A cell without a process: the test holds the other end."""

    other: socket.socket

    def _start(self) -> None:
        ours, self.other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connect(ours)

    def close(self) -> None:
        self._socket.close()
        self.other.close()


@pytest.fixture
def cell() -> Iterator[PipeOnly]:
    made = PipeOnly(0, {}, {})
    yield made
    made.close()


def report(number: int) -> bytes:
    fields = dict.fromkeys(EpochReport.__struct_fields__, 0)
    return encode_frame({**fields, "epoch": number, "last": False, "more": False, "events": []})


def test_one_turn_reads_a_bounded_part(cell: PipeOnly) -> None:
    frames = [report(number) for number in range(200_000 // len(report(0)) + 1)]
    stream = b"".join(frames) * (RECEIVE_BYTES_MAX // 100_000)
    assert len(stream) > RECEIVE_BYTES_MAX
    cell.other.setblocking(False)
    sent = 0
    turns: list[int] = []
    seen = 0
    while seen < len(stream):
        while sent < len(stream):
            try:
                sent += cell.other.send(stream[sent : sent + (1 << 20)])
            except BlockingIOError:
                break
        cell.receive()
        turns.append(sum(len(report(r.epoch)) for r in cell.take_reports()))
        seen += turns[-1]
    assert max(turns) <= RECEIVE_BYTES_MAX + (1 << 20)
    assert cell.is_open


def test_room_is_asked_for_only_while_something_waits(cell: PipeOnly) -> None:
    cell.queue({"op": "barrier"})
    cell.flush()
    assert not cell.wants_write
    cell.queue({"op": "x", "data": b"0" * (8 << 20)})
    cell.flush()
    assert cell.wants_write
    with selectors.DefaultSelector() as selector:
        selector.register(cell, selectors.EVENT_WRITE)
        received = 0
        while cell.wants_write:
            received += len(cell.other.recv(1 << 20))
            if selector.select(0):
                cell.flush()
    assert received > 0


def test_the_end_of_the_pipe_is_noticed_after_what_was_said(cell: PipeOnly) -> None:
    cell.other.sendall(report(1) + report(2))
    cell.other.close()
    cell.receive()
    assert [r.epoch for r in cell.take_reports()] == [1, 2]
    assert not cell.is_open
