"""`maxwell run` and `maxwell demo`, with a made-up hypervisor: what is shown, written, returned."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cli.conftest import REPOSITORY, Maxwell
from cli.fake_hypervisor import FakeHypervisor
from maxwell.cli.demo import demo_text
from maxwell.node.admission import Compiling

FLEET = """
[node]
cells = 1
budget = "100 J"
duration = "8 s"
[[process]]
name = "worker"
module = "samples:hello.wasm"
funds = "4 J"
[[process]]
name = "leech"
module = "samples:leech.wasm"
funds = "3 J"
"""


@pytest.fixture
def fleet(here: Path) -> str:
    (here / "fleet.toml").write_text(FLEET)
    return "fleet.toml"


def test_a_fleet_run(maxwell: Maxwell, hypervisor: FakeHypervisor, here: Path, fleet: str) -> None:
    hypervisor.stdout = b"found it\n"
    done = maxwell("run", fleet)
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].startswith("2 processes in ")
    assert lines[2].split()[:2] == ["process", "outcome"]
    assert any(line.startswith("leech    bankrupt") for line in lines)
    assert "conservation: ok" in lines
    assert "found it" not in done.out
    folder = here / "runs/fleet-1"
    assert sorted(path.name for path in folder.iterdir()) == [
        "events.jsonl", "output", "prices.svg", "report.json",
    ]  # fmt: skip
    assert (folder / "output/worker.stdout").read_bytes() == b"found it\n"
    assert "run folder: runs/fleet-1" in done.err
    assert "hint: `maxwell why leech --run runs/fleet-1`" in done.err
    assert maxwell("run", fleet).code == 0
    assert (here / "runs/fleet-2/report.json").exists()


def test_without_a_terminal_deaths_and_seconds_are_lines(
    maxwell: Maxwell, hypervisor: FakeHypervisor, fleet: str
) -> None:
    del hypervisor
    err = maxwell("run", fleet).err
    assert "    1.0 s  price " in err
    assert "s  leech bankrupt: the purse could not pay" in err
    assert "\x1b" not in err


@pytest.mark.parametrize("flag", ["--quiet", "--no-progress"])
def test_progress_can_be_turned_off(
    maxwell: Maxwell, hypervisor: FakeHypervisor, fleet: str, flag: str
) -> None:
    del hypervisor
    for arguments in (("run", fleet, flag), (flag, "run", fleet)):
        done = maxwell(*arguments)
        assert " s  price " not in done.err
        assert "conservation: ok" in done.out
    if flag == "--quiet":
        assert done.err == ""


def test_json_is_the_report_and_nothing_else(
    maxwell: Maxwell, hypervisor: FakeHypervisor, here: Path, fleet: str
) -> None:
    del hypervisor
    done = maxwell("run", fleet, "--json", "--out", "out")
    assert json.loads(done.out) == json.loads((here / "out/report.json").read_text())


def test_options_override_the_file(
    maxwell: Maxwell, hypervisor: FakeHypervisor, fleet: str
) -> None:
    arguments = ("--power", "9W", "--seed", "42", "--duration", "3s", "--deterministic")
    assert maxwell("run", fleet, *arguments).code == 0
    assert hypervisor.seen is not None
    node = hypervisor.seen.node
    assert (node.power_mw, node.budget_uj, node.seed) == (9_000, None, 42)
    assert node.duration_ns == 3_000_000_000
    assert node.deterministic


def test_options_of_a_module_are_refused_for_a_fleet(maxwell: Maxwell, fleet: str) -> None:
    for arguments in (("--env", "A=b"), ("--memory-max", "1MiB"), ("--", "x")):
        done = maxwell("run", fleet, *arguments)
        assert done.code == 2
        assert "are for a module" in done.err


@pytest.mark.parametrize(
    ("change", "code"),
    [({"conservation_ok": False}, 125), ({"interrupted": True}, 130), ({}, 0)],
)
def test_exit_codes_of_a_fleet(
    maxwell: Maxwell,
    hypervisor: FakeHypervisor,
    fleet: str,
    change: dict[str, bool],
    code: int,
) -> None:
    for name, value in change.items():
        setattr(hypervisor, name, value)
    done = maxwell("run", fleet)
    assert done.code == code
    if code == 125:
        assert "FAILED: do not trust any figure of this run" in done.out


def test_a_failed_conservation_wins_over_an_interrupt(
    maxwell: Maxwell, hypervisor: FakeHypervisor, fleet: str
) -> None:
    hypervisor.conservation_ok = False
    hypervisor.interrupted = True
    assert maxwell("run", fleet).code == 125


def test_an_interrupted_run_says_so_and_asks_about_no_one_it_stopped(
    maxwell: Maxwell, hypervisor: FakeHypervisor, here: Path
) -> None:
    fleet = FLEET.replace('"worker"', '"killed-1"')
    (here / "fleet.toml").write_text(fleet)
    hypervisor.interrupted = True
    done = maxwell("run", "fleet.toml")
    assert ", interrupted by Ctrl-C or SIGTERM: " in done.out.splitlines()[0]
    assert "1 killed" in done.out.splitlines()[0]
    assert "why leech" in done.err
    assert "why killed-1" not in done.err


def test_a_run_that_replaces_another_says_so(
    maxwell: Maxwell, hypervisor: FakeHypervisor, fleet: str
) -> None:
    del hypervisor
    assert "replacing" not in maxwell("run", fleet, "--out", "out").err
    err = maxwell("run", fleet, "--out", "out").err
    assert re.match(r"out: replacing the run of \d\d:\d\d\n", err)
    assert maxwell("run", fleet, "--out", "out", "--quiet").err == ""


def test_what_a_power_cap_minted_is_shown(
    maxwell: Maxwell, hypervisor: FakeHypervisor, fleet: str
) -> None:
    del hypervisor
    out = maxwell("run", fleet, "--power", "9W").out
    assert re.search(r"^power +cap 9\.00 W: minted ", out, re.MULTILINE)
    assert not re.search(r"^power ", maxwell("run", fleet).out, re.MULTILINE)


def test_a_compilation_that_is_waited_for_is_a_line(
    maxwell: Maxwell, hypervisor: FakeHypervisor, here: Path, fleet: str
) -> None:
    """And the line that the fleet runs comes after what could still refuse it."""
    hypervisor.compiling = Compiling(file="a.wasm", number=3, total=6, cache=here)
    lines = maxwell("run", fleet).err.splitlines()
    assert lines[0] == f"compiling a.wasm (3 of 6, kept in {here})"
    assert lines[1] == "running fleet.toml: 2 processes, at most 8.0 s"
    assert "compiling" not in maxwell("run", fleet, "--quiet").err
    assert "compiling" not in maxwell("run", "samples:hello.wasm").err


def test_a_name_with_a_blank_gives_a_plain_folder(
    maxwell: Maxwell, hypervisor: FakeHypervisor, here: Path
) -> None:
    del hypervisor
    (here / "my fleet.toml").write_text(FLEET)
    assert maxwell("run", "my fleet.toml").code == 0
    assert (here / "runs/my-fleet-1/report.json").exists()


def test_warnings_are_shown_and_kept(
    maxwell: Maxwell, hypervisor: FakeHypervisor, here: Path, fleet: str
) -> None:
    hypervisor.warnings = ("the meter was blind for 3 s",)
    done = maxwell("run", fleet, "--quiet", "--out", "out")
    assert done.err == "warning: the meter was blind for 3 s\n"
    assert json.loads((here / "out/report.json").read_text())["warnings"] == [
        "the meter was blind for 3 s"
    ]


def test_a_folder_with_other_files_is_refused_before_the_run(
    maxwell: Maxwell, hypervisor: FakeHypervisor, here: Path, fleet: str
) -> None:
    (here / "thesis.tex").write_text("precious")
    done = maxwell("run", fleet, "--out", ".")
    assert done.code == 2
    assert "not a run folder" in done.err
    assert hypervisor.seen is None


def test_a_module_has_the_terminal_to_itself(
    maxwell: Maxwell, hypervisor: FakeHypervisor, here: Path
) -> None:
    hypervisor.stdout = b"hello, world\n"
    done = maxwell("run", "samples:hello.wasm", "--budget", "2J", "--", "--name", "x")
    assert done.code == 0
    assert done.out == "hello, world\n"
    receipt = done.err.splitlines()
    assert len(receipt) == 3
    assert all(line.startswith("maxwell: ") for line in receipt)
    assert receipt[0].startswith("maxwell: hello finished (exit code 0) after ")
    assert "modelled, ±40 %" in receipt[1]
    assert receipt[2].endswith("conservation ok")
    assert hypervisor.seen is not None
    assert hypervisor.seen.processes[0].args == ("--name", "x")
    assert hypervisor.seen.node.budget_uj == 2_000_000
    assert list(here.iterdir()) == []


def test_a_modules_json_moves_its_output_to_standard_error(
    maxwell: Maxwell, hypervisor: FakeHypervisor
) -> None:
    hypervisor.stdout = b"hello, world\n"
    done = maxwell("run", "samples:hello.wasm", "--json")
    assert json.loads(done.out)["processes"][0]["name"] == "hello"
    assert done.err.startswith("hello, world\n")


def test_a_module_with_a_run_folder_can_be_asked_why(
    maxwell: Maxwell, hypervisor: FakeHypervisor, here: Path
) -> None:
    del hypervisor
    done = maxwell("run", "samples:leech.wasm", "--budget", "2J", "--out", "out")
    assert done.code == 120
    assert done.err.splitlines()[-1] == "maxwell: `maxwell why leech --run out`"
    assert (here / "out/report.json").exists()
    assert maxwell("why", "leech", "--run", "out").code == 0


@pytest.mark.parametrize(
    ("name", "guest_code", "code"),
    [
        ("worker", 0, 0),
        ("worker", 3, 3),
        ("worker", 256 + 7, 7),
        ("bankrupt", 0, 120),
        ("deadline", 0, 124),
        ("lost", 0, 125),
        ("trapped", 0, 134),
        ("out_of_memory", 0, 137),
        ("killed", 0, 137),
    ],
)
def test_exit_codes_of_a_module(
    maxwell: Maxwell, hypervisor: FakeHypervisor, name: str, guest_code: int, code: int
) -> None:
    hypervisor.exit_code = guest_code
    assert maxwell("run", "samples:hello.wasm", "--name", name).code == code


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("nope.wasm",), 127, "no such module"),
        (("nope",), 127, "cannot read: nope"),
        (("samples:helo.wasm",), 127, "no sample 'helo.wasm'"),
        (("pypi:no-such-package/x.wasm",), 127, "no-such-package"),
        (("nope.toml",), 2, "cannot read fleet file"),
        (("samples:hello.wasm", "--budget", "5"), 2, "'5' has no unit"),
        (("samples:hello.wasm", "--env", "X"), 2, "--env: not NAME=VALUE: 'X'"),
        (("samples:hello.wasm", "--dir", "absent:/x"), 2, "absent"),
        (("samples:hello.wasm", "--dir", "/nosuch:/x"), 2, "the path is absolute: check it"),
        (("../x/../nope.wasm",), 127, "/nope.wasm"),
    ],
)
def test_what_cannot_run_says_why(
    maxwell: Maxwell, hypervisor: FakeHypervisor, arguments: tuple[str, ...], code: int, error: str
) -> None:
    done = maxwell("run", *arguments)
    assert done.code == code
    assert done.err.startswith("error: ")
    assert error in done.err
    assert "\n\nhint: " in done.err
    assert hypervisor.seen is None


def test_a_module_without_a_telling_name_is_known_by_its_first_bytes(
    maxwell: Maxwell, hypervisor: FakeHypervisor, here: Path
) -> None:
    (here / "agent").write_bytes(b"\0asm\x01\0\0\0")
    assert maxwell("run", "agent").code == 0
    assert hypervisor.seen is not None
    assert hypervisor.seen.processes[0].name == "agent"


def test_the_demo(maxwell: Maxwell, hypervisor: FakeHypervisor, here: Path) -> None:
    done = maxwell("demo", "--seed", "3")
    assert done.code == 0
    assert hypervisor.seen is not None
    assert hypervisor.seen.node.seed == 3
    assert {process.name for process in hypervisor.seen.processes} >= {"scientist", "leech", "hog"}
    assert (here / "runs/demo-1/report.json").exists()


def test_the_demo_is_the_example(maxwell: Maxwell) -> None:
    """The wheel carries its own copy of an example; they must not part ways."""
    assert demo_text() == (REPOSITORY / "examples/scientist.toml").read_text()
    assert maxwell("demo", "--print-fleet").out == demo_text()
