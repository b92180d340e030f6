"""Inferences in a run: money set apart, the prover, claims, orders, and what is told of them."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.errors import ConfigError, ProofError
from maxwell.inference.costs import FUEL_PER_MAC, REFUSAL_NS, RESERVE_FACTOR
from maxwell.inference.desk import NO_BUYER, Desk
from maxwell.inference.jobs import Done, Job
from maxwell.inference.layout import (
    CALL_BYTES_MAX,
    ORDER_HEAD_BYTES,
    TIER_NUMBERS,
    delivery_bytes_max,
    pack_answer,
    pack_order,
    pack_paid,
    parse_delivery,
)
from maxwell.inference.memory import job_bytes, memory_bytes_max
from maxwell.inference.models import RunModel, load_models
from maxwell.inference.prover import Prover
from maxwell.market.orders import Issued, NoOrder, OrderBook, payee_id
from maxwell.node.entry import Entry
from maxwell.node.wire import Inferred
from maxwell.proofs.claims import Claim, SignedClaim
from maxwell.proofs.tiers import Tier
from maxwell.token.key import node_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from maxwell.config import FleetConfig
    from maxwell.energy import EnergyModel
    from maxwell.inference.prover import Key
    from maxwell.market.ledger import Ledger
    from maxwell.node.journal import Journal
    from maxwell.node.wire import Message

TIMEOUT_NS: Final = 60_000_000_000
PENDING_MAX: Final = 64
"""Jobs that wait for the prover; a further one is refused with EAGAIN."""
PENDING_BYTES_MAX: Final = 64 << 20
"""Bytes of inputs and proofs among them."""
CALL_NS_MAX: Final = 30_000_000_000
"""CPU time of a call by its model's shapes; larger batches are refused to guests."""
ACCOUNT_PENDING_NS_MAX: Final = 10_000_000_000
"""The same of all that an account waits for, beyond one call."""
OUTPUT_EVENT_BYTES_MAX: Final = 16 << 10
"""A longer output is in the events by its commitment only."""
_TIERS: Final = {number: tier for tier, number in TIER_NUMBERS.items()}

_EAGAIN, _EALREADY, _EBADMSG, _EDQUOT, _EINVAL, _EIO = 6, 7, 9, 19, 28, 29
_ENOENT, _EPERM, _EPIPE, _ETIMEDOUT = 44, 63, 64, 73
_ERRNOS: Final = {
    "MX1705": _EINVAL,
    "MX1706": _EBADMSG,
    "MX1711": _EINVAL,
    "MX1712": _EPERM,
    "MX1713": _ETIMEDOUT,
    "MX1714": _EALREADY,
}
"""What a guest sees of an error; the others are EIO."""


class _Open(msgspec.Struct, kw_only=True):
    """Something a process asked that is not answered."""

    entry: Entry
    event: Inferred
    slice_id: int
    nonce: bytes
    model: RunModel
    tier: Tier
    batch: int
    issued: Issued | None = None
    stage: str = "run"
    epoch: int = 0
    """In which it was asked."""
    cpu_ns: int = 0
    run_uj: int = 0
    proof_uj: int = 0
    fee_credits: int = 0
    """Of a delivery that the node refused by itself; to the commons."""
    output: bytes = b""
    signed: SignedClaim | None = None
    claim: Claim | None = None


class _Strangers(msgspec.Struct, kw_only=True):
    """Deliveries of a process for orders that it does not have."""

    count: int = 0
    untold: int = 0
    """Those since the last event: it is written at the first, second, fourth, eighth, … only."""
    untold_credits: int = 0


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, its money booked."""

    entry: Entry
    id: int
    fund_credits: int
    """Refund and payment, which the purse must be told of."""
    errno: int = 0
    data: bytes = b""


class Inferences:
    """The inferences of one run.

    Args:
        fleet: checked, with models.
        ledger: books the money.
        model: prices CPU time.
        journal: whom to tell.
        folder: a private folder of the run.
        environ: of the prover's process.
        epoch_ns: of the node.
        secret: returns 32 bytes for a purpose from the run's seed, in deterministic mode; None
            draws them.

    Raises:
        MaxwellError: a model or the inputs of an order cannot be used.
    """

    def __init__(
        self,
        fleet: FleetConfig,
        ledger: Ledger,
        model: EnergyModel,
        journal: Journal,
        *,
        folder: Path,
        environ: Mapping[str, str],
        epoch_ns: int,
        secret: Callable[[str], bytes] | None,
    ) -> None:
        def entropy(purpose: str) -> bytes:
            return os.urandom(32) if secret is None else secret(purpose)

        self._virtual = secret is not None
        self._ledger = ledger
        self._model = model
        self._journal = journal
        self._epoch_ns = epoch_ns
        self._entropy = entropy
        self._asked = 0
        self._strangers: dict[int, _Strangers] = {}
        self.now_ns = 0
        self.epoch = 0
        memory_bytes = memory_bytes_max()
        self._models = load_models(fleet.models, fleet.base_dir, folder, bytes_max=memory_bytes)
        if self._virtual and any(run_model.hiding for run_model in self._models.values()):
            raise ConfigError(
                "a model that hides its weights in a deterministic run",
                code="MX1009",
                hint="what hides is random, and no function of the seed; drop one of the two",
            )
        self._by_digest = {run_model.digest: run_model for run_model in self._models.values()}
        self._desk = Desk(node_key(), entropy=entropy, interval_ppm=model.relative_interval_ppm)
        for run_model in self._models.values():
            if batch_max(run_model) == 0:
                raise ConfigError(
                    f"model {run_model.name!r}: one inference is too much for a run",
                    code="MX1731",
                    hint=f"at most {CALL_BYTES_MAX:,} bytes, {CALL_NS_MAX // 10**9} s of CPU time "
                    f"and {run_model.job_bytes_max >> 20:,} MiB by its shapes, its proof included",
                )
        self._orders = OrderBook(
            fleet.rewards,
            ledger,
            self._models,
            base_dir=fleet.base_dir,
            cluster_id=self._desk.cluster_id,
            node_key=self._desk.node_key,
            entropy=entropy,
        )
        self._open: dict[Key, _Open] = {}
        self._ready: list[Answered] = []
        self.charged_uj = 0
        """Of the prover's joules, those that processes answer for."""
        self.prover = Prover(folder, list(self._by_digest), environ, memory_bytes=memory_bytes)

    def close(self) -> None:
        """Ends the prover."""
        self.prover.close()

    def announce(self) -> None:
        """Tells of every model."""
        for model in self._models.values():
            self._journal.event(
                "model",
                0,
                model=model.name,
                digest=model.digest,
                macs=model.shapes.macs,
                input_cells=model.shapes.input_cells,
                output_cells=model.shapes.output_cells,
                hiding=model.hiding,
            )

    def terms(self, entry: Entry) -> Message | None:
        """Returns what a process may have run, and what its cell takes in advance."""
        models = [self._models[name] for name in entry.config.models]
        orders: list[Message] = []
        deliver_uj = deliver_bytes = 0
        for number, reward in enumerate(entry.config.rewards):
            model = self._orders.model_of(reward)
            if model is None:
                continue
            batch, tier = self._orders.options_of(reward).batch, self._orders.tier_of(reward)
            length = ORDER_HEAD_BYTES + 2 * model.shapes.input_cells * batch
            orders.append({"reward": number, "bytes": length})
            models.append(model)
            deliver_uj = max(deliver_uj, self._reserve_uj(model.shapes.check_ns(tier, batch)))
            longest = delivery_bytes_max(
                output_cells=model.shapes.output_cells, sums=model.shapes.sums, batch=batch
            )
            deliver_bytes = max(deliver_bytes, longest)
            if max(length, longest) > CALL_BYTES_MAX or batch > batch_max(model):
                raise ConfigError(
                    f"reward {reward!r}: a batch of {batch} is more than a call may carry",
                    code="MX1731",
                    hint=f"lower batch: orders and deliveries have {CALL_BYTES_MAX:,} bytes at "
                    f"most, take {CALL_NS_MAX // 10**9} s of CPU time at most, and their proofs "
                    f"{model.job_bytes_max >> 20:,} MiB of memory at most",
                )
        if not models:
            return None
        return {
            "models": [self._model_terms(model) for model in {m.name: m for m in models}.values()],
            "orders": orders,
            "deliver_uj": deliver_uj,
            "deliver_bytes_max": deliver_bytes,
            "timeout_ns": TIMEOUT_NS,
        }

    def _model_terms(self, model: RunModel) -> Message:
        tiers = [Tier.HOST, Tier.ZERO_KNOWLEDGE if model.hiding else Tier.SUCCINCT]
        terms: list[Message] = []
        for tier in tiers:
            fixed_uj = self._reserve_uj(model.shapes.infer_ns(tier, 0))
            one_uj = self._reserve_uj(model.shapes.infer_ns(tier, 1))
            terms.append(
                {
                    "tier": TIER_NUMBERS[tier],
                    "fixed_uj": fixed_uj,
                    # Rounded up, so that many inputs are covered as one is.
                    "item_uj": one_uj - fixed_uj + 1,
                }
            )
        return {
            "name": model.name,
            "digest": model.digest,
            "input_bytes": 2 * model.shapes.input_cells,
            "batch_max": batch_max(model),
            "tiers": terms,
        }

    def _reserve_uj(self, cpu_ns: int) -> int:
        return self._model.cpu_energy_uj(RESERVE_FACTOR * cpu_ns) + 1

    # What cells say.

    def ask(self, entry: Entry, event: Inferred, *, slice_id: int) -> None:
        """Sets the price in advance apart and begins what a process asked.

        The caller has settled the process's slot. Whoever died meanwhile gets everything back.
        """
        self._ledger.hold_request(entry.pid, event.credits)
        if event.call == "order":
            self._issue(entry, event)
        elif event.call == "infer":
            self._infer(entry, event, slice_id)
        else:
            self._deliver(entry, event, slice_id)

    def _issue(self, entry: Entry, event: Inferred) -> None:
        reward = entry.config.rewards[event.number]
        expires_ns = self._orders.options_of(reward).expires_ns
        epochs = -(-expires_ns // self._epoch_ns)
        try:
            issued = self._orders.issue(
                entry.pid,
                self._desk.process_id(entry.pid),
                reward,
                payee=payee_id(entry.config.account),
                epoch=self.epoch,
                epochs=epochs,
            )
        except NoOrder as no:
            errno = _EDQUOT if no.is_unpaid else _EPIPE if no.is_final else _EAGAIN
            self._refuse(entry, event, errno)
            return
        self._journal.event(
            "order",
            self.now_ns,
            process=entry.name,
            reward=reward,
            order=issued.number,
            model=issued.model.name,
            tier=issued.tier.value,
            batch=issued.batch,
            price_credits=issued.price_credits,
            expires_ns=self.now_ns + epochs * self._epoch_ns,
        )
        data = pack_order(issued, left_ns=epochs * self._epoch_ns)
        self._answer(entry, event, data=data)

    def _infer(self, entry: Entry, event: Inferred, slice_id: int) -> None:
        issued = self._orders.held(entry.pid)
        if event.number >= 0 and (issued is None or issued.number != event.number):
            self._refuse(entry, event, _ENOENT)
            return
        if event.number < 0:
            issued = None
        model = self._by_digest[event.model]
        self._asked += 1
        self._start(
            _Open(
                entry=entry,
                event=event,
                slice_id=slice_id,
                # Issued before the run: with the order, or now.
                nonce=issued.order.nonce if issued else self._entropy(f"run {self._asked}"),
                model=model,
                tier=_TIERS[event.tier],
                batch=len(event.data) // (2 * model.shapes.input_cells),
                issued=issued,
            ),
            Job(
                kind="run",
                digest=model.digest,
                input=event.data,
                batch=len(event.data) // (2 * model.shapes.input_cells),
                buyer_nonce=issued.order.buyer_nonce if issued else NO_BUYER,
            ),
        )

    def _deliver(self, entry: Entry, event: Inferred, slice_id: int) -> None:
        issued = self._orders.held(entry.pid)
        if issued is None or issued.number != event.number:
            self._refuse_stranger(entry, event)
            return
        is_open = _Open(
            entry=entry,
            event=event,
            slice_id=slice_id,
            nonce=issued.order.nonce,
            model=issued.model,
            tier=issued.tier,
            batch=issued.batch,
            issued=issued,
            stage="check",
        )
        job = Job(
            kind="check",
            digest=issued.model.digest,
            input=issued.input,
            batch=issued.batch,
            buyer_nonce=issued.order.buyer_nonce,
            order=issued.order,
        )
        if issued.tier is Tier.SECRET_VECTOR:
            is_open.stage = "audit"
            if len(event.data) != 8 * issued.model.shapes.sums * issued.batch:
                why = f"{len(event.data)} bytes of sums for a batch of {issued.batch}"
                self._refuse_form(is_open, "MX1706", why)
                return
            self._start(is_open, msgspec.structs.replace(job, kind="audit", sums=event.data))
            return
        given = parse_delivery(event.data)
        try:
            if given is None:
                raise ProofError("not an answer of `infer`", code="MX1711")
            is_open.signed = SignedClaim.decode(given.claim)
        except ProofError as error:
            self._refuse_form(is_open, error.code, error.message)
            return
        is_open.output = given.output
        self._start(
            is_open,
            msgspec.structs.replace(job, output=given.output, claim=given.claim, proof=given.proof),
        )

    def _start(self, is_open: _Open, job: Job) -> None:
        account = is_open.entry.config.account
        waiting = sum(len(other.event.data) for other in self._open.values())
        own = [o for o in self._open.values() if o.entry.config.account == account]
        busy_ns = sum(self._call_ns(other) for other in own)
        full = len(self._open) >= PENDING_MAX or (
            len(own) > 0 and busy_ns + self._call_ns(is_open) > ACCOUNT_PENDING_NS_MAX
        )
        if full or waiting + len(is_open.event.data) > PENDING_BYTES_MAX:
            self._refuse(is_open.entry, is_open.event, _EAGAIN)
            return
        key = (is_open.entry.pid, is_open.event.id)
        self._open[key] = is_open
        is_open.epoch = self.epoch
        if is_open.event.call == "deliver" and is_open.issued is not None:
            # Handed in in time, and so it stays.
            is_open.issued.is_checked = True
        self.prover.ask(key, job, lane=account)

    @staticmethod
    def _call_ns(is_open: _Open) -> int:
        shapes, tier, batch = is_open.model.shapes, is_open.tier, is_open.batch
        if is_open.event.call == "infer":
            return shapes.infer_ns(tier, batch)
        return shapes.check_ns(tier, batch)

    # What the prover says.

    def finish(self, *, give_up: Callable[[], bool]) -> list[Answered]:
        """Waits for all that is open and books it, in the order in which it was asked.

        For deterministic mode, in which it must not matter how fast the prover is.

        Args:
            give_up: whether the run was interrupted; what is open then stays open, and its process
                pays for it by its model's shapes when it ends.
        """
        for key in list(self._open):
            while (is_open := self._open.get(key)) is not None:
                done = self.prover.finish(key, give_up=give_up)
                if done is None:
                    return self.take()
                self._go_on(key, is_open, done)
        return self.take()

    def take(self) -> list[Answered]:
        """Books what was done since the last call."""
        for key, done in self.prover.take():
            is_open = self._open.get(key)
            if is_open is not None:
                self._go_on(key, is_open, done)
        ready, self._ready = self._ready, []
        return ready

    def _go_on(self, key: Key, is_open: _Open, done: Done) -> None:
        energy_uj = self._meter(is_open, done)
        if done.code:
            del self._open[key]
            self._fail(is_open, done.code, done.why)
        elif is_open.stage == "run":
            self._ran(key, is_open, done)
        elif is_open.stage == "prove":
            del self._open[key]
            self._inferred(is_open, done.proof)
        else:
            del self._open[key]
            if is_open.stage == "audit":
                self._make_claim(is_open, done, energy_uj)
            self._pay(is_open)

    def _meter(self, is_open: _Open, done: Done) -> int:
        """Counts the time and the joules of a job; returns the joules."""
        cpu_ns = self._cpu_ns(is_open, done.code) if self._virtual else done.cpu_ns
        energy_uj = self._model.cpu_energy_uj(cpu_ns)
        is_open.cpu_ns += cpu_ns
        if is_open.stage == "run":
            is_open.run_uj += energy_uj
        else:
            is_open.proof_uj += energy_uj
        return energy_uj

    def _cpu_ns(self, is_open: _Open, code: str = "") -> int:
        """Returns what the job that it waits for takes by its model's shapes.

        Args:
            is_open: what it is for.
            code: what it was refused for: wrong sums spend the secret, right ones do not.
        """
        shapes, batch = is_open.model.shapes, is_open.batch
        is_refused = code == "MX1706"
        return {
            "run": shapes.run_ns(batch),
            "prove": shapes.prove_ns(batch),
            "check": shapes.check_ns(is_open.tier, batch),
            "audit": shapes.check_ns(is_open.tier, batch, is_refused=is_refused),
        }[is_open.stage]

    def _ran(self, key: Key, is_open: _Open, done: Done) -> None:
        self._make_claim(is_open, done, is_open.run_uj)
        if not is_open.tier.has_proof:
            del self._open[key]
            self._inferred(is_open, b"")
            return
        assert is_open.claim is not None
        is_open.stage = "prove"
        self.prover.ask(
            key,
            Job(
                kind="prove",
                digest=is_open.model.digest,
                input=is_open.event.data,
                batch=is_open.batch,
                buyer_nonce=is_open.claim.buyer_nonce,
                context=is_open.claim.digest(),
            ),
            lane=is_open.entry.config.account,
            first=True,
        )

    def _make_claim(self, is_open: _Open, done: Done, energy_uj: int) -> None:
        issued = is_open.issued
        is_open.output = done.output
        is_open.claim, is_open.signed = self._desk.claim(
            is_open.entry.pid,
            tier=is_open.tier,
            nonce=is_open.nonce,
            buyer_nonce=issued.order.buyer_nonce if issued else NO_BUYER,
            model_digest=bytes.fromhex(is_open.model.digest),
            batch=is_open.batch,
            commitments=(done.input_commitment, done.output_commitment),
            slice_id=is_open.slice_id,
            epoch=self.epoch,
            expires_epoch=issued.order.expires_epoch if issued else self.epoch,
            fuel=FUEL_PER_MAC * is_open.model.shapes.macs * is_open.batch,
            energy_uj=energy_uj,
            price_ppm=issued.order.price_ppm if issued else 0,
            payee=payee_id(is_open.entry.config.account),
        )

    def _inferred(self, is_open: _Open, proof: bytes) -> None:
        assert is_open.signed is not None
        entry = is_open.entry
        entry.inferences += is_open.batch
        entry.macs += is_open.model.shapes.macs * is_open.batch
        data = pack_answer(output=is_open.output, claim=is_open.signed.encode(), proof=proof)
        self._close(is_open, data=data)

    def _pay(self, is_open: _Open) -> None:
        entry, issued, signed = is_open.entry, is_open.issued, is_open.signed
        assert issued is not None
        assert signed is not None
        # It cannot have expired, nor been handed to somebody else, while it was checked.
        assert self._orders.held(entry.pid) is issued
        try:
            verified = signed.check().digest()
            payment = self._orders.pay(entry.pid, signed, verified=verified, epoch=is_open.epoch)
        except ProofError as error:
            self._fail(is_open, error.code, error.message)
            return
        claim = payment.claim
        entry.results += 1
        entry.claims_paid += 1
        entry.earned_credits += payment.credits
        small = len(is_open.output) <= OUTPUT_EVENT_BYTES_MAX
        self._journal.event(
            "inference_paid",
            self.now_ns,
            process=entry.name,
            reward=issued.reward,
            order=issued.number,
            model=issued.model.name,
            tier=issued.tier.value,
            batch=issued.batch,
            macs=issued.model.shapes.macs * issued.batch,
            paid_credits=payment.credits,
            claim=claim.digest().hex(),
            nullifier=claim.nullifier.hex(),
            output_commitment=claim.output_commitment.hex(),
            output=base64.b64encode(is_open.output).decode() if small else "",
        )
        output = is_open.output if issued.tier is Tier.SECRET_VECTOR else b""
        self._close(is_open, data=pack_paid(payment.credits, output), paid=payment.credits)

    # Answers and their money.

    def _refuse(self, entry: Entry, event: Inferred, errno: int) -> None:
        """Answers something that cost nothing."""
        self._answer(entry, event, errno=errno)

    def _fee(self, event: Inferred) -> int:
        """Returns what the node takes for a delivery that it refuses by itself.

        The work is the node's own, `system` among the joules, so it goes to the commons.
        """
        energy_uj = self._model.cpu_energy_uj(REFUSAL_NS)
        fee = -(-energy_uj * max(1_000_000, event.price_ppm) // 1_000_000)
        return min(fee, event.credits)

    def _refuse_form(self, is_open: _Open, code: str, why: str) -> None:
        """Answers a delivery of no use, which no prover saw."""
        is_open.fee_credits = self._fee(is_open.event)
        self._fail(is_open, code, why)

    def _refuse_stranger(self, entry: Entry, event: Inferred) -> None:
        """Answers a delivery for an order that the process does not have."""
        fee = self._fee(event)
        entry.claims_refused += 1
        entry.inference_premium += fee
        strangers = self._strangers.setdefault(entry.pid, _Strangers())
        strangers.count += 1
        strangers.untold += 1
        strangers.untold_credits += fee
        if strangers.count.bit_count() == 1:
            self._tell_strangers(entry, strangers, event.number)
        self._answer(entry, event, errno=_ENOENT, fee=fee)

    def _tell_strangers(self, entry: Entry, strangers: _Strangers, number: int) -> None:
        self._note_refused(
            entry,
            "",
            number,
            "MX1712",
            "the process has no such order",
            count=strangers.untold,
            charged=strangers.untold_credits,
        )
        strangers.untold = strangers.untold_credits = 0

    def _fail(self, is_open: _Open, code: str, why: str) -> None:
        entry, issued = is_open.entry, is_open.issued
        if is_open.event.call == "deliver":
            entry.claims_refused += 1
            if issued is not None:
                issued.is_checked = False
            reward = issued.reward if issued else ""
            self._note_refused(entry, reward, is_open.event.number, code, why)
        self._close(is_open, errno=_ERRNOS.get(code, _EIO), why=why)

    def _note_refused(
        self,
        entry: Entry,
        reward: str,
        number: int,
        code: str,
        why: str,
        *,
        count: int = 1,
        charged: int = 0,
    ) -> None:
        self._journal.event(
            "refused_claim",
            self.now_ns,
            process=entry.name,
            reward=reward,
            order=number,
            code=code,
            why=why,
            count=count,
            charged_credits=charged,
        )

    def _close(
        self, is_open: _Open, *, errno: int = 0, why: str = "", data: bytes = b"", paid: int = 0
    ) -> None:
        charged, uncollected_uj = self._charge(is_open)
        self._note(is_open, errno, why, charged, uncollected_uj)
        refund = is_open.event.credits - charged
        self._ready.append(
            Answered(
                entry=is_open.entry,
                id=is_open.event.id,
                fund_credits=refund + paid,
                errno=errno,
                data=data,
            )
        )

    def _charge(self, is_open: _Open) -> tuple[int, int]:
        """Books the joules of something asked; returns what was charged and what nobody pays."""
        entry, event = is_open.entry, is_open.event
        energy_uj = is_open.run_uj + is_open.proof_uj
        charge = -(-energy_uj * max(1_000_000, event.price_ppm) // 1_000_000)
        charged = min(charge + is_open.fee_credits, event.credits)
        burned = min(energy_uj, charged)
        self._ledger.settle_inference(
            entry.pid, event.credits, burned=burned, premium=charged - burned
        )
        self.charged_uj += energy_uj
        entry.inference_uj += is_open.run_uj
        entry.proof_uj += is_open.proof_uj
        entry.inference_uncollected_uj += energy_uj - burned
        entry.inference_premium += charged - burned
        return charged, energy_uj - burned

    def _answer(
        self, entry: Entry, event: Inferred, *, errno: int = 0, data: bytes = b"", fee: int = 0
    ) -> None:
        self._ledger.settle_inference(entry.pid, event.credits, burned=0, premium=fee)
        rest = event.credits - fee
        self._ready.append(
            Answered(entry=entry, id=event.id, fund_credits=rest, errno=errno, data=data)
        )

    def _note(
        self, is_open: _Open, errno: int, why: str, charged: int, uncollected_uj: int
    ) -> None:
        self._journal.event(
            "inference",
            self.now_ns,
            process=is_open.entry.name,
            call=is_open.event.call,
            model=is_open.model.name,
            tier=is_open.tier.value,
            order=is_open.event.number,
            batch=is_open.batch,
            macs=is_open.model.shapes.macs * is_open.batch,
            cpu_ns=is_open.cpu_ns,
            run_uj=is_open.run_uj,
            proof_uj=is_open.proof_uj,
            uncollected_uj=uncollected_uj,
            charged_credits=charged,
            errno=errno,
            why=why,
        )

    # Ends.

    def expire(self) -> None:
        """Takes orders back that were not delivered in time; call once an epoch."""
        self._orders.expire(self.epoch)

    def abandon(self, entry: Entry) -> None:
        """Settles what a process that ends still waited for, before its lease is closed.

        A job that is done is paid as metered, one that runs as its model's shapes say; one that did
        not begin costs nothing, except in deterministic mode.
        """
        self._orders.give_back(entry.pid)
        strangers = self._strangers.pop(entry.pid, None)
        if strangers is not None and strangers.untold:
            self._tell_strangers(entry, strangers, -1)
        for key in [key for key in self._open if key[0] == entry.pid]:
            is_open = self._open.pop(key)
            # The node waits for nobody: what runs is paid by its shapes, and in deterministic mode
            # what did not begin, which is no function of the seed.
            done, is_running = self.prover.cancel(key)
            if is_running or self._virtual:
                done = Done(cpu_ns=self._cpu_ns(is_open))
            if done is not None:
                self._meter(is_open, done)
            charged, uncollected_uj = self._charge(is_open)
            self._note(is_open, _EIO, "its process ended", charged, uncollected_uj)


def batch_max(model: RunModel) -> int:
    """Returns the largest batch of one call: as configured, or what pipes and the prover bear."""
    shapes = model.shapes
    batch = min(
        model.batch_max, CALL_BYTES_MAX // (2 * max(shapes.input_cells, shapes.output_cells))
    )
    tier = Tier.ZERO_KNOWLEDGE if model.hiding else Tier.SUCCINCT
    while batch and (
        shapes.infer_ns(tier, batch) > CALL_NS_MAX
        or job_bytes(
            model.network.proof_model, batch, openings=model.openings, security=model.security
        )
        > model.job_bytes_max
    ):
        batch //= 2
    return batch
