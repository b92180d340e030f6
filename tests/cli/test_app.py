"""The program itself: verbs, messages, exit codes, and what it costs to ask for the version."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from cli.conftest import REPOSITORY, Maxwell, subprocess_maxwell
from maxwell.cli.app import VERBS, Program, program
from maxwell.errors import EXPLANATIONS
from maxwell.version import __version__

HEAVY = ("click", "rich", "matplotlib", "numpy", "msgspec", "maxwell._native")


def test_version(maxwell: Maxwell) -> None:
    for flag in ("--version", "-V"):
        assert maxwell(flag) == (0, f"maxwell {__version__}\n", "")
    assert maxwell("--debug", "--version").out == f"maxwell {__version__}\n"


def test_version_imports_nothing_heavy(tmp_path: Path) -> None:
    done = subprocess_maxwell("--version", cwd=tmp_path, env={"PYTHONPROFILEIMPORTTIME": "1"})
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert imported.isdisjoint(HEAVY)


def test_version_takes_a_few_bare_starts_of_python(tmp_path: Path) -> None:
    """Best of five each, in one run: under 100 ms where Python itself starts in 20 ms."""
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess_maxwell("--version", cwd=tmp_path)
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True, cwd=tmp_path)
        bare.append(time.perf_counter() - start)
    assert min(ours) < 5 * min(bare)


def test_help_imports_no_verb(tmp_path: Path) -> None:
    done = subprocess_maxwell("--help", cwd=tmp_path, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert all(name in done.stdout for name in VERBS)
    assert "maxwell.cli.run" not in done.stderr
    assert "rich" not in {line.split("|")[-1].strip() for line in done.stderr.splitlines()}


def test_no_arguments_show_the_help(maxwell: Maxwell) -> None:
    done = maxwell()
    assert done.code == 0
    assert "Usage: maxwell" in done.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_the_common_options(maxwell: Maxwell, verb: str) -> None:
    done = maxwell(verb, "--help")
    assert done.code == 0
    assert done.err == ""
    for option in ("--debug", "--no-progress", "--quiet", "--verbose"):
        assert option in done.out
    # A raw docstring would show click's mark for a block as it is written.
    assert "\\" not in done.out


@pytest.mark.parametrize("verb", VERBS)
def test_the_list_of_verbs_and_the_verbs_agree(verb: str) -> None:
    assert isinstance(program, Program)
    command = program.get_command(click.Context(program), verb)
    assert command is not None
    assert command.help is not None


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (("rnu",), "no such verb: 'rnu'", "did you mean `maxwell run`?"),
        (("fleet.toml",), "no such verb: 'fleet.toml'", "maxwell run fleet.toml"),
        (("zzz",), "no such verb: 'zzz'", "verbs: " + ", ".join(VERBS)),
        (("ps",), "no such verb: 'ps'", "`maxwell why NAME`"),
        (("top",), "no such verb: 'top'", "live table"),
        (("ls",), "no such verb: 'ls'", "ls runs"),
        (("run",), "missing argument 'FLEET.toml|MODULE.wasm'", "`maxwell run --help` lists the"),
        (("--nope",), "no such option '--nope'", "`maxwell --help` lists the options"),
        (("run", "x.wasm", "--budget", "1J", "--power", "1W"), "--budget and --power", "--help"),
        (("run", "x.wasm", "--cells", "0"), "invalid value for '--cells'", "--help"),
        (("completion", "tcsh"), "invalid value", "--help"),
    ],
)
def test_a_wrong_command_line_is_exit_2(
    maxwell: Maxwell, arguments: tuple[str, ...], error: str, hint: str
) -> None:
    done = maxwell(*arguments)
    assert done.code == 2
    assert done.out == ""
    lines = done.err.splitlines()
    assert lines[0].startswith(f"error: {error}")
    assert lines[1] == ""
    assert lines[2].startswith("hint: ")
    assert hint in lines[2]
    assert lines[0].endswith(" [MX1019]")


def test_help_is_a_verb_too(maxwell: Maxwell) -> None:
    assert maxwell("help") == maxwell("--help")
    assert maxwell("help", "run") == maxwell("run", "--help")
    assert maxwell("help", "rnu").code == 2


def test_the_defaults_are_in_the_help(maxwell: Maxwell) -> None:
    text = " ".join(maxwell("run", "--help").out.split())
    assert "[default: 10J for a module;" in text
    assert "[default: runs/NAME-N; none for a module]" in text
    assert "an earlier run in it is replaced" in text


def test_an_unexpected_error_is_a_bug_and_125(
    maxwell: Maxwell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(code: str) -> str:
        raise ZeroDivisionError(code)

    monkeypatch.setattr("maxwell.cli.explain.explain", broken)
    done = maxwell("explain", "MX1000")
    assert done.code == 125
    assert done.err.startswith("error: BUG: ZeroDivisionError: MX1000 [MX1900]\n")
    assert "Traceback" not in done.err
    debugged = maxwell("--debug", "explain", "MX1000")
    assert "Traceback" in debugged.err
    assert debugged.code == 125


def test_an_interrupt_is_130(maxwell: Maxwell, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(code: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("maxwell.cli.explain.explain", interrupted)
    assert maxwell("explain", "MX1000").code == 130


def test_a_closed_pipe_is_no_traceback(tmp_path: Path) -> None:
    code = "import sys; from maxwell.cli import main; sys.exit(main())"
    shell = f"set -o pipefail; '{sys.executable}' -c '{code}' explain --json | head -c 1 >/dev/null"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "python")}
    done = subprocess.run(
        ["bash", "-c", shell],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_explain(maxwell: Maxwell) -> None:
    done = maxwell("explain", "mx1202")
    assert done.code == 0
    assert done.out.startswith("MX1202  ")
    assert " ".join(EXPLANATIONS["MX1202"].split()) in " ".join(done.out.split())
    listed = maxwell("explain")
    assert all(code in listed.out for code in EXPLANATIONS)
    assert json.loads(maxwell("explain", "--json").out) == EXPLANATIONS
    unknown = maxwell("explain", "MX9999")
    assert unknown.code == 2
    assert "[MX1001]" in unknown.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(maxwell: Maxwell, shell: str) -> None:
    done = maxwell("completion", shell)
    assert done.code == 0
    assert "_MAXWELL_COMPLETE" in done.out


def test_completion_of_process_names(tmp_path: Path, run_dir: Path) -> None:
    done = subprocess_maxwell(
        cwd=tmp_path,
        env={
            "_MAXWELL_COMPLETE": "bash_complete",
            "COMP_WORDS": f"maxwell why --run {run_dir} le",
            "COMP_CWORD": "4",
        },
    )
    assert done.stdout == "plain,leech\n"


def test_colour_only_on_request(maxwell: Maxwell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[" not in maxwell("rnu").err
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in maxwell("rnu").err
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in maxwell("rnu").err
