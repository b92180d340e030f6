"""The repository's frame: one version, pins that agree, files that say the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from maxwell.version import __version__

REPOSITORY = Path(__file__).resolve().parents[2]


def pyproject() -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def pins() -> dict[str, str]:
    text = (REPOSITORY / "requirements/dev.txt").read_text()
    return dict(re.findall(r"^([A-Za-z0-9-]+)(?:\[[a-z]+\])?==(\S+)$", text, re.MULTILINE))


def test_there_is_one_version() -> None:
    cargo = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())
    assert pyproject()["project"]["version"] == __version__
    assert cargo["workspace"]["package"]["version"] == __version__
    assert f"## [{__version__}]" in (REPOSITORY / "CHANGELOG.md").read_text()


def test_every_run_time_dependency_is_pinned_within_its_range() -> None:
    for requirement in pyproject()["project"]["dependencies"]:
        match = re.fullmatch(r"([a-z][a-z0-9]*)>=([0-9.]+)(?:,<([0-9]+))?", requirement)
        assert match is not None, requirement
        name, least, below = match.groups()
        pinned = [int(part) for part in pins()[name].split(".")]
        assert pinned >= [int(part) for part in least.split(".")]
        assert below is None or pinned[0] < int(below)


@pytest.mark.parametrize("name", ["dev", "guests"])
def test_pins_are_exact(name: str) -> None:
    for line in (REPOSITORY / f"requirements/{name}.txt").read_text().splitlines():
        text = line.partition("#")[0].strip()
        assert not text or re.fullmatch(r"[A-Za-z0-9-]+(\[[a-z]+\])?==[0-9][0-9A-Za-z.]*", text)


def test_every_dependency_has_its_reason() -> None:
    page = (REPOSITORY / "docs/dependencies.md").read_text()
    missing = [name for name in pins() if f"`{name}`" not in page]
    guests = (REPOSITORY / "requirements/guests.txt").read_text()
    missing += [n for n in re.findall(r"^([a-z0-9-]+)==", guests, re.MULTILINE) if n not in page]
    crates = [
        name
        for manifest in (REPOSITORY / "crates").glob("*/Cargo.toml")
        for table in ("dependencies", "dev-dependencies")
        for name in tomllib.loads(manifest.read_text()).get(table, {})
        if not name.startswith("maxwell")
    ]
    missing += [name for name in crates if f"`{name}`" not in page]
    assert sorted(set(missing)) == []


def test_the_makefile_offers_what_the_readme_names() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    for document in ("README.md", "CONTRIBUTING.md", "SPECIFICATION.md"):
        for target in re.findall(r"`make ([a-z-]+)", (REPOSITORY / document).read_text()):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), (document, target)


def test_what_the_specification_names_exists() -> None:
    """Each path in it is there, unless it says that it is pending."""
    text = (REPOSITORY / "SPECIFICATION.md").read_text()
    named = re.findall(r"`((?:tests|crates|docs|\.ci)[^` ]*)`(?: \(slow\))?( \*pending\*)?", text)
    assert len(named) > 20
    assert [
        path for path, pending in named if not pending and not (REPOSITORY / path).exists()
    ] == []


def test_scripts_are_executable() -> None:
    for name in ("run", "system-packages"):
        assert (REPOSITORY / ".ci" / name).stat().st_mode & 0o111
