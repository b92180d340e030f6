"""The broker: threads that make guests' requests, so that the node's loop never waits for one.

Connections go to the checked address, with the name in SNI, certificate check and Host header.
Redirects are answers like others: following one is the guest's decision, and the rules' again.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import ssl
import threading
import time
from http.client import HTTPException
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from maxwell.config.records import RequestConfig
from maxwell.outbound.address import resolve
from maxwell.outbound.message import Request, parse_request, write_answer
from maxwell.outbound.refused import (
    ECONNREFUSED,
    EFBIG,
    EHOSTUNREACH,
    EPROTO,
    ETIMEDOUT,
    Refused,
)
from maxwell.outbound.rules import find_rule, price_credits

if TYPE_CHECKING:
    from collections.abc import Sequence

    import urllib3
    import urllib3.connection

    from maxwell.outbound.message import Target

THREADS: Final = 16
"""Requests made at once; others wait, and their timeout runs from when they begin."""
_READ_BYTES: Final = 64 << 10
_NS: Final = 1_000_000_000


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a request."""

    pid: int
    id: int
    errno: int = 0
    data: bytes = b""
    """The answer as the guest reads it, when `errno` is 0."""
    why: str = ""
    """Why not, when it is not 0."""
    rule: str = ""
    method: str = ""
    url: str = ""
    """Without its query."""
    status: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    credits: int = 0
    took_ns: int = 0


class _Asked(msgspec.Struct, frozen=True):
    pid: int
    id: int
    rules: tuple[RequestConfig, ...]
    data: bytes


class _Readable(Protocol):
    def read1(self, amt: int | None = None) -> bytes: ...


class Broker:
    """Makes requests. `fileno` becomes readable when `take` has something.

    Args:
        secrets: values of the environment variables that rules name, read once at the start.
    """

    def __init__(self, secrets: dict[str, str]) -> None:
        self._secrets = secrets
        self._asked: queue.SimpleQueue[_Asked] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._threads = 0
        self._busy = 0
        self._lock = threading.Lock()

    def fileno(self) -> int:
        """Descriptor to wait on."""
        return self._wake_read

    def ask(self, pid: int, id: int, rules: Sequence[RequestConfig], data: bytes) -> None:  # noqa: A002
        """Takes a request of a process that has these rules."""
        with self._lock:
            self._busy += 1
            start = self._threads < min(THREADS, self._busy)
            self._threads += start
        self._asked.put(_Asked(pid, id, tuple(rules), data))
        if start:
            # A daemon: a server that never answers does not hold up the end of a run.
            threading.Thread(target=self._work, name="maxwell-request", daemon=True).start()

    def take(self) -> list[Answer]:
        """Returns the answers since the last call."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        answers: list[Answer] = []
        while not self._answers.empty():
            answers.append(self._answers.get_nowait())
        return answers

    def _work(self) -> None:
        while True:
            asked = self._asked.get()
            answer = self._answer(asked)
            with self._lock:
                self._busy -= 1
            self._answers.put(answer)
            # A full pipe is readable already.
            with contextlib.suppress(BlockingIOError):
                os.write(self._wake_write, b"\0")

    def _answer(self, asked: _Asked) -> Answer:
        begin = time.monotonic_ns()
        known = {"pid": asked.pid, "id": asked.id, "bytes_out": len(asked.data)}
        request: Request | None = None
        rule: RequestConfig | None = None
        transfer = _Transfer()
        errno, why, data = 0, "", b""
        try:
            request = parse_request(asked.data)
            rule = find_rule(asked.rules, request)
            if len(asked.data) > rule.request_bytes_max:
                raise Refused(EFBIG, f"the request is longer than {rule.request_bytes_max} bytes")
            data = transfer.run(request, rule, self._secrets)
        except Refused as refused:
            errno, why = refused.errno, refused.why
        except Exception as error:
            # Its text may quote a header, and headers may be secret.
            errno, why = EPROTO, type(error).__name__
        moved = len(asked.data) + transfer.bytes_in
        return Answer(
            **known,
            errno=errno,
            why=why[:300],
            data=data,
            rule=rule.name if rule is not None else "",
            method=request.method if request is not None else "",
            url=request.target.shown[:2048] if request is not None else "",
            status=transfer.status,
            bytes_in=transfer.bytes_in,
            credits=price_credits(rule, moved) if rule is not None and transfer.left else 0,
            took_ns=time.monotonic_ns() - begin,
        )


class _Transfer:
    """One exchange with a server."""

    def __init__(self) -> None:
        self.left = False
        """Whether anything left this machine: only then does it cost."""
        self.status = 0
        self.bytes_in = 0

    def run(self, request: Request, rule: RequestConfig, secrets: dict[str, str]) -> bytes:
        import urllib3

        deadline_ns = time.monotonic_ns() + rule.timeout_ns
        addresses = resolve(request.target, local=rule.local)
        headers = dict(request.headers)
        target = request.target
        headers["host"] = target.authority
        headers.setdefault("accept-encoding", "identity")
        headers.setdefault("user-agent", "maxwell")
        for name, variable in rule.secret_headers:
            headers[name.lower()] = secrets[variable]
        # DNS has taken its part of the time.
        left_s = max(0.001, (deadline_ns - time.monotonic_ns()) / _NS)
        connection = _connection(target, addresses[0], left_s)
        ripcord: threading.Timer | None = None
        try:
            connection.connect()
            # Each read has a timeout, which a server that drips its bytes never reaches. The socket
            # itself is kept: the library forgets it when the server is to close the connection.
            ripcord = threading.Timer(left_s, _cut, [connection.sock])
            ripcord.daemon = True
            ripcord.start()
            self.left = True
            connection.request(
                request.method,
                target.path,
                body=request.body or None,
                headers=headers,
                preload_content=False,
                decode_content=False,
            )
            response = connection.getresponse()
            self.status = response.status
            body = self._body(response, rule.answer_bytes_max, deadline_ns)
        except (urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
            late = time.monotonic_ns() >= deadline_ns
            raise _refused(error, target.shown, late=late) from error
        finally:
            if ripcord is not None:
                ripcord.cancel()
            connection.close()
        if time.monotonic_ns() >= deadline_ns:
            # A cut connection without a length looks like a whole answer.
            raise Refused(ETIMEDOUT, f"no whole answer from {target.shown} in time")
        return write_answer(self.status, response.reason or "", response.headers, body)

    def _body(self, response: _Readable, most: int, deadline_ns: int) -> bytes:
        body = bytearray()
        while chunk := response.read1(_READ_BYTES):
            body += chunk
            self.bytes_in = len(body)
            if len(body) > most:
                raise Refused(EFBIG, f"the answer is longer than {most} bytes")
            if time.monotonic_ns() >= deadline_ns:
                raise TimeoutError
        return bytes(body)


def _connection(
    target: Target, address: str, timeout_s: float
) -> urllib3.connection.HTTPConnection:
    import urllib3.connection

    if target.scheme == "http":
        return urllib3.connection.HTTPConnection(address, target.port, timeout=timeout_s)
    return urllib3.connection.HTTPSConnection(
        address,
        target.port,
        timeout=timeout_s,
        cert_reqs="CERT_REQUIRED",
        server_hostname=target.host,
        assert_hostname=target.host,
    )


def _cut(sock: socket.socket) -> None:
    """Ends every read of a connection, whoever waits in it."""
    # It may have ended by itself.
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _refused(error: Exception, where: str, *, late: bool) -> Refused:
    """Returns what a library's error means for the guest."""
    import urllib3

    # It is a kind of timeout to the library.
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return Refused(ECONNREFUSED, f"no connection to {where}: {error}")
    if late or isinstance(error, (urllib3.exceptions.TimeoutError, TimeoutError)):
        return Refused(ETIMEDOUT, f"no whole answer from {where} in time")
    if isinstance(error, (urllib3.exceptions.HTTPError, HTTPException, ssl.SSLError)):
        return Refused(EPROTO, f"{where}: {error}")
    return Refused(EHOSTUNREACH, f"{where}: {error}")
