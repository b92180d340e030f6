"""The ledger of a node: credits between accounts, leases, sponsors, the commons and the fire.

One credit is the right to draw one microjoule. All amounts are integers. Every entry moves credits
from one balance to another (`maxwell.market.book`), so that nothing is made or lost except by
`mint`, and every entry asserts conservation and that no balance is negative.

A **lease** is what the ledger lent to a process that lives in a cell. The cell's slot in shared
memory says what became of it; `settle` books what the slot says beyond the last call. Settlement
is monotone and idempotent: the same slot twice books nothing, and a slot that goes backwards is an
`InternalError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias, cast

import msgspec

from maxwell.errors import InsufficientEnergy, InternalError, LedgerError
from maxwell.market.book import COMMONS, FIRE, REQUESTS, TREASURY, Book, Key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from maxwell.market.book import Entry

ProcessId: TypeAlias = int | str
"""What names a process: its number (`Slot.pid`) or, in tools without slots, a text."""

MintLine: TypeAlias = Literal["opening", "budget", "power"]

BASIC_INCOME_NUMERATOR: Final = 3
BASIC_INCOME_DENOMINATOR: Final = 10
"""Three tenths of the commons' inflow of an epoch are paid out (contract 9)."""


class SlotLike(Protocol):
    """What the ledger reads of `maxwell._native.Slot`; all unsigned, cumulative or current."""

    @property
    def pid(self) -> int:
        """Number of the process."""
        ...

    @property
    def funded(self) -> int:
        """Credits ever received by the purse."""
        ...

    @property
    def returned(self) -> int:
        """Credits given back at the end."""
        ...

    @property
    def purse(self) -> int:
        """Credits now in the purse."""
        ...

    @property
    def escrow(self) -> int:
        """Credits now in the slice escrow."""
        ...

    @property
    def bond(self) -> int:
        """Credits now in the burial bond."""
        ...

    @property
    def burned(self) -> int:
        """Credits ever spent on process joules."""
        ...

    @property
    def premium(self) -> int:
        """Credits ever spent above cost price."""
        ...

    @property
    def rent(self) -> int:
        """Credits ever spent on memory and on being there."""
        ...

    @property
    def tax(self) -> int:
        """Credits ever spent on erasure."""
        ...

    @property
    def sent(self) -> int:
        """Credits ever sent to other processes."""
        ...

    @property
    def stake(self) -> int:
        """Credits now locked until questions are resolved."""
        ...

    @property
    def staked(self) -> int:
        """Credits ever handed over as stakes."""
        ...

    @property
    def energy_uj(self) -> int:
        """Metered process energy in µJ."""
        ...

    @property
    def uncollected_uj(self) -> int:
        """The part of it that nobody could pay, in µJ."""
        ...


Slots: TypeAlias = "Mapping[int, SlotLike] | Mapping[str, SlotLike] | Iterable[SlotLike]"
"""The slots of a node: a mapping by process, or the slots themselves, then known by their pid."""


class Credits(msgspec.Struct, frozen=True, kw_only=True):
    """Where the credits are: minted = held + leased + escrowed + burned + commons + expired."""

    minted: int
    held: int
    """Accounts and treasury."""
    leased: int
    """Purses, and what is on its way to or from one."""
    escrowed: int
    """Slice escrows, burial bonds, stakes and sponsors' escrows."""
    burned: int
    """Process joules collected."""
    commons: int
    """Premium, rent, erasure tax and admission, less the basic income paid."""
    expired: int
    """Always 0 in this version: credits do not age yet."""

    @property
    def conserved(self) -> bool:
        """Whether the parts sum to what was minted, none of them below zero."""
        parts = (self.held, self.leased, self.escrowed, self.burned, self.commons, self.expired)
        return min(parts) >= 0 and sum(parts) == self.minted


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One process's account by the books, cumulative; leased + rewards + received is the rest."""

    leased: int
    """From its account."""
    rewards: int
    received: int
    """From other processes."""
    admission: int
    burned: int
    premium: int
    rent: int
    tax: int
    sent: int
    """To other processes."""
    returned: int
    """Back to its account, at the end."""
    requests: int
    """For outbound requests."""
    stakes_lost: int
    """To sponsors."""
    balance: int
    """What it holds: slice escrow, bond, stakes, requests in advance, and what is on its way."""


class _Lease(msgspec.Struct):
    """What the ledger has booked of one process; every field only grows, except `is_open`."""

    account: str
    granted: int = 0
    """Credits handed to the process, admission deducted; at least the slot's `funded`."""
    burned: int = 0
    premium: int = 0
    rent: int = 0
    tax: int = 0
    sent: int = 0
    """Booked transfers."""
    leased: int = 0
    rewards: int = 0
    received: int = 0
    admission: int = 0
    given_back: int = 0
    """Credits that went back to the account when it was closed."""
    requests_held: int = 0
    """Of `sent`, what was taken in advance for outbound requests."""
    requests_open: int = 0
    """Of it, what is not settled."""
    requests_paid: int = 0
    host_burned: int = 0
    """Burned by the host on the process's behalf: inferences and proofs."""
    host_premium: int = 0
    stakes_lost: int = 0
    staked: int = 0
    """Booked stakes; what was not lost of them was granted again."""
    returned: int = 0
    funded_seen: int = 0
    sent_seen: int = 0
    staked_seen: int = 0
    is_open: bool = True


class Ledger:
    """Double entry over one node's credits. Not thread-safe; deterministic; O(1) an entry.

    Args:
        journal: called with every entry after it is booked, for an audit file or a test.
    """

    def __init__(self, *, journal: Callable[[Entry], None] | None = None) -> None:
        self._book = Book(journal=journal)
        self._leases: dict[ProcessId, _Lease] = {}
        self._promised: dict[str, int] = {}
        self._minted_by_line: dict[str, int] = {}
        self._commons_inflow = 0
        self._income_paid_up_to = 0
        self._income_paid = 0

    # Minting and funding.

    def mint(self, credits: int, *, line: MintLine) -> None:
        """Mints credits into the treasury.

        Args:
            credits: how many, not negative.
            line: why: `opening` funds under a power cap, the `budget`, or an epoch's `power`.
        """
        self._book.mint(credits, kind=f"mint {line}")
        self._minted_by_line[line] = self._minted_by_line.get(line, 0) + credits

    def minted(self, line: MintLine) -> int:
        """Returns what was minted under one line so far."""
        return self._minted_by_line.get(line, 0)

    def open_account(self, name: str) -> None:
        """Opens an account with a balance of zero.

        Raises:
            LedgerError: MX1300 when it is open already.
        """
        self._book.open(("account", name))

    def open_sponsor(self, name: str) -> None:
        """Opens a sponsor with an escrow of zero.

        Raises:
            LedgerError: MX1300 when it is open already.
        """
        self._book.open(("sponsor", name))

    def fund_account(self, name: str, credits: int) -> None:
        """Moves credits from the treasury to an account.

        Raises:
            InsufficientEnergy: MX1301 when the treasury holds less.
            LedgerError: MX1300 when there is no such account.
        """
        self._book.post(TREASURY, ("account", name), credits, kind="fund account")

    def fund_sponsor(self, name: str, credits: int) -> None:
        """Moves credits from the treasury to a sponsor's escrow.

        Raises:
            InsufficientEnergy: MX1301 when the treasury holds less.
            LedgerError: MX1300 when there is no such sponsor.
        """
        self._book.post(TREASURY, ("sponsor", name), credits, kind="fund sponsor")

    # Reading.

    def balance(self, name: str) -> int:
        """Returns the balance of an account.

        Raises:
            LedgerError: MX1300 when there is no such account.
        """
        return self._book.balance(("account", name))

    def sponsor_balance(self, name: str) -> int:
        """Returns what is left in a sponsor's escrow.

        Raises:
            LedgerError: MX1300 when there is no such sponsor.
        """
        return self._book.balance(("sponsor", name))

    def free_balance(self, name: str) -> int:
        """Returns what is left in a sponsor's escrow and not promised to anybody.

        Raises:
            LedgerError: MX1300 when there is no such sponsor.
        """
        return self.sponsor_balance(name) - self._promised.get(name, 0)

    def treasury(self) -> int:
        """Returns what was minted and not handed out."""
        return self._book.balance(TREASURY)

    def commons(self) -> int:
        """Returns the balance of the commons."""
        return self._book.balance(COMMONS)

    def commons_inflow(self) -> int:
        """Returns what ever flowed into the commons: premium, rent, tax and admission."""
        return self._commons_inflow

    def income_paid(self) -> int:
        """Returns what ever flowed out of the commons as basic income."""
        return self._income_paid

    def lease_balance(self, process: ProcessId) -> int:
        """Returns what a process holds by the books: what was granted and is not yet spent.

        Before the first settlement this is what its purse is to be filled with.

        Raises:
            LedgerError: MX1300 when the process has no lease.
        """
        return self._book.balance(("lease", process))

    def is_leased(self, process: ProcessId) -> bool:
        """Returns whether the process has an open lease."""
        lease = self._leases.get(process)
        return lease is not None and lease.is_open

    def statement(self, process: ProcessId) -> Statement:
        """Returns a process's account by the books, whether its lease is open or closed. O(1).

        Raises:
            LedgerError: MX1300 when the process never had a lease.
        """
        lease = self._leases.get(process)
        if lease is None:
            raise LedgerError(f"process {process!r} has no lease")
        return Statement(
            leased=lease.leased,
            rewards=lease.rewards,
            received=lease.received,
            admission=lease.admission,
            burned=lease.burned + lease.host_burned,
            premium=lease.premium + lease.host_premium,
            rent=lease.rent,
            tax=lease.tax,
            sent=lease.sent - lease.requests_held,
            returned=lease.given_back,
            requests=lease.requests_paid,
            stakes_lost=lease.stakes_lost,
            balance=self.lease_balance(process) + lease.requests_open,
        )

    # Leases.

    def lease(self, process: ProcessId, account: str, credits: int) -> None:
        """Moves credits from an account to a process; opens its lease the first time.

        Raises:
            InsufficientEnergy: MX1301 when the account holds less.
            LedgerError: MX1300 when there is no such account, the lease is closed, or it belongs
                to another account.
        """
        known = self._leases.get(process)
        if known is not None and (not known.is_open or known.account != account):
            why = "closed" if not known.is_open else f"of account {known.account!r}"
            raise LedgerError(f"lease of process {process!r} is {why}")
        if self._book.balance(("account", account)) < credits:
            raise InsufficientEnergy(
                f"account {account!r} holds {self.balance(account)} credits, "
                f"process {process!r} asks for {credits}",
                hint="raise the account's funds or lower the process's",
            )
        if known is None:
            self._book.open(("lease", process))
            known = self._leases[process] = _Lease(account)
        self._book.post(("account", account), ("lease", process), credits, kind="lease")
        known.granted += credits
        known.leased += credits

    def promise(self, sponsor: str, credits: int) -> None:
        """Keeps credits of a sponsor's escrow for `reward(…, promised=True)`; nothing moves.

        Raises:
            LedgerError: MX1300 when the sponsor does not exist or has less that is not promised.
        """
        if not 0 <= credits <= self.free_balance(sponsor):
            raise LedgerError(f"sponsor {sponsor!r} cannot promise {credits} credits")
        self._promised[sponsor] = self._promised.get(sponsor, 0) + credits

    def release(self, sponsor: str, credits: int) -> None:
        """Takes a promise back.

        Raises:
            LedgerError: MX1300 when less is promised.
        """
        if not 0 <= credits <= self._promised.get(sponsor, 0):
            raise LedgerError(f"sponsor {sponsor!r} has not promised {credits} credits")
        self._promised[sponsor] -= credits

    def reward(
        self, process: ProcessId, sponsor: str, credits: int, *, promised: bool = False
    ) -> int:
        """Pays a process from a sponsor's escrow, as far as what is free there reaches.

        Args:
            process: whom.
            sponsor: who pays.
            credits: how much.
            promised: whether these were promised; they are paid in full then, and no more promised.

        Returns:
            Credits paid: `credits`, less when less is free, 0 when nothing is.

        Raises:
            LedgerError: MX1300 when the sponsor does not exist, the lease is not open, or less was
                promised.
        """
        lease = self._open(process)
        if promised:
            self.release(sponsor, credits)
        paid = min(credits, self.free_balance(sponsor))
        self._book.post(("sponsor", sponsor), ("lease", process), paid, kind="reward")
        lease.granted += paid
        lease.rewards += paid
        return paid

    def admission(self, process: ProcessId, credits: int) -> None:
        """Takes the price of admission from a lease, before its purse is filled.

        Raises:
            InsufficientEnergy: MX1301 when the lease holds less.
            LedgerError: MX1300 when the lease is not open or its purse is filled already.
        """
        lease = self._open(process)
        if lease.funded_seen:
            raise LedgerError(f"process {process!r} was admitted already")
        if self.lease_balance(process) < credits:
            raise InsufficientEnergy(
                f"admission of process {process!r} costs {credits} credits, "
                f"its funds are {self.lease_balance(process)}",
                hint="raise the process's funds",
            )
        self._to_commons(process, credits, kind="admission")
        lease.granted -= credits
        lease.admission += credits

    def transfer(self, process_from: ProcessId, process_to: ProcessId, credits: int) -> None:
        """Moves credits that a process sent to another, after its slot's `sent` says so.

        Raises:
            InsufficientEnergy: MX1301 when the sender's lease holds less.
            LedgerError: MX1300 when either lease is not open.
        """
        sender, receiver = self._open(process_from), self._open(process_to)
        self._book.post(("lease", process_from), ("lease", process_to), credits, kind="transfer")
        sender.sent += credits
        receiver.granted += credits
        receiver.received += credits

    def hold_request(self, process: ProcessId, credits: int) -> None:
        """Sets the price in advance of an outbound request apart, after its slot's `sent` says so.

        Raises:
            InsufficientEnergy: MX1301 when the lease holds less.
            LedgerError: MX1300 when the lease is not open.
        """
        lease = self._open(process)
        self._book.post(("lease", process), REQUESTS, credits, kind="request held")
        lease.sent += credits
        lease.requests_held += credits
        lease.requests_open += credits

    def settle_request(self, process: ProcessId, held: int, price: int) -> bool:
        """Pays the commons for an outbound request and gives the rest back.

        Args:
            process: who asked.
            held: what `hold_request` set apart.
            price: of it, what the request costs; at most `held`.

        Returns:
            Whether the rest went into the lease, and its purse must be told; else the process is
            no more and its account has it.

        Raises:
            LedgerError: MX1300 when it never had a lease or the price is above what was held.
        """
        lease = self._leases.get(process)
        if lease is None or not 0 <= price <= held:
            raise LedgerError(f"request of process {process!r}: {price} of {held} credits")
        self._book.post(REQUESTS, COMMONS, price, kind="request")
        self._commons_inflow += price
        rest = held - price
        target: Key = ("lease", process) if lease.is_open else ("account", lease.account)
        self._book.post(REQUESTS, target, rest, kind="request returned")
        lease.requests_open -= held
        lease.requests_paid += price
        if lease.is_open:
            lease.granted += rest
        else:
            lease.given_back += rest
        return lease.is_open

    def settle_inference(self, process: ProcessId, held: int, *, burned: int, premium: int) -> bool:
        """Burns what the host spent on a process's inference and gives the rest back.

        Args:
            process: who asked.
            held: what `hold_request` set apart.
            burned: of it, metered joules.
            premium: of it, what was charged above cost price.

        Returns:
            As `settle_request`.

        Raises:
            LedgerError: MX1300 when it never had a lease, or more is charged than was held.
        """
        lease = self._leases.get(process)
        if lease is None or min(burned, premium) < 0 or burned + premium > held:
            raise LedgerError(
                f"inference of process {process!r}: {burned} and {premium} of {held} credits"
            )
        self._book.post(REQUESTS, FIRE, burned, kind="burn inference")
        self._book.post(REQUESTS, COMMONS, premium, kind="premium")
        self._commons_inflow += premium
        rest = held - burned - premium
        target: Key = ("lease", process) if lease.is_open else ("account", lease.account)
        self._book.post(REQUESTS, target, rest, kind="inference returned")
        lease.requests_open -= held
        lease.host_burned += burned
        lease.host_premium += premium
        if lease.is_open:
            lease.granted += rest
        else:
            lease.given_back += rest
        return lease.is_open

    def take_stake(self, process: ProcessId, credits: int) -> None:
        """Books a stake that a process handed over, after its slot's `staked` says so.

        The credits stay in the lease and are granted again: tell the purse of what `forfeit` does
        not take.

        Raises:
            InsufficientEnergy: MX1301 when the lease holds less.
            LedgerError: MX1300 when the lease is not open.
        """
        lease = self._open(process)
        if self.lease_balance(process) < credits:
            raise InsufficientEnergy(f"process {process!r} staked {credits} credits it lacks")
        lease.staked += credits
        lease.granted += credits

    def forfeit(self, process: ProcessId, sponsor: str, credits: int) -> None:
        """Moves what was lost of a stake that `take_stake` booked to the sponsor's escrow.

        Raises:
            InsufficientEnergy: MX1301 when the lease holds less.
            LedgerError: MX1300 when the sponsor does not exist or the lease is not open.
        """
        lease = self._open(process)
        self._book.post(("lease", process), ("sponsor", sponsor), credits, kind="stake")
        lease.granted -= credits
        lease.stakes_lost += credits
        if lease.granted < lease.funded_seen:
            raise InternalError(
                f"process {process!r} lost {credits} credits that its purse was told of",
                code="MX1304",
            )

    def settle(self, process: ProcessId, slot: SlotLike) -> None:
        """Books what the slot says since the last call: burned, premium, rent and tax.

        Idempotent: the same slot again books nothing. Credits in `sent` are booked by `transfer`.

        Raises:
            InternalError: MX1303 when the slot breaks its invariant, MX1304 when it goes
                backwards or holds credits that were never granted. Nothing is booked.
            LedgerError: MX1300 when the lease is not open.
        """
        lease = self._open(process)
        _check_slot(process, slot)
        _check_monotone(process, lease, slot)
        burned = slot.burned - lease.burned
        premium = slot.premium - lease.premium
        rent = slot.rent - lease.rent
        tax = slot.tax - lease.tax
        self._book.post(("lease", process), FIRE, burned, kind="burn")
        self._to_commons(process, premium, kind="premium")
        self._to_commons(process, rent, kind="rent")
        self._to_commons(process, tax, kind="tax")
        lease.burned, lease.premium = slot.burned, slot.premium
        lease.rent, lease.tax = slot.rent, slot.tax
        lease.returned = slot.returned
        lease.funded_seen, lease.sent_seen = slot.funded, slot.sent
        lease.staked_seen = slot.staked
        held = slot.purse + slot.escrow + slot.bond + slot.stake
        if self.lease_balance(process) < held:
            raise InternalError(
                f"slot of process {process!r} holds {held} credits, "
                f"its lease {self.lease_balance(process)}",
                code="MX1304",
            )

    def close(self, process: ProcessId, slot: SlotLike | None) -> int:
        """Settles a last time and gives what is left of the lease back to its account.

        That includes credits still in the purse, escrow or bond of a cell that was killed, and
        credits that were granted and never reached the purse. A `sent` that was not booked by
        `transfer` before goes back too, and so does a `staked` without `take_stake`.

        Args:
            process: whose lease.
            slot: its slot, or None for a process that never got one.

        Returns:
            Credits given back.

        Raises:
            InternalError: as `settle`.
            LedgerError: MX1300 when the lease is not open.
        """
        lease = self._open(process)
        if slot is not None:
            self.settle(process, slot)
        left = self.lease_balance(process)
        self._book.post(("lease", process), ("account", lease.account), left, kind="return")
        if self.lease_balance(process) != 0:
            raise InternalError(
                f"lease of process {process!r} is closed with {self.lease_balance(process)} left",
                code="MX1302",
            )
        lease.is_open = False
        lease.given_back = left
        return left

    # The commons.

    def basic_income(self, accounts: Sequence[str]) -> int:
        """Pays three tenths of the commons' inflow since the last call, equally.

        Floor division twice; what does not divide stays in the commons. Called once an epoch. With
        no accounts nothing is paid, and that epoch's inflow stays in the commons for good.

        Args:
            accounts: names, each once: the non-sponsor accounts with a live process.

        Returns:
            Credits that each account received.

        Raises:
            LedgerError: MX1300 when an account does not exist or is named twice. Nothing is paid.
        """
        if len(set(accounts)) != len(accounts):
            raise LedgerError(f"basic income: an account is named twice: {list(accounts)}")
        for name in accounts:
            self.balance(name)
        inflow = self._commons_inflow - self._income_paid_up_to
        self._income_paid_up_to = self._commons_inflow
        if not accounts:
            return 0
        pool = inflow * BASIC_INCOME_NUMERATOR // BASIC_INCOME_DENOMINATOR
        each = pool // len(accounts)
        if not each * len(accounts) <= pool <= inflow:
            raise InternalError(
                f"basic income: {each} to each of {len(accounts)} from {pool} of {inflow}",
                code="MX1302",
            )
        for name in accounts:
            self._book.post(COMMONS, ("account", name), each, kind="basic income")
            self._income_paid += each
        return each

    # Conservation.

    def totals(self, slots: Slots) -> Credits:
        """Returns where all credits are, reading open leases through their slots.

        What a slot has spent since the last `settle` still counts as leased. A process without a
        slot here counts its whole lease as leased; slots of closed leases are ignored.

        Raises:
            InternalError: MX1303 when a slot breaks its invariant, MX1304 when it holds credits
                that were never granted to it.
        """
        escrowed = self._book.total("sponsor") + self._book.total("request")
        leased = 0
        seen: set[ProcessId] = set()
        for process, slot in _by_process(slots):
            lease = self._leases.get(process)
            if lease is None:
                if slot.funded:
                    raise InternalError(
                        f"process {process!r} holds {slot.funded} credits without a lease",
                        code="MX1304",
                    )
                continue
            if not lease.is_open:
                continue
            _check_slot(process, slot)
            _check_monotone(process, lease, slot)
            seen.add(process)
            escrowed += slot.escrow + slot.bond + slot.stake
            leased += (
                slot.purse
                + (lease.granted - slot.funded)
                + (slot.burned - lease.burned)
                + (slot.premium - lease.premium)
                + (slot.rent - lease.rent)
                + (slot.tax - lease.tax)
                + (slot.sent - lease.sent)
                + (slot.staked - lease.staked)
                + slot.returned
            )
        leased += sum(
            self.lease_balance(process)
            for process, lease in self._leases.items()
            if lease.is_open and process not in seen
        )
        return Credits(
            minted=self._book.minted,
            held=self._book.total("account") + self.treasury(),
            leased=leased,
            escrowed=escrowed,
            burned=self._book.balance(FIRE),
            commons=self.commons(),
            expired=0,
        )

    def check(self, slots: Slots) -> None:
        """Checks conservation over the books and the slots together. O(all balances).

        `totals` counts leases through the slots, not through the books, so that this compares two
        independent counts.

        Raises:
            InternalError: MX1302 when the parts do not sum to what was minted or a promise is not
                covered, MX1303 or MX1304 as `totals`.
        """
        self._book.check()
        self._check_promises()
        totals = self.totals(slots)
        if not totals.conserved:
            raise InternalError(f"credits are not conserved: {totals}", code="MX1302")

    def _check_promises(self) -> None:
        for sponsor in self._promised:
            if self.free_balance(sponsor) < 0:
                raise InternalError(
                    f"sponsor {sponsor!r} promised {self._promised[sponsor]} credits and has "
                    f"{self.sponsor_balance(sponsor)}",
                    code="MX1302",
                )

    def _open(self, process: ProcessId) -> _Lease:
        lease = self._leases.get(process)
        if lease is None or not lease.is_open:
            why = "no lease" if lease is None else "a closed lease"
            raise LedgerError(f"process {process!r} has {why}")
        return lease

    def _to_commons(self, process: ProcessId, credits: int, *, kind: str) -> None:
        self._book.post(("lease", process), COMMONS, credits, kind=kind)
        self._commons_inflow += credits


def _by_process(slots: Slots) -> Iterable[tuple[ProcessId, SlotLike]]:
    if isinstance(slots, Mapping):
        return list(cast(Mapping[ProcessId, SlotLike], slots).items())
    return [(slot.pid, slot) for slot in slots]


def _check_slot(process: ProcessId, slot: SlotLike) -> None:
    spent = slot.burned + slot.premium + slot.rent + slot.tax
    held = slot.purse + slot.escrow + slot.bond + slot.stake
    accounted = held + spent + slot.sent + slot.staked + slot.returned
    if slot.funded != accounted:
        raise InternalError(
            f"slot of process {process!r}: funded {slot.funded}, accounted for {accounted}",
            code="MX1303",
        )
    if slot.energy_uj != slot.burned + slot.uncollected_uj:
        raise InternalError(
            f"slot of process {process!r}: metered {slot.energy_uj} uJ, burned {slot.burned}, "
            f"uncollected {slot.uncollected_uj}",
            code="MX1303",
        )


def _check_monotone(process: ProcessId, lease: _Lease, slot: SlotLike) -> None:
    for name, now, before in (
        ("burned", slot.burned, lease.burned),
        ("premium", slot.premium, lease.premium),
        ("rent", slot.rent, lease.rent),
        ("tax", slot.tax, lease.tax),
        ("returned", slot.returned, lease.returned),
        ("funded", slot.funded, lease.funded_seen),
        ("sent", slot.sent, max(lease.sent, lease.sent_seen)),
        ("staked", slot.staked, max(lease.staked, lease.staked_seen)),
    ):
        if now < before:
            raise InternalError(
                f"slot of process {process!r} went backwards: {name} {before} to {now}",
                code="MX1304",
            )
    if slot.funded > lease.granted:
        raise InternalError(
            f"slot of process {process!r} was funded {slot.funded}, "
            f"the ledger granted {lease.granted}",
            code="MX1304",
        )


__all__ = ["Credits", "Key", "Ledger", "MintLine", "ProcessId", "SlotLike", "Slots"]
