"""A server on this machine that answers as its path says, and counts what reached it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["content-length"])))

    def _answer(self, body: bytes) -> None:
        _seen(self).append((self.command, self.path, dict(self.headers.items()), body))
        where = self.path.partition("?")[0]
        if where == "/v1/hang":
            time.sleep(3)
        elif where == "/v1/drip":
            self.send_response(200)
            self.end_headers()
            self._drip()
        elif where == "/v1/drip-and-close":
            self.send_response(200)
            self.send_header("connection", "close")
            self.end_headers()
            self._drip()
        elif where == "/v1/long":
            self._send(200, b"x" * 300_000)
        elif where == "/v1/garbage":
            self.wfile.write(b"\0\xff nothing like HTTP\r\n\r\n")
            self.close_connection = True
        elif where == "/v1/elsewhere":
            self.send_response(302)
            self.send_header("location", "/secret")
            self.send_header("content-length", "0")
            self.end_headers()
        else:
            self._send(200, b"echo:" + body)

    def _drip(self) -> None:
        for _ in range(100):
            try:
                self.wfile.write(b".")
                self.wfile.flush()
            except OSError:
                break
            time.sleep(0.05)
        self.close_connection = True

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-seen", str(len(_seen(self))))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def _seen(handler: BaseHTTPRequestHandler) -> list[tuple[str, str, dict[str, str], bytes]]:
    assert isinstance(handler.server, Server)
    return handler.server.seen


class Server(ThreadingHTTPServer):
    """Requests it saw: method, path, headers, body."""

    daemon_threads = True

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
