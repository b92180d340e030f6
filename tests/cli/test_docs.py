"""The how-to pages do what they say, and read as well in a repository browser as on their site."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from cli.conftest import REPOSITORY, subprocess_maxwell
from maxwell.config import parse_fleet
from maxwell.config.table import Source

DOCS = REPOSITORY / "docs"
PAGES = sorted(
    page for page in [*DOCS.rglob("*.md"), *REPOSITORY.glob("*.md")] if "_build" not in page.parts
)


def blocks(page: str, language: str) -> list[str]:
    """Returns the code blocks of a page in one language."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_links_are_ordinary_and_lead_somewhere() -> None:
    links: list[tuple[Path, str]] = []
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert "{doc}" not in text, page
        links += [(page, target) for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)]
    local = [(page, target) for page, target in links if not target.startswith("http")]
    assert len(local) > 20
    assert [(p.name, target) for p, target in local if not (p.parent / target).exists()] == []


def test_the_steps_of_the_fleet_page_add_up(tmp_path: Path) -> None:
    """Steps 1 to 3 in one file are a fleet within its budget; step 4 is another one."""
    first, rivals, sponsor, power, *_ = blocks("how-to/write-a-fleet-file.md", "toml")
    (tmp_path / "data").mkdir()
    # The rivals' funds come on top of what the page's budget is for: they are an aside.
    for text in (first, first + sponsor, rivals, power + first.partition("\n\n")[2]):
        tables = tomllib.loads(text, parse_float=Decimal)
        fleet = parse_fleet(tables, tmp_path, source=Source("page", text))
        assert fleet.processes


@pytest.mark.slow
@pytest.mark.native
def test_the_guest_of_the_c_page_earns_its_way(tmp_path: Path) -> None:
    """It is built by the page's command and run by the page's fleet."""
    pytest.importorskip("maxwell._native")
    pytest.importorskip("ziglang")
    page = "how-to/write-a-guest-in-c.md"
    (tmp_path / "agent.c").write_text(blocks(page, "c")[0])
    (tmp_path / "fleet.toml").write_text(blocks(page, "toml")[0])
    (tmp_path / "guests").mkdir()
    shutil.copytree(REPOSITORY / "guests/sdk", tmp_path / "guests/sdk")
    (build,) = [
        line[2:]
        for block in blocks(page, "console")
        for line in block.splitlines()
        if "ziglang cc" in line
    ]
    words = build.split()
    assert words[0] == "python"
    subprocess.run([sys.executable, *words[1:]], cwd=tmp_path, check=True, timeout=300)
    done = subprocess_maxwell("run", "fleet.toml", "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith("agent"))
    assert "finished" in row
    assert "2.00 J" in row  # all that the sponsor had
