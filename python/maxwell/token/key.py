"""The node's key: who says what a run cost.

An Ed25519 key in PEM (PKCS #8, unencrypted) in the user's data folder, made on first use, readable
by its owner only. `MAXWELL_DATA_DIR` names another folder. A key that cannot be read is an error
and is never replaced: whoever pinned it would take the next run for a stranger's.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from maxwell.errors import ConfigError
from maxwell.token.cose import KEY_BYTES, Signer

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA_VARIABLE: Final = "MAXWELL_DATA_DIR"
KEY_FILE: Final = "node.key"
PREFIX: Final = "ed25519:"
_FILE_BYTES_MAX: Final = 4_096
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def key_path(environ: Mapping[str, str] | None = None) -> Path:
    """Returns where the node's key is, or will be."""
    given = (os.environ if environ is None else environ).get(DATA_VARIABLE)
    folder = Path(given) if given else platformdirs.user_data_path("maxwell")
    return folder / KEY_FILE


def node_signer(path: Path | None = None) -> Signer:
    """Returns the signer of this user's node; makes its key on first use.

    Args:
        path: of the key; `key_path()` by default.

    Raises:
        ConfigError: MX1601 when the key cannot be read, made, or is not a private Ed25519 key.
    """
    return Signer(node_key(path))


def node_key(path: Path | None = None) -> Ed25519PrivateKey:
    """Returns the key itself, for what is signed in another form than COSE; as `node_signer`.

    Whoever signs with it puts a domain of its own before the message.
    """
    path = key_path() if path is None else path
    try:
        if not path.exists():
            _make(path)
        return _read(path)
    except OSError as error:
        raise _refused(
            path,
            f"cannot be read or made: {error.strerror}",
            f"set {DATA_VARIABLE} to a folder that you can write to",
        ) from error


def text_of(public_key: bytes) -> str:
    """Writes a public key for people."""
    return PREFIX + public_key.hex()


def read_public_key(text: str) -> bytes:
    """Reads a public key: 64 hexadecimal digits, with or without `ed25519:`, or a PEM file.

    Raises:
        ConfigError: MX1601 when it is none.
    """
    with suppress(ValueError):
        key = bytes.fromhex(text.removeprefix(PREFIX))
        if len(key) == KEY_BYTES:
            return key
    path = Path(text)
    hint = f"give {PREFIX} and 64 hexadecimal digits, as `maxwell key` prints, or a PEM file"
    try:
        with path.open("rb") as file:
            key = load_pem_public_key(file.read(_FILE_BYTES_MAX))
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"not a public key: {text!r}", code="MX1601", hint=hint) from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"not an Ed25519 key: {text!r}", code="MX1601", hint=hint)
    return key.public_bytes_raw()


def _make(path: Path) -> None:
    """Writes a new key, whole or not at all; whoever comes first wins."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp makes the file with mode 0600.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)


def _read(path: Path) -> Ed25519PrivateKey:
    # Opening a pipe would otherwise wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise _refused(path, "is not a file", "move it away; a new one is made")
        if mode & _OTHERS:
            raise _refused(path, "can be read by others than its owner", f"chmod 600 {path}")
        data = os.read(descriptor, _FILE_BYTES_MAX)
    finally:
        os.close(descriptor)
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _refused(
            path, "is not a private key", "restore it, or move it away; a new one is made"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _refused(path, "is not an Ed25519 key", "restore it, or move it away")
    return key


def _refused(path: Path, what: str, hint: str) -> ConfigError:
    return ConfigError(f"the node's key {what}: {path}", code="MX1601", hint=hint)
