//! Committing to a matrix: encode every row, hash every column, Merkle tree over the columns.
//!
//! Ligero (Ames, Hazay, Ishai, Venkitasubramaniam 2017) in the tensor form of Brakedown (Golovnev, Lee,
//! Setty, Thaler, Wahby 2021): hashing only, no set-up.

use rayon::prelude::*;

use super::channel::{Channel, Tamper};
use crate::claims::Claim;
use crate::dot;
use crate::extension::Extension;
use crate::field::F;
use crate::merkle::{self, Digest, Tree};
use crate::narrow;
use crate::ntt::Domain;
use crate::params::Matrix;
use crate::random::{Salts, Seed, Source};

/// The values of a block.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    /// int16 values.
    Narrow(Vec<i16>),
    /// Any field elements.
    Wide(Vec<F>),
}

impl Data {
    fn get(&self, index: usize) -> F {
        match self {
            Self::Narrow(values) => {
                values.get(index).map_or(F::ZERO, |value| F::from_i64(i64::from(*value)))
            }
            Self::Wide(values) => values.get(index).copied().unwrap_or(F::ZERO),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Narrow(values) => values.len(),
            Self::Wide(values) => values.len(),
        }
    }

    /// Values `from..to`, cut at the end.
    fn slice(&self, from: usize, to: usize) -> Part<'_> {
        match self {
            Self::Narrow(v) => Part::Narrow(&v[from.min(v.len())..to.min(v.len())]),
            Self::Wide(v) => Part::Wide(&v[from.min(v.len())..to.min(v.len())]),
        }
    }
}

/// A run of a block's values.
enum Part<'a> {
    Narrow(&'a [i16]),
    Wide(&'a [F]),
}

impl Part<'_> {
    /// `out += Σ_i factors[i]·row i`, rows of `out.len()` values.
    fn combine<E: Extension>(&self, factors: &[E], out: &mut [E]) {
        let width = out.len();
        match self {
            Self::Narrow(values) => narrow::combine_rows(values, width, factors, out),
            Self::Wide(values) => {
                for (row, factor) in values.chunks(width).zip(factors) {
                    for (sum, value) in out.iter_mut().zip(row) {
                        *sum += factor.scale(*value);
                    }
                }
            }
        }
    }
}

/// A commitment that many claims can be opened against at once. The only one here is [`Committed`], Ligero;
/// another (WHIR, say) would implement this and [`crate::verifier`]'s counterpart, under another profile.
pub(crate) trait Commitment {
    /// What the verifier holds.
    fn root(&self) -> merkle::Digest;
    /// Argues all claims about its blocks, up to what is left to be compared at random places.
    fn open<E: Extension>(
        &self,
        channel: &mut Channel<'_, E>,
        claims: &[Claim<E, E>],
        masks: &[Vec<F>],
    );
    /// Shows what it is at these places.
    fn reveal<E: Extension>(&self, channel: &mut Channel<'_, E>, positions: &[usize]);
}

/// A matrix with its code words and tree.
pub(crate) struct Committed {
    pub(crate) matrix: Matrix,
    blocks: Vec<Data>,
    /// Random coefficients behind the values of each row, row after row.
    tails: Vec<F>,
    /// Messages of the extra rows that are committed to here.
    pub(crate) extra: Vec<Vec<F>>,
    /// Code words, row after row.
    pub(crate) encoded: Vec<F>,
    /// Salts of the leaves; `None` when nothing is hidden.
    salts: Option<Salts>,
    pub(crate) tree: Tree,
}

/// What makes a commitment hiding.
pub(crate) struct Hide<'a> {
    /// Where its randomness comes from; used for nothing else with this label.
    pub(crate) seed: &'a Seed,
    /// What is committed to.
    pub(crate) label: &'static str,
    /// Messages of the extra rows.
    pub(crate) extra: Vec<Vec<F>>,
    /// What hangs below each leaf besides; empty, or one a leaf.
    pub(crate) below: &'a [Digest],
}

/// Columns hashed together, so that rows are read in runs.
const STRIP: usize = 32;
/// Rows combined by one thread at a time.
const PIECE: usize = 64;

impl Committed {
    /// Commits to blocks in the order of the matrix.
    pub(crate) fn new<E>(
        matrix: Matrix,
        mut blocks: Vec<Data>,
        hide: Option<Hide<'_>>,
        tamper: &mut dyn Tamper<E>,
    ) -> Self {
        for (index, data) in blocks.iter_mut().enumerate() {
            // Blocks of at least a row are held as whole rows, so that combinations see whole rows.
            if matrix.blocks[index].log_size >= matrix.log_columns {
                let size = matrix.places[index].rows * matrix.columns();
                match data {
                    Data::Narrow(values) => values.resize(size, 0),
                    Data::Wide(values) => values.resize(size, F::ZERO),
                }
            }
        }
        let length = 1_usize << matrix.log_length;
        let tails = hide.as_ref().map_or_else(Vec::new, |hide| {
            let tails = Source::new(hide.seed, &format!("{} tails", hide.label));
            tails.take(matrix.rows * matrix.random())
        });
        let salts =
            hide.as_ref().map(|hide| Salts::new(hide.seed, &format!("{} salts", hide.label)));
        let (extra, below) = hide.map_or((Vec::new(), &[][..]), |hide| (hide.extra, hide.below));
        let domain = Domain::new(matrix.log_length);
        let rows = matrix.rows + extra.len();
        // In parallel, since the first touch of memory is what it costs.
        let mut encoded: Vec<F> =
            (0..rows * length).into_par_iter().with_min_len(1 << 14).map(|_| F::ZERO).collect();
        encoded.par_chunks_exact_mut(length).enumerate().for_each(|(row, word)| {
            if let Some(message) = row.checked_sub(matrix.rows).map(|row| &extra[row]) {
                word[..message.len()].copy_from_slice(message);
            } else {
                fill_row(&matrix, &blocks, row, word);
                let own = row * matrix.random()..(row + 1) * matrix.random();
                word[matrix.columns()..matrix.message].copy_from_slice(&tails[own]);
            }
            domain.evaluate(word, matrix.message);
        });
        tamper.code_words(&mut encoded, length);
        let strips = (0..length / STRIP)
            .into_par_iter()
            .map(|strip| hash_strip(&encoded, rows, length, strip, salts.as_ref(), below));
        let tree = Tree::new(strips.flatten_iter().collect());
        Self { matrix, blocks, tails, extra, encoded, salts, tree }
    }

    /// The message of a row: its values before encoding.
    pub(crate) fn row(&self, row: usize) -> Vec<F> {
        let mut values = vec![F::ZERO; self.matrix.columns()];
        fill_row(&self.matrix, &self.blocks, row, &mut values);
        values
    }

    /// `Σ_b Σ_i factors_b[i]·row_i of block b` over blocks of at least a row, one factor per row.
    pub(crate) fn combine_blocks<E: Extension>(&self, jobs: &[(usize, Vec<E>)]) -> Vec<E> {
        let columns = self.matrix.columns();
        let pieces: Vec<(usize, usize, &[E])> = jobs
            .iter()
            .flat_map(|(block, factors)| {
                let chunks = factors.chunks(PIECE).enumerate();
                chunks.map(|(chunk, factors)| (*block, chunk * PIECE, factors))
            })
            .collect();
        let sums = pieces.par_iter().fold(Vec::new, |mut sum: Vec<E>, (block, row, factors)| {
            sum.resize(columns, E::ZERO);
            let part = self.blocks[*block].slice(row * columns, (row + factors.len()) * columns);
            part.combine(factors, &mut sum);
            sum
        });
        sums.reduce(Vec::new, |mut a, b| {
            a.resize(columns, E::ZERO);
            add(&mut a, &b);
            a
        })
    }

    /// `Σ_i factors[i]·row_i` over all rows, without the random coefficients; `extra` are the messages of the
    /// rows behind those of values.
    pub(crate) fn combine_all<E: Extension>(&self, factors: &[E], extra: &[Vec<F>]) -> Vec<E> {
        let (factors, behind) = factors.split_at(self.matrix.rows);
        let large = |index: &usize| self.matrix.blocks[*index].log_size >= self.matrix.log_columns;
        let jobs: Vec<(usize, Vec<E>)> = (0..self.blocks.len())
            .filter(large)
            .map(|index| {
                let place = self.matrix.places[index];
                (index, factors[place.row..place.row + place.rows].to_vec())
            })
            .collect();
        let mut out = self.combine_blocks(&jobs);
        out.resize(self.matrix.columns(), E::ZERO);
        let small_from: usize = jobs.iter().map(|(index, _)| self.matrix.places[*index].rows).sum();
        for (row, factor) in factors.iter().enumerate().skip(small_from) {
            for (sum, value) in out.iter_mut().zip(self.row(row)) {
                *sum += factor.scale(value);
            }
        }
        for (factor, message) in behind.iter().zip(extra) {
            for (sum, value) in out.iter_mut().zip(message) {
                *sum += factor.scale(*value);
            }
        }
        out
    }

    /// The same combination of the random coefficients alone.
    pub(crate) fn combine_random<E: Extension>(&self, factors: &[E], extra: &[Vec<F>]) -> Vec<E> {
        let width = self.matrix.random();
        let (factors, behind) = factors.split_at(self.matrix.rows);
        let mut out = vec![E::ZERO; width];
        out.par_chunks_mut(PIECE).enumerate().for_each(|(piece, out)| {
            let rows = self.tails.chunks_exact(width).zip(factors.iter().copied());
            dot::combine(&rows, piece * PIECE, out);
            let extra = extra.iter().map(Vec::as_slice).zip(behind.iter().copied());
            dot::combine(&extra, self.matrix.columns() + piece * PIECE, out);
        });
        out
    }

    /// One column of the code words, as bytes; behind its salt when hiding.
    pub(crate) fn column(&self, position: usize) -> Vec<u8> {
        let length = 1 << self.matrix.log_length;
        let words = self.encoded[position..].iter().step_by(length);
        let salt = self.salts.iter().flat_map(|salts| salts.of(position));
        salt.chain(words.flat_map(|value| value.to_u64().to_le_bytes())).collect()
    }
}

/// The hashes of the columns of one strip.
fn hash_strip(
    encoded: &[F],
    rows: usize,
    length: usize,
    strip: usize,
    salts: Option<&Salts>,
    below: &[Digest],
) -> Vec<Digest> {
    let before = if salts.is_some() { merkle::SALT } else { 0 };
    let after = if below.is_empty() { 0 } else { 32 };
    let bytes = before + rows * 8 + after;
    let width = if before > 0 { merkle::padded(bytes) } else { bytes };
    let mut columns = vec![0_u8; STRIP * width];
    for row in 0..rows {
        let run = &encoded[row * length + strip * STRIP..][..STRIP];
        for (column, value) in run.iter().enumerate() {
            let place = column * width + before + row * 8;
            columns[place..place + 8].copy_from_slice(&value.to_u64().to_le_bytes());
        }
    }
    if let Some(salts) = salts {
        let first = strip * STRIP;
        salts.fill(first, &mut columns, width);
        for (leaf, node) in columns.chunks_exact_mut(width).zip(below.iter().skip(first)) {
            leaf[bytes - after..bytes].copy_from_slice(node);
        }
        merkle::salted_leaves(&columns, STRIP)
    } else {
        merkle::leaves(&columns, STRIP)
    }
}

/// Adds one vector to another.
pub(crate) fn add<E: Extension>(out: &mut [E], other: &[E]) {
    for (sum, value) in out.iter_mut().zip(other) {
        *sum += *value;
    }
}

/// Writes the message of one row to the front of `word`.
fn fill_row(matrix: &Matrix, blocks: &[Data], row: usize, word: &mut [F]) {
    for ((data, block), place) in blocks.iter().zip(&matrix.blocks).zip(&matrix.places) {
        if !(place.row..place.row + place.rows).contains(&row) {
            continue;
        }
        let small = block.log_size < matrix.log_columns;
        let from = if small { 0 } else { (row - place.row) * matrix.columns() };
        let count = if small { data.len() } else { matrix.columns() };
        for step in 0..count {
            word[place.offset + step] = data.get(from + step);
        }
    }
}
