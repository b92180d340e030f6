"""Goal: SIGKILL of a cell or of the parent, and Ctrl-C, leave correct accounts and nothing running.

Method: real processes, real signals, on the command line and in this process. What is waited for is
waited for by looking, never by guessing how long it takes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import cast

import pytest

from maxwell.node.view import NodeView
from maxwell.observe.events import read_events
from support.fleets import Run, process, run
from support.guests import REPOSITORY, SLEEP_FOREVER, hostile_set, program, write
from support.program import (
    assert_no_inside_view,
    assert_refused,
    await_true,
    cells_of,
    environment,
    events_so_far,
    is_running,
    kill,
    maxwell,
    report_of,
    started,
)

pytestmark = pytest.mark.native

ENDLESS = """
[node]
budget = "900 J"
cells = 2
[[process]]
name = "loop"
module = "samples:spin.wasm"
funds = "300 J"
[[process]]
name = "leech"
module = "samples:leech.wasm"
funds = "300 J"
"""


class CellKiller:
    """Kills a cell of this process's run at given epochs; -1 is the one started last."""

    def __init__(self, *epochs: int, which: int = 0) -> None:
        self.epochs = set(epochs)
        self.which = which
        self.count = 0
        self.killed: list[int] = []

    def __call__(self, view: NodeView) -> None:
        self.count += 1
        if self.count in self.epochs:
            pid = cells_of(os.getpid())[self.which]
            self.killed.append(pid)
            kill(pid)


def lost_fleet(
    tmp_path: Path, killer: CellKiller, *, deterministic: bool, duration: str = "1 s"
) -> Run:
    sleeper = write(tmp_path, "sleepy", program(SLEEP_FOREVER))
    return run(
        [
            process("a", "samples:spin.wasm", funds="9 J"),
            process("b", "samples:leech.wasm", funds="9 J"),
            process("c", sleeper, funds="9 J"),
            process("d", sleeper, funds="9 J"),
            process("late", "samples:hello.wasm", funds="1 J", start_after="700 ms"),
        ],
        cells=2,
        deterministic=deterministic,
        duration=duration,
        on_view=killer,
        out=tmp_path / "run",
    )


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_killed_cell_loses_its_processes_and_nobody_elses(
    tmp_path: Path, deterministic: bool
) -> None:
    killer = CellKiller(3)
    result = lost_fleet(tmp_path, killer, deterministic=deterministic)
    assert len(killer.killed) == 1
    outcomes = result.outcomes
    lost = {name for name, outcome in outcomes.items() if outcome == "lost"}
    assert 1 <= len(lost) < 4
    (event,) = result.events("cell_lost")
    assert set(event.fields["processes"]) == lost  # pyright: ignore[reportArgumentType]
    assert "SIGKILL" in event.text("how")
    (cell,) = {result[name].cell for name in lost}
    assert event.integer("cell") == cell
    for name in ("a", "b", "c", "d"):
        record = result[name]
        if name in lost:
            assert "SIGKILL" in record.reason
            # It keeps what it had: the rest of its purse went back to its account.
            assert record.paid_credits + record.returned_credits == 9_000_000
        else:
            assert record.cell != cell
            assert record.outcome == "deadline"
    # The cell is back, says so, and is used: the process that starts later has a place.
    assert len(result.events("cell_restarted")) == 1
    assert result.report.record.cells[cell].restarts == 1
    assert outcomes["late"] == "finished"
    assert any("lost" in text for text in result.report.warnings)


def test_deaths_of_cells_do_not_add_up_to_an_end(tmp_path: Path) -> None:
    """One cell killed again and again; the other one's processes never notice."""
    killer = CellKiller(2, 12, 22, which=-1)
    result = lost_fleet(tmp_path, killer, deterministic=False, duration="3 s")
    assert len(killer.killed) == 3
    assert len(result.events("cell_restarted")) == 3
    assert "deadline" in result.outcomes.values()


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_killed_cell_makes_no_debt_of_stakes(tmp_path: Path, deterministic: bool) -> None:
    """Stakes that were locked, and those that nobody has booked yet, are still in the lease."""
    killer = CellKiller(1)
    result = run(
        [
            process(name, f"samples:{name}.wasm", funds="2 J", rewards=["text"])
            for name in ("learner", "noise", "copier", "looper")
        ],
        sponsors=[{"name": "reader", "escrow": "2 J"}],
        rewards=[
            {
                "name": "text",
                "sponsor": "reader",
                "resolver": "stream",
                "file": str(REPOSITORY / "examples/information/devil.txt"),
                "pays": "3 uJ",
            }
        ],
        deterministic=deterministic,
        duration="1 s",
        on_view=killer,
        out=tmp_path / "run",
    )
    assert len(killer.killed) == 1
    assert result.outcomes["looper"] == "lost"
    for record in result.report.record.processes:
        out = record.paid_credits + record.stake_lost_credits + record.returned_credits
        assert out == 2_000_000 + record.earned_credits, record.name
    assert result.report.credits.escrowed == 2_000_000 + sum(
        p.stake_lost_credits - p.earned_credits for p in result.report.record.processes
    )


def test_the_only_cell_is_killed(tmp_path: Path) -> None:
    result = run(
        [process("a", "samples:spin.wasm", funds="9 J")],
        on_view=CellKiller(2),
        out=tmp_path / "run",
    )
    record = result["a"]
    assert record.outcome == "lost"
    assert record.paid_credits + record.returned_credits == 9_000_000
    assert record.energy_uj > 0


def test_a_killed_cell_accounts_for_all_but_its_last_slice(tmp_path: Path) -> None:
    """The slots outlive the cell: what the process had burned is burned, and the books balance."""
    result = run(
        [process("a", "samples:spin.wasm", funds="90 J"), process("b", "samples:leech.wasm")],
        deterministic=False,
        on_view=CellKiller(5),
        duration="5 s",
        out=tmp_path / "run",
    )
    samples = result.events("sample")
    assert samples
    rows = cast("list[list[object]]", samples[-1].fields["processes"])
    for row in rows:
        assert result[str(row[0])].energy_uj >= int(str(row[5]))
    for name in ("a", "b"):
        assert result[name].outcome == "lost"


def test_a_module_whose_cell_is_lost_exits_with_125(tmp_path: Path) -> None:
    arguments = ("run", "samples:spin.wasm", "--budget", "900J", "--out", "run")
    with started(*arguments, cwd=tmp_path) as child:
        await_true("a sample", lambda: any_event(tmp_path / "run", "started"), while_runs=child)
        kill(cells_of(child.pid)[0])
        assert child.wait(50) == 125
    err = (tmp_path / "stderr").read_text()
    assert_no_inside_view(err)
    assert "lost" in err
    assert report_of(tmp_path / "run")["conservation_ok"] is True


def any_event(folder: Path, name: str) -> bool:
    return any(event["event"] == name for event in events_so_far(folder))


def leftovers(pid: int) -> list[Path]:
    pattern = f"maxwell-{pid}-*"
    return [*Path(tempfile.gettempdir()).glob(pattern), *Path("/dev/shm").glob(pattern)]


def test_a_killed_parent_takes_its_cells_along(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text(ENDLESS)
    with started("run", "f.toml", "--out", "run", cwd=tmp_path) as child:
        await_true(
            "both started", lambda: count_events(tmp_path / "run", "started") == 2, while_runs=child
        )
        cells = cells_of(child.pid)
        assert len(cells) == 2
        child.kill()
        assert child.wait(50) == -signal.SIGKILL
        await_true("the cells are gone", lambda: not any(is_running(pid) for pid in cells))
        # Its folders are still there, until the next run clears them.
        assert leftovers(child.pid)
        names = {event.name for event in read_events(tmp_path / "run/events.jsonl")}
        assert {"run_started", "started", "sample"} <= names
        why = maxwell("why", "loop", "--run", "run", cwd=tmp_path)
        assert_no_inside_view(why.err)
        assert why.code == 0, why.err
        assert why.out.startswith(b"loop: lost ")
        assert "no report" in why.err
        assert_receipts_hold_as_far_as_they_go(tmp_path)
        done = maxwell("run", "samples:hello.wasm", "--deterministic", cwd=tmp_path)
        assert done.code == 0
        assert leftovers(child.pid) == []


def assert_receipts_hold_as_far_as_they_go(cwd: Path) -> None:
    """What was signed before the kill verifies; that the rest is missing is the violation."""
    done = maxwell("audit", "run", cwd=cwd)
    assert_refused(done, 1, "MX1611", "summary.cbor is missing")
    assert b"receipts  ok " in done.out
    done = maxwell("receipt", "verify", "run", cwd=cwd)
    assert done.code == 0, done.err
    data = (cwd / "run/receipts.cbor").read_bytes()
    (cwd / "run/receipts.cbor").write_bytes(data[:-3])
    assert_refused(maxwell("audit", "run", cwd=cwd), 1, "MX1610", "torn after")


def count_events(folder: Path, name: str) -> int:
    return sum(event["event"] == name for event in events_so_far(folder))


def test_a_killed_parent_takes_idle_cells_along(tmp_path: Path) -> None:
    """A cell that sleeps for an hour notices too."""
    module = write(tmp_path, "sleepy", program(SLEEP_FOREVER))
    arguments = ("run", module, "--budget", "900J", "--out", "run")
    with started(*arguments, cwd=tmp_path) as child:
        await_true("it started", lambda: any_event(tmp_path / "run", "started"), while_runs=child)
        cells = cells_of(child.pid)
        child.kill()
        child.wait(50)
        await_true("the cell is gone", lambda: not any(is_running(pid) for pid in cells))


@pytest.mark.slow
def test_a_parent_killed_while_compiling_leaves_nothing(tmp_path: Path) -> None:
    """99,999 functions take seconds to compile; whoever asked for it is gone meanwhile."""
    (tmp_path / "x.wasm").write_bytes(slow_module())
    cache = {"MAXWELL_CACHE_DIR": str(tmp_path / "cache")}
    with started("run", "x.wasm", cwd=tmp_path, env=cache) as child:
        await_true(
            "it compiles", lambda: children_of(child.pid, b"maxwell.node.admit"), while_runs=child
        )
        helpers = children_of(child.pid, b"maxwell.node.admit")
        child.kill()
        child.wait(50)
        await_true("the helper is gone", lambda: not any(is_running(p) for p in helpers))


def test_an_admission_process_dies_with_its_parent() -> None:
    """Goal: not even one that hangs is left. Method: a parent whose helper asks as admission does
    and then sleeps is killed; a helper that comes too late sees that its parent has gone."""
    helper = (
        "import os, time; from maxwell.node.admit import die_with_parent; "
        "print(os.getpid(), die_with_parent(os.getppid()), die_with_parent(1 << 30), flush=True); "
        "time.sleep(600)"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {helper!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        pid, asked, late = child.stdout.readline().split()
        assert (asked, late) == ("True", "False")
        assert is_running(int(pid))
        child.kill()
    await_true("the helper is gone", lambda: not is_running(int(pid)))


def children_of(pid: int, word: bytes) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        try:
            listed = (task / "children").read_text().split()
        except OSError:
            continue
        for child in listed:
            try:
                if word in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
            except OSError:
                continue
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_fleet_settles_first(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "f.toml").write_text(ENDLESS)
    with started("run", "f.toml", "--out", "run", cwd=tmp_path) as child:
        await_true(
            "both started", lambda: count_events(tmp_path / "run", "started") == 2, while_runs=child
        )
        cells = cells_of(child.pid)
        child.send_signal(number)
        assert child.wait(50) == 130
    assert b"conservation: ok" in (tmp_path / "stdout").read_bytes()
    assert_no_inside_view((tmp_path / "stderr").read_text())
    data = report_of(tmp_path / "run")
    audit = maxwell("audit", "run", cwd=tmp_path)
    assert audit.code == 0, audit.err
    assert data["interrupted"] is True
    assert {p["outcome"] for p in data["processes"]} == {"killed"}
    assert not any(is_running(pid) for pid in cells)
    assert leftovers(child.pid) == []


def test_a_terminal_interrupts_the_whole_group(tmp_path: Path) -> None:
    """Ctrl-C reaches the parent and, if they were in its group, the cells: these must not die of
    it before the parent has settled."""
    (tmp_path / "f.toml").write_text(ENDLESS)
    code = "import sys; from maxwell.cli import main; sys.exit(main())"
    with (tmp_path / "err").open("wb") as err:
        child = subprocess.Popen(
            [sys.executable, "-c", code, "run", "f.toml", "--out", "run"],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=err,
            start_new_session=True,
        )
    try:
        await_true(
            "both started", lambda: count_events(tmp_path / "run", "started") == 2, while_runs=child
        )
        for cell in cells_of(child.pid):
            os.kill(cell, signal.SIGINT)
        os.killpg(child.pid, signal.SIGINT)
        assert child.wait(50) == 130
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    data = report_of(tmp_path / "run")
    assert {p["outcome"] for p in data["processes"]} == {"killed"}
    assert data["cells"][0]["restarts"] == 0


def test_an_interrupt_while_compiling(tmp_path: Path) -> None:
    """One Ctrl-C in the middle of admission ends the program; nothing has run, nothing is left."""
    (tmp_path / "x.wasm").write_bytes(slow_module())
    cache = {"MAXWELL_CACHE_DIR": str(tmp_path / "cache")}
    with started("run", "x.wasm", cwd=tmp_path, env=cache) as child:
        await_true(
            "it compiles", lambda: children_of(child.pid, b"maxwell.node.admit"), while_runs=child
        )
        child.send_signal(signal.SIGINT)
        assert child.wait(50) == 130
        assert leftovers(child.pid) == []
    assert_no_inside_view((tmp_path / "stderr").read_text())


def slow_module() -> bytes:
    """As many functions as admission takes: seconds of compiling."""
    return cast("bytes", hostile_set().functions(99_999))


def test_a_cell_that_stops_answering_is_no_end_of_the_others(tmp_path: Path) -> None:
    """SIGSTOP freezes one cell; the run still ends at its duration's end, and settles."""
    (tmp_path / "f.toml").write_text(ENDLESS.replace("[node]", '[node]\nduration = "1500 ms"'))
    with started("run", "f.toml", "--out", "run", cwd=tmp_path) as child:
        await_true(
            "both started", lambda: count_events(tmp_path / "run", "started") == 2, while_runs=child
        )
        cell = cells_of(child.pid)[0]
        os.kill(cell, signal.SIGSTOP)
        try:
            await_true(
                "views go on",
                lambda: count_events(tmp_path / "run", "sample") >= 5,
                while_runs=child,
            )
        finally:
            os.kill(cell, signal.SIGCONT)
        assert child.wait(50) == 0
    assert report_of(tmp_path / "run")["conservation_ok"] is True


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_cell_killed_at_once_and_who_comes_after(tmp_path: Path, deterministic: bool) -> None:
    """Times stay in order on the cell that was started again: it goes on with the run's clock."""
    result = run(
        [
            process("a", "samples:spin.wasm", funds="9 J"),
            process("b", "samples:spin.wasm", funds="9 J"),
            process("c", "samples:spin.wasm", funds="9 J", start_after="300 ms", deadline="400 ms"),
        ],
        cells=2,
        deterministic=deterministic,
        duration="1 s",
        on_view=CellKiller(1),
        out=tmp_path / "run",
    )
    a, c = result["a"], result["c"]
    assert (a.outcome, c.outcome, c.cell) == ("lost", "deadline", a.cell)
    assert a.born_ns <= a.died_ns <= 300e6
    # The clocks of cells and parent begin within an epoch of each other.
    assert c.born_ns >= 200e6
    assert c.died_ns - c.born_ns == pytest.approx(400e6, abs=50e6)


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_deadline_counts_from_the_start(tmp_path: Path, deterministic: bool) -> None:
    """On the real clock too: not from the last report of its cell."""
    result = run(
        [process("a", "samples:spin.wasm", start_after="150 ms", deadline="250 ms")],
        deterministic=deterministic,
        duration="2 s",
    )
    a = result["a"]
    assert a.outcome == "deadline"
    assert 249e6 <= a.died_ns - a.born_ns <= 400e6
