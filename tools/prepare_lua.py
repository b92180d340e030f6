"""Prepares Lua 5.4 for `benches/erasure.py` and its test: as a guest, and natively for 32 bits.

Usage: `python tools/prepare_lua.py [--archive FILE]`

The sources are Debian's `lua5.4_5.4.4.orig.tar.gz`, checked by hash; they are downloaded when no
archive is named. Both programs go to `build/lua`: `lua.wasm`, which exports its allocator, and
`lua32`, whose allocator is `benches/erasure/counting_allocator.c`. Errors of a script end either
one (there is no `setjmp` in WASI), and hashes are seeded alike, so that both do the same work.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
OUT = REPOSITORY / "build" / "lua"
HERE = REPOSITORY / "benches" / "erasure"

URL = "https://deb.debian.org/debian/pool/main/l/lua5.4/lua5.4_5.4.4.orig.tar.gz"
SHA256 = "164c7849653b80ae67bec4b7473b884bf5cc8d2dca05653475ec2ed27b9ebf61"
ARCHIVE_BYTES_MAX = 4 << 20
DOWNLOAD_TIMEOUT_S = 60
COMPILER_TIMEOUT_S = 900

SOURCES = (
    "lapi", "lauxlib", "lbaselib", "lcode", "lcorolib", "lctype", "ldebug", "ldo", "ldump", "lfunc",
    "lgc", "llex", "lmathlib", "lmem", "lobject", "lopcodes", "lparser", "lstate", "lstring",
    "lstrlib", "ltable", "ltablib", "ltm", "lundump", "lvm", "lzio",
)  # fmt: skip

FLAGS = (
    "-O2",
    "-std=gnu11",
    "-DLUAI_THROW(L,c)=abort()",
    "-DLUAI_TRY(L,c,a)=if(1){a}",
    "-Dluai_jmpbuf=int",
    "-Dl_signalT=int",
    "-Dluai_makeseed(L)=42u",
    "-Dl_randomizePivot()=0",
)
WASM_FLAGS = (
    "--target=wasm32-wasi",
    "-s",
    "-Wl,-z,stack-size=262144",
    "-Wl,--export=free",
    "-Wl,--export=realloc",
)
# The layout of structures in WebAssembly: eight-byte numbers on eight-byte boundaries.
NATIVE_FLAGS = (
    "--target=x86-linux-musl",
    "-malign-double",
    "-static",
    "-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free",
)


def sources(archive: Path | None) -> bytes:
    """Returns the archive, checked.

    Raises:
        OSError: it cannot be read or downloaded.
        ValueError: it is another one.
    """
    if archive is None:
        with urllib.request.urlopen(URL, timeout=DOWNLOAD_TIMEOUT_S) as reply:
            data = reply.read(ARCHIVE_BYTES_MAX)
    else:
        data = archive.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise ValueError(f"not the sources of Lua 5.4.4: SHA-256 is {found}")
    return data


def build(folder: Path, flags: tuple[str, ...], extra: tuple[Path, ...], output: Path) -> None:
    """Compiles Lua with the host program and `extra`."""
    files = [HERE / "lua_host.c", *extra, *(folder / f"{name}.c" for name in SOURCES)]
    command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, *flags, "-I", str(folder)]
    command += [*map(str, files), "-lm", "-o", str(output)]
    subprocess.run(command, check=True, timeout=COMPILER_TIMEOUT_S)


def main(arguments: list[str] | None = None) -> int:
    """Downloads and compiles; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--archive", type=Path, help="the sources, if they are here already")
    options = parser.parse_args(arguments)
    try:
        data = sources(options.archive)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            archive.extractall(folder, filter="data")
        root = Path(folder) / "lua-5.4.4" / "src"
        # WASI's own refuses to be included; nothing of it is used.
        (root / "setjmp.h").write_text("")
        build(root, WASM_FLAGS, (), OUT / "lua.wasm")
        build(root, NATIVE_FLAGS, (HERE / "counting_allocator.c",), OUT / "lua32")
    sys.stderr.write(f"lua: in {OUT}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
