"""Judging results: whoever is dear to judge waits for itself, in order, and nobody else does."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxwell.errors import LedgerError
from maxwell.market import judging, resolvers
from maxwell.market.judging import BACKLOG_BYTES_MAX, NODE_NS, PROCESS_NS, JudgingQueue
from maxwell.market.ledger import ProcessId
from maxwell.market.resolvers import Stream, Verdict
from maxwell.market.rewards import RewardBook
from money.test_rewards import ledger, reward, whys

MS = 1_000_000


class Clock:
    """Time that passes only while lines are judged."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


class Bench:
    """A queue whose judge takes as long as the line says, in milliseconds."""

    def __init__(self, *, bounded: bool = True) -> None:
        self.clock = Clock()
        self.judged: list[tuple[ProcessId, str]] = []
        self.queue = JudgingQueue(self.judge, bounded=bounded, clock_ns=self.clock)

    def judge(self, process: ProcessId, stream: Stream, line: str) -> None:
        del stream
        self.clock.now_ns += int(float(line) * MS)
        self.judged.append((process, line))

    def add(self, process: ProcessId, *lines: str) -> bool:
        return self.queue.add(process, "report", sum(map(len, lines)), iter(lines))

    def of(self, process: ProcessId) -> list[str]:
        return [line for owner, line in self.judged if owner == process]


def test_a_dear_process_does_not_delay_the_others() -> None:
    bench = Bench()
    for _ in range(1_000):
        assert bench.add(1, "5")
    assert len(bench.judged) == PROCESS_NS // (5 * MS)
    before = bench.clock.now_ns
    assert bench.add(2, "1", "1")
    assert bench.of(2) == ["1", "1"]
    for epoch in range(1, 11):
        start = bench.clock.now_ns
        bench.queue.epoch()
        bench.add(2, "1")
        # Whatever waits, an epoch's judging stays below half an epoch.
        assert bench.clock.now_ns - start <= PROCESS_NS + MS
        assert len(bench.of(2)) == 2 + epoch
    assert len(bench.of(1)) == (1 + 10) * PROCESS_NS // (5 * MS)
    assert bench.clock.now_ns - before <= 11 * (PROCESS_NS + 2 * MS)


def test_an_overrun_is_paid_back() -> None:
    bench = Bench()
    bench.add(1, "50", "50", "50")
    spent = [bench.clock.now_ns // MS]
    for _ in range(6):
        bench.queue.epoch()
        spent.append(bench.clock.now_ns // MS)
    assert spent == [50, 50, 100, 100, 100, 150, 150]


def test_many_dear_processes_share_the_nodes_time() -> None:
    bench = Bench()
    for process in range(1, 41):
        bench.add(process, *["2"] * 500)
    epochs = 100
    for _ in range(epochs):
        start = bench.clock.now_ns
        bench.queue.epoch()
        assert bench.clock.now_ns - start <= NODE_NS + 2 * MS
    counts = [len(bench.of(process)) for process in range(1, 41)]
    assert min(counts) >= 50
    assert max(counts) <= 2 * min(counts)


def test_the_backlog_is_bounded_and_says_so() -> None:
    bench = Bench()
    bench.add(1, "1000")
    taken = 0
    while bench.add(1, "1"):
        taken += 1
        assert taken < BACKLOG_BYTES_MAX
    assert taken + 1 == BACKLOG_BYTES_MAX // (1 + judging.LINE_COST_BYTES)
    assert bench.add(2, "1"), "another process has room of its own"


def test_a_chunk_beyond_the_bound_is_taken_when_nothing_waits() -> None:
    bench = Bench()
    assert bench.queue.add(1, "stdout", 2 * BACKLOG_BYTES_MAX, iter(["1"]))
    assert bench.of(1) == ["1"]


def test_what_waits_at_the_end_gets_a_last_turn() -> None:
    bench = Bench()
    bench.add(1, *["5"] * 5)
    bench.add(1, *["30"] * 4)
    assert bench.queue.finish(1) == 1
    assert bench.of(1) == ["5"] * 5 + ["30"] * 2
    assert bench.queue.finish(1) == bench.queue.finish(7) == 0


def test_without_a_budget_everything_is_judged_at_once() -> None:
    bench = Bench(bounded=False)
    bench.add(1, *["500"] * 50)
    assert len(bench.judged) == 50


@given(
    lines=st.lists(st.sampled_from(["0", "0.5", "3", "19", "70"]), max_size=60),
    cuts=st.randoms(use_true_random=False),
)
def test_every_line_is_judged_once_and_in_order(lines: list[str], cuts: random.Random) -> None:
    bench = Bench()
    rest = list(lines)
    while rest:
        size = cuts.randint(1, len(rest))
        bench.add(1, *rest[:size])
        rest = rest[size:]
        if cuts.random() < 0.5:
            bench.queue.epoch()
    for _ in range(300):
        bench.queue.epoch()
    assert bench.of(1) == lines


class Dear:
    """A resolver that accepts every number, in time that is its own."""

    streams = frozenset[Stream]({"report", "stdout"})

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def judge(self, process: int | str, line: str) -> Verdict:
        del process
        self.clock.now_ns += 30 * MS
        return Verdict(accepted=line.isdigit(), why="no number")


def dear_book(monkeypatch: pytest.MonkeyPatch, *, deterministic: bool = False) -> RewardBook:
    clock = Clock()

    def queue(*args: object, **keys: object) -> JudgingQueue:
        return JudgingQueue(*args, **keys, clock_ns=clock)  # type: ignore[arg-type]

    monkeypatch.setattr("maxwell.market.rewards.JudgingQueue", queue)
    made = RewardBook(
        [reward("prime")],
        ledger(100_000),
        resolvers={"r": Dear(clock)},
        deterministic=deterministic,
    )
    made.subscribe(1, ["r"])
    made.subscribe(2, ["r"])
    return made


def test_results_are_paid_when_their_turn_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    made = dear_book(monkeypatch)
    assert [p.line for p in made.on_report(1, b"1")] == ["1"]
    assert made.on_report(1, b"2") == made.on_report(1, b"3") == []
    assert [p.line for p in made.on_report(2, b"4")] == ["4"]
    paid = [made.epoch() for _ in range(5)]
    lines = [{k: [p.line for p in v] for k, v in step.items()} for step in paid]
    assert lines == [{1: ["2"]}, {}, {1: ["3"]}, {}, {}]
    assert made.results(1) == 3


def test_in_deterministic_mode_all_are_paid_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = dear_book(monkeypatch, deterministic=True)
    assert [len(made.on_report(1, b"%d" % n)) for n in range(20)] == [1] * 20
    assert made.epoch() == {}


def test_a_dropped_chunk_never_joins_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """`12` + a gap + `5` is not the number 125."""
    made = dear_book(monkeypatch)
    made.on_output(1, "stdout", b"1\n2\n12")
    big = b"7" * (BACKLOG_BYTES_MAX - 600)
    assert made.on_output(1, "stdout", big) == []
    made.on_output(1, "stdout", b"3\n" * 400)
    made.on_output(1, "stdout", b"5\n6\n")
    paid = [p.line for _ in range(40) for p in made.epoch().get(1, [])]
    assert paid == ["2", "6"]
    assert "did not fit" in "".join(whys(made))


def test_lines_left_at_the_end_are_refused_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    made = dear_book(monkeypatch)
    for n in range(9):
        made.on_report(1, b"%d" % n)
    assert [p.line for p in made.finish(1)] == ["1", "2"]
    assert whys(made) == ["it ended before its last lines: 6 chunks"]


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_verdict_never_depends_on_the_wall_in_deterministic_mode(
    deterministic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolvers, "REGEX_SECONDS_DETERMINISTIC", 0.02)
    monkeypatch.setattr(resolvers, "REGEX_SECONDS_MAX", 0.02)
    config = reward("regex", pattern=r"(?:x|a|aa|a)*b(\d+)", direction="up", stream="report")
    made = RewardBook([config], ledger(), deterministic=deterministic)
    made.subscribe(1, ["r"])
    line = b"a" * 4_000 + b"b"
    if deterministic:
        with pytest.raises(LedgerError, match="took longer") as caught:
            made.on_report(1, line)
        assert caught.value.code == "MX1305"
        assert caught.value.hint is not None
    else:
        assert made.on_report(1, line) == []
        assert whys(made) == ["the pattern took longer than 0.02 s"]
