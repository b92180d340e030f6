"""Messages between the parent and its cells: MessagePack in frames with a length in front.

The Rust side is `crates/kernel/src/control.rs`; the fields are described there. Outgoing messages
are plain maps with an `op`; incoming ones are typed here.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

FRAME_BYTES_MAX: Final = 64 << 20
"""Cells split their reports at 2 MiB, and the parent its messages at 256 a frame."""

MESSAGES_PER_FRAME_MAX: Final = 256

_LENGTH_BYTES: Final = 4

Message: TypeAlias = dict[str, object]
"""One message to a cell: `op` and its fields."""


class Started(msgspec.Struct, frozen=True, tag_field="event", tag="started"):
    """A process ran its first slice."""

    pid: int
    t_ns: int


class Output(msgspec.Struct, frozen=True, tag_field="event", tag="output"):
    """A guest printed something."""

    pid: int
    stream: int
    data: bytes
    lost: int


class Reported(msgspec.Struct, frozen=True, tag_field="event", tag="report"):
    """A guest handed a result in."""

    pid: int
    line: bytes
    staked: int
    """Credits that left the purse with it."""


class Beliefs(msgspec.Struct, frozen=True, tag_field="event", tag="beliefs"):
    """A block of a stream in which a process believed something."""

    pid: int
    question: int
    start: int
    believed: int
    bits_q32: int
    lost: int
    energy_uj: int
    own: bytes
    public: bytes


class Disbelieved(msgspec.Struct, frozen=True, tag_field="event", tag="disbelieved"):
    """Beliefs or observations that were refused since the last epoch."""

    pid: int
    question: int | None
    why: str
    count: int


class Transferred(msgspec.Struct, frozen=True, tag_field="event", tag="transfer"):
    """A guest sent credits to another process."""

    pid: int
    to: int
    credits: int


class Requested(msgspec.Struct, frozen=True, tag_field="event", tag="request"):
    """A guest asks for an outbound request; its price in advance has left the purse."""

    pid: int
    id: int
    credits: int
    data: bytes


class Inferred(msgspec.Struct, frozen=True, tag_field="event", tag="inference"):
    """A guest asks for an order, a run or a payment; its price in advance has left the purse."""

    pid: int
    id: int
    credits: int
    price_ppm: int
    call: Literal["order", "infer", "deliver"]
    number: int
    """Of the reward, or of the order; -1: none."""
    tier: int
    model: str
    """Digest of the model to be run, or empty."""
    data: bytes


class Died(msgspec.Struct, frozen=True, tag_field="event", tag="died"):
    """A process ended; its slot holds the figures."""

    pid: int
    t_ns: int
    outcome: str
    reason: str
    exit_code: int | None
    unsupported: list[str]


class Revoked(msgspec.Struct, frozen=True, tag_field="event", tag="revoked"):
    """A process that had not run was given back."""

    pid: int


class Unknown(msgspec.Struct, frozen=True, tag_field="event", tag="unknown"):
    """Credits arrived for a process that had died; its lease still holds them."""

    pid: int
    credits: int


CellEvent: TypeAlias = (
    Started
    | Output
    | Reported
    | Beliefs
    | Disbelieved
    | Transferred
    | Requested
    | Inferred
    | Died
    | Revoked
    | Unknown
)


class EpochReport(msgspec.Struct, frozen=True):
    """What a cell says once an epoch; figures are cumulative except the price and `rate_sum`."""

    cell: int
    epoch: int
    now_ns: int
    cpu_ns: int
    startup_cpu_ns: int
    slice_ns: int
    overhead_ns: int
    idle_ns: int
    stolen_ns: int
    slices: int
    price_mean_ppm: int
    rate_sum: int
    runnable: int
    alive: int
    digest: int
    last: bool
    more: bool
    """Whether further events of the same epoch follow in another report."""
    events: list[CellEvent]


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(EpochReport)


def encode_frame(data: object) -> bytes:
    """Returns a frame that holds `data`."""
    body = _encoder.encode(data)
    assert len(body) <= FRAME_BYTES_MAX
    return len(body).to_bytes(_LENGTH_BYTES, "little") + body


class FrameReader:
    """Cuts a byte stream into reports. Feed it what the socket gives."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[EpochReport]:
        """Returns the reports that `data` completes.

        Raises:
            ValueError: the stream is no stream of reports.
        """
        self._buffer += data
        reports: list[EpochReport] = []
        while len(self._buffer) >= _LENGTH_BYTES:
            length = int.from_bytes(self._buffer[:_LENGTH_BYTES], "little")
            if length > FRAME_BYTES_MAX:
                raise ValueError(f"a frame of {length} bytes")
            end = _LENGTH_BYTES + length
            if len(self._buffer) < end:
                break
            try:
                reports.append(_decoder.decode(memoryview(self._buffer)[_LENGTH_BYTES:end]))
            except msgspec.DecodeError as error:
                raise ValueError(f"not a report: {error}") from error
            del self._buffer[:end]
        return reports
