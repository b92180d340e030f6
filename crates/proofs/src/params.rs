//! Security parameters of the commitment: how a vector of blocks is cut into rows, and how many columns are
//! opened. Provable (unique decoding), no conjecture, no grinding.
//!
//! A word is a row of `C` values, encoded by a Reed–Solomon code of length `n = 4C` (rate ρ = 1/4, or a
//! little more when hiding adds random coefficients). A matrix that is farther than δ = (1 − ρ)/2 from the
//! code, or one opened to a wrong value, passes one query with probability at most (1 + ρ)/2: by the
//! proximity gap within unique decoding (Ben-Sasson, Carmon, Ishai, Kopparty, Saraf 2020; the tensor form:
//! Diamond, Posen 2023). Queries are drawn independently, with repetition.

use crate::extension::{Cubic, Extension, Quadratic};
use crate::layout::Block;

/// How likely a false statement is to be accepted, at most: 2^−100 or 2^−128, provable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Security {
    /// 2^−100; challenges in [`Quadratic`].
    #[default]
    Bits100,
    /// 2^−128; challenges in [`Cubic`].
    Bits128,
}

impl Security {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Bits100, Self::Bits128];

    /// −log2 of the error.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Bits100 => 100,
            Self::Bits128 => 128,
        }
    }

    /// The security of so many bits; `None` unless there is one.
    #[must_use]
    pub fn of_bits(bits: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|security| security.bits() == bits)
    }

    /// Every commitment is queried until a cheat survives with at most 2^−(this), so that two of them and all
    /// algebraic rounds together stay below 2^−[`Security::bits`]: the largest algebraic error is 2^−102 in the
    /// quadratic extension, and nothing beside the queries in the cubic one.
    pub(crate) const fn query_bits(self) -> u32 {
        self.bits() + 2
    }

    /// Degree of the extension that challenges are in.
    #[must_use]
    pub const fn degree(self) -> usize {
        match self {
            Self::Bits100 => Quadratic::DEGREE,
            Self::Bits128 => Cubic::DEGREE,
        }
    }

    /// Bytes of an element of that extension.
    pub(crate) const fn element_bytes(self) -> usize {
        8 * self.degree()
    }
}

/// log2(n / C).
pub const LOG_BLOWUP: usize = 2;
/// Smallest and largest row that is considered.
pub(crate) const LOG_COLUMNS: std::ops::RangeInclusive<usize> = 6..=15;

/// How many independent queries a code of rate `message / length` needs.
#[must_use]
pub fn queries(security: Security, message: usize, length: usize) -> usize {
    assert!(message < length, "BUG: a code has redundancy");
    let survives = f64::midpoint(1.0, message as f64 / length as f64);
    let target = 0.5_f64.powi(security.query_bits().cast_signed());
    // Bit by bit from the highest, the most queries that do not suffice. Products of IEEE doubles: the same count
    // on every machine.
    let squares = std::iter::successors(Some(survives), |power| Some(power * power));
    let powers: Vec<f64> = squares.take_while(|power| *power > target).collect();
    let (mut count, mut product) = (0, 1.0);
    for (bit, power) in powers.iter().enumerate().rev() {
        if product * power > target {
            product *= power;
            count += 1 << bit;
        }
    }
    count + 1
}

/// Where a block lies in its matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// First row.
    pub row: usize,
    /// Rows; 1 for a block smaller than a row.
    pub rows: usize,
    /// First column; 0 unless the block is smaller than a row.
    pub offset: usize,
}

/// The matrix of a commitment: blocks of at least a row first, largest first, the small ones packed behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// log2 of the values of a row.
    pub log_columns: usize,
    /// Rows of values.
    pub rows: usize,
    /// Rows behind them that hold no values: masks and pads of a hiding commitment.
    pub extra: usize,
    /// Coefficients of a row: its values, and behind them the random ones of a hiding commitment.
    pub message: usize,
    /// log2 of the length of a code word.
    pub log_length: u32,
    /// Independent queries of one opening.
    pub queries: usize,
    /// The blocks.
    pub blocks: Vec<Block>,
    /// Where each block lies.
    pub places: Vec<Place>,
}

impl Matrix {
    /// The matrix with the smallest opening.
    #[must_use]
    pub fn new(security: Security, blocks: &[Block]) -> Self {
        let with = |log_columns| Self::with_columns(security, blocks, log_columns);
        let cost = |m: &Self| security.element_bytes() * m.columns() + 8 * m.queries * m.rows;
        LOG_COLUMNS.map(with).min_by_key(cost).unwrap_or_else(|| with(*LOG_COLUMNS.end()))
    }

    /// The matrix whose rows have `2^log_columns` values and nothing else.
    pub(crate) fn with_columns(security: Security, blocks: &[Block], log_columns: usize) -> Self {
        let mut order: Vec<usize> = (0..blocks.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(blocks[*index].log_size));
        let mut places = vec![Place { row: 0, rows: 0, offset: 0 }; blocks.len()];
        let (mut rows, mut used) = (0, 0);
        for index in order {
            let block = &blocks[index];
            if block.log_size >= log_columns {
                let own = block.active.div_ceil(1 << log_columns);
                places[index] = Place { row: rows, rows: own, offset: 0 };
                rows += own;
            } else {
                if used == 0 {
                    rows += 1;
                }
                places[index] = Place { row: rows - 1, rows: 1, offset: used };
                used = (used + (1 << block.log_size)) % (1 << log_columns);
            }
        }
        let queries = queries(security, 1 << log_columns, 1 << (log_columns + LOG_BLOWUP));
        Self {
            log_columns,
            rows,
            extra: 0,
            message: 1 << log_columns,
            log_length: (log_columns + LOG_BLOWUP) as u32,
            queries,
            blocks: blocks.to_vec(),
            places,
        }
    }

    /// Values of a row.
    #[must_use]
    pub fn columns(&self) -> usize {
        1 << self.log_columns
    }

    /// Random coefficients of a row; 0 unless hiding.
    #[must_use]
    pub fn random(&self) -> usize {
        self.message - self.columns()
    }

    /// All rows.
    #[must_use]
    pub fn all_rows(&self) -> usize {
        self.rows + self.extra
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_counts_match_the_formula() {
        assert_eq!(queries(Security::Bits100, 1, 4), 151); // 102 / log2(8/5) = 150.4
        assert_eq!(queries(Security::Bits100, 1, 8), 123); // 102 / log2(16/9) = 122.9
        assert_eq!(queries(Security::Bits128, 1, 4), 192); // 130 / log2(8/5) = 191.7
        assert_eq!(queries(Security::Bits128, 1, 8), 157); // 130 / log2(16/9) = 156.6
    }

    /// Against one product a query.
    #[test]
    fn query_counts_are_those_of_counting() {
        let rates = (6..=20).flat_map(|log| (0..200).map(move |i| (1_usize << log, i)));
        for (length, i) in rates {
            let message = 1 + (length - 2) * i / 220;
            for security in Security::ALL {
                let survives = f64::midpoint(1.0, message as f64 / length as f64);
                let target = 0.5_f64.powi(security.query_bits().cast_signed());
                let products = std::iter::successors(Some(1.0), |product| Some(product * survives));
                let counted = products.take_while(|product| *product > target).count();
                assert_eq!(queries(security, message, length), counted, "{message} of {length}");
            }
        }
    }

    /// No two blocks share a cell, and small blocks are aligned to their size.
    #[test]
    fn blocks_do_not_overlap() {
        let sizes = [(3, 8), (12, 3000), (0, 1), (7, 128), (12, 4096), (6, 64), (5, 17)];
        let blocks: Vec<Block> = sizes
            .iter()
            .map(|(log_size, active)| Block { log_size: *log_size, active: *active })
            .collect();
        for log_columns in LOG_COLUMNS {
            let matrix = Matrix::with_columns(Security::Bits128, &blocks, log_columns);
            let mut taken = vec![false; matrix.rows << log_columns];
            for (block, place) in blocks.iter().zip(&matrix.places) {
                assert_eq!(place.offset % (1 << block.log_size.min(log_columns)), 0);
                let first = (place.row << log_columns) + place.offset;
                for cell in &mut taken[first..first + block.active] {
                    assert!(!std::mem::replace(cell, true));
                }
            }
        }
    }
}
