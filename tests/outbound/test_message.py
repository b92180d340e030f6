"""Goal: what a guest writes is read in one way only, and no rule is reached around.

Method: tables of good and bad texts, and hypothesis over hostile ones.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxwell.config import RequestConfig
from maxwell.outbound import address
from maxwell.outbound.message import parse_request, parse_target, write_answer
from maxwell.outbound.refused import EACCES, EHOSTUNREACH, EINVAL, Refused
from maxwell.outbound.rules import find_rule, price_credits, terms

RULE = RequestConfig(name="api", url="https://api.example.com/v1/", price_credits=100)


def test_a_request_is_read() -> None:
    request = parse_request(
        b"post HTTPS://API.example.com:443/v1/chat?k=1\r\nX-A:  b \nq: \n\nbody\r\n\r\nrest"
    )
    assert request.method == "POST"
    assert request.target.shown == "https://api.example.com/v1/chat"
    assert request.target.path == "/v1/chat?k=1"
    assert request.headers == (("x-a", "b"), ("q", ""))
    assert request.body == b"body\r\n\r\nrest"


def test_a_request_without_an_empty_line_has_no_body() -> None:
    assert parse_request(b"GET http://x.example/a\nq: 1\n").body == b""


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"GET",
        b"GET ",
        b"GET ftp://x.example/",
        b"GET http://",
        b"GET http://user:pass@x.example/",
        b"GET http://x.example@evil.example/",
        b"GET http://x.example\\@evil.example/",
        b"GET http://x.example:99999/",
        b"GET http://x.example/a/../b",
        b"GET http://x.example/a/%2e%2E/b",
        b"GET http://x.example/a%2fb",
        b"GET http://x.example/a#b",
        b"GET http://x.example/a b",
        b"GET http://[::1/",
        b"GET http://x%2eexample/",
        b"G\0T http://x.example/",
        b"GET http://x.example/\nhost: evil.example\n\n",
        b"GET http://x.example/\ncontent-length: 0\n\n",
        b"GET http://x.example/\nTransfer-Encoding: chunked\n\n",
        b"GET http://x.example/\nno colon\n\n",
        b"GET http://x.example/\na: b\rc: d\n\n",
        b"GET http://x.example/\n: b\n\n",
        b"GET http://x.example/\na b: c\n\n",
        "GET http://exämple/".encode(),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(text: bytes) -> None:
    with pytest.raises(Refused) as refused:
        parse_request(text)
    assert refused.value.errno == EINVAL


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://api.example.com/v1/", True),
        ("https://api.example.com/v1/chat?x=1", True),
        ("https://API.EXAMPLE.com./v1/chat", True),
        ("https://api.example.com/v1", False),
        ("https://api.example.com/v10/", False),
        ("https://api.example.com/", False),
        ("https://api.example.com:444/v1/", False),
        ("http://api.example.com/v1/", False),
        ("https://api.example.com.evil.example/v1/", False),
        ("https://evil.example/v1/?https://api.example.com/v1/", False),
    ],
)
def test_rules_are_by_place_and_path(url: str, allowed: bool) -> None:
    request = parse_request(f"GET {url}".encode())
    if allowed:
        assert find_rule([RULE], request) is RULE
        return
    with pytest.raises(Refused) as refused:
        find_rule([RULE], request)
    assert refused.value.errno == EACCES


def test_a_rule_without_a_last_slash_is_a_path_and_what_is_below() -> None:
    rule = RequestConfig(name="api", url="https://x.example/v1/chat")
    for path, allowed in (("chat", True), ("chat/a", True), ("chat?a", True), ("chatter", False)):
        request = parse_request(f"GET https://x.example/v1/{path}".encode())
        if allowed:
            assert find_rule([rule], request) is rule
        else:
            with pytest.raises(Refused):
                find_rule([rule], request)


def test_methods_are_the_rules() -> None:
    with pytest.raises(Refused) as refused:
        find_rule([RULE], parse_request(b"DELETE https://api.example.com/v1/x"))
    assert refused.value.errno == EACCES


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "[::]",
        "[fe80::1]",
        "[fd00::1]",
        "[::ffff:127.0.0.1]",
        "[2002:7f00:1::]",
        "2130706433",
        "0x7f.1",
        "224.0.0.1",
        "255.255.255.255",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::7f00:1]",
        "[::ffff:0:127.0.0.1]",
        "[fec0::1]",
        "192.0.0.8",
        "168.63.129.16",
    ],
)
def test_local_addresses_are_refused_in_every_spelling(host: str) -> None:
    with pytest.raises(Refused) as refused:
        address.resolve(parse_target(f"http://{host}/"), local=False)
    assert refused.value.errno in (EACCES, EHOSTUNREACH)


def test_one_local_address_among_others_refuses_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", ("8.8.8.8", 80)), (2, 1, 6, "", ("127.0.0.1", 80))]

    monkeypatch.setattr("socket.getaddrinfo", answers)
    with pytest.raises(Refused) as refused:
        address.resolve(parse_target("http://rebind.example/"), local=False)
    assert refused.value.errno == EACCES
    assert address.resolve(parse_target("http://rebind.example/"), local=True)[0] == "8.8.8.8"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_refused(data: bytes) -> None:
    try:
        request = parse_request(data)
    except Refused:
        return
    assert request.target.scheme in ("http", "https")
    assert all("\n" not in value and "\r" not in value for _, value in request.headers)


@given(st.text(max_size=60))
def test_no_url_leaves_its_rule(tail: str) -> None:
    """A path that a rule allows, resolved as servers do, is still below the rule."""
    try:
        request = parse_request(b"GET https://api.example.com/v1/" + tail.encode())
        find_rule([RULE], request)
    except Refused:
        return
    path = request.target.path.partition("?")[0]
    depth = 0
    for step in path.removeprefix("/v1/").split("/"):
        depth += {"..": -1}.get(step, 1)
        assert depth >= 0


def test_an_answer_is_written_and_its_head_is_bounded() -> None:
    assert write_answer(200, "OK", {"A": "b"}, b"\n\nx") == b"200 OK\na: b\n\n\n\nx"
    long = write_answer(200, "", {f"h{i}": "v" * 1000 for i in range(100)}, b"")
    assert len(long) < 17_000


def test_prices_count_begun_kibibytes() -> None:
    rule = RequestConfig(
        name="r", url="http://x.example/", price_credits=7, price_per_kib_credits=3
    )
    assert [price_credits(rule, n) for n in (0, 1, 1024, 1025)] == [7, 10, 10, 13]
    agreed = terms([rule])
    assert agreed is not None
    assert agreed["credits_per_request"] == 7
    assert terms([]) is None
