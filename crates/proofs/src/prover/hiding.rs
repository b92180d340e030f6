//! The hiding prover: pads, masks, and the linear test that settles every equation in pads at once.
//!
//! The construction is in docs/design/proofs.md. What must be new for every proof (pads, masks, random
//! coefficients, salts) comes from one seed that the operating system gives and that is dropped afterwards.

use rayon::prelude::*;

use super::channel::{Channel, Tamper};
use super::commit::{Commitment, Committed, Hide};
use super::{Prepared, leaves};
use crate::error::{ProofError, Result};
use crate::extension::E;
use crate::field::F;
use crate::forward::Trace;
use crate::header::Statement;
use crate::hiding::{MASK_ROWS, Pads, Plan};
use crate::layout;
use crate::merkle::{self, SALT, Tree};
use crate::ntt::Domain;
use crate::random::{self, Seed, Source};
use crate::transcript::Transcript;
use crate::verifier;

/// The masks of the weights' combination: new for every proof, so in a tree of their own, below the leaves of
/// the proof's own tree.
struct WeightMask {
    messages: Vec<Vec<F>>,
    /// Salt and values of each place.
    leaves: Vec<u8>,
    tree: Tree,
}

/// Bytes of one place of a mask.
const MASK_LEAF: usize = SALT + 8 * MASK_ROWS;

impl WeightMask {
    fn new(messages: Vec<Vec<F>>, log_length: u32, seed: &Seed) -> Self {
        let domain = Domain::new(log_length);
        let words: Vec<Vec<F>> = messages
            .par_iter()
            .map(|message| {
                let mut word = message.clone();
                word.resize(domain.size(), F::ZERO);
                domain.evaluate(&mut word, message.len());
                word
            })
            .collect();
        let salts = random::salts(seed, "weight mask salts", domain.size());
        let mut leaves = vec![0; domain.size() * MASK_LEAF];
        let hashes = leaves.par_chunks_exact_mut(MASK_LEAF).enumerate().with_min_len(256);
        let hashes = hashes.map(|(place, leaf)| {
            leaf[..SALT].copy_from_slice(&salts[place * SALT..][..SALT]);
            for (row, word) in words.iter().enumerate() {
                leaf[SALT + 8 * row..][..8].copy_from_slice(&word[place].to_u64().to_le_bytes());
            }
            merkle::mask_leaf(leaf)
        });
        let tree = Tree::new(hashes.collect());
        Self { messages, leaves, tree }
    }
}

/// Everything random of one proof, and what it is committed to.
struct Secrets {
    pads: Vec<E>,
    columns: Committed,
    weights: Option<WeightMask>,
}

impl Secrets {
    fn new(
        prepared: &Prepared,
        plan: &Plan,
        trace: &Trace,
        batch: usize,
        tamper: &mut dyn Tamper,
    ) -> Result<Self> {
        let mut seed = random::fresh_seed()?;
        tamper.seed(&mut seed);
        let mut pads = pads(&plan.pads, &mut Source::new(&seed, "pads"));
        tamper.pads(&mut pads);
        let matrix = &plan.columns;
        let mut own = masks(plan, &mut Source::new(&seed, "masks"));
        let mut source = Source::new(&seed, "weight mask");
        let weights = plan.weights.as_ref();
        let mut of_weights: Vec<Vec<F>> = weights.map_or_else(Vec::new, |matrix| {
            (0..MASK_ROWS).map(|_| source.elements(matrix.message)).collect()
        });
        tamper.masks(&mut own, &mut of_weights);
        let weights =
            weights.map(|matrix| WeightMask::new(of_weights, matrix.log_length, &seed));
        let below = weights.as_ref().map_or(&[][..], |mask| mask.tree.level(plan.fold()));
        own.extend(pad_rows(plan, &pads, &mut Source::new(&seed, "pad tails")));
        let blocks = layout::columns(&prepared.header.architecture, batch);
        let data = blocks.iter().map(|(column, _)| leaves::column(trace, *column)).collect();
        let hide = Hide { seed: &seed, label: "columns", extra: own, below };
        let columns = Committed::new(matrix.clone(), data, Some(hide), tamper);
        Ok(Self { pads, columns, weights })
    }
}

/// Random pads, with the products that belong to them.
fn pads(layout: &Pads, source: &mut Source) -> Vec<E> {
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
        let of = |coordinate: fn(&E) -> F| {
            let mut word: Vec<F> = values.iter().map(coordinate).collect();
            half.interpolate(&mut word);
            word.resize(whole.size(), F::ZERO);
            whole.evaluate(&mut word, half.size());
            word
        };
        (of(|e| e.0), of(|e| e.1))
    });
    let [u, v] = &on_whole;
    let at = |word: &(Vec<F>, Vec<F>), place: usize| E(word.0[place], word.1[place]);
    for index in 0..=layout.pairs.len() {
        pads[layout.product(index)] = at(u, index) * at(v, index);
    }
    for place in half.size()..whole.size() {
        pads[layout.odd() + place - half.size()] = at(u, place) * at(v, place);
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
    for coordinate in [0, 1] {
        rows[MASK_ROWS + coordinate][place] = -rows[MASK_ROWS + 2 + coordinate][0];
    }
    rows
}

/// Messages of the rows of pads.
fn pad_rows(plan: &Plan, pads: &[E], source: &mut Source) -> Vec<Vec<F>> {
    let mut cells: Vec<F> = pads.iter().flat_map(|pad| [pad.0, pad.1]).collect();
    cells.resize(plan.pad_rows() * plan.pad_columns(), F::ZERO);
    let row = |values: &[F]| {
        let random = source.elements(plan.columns.message - values.len());
        [values, &random].concat()
    };
    cells.chunks_exact(plan.pad_columns()).map(row).collect()
}

/// Proves a statement so that the proof tells nothing but the statement.
pub(super) fn prove(
    prepared: &Prepared,
    plan: &Plan,
    trace: &Trace,
    statement: &Statement<'_>,
    transcript: Transcript,
    tamper: &mut dyn Tamper,
) -> Result<Vec<u8>> {
    let secrets = Secrets::new(prepared, plan, trace, statement.batch, tamper)?;
    let again = transcript.clone();
    let mut channel = Channel::new(transcript, tamper);
    channel.send_bytes("columns root", &secrets.columns.root());
    channel.hide(secrets.pads[..plan.pads.messages].to_vec());
    let claims = prepared.converse(&mut channel, trace, statement.batch);
    secrets.columns.open(&mut channel, &claims.columns, &[]);
    if let Some(mask) = &secrets.weights {
        prepared.weights.open(&mut channel, &claims.weights, &mask.messages);
    }
    send_factors(&mut channel, &plan.pads, &secrets.pads);
    test(&mut channel, prepared, plan, &secrets, statement, again);
    reveal(&mut channel, prepared, plan, &secrets);
    Ok(channel.finish())
}

/// Sends the two polynomials of factors at a random place, where the random factors hide them.
fn send_factors(channel: &mut Channel<'_>, layout: &Pads, pads: &[E]) {
    let at = channel.challenge();
    let weights = verifier::lagrange(layout.log_half(), at).unwrap_or_default();
    let random = layout.random_factors();
    let value = |side: usize| {
        let factors = layout.pairs.iter().map(|pair| pads[pair[side]]).chain([pads[random[side]]]);
        factors.zip(&weights).map(|(factor, weight)| factor * *weight).sum()
    };
    channel.send_clear("factors of products", vec![value(0), value(1)]);
}

/// Sends the polynomial of the linear test: Σ over rows of pads of row · functional, plus the mask.
fn test(
    channel: &mut Channel<'_>,
    prepared: &Prepared,
    plan: &Plan,
    secrets: &Secrets,
    statement: &Statement<'_>,
    again: Transcript,
) {
    // Which functional it is, the verifier's own code says. It fails on messages that are none, and then it
    // does not matter what is sent.
    let _ = channel.challenge();
    let settled = verifier::settle(&prepared.header, statement, plan, again, &channel.proof);
    let mut functional = settled.map_or_else(|_| Vec::new(), |settled| settled.functional);
    functional.resize(plan.pads.len(), E::ZERO);
    channel.tamper.functional(&mut functional);
    let reversed = plan.reversed_rows(&functional);

    let log_size = layout::log2_ceil(plan.test_length()) as u32;
    let domain = Domain::new(log_size);
    let length = 1 << plan.columns.log_length;
    let words = |row: usize| &secrets.columns.encoded[row * length..][..domain.size()];
    let mut sum = vec![E::ZERO; domain.size()];
    for (row, coefficients) in reversed.iter().enumerate() {
        let of = |coordinate: fn(&E) -> F| {
            let mut word: Vec<F> = coefficients.iter().map(coordinate).collect();
            word.resize(domain.size(), F::ZERO);
            domain.evaluate(&mut word, plan.pad_columns());
            word
        };
        let (low, high) = (of(|e| e.0), of(|e| e.1));
        // The subgroup's places come first among those of the longer words.
        let values = low.iter().zip(&high).zip(words(plan.first_pad_row() + row));
        for (sum, ((low, high), value)) in sum.iter_mut().zip(values) {
            *sum += E(*low * *value, *high * *value);
        }
    }
    let mut coordinates = [|e: &E| e.0, |e: &E| e.1].map(|coordinate: fn(&E) -> F| {
        let mut word: Vec<F> = sum.iter().map(coordinate).collect();
        domain.interpolate(&mut word);
        word
    });
    let masks = &secrets.columns.extra[MASK_ROWS..];
    for (coordinate, word) in coordinates.iter_mut().enumerate() {
        for (shift, mask) in [(0, coordinate), (plan.pad_columns() - 1, coordinate + 2)] {
            for (sum, value) in word[shift..].iter_mut().zip(&masks[mask]) {
                *sum += *value;
            }
        }
    }
    let [low, high] = &coordinates;
    let all = low.iter().zip(high).take(plan.test_length());
    channel.send_clear("linear test", all.map(|(low, high)| E(*low, *high)).collect());
}

/// Shows both trees at the same random places.
fn reveal(channel: &mut Channel<'_>, prepared: &Prepared, plan: &Plan, secrets: &Secrets) {
    let places = channel.transcript.positions(plan.queries, plan.log_places());
    if let Some(mask) = &secrets.weights {
        prepared.weights.reveal(channel, &places);
        for place in &places {
            let leaf = mask.leaves[place * MASK_LEAF..][..MASK_LEAF].to_vec();
            let branch = mask.tree.branch(*place, plan.fold());
            channel.send_last("mask", [leaf, branch.concat()].concat());
        }
    }
    let mut own: Vec<usize> = places.iter().map(|place| place >> plan.fold()).collect();
    own.dedup();
    secrets.columns.reveal(channel, &own);
}

impl Prepared {
    /// Counts one opening of the weights.
    pub(super) fn spend(&self, openings: u32) -> Result<()> {
        let counted = self.opened.fetch_update(
            std::sync::atomic::Ordering::SeqCst,
            std::sync::atomic::Ordering::SeqCst,
            |opened| (opened < openings).then_some(opened + 1),
        );
        counted.map(|_| ()).map_err(|_| {
            ProofError::BudgetSpent(format!("the weights were opened {openings} times"))
        })
    }
}
