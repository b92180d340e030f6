//! What the integration tests share.
#![allow(dead_code, unreachable_pub)]

pub mod fenwick;
pub mod race;
pub mod random;

use maxwell_market::{Auction, AuctionConfig, BidderId};

pub const RESERVE_PPM: u64 = 1_000_000;

pub fn config(temperature_log2: u8, seed: u64) -> AuctionConfig {
    let mut bytes = [0x5A; 16];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    AuctionConfig {
        temperature_log2,
        reserve_ppm: RESERVE_PPM,
        seed: bytes,
        cell: 0,
        virtual_time_start: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15),
    }
}

/// An auction in which everybody races.
pub fn auction(temperature_log2: u8, seed: u64, bids: &[u64]) -> (Auction, Vec<BidderId>) {
    let mut auction = Auction::new(config(temperature_log2, seed)).unwrap();
    let ids = (0u64..)
        .zip(bids)
        .map(|(account, &bid)| {
            let id = auction.add(account).unwrap();
            auction.bid(id, bid).unwrap();
            auction.wake(id).unwrap();
            id
        })
        .collect();
    (auction, ids)
}

/// The bids as entered.
pub fn entered(auction: &Auction, ids: &[BidderId]) -> Vec<f64> {
    ids.iter().map(|&id| auction.bid_ppm(id).unwrap() as f64).collect()
}

/// Softmax: each score to the power 1/T, over the sum.
pub fn shares(scores: &[f64], temperature_log2: u8) -> Vec<f64> {
    let power = f64::from(1u32 << temperature_log2);
    let rates: Vec<f64> = scores.iter().map(|score| (score / 1e6).powf(power)).collect();
    let sum: f64 = rates.iter().sum();
    rates.iter().map(|rate| rate / sum).collect()
}

/// A chi-square statistic as a standard normal (Wilson and Hilferty): above 4 is a failure.
pub fn chi_square_z(statistic: f64, degrees: f64) -> f64 {
    let spread = 2.0 / (9.0 * degrees);
    ((statistic / degrees).cbrt() - (1.0 - spread)) / spread.sqrt()
}

/// Pearson's test of counts against probabilities.
pub fn pearson_z(counts: &[u64], probabilities: &[f64]) -> f64 {
    let total: u64 = counts.iter().sum();
    let statistic: f64 = counts
        .iter()
        .zip(probabilities)
        .filter(|&(_, &p)| p > 0.0)
        .map(|(&count, p)| (count as f64 - p * total as f64).powi(2) / (p * total as f64))
        .sum();
    chi_square_z(statistic, probabilities.iter().filter(|&&p| p > 0.0).count() as f64 - 1.0)
}

/// Kolmogorov and Smirnov's statistic of two samples, scaled: above 2.0 is p < 0.001.
pub fn smirnov(mut a: Vec<f64>, mut b: Vec<f64>) -> f64 {
    a.sort_by(f64::total_cmp);
    b.sort_by(f64::total_cmp);
    let (mut i, mut j, mut largest) = (0, 0, 0.0f64);
    while i < a.len() && j < b.len() {
        let value = a[i].min(b[j]);
        while i < a.len() && a[i] <= value {
            i += 1;
        }
        while j < b.len() && b[j] <= value {
            j += 1;
        }
        largest = largest.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    let (n, m) = (a.len() as f64, b.len() as f64);
    largest * (n * m / (n + m)).sqrt()
}
