"""What the node and its prover say to each other: MessagePack, with a length in front."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeVar

import msgspec

from maxwell.proofs.claims import Order

if TYPE_CHECKING:
    import socket

FRAME_BYTES_MAX: Final = 64 << 20
_LENGTH_BYTES: Final = 4

JobKind = Literal["run", "prove", "audit", "check"]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work."""

    kind: JobKind
    """`run` a model; `prove` an inference; `audit` sums at tier T1; `check` a claim, and its proof
    where its tier has one."""
    digest: str
    """Of the model, in hexadecimal."""
    input: bytes
    """Little-endian int16, batch first."""
    batch: int
    buyer_nonce: bytes
    context: bytes = b""
    """Of `prove`: the claim's digest."""
    output: bytes = b""
    """Of `check`: what is claimed."""
    claim: bytes = b""
    """Of `check`: a signed claim."""
    proof: bytes = b""
    order: Order | None = None
    """Of `check`: what the claim must be about, before anything costly is looked at."""
    sums: bytes = b""
    """Of `audit`: little-endian int64."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a job."""

    cpu_ns: int
    """CPU time of the prover's process, all its threads."""
    code: str = ""
    """Of the error, such as MX1706; empty when it was done and holds."""
    why: str = ""
    output: bytes = b""
    proof: bytes = b""
    input_commitment: bytes = b""
    output_commitment: bytes = b""


Received = TypeVar("Received", Job, Done)

_encoder: Final = msgspec.msgpack.Encoder()


def send(to: socket.socket, message: Job | Done) -> None:
    """Sends one message, waiting until all of it has left.

    Raises:
        OSError: the other side is gone.
    """
    body = _encoder.encode(message)
    to.sendall(len(body).to_bytes(_LENGTH_BYTES, "little") + body)


def receive(source: socket.socket, decoder: msgspec.msgpack.Decoder[Received]) -> Received:
    """Waits for one message.

    Raises:
        OSError: the other side is gone.
        ValueError: it sent something else.
    """
    length = int.from_bytes(_exactly(source, _LENGTH_BYTES), "little")
    if length > FRAME_BYTES_MAX:
        raise ValueError(f"a frame of {length} bytes")
    return decoder.decode(_exactly(source, length))


def _exactly(source: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        part = source.recv(min(1 << 20, count - len(data)))
        if not part:
            raise ConnectionError("the pipe has ended")
        data += part
    return bytes(data)
