//! What is random in a hiding proof: pads, masks, random coefficients, salts. All of it is drawn anew for every
//! proof, from one seed of the operating system that is dropped afterwards.

use rayon::prelude::*;

use super::channel::Tamper;
use super::commit::{Committed, Data, Hide};
use crate::error::Result;
use crate::extension::{self, Extension};
use crate::field::F;
use crate::hiding::{Pads, Plan};
use crate::merkle::{self, SALT, Tree};
use crate::ntt::Domain;
use crate::random::{self, Salts, Seed, Source};

/// The masks of the commitments from outside: new for every proof, so in a tree of their own, below the leaves
/// of the proof's own tree.
pub(super) struct Masks {
    /// Messages, as many a commitment as [`Plan::mask_rows`].
    pub(super) messages: Vec<Vec<F>>,
    /// Their code words.
    words: Vec<Vec<F>>,
    salts: Salts,
    tree: Tree,
}

/// Leaves that one thread makes at a time.
const PIECE: usize = 256;

impl Masks {
    fn new<E>(
        messages: Vec<Vec<F>>,
        log_length: u32,
        seed: &Seed,
        tamper: &mut dyn Tamper<E>,
    ) -> Self {
        let domain = Domain::new(log_length);
        let mut words: Vec<Vec<F>> = messages
            .par_iter()
            .map(|message| {
                let mut word = message.clone();
                word.resize(domain.size(), F::ZERO);
                domain.evaluate(&mut word, message.len());
                word
            })
            .collect();
        tamper.mask_words(&mut words);
        let salts = Salts::new(seed, "mask salts");
        let width = merkle::padded(SALT + 8 * messages.len());
        let pieces = (0..domain.size()).step_by(PIECE).collect::<Vec<_>>().into_par_iter();
        let hashes = pieces.flat_map_iter(|first| {
            let count = PIECE.min(domain.size() - first);
            let mut leaves = vec![0; count * width];
            salts.fill(first, &mut leaves, width);
            for (row, word) in words.iter().enumerate() {
                let values = word[first..].iter().map(|value| value.to_u64().to_le_bytes());
                for (leaf, value) in leaves.chunks_exact_mut(width).zip(values) {
                    leaf[SALT + 8 * row..][..8].copy_from_slice(&value);
                }
            }
            merkle::mask_leaves(&leaves, count)
        });
        let tree = Tree::new(hashes.collect());
        Self { messages, words, salts, tree }
    }

    /// One place, with the way up to the proof's own tree.
    pub(super) fn reveal(&self, place: usize, depth: u32) -> Vec<u8> {
        let values = self.words.iter().flat_map(|word| word[place].to_u64().to_le_bytes());
        let branch = self.tree.branch(place, depth);
        self.salts.of(place).into_iter().chain(values).chain(branch.into_flattened()).collect()
    }
}

/// Everything random of one proof, and what it is committed to.
pub(super) struct Secrets<E> {
    pub(super) pads: Vec<E>,
    pub(super) columns: Committed,
    /// `None` when there is no commitment from outside.
    pub(super) masks: Option<Masks>,
}

impl<E: Extension> Secrets<E> {
    /// Draws everything and commits to it, and to the values of the proof's own blocks.
    pub(super) fn new(plan: &Plan, values: Vec<Data>, tamper: &mut dyn Tamper<E>) -> Result<Self> {
        let mut seed = random::fresh_seed()?;
        tamper.seed(&mut seed);
        let mut pads = pads(&plan.pads, &mut Source::new(&seed, "pads"));
        tamper.pads(&mut pads);
        let mut own = masks(plan, &mut Source::new(&seed, "own masks"));
        let mut source = Source::new(&seed, "masks");
        let sizes = plan
            .outside
            .iter()
            .flat_map(|matrix| std::iter::repeat_n(matrix.message, plan.mask_rows()));
        let mut of_outside: Vec<Vec<F>> = sizes.map(|size| source.elements(size)).collect();
        tamper.masks(&mut own, &mut of_outside);
        let masks = (!plan.outside.is_empty())
            .then(|| Masks::new(of_outside, plan.log_places(), &seed, tamper));
        let below = masks.as_ref().map_or(&[][..], |masks| masks.tree.level(plan.fold()));
        own.extend(pad_rows(plan, &pads, &mut Source::new(&seed, "pad tails")));
        let hide = Hide { seed: &seed, label: "columns", extra: own, below };
        let columns = Committed::new(plan.columns.clone(), values, Some(hide), tamper);
        Ok(Self { pads, columns, masks })
    }
}

/// Random pads, with the products that belong to them.
fn pads<E: Extension>(layout: &Pads, source: &mut Source) -> Vec<E> {
    let mut pads = vec![E::ZERO; layout.len()];
    for pad in &mut pads[..layout.messages] {
        *pad = source.extension();
    }
    let random = layout.random_factors();
    for index in random {
        pads[index] = source.extension();
    }
    let half = Domain::new(layout.log_half());
    let whole = Domain::new(layout.log_half() + 1);
    // Both polynomials of factors, by their values on the small domain, then on the large one.
    let on_whole = [0, 1].map(|side| {
        let mut values: Vec<E> = layout.pairs.iter().map(|pair| pads[pair[side]]).collect();
        values.push(pads[random[side]]);
        values.resize(half.size(), E::ZERO);
        extension::by_coordinate(&values, |word: &mut Vec<F>| {
            half.interpolate(word);
            word.resize(whole.size(), F::ZERO);
            whole.evaluate(word, half.size());
        })
    });
    let [u, v] = &on_whole;
    for index in 0..=layout.pairs.len() {
        pads[layout.product(index)] = u[index] * v[index];
    }
    for place in half.size()..whole.size() {
        pads[layout.odd() + place - half.size()] = u[place] * v[place];
    }
    pads
}

/// Messages of the masks of a proof's own matrix: of its combination, then of the linear test.
fn masks(plan: &Plan, source: &mut Source) -> Vec<Vec<F>> {
    let mut rows: Vec<Vec<F>> = (0..plan.first_pad_row() - plan.columns.rows)
        .map(|_| source.elements(plan.columns.message))
        .collect();
    // The mask of the linear test must not change the coefficient that is tested:
    // m_0 + X^(P − 1)·m_1 has m_0[P − 1] + m_1[0] there.
    let place = plan.pad_columns() - 1;
    let (low, high) = rows[plan.mask_rows()..].split_at_mut(plan.security.degree());
    for (low, high) in low.iter_mut().zip(high) {
        low[place] = -high[0];
    }
    rows
}

/// Messages of the rows of pads.
fn pad_rows<E: Extension>(plan: &Plan, pads: &[E], source: &mut Source) -> Vec<Vec<F>> {
    let mut cells: Vec<F> = Vec::with_capacity(plan.pad_rows() * plan.pad_columns());
    for pad in pads {
        cells.extend_from_slice(pad.coordinates().as_ref());
    }
    cells.resize(plan.pad_rows() * plan.pad_columns(), F::ZERO);
    let row = |values: &[F]| {
        let random = source.elements(plan.columns.message - values.len());
        [values, &random].concat()
    };
    cells.chunks_exact(plan.pad_columns()).map(row).collect()
}
