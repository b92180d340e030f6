"""What the node does when a cell speaks of beliefs: books them, tells the journal, counts.

Nothing here speaks with a cell; methods return the credits that a purse must be told of.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from maxwell.market.quality import QUALITY_ONE_PPM, Quality
from maxwell.market.questions import Claim

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from maxwell.market.questions import QuestionBook, Score, Stream
    from maxwell.node.entry import Entry
    from maxwell.node.journal import Journal
    from maxwell.node.wire import Beliefs, Disbelieved, Message, Reported


class Information:
    """Questions between the economy, the cells and the journal.

    Args:
        book: the questions and their money.
        journal: whom to tell.
        folder: a private folder of the run, where cells find the texts.
        reference: bits per joule of quality one; None leaves all qualities at one.
    """

    def __init__(
        self,
        book: QuestionBook,
        journal: Journal,
        folder: Path,
        *,
        reference: int | None = None,
    ) -> None:
        self._reference = reference
        self._qualities: dict[str, Quality] = {}
        self._book = book
        self._journal = journal
        self._paths: dict[str, Path] = {}
        for number, stream in enumerate(book.streams):
            # A copy, so that what cells feed is what was checked, whatever becomes of the file.
            path = folder / f"stream-{number}"
            path.write_bytes(stream.text)
            self._paths[stream.name] = path

    def announce(self) -> None:
        """Tells of every question, with what a reader needs to recompute its bits."""
        for stream in self._book.streams:
            options = stream.options
            self._journal.event(
                "question",
                0,
                question=stream.name,
                resolver="stream",
                sponsor=stream.sponsor,
                kappa_credits=stream.kappa,
                digest=f"sha256:{stream.digest}",
                symbols=len(stream.text),
                alphabet=list(options.alphabet) if options.alphabet else "bytes",
                chunk=options.chunk,
                deadline_ns=options.deadline_ns,
            )
        for predicate in self._book.predicates:
            self._journal.event(
                "question",
                0,
                question=predicate.name,
                resolver="predicate",
                sponsor=predicate.sponsor,
                kappa_credits=predicate.kappa,
                test=predicate.options.test,
                least=str(predicate.options.least),
                most=str(predicate.options.most),
                deadline_ns=predicate.options.deadline_ns,
            )

    def spawn_fields(self, entry: Entry) -> Message:
        """Returns what a cell must know of a process's questions."""
        return {
            "quality_ppm": self.quality_ppm(entry.config.account),
            "report_stake": self._book.report_stake_credits(entry.pid),
            "questions": [
                self._stream_fields(number, stream)
                for number, stream in self._book.asked(entry.pid)
            ],
        }

    def _stream_fields(self, number: int, stream: Stream) -> Message:
        return {
            "question": number,
            "path": str(self._paths[stream.name]),
            "alphabet": stream.options.alphabet,
            "chunk": stream.options.chunk,
            "kappa": stream.kappa,
            "deadline_ns": stream.options.deadline_ns,
            "open": self._book.can_pay(stream),
        }

    def quality_ppm(self, account: str) -> int:
        """Returns an account's quality: one, unless the fleet says otherwise."""
        if self._reference is None:
            return QUALITY_ONE_PPM
        return self._quality_of(account).ppm

    def settle_qualities(self, entries: Iterable[Entry], now_ns: int) -> list[tuple[str, int]]:
        """Settles the qualities of all accounts; returns those that changed, in ppm."""
        if self._reference is None:
            return []
        sums: dict[str, tuple[int, int]] = {}
        for entry in entries:
            bits, energy_uj = sums.get(entry.config.account, (0, 0))
            sums[entry.config.account] = (bits + entry.bits_q32, energy_uj + entry.energy_uj)
        changed: list[tuple[str, int]] = []
        for account, (bits, energy_uj) in sums.items():
            quality = self._quality_of(account)
            if quality.settle(bits_q32=bits, energy_uj=energy_uj):
                changed.append((account, quality.ppm))
                self._journal.event("quality", now_ns, account=account, quality_ppm=quality.ppm)
        return changed

    def _quality_of(self, account: str) -> Quality:
        assert self._reference is not None
        return self._qualities.setdefault(account, Quality(self._reference))

    def on_block(self, entry: Entry, event: Beliefs, now_ns: int) -> int:
        """Books a block of a stream; returns the credits for the purse."""
        score = self._book.on_block(
            entry.pid, event.question, start=event.start, bits=event.bits_q32, lost=event.lost
        )
        _count(entry, score, believed=event.believed)
        self._journal.event(
            "belief",
            now_ns,
            process=entry.name,
            **_fields(score),
            start=event.start,
            believed=event.believed,
            energy_uj=event.energy_uj,
            own=base64.b64encode(event.own).decode(),
            public=base64.b64encode(event.public).decode(),
        )
        return score.paid_credits

    def on_report(self, entry: Entry, event: Reported, now_ns: int) -> int:
        """Books the claims in a report; returns the credits for the purse."""
        results, credits = self._book.on_report(
            entry.pid, event.line, staked=event.staked, now_ns=now_ns
        )
        for result in results:
            if isinstance(result, Claim):
                credits += result.score.paid_credits
                self._claim(entry, result, now_ns)
            else:
                entry.beliefs_refused += 1
                self._journal.event(
                    "refused_belief",
                    now_ns,
                    process=entry.name,
                    question=result.question,
                    line=result.line,
                    why=result.why,
                    count=1,
                )
        return credits

    def on_refused(self, entry: Entry, event: Disbelieved, now_ns: int) -> None:
        """Notes beliefs that the kernel refused."""
        entry.beliefs_refused += event.count
        self._journal.event(
            "refused_belief",
            now_ns,
            process=entry.name,
            question=self._book.name_of(entry.pid, event.question),
            line="",
            why=event.why,
            count=event.count,
        )

    def close_empty(self, entry: Entry) -> list[Message]:
        """Returns what its cell must be told when sponsors' escrows are empty."""
        return [
            {"op": "question", "pid": entry.pid, "question": number, "open": False}
            for number in self._book.close_empty(entry.pid)
        ]

    def _claim(self, entry: Entry, claim: Claim, now_ns: int) -> None:
        _count(entry, claim.score, believed=1)
        self._journal.event(
            "claim",
            now_ns,
            process=entry.name,
            **_fields(claim.score),
            number=str(claim.number),
            holds=claim.holds,
            own=claim.own,
            public=claim.public,
        )


def _fields(score: Score) -> dict[str, object]:
    return {
        "question": score.question,
        "bits_q32": score.bits,
        "due_credits": score.due_credits,
        "paid_credits": score.paid_credits,
        "lost_credits": score.lost_credits,
    }


def _count(entry: Entry, score: Score, *, believed: int) -> None:
    entry.beliefs += believed
    entry.bits_q32 += score.bits
    entry.stake_lost_credits += score.lost_credits
    entry.information_credits += score.paid_credits
    entry.earned_credits += score.paid_credits
