"""CBOR, COSE and the tree: against other implementations, published vectors, and hostile bytes."""

from __future__ import annotations

import hashlib
import math
import tracemalloc
from typing import Any, cast

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxwell.errors import BadReceipt
from maxwell.token import cbor, cose, merkle
from receipts import oracle
from receipts.made_up import signer

U64 = 2**64 - 1
LEAVES = st.one_of(
    st.integers(0, U64), st.integers(-U64 - 1, -1), st.binary(max_size=40), st.text(max_size=20),
    st.booleans(), st.none(),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.integers(0, 70_000), inner, max_size=4).map(
            lambda d: dict(sorted(d.items()))
        ),
    ),
    max_leaves=12,
)


def depth_of(value: Any) -> int:
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = list(cast("dict[int, Any]", value).values())
    elif isinstance(value, list):
        inner = cast("list[Any]", value)
    return 1 + max((depth_of(v) for v in inner), default=-1)


@given(VALUES)
def test_encoding_is_deterministic_and_read_back(value: Any) -> None:
    """Goal: the bytes are those of `cbor2`'s canonical form and of the second encoder."""
    data = cbor.encode(value)
    assert data == cbor2.dumps(value, canonical=True) == oracle.again(value)
    if depth_of(value) <= cbor.DEPTH_MAX:
        assert cbor.decode(data, what="x") == value == oracle.whole(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_deterministic(data: bytes) -> None:
    """Goal: what the strict decoder takes, `cbor2` takes too, and encodes to the same bytes."""
    try:
        value = cbor.decode(data, what="x")
    except BadReceipt:
        with pytest.raises(oracle.Rejected):
            oracle.whole(data)
        return
    if not isinstance(value, cbor.Tagged):
        assert cbor2.dumps(cbor2.loads(data), canonical=True) == data
    oracle.whole(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "ends too early"),
        (b"\x81" * 50_000, "nested deeper"),
        (b"\xa1\x00" * 50_000, "nested deeper"),
        (b"\xd2" * 50_000, "nested deeper"),
        (b"\x9b" + b"\xff" * 8, "elements are announced"),
        (b"\xbb" + b"\xff" * 8, "elements are announced"),
        (b"\x5b\x7f" + b"\xff" * 7, "bytes are announced"),
        (b"\x7a\xff\xff\xff\xffab", "bytes are announced"),
        (b"\x9f\x01\xff", "indefinite"),
        (b"\x5f\x41a\xff", "indefinite"),
        (b"\x1c", "reserved"),
        (b"\x18\x17", "longer form"),
        (b"\x19\x00\xff", "longer form"),
        (b"\x1b\x00\x00\x00\x00\xff\xff\xff\xff", "longer form"),
        (b"\xa2\x02\x00\x01\x00", "ascending"),
        (b"\xa2\x01\x00\x01\x00", "ascending"),
        (b"\xa1\x20\x00", "ascending"),
        (b"\xa1\x61a\x00", "ascending"),
        (b"\x61\xff", "UTF-8"),
        (b"\xf9\x3c\x00", "neither"),
        (b"\xfb\x3f\xf0" + b"\x00" * 6, "neither"),
        (b"\xf7", "neither"),
        (b"\xf8\x20", "neither"),
        (b"\xc2\x41\x01", "tag 2"),
        (b"\xc4\x82\x1b" + b"\x7f" * 8 + b"\x01", "tag 4"),
        (b"\xd8\x1d\x00", "tag 29"),
        (b"\xd2\x01", "tag 18"),
        (b"\x01\x02", "1 bytes follow"),
    ],
)  # fmt: skip
def test_bombs_and_other_encodings(data: bytes, why: str) -> None:
    tracemalloc.start()
    with pytest.raises(BadReceipt, match=why) as caught:
        cbor.decode(data, what="x")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.code == "MX1602"
    assert peak < 2_000_000, "no length is believed before its bytes are there"


# Roots of the first n of these leaves, as published with RFC 6962's reference implementation.
CT_LEAVES = [
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]  # fmt: skip
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def test_published_roots() -> None:
    leaves = [merkle.leaf_hash(bytes.fromhex(text)) for text in CT_LEAVES]
    assert [merkle.root_of(leaves[:n]).hex() for n in range(1, 9)] == CT_ROOTS
    assert merkle.root_of([]) == hashlib.sha256().digest()


@given(size=st.integers(1, 70), data=st.data())
def test_every_path_leads_to_the_root_and_no_other(size: int, data: st.DataObject) -> None:
    leaves = [merkle.leaf_hash(bytes([n])) for n in range(size)]
    root = merkle.root_of(leaves)
    assert root == oracle.root(leaves)
    index = data.draw(st.integers(0, size - 1))
    path = merkle.path_of(leaves, index)
    assert len(path) <= math.ceil(math.log2(size)) if size > 1 else path == []
    assert merkle.root_from_path(leaves[index], index, size, path) == root
    for other in range(-1, size + 1):
        if other != index:
            assert merkle.root_from_path(leaves[index], other, size, path) != root
    assert merkle.root_from_path(leaves[index], index, size, [*path, root]) != root
    if path:
        assert merkle.root_from_path(leaves[index], index, size, path[:-1]) != root


def test_sign1_is_what_cose_says() -> None:
    """The structure, taken apart by `cbor2`; the signature, checked by the second verifier."""
    made = signer()
    data = made.sign(b"\x01")
    tag = cbor2.loads(data)
    assert tag.tag == 18
    protected, unprotected, payload, signature = tag.value
    assert cbor2.loads(protected) == {1: -8, 4: hashlib.sha256(made.public_key).digest()[:8]}
    assert (unprotected, payload, len(signature)) == ({}, b"\x01", 64)
    cose.check_sign1(cose.read_sign1(data, what="x"), made.public_key, what="x")


@pytest.mark.parametrize(
    "value",
    [
        [b"", {}, b"x", bytes(64)],
        [cbor.encode({1: -7, 4: b"12345678"}), {}, b"x", bytes(64)],
        [cbor.encode({1: -8}), {}, b"x", bytes(64)],
        [cbor.encode({1: -8, 4: 5}), {}, b"x", bytes(64)],
        [cbor.encode({1: -8, 4: b"1", 5: 1}), {}, b"x", bytes(64)],
        [cbor.encode({1: -8, 4: b"12345678"}), {1: 1}, b"x", bytes(64)],
        [cbor.encode({1: -8, 4: b"12345678"}), {}, None, bytes(64)],
        [cbor.encode({1: -8, 4: b"12345678"}), {}, b"x", bytes(63)],
        [cbor.encode({1: -8, 4: b"12345678"}), {}, b"x"],
    ],
)
def test_other_statements_are_refused(value: list[Any]) -> None:
    with pytest.raises(BadReceipt) as caught:
        cose.read_sign1(cbor.encode_sign1(value), what="x")
    assert caught.value.code == "MX1602"
    with pytest.raises(BadReceipt):
        cose.read_sign1(cbor.encode(value), what="untagged")
