//! The scripted auctions.

use maxwell_market::{Auction, AuctionConfig, BidderId, Decision, Residual};
use std::collections::BTreeMap;
use std::fmt::Write;

/// A linear congruential generator: the script, not the auction, needs it.
struct Script(u64);

impl Script {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(self.0 >> 16) * u128::from(bound)) >> 48) as u64
    }
}

const ACCOUNTS: u64 = 9;
const EVENTS: usize = 900;

struct Trace {
    auction: Auction,
    config: AuctionConfig,
    ids: BTreeMap<u64, BidderId>,
    away: BTreeMap<u64, Residual>,
    wins: BTreeMap<u64, u64>,
    events: Vec<String>,
}

/// The vectors file.
pub fn vectors() -> String {
    let scenarios: Vec<String> = (0..=4u8).map(scenario).collect();
    let about = "Scripted auctions of crates/market (example `trace`). e: 2^-57 units; prices: \
                 ppm. decide: [slots, [[winner, price, bid, floor, runner-up], ...]].";
    format!("{{\"about\":\"{about}\",\"scenarios\":[\n{}\n]}}\n", scenarios.join(",\n"))
}

fn scenario(temperature_log2: u8) -> String {
    let config = AuctionConfig {
        temperature_log2,
        reserve_ppm: 1_000_000,
        seed: *b"auction vectors!",
        cell: u32::from(temperature_log2) + 40,
        virtual_time_start: u64::MAX - 1_000,
    };
    let mut trace = Trace {
        auction: Auction::new(config).unwrap(),
        config,
        ids: BTreeMap::new(),
        away: BTreeMap::new(),
        wins: BTreeMap::new(),
        events: Vec::new(),
    };
    let mut script = Script(u64::from(temperature_log2) + 1);
    for account in 0..ACCOUNTS {
        trace.enter(account);
        trace.bid(account, 1_000_000 + script.below(6_000_000));
        trace.wake(account);
    }
    for _ in 0..EVENTS {
        trace.step(&mut script);
    }
    trace.finish()
}

impl Trace {
    fn step(&mut self, script: &mut Script) {
        let account = script.below(ACCOUNTS);
        let present = self.ids.contains_key(&account);
        match script.below(20) {
            0..=9 => self.decide(1),
            10 => self.decide(2 + script.below(3)),
            11..=14 if present => {
                let range = 1 << (19 + script.below(8));
                let bid = 900_000 + script.below(range);
                self.bid(account, bid);
            }
            15 if present => self.sleep(account),
            16 if present => self.wake(account),
            17 if present => self.quality(account, 125_000 + script.below(7_875_001)),
            18 if present => self.leave(account),
            18 => self.enter(account),
            19 => match script.below(2) {
                0 => self.reserve(800_000 + script.below(500_000)),
                _ => self.rho(script.below(1_300_000)),
            },
            17 => self.wake_all(),
            _ => self.decide(1),
        }
    }

    fn push(&mut self, event: String) {
        self.events.push(event);
    }

    fn enter(&mut self, account: u64) {
        let id = match self.away.remove(&account) {
            Some(residual) => self.auction.add_with_residual(residual).unwrap(),
            None => self.auction.add(account).unwrap(),
        };
        self.ids.insert(account, id);
        self.push(format!("[\"enter\",{account}]"));
    }

    fn leave(&mut self, account: u64) {
        let residual = self.auction.remove(self.ids[&account]).unwrap();
        self.ids.remove(&account);
        self.away.insert(account, residual);
        self.push(format!("[\"leave\",{account},\"{}\",{}]", residual.e, residual.wins));
    }

    fn bid(&mut self, account: u64, bid: u64) {
        let entered = self.auction.bid(self.ids[&account], bid).unwrap();
        self.push(format!("[\"bid\",{account},{bid},{entered}]"));
    }

    fn sleep(&mut self, account: u64) {
        self.auction.sleep(self.ids[&account]).unwrap();
        self.push(format!("[\"sleep\",{account}]"));
    }

    fn wake(&mut self, account: u64) {
        self.auction.wake(self.ids[&account]).unwrap();
        self.push(format!("[\"wake\",{account}]"));
    }

    fn wake_all(&mut self) {
        for account in self.ids.keys().copied().collect::<Vec<_>>() {
            self.wake(account);
        }
    }

    fn quality(&mut self, account: u64, quality: u64) {
        self.auction.set_quality(self.ids[&account], quality).unwrap();
        self.push(format!("[\"quality\",{account},{quality}]"));
    }

    fn reserve(&mut self, reserve: u64) {
        self.auction.set_reserve(reserve).unwrap();
        self.push(format!("[\"reserve\",{reserve}]"));
    }

    fn rho(&mut self, rho: u64) {
        self.auction.set_rho(rho).unwrap();
        self.push(format!("[\"rho\",{rho}]"));
    }

    fn decide(&mut self, slots: u64) {
        let mut decisions = Vec::new();
        if slots == 1 {
            decisions.extend(self.auction.decide());
        } else {
            self.auction.decide_many(usize::try_from(slots).unwrap(), &mut decisions);
        }
        let accounts = |id| self.auction.account(id).unwrap();
        let lines: Vec<String> = decisions
            .iter()
            .map(|decision| {
                let Decision { winner, price_ppm, bid_ppm, floor_ppm, runner_up, .. } = *decision;
                let runner_up = runner_up.map_or("null".to_owned(), |id| accounts(id).to_string());
                let winner = accounts(winner);
                format!("[{winner},{price_ppm},{bid_ppm},{floor_ppm},{runner_up}]")
            })
            .collect();
        for decision in &decisions {
            self.wins.insert(accounts(decision.winner), decision.wins);
        }
        let lines = lines.join(",");
        self.push(format!("[\"decide\",{slots},[{lines}]]"));
    }

    /// All draws that the scenario used, as whoever knows the seed can compute them.
    fn draws(&self, account: u64) -> String {
        let wins = self.wins.get(&account).copied().unwrap_or(0);
        let first = {
            let mut auction = Auction::new(self.config).unwrap();
            let id = auction.add(account).unwrap();
            auction.remove(id).unwrap().e
        };
        let later = (0..wins).map(|wins| {
            // Win once, and leave with the fresh clock.
            let mut auction = Auction::new(self.config).unwrap();
            let id = auction.add_with_residual(Residual { account, e: 0, wins }).unwrap();
            auction.bid(id, 2_000_000).unwrap();
            auction.wake(id).unwrap();
            auction.decide().unwrap();
            auction.remove(id).unwrap().e
        });
        let draws: Vec<String> =
            std::iter::once(first).chain(later).map(|e| format!("\"{e}\"")).collect();
        format!("[{}]", draws.join(","))
    }

    fn finish(&self) -> String {
        let draws: Vec<String> = (0..ACCOUNTS).map(|account| self.draws(account)).collect();
        let AuctionConfig { temperature_log2, reserve_ppm, seed, cell, .. } = self.config;
        let mut text = String::new();
        let seed = seed.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        write!(
            text,
            "{{\"temperature_log2\":{temperature_log2},\"reserve_ppm\":{reserve_ppm},\
             \"seed\":\"{seed}\",\"cell\":{cell},\n\"draws\":[{}],\n\"events\":[{}]}}",
            draws.join(","),
            self.events.join(",")
        )
        .unwrap();
        text
    }
}
