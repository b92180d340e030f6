"""The node's key: made once, for its owner only; a damaged one is an error, never replaced."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from maxwell.errors import ConfigError
from maxwell.token.key import DATA_VARIABLE, key_path, node_signer, read_public_key, text_of


def refused(path: Path) -> ConfigError:
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(ConfigError) as caught:
        node_signer(path)
    assert caught.value.code == "MX1601"
    assert caught.value.hint
    assert str(path) in caught.value.message
    assert before is None or path.read_bytes() == before
    return caught.value


def test_it_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "node.key"
    first = node_signer(path).public_key
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert node_signer(path).public_key == first
    assert [entry.name for entry in path.parent.iterdir()] == ["node.key"]


def test_whoever_comes_first_wins(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    keys: list[bytes] = []
    barrier = threading.Barrier(8)

    def make() -> None:
        barrier.wait()
        keys.append(node_signer(path).public_key)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a key",
        bytes(200),
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
    ],
)
def test_a_damaged_key_is_named_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "node.key"
    path.write_bytes(content)
    path.chmod(0o600)
    assert "is not a private key" in refused(path).message


def test_a_key_of_another_kind_or_behind_a_password(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    other = generate_private_key(SECP256R1())
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    assert "is not an Ed25519 key" in refused(path).message
    locked = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
    )
    path.write_bytes(locked)
    assert "is not a private key" in refused(path).message


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "node.key"
    node_signer(path)
    path.chmod(mode)
    error = refused(path)
    assert "can be read by others" in error.message
    assert error.hint == f"chmod 600 {path}"


def test_a_folder_in_its_place_and_a_place_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "node.key").mkdir()
    refused(tmp_path / "node.key")
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file" / "node.key")
    refused(Path("/proc/maxwell/node.key"))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "pipe").chmod(0o600)
    # Reading a pipe would wait for a writer for ever.
    assert "is not a file" in refused(tmp_path / "pipe").message


def test_where_it_is(tmp_path: Path) -> None:
    assert key_path({DATA_VARIABLE: str(tmp_path)}) == tmp_path / "node.key"
    assert key_path({}).name == "node.key"


def test_public_keys_as_people_give_them(tmp_path: Path) -> None:
    private = Ed25519PrivateKey.generate()
    raw = private.public_key().public_bytes_raw()
    (tmp_path / "pub.pem").write_bytes(
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    for text in (raw.hex(), text_of(raw), raw.hex().upper(), str(tmp_path / "pub.pem")):
        assert read_public_key(text) == raw
    ec = generate_private_key(SECP256R1()).public_key()
    (tmp_path / "ec.pem").write_bytes(
        ec.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    for text in ("", "ed25519:", raw.hex()[:-2], raw.hex() + "00", "zz" * 32, str(tmp_path),
                 str(tmp_path / "ec.pem"), str(tmp_path / "absent")):  # fmt: skip
        with pytest.raises(ConfigError) as caught:
            read_public_key(text)
        assert caught.value.code == "MX1601"
