"""Requests and answers as guests write and read them.

A request is text as in HTTP, with the whole URL in its first line:

    POST https://api.example.com/v1/chat
    content-type: application/json

    {"prompt": "..."}

and an answer is the same way round: `200 OK`, headers, an empty line, the body.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from maxwell.outbound.refused import EINVAL, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A method or a header's name (RFC 9110 §5.6.2)."""
VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
"""A header's value: no control characters, so that none can add a header (RFC 9110 §5.5)."""
_URL: Final = re.compile(r"[\x21-\x7e]+")
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_OWN_HEADERS: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Set by the broker or meant for the next hop only."""
ANSWER_HEAD_BYTES_MAX: Final = 16 << 10


class Target(msgspec.Struct, frozen=True):
    """Where a URL leads."""

    scheme: str
    host: str
    port: int
    path: str
    """Path and query as they go over the wire."""

    @property
    def authority(self) -> str:
        """Host, and port where it is not the scheme's own (RFC 9110 §7.2)."""
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return (f"[{self.host}]" if ":" in self.host else self.host) + port

    @property
    def shown(self) -> str:
        """The URL without its query, which may hold secrets."""
        return f"{self.scheme}://{self.authority}{self.path.partition('?')[0]}"


class Request(msgspec.Struct, frozen=True):
    """A request as a guest wrote it."""

    method: str
    target: Target
    headers: tuple[tuple[str, str], ...]
    body: bytes


def parse_target(url: str) -> Target:
    """Reads a URL strictly: what two readers could take for two places is refused.

    Raises:
        Refused: EINVAL, with the reason.
    """
    if not _URL.fullmatch(url) or "\\" in url or "#" in url:
        raise Refused(EINVAL, "not a URL of printable ASCII without backslash and fragment")
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
        host = parts.hostname
    except ValueError as error:
        raise Refused(EINVAL, f"not a URL: {error}") from error
    if parts.scheme not in _DEFAULT_PORTS:
        raise Refused(EINVAL, "not an http or https URL")
    if not host or "@" in parts.netloc or "%" in parts.netloc:
        raise Refused(EINVAL, "a URL names one host, without user and password")
    path = parts.path or "/"
    # A server may decode and resolve these before it looks at its own rules.
    steps = re.sub(r"%2e", ".", path, flags=re.IGNORECASE).split("/")
    if ".." in steps or "." in steps or re.search(r"%(2f|5c)", path, flags=re.IGNORECASE):
        raise Refused(EINVAL, "a path without . and .. and without encoded slashes")
    query = f"?{parts.query}" if parts.query else ""
    return Target(
        scheme=parts.scheme,
        host=host.rstrip(".").lower(),
        port=_DEFAULT_PORTS[parts.scheme] if port is None else port,
        path=path + query,
    )


def parse_request(data: bytes) -> Request:
    """Reads a request.

    Raises:
        Refused: EINVAL, with the reason.
    """
    end = _HEAD_END.search(data)
    head, body = (data[: end.start()], data[end.end() :]) if end else (data.rstrip(b"\r\n"), b"")
    first, *lines = head.decode("latin-1").replace("\r\n", "\n").split("\n")
    method, _, url = first.partition(" ")
    if not _TOKEN.fullmatch(method):
        raise Refused(EINVAL, "the first line is METHOD URL")
    headers: list[tuple[str, str]] = []
    for line in lines:
        name, colon, value = line.partition(":")
        value = value.strip(" \t")
        if not colon or not _TOKEN.fullmatch(name) or not VALUE.fullmatch(value):
            raise Refused(EINVAL, f"a header is name: value, not {line[:40]!r}")
        if name.lower() in _OWN_HEADERS:
            raise Refused(EINVAL, f"the header {name.lower()} is the broker's")
        headers.append((name.lower(), value))
    return Request(method.upper(), parse_target(url), tuple(headers), body)


def write_answer(status: int, reason: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Returns an answer as the guest reads it; headers beyond 16 KiB are left out."""
    head = [f"{status} {reason[:200]}".rstrip()]
    size = len(head[0])
    for name, value in headers.items():
        line = f"{name.lower()}: {value}"
        size += len(line) + 1
        if size > ANSWER_HEAD_BYTES_MAX:
            break
        head.append(line)
    return "\n".join(head).encode("latin-1", "replace") + b"\n\n" + body
