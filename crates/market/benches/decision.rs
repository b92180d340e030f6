//! Decisions and bid changes of the auction, beside a `BTreeMap` race and the Fenwick sampler.
//!
//! Goal: compare data structures on this machine; not: predict a loaded node. Rates are
//! lognormal(1) at T = 1/4. The peers are given a cheaper, unaudited generator and f64 logarithms
//! and roots, which favours them. Times are wall, the best of many short blocks; `cpu_value` is
//! the thread's CPU time of its own best block. Output: one JSON object a line.
//!
//! `cargo bench -p maxwell-market --bench decision [-- --smoke]`
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "a bench"
)]

#[path = "../tests/common/fenwick.rs"]
#[allow(dead_code)]
mod fenwick;
#[path = "../tests/common/random.rs"]
#[allow(dead_code)]
mod random;

use fenwick::Fenwick;
use maxwell_market::{Auction, AuctionConfig, BidderId};
use random::Random;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

/// Nanoseconds of one operation.
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: f64,
}

struct Plan {
    blocks: u32,
    /// Operations of one block.
    operations: u32,
}

/// Thread CPU time, ns.
fn cpu_ns() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

fn measure(plan: &Plan, mut operation: impl FnMut()) -> Cost {
    let mut best = Cost { wall: f64::INFINITY, cpu: f64::INFINITY };
    for _ in 0..plan.blocks {
        let (cpu, wall) = (cpu_ns(), Instant::now());
        for _ in 0..plan.operations {
            operation();
        }
        let wall = wall.elapsed().as_nanos() as f64;
        let cpu = cpu_ns() - cpu;
        best.wall = best.wall.min(wall / f64::from(plan.operations));
        best.cpu = best.cpu.min(cpu / f64::from(plan.operations));
    }
    best
}

fn print(bench: &str, ours: Cost, target: Option<f64>, peer: &str, peer_cost: Option<Cost>) {
    let number = |value: f64| {
        if value.is_finite() { format!("{value:.1}") } else { "null".to_owned() }
    };
    println!(
        "{{\"bench\":\"{bench}\",\"value\":{},\"unit\":\"ns\",\"target\":{},\"peer\":\"{peer}\",\
         \"peer_value\":{},\"ok\":{},\"cpu_value\":{},\"peer_cpu_value\":{}}}",
        number(ours.wall),
        target.map_or("null".to_owned(), number),
        peer_cost.map_or("null".to_owned(), |cost| number(cost.wall)),
        target.is_none_or(|target| ours.wall <= target),
        number(ours.cpu),
        peer_cost.map_or("null".to_owned(), |cost| number(cost.cpu)),
    );
}

/// Bids whose rates, at T = 1/4, are lognormal(1).
fn bids(count: usize, random: &mut Random) -> Vec<u64> {
    (0..count).map(|_| (4e6 * (random.normal() / 4.0).exp()) as u64).collect()
}

fn rate(bid: u64) -> f64 {
    (bid as f64 / 4e6).powi(4)
}

fn auction(bids: &[u64]) -> (Auction, Vec<BidderId>) {
    let mut auction = Auction::new(AuctionConfig {
        temperature_log2: 2,
        reserve_ppm: 1_000_000,
        seed: [42; 16],
        cell: 0,
        virtual_time_start: u64::MAX - 10,
    })
    .expect("a lawful configuration");
    let ids = (0u64..)
        .zip(bids)
        .map(|(account, &bid)| {
            let id = auction.add(account).expect("there is room");
            auction.bid(id, bid).expect("the bidder is known");
            auction.wake(id).expect("the bidder is known");
            id
        })
        .collect();
    (auction, ids)
}

/// The same race on the standard library's ordered map, with f64 keys as ordered bits.
struct TreeRace {
    now: f64,
    keys: BTreeMap<(u64, u32), ()>,
    key_of: Vec<f64>,
    bids: Vec<u64>,
    rates: Vec<f64>,
    random: Random,
}

impl TreeRace {
    fn new(bids: &[u64]) -> Self {
        let mut race = Self {
            now: 0.0,
            keys: BTreeMap::new(),
            key_of: vec![0.0; bids.len()],
            bids: bids.to_vec(),
            rates: bids.iter().map(|&bid| rate(bid)).collect(),
            random: Random(7),
        };
        for i in 0..bids.len() {
            let key = race.random.exponential() / race.rates[i];
            race.insert(i, key);
        }
        race
    }

    fn insert(&mut self, index: usize, key: f64) {
        self.key_of[index] = key;
        self.keys.insert((key.to_bits(), index as u32), ());
    }

    fn decide(&mut self) -> (u32, u64) {
        let ((bits, index), ()) = self.keys.pop_first().expect("somebody races");
        let second = self.keys.first_key_value().map(|(&(bits, _), ())| f64::from_bits(bits));
        let key = f64::from_bits(bits);
        let bid = self.bids[index as usize] as f64;
        let ratio = second.map_or(0.0, |second| (key - self.now) / (second - self.now));
        let price = (bid * ratio.sqrt().sqrt()) as u64;
        self.now = key;
        let next = key + self.random.exponential() / self.rates[index as usize];
        self.insert(index as usize, next);
        (index, price.max(1_000_000))
    }

    fn set(&mut self, index: usize, bid: u64) {
        let key = self.key_of[index];
        self.keys.remove(&(key.to_bits(), index as u32));
        let rate = rate(bid);
        let key = self.now + (key - self.now) * self.rates[index] / rate;
        self.rates[index] = rate;
        self.bids[index] = bid;
        self.insert(index, key);
    }
}

fn fenwick(bids: &[u64]) -> Fenwick {
    // 2^63 is far above a million mean rates of e^0.5 at 2^32 each.
    let rates: Vec<u64> = bids.iter().map(|&b| (rate(b) * (1u64 << 32) as f64) as u64).collect();
    Fenwick::new(&rates)
}

fn decisions(count: usize, target: Option<f64>, plan: &Plan) {
    let bids = bids(count, &mut Random(count as u64));
    let (mut ours, _) = auction(&bids);
    let ours = measure(plan, || {
        if let Some(decision) = ours.decide() {
            black_box((decision.winner, decision.price_ppm));
        }
    });
    let mut tree = TreeRace::new(&bids);
    let tree = measure(plan, || {
        black_box(tree.decide());
    });
    let sampler = fenwick(&bids);
    let mut random = Random(5);
    let sampler = measure(plan, || {
        if let Some((winner, ratio)) = sampler.decide(&mut random) {
            black_box((winner, (bids[winner] as f64 * ratio.sqrt().sqrt()) as u64));
        }
    });
    print(&format!("auction_decide_n{count}"), ours, target, "BTreeMap", Some(tree));
    print(&format!("auction_decide_n{count}_fenwick"), ours, None, "Fenwick", Some(sampler));
}

fn hot_winner(count: usize, plan: &Plan) {
    let mut bids = bids(count, &mut Random(count as u64));
    let others: f64 = bids.iter().skip(1).map(|&bid| rate(bid)).sum();
    bids[0] = (4e6 * (9.0 * others).powf(0.25)) as u64;
    let (mut ours, _) = auction(&bids);
    let ours = measure(plan, || {
        if let Some(decision) = ours.decide() {
            black_box((decision.winner, decision.price_ppm));
        }
    });
    let mut tree = TreeRace::new(&bids);
    let tree = measure(plan, || {
        black_box(tree.decide());
    });
    print(&format!("auction_decide_hot_n{count}"), ours, None, "BTreeMap", Some(tree));
}

fn changes(count: usize, target: Option<f64>, plan: &Plan) {
    let mut random = Random(count as u64 + 1);
    let old = bids(count, &mut random);
    // Bids are drawn beforehand; which bidder gets which is drawn in the loop (about 1 ns, which is
    // counted), so that no long table of changes competes for the cache.
    let new = bids(1 << 10, &mut random);
    let (mut race, ids) = auction(&old);
    let mut next = || {
        let word = random.next();
        let index = ((word & 0xFFFF_FFFF) * count as u64) >> 32;
        (index as u32, new[(word >> 54) as usize])
    };
    let ours = measure(plan, || {
        let (index, bid) = next();
        let _ = black_box(race.bid(ids[index as usize], bid));
    });
    let mut tree = TreeRace::new(&old);
    let tree = measure(plan, || {
        let (index, bid) = next();
        tree.set(index as usize, bid);
    });
    let mut sampler = fenwick(&old);
    let sampler = measure(plan, || {
        let (index, bid) = next();
        sampler.set(index as usize, (rate(bid) * (1u64 << 32) as f64) as u64);
    });
    print(&format!("auction_bid_change_n{count}"), ours, target, "BTreeMap", Some(tree));
    print(&format!("auction_bid_change_n{count}_fenwick"), ours, None, "Fenwick", Some(sampler));
}

fn unchanged(plan: &Plan) {
    let (mut race, ids) = auction(&bids(1_000, &mut Random(3)));
    let id = ids[17];
    let _ = race.bid(id, 4_000_000);
    let mut wobble = 0;
    let ours = measure(plan, || {
        wobble ^= 1;
        let _ = black_box(race.bid(black_box(id), 4_000_000 + wobble));
    });
    print("auction_bid_unchanged", ours, None, "none", None);
}

fn main() {
    let smoke = std::env::args().any(|argument| argument == "--smoke");
    let plan = |operations: u32| {
        if smoke {
            Plan { blocks: 2, operations: operations / 1_000 }
        } else {
            Plan { blocks: 60, operations }
        }
    };
    // A smoke run checks that the bench works: its times are of cold code, so it has no targets.
    let all = [(100, 40.0), (1_000, 50.0), (10_000, 70.0), (100_000, 150.0), (1_000_000, 500.0)];
    let all = all.map(|(count, target)| (count, Some(target)));
    let sizes = if smoke { &all[..2] } else { &all[..] };
    for &(count, target) in sizes {
        decisions(count, target.filter(|_| !smoke), &plan(20_000));
    }
    for &(count, _) in sizes {
        changes(count, (count <= 10_000 && !smoke).then_some(25.0), &plan(20_000));
    }
    for &(count, _) in sizes {
        hot_winner(count, &plan(20_000));
    }
    unchanged(&plan(100_000));
}
