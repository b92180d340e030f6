//! P4 (the law of winners and prices), P5 (the law test finds two mistakes), P8 (waits), P9
//! (limits), P10 (welfare), P14 (run lengths), P15 (the law of k slots). Method: fixed seeds, at
//! least 10^6 decisions, statistics as standard normals with a limit of 4.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod common;

use common::fenwick::Fenwick;
use common::race::{Mutation, Race};
use common::random::Random;
use common::{auction, chi_square_z, entered, pearson_z, shares, smirnov};
use maxwell_market::{Auction, BidderId};

const DECISIONS: usize = 1_000_000;

/// What the law test drives.
trait Mechanism {
    fn set_bid(&mut self, i: usize, bid: f64);
    fn decide(&mut self) -> (usize, f64);
    /// The bids that race.
    fn bids(&self) -> Vec<f64>;
}

struct Ours(Auction, Vec<BidderId>);

impl Mechanism for Ours {
    fn set_bid(&mut self, i: usize, bid: f64) {
        self.0.bid(self.1[i], bid as u64).unwrap();
    }
    fn decide(&mut self) -> (usize, f64) {
        let decision = self.0.decide().unwrap();
        (decision.winner.index() as usize, decision.price_ppm as f64)
    }
    fn bids(&self) -> Vec<f64> {
        entered(&self.0, &self.1)
    }
}

struct Model(Race, Vec<f64>);

impl Mechanism for Model {
    fn set_bid(&mut self, i: usize, bid: f64) {
        self.1[i] = bid;
        self.0.set_bid(i, bid / 1e6);
    }
    fn decide(&mut self) -> (usize, f64) {
        let (winner, price) = self.0.decide();
        (winner, price * 1e6)
    }
    fn bids(&self) -> Vec<f64> {
        self.1.clone()
    }
}

const BIDS: [u64; 8] =
    [1_500_000, 2_000_000, 2_100_000, 2_500_000, 2_600_000, 3_000_000, 3_300_000, 1_010_000];

fn ours(m: u8, seed: u64) -> Ours {
    let (auction, ids) = auction(m, seed, &BIDS);
    Ours(auction, ids)
}

fn model(mutation: Mutation, m: u8, seed: u64) -> Model {
    let bids: Vec<f64> = BIDS.iter().map(|&bid| bid as f64).collect();
    let scaled: Vec<f64> = bids.iter().map(|bid| bid / 1e6).collect();
    Model(Race::new(mutation, m, seed, &scaled), bids)
}

/// Bids stand still: winners are independent with softmax probabilities. Returns the statistics
/// of winners and of pairs of consecutive winners.
fn standing_law(mechanism: &mut impl Mechanism, m: u8) -> (f64, f64) {
    let shares = shares(&mechanism.bids(), m);
    let n = shares.len();
    let mut counts = vec![0u64; n];
    let mut pairs = vec![0u64; n * n];
    let mut last = mechanism.decide().0;
    for _ in 0..DECISIONS {
        let (winner, _) = mechanism.decide();
        counts[winner] += 1;
        pairs[last * n + winner] += 1;
        last = winner;
    }
    let pair_shares: Vec<f64> =
        shares.iter().flat_map(|a| shares.iter().map(move |b| a * b)).collect();
    (pearson_z(&counts, &shares), pearson_z(&pairs, &pair_shares))
}

/// Bids change at random between decisions: each decision has the softmax probabilities of its
/// own bids. Returns the statistic of the sums of (won - probability), bidder by bidder.
fn changing_law(mechanism: &mut impl Mechanism, m: u8, seed: u64) -> f64 {
    let mut random = Random(seed);
    let n = BIDS.len();
    let (mut sums, mut variances) = (vec![0.0; n], vec![0.0; n]);
    for _ in 0..DECISIONS / 2 {
        for _ in 0..random.below(3) {
            let i = random.below(n as u64) as usize;
            // A level that the bidder returns to, so that some lags would not average out.
            let high = random.below(2) * 2_000_000 * (i as u64 % 2);
            mechanism.set_bid(i, (1_000_000 + random.below(1_500_000) + high) as f64);
        }
        let shares = shares(&mechanism.bids(), m);
        let (winner, _) = mechanism.decide();
        for (i, share) in shares.iter().enumerate() {
            sums[i] += f64::from(u8::from(i == winner)) - share;
            variances[i] += share * (1.0 - share);
        }
    }
    let squares = sums.iter().zip(&variances).map(|(sum, variance)| sum * sum / variance);
    // The sums add to zero: one degree of freedom less.
    chi_square_z(squares.sum::<f64>() * (n as f64 - 1.0) / n as f64, n as f64 - 1.0)
}

#[test]
fn winners_follow_the_softmax() {
    for m in [0, 1, 2, 3] {
        let (single, pairs) = standing_law(&mut ours(m, 11), m);
        assert!(single.abs() < 4.0 && pairs.abs() < 4.0, "m {m}: {single} {pairs}");
    }
}

#[test]
fn winners_follow_the_softmax_of_changing_bids() {
    for m in [0, 2, 4] {
        let z = changing_law(&mut ours(m, 12), m, 99);
        assert!(z < 4.0, "m {m}: {z}");
    }
}

// P5. The control passes both tests; each mutation fails one, by far.
#[test]
fn the_law_test_finds_mutations() {
    let (single, pairs) = standing_law(&mut model(Mutation::None, 2, 13), 2);
    assert!(single.abs() < 4.0 && pairs.abs() < 4.0, "{single} {pairs}");
    let changing = changing_law(&mut model(Mutation::None, 2, 13), 2, 98);
    assert!(changing < 4.0, "{changing}");

    let (single, pairs) = standing_law(&mut model(Mutation::NaiveGumbel, 2, 13), 2);
    assert!(single > 20.0 && pairs > 20.0, "naive Gumbel scores passed: {single} {pairs}");
    let (single, _) = standing_law(&mut model(Mutation::UnrescaledKeys, 2, 13), 2);
    assert!(single.abs() < 4.0, "without changes there is nothing to rescale: {single}");
    let changing = changing_law(&mut model(Mutation::UnrescaledKeys, 2, 13), 2, 98);
    assert!(changing > 20.0, "keys that are not rescaled passed: {changing}");
}

// Sleep, wake, leave, return, quality: the law of whoever races.
#[test]
fn winners_follow_the_softmax_through_sleep_and_quality() {
    let (mut auction, ids) = auction(2, 14, &BIDS);
    let mut random = Random(15);
    let mut qualities = [1_000_000u64; 8];
    let (mut sums, mut variances) = ([0.0; 8], [0.0; 8]);
    for _ in 0..DECISIONS / 2 {
        let i = random.below(7) as usize;
        match random.below(5) {
            0 => auction.sleep(ids[i]).unwrap(),
            1 | 2 => auction.wake(ids[i]).unwrap(),
            3 => {
                // Grid qualities, so that the score is exactly known.
                qualities[i] = [500_000, 1_000_000, 2_000_000][random.below(3) as usize];
                auction.set_quality(ids[i], qualities[i]).unwrap();
            }
            _ => {
                // The id comes back: it is the last that was freed.
                let awake = auction.is_racing(ids[i]);
                let bid = auction.bid_ppm(ids[i]).unwrap();
                let residual = auction.remove(ids[i]).unwrap();
                assert_eq!(auction.add_with_residual(residual), Ok(ids[i]));
                auction.bid(ids[i], bid).unwrap();
                auction.set_quality(ids[i], qualities[i]).unwrap();
                if awake {
                    auction.wake(ids[i]).unwrap();
                }
            }
        }
        let scores: Vec<f64> = (0..8)
            .map(|i| {
                let bid = auction.bid_ppm(ids[i]).unwrap() as f64;
                let racing = f64::from(u8::from(auction.is_racing(ids[i])));
                racing * bid * qualities[i] as f64 / 1e6
            })
            .collect();
        let shares = shares(&scores, 2);
        let winner = auction.decide().unwrap().winner.index() as usize;
        for (i, share) in shares.iter().enumerate() {
            sums[i] += f64::from(u8::from(i == winner)) - share;
            variances[i] += share * (1.0 - share);
        }
    }
    let z: Vec<f64> = sums.iter().zip(&variances).map(|(s, v)| s / v.sqrt()).collect();
    assert!(z.iter().all(|z| z.abs() < 4.0), "{z:?}");
}

// P4. The law of prices equals the oracle's closed form, bidder by bidder.
#[test]
fn prices_follow_the_oracle() {
    for m in [0u8, 1, 2, 4] {
        let mut ours = ours(m, 16);
        let bids = ours.bids();
        let t = 1.0 / f64::from(1u32 << m);
        let rates: Vec<u64> =
            bids.iter().map(|bid| ((bid / 4e6).powf(1.0 / t) * 2f64.powi(56)) as u64).collect();
        let oracle = Fenwick::new(&rates);
        let mut random = Random(17);
        let mut samples = vec![(Vec::new(), Vec::new()); bids.len()];
        for _ in 0..DECISIONS / 5 {
            // Prices of neighbouring decisions are correlated: take every fifth.
            for _ in 0..4 {
                ours.decide();
            }
            let (winner, price) = ours.decide();
            samples[winner].0.push(price);
            let (winner, ratio) = oracle.decide(&mut random).unwrap();
            samples[winner].1.push((bids[winner] * ratio.powf(t)).max(1e6).floor());
        }
        for (i, (ours, oracle)) in samples.into_iter().enumerate() {
            if ours.len() > 200 {
                let d = smirnov(ours, oracle);
                assert!(d < 2.0, "m {m}, bidder {i}: {d}");
            }
        }
    }
}

// P4. At T = 1 the mean price has the closed form of the design, with S the others' sum:
// b - ((b - r) - S ln((b + S) / (r + S))) (b + S) / b.
#[test]
fn mean_price_of_the_truthful_lottery() {
    let mut ours = ours(0, 18);
    let bids = ours.bids();
    let (mut sums, mut counts) = ([0.0; 8], [0.0; 8]);
    for _ in 0..DECISIONS {
        let (winner, price) = ours.decide();
        sums[winner] += price / 1e6;
        counts[winner] += 1.0;
    }
    let total: f64 = bids.iter().sum::<f64>() / 1e6;
    for (i, &bid) in bids.iter().enumerate() {
        let (b, r) = (bid / 1e6, 1.0);
        let s = total - b;
        let mean = b - ((b - r) - s * ((b + s) / (r + s)).ln()) * (b + s) / b;
        let error = (sums[i] / counts[i] - mean).abs() / mean;
        assert!(error < 0.005, "bidder {i}: {} against {mean}", sums[i] / counts[i]);
    }
}

// P9. Cold, the auction approaches exact Vickrey; at T = 1 shares are those of a lottery.
#[test]
fn limits_of_temperature() {
    let bids = [1_100_000, 4_000_000, 9_000_000, 20_000_000];
    let mut last = (0.0, f64::INFINITY);
    for m in 0..=4u8 {
        let (mut auction, _) = auction(m, 19, &bids);
        let second = auction.bid_ppm(BidderId::from_index(2)).unwrap() as f64;
        let (mut top, mut error) = (0.0, 0.0);
        for _ in 0..200_000 {
            let decision = auction.decide().unwrap();
            if decision.winner.index() == 3 {
                top += 1.0;
                error += (decision.price_ppm as f64 / second).ln().abs();
            }
        }
        let now = (top / 200_000.0, error / top);
        assert!(now.0 > last.0 && now.1 < last.1, "m {m}: {now:?} after {last:?}");
        last = now;
    }
    assert!(last.0 > 0.99999 && last.1 < 0.12, "{last:?}");
    let (mut auction, ids) = auction(0, 20, &bids);
    let total: f64 = entered(&auction, &ids).iter().sum();
    let lottery: Vec<f64> = entered(&auction, &ids).iter().map(|bid| bid / total).collect();
    let mut counts = [0u64; 4];
    for _ in 0..DECISIONS {
        counts[auction.decide().unwrap().winner.index() as usize] += 1;
    }
    assert!(pearson_z(&counts, &lottery).abs() < 4.0);
}

// P8. The wait of the lowest of 20 at T = 1/2, five times below the others, is geometric with a
// mean of at most n R^(1/T) = 500.
#[test]
fn waits_are_bounded() {
    let mut bids = [10_000_000u64; 20];
    bids[7] = 2_000_000;
    let (mut auction, ids) = auction(1, 21, &bids);
    let p = shares(&entered(&auction, &ids), 1)[7];
    let (mut waits, mut wait) = (Vec::new(), 1u64);
    for _ in 0..4 * DECISIONS {
        if auction.decide().unwrap().winner.index() == 7 {
            waits.push(wait);
            wait = 0;
        }
        wait += 1;
    }
    let n = waits.len() as f64;
    let mean = waits.iter().sum::<u64>() as f64 / n;
    assert!((mean * p - 1.0).abs() < 4.0 / n.sqrt() && mean <= 20.0 * 25.0, "mean {mean}");
    for multiple in [1.0, 2.0, 3.0] {
        let limit = multiple / p;
        let beyond = waits.iter().filter(|&&wait| wait as f64 > limit).count() as f64 / n;
        let expected = (1.0 - p).powf(limit.floor());
        let error = (expected * (1.0 - expected) / n).sqrt();
        assert!((beyond - expected).abs() < 4.0 * error, "{multiple}: {beyond} {expected}");
    }
}

// P10. E ln s >= ln max s - T H(p), and it is attained as computed from the softmax.
#[test]
fn welfare_is_bounded_below() {
    for m in 0..=4u8 {
        let mut ours = ours(m, 22);
        let bids = ours.bids();
        let shares = shares(&bids, m);
        let entropy: f64 = -shares.iter().map(|p| p * p.ln()).sum::<f64>();
        let top = bids.iter().fold(0.0f64, |top, bid| top.max(bid.ln()));
        let mut sum = 0.0;
        for _ in 0..300_000 {
            sum += bids[ours.decide().0].ln();
        }
        let bound = top - entropy / f64::from(1u32 << m);
        assert!(sum / 300_000.0 >= bound, "m {m}");
    }
}

// P14. Runs of a hot winner, which stays at the root lazily, have the geometric law.
#[test]
fn run_lengths_are_geometric() {
    let mut bids = [1_010_000u64; 50];
    bids[0] = 4_500_000;
    let (mut auction, ids) = auction(2, 23, &bids);
    let p = shares(&entered(&auction, &ids), 2)[0];
    assert!(p > 0.85);
    let (mut runs, mut run) = (vec![0u64; 60], 0usize);
    for _ in 0..DECISIONS {
        if auction.decide().unwrap().winner.index() == 0 {
            run += 1;
        } else {
            runs[run.min(59)] += 1;
            run = 0;
        }
    }
    let law: Vec<f64> =
        (0..60).map(|k| if k < 59 { p.powi(k) * (1.0 - p) } else { p.powi(59) }).collect();
    assert!(pearson_z(&runs, &law).abs() < 4.0);
    let lazy = auction.statistics().decisions_lazy as f64 / DECISIONS as f64;
    assert!(lazy > 0.7, "most decisions leave the heap alone: {lazy}");
}

// P15. Two slots at once have the law of Plackett and Luce, and losers' clocks stay lawful.
#[test]
fn two_slots_follow_plackett_and_luce() {
    let (mut auction, ids) = auction(1, 24, &BIDS);
    let shares = shares(&entered(&auction, &ids), 1);
    let n = shares.len();
    let mut counts = vec![0u64; n * n];
    let mut decisions = Vec::new();
    for _ in 0..DECISIONS / 2 {
        auction.decide_many(2, &mut decisions);
        let (first, second) = (decisions[0].winner.index(), decisions[1].winner.index());
        counts[first as usize * n + second as usize] += 1;
    }
    let law: Vec<f64> = (0..n * n)
        .map(|pair| {
            let (i, j) = (pair / n, pair % n);
            if i == j { 0.0 } else { shares[i] * shares[j] / (1.0 - shares[i]) }
        })
        .collect();
    assert!(pearson_z(&counts, &law).abs() < 4.0);
}
