"""Goal: the Python interface does what its documentation says, from the first call to the report.

Method: small runs in this process, in virtual time where the clock does not matter; the kernel, the
cells and the ledger are the real ones.
"""

from __future__ import annotations

import gc
import inspect
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import maxwell
from maxwell import ConfigError, GuestError, Hypervisor, MaxwellError
from maxwell.node.view import NodeView
from support.fleets import check_sums
from support.guests import SLEEP_FOREVER, program, write
from support.program import environment

pytestmark = pytest.mark.native

PRIMES = ["1000000", "1010000"]


def quick(**keys: object) -> Hypervisor:
    settings: dict[str, object] = {"budget": "60 J", "deterministic": True, "duration": "1 s"}
    return Hypervisor(**{**settings, **keys})  # pyright: ignore[reportArgumentType]


def leftovers() -> set[Path]:
    """Folders that runs of this process have not cleared away."""
    import os

    pattern = f"maxwell-{os.getpid()}-*"
    found = set(Path(tempfile.gettempdir()).glob(pattern))
    return found | set(Path("/dev/shm").glob(pattern))


def test_a_printed_report_is_its_tables() -> None:
    with quick() as hypervisor:
        hypervisor.spawn("samples:hello.wasm", funds="1 J")
        text = str(hypervisor.run())
    assert text.startswith("1 process in ")
    assert "hello    finished" in text
    assert "conservation: ok" in text
    assert max(map(len, text.splitlines())) <= 100


def test_what_is_compiled_is_told_before_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no patience at all, each module that is not done at once is told of."""
    from maxwell.config import single_module
    from maxwell.hypervisor import run_fleet
    from maxwell.node import admission

    monkeypatch.setattr(admission, "PATIENCE_S", 0.001)
    monkeypatch.setenv("MAXWELL_CACHE_DIR", str(tmp_path))
    told: list[object] = []
    fleet = single_module("samples:hello.wasm", node={"budget": "1 J", "deterministic": True})
    run_fleet(fleet, on_compile=told.append)
    kept = tmp_path / "compiled"
    assert told == [admission.Compiling(file="hello.wasm", number=1, total=1, cache=kept)]


def test_energy_before_the_start_is_told_apart() -> None:
    """In wall time set-up costs something, and is a part of the whole; virtual time has none."""
    views: list[NodeView] = []
    hypervisor = quick(deterministic=False, duration="300 ms", on_epoch=views.append)
    hypervisor.spawn("samples:spin.wasm", funds="5 J")
    record = hypervisor.run().record
    assert record.setup_ns > 0
    assert 0 < record.setup.metered < record.energy.metered
    assert record.setup.processes == 0
    assert record.setup.idle <= record.energy.idle
    assert record.setup.system <= record.energy.system
    assert {(view.setup, view.setup_ns) for view in views} == {(record.setup, record.setup_ns)}
    with quick(duration="100 ms") as virtual:
        virtual.spawn("samples:spin.wasm", funds="5 J")
        assert virtual.run().record.setup_ns == 0


def test_a_power_cap_that_nobody_shares_warns_and_one_module_lives_on_it() -> None:
    from maxwell.config import single_module
    from maxwell.hypervisor import run_fleet

    with quick(budget=None, power="12 W") as hypervisor:
        hypervisor.spawn("samples:hello.wasm", funds="1 J")
        report = hypervisor.run()
    assert report.credits.minted == 1_000_000
    assert any("power mints nothing" in text for text in report.warnings)
    alone = run_fleet(
        single_module(
            "samples:spin.wasm",
            node={"power": "3 W", "duration": "3 s", "deterministic": True},
        )
    )
    # Idle draws 1 W of the 3 W; what is minted besides the opening 2 J is burned as it comes.
    assert alone.credits.minted == pytest.approx(2_000_000 + 3 * 2_000_000, rel=0.1)
    assert 5_000_000 < alone.energy.processes < alone.credits.minted
    assert alone.processes["spin"].outcome == "deadline"
    assert not any("power mints nothing" in text for text in alone.warnings)


def test_spawn_run_report(tmp_path: Path) -> None:
    with quick(out=tmp_path / "run") as hypervisor:
        hello = hypervisor.spawn("samples:hello.wasm", args=["Ada"], funds="1 J")
        assert (hello.name, hello.outcome, hello.view, hello.record) == ("hello", None, None, None)
        report = hypervisor.run()
    check_sums(report)
    assert report is hypervisor.report
    assert hello.outcome == "finished"
    assert hello.record is not None
    assert hello.record.exit_code == 0
    assert hello.energy_uj == hello.record.energy_uj > 0
    assert report.credits.minted == 60_000_000
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"report.json", "events.jsonl"} <= files
    assert maxwell.Report.load(tmp_path / "run").record == report.record
    assert leftovers() == set()


def test_names_are_given_and_kept_apart() -> None:
    hypervisor = quick()
    names = [hypervisor.spawn("samples:hello.wasm", funds="1 J").name for _ in range(3)]
    assert names == ["hello", "hello-2", "hello-3"]
    with pytest.raises(ConfigError, match="two processes are named 'hello'"):
        hypervisor.spawn("samples:hello.wasm", name="hello")
    assert {record.outcome for record in hypervisor.run().record.processes} == {"finished"}


def test_a_reward_may_be_a_function_of_the_program() -> None:
    seen: list[str] = []

    def judge(line: str) -> bool:
        seen.append(line)
        return line.endswith("3")

    hypervisor = quick()
    hypervisor.sponsor("academy", escrow="1 J")
    hypervisor.reward("threes", sponsor="academy", resolver=judge, pays="1 mJ")
    scientist = hypervisor.spawn("samples:scientist.wasm", args=PRIMES, rewards=["threes"])
    hypervisor.run()
    record = scientist.record
    assert record is not None
    threes = sum(line.endswith("3") for line in seen)
    assert record.results == threes > 0
    assert record.earned_credits == 1_000 * threes
    assert len(seen) > threes
    assert record.paid_credits + record.returned_credits == 5_000_000 + record.earned_credits


def test_a_judge_that_raises_pays_nothing_and_harms_nothing() -> None:
    def judge(line: str) -> bool:
        raise ValueError(line)

    hypervisor = quick()
    hypervisor.sponsor("academy", escrow="1 J")
    hypervisor.reward("never", sponsor="academy", resolver=judge, pays="1 mJ")
    hypervisor.spawn("samples:scientist.wasm", args=["1000000", "1001000"], rewards=["never"])
    report = hypervisor.run()
    check_sums(report)
    assert report.credits.escrowed == 1_000_000


def test_regex_and_python_resolvers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "judges.py").write_text(
        "def shorter_than_eight(line):\n    return len(line) < 8\n", encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    hypervisor = quick()
    hypervisor.sponsor("s", escrow="1 J")
    hypervisor.reward(
        "best", sponsor="s", resolver="regex", pays="1 mJ", pattern=r"^(\d+)$", direction="up",
        stream="report",
    )  # fmt: skip
    resolver = "python:judges:shorter_than_eight"
    hypervisor.reward("short", sponsor="s", resolver=resolver, pays="2 mJ", stream="report")
    process = hypervisor.spawn(
        "samples:scientist.wasm", args=["1000000", "1001000"], rewards=["best", "short"]
    )
    hypervisor.run()
    assert process.record is not None
    # Each prime is larger than the one before and has seven digits: both rewards pay each time.
    assert process.record.earned_credits == process.record.results // 2 * 3_000 > 0


def test_kill_from_on_epoch() -> None:
    epochs: list[int] = []

    def on_epoch(view: NodeView) -> None:
        epochs.append(view.elapsed_ns)
        if len(epochs) == 3:
            loop.kill("enough of it")

    hypervisor = quick(on_epoch=on_epoch)
    loop = hypervisor.spawn("samples:spin.wasm", funds="9 J")
    other = hypervisor.spawn("samples:spin.wasm", funds="9 J")
    check_sums(hypervisor.run())
    assert loop.record is not None
    assert (loop.record.outcome, loop.record.reason) == ("killed", "enough of it")
    assert loop.record.died_ns < 600_000_000
    assert other.outcome == "deadline"
    assert len(epochs) == 10


def test_kill_before_its_start() -> None:
    """A process that waits for its `start_after` is killed like any other: it never runs."""

    def on_epoch(view: NodeView) -> None:
        if view.elapsed_ns == 200_000_000:
            later.kill("not needed any more")

    hypervisor = quick(on_epoch=on_epoch)
    hypervisor.spawn("samples:spin.wasm", funds="9 J")
    later = hypervisor.spawn("samples:spin.wasm", funds="9 J", start_after="500 ms")
    check_sums(hypervisor.run())
    assert later.record is not None
    assert later.record.outcome == "killed"
    assert later.record.energy_uj == 0
    assert later.record.paid_credits == 0


def test_interrupt_from_on_epoch() -> None:
    def on_epoch(view: NodeView) -> None:
        if view.elapsed_ns >= 200_000_000:
            hypervisor.interrupt()

    hypervisor = quick(on_epoch=on_epoch)
    loop = hypervisor.spawn("samples:spin.wasm", funds="9 J")
    report = hypervisor.run()
    check_sums(report)
    assert report.record.interrupted
    assert loop.outcome == "killed"


class Stop(Exception):
    """Raised by an observer."""


@pytest.mark.parametrize("deterministic", [True, False])
def test_an_observer_that_raises_ends_the_run_cleanly(deterministic: bool, tmp_path: Path) -> None:
    def on_epoch(view: NodeView) -> None:
        raise Stop

    hypervisor = quick(on_epoch=on_epoch, deterministic=deterministic, out=tmp_path / "run")
    hypervisor.spawn("samples:spin.wasm", funds="9 J")
    with pytest.raises(Stop):
        hypervisor.run()
    assert leftovers() == set()
    gc.collect()
    # It may be run again: nothing of the failed run is left.
    hypervisor._on_epoch = None  # pyright: ignore[reportPrivateUsage]
    check_sums(hypervisor.run())


def test_what_may_not_be_done() -> None:
    hypervisor = quick()
    with pytest.raises(ConfigError, match="nothing to run"):
        hypervisor.run()
    process = hypervisor.spawn("samples:hello.wasm", funds="1 J")
    with pytest.raises(ConfigError, match="nothing runs"):
        process.kill()
    hypervisor.run()
    with hypervisor:
        pass
    with pytest.raises(ConfigError, match="closed"):
        hypervisor.run()


def test_spawn_while_running_is_refused() -> None:
    errors: list[MaxwellError] = []

    def on_epoch(view: NodeView) -> None:
        try:
            hypervisor.spawn("samples:hello.wasm")
        except ConfigError as error:
            errors.append(error)

    hypervisor = quick(on_epoch=on_epoch)
    hypervisor.spawn("samples:hello.wasm", funds="1 J")
    hypervisor.run()
    assert errors
    assert "runs already" in str(errors[0])


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"budget": "60"}, "MX1005"),
        ({"budget": "-1 J"}, "MX1006"),
        ({"power": "1 W"}, "MX1009"),
        ({"cells": 0}, "MX1006"),
        ({"duration": "0 s"}, "MX1006"),
        ({"node": {"sede": 7}}, "MX1001"),
        ({"seed": -1}, "MX1006"),
        ({"temperature_log2": 99}, "MX1006"),
    ],
)
def test_arguments_without_sense_have_codes(keys: dict[str, object], code: str) -> None:
    """Where they are written, as far as they do not depend on what is spawned."""
    with pytest.raises(ConfigError) as caught:
        quick(**keys)
    assert caught.value.code == code
    assert caught.value.hint


def test_a_budget_that_does_not_cover_what_is_spawned_has_a_code() -> None:
    hypervisor = quick(budget="1 J")
    hypervisor.spawn("samples:hello.wasm", funds="5 J")
    with pytest.raises(ConfigError) as caught:
        hypervisor.run()
    assert caught.value.code == "MX1010"


@pytest.mark.parametrize(
    ("content", "code", "exit_code"),
    [(b"\x7fELF", "MX1204", 126), (b"\0asm\1\0\0\0", "MX1204", 126), (b"", "MX1204", 126)],
)
def test_refused_modules_are_typed_errors(
    tmp_path: Path, content: bytes, code: str, exit_code: int
) -> None:
    hypervisor = quick()
    hypervisor.spawn(write(tmp_path, "bad", content))
    with pytest.raises(GuestError) as caught:
        hypervisor.run()
    assert (caught.value.code, caught.value.exit_code) == (code, exit_code)
    assert "process 'bad'" in str(caught.value)
    assert leftovers() == set()


def test_a_missing_module(tmp_path: Path) -> None:
    hypervisor = quick()
    hypervisor.spawn(tmp_path / "no.wasm")
    with pytest.raises(MaxwellError) as caught:
        hypervisor.run()
    assert (caught.value.code, caught.value.exit_code) == ("MX1101", 127)


def test_every_key_reaches_the_process(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    hypervisor = quick()
    hypervisor.account("payer", funds="20 J", income_share=0.0)
    process = hypervisor.spawn(
        write(tmp_path, "sleepy", program(SLEEP_FOREVER)),
        name="sleepy",
        args=["a", "b"],
        env={"A": "1"},
        dirs={"/data": f"{tmp_path}/data:ro"},
        funds="2 J",
        urgency=0.9,
        horizon="1 J",
        account="payer",
        memory_max="1 MiB",
        start_after="100 ms",
        deadline="200 ms",
        top_up=True,
    )
    config = hypervisor.fleet().processes[0]
    assert (config.args, config.env) == (("a", "b"), (("A", "1"),))
    assert (config.urgency_millis, config.horizon_uj) == (900, 1_000_000)
    assert (config.memory_max_bytes, config.top_up) == (1 << 20, True)
    hypervisor.run()
    assert process.outcome == "deadline"


def test_output_comes_as_it_was_written(tmp_path: Path) -> None:
    taken: list[tuple[str, str, bytes, int]] = []

    def take(process: str, stream: str, data: bytes, lost_bytes: int) -> None:
        taken.append((process, stream, data, lost_bytes))

    hypervisor = quick(on_output=take)
    hypervisor.spawn("samples:hello.wasm", args=["Ada"], funds="1 J")
    hypervisor.run()
    assert taken == [("hello", "stdout", b"hello, Ada\n", 0)]


def test_the_report_draws_itself() -> None:
    hypervisor = quick()
    hypervisor.spawn("samples:hello.wasm", name="the-greeter", funds="1 J")
    html = hypervisor.run()._repr_html_()  # pyright: ignore[reportPrivateUsage]
    assert "<table" in html
    assert "the-greeter" in html
    assert "<script" not in html


def test_the_public_names_are_there() -> None:
    for name in maxwell.__all__:
        assert getattr(maxwell, name) is not None
    assert "budget" in inspect.signature(Hypervisor).parameters


def test_control_c_in_a_program_settles_first(tmp_path: Path) -> None:
    """SIGINT reaches the program's own process; `run` returns a report that says so."""
    code = """
import os, signal, maxwell
def on_epoch(view):
    if view.elapsed_ns > 0:
        os.kill(os.getpid(), signal.SIGINT)
hv = maxwell.Hypervisor(budget="60 J", on_epoch=on_epoch)
hv.spawn("samples:spin.wasm", funds="60 J")
report = hv.run()
assert report.record.interrupted and report.conservation_ok
assert report.processes["spin"].outcome == "killed"
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
print("settled")
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    # Several epochs may each have sent one; only the second of them may end it at once.
    assert (done.returncode, done.stdout) == (0, "settled\n"), done.stderr


def test_signals_are_left_alone_in_other_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    before = signal.getsignal(signal.SIGINT)
    hypervisor = quick()
    hypervisor.spawn("samples:hello.wasm", funds="1 J")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(hypervisor.run).result().conservation_ok
    assert signal.getsignal(signal.SIGINT) is before


def test_two_hypervisors_at_once() -> None:
    """Each has cells, slots and folders of its own; equal runs stay equal beside each other."""
    from concurrent.futures import ThreadPoolExecutor

    def go(_: int) -> str:
        hypervisor = quick(duration="500 ms")
        hypervisor.spawn("samples:leech.wasm", funds="9 J")
        hypervisor.spawn("samples:spin.wasm", funds="9 J")
        report = hypervisor.run()
        check_sums(report)
        return str(report.record)

    with ThreadPoolExecutor(2) as pool:
        records = set(pool.map(go, range(2)))
    assert len(records) == 1
    assert leftovers() == set()
