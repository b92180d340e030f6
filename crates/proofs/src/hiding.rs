//! Sizes of the hiding mode: derived from the header and the batch alone, by prover and verifier alike.
//!
//! All trees are opened at the same random places. The code words of the weights (of commitments from outside)
//! have length `n_w`; those of a proof's own matrix (values, masks, pads) are at most as long, `n_a = n_w /
//! 2^fold`, and place `q` of the first is place `q >> fold` of the second. The mask of the weights is new for
//! every proof, so it cannot lie in their tree: its code words, of length `n_w`, hang below the leaves of the
//! proof's own tree, `2^fold` places a leaf, hashed one by one, so that a place that is not asked for stays
//! hidden.
//!
//! docs/design/proofs.md has the construction, docs/concepts/proof-of-inference.md what it costs in soundness.

use crate::error::{ProofError, Result};
use crate::extension::Extension;
use crate::layout::{self, Block, log2_ceil};
use crate::model::{Architecture, Kind};
use crate::params::{LOG_COLUMNS, Matrix, Security, queries};

/// Rows of the mask of a combination, for challenges of a degree. So many as the degree, times 1, X, …, are a
/// random vector over E; one more makes the factors, after the proximity weights are added, span E over F unless
/// they lie in one hyperplane (probability 2^−128 instead of 2^−64, at every degree).
pub(crate) const fn mask_rows(degree: usize) -> usize {
    degree + 1
}

/// Rows of the mask of the linear test: two polynomials over E.
pub(crate) const fn test_rows(degree: usize) -> usize {
    2 * degree
}

/// Longest code words of the weights, log2.
const LOG_LENGTH_MAX: u32 = 18;
/// Shortest code words, log2: short enough for a model of one neuron.
const LOG_LENGTH_MIN: u32 = 11;
/// More queries than this are never worth it: rates beyond 1/2.
const fn queries_max(security: Security) -> usize {
    match security {
        Security::Bits100 => 256,
        Security::Bits128 => 320,
    }
}
/// Openings that a commitment to weights may be made for.
pub const OPENINGS_MAX: u32 = 256;
/// Openings of a commitment to weights, unless asked otherwise.
pub const OPENINGS_DEFAULT: u32 = 16;

/// Where the elements are that hide messages and products. All are elements of E, as many values each as its degree.
///
/// In this order: a pad for each message of one element; for each product of two messages the product of
/// their pads; one random product and its two factors; the odd values of the polynomial of products.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pads {
    /// Messages of one element, at most.
    pub(crate) messages: usize,
    /// Which two messages each product multiplies.
    pub(crate) pairs: Vec<[usize; 2]>,
}

impl Pads {
    /// log2 of the places of the polynomials of factors: there are more than products.
    pub(crate) fn log_half(&self) -> u32 {
        log2_ceil(self.pairs.len() + 1) as u32
    }

    /// Index of the product of number `index`; behind the last comes the random one.
    pub(crate) fn product(&self, index: usize) -> usize {
        self.messages + index
    }

    /// Indices of the random factors.
    pub(crate) fn random_factors(&self) -> [usize; 2] {
        [1, 2].map(|behind| self.product(self.pairs.len()) + behind)
    }

    /// Index of the first odd value.
    pub(crate) fn odd(&self) -> usize {
        self.product(self.pairs.len()) + 3
    }

    /// All pads.
    pub(crate) fn len(&self) -> usize {
        self.odd() + (1 << self.log_half())
    }

    /// Those of a proof: of the messages before the openings, and room for the openings.
    fn count(architecture: &Architecture, batch: usize, hides_input: bool, claims: usize) -> Self {
        let mut pairs = Vec::new();
        let mut next = 0;
        for level in 0..log2_ceil(layout::all_segments(architecture, batch, hides_input).len) {
            next += 2 * level;
            let [pl, pr, ql, qr] = [0, 1, 2, 3].map(|half| next + half);
            pairs.extend([[pl, qr], [pr, ql], [ql, qr]]);
            next += 4;
            if level == 0 {
                pairs.push([next, next + 1]);
                next += 2;
            }
        }
        next += layout::all_columns(architecture, batch, hides_input).len();
        for (index, op) in architecture.ops().iter().enumerate() {
            if op.multipliers.len() > 1 {
                next += 2 * crate::forward::channel_axis(architecture, index).1 + 1;
            }
            if let Some((k_bits, ..)) = layout::weight_shape(architecture, index) {
                next += 1 + 2 * k_bits;
                pairs.push([next, next + 1]);
                next += 2;
            }
            let bits = layout::axis_bits(&architecture.tensors()[op.input], batch);
            next += match op.kind {
                Kind::Conv2d { .. } | Kind::AvgPool { .. } => 2 * (bits[0] + bits[1]) + 1,
                Kind::Add { .. } => 2,
                Kind::Dense { .. } | Kind::Table => 0,
            };
        }
        next += 2 * layout::tensor_log(architecture.output(), batch) + 1;
        Self { messages: next + openings_messages(2 + usize::from(hides_input), claims), pairs }
    }
}

/// Messages of `openings` openings with so many claims, at most: rounds over the columns, a value for each group
/// (at most one group a claim), the values of the proximity row and of the mask.
fn openings_messages(openings: usize, claims: usize) -> usize {
    openings * (2 * LOG_COLUMNS.end() + 2) + claims
}

/// Claims on a proof's own columns and on the weights, at most.
pub(crate) fn claims(architecture: &Architecture, batch: usize, hides_input: bool) -> usize {
    let reads: usize = architecture.ops().iter().map(|op| op.reads().count()).sum();
    layout::all_columns(architecture, batch, hides_input).len()
        + reads
        + 1
        + layout::weight_blocks(architecture).len()
        + usize::from(hides_input)
}

/// Everything about the sizes of one hiding proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What the numbers of queries and the degree of challenges follow from.
    pub(crate) security: Security,
    /// The matrix of a proof's own commitment; its extra rows are the masks of its combination, the masks of
    /// the linear test, and the pads, in this order.
    pub(crate) columns: Matrix,
    /// log2 of the values in a row of pads.
    pub(crate) log_pad_columns: usize,
    /// The pads.
    pub(crate) pads: Pads,
    /// The matrices of the commitments that were made before the proof, with code words of one length; the
    /// extra rows of each are its mask.
    pub(crate) outside: Vec<Matrix>,
    /// Independent queries, of all.
    pub(crate) queries: usize,
}

impl Plan {
    /// The sizes of a proof of a batch under a commitment to weights for `openings` openings.
    pub(crate) fn new(
        security: Security,
        architecture: &Architecture,
        batch: usize,
        openings: u32,
        hides_input: bool,
    ) -> Result<Self> {
        let mut outside: Vec<Matrix> =
            weight_matrix(security, architecture, openings).into_iter().collect();
        if outside.is_empty() && !layout::weight_blocks(architecture).is_empty() {
            return Err(ProofError::InvalidData("BUG: no code for hidden weights".into()));
        }
        if hides_input {
            outside.push(input_matrix(security, architecture, batch, openings)?);
        }
        let columns = layout::all_columns(architecture, batch, hides_input);
        let blocks: Vec<Block> = columns.iter().map(|(_, block)| *block).collect();
        let claims = claims(architecture, batch, hides_input);
        let pads = Pads::count(architecture, batch, hides_input, claims);
        Self::with(security, &blocks, &outside, &pads)
    }

    /// The sizes of a proof that two commitments are to the same weights; `None` without weights.
    pub(crate) fn link(
        security: Security,
        architecture: &Architecture,
        openings: u32,
    ) -> Result<Option<Self>> {
        let Some(matrix) = weight_matrix(security, architecture, openings) else {
            return Ok(None);
        };
        let blocks = layout::weight_blocks(architecture).len();
        let pads = Pads { messages: blocks + openings_messages(3, 2 * blocks), pairs: Vec::new() };
        Self::with(security, &[], &[matrix.clone(), matrix], &pads).map(Some)
    }

    fn with(security: Security, blocks: &[Block], outside: &[Matrix], pads: &Pads) -> Result<Self> {
        let (queries, longest) = match outside {
            [matrix, ..] => (matrix.queries, matrix.log_length),
            [] => (queries(security, 1, 8), LOG_LENGTH_MAX),
        };
        let degree = security.degree();
        let mut best: Option<(usize, Self)> = None;
        for log_columns in LOG_COLUMNS {
            for log_pad_columns in 5..=log_columns.min(10) {
                let tested = (1 << log_pad_columns) + (1 << log_columns) + queries;
                let Some(log_length) = shortest(security, tested, queries, longest) else {
                    continue;
                };
                let mut columns = Matrix::with_columns(security, blocks, log_columns);
                columns.message = (1 << log_columns) + queries;
                columns.log_length = log_length;
                columns.queries = queries;
                columns.extra = mask_rows(degree)
                    + test_rows(degree)
                    + (degree * pads.len()).div_ceil(1 << log_pad_columns);
                let deeper = if outside.is_empty() { 0 } else { longest - log_length };
                let bytes = security.element_bytes() * (columns.message + tested)
                    + queries * (8 * columns.all_rows() + 32 * (log_length + deeper) as usize);
                let work = columns.all_rows() << log_length >> 2;
                let plan = || Self {
                    security,
                    columns,
                    log_pad_columns,
                    pads: pads.clone(),
                    outside: outside.to_vec(),
                    queries,
                };
                if best.as_ref().is_none_or(|(cost, _)| bytes + work < *cost) {
                    best = Some((bytes + work, plan()));
                }
            }
        }
        // 2^5 + 2^6 values and the queries fit a code of length 2^11 at every rate of `weight_matrix`.
        let none = || ProofError::InvalidData("BUG: no plan for a hiding proof".into());
        best.map(|(_, plan)| plan).ok_or_else(none)
    }

    /// Coefficients of the polynomial of the linear test: a row times one of `pad_columns` coefficients.
    pub(crate) fn test_length(&self) -> usize {
        self.pad_columns() + self.columns.message - 1
    }

    /// Values in a row of pads.
    pub(crate) fn pad_columns(&self) -> usize {
        1 << self.log_pad_columns
    }

    /// Rows of pads.
    pub(crate) fn pad_rows(&self) -> usize {
        self.columns.extra - (self.first_pad_row() - self.columns.rows)
    }

    /// First row of pads.
    pub(crate) fn first_pad_row(&self) -> usize {
        self.columns.rows + self.mask_rows() + test_rows(self.security.degree())
    }

    /// Rows of the mask of a combination.
    pub(crate) fn mask_rows(&self) -> usize {
        mask_rows(self.security.degree())
    }

    /// A functional of the pads as one polynomial a row of pads, each with its coefficients backwards: the
    /// coefficient of X^(P − 1) of Σ row · polynomial is the functional's value.
    pub(crate) fn reversed_rows<E: Extension>(&self, functional: &[E]) -> Vec<Vec<E>> {
        // The values of a pad are times 1, X, …
        let powers = E::X.powers(E::DEGREE);
        let each = |factor: &E| powers.iter().map(|power| *factor * *power).collect::<Vec<E>>();
        let mut cells: Vec<E> = functional.iter().flat_map(each).collect();
        cells.resize(self.pad_rows() * self.pad_columns(), E::ZERO);
        let rows = cells.chunks_exact(self.pad_columns());
        rows.map(|row| row.iter().rev().copied().collect()).collect()
    }

    /// log2 of the length of the words that places are drawn from.
    pub(crate) fn log_places(&self) -> u32 {
        self.outside.first().map_or(self.columns.log_length, |matrix| matrix.log_length)
    }

    /// log2 of the places of the weights below one leaf of the proof's own tree.
    pub(crate) fn fold(&self) -> u32 {
        self.log_places() - self.columns.log_length
    }
}

/// The shortest code, log2, at which so many queries suffice for `message` coefficients.
fn shortest(security: Security, message: usize, count: usize, longest: u32) -> Option<u32> {
    let fits = |log: &u32| message < 1 << log && queries(security, message, 1 << log) <= count;
    (LOG_LENGTH_MIN..=longest).find(fits)
}

/// The matrix of a hiding commitment to weights; `None` without weights.
pub(crate) fn weight_matrix(
    security: Security,
    architecture: &Architecture,
    openings: u32,
) -> Option<Matrix> {
    let blocks: Vec<Block> =
        layout::weight_blocks(architecture).iter().map(|(_, block)| *block).collect();
    if blocks.is_empty() {
        return None;
    }
    let mut best: Option<(usize, Matrix)> = None;
    for log_columns in LOG_COLUMNS {
        for log_length in LOG_LENGTH_MIN..=LOG_LENGTH_MAX {
            let Some(count) = enough(security, 1 << log_columns, openings as usize, log_length)
            else {
                continue;
            };
            let mut matrix = Matrix::with_columns(security, &blocks, log_columns);
            matrix.message = (1 << log_columns) + openings as usize * count;
            matrix.log_length = log_length;
            matrix.queries = count;
            matrix.extra = mask_rows(security.degree());
            let bytes = security.element_bytes() * matrix.message
                + count * (8 * matrix.rows + 32 * (log_length as usize - 5));
            // Every proof encodes and hashes a mask of this length.
            let cost = bytes + (2 << log_length);
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, matrix));
            }
        }
    }
    best.map(|(_, matrix)| matrix)
}

/// The matrix of a commitment to an input: its code words are as long as those of the weights, and opened as
/// often in a proof; it is opened by one proof.
pub(crate) fn input_matrix(
    security: Security,
    architecture: &Architecture,
    batch: usize,
    openings: u32,
) -> Result<Matrix> {
    let log_size = layout::tensor_log(architecture.input(), batch);
    let block = Block { log_size, active: 1 << log_size };
    let weights = weight_matrix(security, architecture, openings);
    let mut best: Option<(usize, Matrix)> = None;
    for log_columns in LOG_COLUMNS {
        let count = weights.as_ref().map_or(queries(security, 1, 8), |matrix| matrix.queries);
        let message = (1 << log_columns) + count;
        let log_length = match &weights {
            Some(matrix) => {
                shortest(security, message, count, matrix.log_length).map(|_| matrix.log_length)
            }
            None => shortest(security, message, count, LOG_LENGTH_MAX),
        };
        let Some(log_length) = log_length else { continue };
        let mut matrix = Matrix::with_columns(security, &[block], log_columns);
        matrix.message = message;
        matrix.log_length = log_length;
        matrix.queries = count;
        matrix.extra = mask_rows(security.degree());
        let cost = security.element_bytes() * message + 8 * count * matrix.rows + (2 << log_length);
        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
            best = Some((cost, matrix));
        }
    }
    let none = || ProofError::InvalidData("BUG: no code for a hidden input".into());
    best.map(|(_, matrix)| matrix).ok_or_else(none)
}

/// The least number of queries that suffices although a row has as many random coefficients as `openings`
/// times it; `None` when the code is too short for any.
fn enough(security: Security, columns: usize, openings: usize, log_length: u32) -> Option<usize> {
    let length = 1 << log_length;
    // Not fewer, so that a proof's own matrix, which is queried as often, finds a code as well.
    let mut count = queries(security, 1, 8);
    loop {
        let message = columns + openings * count;
        if message >= length || count > queries_max(security) {
            return None;
        }
        let needed = queries(security, message, length);
        if needed <= count {
            return Some(count);
        }
        count = needed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::models;

    /// Every code of a plan is queried often enough, and holds at least as many random coefficients as it
    /// ever reveals places.
    #[test]
    fn plans_keep_their_promises() {
        let all =
            [models::dense(3, 2, false), models::mlp([784, 128, 64, 10]), models::everything()];
        for (security, model) in
            Security::ALL.into_iter().flat_map(|s| all.iter().map(move |m| (s, m)))
        {
            let queries = |message, length| queries(security, message, length);
            for (batch, openings) in [(1, 1), (1, 16), (7, 64), (3, OPENINGS_MAX)] {
                for hides in [false, true] {
                    let plan =
                        Plan::new(security, &model.architecture, batch, openings, hides).unwrap();
                    let columns = &plan.columns;
                    let weights = &plan.outside[0];
                    assert!(columns.random() >= plan.queries);
                    assert!(weights.random() >= openings as usize * plan.queries);
                    let length = 1 << columns.log_length;
                    assert!(queries(plan.test_length(), length) <= plan.queries);
                    assert!(queries(columns.message, length) <= plan.queries);
                    assert!(queries(weights.message, 1 << weights.log_length) <= plan.queries);
                    assert!(columns.log_length <= weights.log_length);
                    let values = security.degree() * plan.pads.len();
                    assert!(plan.pad_rows() * plan.pad_columns() >= values);
                    assert_eq!(plan.outside.len(), 1 + usize::from(hides));
                    for matrix in &plan.outside {
                        assert_eq!(matrix.log_length, weights.log_length);
                        assert!(matrix.random() >= plan.queries);
                        assert!(queries(matrix.message, 1 << matrix.log_length) <= plan.queries);
                    }
                }
            }
        }
    }
}
