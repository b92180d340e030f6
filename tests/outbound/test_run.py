"""Goal: a guest reaches a server through the broker only, pays for it, and no credit is lost.

Method: guests in real runs against a server on this machine.
"""

from __future__ import annotations

import select
from collections.abc import Mapping
from pathlib import Path

import pytest

from maxwell.config import RequestConfig
from maxwell.errors import ConfigError
from maxwell.node.cells import batches_of
from maxwell.node.wire import Message, encode_frame
from maxwell.outbound.broker import Answer, Broker
from outbound.conftest import Server
from support.fleets import Run, process, run
from support.guests import REPOSITORY, wasm, write

pytestmark = pytest.mark.native

EACCES, ECONNREFUSED, EDQUOT, EFAULT, EFBIG, EINVAL = 2, 14, 19, 21, 22, 28
EMSGSIZE, EPROTO, ETIMEDOUT = 35, 65, 73
FUNDS = 20_000_000


def asker(request: bytes, *, length: int | None = None, room: int = 60_000, at: int = 0) -> bytes:
    """Asks once, prints the answer, exits with the errno."""
    text = "".join(f"\\{byte:02x}" for byte in request)
    size = len(request) if length is None else length
    return wasm(
        f"""(module
        (import "maxwell" "request" (func $ask (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write"
          (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 2)
        (data (i32.const 0) "{text}")
        (func (export "_start") (local $n i32)
          (local.set $n (call $ask (i32.const {at}) (i32.const {size})
                                   (i32.const 65536) (i32.const {room})))
          (if (i32.lt_s (local.get $n) (i32.const 0))
            (then (call $exit (i32.sub (i32.const 0) (local.get $n)))))
          (i32.store (i32.const 60000) (i32.const 65536))
          (i32.store (i32.const 60004) (local.get $n))
          (drop (call $write (i32.const 1) (i32.const 60000) (i32.const 1) (i32.const 60008)))))"""
    )


def ask(
    tmp_path: Path,
    module: bytes,
    url: str,
    rule: Mapping[str, object] | None = None,
    *,
    granted: bool = True,
) -> Run:
    given = {"name": "api", "url": url + "/v1/", "local": True, "price": "1 mJ", **(rule or {})}
    return run(
        [
            process(
                "agent",
                write(tmp_path, "agent", module),
                funds="20 J",
                memory_max="1 MiB",
                requests=["api"] if granted else [],
            )
        ],
        requests=[given],
        deterministic=False,
        duration="20 s",
        out=tmp_path / "run",
    )


def test_an_answer_arrives_and_is_paid(tmp_path: Path, server: Server) -> None:
    request = f"POST {server.url}/v1/chat?key=1\nx-own: 7\n\nhello".encode()
    result = ask(tmp_path, asker(request), server.url, {"price_per_kib": "1 uJ"})
    agent = result["agent"]
    assert (agent.outcome, agent.exit_code) == ("finished", 0)
    said = result.output["agent", "stdout"]
    assert said.startswith(b"200 OK\n")
    assert said.endswith(b"\n\necho:hello")
    ((method, path, headers, body),) = server.seen
    assert (method, path, body) == ("POST", "/v1/chat?key=1", b"hello")
    assert headers["x-own"] == "7"
    assert headers["host"] == server.url.removeprefix("http://")
    assert agent.requests == 1
    assert agent.request_credits == 1_000 + 1
    assert agent.paid_credits + agent.returned_credits == FUNDS
    (event,) = [e for e in result.events() if e.name == "request"]
    assert event.fields["url"] == f"{server.url}/v1/chat", "the query may hold secrets"
    assert event.fields["status"] == 200
    assert event.fields["paid_credits"] == "1001"


@pytest.mark.parametrize(
    ("path", "errno", "reached", "rule"),
    [
        ("/v1/hang", ETIMEDOUT, True, {"timeout": "300 ms"}),
        ("/v1/drip", ETIMEDOUT, True, {"timeout": "300 ms"}),
        ("/v1/drip-and-close", ETIMEDOUT, True, {"timeout": "300 ms"}),
        ("/v1/long", EFBIG, True, {}),
        ("/v1/garbage", EPROTO, True, {}),
        ("/secret", EACCES, False, {}),
        ("/v1/chat", EACCES, False, {"local": False}),
        ("/v1/chat", EACCES, False, {"methods": ["POST"]}),
    ],
)
def test_what_goes_wrong_is_an_errno(
    tmp_path: Path,
    server: Server,
    path: str,
    errno: int,
    reached: bool,
    rule: dict[str, object],
) -> None:
    result = ask(tmp_path, asker(f"GET {server.url}{path}".encode()), server.url, rule)
    agent = result["agent"]
    assert agent.exit_code == errno
    assert bool(server.seen) == reached
    assert agent.request_credits == (1_000 if reached else 0)
    assert agent.paid_credits + agent.returned_credits == FUNDS


def test_a_redirect_is_an_answer(tmp_path: Path, server: Server) -> None:
    result = ask(tmp_path, asker(f"GET {server.url}/v1/elsewhere".encode()), server.url)
    assert result.output["agent", "stdout"].startswith(b"302 Found\n")
    assert [path for _, path, _, _ in server.seen] == ["/v1/elsewhere"]


def test_nobody_there(tmp_path: Path, server: Server) -> None:
    url = server.url
    server.server_close()
    result = ask(tmp_path, asker(f"GET {url}/v1/chat".encode()), url)
    assert result["agent"].exit_code == ECONNREFUSED
    assert result["agent"].request_credits == 0


@pytest.mark.parametrize(
    ("module", "granted", "errno"),
    [
        (asker(b"GET http://x.example/"), False, EACCES),
        (asker(b"nonsense"), True, EINVAL),
        (asker(b"", length=65_537), True, EMSGSIZE),
        (asker(b"", length=-1), True, EMSGSIZE),
        (asker(b"GET", at=131_070, length=3), True, EFAULT),
        (asker(b"GET http://x.example/", room=-1), True, EFAULT),
    ],
)
def test_bad_calls(tmp_path: Path, module: bytes, granted: bool, errno: int) -> None:
    result = ask(tmp_path, module, "http://127.0.0.1:9", granted=granted)
    assert result["agent"].exit_code == errno


def test_a_purse_that_cannot_cover_the_worst_asks_nobody(tmp_path: Path, server: Server) -> None:
    module = asker(f"GET {server.url}/v1/chat".encode())
    result = ask(tmp_path, module, server.url, {"price": "19 J", "price_per_kib": "10 mJ"})
    assert result["agent"].exit_code == EDQUOT
    assert not server.seen


def test_a_process_that_ends_while_it_waits_pays_for_what_left(
    tmp_path: Path, server: Server
) -> None:
    result = run(
        [
            process(
                "agent",
                write(tmp_path, "agent", asker(f"GET {server.url}/v1/hang".encode())),
                funds="20 J",
                requests=["api"],
                deadline="600 ms",
            )
        ],
        requests=[{"name": "api", "url": server.url, "local": True, "price": "1 mJ"}],
        deterministic=False,
        duration="5 s",
    )
    agent = result["agent"]
    assert agent.outcome == "deadline"
    assert agent.request_credits == 1_000
    assert agent.paid_credits + agent.returned_credits == FUNDS


def test_secrets_stay_with_the_operator(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "Bearer s3cret")
    rule = {"secret_headers": {"authorization": "API_KEY"}}
    request = f"GET {server.url}/v1/chat\nauthorization: mine".encode()
    result = ask(tmp_path, asker(request), server.url, rule)
    assert server.seen[0][2]["authorization"] == "Bearer s3cret"
    everything = result.output["agent", "stdout"] + b"".join(
        path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()
    )
    assert b"s3cret" not in everything
    monkeypatch.delenv("API_KEY")
    with pytest.raises(ConfigError, match="API_KEY") as error:
        ask(tmp_path, asker(request), server.url, rule)
    assert error.value.code == "MX1016"


def test_refused_in_a_deterministic_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="deterministic"):
        run(
            [process("agent", write(tmp_path, "agent", asker(b"")), requests=["api"])],
            requests=[{"name": "api", "url": "http://x.example"}],
        )


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"url": "ftp://x.example/"}, "http or https"),
        ({"url": "http://x.example/?q"}, "query"),
        ({"methods": ["get"]}, "not a method"),
        ({"methods": ["CONNECT"]}, "not a method"),
        ({"timeout": "1 h"}, "timeout"),
        ({"answer_max": "1 GiB"}, "answer_max"),
        ({"urll": "x"}, "urll"),
        ({"price": "-1 J"}, "price"),
    ],
)
def test_bad_rules_are_refused(tmp_path: Path, keys: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        run(
            [process("agent", write(tmp_path, "agent", asker(b"")), requests=["api"])],
            requests=[{"name": "api", "url": "http://x.example", **keys}],
            deterministic=False,
        )


def test_the_sample_program(tmp_path: Path, server: Server) -> None:
    module = REPOSITORY / "build/guests/fetch.wasm"
    if not module.exists():
        pytest.fail("build the guests first: make samples")
    result = run(
        [
            process(
                "agent",
                str(module),
                args=[f"{server.url}/v1/chat", '{"prompt": "hello"}'],
                funds="20 J",
                requests=["model"],
            )
        ],
        requests=[{"name": "model", "url": f"{server.url}/v1/chat", "local": True}],
        deterministic=False,
        duration="20 s",
    )
    assert result["agent"].exit_code == 0
    assert result.output["agent", "stdout"].endswith(b'\n\necho:{"prompt": "hello"}')


def test_a_slow_server_holds_no_thread_of_the_broker(server: Server) -> None:
    """The library forgets the socket of a connection that the server is to close; we do not."""
    rule = RequestConfig(name="api", url=server.url, local=True, timeout_ns=300_000_000)
    broker = Broker({})
    broker.ask(1, 1, [rule], f"GET {server.url}/v1/drip-and-close".encode())
    (answer,) = wait_for(broker)
    assert answer.errno == ETIMEDOUT
    assert answer.bytes_in < 50, "it was cut long before the server was done"


def test_a_secret_that_is_no_header_is_refused_and_not_shown(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = {"secret_headers": {"authorization": "API_KEY"}}
    request = f"GET {server.url}/v1/chat".encode()
    monkeypatch.setenv("API_KEY", "s3cr\net")
    with pytest.raises(ConfigError) as error:
        ask(tmp_path, asker(request), server.url, rule)
    assert error.value.code == "MX1016"
    assert "s3cr" not in str(error.value)
    monkeypatch.setenv("API_KEY", "s3cret\n")
    assert ask(tmp_path, asker(request), server.url, rule)["agent"].exit_code == 0
    assert server.seen[0][2]["authorization"] == "s3cret"


def test_many_long_answers_fit_into_frames() -> None:
    """Frames are cut by bytes too: sixteen answers of 4 MiB are more than one may hold."""
    messages: list[Message] = [
        {"op": "answer", "pid": 1, "id": n, "errno": 0, "data": bytes(4 << 20)} for n in range(16)
    ]
    batches = list(batches_of(messages))
    assert [message for batch in batches for message in batch] == messages
    assert max(len(encode_frame(batch)) for batch in batches) < 16 << 20


def wait_for(broker: Broker) -> list[Answer]:
    select.select([broker], [], [], 30)
    return broker.take()
