"""Goal: an order is paid once, for what was ordered, from its model's shapes, whatever guests try.

Method: real claims of a real desk against the book, by hand and by a state machine.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inference.fleet import MACS, MLP, inputs, network
from maxwell.config import ModelConfig, RewardConfig
from maxwell.errors import ConfigError, LedgerError, ProofError
from maxwell.inference.costs import Shapes
from maxwell.inference.desk import Desk
from maxwell.inference.jobs import Job
from maxwell.inference.layout import pack_answer, parse_delivery
from maxwell.inference.models import RunModel, load_models
from maxwell.inference.worker import Worker
from maxwell.market.ledger import Ledger
from maxwell.market.orders import (
    INPUT_BYTES_MAX,
    SCAN_MAX,
    TRIES_MAX,
    UNDELIVERED_MAX,
    Issued,
    NoOrder,
    OrderBook,
    payee_id,
    read_inputs,
)
from maxwell.market.proof_options import parse_proof
from maxwell.proofs.backend import to_bytes
from maxwell.proofs.claims import SignedClaim, commit_tensor
from maxwell.proofs.model import ProofModel
from maxwell.proofs.proof import Model
from maxwell.proofs.secret_vectors import SecretVectors, sums_of
from maxwell.proofs.store import ModelStore
from maxwell.proofs.tiers import Tier

pytestmark = pytest.mark.native

PAYS = 1_000_000
PRICE = -(-PAYS * MACS * 2 // 1_000_000)
DIGEST = bytes(range(32))


def entropy(purpose: str) -> bytes:
    import hashlib

    return hashlib.sha256(purpose.encode()).digest()


def model() -> RunModel:
    return RunModel(
        name="digits",
        digest=DIGEST.hex(),
        hiding=False,
        batch_max=64,
        shapes=Shapes.of(network().proof_model),
        network=network(),
    )


class Market:
    """A book with one reward, and the desk that makes claims for it."""

    def __init__(
        self, folder: Path, *, rows: int = 8, escrow: int = 10**9, rounds: int = 1
    ) -> None:
        np.save(folder / "x.npy", inputs(rows))
        self.ledger = Ledger()
        self.ledger.mint(escrow + 1_000, line="budget")
        self.ledger.open_sponsor("school")
        self.ledger.fund_sponsor("school", escrow)
        self.ledger.open_account("lab")
        self.ledger.fund_account("lab", 1_000)
        self.desk = Desk(Ed25519PrivateKey.generate(), entropy=entropy, interval_ppm=400_000)
        self.book = OrderBook(
            [
                RewardConfig(
                    sponsor="school",
                    name="digits",
                    resolver="proof",
                    pays_credits=PAYS,
                    options={"model": "digits", "inputs": "x.npy", "batch": 2, "rounds": rounds},
                )
            ],
            self.ledger,
            {"digits": model()},
            base_dir=folder,
            cluster_id=self.desk.cluster_id,
            node_key=self.desk.node_key,
            entropy=entropy,
        )

    def join(self, pid: int) -> None:
        self.ledger.lease(pid, "lab", 1)

    def take(self, pid: int, epoch: int = 0) -> Issued:
        return self.book.issue(
            pid, self.desk.process_id(pid), "digits", payee=payee_id("lab"), epoch=epoch, epochs=10
        )

    def claim(self, pid: int, issued: Issued, **changes: object) -> SignedClaim:
        order = issued.order
        ints = np.frombuffer(issued.input, "<i2").reshape(issued.batch, -1)
        values: dict[str, object] = {
            "tier": issued.tier,
            "nonce": order.nonce,
            "buyer_nonce": order.buyer_nonce,
            "model_digest": DIGEST,
            "batch": issued.batch,
            "commitments": (commit_tensor(b"in", ints, order.buyer_nonce), bytes(32)),
            "slice_id": 1,
            "epoch": 0,
            "expires_epoch": order.expires_epoch,
            "fuel": 8,
            "energy_uj": 100,
            "price_ppm": order.price_ppm,
            "payee": order.payee,
        }
        return self.desk.claim(pid, **{**values, **changes})[1]  # pyright: ignore[reportArgumentType]

    def pay(self, pid: int, signed: SignedClaim, epoch: int = 0) -> int:
        verified = signed.check().digest()
        return self.book.pay(pid, signed, verified=verified, epoch=epoch).credits


@pytest.fixture
def market(tmp_path: Path) -> Market:
    market = Market(tmp_path)
    market.join(1)
    market.join(2)
    return market


def test_an_order_pays_its_shapes_once(market: Market) -> None:
    issued = market.take(1)
    assert issued.input == to_bytes(inputs(2))
    assert issued.price_credits == PRICE
    signed = market.claim(1, issued, fuel=10**9, energy_uj=10**9)
    assert market.pay(1, signed) == PRICE, "never what the claim says"
    with pytest.raises(ProofError) as caught:
        market.pay(1, signed)
    assert caught.value.code == "MX1714"
    assert market.ledger.sponsor_balance("school") == 10**9 - PRICE


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"nonce": bytes(32)}, "MX1712"),
        ({"buyer_nonce": bytes(32)}, "MX1712"),
        ({"model_digest": bytes(32)}, "MX1712"),
        ({"batch": 1}, "MX1712"),
        ({"commitments": (bytes(32), bytes(32))}, "MX1712"),
        ({"tier": Tier.SUCCINCT}, "MX1712"),
        ({"payee": payee_id("other")}, "MX1712"),
        ({"price_ppm": PAYS + 1}, "MX1712"),
        ({"expires_epoch": 0}, "MX1713"),
    ],
)
def test_a_claim_about_something_else_earns_nothing(
    market: Market, changes: dict[str, object], code: str
) -> None:
    issued = market.take(1)
    with pytest.raises(ProofError) as caught:
        market.pay(1, market.claim(1, issued, **changes), epoch=5)
    assert caught.value.code == code
    assert market.ledger.sponsor_balance("school") == 10**9
    assert market.pay(1, market.claim(1, issued), epoch=5) == PRICE, "the honest one still counts"


def test_another_processs_claim_earns_nothing(market: Market) -> None:
    mine, other = market.take(1), market.take(2)
    with pytest.raises(ProofError) as caught:
        market.pay(2, market.claim(1, mine))
    assert caught.value.code == "MX1712"
    # Nor does a claim of one's own about the order of somebody else.
    with pytest.raises(ProofError) as caught:
        market.pay(2, market.claim(2, mine))
    assert caught.value.code == "MX1712"
    assert market.pay(2, market.claim(2, other)) == PRICE


def test_an_expired_order_goes_to_somebody_else_under_another_nonce(market: Market) -> None:
    first = market.take(1)
    market.book.expire(11)
    assert market.book.held(1) is None
    second = market.take(2, epoch=11)
    assert second.place == first.place
    assert second.order.buyer_nonce == first.order.buyer_nonce, "the buyer's order is the same"
    assert second.order.nonce != first.order.nonce
    assert market.pay(2, market.claim(2, second), epoch=12) == PRICE


def test_what_is_being_checked_does_not_expire(market: Market) -> None:
    issued = market.take(1)
    issued.is_checked = True
    market.book.expire(11)
    assert market.book.held(1) is issued
    assert no_order_for_its_place(market, 2, issued)
    # Handed in at the last moment, paid when it was found right.
    assert market.pay(1, market.claim(1, issued), epoch=10) == PRICE
    late = market.take(1, epoch=11)
    late.is_checked = True
    late.is_checked = False
    market.book.expire(22)
    assert market.book.held(1) is None, "what was found wrong expires as before"


def no_order_for_its_place(market: Market, pid: int, issued: Issued) -> bool:
    taken = [market.take(pid).place for _ in range(3)]
    market.book.give_back(pid)
    return issued.place not in taken


def test_no_other_reward_is_paid_out_of_what_orders_promise(tmp_path: Path) -> None:
    """A sponsor with one escrow for inferences and for other results."""
    market = Market(tmp_path, escrow=2 * PRICE + 7)
    market.join(1)
    market.join(2)
    first, second = market.take(1), market.take(2)
    assert market.ledger.free_balance("school") == 7
    assert market.ledger.reward(2, "school", 10**9) == 7, "what is free, and no more"
    assert market.ledger.reward(2, "school", 10**9) == 0
    market.ledger.check({})
    assert market.pay(1, market.claim(1, first)) == PRICE
    assert market.ledger.reward(2, "school", 1) == 0
    # What comes back undelivered is free again.
    assert market.book.held(2) is second
    market.book.give_back(2)
    assert market.ledger.reward(2, "school", 10**9) == PRICE
    assert market.ledger.sponsor_balance("school") == 0
    market.ledger.check({})


def test_promises_are_covered_and_taken_back_once(market: Market) -> None:
    ledger = market.ledger
    for credits in (10**9 + 1, -1):
        with pytest.raises(LedgerError):
            ledger.promise("school", credits)
    ledger.promise("school", 10**9)
    with pytest.raises(LedgerError):
        ledger.promise("school", 1)
    ledger.release("school", 10**9)
    with pytest.raises(LedgerError):
        ledger.release("school", 1)
    with pytest.raises(LedgerError):
        ledger.reward(1, "school", 1, promised=True)
    assert ledger.free_balance("school") == 10**9


def test_nobody_keeps_an_order_from_others_by_failing_at_it(market: Market) -> None:
    taken = Counter(market.take(1).place for _ in range(4 * TRIES_MAX))
    assert set(taken.values()) == {TRIES_MAX}
    with pytest.raises(NoOrder) as caught:
        market.take(1)
    assert caught.value.is_final, "there is nothing for this process any more"
    assert market.take(2).place in taken


def no_order(market: Market, pid: int, epoch: int = 0) -> tuple[bool, bool]:
    with pytest.raises(NoOrder) as caught:
        market.take(pid, epoch)
    return caught.value.is_final, caught.value.is_unpaid


def test_nobody_waits_for_orders_that_it_had_too_often(market: Market) -> None:
    for _ in range(4 * TRIES_MAX):
        market.take(1)
    market.book.give_back(1)
    held = market.take(2)
    assert no_order(market, 1) == (True, False), "what comes back is not for this process"
    assert market.pay(2, market.claim(2, held)) == PRICE
    market.join(3)
    for _ in range(3):
        third = market.take(3)
        assert market.pay(3, market.claim(3, third)) == PRICE
    assert no_order(market, 2) == no_order(market, 3) == (True, False)


def test_who_asks_in_a_loop_and_never_delivers_is_refused(tmp_path: Path) -> None:
    market = Market(tmp_path, rounds=50)
    market.join(1)
    market.join(2)
    for _ in range(UNDELIVERED_MAX):
        market.take(1)
    assert no_order(market, 1) == (True, False)
    for _ in range(200):
        assert market.pay(2, market.claim(2, market.take(2))) == PRICE, "all are for others"
    assert no_order(market, 2) == (True, False)


def test_a_search_is_bounded_and_goes_on_where_it_ended(tmp_path: Path) -> None:
    market = Market(tmp_path, rounds=50)
    for pid in (1, 2):
        market.join(pid)
    # Delivering now and then, a process uses up more orders than one search looks at.
    taken: Counter[int] = Counter()
    paid: set[int] = set()
    waits = most = 0
    while True:
        try:
            issued = market.take(1)
        except NoOrder as no:
            if no.is_final:
                break
            waits += 1
            most = max(most, waits)
            continue
        waits = 0
        taken[issued.place] += 1
        if taken.total() % (UNDELIVERED_MAX - 1) == 0:
            assert market.pay(1, market.claim(1, issued)) == PRICE
            paid.add(issued.place)
    assert len(taken) == 200
    assert all(taken[place] == TRIES_MAX for place in set(taken) - paid), "none was passed over"
    assert 0 < most <= 200 // SCAN_MAX, "one call looks at so many, and the next at others"
    for _ in range(200 - len(paid)):
        assert market.pay(2, market.claim(2, market.take(2))) == PRICE


def test_the_price_of_an_order_in_hand_is_set_apart(tmp_path: Path) -> None:
    market = Market(tmp_path, escrow=2 * PRICE - 1)
    market.join(1)
    market.join(2)
    market.take(1)
    assert no_order(market, 2) == (False, False), "the first may come back"
    market.book.expire(11)
    second = market.take(2, epoch=11)
    assert no_order(market, 1, epoch=11) == (False, False)
    market.book.give_back(2)
    second = market.take(2, epoch=11)
    assert market.pay(2, market.claim(2, second), epoch=12) == PRICE, "whole, for its output"
    assert no_order(market, 1) == no_order(market, 2) == (True, True)
    assert market.ledger.sponsor_balance("school") == PRICE - 1


def test_a_proof_that_was_not_verified_pays_nothing(tmp_path: Path) -> None:
    market = Market(tmp_path)
    market.join(1)
    issued = market.take(1)
    issued.order = replace(issued.order, tier=Tier.SUCCINCT)
    signed = market.claim(1, issued, tier=Tier.SUCCINCT)
    with pytest.raises(ProofError) as caught:
        market.book.pay(1, signed, verified=bytes(32), epoch=0)
    assert caught.value.code == "MX1706"


class Orders(RuleBasedStateMachine):
    """Three processes that take, deliver honestly or not, expire and die in any order."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.market = Market(Path(self.folder.name), rows=6, rounds=2, escrow=4 * PRICE + 7)
        self.epoch = 0
        self.paid: Counter[int] = Counter()
        self.credits = 0
        self.old: list[tuple[int, SignedClaim]] = []
        for pid in (1, 2, 3):
            self.market.join(pid)

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(pid=st.integers(1, 3))
    def take(self, pid: int) -> None:
        try:
            issued = self.market.take(pid, self.epoch)
        except NoOrder:
            return
        assert self.paid[issued.place] == 0, "a paid order is handed out again"
        self.old.append((pid, self.market.claim(pid, issued)))

    @rule(pid=st.integers(1, 3), which=st.integers(0, 100))
    @precondition(lambda self: self.old)
    def deliver(self, pid: int, which: int) -> None:
        issued = self.market.book.held(pid)
        if issued is None:
            return
        maker, signed = self.old[which % len(self.old)]
        mine = maker == pid and signed.check().statement().nonce == issued.order.nonce
        try:
            credits = self.market.pay(pid, signed, self.epoch)
        except ProofError:
            late = self.epoch > issued.order.expires_epoch
            assert not mine or late or issued.place in self.paid
            return
        assert mine
        assert credits == PRICE, "somebody worked for less than was promised"
        self.paid[issued.place] += 1
        self.credits += credits

    @rule(epochs=st.integers(1, 20))
    def wait(self, epochs: int) -> None:
        self.epoch += epochs
        self.market.book.expire(self.epoch)

    @rule(pid=st.integers(1, 3))
    def die(self, pid: int) -> None:
        self.market.book.give_back(pid)

    @invariant()
    def nothing_is_paid_twice_and_nothing_is_lost(self) -> None:
        assert all(count == 1 for count in self.paid.values())
        ledger = self.market.ledger
        assert ledger.sponsor_balance("school") + self.credits == 4 * PRICE + 7
        ledger.check({})


TestOrders = Orders.TestCase
TestOrders.settings = settings(
    settings.get_profile("runs"), max_examples=12, stateful_step_count=25
)


@pytest.mark.parametrize("cut", [0, 1, 15, 16, 17, 30, 40])
def test_a_delivery_comes_apart_as_it_was_packed_and_not_otherwise(cut: int) -> None:
    whole = pack_answer(output=b"o" * 10, claim=b"c" * 8, proof=b"p" * 7)
    given = parse_delivery(whole)
    assert given is not None
    assert (given.output, given.claim, given.proof) == (b"o" * 10, b"c" * 8, b"p" * 7)
    assert parse_delivery(whole[:cut]) is None
    assert parse_delivery(whole + b"x") is None
    assert parse_delivery(b"\xff" * 64) is None


def test_costs_grow_with_the_batch_and_with_the_tier() -> None:
    shapes = Shapes.of(network().proof_model)
    assert (shapes.macs, shapes.input_cells, shapes.output_cells) == (MACS, 64, 10)
    for tier in Tier:
        costs = [shapes.infer_ns(tier, batch) for batch in (1, 2, 64)]
        assert costs == sorted(set(costs))
    # What a cell takes in advance, fixed and by item, covers what a batch costs.
    for batch in (1, 7, 64):
        fixed, one = shapes.infer_ns(Tier.SUCCINCT, 0), shapes.infer_ns(Tier.SUCCINCT, 1)
        assert fixed + batch * (one - fixed + 1) >= shapes.infer_ns(Tier.SUCCINCT, batch)


def test_costs_count_every_cell_and_every_weight() -> None:
    shapes = Shapes.of(network().proof_model)
    assert shapes.weights == MACS, "dense layers alone"
    wide = msgspec.structs.replace(shapes, input_cells=shapes.input_cells + 1_000)
    deep = msgspec.structs.replace(shapes, weights=shapes.weights + 1_000)
    assert wide.run_ns(2) > shapes.run_ns(2)
    for tier in Tier:
        assert wide.check_ns(tier, 2) > shapes.check_ns(tier, 2)
    # A refusal makes another secret, from all weights, whatever the batch.
    more = [
        deep.check_ns(Tier.SECRET_VECTOR, n) - shapes.check_ns(Tier.SECRET_VECTOR, n)
        for n in (1, 64)
    ]
    assert more[0] == more[1] > 0


def test_a_refusal_makes_the_next_secret_in_its_own_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[SecretVectors] = []

    def make(model: ProofModel) -> SecretVectors:
        made.append(SecretVectors(model))
        return made[-1]

    monkeypatch.setattr("maxwell.inference.worker.SecretVectors", make)
    digest = load_models([ModelConfig(name="digits", onnx=MLP.name)], MLP.parent, tmp_path)[
        "digits"
    ].digest
    worker = Worker(ModelStore(tmp_path), [digest])
    worker.warm()
    assert len(made) == 1, "no guest pays for the first"
    x = inputs(2)
    parts = sums_of(network().proof_model, x)
    right = b"".join(part.astype("<i8").tobytes() for part in parts)
    parts[0][0, 0] += 1
    wrong = b"".join(part.astype("<i8").tobytes() for part in parts)
    job = Job(kind="audit", digest=digest, input=to_bytes(x), batch=2, buyer_nonce=bytes(32))
    codes: list[str] = []
    counts: list[int] = []
    for sums in (right, wrong, right, wrong, right):
        codes.append(worker.do(msgspec.structs.replace(job, sums=sums)).code)
        counts.append(len(made))
    assert codes == ["", "MX1706", "", "MX1706", ""]
    assert counts == [1, 2, 2, 3, 3]


@pytest.mark.parametrize("tier", ["T0", "T1", "T3", "T4"])
def test_sums_which_depend_on_no_nonce_are_ordered_once(tier: str) -> None:
    options = {"model": "digits", "inputs": "x.npy", "tier": tier}
    assert parse_proof({**options, "rounds": 1}, what="r").rounds == 1
    if tier != "T1":
        assert parse_proof({**options, "rounds": 2}, what="r").rounds == 2
        return
    with pytest.raises(ConfigError) as caught:
        parse_proof({**options, "rounds": 2}, what="r")
    assert caught.value.code == "MX1012"


def test_a_model_of_another_digest_is_refused(tmp_path: Path) -> None:
    config = ModelConfig(name="digits", onnx=MLP.name, digest="0" * 64)
    with pytest.raises(ConfigError) as caught:
        load_models([config], MLP.parent, tmp_path)
    assert caught.value.code == "MX1731"


def test_a_digest_without_a_file_pins_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model of the user's store that is called by another's digest is not that other."""
    monkeypatch.setenv("MAXWELL_DATA_DIR", os.fspath(tmp_path / "data"))
    pinned = "a" * 64
    Model(replace(network(), name=pinned)).save()
    config = ModelConfig(name="digits", digest=pinned)
    with pytest.raises(ProofError) as caught:
        load_models([config], tmp_path, tmp_path / "run")
    assert caught.value.code == "MX1707"
    found = Model(network())
    found.save()
    # Whatever the store's search returns: it is the digest that counts.

    def find(*_: object) -> str:
        return found.digest

    monkeypatch.setattr("maxwell.proofs.store.ModelStore.find", find)
    with pytest.raises(ConfigError) as other:
        load_models([config], tmp_path, tmp_path / "run")
    assert other.value.code == "MX1731"


@pytest.mark.parametrize("what", ["bomb", "no zip", "npy"])
def test_packed_inputs_are_bounded_before_they_are_unpacked(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x.npz"
    if what == "bomb":
        np.savez_compressed(path, x=np.zeros((INPUT_BYTES_MAX // 64 + 1, 64), np.int8))
        assert path.stat().st_size < INPUT_BYTES_MAX // 100
    elif what == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros((4, 64)))
    else:
        path.write_bytes(b"PK\3\4 and no more")
    with pytest.raises(ProofError) as caught:
        read_inputs(path, "x", "reward 'r'")
    assert caught.value.code == "MX1705"
