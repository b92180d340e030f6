"""Goal: bad input is answered with an error that a person can act on, or accounted for; nothing
hangs and nobody sees our insides.

Method: the command line as a program of its own, as its users start it. For each input: the exit
code of docs/reference/exit-codes.md, `error:` and `hint:` on standard error, no traceback.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from maxwell.cli import main
from support.guests import REPOSITORY, SAMPLES, SPIN_FOREVER, hostile, wasm
from support.program import (
    Done,
    assert_no_inside_view,
    assert_refused,
    events_so_far,
    maxwell,
    report_of,
)

pytestmark = pytest.mark.native

HELLO = '[[process]]\nname = "hello"\nmodule = "samples:hello.wasm"\n'


def good_module() -> bytes:
    return wasm(f'(module (memory (export "memory") 1) (func (export "_start") {SPIN_FOREVER}))')


def with_import(module: str, name: str) -> bytes:
    quoted = ["".join(f"\\{byte:02x}" for byte in text.encode()) for text in (module, name)]
    return wasm(
        f'(module (import "{quoted[0]}" "{quoted[1]}" (func)) (memory (export "memory") 1) '
        '(func (export "_start")))'
    )


def main_here(capfd: pytest.CaptureFixture[str], *arguments: str) -> Done:
    """Runs a command line in this process: for the many refusals that start nothing."""
    code = main(arguments)
    out, err = capfd.readouterr()
    return Done(code, out.encode(), err)


MODULES: dict[str, tuple[Callable[[], bytes], str]] = {
    "no_wasm": (lambda: b"#!/bin/sh\nexec true\n", "MX1204"),
    "empty": (lambda: b"", "MX1204"),
    "magic_only": (lambda: b"\0asm", "MX1204"),
    "header_only": (lambda: b"\0asm\1\0\0\0", "MX1204"),
    "truncated": (lambda: good_module()[:-7], "MX1204"),
    "elf": (lambda: hostile("not_wasm"), "MX1204"),
    "component": (lambda: hostile("component"), "MX1204"),
    "wrong_version": (lambda: hostile("wrong_version"), "MX1204"),
    "no_entry": (lambda: hostile("no_entry"), "MX1204"),
    "memory64": (lambda: hostile("memory64"), "MX1204"),
    "unknown_import": (lambda: hostile("unknown_import"), "MX1205"),
    "unknown_module": (lambda: with_import("env", "abort"), "MX1205"),
    "wrong_signature": (lambda: hostile("wrong_signature"), "MX1205"),
    "functions_100000": (lambda: hostile("functions_100000"), "MX1206"),
    "bomb": (lambda: b"\0asm\1\0\0\0" + b"\0\xff\xff\xff\xff\x0f", "MX1204"),
    "huge_memory": (lambda: hostile("huge_memory_minimum"), "MX1203"),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_cannot_run(tmp_path: Path, name: str) -> None:
    make, code = MODULES[name]
    (tmp_path / "x.wasm").write_bytes(make())
    done = maxwell("run", "x.wasm", cwd=tmp_path)
    assert_refused(done, 126, code, "'x'")
    assert done.out == b""


@pytest.mark.parametrize("name", ["truncated", "functions_100000", "unknown_import"])
def test_a_fleet_with_a_bad_module_runs_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.wasm").write_bytes(MODULES[name][0]())
    (tmp_path / "f.toml").write_text(f'{HELLO}[[process]]\nname = "bad"\nmodule = "x.wasm"\n')
    done = maxwell("run", "f.toml", "--out", "run", "--quiet", cwd=tmp_path)
    assert_refused(done, 126, MODULES[name][1], "process 'bad'", "x.wasm")
    assert not (tmp_path / "run/report.json").exists()
    assert events_so_far(tmp_path / "run") == []


@pytest.mark.parametrize("count", [1, 20, 40])
def test_every_truncation_is_refused(tmp_path: Path, count: int) -> None:
    """A real program cut at several places: never a crash, never a run."""

    content = (SAMPLES / "hello.wasm").read_bytes()
    (tmp_path / "x.wasm").write_bytes(content[: len(content) * count // 41])
    assert_refused(maxwell("run", "x.wasm", cwd=tmp_path), 126, "MX1204")


def test_names_inside_a_module_do_not_reach_the_terminal_raw(tmp_path: Path) -> None:
    """An import may be named with control characters; an error quotes it without them."""
    (tmp_path / "x.wasm").write_bytes(with_import("wasi_snapshot_preview1", "a\x1b[2Jb\x07\r\n"))
    done = maxwell("run", "x.wasm", cwd=tmp_path)
    assert_refused(done, 126, "MX1205")
    assert not set(done.err) & {"\x1b", "\x07", "\r", "\x9b"}
    (tmp_path / "y.wasm").write_bytes(with_import("\x1b]0;x\x07", "f"))
    done = maxwell("run", "y.wasm", cwd=tmp_path)
    assert_refused(done, 126, "MX1205")
    assert not set(done.err) & {"\x1b", "\x07", "\r", "\x9b"}


def test_a_start_function_that_loops(tmp_path: Path) -> None:
    (tmp_path / "x.wasm").write_bytes(hostile("start_loop"))
    done = maxwell("run", "x.wasm", "--budget", "200mJ", "--deterministic", cwd=tmp_path)
    assert done.code == 120, done.err
    assert_no_inside_view(done.err)
    assert "bankrupt" in done.err


def test_a_start_function_that_traps(tmp_path: Path) -> None:
    (tmp_path / "x.wasm").write_bytes(hostile("start_trap"))
    done = maxwell("run", "x.wasm", "--deterministic", cwd=tmp_path)
    assert done.code == 134, done.err
    assert_no_inside_view(done.err)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("samples:hello.wasm",), 0),
        (("samples:sieve.wasm", "--", "1"), 2),
        (("samples:spin.wasm", "--budget", "50mJ"), 120),
        (("samples:spin.wasm", "--duration", "200ms"), 124),
        (("samples:sieve.wasm", "--memory-max", "256KiB", "--", "9000000"), 1),
    ],
)
def test_exit_codes_of_a_module(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    done = maxwell("run", "--deterministic", *arguments, cwd=tmp_path)
    assert done.code == code, done.err
    assert_no_inside_view(done.err)


def test_out_of_memory_is_137(tmp_path: Path) -> None:
    """A program whose allocator aborts when the limit refuses it."""
    code = """(if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then unreachable))"""
    (tmp_path / "x.wasm").write_bytes(
        wasm(f'(module (memory (export "memory") 1) (func (export "_start") {code}))')
    )
    done = maxwell("run", "x.wasm", "--memory-max", "1MiB", "--deterministic", cwd=tmp_path)
    assert done.code == 137, done.err
    assert "out of memory" in done.err
    done = maxwell("run", "x.wasm", "--memory-max", "16MiB", "--deterministic", cwd=tmp_path)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[node]\nbugdet = '1 J'\n" + HELLO, "MX1001"),
        ("[nod]\nbudget = '1 J'\n" + HELLO, "MX1001"),
        (HELLO + "modul = 'x'\n", "MX1001"),
        ("[node]\nbudget = '-1 J'\n" + HELLO, "MX1006"),
        ("[node]\nbudget = '0 J'\n" + HELLO, "MX1006"),
        ("[node]\nbudget = '1e400 J'\n" + HELLO, "MX1006"),
        ("[node]\nbudget = '99999999999999999999 J'\n" + HELLO, "MX1006"),
        ("[node]\nbudget = 5\n" + HELLO, "MX1005"),
        ("[node]\nbudget = '5 apples'\n" + HELLO, "MX1005"),
        ("[node]\nbudget = 'NaN J'\n" + HELLO, "MX1005"),
        ("[node]\nbudget = '1 J'\npower = '9 W'\n" + HELLO, "MX1009"),
        ("[node]\nbudget = '1 uJ'\n" + HELLO, "MX1010"),
        ("[node]\npower = '1 mW'\n" + HELLO, "MX1013"),
        ("[node]\ntemperature_log2 = 5\n" + HELLO, "MX1006"),
        ("[node]\ncells = 1025\n" + HELLO, "MX1006"),
        ("[node]\nseed = 1.5\n" + HELLO, "MX1004"),
        ("", "MX1003"),
        ("[[process]]\nname = 'x'\n", "MX1003"),
        ("[[process]]\nname = 'x'\nmodule = 'no.wasm'\n", "MX1101"),
        ("[[process]]\nname = '../x'\nmodule = 'samples:hello.wasm'\n", "MX1006"),
        (HELLO + HELLO, "MX1007"),
        (HELLO + "account = 'nobody'\n", "MX1008"),
        (HELLO + "funds = '-5 J'\n", "MX1006"),
        (HELLO + "count = 1000000\n", "MX1006"),
        (HELLO + "dirs = { '/x' = 'missing' }\n", "MX1015"),
        ("not toml at all", "MX1002"),
        ("[[process\n", "MX1002"),
        ("a = [" * 20_000, "MX1002"),
    ],
)
def test_a_fleet_file_that_makes_no_sense(
    tmp_path: Path,
    text: str,
    code: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "f.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    done = main_here(capfd, "run", "f.toml", "--out", "run")
    expected = 127 if code == "MX1101" else 2
    assert_refused(done, expected, code)
    assert not (tmp_path / "run/report.json").exists()


@pytest.mark.parametrize("content", [b"\xff\xfe[\0n\0", b"\0" * 100, b"x" * (5 << 20)])
def test_a_fleet_file_that_is_no_text(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f.toml").write_bytes(content)
    done = maxwell("run", "f.toml", cwd=tmp_path)
    assert_refused(done, 2, "MX1002")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("no.toml",), 2),
        (("no.wasm",), 127),
        (("no",), 127),
        (("samples:no.wasm",), 127),
        (("pypi:no-such-package/x.wasm",), 127),
        (("samples:hello.wasm", "--budget", "-5J"), 2),
        (("samples:hello.wasm", "--budget", "1e99J"), 2),
        (("samples:hello.wasm", "--budget", "5"), 2),
        (("samples:hello.wasm", "--budget", "1J", "--power", "1W"), 2),
        (("samples:hello.wasm", "--power", "1mW"), 2),
        (("samples:hello.wasm", "--cells", "0"), 2),
        (("samples:hello.wasm", "--cells", "99999"), 2),
        (("samples:hello.wasm", "--seed", "-1"), 2),
        (("samples:hello.wasm", "--duration", "0s"), 2),
        (("samples:hello.wasm", "--memory-max", "1KiB"), 2),
        (("samples:hello.wasm", "--memory-max", "8GiB"), 2),
        (("samples:hello.wasm", "--env", "novalue"), 2),
        (("samples:hello.wasm", "--dir", "missing:/x"), 2),
        (("samples:hello.wasm", "--name", "../x"), 2),
        ((".",), 127),
        (("",), 127),
    ],
)
def test_a_command_line_that_makes_no_sense(
    tmp_path: Path,
    arguments: tuple[str, ...],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(main_here(capfd, "run", *arguments), code)


@pytest.mark.parametrize("name", ["x.toml", "x.wasm", "x"])
def test_what_is_no_regular_file_is_refused(tmp_path: Path, name: str) -> None:
    """A pipe that nobody writes to, and a device without an end: neither may be waited for."""
    os.mkfifo(tmp_path / name)
    assert_refused(maxwell("run", name, cwd=tmp_path, timeout_s=20), 2 if "toml" in name else 127)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    assert_refused(maxwell("run", name, cwd=tmp_path, timeout_s=20), 2 if "toml" in name else 127)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    assert_refused(maxwell("run", name, cwd=tmp_path, timeout_s=20), 2 if "toml" in name else 127)


@pytest.mark.parametrize("out", ["file", "file/below", "/proc/1/maxwell", "strange", "looped"])
@pytest.mark.parametrize("target", ["f.toml", "samples:hello.wasm"])
def test_an_out_folder_that_cannot_be_written_to(tmp_path: Path, out: str, target: str) -> None:
    (tmp_path / "f.toml").write_text(HELLO)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange/keep.txt").write_text("mine")
    (tmp_path / "looped").symlink_to("looped")
    done = maxwell("run", target, "--out", out, "--deterministic", cwd=tmp_path)
    assert_refused(done, 2, "--out")
    assert done.out == b""
    assert (tmp_path / "file").read_text() == "mine"
    assert (tmp_path / "strange/keep.txt").read_text() == "mine"


def test_output_that_is_not_utf8(tmp_path: Path) -> None:
    """A module's bytes pass as they are; a fleet's go into files and events in good order."""

    module = REPOSITORY / "build/guests/badutf8.wasm"
    done = maxwell("run", str(module), "--deterministic", cwd=tmp_path)
    assert done.code == 0, done.err
    assert bytes(range(256)) in done.out
    assert done.out.endswith(b"badutf8: done\n")
    fleet = f'[node]\ndeterministic = true\n[[process]]\nname = "bad"\nmodule = "{module}"\n'
    (tmp_path / "f.toml").write_text(fleet)
    done = maxwell("run", "f.toml", "--out", "run", cwd=tmp_path)
    assert done.code == 0, done.err
    assert_no_inside_view(done.err)
    assert bytes(range(256)) in (tmp_path / "run/output/bad.stdout").read_bytes()
    output = [event for event in events_so_far(tmp_path / "run") if event["event"] == "output"]
    assert "�" in "".join(event["text"] for event in output)
    why = maxwell("why", "bad", "--run", "run", cwd=tmp_path)
    assert why.code == 0
    assert b"\x1b" not in why.out


def test_a_gigabyte_of_output(tmp_path: Path) -> None:
    """It is bounded, charged, counted and visible: kept + lost is what was printed."""

    module = REPOSITORY / "build/guests/chatty.wasm"
    (tmp_path / "f.toml").write_text(
        f'[[process]]\nname = "chatty"\nmodule = "{module}"\nargs = ["1000000000"]\n'
        'funds = "90 J"\n'
    )
    done = maxwell("run", "f.toml", "--out", "run", "--quiet", cwd=tmp_path)
    assert done.code == 0, done.err
    assert_no_inside_view(done.err)
    (process,) = report_of(tmp_path / "run")["processes"]
    assert process["outcome"] == "finished"
    kept, lost = int(process["stdout_bytes"]), int(process["stdout_lost_bytes"])
    assert kept + lost == 1_000_000_000
    assert int(process["host_bytes"]) >= 1_000_000_000
    size = (tmp_path / "run/output/chatty.stdout").stat().st_size
    assert size <= (16 << 20) + 100
    assert b"bytes lost]" in (tmp_path / "run/output/chatty.stdout").read_bytes()[-60:]
    assert sum(f.stat().st_size for f in (tmp_path / "run").rglob("*") if f.is_file()) < 100 << 20
    assert "output" in done.err


def test_what_a_module_prints_too_fast_is_counted(tmp_path: Path) -> None:

    module = REPOSITORY / "build/guests/chatty.wasm"
    done = maxwell("run", str(module), "--deterministic", "--", "3000000", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "warning: 2.61 MiB of its output were dropped" in done.err
    assert len(done.out) == 256 << 10


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away(tmp_path: Path, unbuffered: str) -> None:
    """`maxwell run … | head -1`: 141 as for any program that is cut off, and no complaint."""
    import subprocess
    import sys

    from support.program import CODE, environment

    module = REPOSITORY / "build/guests/chatty.wasm"
    # Both with Python's own buffer, which sees a pipe break, and without.
    child = subprocess.Popen(
        [sys.executable, "-c", CODE, "run", str(module), "--deterministic", "--", "3000000"],
        cwd=tmp_path,
        env=environment({"PYTHONUNBUFFERED": unbuffered}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    assert child.stdout.read(10) == b"x" * 10
    child.stdout.close()
    err = child.stderr.read().decode()
    child.stderr.close()
    assert child.wait(50) == 141, err
    assert_no_inside_view(err)


def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    """64 KiB for the run's folder: the run goes on, and what is missing is said."""
    import subprocess

    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no mount: {mounted.stderr.decode().strip()}")
    try:
        (tmp_path / "f.toml").write_text(
            "[node]\ndeterministic = true\nduration = '40 s'\n"
            "[[process]]\nname = 'loop'\nmodule = 'samples:sleeper.wasm'\nargs = ['1000']\n"
            "[[process]]\nname = 'chatty'\nmodule = 'samples:hello.wasm'\ncount = 20\n"
        )
        done = maxwell("run", "f.toml", "--out", "small/run", cwd=tmp_path)
        assert_no_inside_view(done.err)
        assert "warning" in done.err
        assert "events.jsonl is incomplete" in done.err
        assert b"conservation: ok" in done.out
        lines = (small / "run/events.jsonl").read_bytes()
        assert lines == b"" or lines.endswith(b"\n")
        # The report may find room or not; either it is whole, or the exit code says so.
        assert done.code in (0, 125)
        if done.code == 0:
            assert report_of(small / "run")["conservation_ok"] is True
        else:
            assert "cannot write the report" in done.err
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_full_disk_from_the_start(tmp_path: Path) -> None:
    import subprocess

    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=2", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no mount: {mounted.stderr.decode().strip()}")
    try:
        (tmp_path / "f.toml").write_text(HELLO)
        done = maxwell("run", "f.toml", "--out", "small/run", cwd=tmp_path)
        assert_refused(done, 2, "--out")
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_nothing_is_left_behind_by_refusals(tmp_path: Path) -> None:
    """A refused run leaves no cell, no thread and no file of its own."""
    (tmp_path / "x.wasm").write_bytes(b"nothing")
    before = set(tmp_path.iterdir())
    threads = threading.active_count()
    assert_refused(maxwell("run", "x.wasm", cwd=tmp_path), 126)
    assert set(tmp_path.iterdir()) == before
    assert threading.active_count() == threads
