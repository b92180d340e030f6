"""Orders: paying processes for inferences that verify, from a sponsor's escrow.

An order is the sponsor's: its model, its input, its nonce, its tier. A process holds one order at a
time; the node adds a nonce of its own when it hands the order out, which is before the run. What is
paid follows from the model's shapes, never from a claim, and once for each model, input and buyer's
nonce, whoever delivers: `maxwell.proofs.claims.Payments` remembers what was paid for the whole run.
An order that expires, is given back, or whose process ends, is handed to somebody else, and to the
same process three times at most: nobody keeps one from others by failing at it for ever. One that
was delivered in time is its process's until the answer is checked, however long that takes. What an
order promises is kept for it in the escrow: no other reward of the sponsor is paid out of it.

Deterministic: equal calls and equal entropy give equal orders and payments.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from maxwell.errors import ConfigError, InternalError, ProofError
from maxwell.inference.models import RunModel
from maxwell.market.proof_options import is_proof, parse_proof
from maxwell.proofs.arrays import load_array, load_packed
from maxwell.proofs.backend import to_bytes
from maxwell.proofs.claims import Claim, Order, Payments, commit_tensor
from maxwell.proofs.tiers import Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from maxwell.config.records import RewardConfig
    from maxwell.market.ledger import Ledger
    from maxwell.market.proof_options import ProofOptions
    from maxwell.proofs.claims import SignedClaim

MACS_PER_PAYMENT: Final = 1_000_000
"""`pays` is for a million multiplications."""
TRIES_MAX: Final = 3
"""A process that had an order so often and did not deliver it leaves it to others."""
SCAN_MAX: Final = 32
"""Orders that came back which one call looks at; the next call looks at the next ones."""
UNDELIVERED_MAX: Final = SCAN_MAX * TRIES_MAX
"""A process that delivered none of so many in a row gets no other of that reward."""
INPUT_BYTES_MAX: Final = 64 << 20
"""Of the inputs of one reward."""


class NoOrder(Exception):
    """Why there is no order; never leaves the node.

    Attributes:
        is_final: this process will get none any more, whatever comes back.
        is_unpaid: the sponsor's escrow does not hold the price of one.
    """

    def __init__(self, *, is_final: bool, is_unpaid: bool = False) -> None:
        super().__init__("no order")
        self.is_final = is_final
        self.is_unpaid = is_unpaid


class Issued(msgspec.Struct, kw_only=True):
    """An order in the hands of a process."""

    number: int
    reward: str
    sponsor: str
    model: RunModel
    tier: Tier
    batch: int
    input: bytes
    """Little-endian int16."""
    place: int
    """Which of the reward's orders it is."""
    price_credits: int
    """From the model's shapes."""
    order: Order
    is_paid: bool = False
    is_checked: bool = False
    """An answer is being checked: it does not expire meanwhile."""


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A claim that was paid."""

    claim: Claim
    credits: int
    """The order's price."""


class _Reward:
    """The orders of one reward that are not in anybody's hands."""

    def __init__(self, config: RewardConfig, options: ProofOptions, model: RunModel) -> None:
        self.config = config
        self.options = options
        self.model = model
        self.tier = Tier(options.tier)
        self.batches: Sequence[bytes] = ()
        self.bound: dict[int, tuple[bytes, bytes]] = {}
        """The buyer's nonce of an order, and the commitment to its input under it."""
        self.returned: deque[int] = deque()
        self.tries: dict[int, dict[int, int]] = {}
        """How often each process had an order that is not delivered, by its place."""
        self.used_up: Counter[int] = Counter()
        """How many orders that are not delivered each process had too often."""
        self.undelivered: Counter[int] = Counter()
        """How many each process gave back since it was last paid."""
        self.next = 0
        self.paid = 0

    @property
    def count(self) -> int:
        return len(self.batches) * self.options.rounds

    def take(self, pid: int) -> int | None:
        """Returns the place of an order that a process may have, or None; a bounded search."""
        if self.undelivered[pid] >= UNDELIVERED_MAX:
            return None
        place = self._take_returned(pid)
        if place is None:
            if self.next >= self.count:
                return None
            place, self.next = self.next, self.next + 1
        tries = self.tries.setdefault(place, {})
        tries[pid] = tries.get(pid, 0) + 1
        self.used_up[pid] += tries[pid] == TRIES_MAX
        return place

    def _take_returned(self, pid: int) -> int | None:
        for _ in range(min(SCAN_MAX, len(self.returned))):
            place = self.returned.popleft()
            if self.tries[place].get(pid, 0) < TRIES_MAX:
                return place
            self.returned.append(place)
        return None

    def is_over(self, pid: int) -> bool:
        """Returns whether a process without an order will get none of these any more."""
        left = self.count - self.paid - self.used_up[pid]
        return left == 0 or self.undelivered[pid] >= UNDELIVERED_MAX

    def give_back(self, pid: int, place: int) -> None:
        """Takes an order back that a process did not deliver."""
        self.returned.append(place)
        self.undelivered[pid] += 1

    def close(self, pid: int, place: int) -> None:
        """Notes that a process was paid for an order."""
        self.paid += 1
        self.undelivered.pop(pid, None)
        self.bound.pop(place, None)
        for other, tries in self.tries.pop(place).items():
            self.used_up[other] -= tries == TRIES_MAX

    @property
    def price_credits(self) -> int:
        macs = self.model.shapes.macs * self.options.batch
        return -(-self.config.pays_credits * macs // MACS_PER_PAYMENT)


class OrderBook:
    """The orders of a fleet, who has which, and what was paid.

    Args:
        rewards: the fleet's; those that do not pay for inferences are left out.
        ledger: pays; the sponsors are open there.
        models: by name.
        base_dir: folder that the paths of inputs start from.
        cluster_id, node_key: what claims must say, 32 bytes each.
        entropy: returns 32 bytes for a purpose; unpredictable, except in deterministic mode.

    Raises:
        ProofError: MX1705 when inputs cannot be read or do not fit their model.
        ConfigError: MX1731 when model and tier do not fit.
    """

    def __init__(
        self,
        rewards: Iterable[RewardConfig],
        ledger: Ledger,
        models: Mapping[str, RunModel],
        *,
        base_dir: Path,
        cluster_id: bytes,
        node_key: bytes,
        entropy: Callable[[str], bytes],
    ) -> None:
        self._ledger = ledger
        self._cluster_id = cluster_id
        self._node_key = node_key
        self._entropy = entropy
        self._payments = Payments()
        self._rewards: dict[str, _Reward] = {}
        self._held: dict[int, Issued] = {}
        self._issued = 0
        for config in rewards:
            if is_proof(config.resolver):
                self._rewards[config.name] = _open(config, models, base_dir)

    def model_of(self, reward: str) -> RunModel | None:
        """Returns the model of a reward that pays for inferences."""
        found = self._rewards.get(reward)
        return None if found is None else found.model

    def tier_of(self, reward: str) -> Tier:
        """Returns the tier that a reward asks for."""
        return self._rewards[reward].tier

    def options_of(self, reward: str) -> ProofOptions:
        """Returns what a reward orders."""
        return self._rewards[reward].options

    def held(self, pid: int) -> Issued | None:
        """Returns the order that a process has, paid or not."""
        return self._held.get(pid)

    def issue(
        self, pid: int, process_id: bytes, reward: str, *, payee: bytes, epoch: int, epochs: int
    ) -> Issued:
        """Hands a process its next order; one that it had and did not deliver goes back.

        Args:
            pid: whose.
            process_id: the hash of its key.
            reward: of the process.
            payee: id of its account.
            epoch: now.
            epochs: how many more the order is good for.

        Raises:
            NoOrder: none is left, or none now, or the escrow does not hold the price of one more.
        """
        self.give_back(pid)
        asked = self._rewards[reward]
        sponsor, price_credits = asked.config.sponsor, asked.price_credits
        if self._ledger.sponsor_balance(sponsor) < max(1, price_credits):
            raise NoOrder(is_final=True, is_unpaid=True)
        if self._ledger.free_balance(sponsor) < price_credits:
            # What others have may come back undelivered.
            raise NoOrder(is_final=asked.is_over(pid))
        place = asked.take(pid)
        if place is None:
            raise NoOrder(is_final=asked.is_over(pid))
        self._ledger.promise(sponsor, price_credits)
        self._issued += 1
        data = asked.batches[place % len(asked.batches)]
        if place not in asked.bound:
            nonce = self._entropy(f"buyer {reward} {place}")
            ints = np.frombuffer(data, "<i2").reshape(asked.options.batch, -1)
            asked.bound[place] = nonce, commit_tensor(b"in", ints, nonce)
        buyer_nonce, input_commitment = asked.bound[place]
        issued = Issued(
            number=self._issued,
            reward=reward,
            sponsor=sponsor,
            model=asked.model,
            tier=asked.tier,
            batch=asked.options.batch,
            input=data,
            place=place,
            price_credits=price_credits,
            order=Order(
                cluster_id=self._cluster_id,
                node_key=self._node_key,
                process_id=process_id,
                nonce=self._entropy(f"order {self._issued}"),
                buyer_nonce=buyer_nonce,
                model_digest=bytes.fromhex(asked.model.digest),
                input_commitment=input_commitment,
                batch=asked.options.batch,
                tier=asked.tier,
                # Credits for a million multiplications are ppm of a credit for one.
                price_ppm=asked.config.pays_credits,
                payee=payee,
                expires_epoch=epoch + epochs,
            ),
        )
        self._held[pid] = issued
        return issued

    def pay(self, pid: int, signed: SignedClaim, *, verified: bytes, epoch: int) -> Payment:
        """Pays a claim for the order that a process has, or refuses it.

        Args:
            pid: whose order; its lease is open.
            signed: what it handed in.
            verified: the digest of the claim whose proof was verified; others' proofs were not.
            epoch: in which it was handed in.

        Raises:
            ProofError: MX1711 to MX1714 and MX1706 as `Payments.accept`; nothing is paid.
        """
        issued = self._held[pid]

        def verify(claim: Claim) -> None:
            if claim.digest() != verified:
                raise ProofError("the proof of this claim was not verified", code="MX1706")

        claim = self._payments.accept(signed, issued.order, epoch=epoch, verify=verify)
        # Whoever was paid keeps the order until it takes another: a second claim for it is known.
        issued.is_paid = True
        self._rewards[issued.reward].close(pid, issued.place)
        paid = self._ledger.reward(pid, issued.sponsor, issued.price_credits, promised=True)
        if paid != issued.price_credits:
            raise InternalError(
                f"order {issued.number} pays {issued.price_credits} credits, {paid} were paid",
                code="MX1302",
            )
        return Payment(claim=claim, credits=paid)

    def give_back(self, pid: int) -> None:
        """Takes an order back from a process; one that is not paid is handed out again."""
        issued = self._held.pop(pid, None)
        if issued is not None and not issued.is_paid:
            self._ledger.release(issued.sponsor, issued.price_credits)
            self._rewards[issued.reward].give_back(pid, issued.place)

    def expire(self, epoch: int) -> None:
        """Takes orders back that were not delivered in time."""
        late = [
            pid
            for pid, issued in self._held.items()
            if not (issued.is_paid or issued.is_checked) and epoch > issued.order.expires_epoch
        ]
        for pid in late:
            self.give_back(pid)


def payee_id(account: str) -> bytes:
    """Returns the id of an account in claims: the SHA-256 of its name with a domain."""
    return hashlib.sha256(b"maxwell payee v1\0" + account.encode()).digest()


def _open(config: RewardConfig, models: Mapping[str, RunModel], base_dir: Path) -> _Reward:
    what = f"reward {config.name!r}"
    options = parse_proof(config.options, what=what)
    model = models[options.model]
    reward = _Reward(config, options, model)
    if (reward.tier is Tier.ZERO_KNOWLEDGE) != model.hiding and reward.tier.has_proof:
        raise ConfigError(
            f"{what}: tier {options.tier} with model {model.name!r}, which "
            f"{'hides' if model.hiding else 'does not hide'} its weights",
            code="MX1731",
            hint="tier T4 goes with hiding = true of the [[model]], tier T3 without",
        )
    if options.batch > model.batch_max:
        raise ConfigError(
            f"{what}: batch {options.batch}, model {model.name!r} takes {model.batch_max}",
            code="MX1731",
            hint="lower batch, or raise batch_max of the [[model]]",
        )
    ints = model.network.to_ints(read_inputs(base_dir / options.inputs, options.array, what))
    whole = len(ints) // options.batch
    if whole == 0:
        raise ProofError(
            f"{what}: {len(ints)} inputs are no batch of {options.batch}",
            code="MX1705",
            hint="lower batch, or give more inputs",
        )
    parts = np.split(ints[: whole * options.batch], whole)
    reward.batches = [to_bytes(part) for part in parts]
    return reward


def read_inputs(path: Path, array: str, what: str) -> NDArray[np.generic]:
    """Returns the inputs of a reward: a `.npy` file, or an array of an `.npz` file.

    Raises:
        ProofError: MX1705 when they cannot be read, or are too large.
    """
    if not array:
        return load_array(path, bytes_max=INPUT_BYTES_MAX)
    try:
        return load_packed(path, array, bytes_max=INPUT_BYTES_MAX)
    except ProofError as error:
        raise ProofError(f"{what}: {error.message}", code=error.code, hint=error.hint) from error
