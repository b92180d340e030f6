#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "tests")]

use super::{Auction, AuctionConfig};
use crate::bidder::BidderId;
use crate::clock::Residual;
use crate::decision::Decision;
use crate::error::AuctionError;
use crate::heap::Node;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

#[derive(Clone, Debug)]
enum Op {
    Bid(u32, u64),
    Sleep(u32),
    Wake(u32),
    Leave(u32),
    Return(u32),
    Quality(u32, u64),
    Reserve(u64),
    Rho(u64),
    Decide,
    DecideMany(usize),
}

const ACCOUNTS: u32 = 24;

fn op() -> impl Strategy<Value = Op> {
    let who = 0..ACCOUNTS;
    prop_oneof![
        6 => (who.clone(), 0..1000u32).prop_map(|(i, step)| {
            // Log-uniform over half a reserve to 400 reserves.
            Op::Bid(i, (5e5 * 800f64.powf(f64::from(step) / 1000.0)) as u64)
        }),
        1 => (who.clone(), any::<u64>()).prop_map(|(i, bid)| Op::Bid(i, bid)),
        1 => who.clone().prop_map(Op::Sleep),
        3 => who.clone().prop_map(Op::Wake),
        1 => who.clone().prop_map(Op::Leave),
        2 => who.clone().prop_map(Op::Return),
        2 => (who, 125_000..=8_000_000u64).prop_map(|(i, q)| Op::Quality(i, q)),
        1 => (500_000..20_000_000u64).prop_map(Op::Reserve),
        1 => (0..20_000_000u64).prop_map(Op::Rho),
        12 => Just(Op::Decide),
        2 => (0..6usize).prop_map(Op::DecideMany),
    ]
}

fn config(temperature_log2: u8, virtual_time_start: u64) -> AuctionConfig {
    AuctionConfig {
        temperature_log2,
        reserve_ppm: 1_000_000,
        seed: *b"0123456789abcdef",
        cell: 1,
        virtual_time_start,
    }
}

/// The nodes in the heap, each checked against its own clock, in order.
fn sorted_nodes(auction: &Auction) -> Vec<Node> {
    let mut nodes: Vec<Node> = auction
        .heap
        .indices()
        .map(|index| {
            let bidder = &auction.bidders[index as usize];
            let node = Node::new(bidder.clock.key(auction.depth(index)).unwrap(), index);
            assert_eq!(auction.heap.node_of(index), Some(node), "keys follow from clocks");
            node
        })
        .collect();
    let ahead = |node: &Node| (node.key().wrapping_sub(auction.now), node.index());
    nodes.sort_by_key(ahead);
    nodes
}

/// Everybody that races, soonest first, without the heap: by keys, and by the logarithm of
/// residual over rate where keys do not reach.
fn sorted_racers(auction: &Auction) -> Vec<u32> {
    let mut far: Vec<u32> = auction.far.members().to_vec();
    let log_wait = |index: u32| {
        let x = auction.bidders[index as usize].x(auction.temperature_log2);
        (auction.residual_now(index) as f64).log2() - f64::from(x) / 64.0
    };
    far.sort_by(|&a, &b| log_wait(a).total_cmp(&log_wait(b)));
    let near = sorted_nodes(auction);
    if let (Some(last), Some(&first)) = (near.last(), far.first()) {
        assert!(log_wait(last.index()) <= log_wait(first) + 1e-6, "the near come before the far");
    }
    near.iter().map(|node| node.index()).chain(far).collect()
}

/// What an eager auction, without heap and laziness, decides: by sorting, with prices in f64.
fn expected(auction: &Auction, slots: usize) -> Vec<(Decision, f64)> {
    let racers = sorted_racers(auction);
    let losing = racers.get(slots).copied();
    let score = |index: u32| {
        let bidder = &auction.bidders[index as usize];
        f64::from(bidder.score()) / 64.0
    };
    let decision = |&winner: &u32| {
        let bidder = &auction.bidders[winner as usize];
        let critical = losing.map_or(0.0, |losing| {
            let ratio = auction.residual_now(winner) as f64 / auction.residual_now(losing) as f64;
            let quality = f64::from(bidder.quality_level()) / 64.0;
            let t = 1.0 / f64::from(1u32 << auction.temperature_log2);
            (score(losing) - quality + ratio.log2() * t).exp2()
        });
        let price = critical.min(bidder.entered_ppm as f64).max(bidder.floor_ppm as f64);
        let decision = Decision {
            winner: BidderId::from_index(winner),
            price_ppm: 0,
            bid_ppm: bidder.entered_ppm,
            floor_ppm: bidder.floor_ppm,
            runner_up: losing.map(BidderId::from_index),
            wins: bidder.wins + 1,
        };
        (decision, price)
    };
    racers.iter().take(slots).map(decision).collect()
}

fn assert_as_expected(decisions: &[Decision], expected: &[(Decision, f64)]) {
    assert_eq!(decisions.len(), expected.len());
    for (decision, &(expected, price)) in decisions.iter().zip(expected) {
        assert_eq!(Decision { price_ppm: 0, ..*decision }, expected);
        let error = (decision.price_ppm as f64 - price).abs();
        assert!(error <= 1.5 + price * 1e-8, "{decision:?}: {price}");
    }
}

struct Harness {
    auction: Auction,
    ids: Vec<Option<BidderId>>,
    residuals: Vec<Option<Residual>>,
}

impl Harness {
    fn new(temperature_log2: u8, start: u64) -> Self {
        let auction = Auction::new(config(temperature_log2, start)).unwrap();
        let count = ACCOUNTS as usize;
        Self { auction, ids: vec![None; count], residuals: vec![None; count] }
    }

    fn apply(&mut self, op: &Op) -> Vec<Decision> {
        let auction = &mut self.auction;
        let id = |ids: &[Option<BidderId>], i: u32| ids[i as usize];
        match *op {
            Op::Bid(i, bid) => {
                if let Some(id) = id(&self.ids, i) {
                    let entered = auction.bid(id, bid).unwrap();
                    assert_eq!(auction.bid_ppm(id), Ok(entered));
                    assert!(entered <= bid);
                    assert!(entered == 0 || entered >= auction.floor_ppm(id).unwrap());
                }
            }
            Op::Sleep(i) => {
                if let Some(id) = id(&self.ids, i) {
                    auction.sleep(id).unwrap();
                    assert!(!auction.is_racing(id));
                }
            }
            Op::Wake(i) => {
                if let Some(id) = id(&self.ids, i) {
                    auction.wake(id).unwrap();
                    assert_eq!(auction.is_racing(id), auction.bid_ppm(id).unwrap() > 0);
                }
            }
            Op::Leave(i) => {
                if let Some(id) = self.ids[i as usize].take() {
                    let residual = auction.remove(id).unwrap();
                    self.residuals[i as usize] = Some(residual);
                    assert_eq!(
                        auction.bid(id, 1),
                        Err(AuctionError::UnknownBidder { index: id.index() })
                    );
                }
            }
            Op::Return(i) => {
                let at = i as usize;
                if self.ids[at].is_none() {
                    let id = match self.residuals[at].take() {
                        Some(residual) => auction.add_with_residual(residual),
                        None => auction.add(u64::from(i) + 1_000),
                    };
                    self.ids[at] = Some(id.unwrap());
                }
                let account = u64::from(i) + 1_000;
                assert_eq!(auction.add(account), Err(AuctionError::AccountPresent { account }));
            }
            Op::Quality(i, quality) => {
                if let Some(id) = id(&self.ids, i) {
                    auction.set_quality(id, quality).unwrap();
                }
            }
            Op::Reserve(reserve) => auction.set_reserve(reserve).unwrap(),
            Op::Rho(rho) => auction.set_rho(rho).unwrap(),
            Op::Decide => return self.decide(),
            Op::DecideMany(slots) => return self.decide_many(slots),
        }
        Vec::new()
    }

    fn decide(&mut self) -> Vec<Decision> {
        self.auction.prepare();
        let expected = expected(&self.auction, 1);
        let decisions: Vec<Decision> = self.auction.decide().into_iter().collect();
        // P13, P14: the lazy heap decides as sorting does.
        assert_as_expected(&decisions, &expected);
        decisions
    }

    fn decide_many(&mut self, slots: usize) -> Vec<Decision> {
        self.auction.prepare();
        let expected = expected(&self.auction, slots);
        let mut decisions = Vec::new();
        self.auction.decide_many(slots, &mut decisions);
        // P15: the k first keys win against key k + 1.
        assert_as_expected(&decisions, &expected);
        decisions
    }
}

proptest! {
    // P13, P14, P15, P2. Goal: whatever happens, the lazy indexed heap decides what sorting all
    // clocks decides, prices lie between floor and bid, and every invariant holds.
    #[test]
    fn lazy_equals_eager(
        m in 0..=4u8,
        start in any::<u64>(),
        ops in prop::collection::vec(op(), 1..300),
    ) {
        let mut harness = Harness::new(m, start);
        for op in &ops {
            for decision in harness.apply(op) {
                prop_assert!(decision.floor_ppm <= decision.price_ppm);
                prop_assert!(decision.price_ppm <= decision.bid_ppm);
            }
            harness.auction.assert_invariants();
        }
    }

    // P12. Goal: no decision depends on where virtual time starts, even across the wrap.
    #[test]
    fn virtual_time_can_be_shifted(
        m in 0..=4u8,
        start in any::<u64>(),
        near_wrap in any::<bool>(),
        ops in prop::collection::vec(op(), 1..300),
    ) {
        let start = if near_wrap { start | !0xFFFF } else { start };
        let (mut here, mut there) = (Harness::new(m, 0), Harness::new(m, start));
        for op in &ops {
            prop_assert_eq!(here.apply(op), there.apply(op));
        }
        prop_assert_eq!(
            here.auction.virtual_time().wrapping_add(start),
            there.auction.virtual_time()
        );
        prop_assert_eq!(here.auction.statistics(), there.auction.statistics());
    }

    // P20. Goal: the same seed and calls give the same winners, prices and residuals.
    #[test]
    fn replay_is_identical(m in 0..=4u8, ops in prop::collection::vec(op(), 1..200)) {
        let (mut first, mut second) = (Harness::new(m, 5), Harness::new(m, 5));
        for op in &ops {
            prop_assert_eq!(first.apply(op), second.apply(op));
            prop_assert_eq!(&first.residuals, &second.residuals);
        }
    }

    // Goal: between decisions only the last state counts: any number of changes that end where
    // they began leave every clock and key bit for bit as it was. (The tick scale may move up,
    // which re-expresses keys; at T = 1/4 and quality one it has its final range already.)
    #[test]
    fn changes_within_a_decision_are_reversible(
        bids in prop::collection::vec(1_000_000..256_000_000u64, 2..20),
        noise in prop::collection::vec((0..20usize, 100_000..900_000_000u64, 0..4u8), 1..80),
        warm in 0..50usize,
    ) {
        let mut auction = Auction::new(config(2, 9)).unwrap();
        let ids: Vec<BidderId> = (0..bids.len()).map(|i| auction.add(i as u64).unwrap()).collect();
        for (&id, &bid) in ids.iter().zip(&bids) {
            auction.bid(id, u64::MAX).unwrap();
            auction.wake(id).unwrap();
            auction.bid(id, bid).unwrap();
        }
        for _ in 0..warm {
            auction.decide();
        }
        // Once, so that every clock is taken at this virtual time.
        let touch = |auction: &mut Auction| {
            for (&id, &bid) in ids.iter().zip(&bids) {
                auction.sleep(id).unwrap();
                auction.bid(id, bid).unwrap();
                auction.wake(id).unwrap();
            }
        };
        touch(&mut auction);
        let before = sorted_nodes(&auction);
        for (i, bid, kind) in noise {
            let id = ids[i % ids.len()];
            match kind {
                0 => auction.sleep(id).unwrap(),
                1 => auction.wake(id).unwrap(),
                _ => { auction.bid(id, bid).unwrap(); }
            }
        }
        touch(&mut auction);
        prop_assert_eq!(sorted_nodes(&auction), before);
    }
}

// Goal: leaving and coming back with the residual is the same as having slept.
#[test]
fn residuals_survive_leaving() {
    let build = || {
        let mut auction = Auction::new(config(2, 0)).unwrap();
        let ids: Vec<BidderId> = (0..5).map(|i| auction.add(i).unwrap()).collect();
        for &id in &ids {
            auction.bid(id, 2_000_000 + 700_000 * u64::from(id.index())).unwrap();
            auction.wake(id).unwrap();
        }
        for _ in 0..40 {
            auction.decide();
        }
        (auction, ids)
    };
    let (mut asleep, ids) = build();
    let (mut gone, _) = build();
    asleep.sleep(ids[3]).unwrap();
    let residual = gone.remove(ids[3]).unwrap();
    for _ in 0..25 {
        assert_eq!(asleep.decide(), gone.decide());
    }
    asleep.wake(ids[3]).unwrap();
    assert_eq!(gone.add_with_residual(residual), Ok(ids[3]));
    gone.bid(ids[3], 2_000_000 + 3 * 700_000).unwrap();
    gone.wake(ids[3]).unwrap();
    for _ in 0..200 {
        assert_eq!(asleep.decide(), gone.decide());
    }
}

// Goal: every error is returned, and leaves the auction as it was.
#[test]
fn errors_change_nothing() {
    for (m, reserve) in [(5, 1), (0, 0), (0, (1 << 54) + 1), (255, 1)] {
        let config = AuctionConfig { reserve_ppm: reserve, ..config(m, 0) };
        assert!(Auction::new(config).is_err());
    }
    let mut auction = Auction::new(config(2, 0)).unwrap();
    let id = auction.add(7).unwrap();
    auction.bid(id, 5_000_000).unwrap();
    auction.wake(id).unwrap();
    let nodes = sorted_nodes(&auction);
    let unknown = BidderId::from_index(1);
    let error = AuctionError::UnknownBidder { index: 1 };
    assert_eq!(auction.bid(unknown, 1), Err(error));
    assert_eq!(auction.sleep(unknown), Err(error));
    assert_eq!(auction.wake(unknown), Err(error));
    assert_eq!(auction.remove(unknown), Err(error));
    assert_eq!(auction.set_quality(unknown, 1_000_000), Err(error));
    assert_eq!(auction.bid_ppm(unknown), Err(error));
    assert!(!auction.is_racing(unknown));
    assert!(!auction.is_racing(BidderId::from_index(u32::MAX)));
    for quality in [0, 124_999, 8_000_001, u64::MAX] {
        assert!(auction.set_quality(id, quality).is_err());
    }
    assert!(auction.set_reserve(0).is_err());
    assert!(auction.set_reserve(u64::MAX).is_err());
    assert!(auction.set_rho(u64::MAX).is_err());
    let e = crate::RESIDUAL_MAX + 1;
    let residual = Residual { account: 8, e, wins: 0 };
    assert_eq!(auction.add_with_residual(residual), Err(AuctionError::ResidualOutOfRange { e }));
    assert_eq!(auction.add(7), Err(AuctionError::AccountPresent { account: 7 }));
    assert_eq!(sorted_nodes(&auction), nodes);
    auction.assert_invariants();
}

// Goal: alone, the winner pays its floor; with nobody, the core sleeps.
#[test]
fn alone_and_empty() {
    let mut auction = Auction::new(config(2, 0)).unwrap();
    assert_eq!(auction.decide(), None);
    let id = auction.add(1).unwrap();
    assert_eq!(auction.decide(), None);
    auction.wake(id).unwrap();
    assert_eq!(auction.decide(), None);
    assert_eq!(auction.bid(id, 999_999), Ok(0));
    assert_eq!(auction.decide(), None);
    auction.bid(id, 9_000_000).unwrap();
    let decision = auction.decide().unwrap();
    assert_eq!((decision.price_ppm, decision.runner_up, decision.wins), (1_000_000, None, 1));
    assert_eq!(auction.statistics().decisions_idle, 4);
}

// Goal: extremes of reserve, rho, quality, residual and wins are total: no panic, lawful prices.
#[test]
fn extremes_do_not_panic() {
    for m in 0..=4u8 {
        let mut auction = Auction::new(config(m, u64::MAX)).unwrap();
        let ids: Vec<BidderId> = (0..6u64)
            .map(|account| {
                let e = if account % 2 == 0 { crate::RESIDUAL_MAX } else { account / 2 };
                let wins = u64::MAX - account;
                auction.add_with_residual(Residual { account, e, wins }).unwrap()
            })
            .collect();
        let bids = [0, 1, 1 << 20, 1 << 40, 1 << 62, u64::MAX];
        for round in 0..600usize {
            let id = ids[round % 6];
            auction.wake(id).unwrap();
            auction.bid(id, bids[(round / 6) % 6]).unwrap();
            auction.set_quality(id, if round % 4 < 2 { 125_000 } else { 8_000_000 }).unwrap();
            auction.set_reserve([1, 1_000_000, 1 << 54][(round / 7) % 3]).unwrap();
            auction.set_rho([0, 5_000_000, 1 << 54][(round / 5) % 3]).unwrap();
            if let Some(decision) = auction.decide() {
                assert!(decision.floor_ppm <= decision.price_ppm);
                assert!(decision.price_ppm <= decision.bid_ppm);
            }
            let _ = auction.rate_sum();
            auction.assert_invariants();
        }
        assert!(auction.statistics().decisions > 100);
    }
}

// Goal: no rate is too low to be exact. Method: at T = 1/16 one bid of 256 reserves and two near 1
// differ by 2^128 in rate. The high one wins at the price of the better low clock, which does not
// depend on its own bid; when it leaves, the low ones race at their exact rates.
#[test]
fn ranges_beyond_the_horizon_are_exact() {
    let mut auction = Auction::new(config(4, 0)).unwrap();
    let ids: Vec<BidderId> = (0..3).map(|i| auction.add(i).unwrap()).collect();
    for (&id, bid) in ids.iter().zip([256_000_000, 1_010_000, 1_060_000]) {
        auction.bid(id, bid).unwrap();
        auction.wake(id).unwrap();
    }
    assert_eq!(auction.statistics().far, 2);
    for round in 0..2_000u64 {
        let mut other = auction.clone();
        other.bid(ids[0], 3_000_000 + round * 100_000).unwrap();
        let (one, two) = (auction.decide().unwrap(), other.decide().unwrap());
        assert_eq!((one.winner, two.winner), (ids[0], ids[0]));
        assert!(one.price_ppm.abs_diff(two.price_ppm) <= 1 && one.price_ppm < 2_000_000);
        assert_eq!(one.runner_up, two.runner_up);
        auction.assert_invariants();
    }
    auction.sleep(ids[0]).unwrap();
    let level = |id: BidderId| f64::from(auction.bidders[id.index() as usize].level());
    let odds = ((level(ids[2]) - level(ids[1])) / 4.0).exp2();
    let mut wins = 0;
    for _ in 0..30_000 {
        wins += u32::from(auction.decide().unwrap().winner == ids[2]);
    }
    assert_eq!(auction.statistics().far, 0);
    let share = f64::from(wins) / 30_000.0;
    assert!((share - odds / (1.0 + odds)).abs() < 0.012, "{share} {odds}");
}
