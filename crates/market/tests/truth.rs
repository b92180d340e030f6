//! P1 (truthful), P2 (individually rational), P3 (monotone), P15 (k slots): per decision, for
//! every realisation of the clocks. Method: the same auction, cloned, with one bid changed.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod common;

use common::{RESERVE_PPM, auction};
use maxwell_market::{Auction, BidderId, Decision};
use proptest::prelude::*;

/// Room for rounding prices to whole ppm, and for keys to sub-ticks.
const ROUNDING_PPM: i128 = 3;

#[derive(Clone, Debug)]
struct Instance {
    temperature_log2: u8,
    seed: u64,
    bids: Vec<u64>,
    qualities: Vec<u64>,
    rho: u64,
    warm: usize,
    slots: usize,
}

fn instance() -> impl Strategy<Value = Instance> {
    // Log-uniform bids: at cold temperatures rates then differ by up to 2^128.
    let bid = (0..1000u32).prop_map(|k| (9e5 * 330f64.powf(f64::from(k) / 1000.0)) as u64);
    let bidder = (bid, 125_000..=8_000_000u64, any::<bool>());
    (
        0..=4u8,
        any::<u64>(),
        prop::collection::vec(bidder, 2..12),
        0..3_000_000u64,
        0..30usize,
        1..4usize,
    )
        .prop_map(|(temperature_log2, seed, bidders, rho, warm, slots)| Instance {
            temperature_log2,
            seed,
            bids: bidders.iter().map(|bidder| bidder.0).collect(),
            qualities: bidders.iter().map(|b| if b.2 { b.1 } else { 1_000_000 }).collect(),
            rho,
            warm,
            slots,
        })
}

fn build(instance: &Instance) -> (Auction, Vec<BidderId>) {
    let (mut auction, ids) = auction(instance.temperature_log2, instance.seed, &instance.bids);
    auction.set_rho(instance.rho).unwrap();
    for (&id, &quality) in ids.iter().zip(&instance.qualities) {
        auction.set_quality(id, quality).unwrap();
    }
    for _ in 0..instance.warm {
        auction.decide();
    }
    (auction, ids)
}

/// The outcome for one bidder when it bids `bid`.
fn outcome(auction: &Auction, slots: usize, id: BidderId, bid: u64) -> Option<Decision> {
    let mut auction = auction.clone();
    auction.bid(id, bid).unwrap();
    let mut decisions = Vec::new();
    auction.decide_many(slots, &mut decisions);
    decisions.into_iter().find(|decision| decision.winner == id)
}

fn utility(value: u64, outcome: Option<Decision>) -> i128 {
    outcome.map_or(0, |decision| i128::from(value) - i128::from(decision.price_ppm))
}

/// Deviations from a value: a grid over all bids, and neighbours of the value and of prices.
fn deviations(value: u64) -> Vec<u64> {
    let mut bids: Vec<u64> = (0..60u32)
        .map(|step| (0.5e6 * (f64::from(step) / 60.0 * 700f64.ln()).exp()) as u64)
        .collect();
    bids.extend([0, 1, value - value / 50, value - 1, value + 1, value + value / 50, u64::MAX]);
    bids
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn truth_is_dominant(instance in instance(), who in any::<prop::sample::Index>()) {
        let (auction, ids) = build(&instance);
        let id = ids[who.index(ids.len())];
        // A value on the grid, so that the truth can be told exactly; and one off it, where it
        // can be told up to one step of the grid, 2^(1/64) - 1 < 1.1 %.
        let raw = instance.bids[who.index(ids.len())];
        let on_grid = auction.bid_ppm(id).unwrap();
        for (value, step) in [(on_grid, 0), (raw.min(256 * RESERVE_PPM), raw / 90)] {
            if value == 0 {
                continue;
            }
            let truth = utility(value, outcome(&auction, instance.slots, id, value));
            prop_assert!(truth >= 0, "P2: the truth never loses");
            for bid in deviations(value) {
                let gain = utility(value, outcome(&auction, instance.slots, id, bid)) - truth;
                prop_assert!(
                    gain <= i128::from(step) + ROUNDING_PPM,
                    "P1: value {}, bid {}: gain {}", value, bid, gain
                );
            }
        }
    }

    #[test]
    fn raising_a_bid_never_loses_and_never_moves_the_price(
        instance in instance(),
        who in any::<prop::sample::Index>(),
    ) {
        let (auction, ids) = build(&instance);
        let id = ids[who.index(ids.len())];
        let mut bids = deviations(instance.bids[who.index(ids.len())]);
        bids.sort_unstable();
        let mut price: Option<u64> = None;
        for bid in bids {
            let outcome = outcome(&auction, instance.slots, id, bid);
            prop_assert!(outcome.is_some() || price.is_none(), "P3: a higher bid lost");
            if let Some(decision) = outcome {
                let first = *price.get_or_insert(decision.price_ppm);
                let tolerance = 2 + first / 100_000_000;
                prop_assert!(
                    decision.price_ppm.abs_diff(first) <= tolerance,
                    "P3: own bid {} moved the price from {} to {}", bid, first, decision.price_ppm
                );
            }
        }
    }

    // The price is critical: just below it the winner loses, just above it wins.
    #[test]
    fn the_price_is_critical(instance in instance()) {
        let (auction, _) = build(&instance);
        let mut decided = auction.clone();
        let mut decisions = Vec::new();
        decided.decide_many(instance.slots, &mut decisions);
        for decision in decisions {
            let Decision { winner, price_ppm, floor_ppm, .. } = decision;
            prop_assert!(price_ppm >= floor_ppm && price_ppm <= decision.bid_ppm);
            // One grid step of 1.1 % to either side.
            let above = price_ppm + price_ppm / 85 + 4;
            prop_assert!(outcome(&auction, instance.slots, winner, above).is_some());
            if price_ppm > floor_ppm {
                let below = price_ppm - price_ppm / 85 - 4;
                prop_assert!(outcome(&auction, instance.slots, winner, below).is_none());
            } else {
                prop_assert!(outcome(&auction, instance.slots, winner, floor_ppm - 1).is_none());
            }
        }
    }

    // P15: one slot is k slots with k = 1; more slots than racers all sell at the floor.
    #[test]
    fn one_slot_and_too_many(instance in instance()) {
        let (auction, ids) = build(&instance);
        let (mut one, mut many) = (auction.clone(), auction.clone());
        let mut decisions = Vec::new();
        for _ in 0..20 {
            one.decide_many(1, &mut decisions);
            prop_assert_eq!(decisions.first().copied(), many.decide());
        }
        prop_assert_eq!(one.virtual_time(), many.virtual_time());
        let racing = many.racing_len();
        many.decide_many(ids.len() + 1, &mut decisions);
        prop_assert_eq!(decisions.len(), racing);
        for decision in &decisions {
            prop_assert_eq!(decision.price_ppm, decision.floor_ppm);
            prop_assert_eq!(decision.runner_up, None);
        }
    }
}
