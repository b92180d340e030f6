//! The race once more, in f64 and by linear search, with the two mistakes that the tests must be
//! able to find. Each mutation changes one line.

use super::random::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// The mechanism as designed.
    None,
    /// Losers keep Gumbel scores instead of exponential clocks; only the winner redraws.
    NaiveGumbel,
    /// A change of bid leaves the key as it is.
    UnrescaledKeys,
}

pub struct Race {
    mutation: Mutation,
    power: f64,
    now: f64,
    rates: Vec<f64>,
    bids: Vec<f64>,
    keys: Vec<f64>,
    awake: Vec<bool>,
    random: Random,
}

impl Race {
    pub fn new(mutation: Mutation, temperature_log2: u8, seed: u64, bids: &[f64]) -> Self {
        let power = f64::from(1u32 << temperature_log2);
        let mut race = Self {
            mutation,
            power,
            now: 0.0,
            rates: bids.iter().map(|bid| bid.powf(power)).collect(),
            bids: bids.to_vec(),
            keys: vec![0.0; bids.len()],
            awake: vec![true; bids.len()],
            random: Random(seed),
        };
        for i in 0..bids.len() {
            race.draw(i);
        }
        race
    }

    fn draw(&mut self, i: usize) {
        let e = self.random.exponential();
        self.keys[i] = if self.mutation == Mutation::NaiveGumbel {
            // A negated Gumbel score: the least wins.
            e.ln() - self.rates[i].ln()
        } else {
            self.now + e / self.rates[i]
        };
    }

    pub fn set_bid(&mut self, i: usize, bid: f64) {
        let rate = bid.powf(self.power);
        self.keys[i] = match self.mutation {
            Mutation::None => self.now + (self.keys[i] - self.now) * self.rates[i] / rate,
            Mutation::NaiveGumbel => self.keys[i] + self.rates[i].ln() - rate.ln(),
            Mutation::UnrescaledKeys => self.keys[i],
        };
        self.rates[i] = rate;
        self.bids[i] = bid;
    }

    /// The winner and its critical price.
    pub fn decide(&mut self) -> (usize, f64) {
        let (mut first, mut second) = (usize::MAX, f64::INFINITY);
        for i in (0..self.keys.len()).filter(|&i| self.awake[i]) {
            if first == usize::MAX || self.keys[i] < self.keys[first] {
                second = if first == usize::MAX { second } else { self.keys[first] };
                first = i;
            } else {
                second = second.min(self.keys[i]);
            }
        }
        let ratio = if self.mutation == Mutation::NaiveGumbel {
            (self.keys[first] - second).exp()
        } else {
            (self.keys[first] - self.now) / (second - self.now)
        };
        let price = self.bids[first] * ratio.powf(1.0 / self.power);
        if self.mutation != Mutation::NaiveGumbel {
            self.now = self.keys[first];
        }
        self.draw(first);
        (first, price)
    }
}
