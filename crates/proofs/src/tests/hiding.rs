//! The hiding mode against malicious provers, and what two of its proofs have in common. Goal: nothing false is
//! accepted although the verifier sees no message; nothing random is used twice.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use super::models::{self, Model};
use super::{one_in, security};
use crate::extension::Extension;
use crate::field::F;
use crate::forward::Trace;
use crate::hiding::{Plan, test_rows};
use crate::prover::{Prepared, Tamper};
use crate::random::Seed;
use crate::verifier::verify;
use crate::{Header, Profile, ProofError, Result, Statement};

mod inputs;
mod reveals;

const OPENINGS: u32 = 2;

type On<'a, T> = Option<Box<dyn Fn(&mut T) + Sync + 'a>>;
type OnWords<'a> = dyn Fn(&mut [F], usize) + Sync + 'a;
type OnMessage<'a, E> = dyn Fn(&'static str, usize, &mut Vec<E>) + Sync + 'a;

/// Cheats with many hands; all of them are still.
struct Cheat<'a, E> {
    trace: On<'a, Trace>,
    pads: On<'a, Vec<E>>,
    own_masks: On<'a, [Vec<F>]>,
    outer_masks: On<'a, [Vec<F>]>,
    mask_words: On<'a, [Vec<F>]>,
    words: Option<Box<OnWords<'a>>>,
    message: Option<Box<OnMessage<'a, E>>>,
    /// Gives the linear test the coefficient that the verifier wants.
    adapts: bool,
    seed: Option<Seed>,
    /// Labels and lengths of the messages that were sent.
    seen: Vec<(&'static str, usize)>,
}

impl<E> Default for Cheat<'_, E> {
    fn default() -> Self {
        Self {
            trace: None,
            pads: None,
            own_masks: None,
            outer_masks: None,
            mask_words: None,
            words: None,
            message: None,
            adapts: false,
            seed: None,
            seen: Vec::new(),
        }
    }
}

fn call<T: ?Sized>(hand: &On<'_, T>, on: &mut T) {
    if let Some(hand) = hand {
        hand(on);
    }
}

impl<E: Extension> Tamper<E> for Cheat<'_, E> {
    fn trace(&mut self, trace: &mut Trace) {
        call(&self.trace, trace);
    }
    fn pads(&mut self, pads: &mut Vec<E>) {
        call(&self.pads, pads);
    }
    fn masks(&mut self, columns: &mut [Vec<F>], weights: &mut [Vec<F>]) {
        call(&self.own_masks, columns);
        call(&self.outer_masks, weights);
    }
    fn mask_words(&mut self, words: &mut [Vec<F>]) {
        call(&self.mask_words, words);
    }
    fn code_words(&mut self, words: &mut [F], length: usize) {
        if let Some(cheat) = &self.words {
            cheat(words, length);
        }
    }
    fn message(&mut self, label: &'static str, nth: usize, elements: &mut Vec<E>) {
        self.seen.push((label, elements.len()));
        if let Some(cheat) = &self.message {
            cheat(label, nth, elements);
        }
    }
    fn test(&mut self, polynomial: &mut [E], tested: usize, target: E) {
        if self.adapts {
            polynomial[tested] = target;
        }
    }
    fn seed(&mut self, seed: &mut Seed) {
        if let Some(own) = self.seed {
            *seed = own;
        }
    }
}

fn registered<E: Extension>(model: &Model, seed: u8, openings: Option<u32>) -> Prepared {
    let profile = Profile::new(security::<E>(), openings);
    let architecture = model.architecture.clone();
    Prepared::registered(architecture, &model.weights, profile, &[seed; 32]).unwrap()
}

fn hiding<E: Extension>(model: &Model, seed: u8) -> Prepared {
    registered::<E>(model, seed, Some(OPENINGS))
}

fn plan<E: Extension>(model: &Model, batch: usize) -> Plan {
    Plan::new(security::<E>(), &model.architecture, batch, OPENINGS, false).unwrap()
}

fn small<E: Extension>() -> (Model, Prepared) {
    let model = models::mlp([5, 4, 3, 2]);
    let prepared = hiding::<E>(&model, 1);
    (model, prepared)
}

/// What the verifier says to a cheating proof, about the output that the cheat claims.
fn verdict<E: Extension>(
    prepared: &Prepared,
    input: &[i16],
    cheat: &mut Cheat<'_, E>,
) -> Result<()> {
    prepared.opened.store(0, Ordering::SeqCst);
    let proof = prepared.prove_tampered(input, 1, b"c", cheat).unwrap();
    let statement = Statement { batch: 1, input, output: &proof.output, context: b"c" };
    verify(prepared.header(), &statement, &proof.bytes)
}

const EQUATION: Result<()> = Err(ProofError::Rejected("an equation behind pads is false"));
/// The proof's own columns do not fit what was sent of them: combination or linear test.
const OWN: Result<()> = Err(ProofError::Rejected("a column does not fit what was sent of it"));
/// The weights' columns, with their mask, do not fit the combination.
const OUTER: Result<()> = Err(ProofError::Rejected("a column does not fit the combination"));

/// Every hand alone is still while nothing is asked of it.
fn an_idle_cheat_is_accepted<E: Extension>() {
    let (model, prepared) = small::<E>();
    let input = model.input(1, 1);
    verdict(&prepared, &input, &mut Cheat::<E>::default()).unwrap();
    verdict(&prepared, &input, &mut Cheat::<E> { adapts: true, ..Cheat::default() }).unwrap();
}

/// False witnesses, with and without the coefficient that the verifier wants: behind pads nothing else is left
/// to be wrong.
fn false_witnesses_are_rejected<E: Extension>() {
    let (model, prepared) = small::<E>();
    let input = model.input(1, 3);
    let cheats: [fn(&mut Trace); 5] = [
        |t| t.tensors[3][0] ^= 1,
        |t| t.tensors[1][0] ^= 1,
        |t| t.quotients[1][0] += 1,
        |t| t.limbs[0][0][0] ^= 1,
        |t| t.range_uses.fill(0),
    ];
    for cheat in cheats {
        for (adapts, expected) in [(false, EQUATION), (true, OWN)] {
            let mut cheat = Cheat::<E> { trace: Some(Box::new(cheat)), adapts, ..Cheat::default() };
            assert_eq!(verdict(&prepared, &input, &mut cheat), expected);
        }
    }
}

/// Other weights under the registered commitment.
fn other_weights_are_rejected<E: Extension>() {
    let (model, mut prepared) = small::<E>();
    let input = model.input(1, 4);
    prepared.packed[1].weights[0] += 1;
    assert_eq!(verdict(&prepared, &input, &mut Cheat::<E>::default()), EQUATION);
    prepared.packed[1].weights[0] -= 1;
    prepared.packed[2].bias[0] += 1;
    assert_eq!(verdict(&prepared, &input, &mut Cheat::<E>::default()), EQUATION);
    prepared.packed[2].bias[0] -= 1;
    verdict(&prepared, &input, &mut Cheat::<E>::default()).unwrap();
}

/// Every message is bound, although no equation is checked where it is sent.
fn every_message_is_bound<E: Extension>() {
    let (model, prepared) = small::<E>();
    let input = model.input(1, 2);
    let mut honest = Cheat::<E>::default();
    verdict(&prepared, &input, &mut honest).unwrap();
    assert!(honest.seen.len() > 60);
    for (nth, (label, len)) in honest.seen.iter().enumerate().step_by(one_in::<E>(3)) {
        let change = move |_: &'static str, now: usize, elements: &mut Vec<E>| {
            if now == nth {
                elements[len - 1] += E::ONE;
            }
        };
        // A proof that adapts its last step to what it said.
        let mut cheat =
            Cheat::<E> { message: Some(Box::new(change)), adapts: true, ..Cheat::default() };
        let found = verdict(&prepared, &input, &mut cheat);
        assert!(matches!(found, Err(ProofError::Rejected(_))), "{label}: {found:?}");
    }
}

/// §4.19: wrong products of pads, wrong random products, wrong polynomials of products, and factors sent to fit.
fn false_products_are_rejected<E: Extension>() {
    let (model, prepared) = small::<E>();
    let input = model.input(1, 2);
    let plan = plan::<E>(&model, 1);
    let pads = &plan.pads;
    let count = pads.pairs.len();
    let wrong = [0, 3, count - 1, count].map(|index| pads.product(index));
    for index in wrong.into_iter().chain([pads.odd(), pads.len() - 1]) {
        for (adapts, expected) in [(false, EQUATION), (true, OWN)] {
            let hand = move |pads: &mut Vec<E>| pads[index] += E::X;
            let mut cheat = Cheat::<E> { pads: Some(Box::new(hand)), adapts, ..Cheat::default() };
            assert_eq!(verdict(&prepared, &input, &mut cheat), expected, "pad {index}");
        }
    }
    for side in [0, 1] {
        let hand = move |label: &'static str, _: usize, elements: &mut Vec<E>| {
            if label == "factors of products" {
                elements[side] += E::ONE;
            }
        };
        let mut cheat = Cheat::<E> { message: Some(Box::new(hand)), ..Cheat::default() };
        assert_eq!(verdict(&prepared, &input, &mut cheat), EQUATION);
    }
    // A pad that is used as it was committed to is as good as any other.
    let unused = pads.messages - 1;
    let hand = move |pads: &mut Vec<E>| pads[unused] += E::ONE;
    verdict(&prepared, &input, &mut Cheat::<E> { pads: Some(Box::new(hand)), ..Cheat::default() })
        .unwrap();
}

/// A message hidden behind another pad than the committed one.
fn other_pads_are_rejected<E: Extension>() {
    let (model, prepared) = small::<E>();
    let input = model.input(1, 2);
    for nth in [0, 5, 20] {
        let hand = move |_: &'static str, now: usize, elements: &mut Vec<E>| {
            if now == nth {
                elements[0] += E::X;
            }
        };
        let mut cheat = Cheat::<E> { message: Some(Box::new(hand)), ..Cheat::default() };
        assert_eq!(verdict(&prepared, &input, &mut cheat), EQUATION);
    }
}

/// A mask of the linear test that changes what is tested: a sum that is not zero.
fn masks_with_a_sum_are_rejected<E: Extension>() {
    let (model, prepared) = small::<E>();
    let input = model.input(1, 2);
    let plan = plan::<E>(&model, 1);
    let place = plan.pad_columns() - 1;
    // Each coordinate of both polynomials, where it is part of the sum.
    for row in 0..test_rows(E::DEGREE) {
        let place = if row < E::DEGREE { place } else { 0 };
        for (adapts, expected) in [(false, EQUATION), (true, OWN)] {
            let hand = move |masks: &mut [Vec<F>]| masks[E::DEGREE + 1 + row][place] += F::ONE;
            let mut cheat =
                Cheat::<E> { own_masks: Some(Box::new(hand)), adapts, ..Cheat::default() };
            assert_eq!(verdict(&prepared, &input, &mut cheat), expected, "row {row}");
        }
    }
    // Any other coefficient is free.
    let hand = |masks: &mut [Vec<F>]| masks[E::DEGREE + 1][0] += F::ONE;
    verdict(
        &prepared,
        &input,
        &mut Cheat::<E> { own_masks: Some(Box::new(hand)), ..Cheat::default() },
    )
    .unwrap();
}

/// A mask with a sum, and the first equation false by just that: the sum is fixed before the challenge that
/// combines the equations, so none may have a constant weight.
fn a_sum_of_the_mask_undoes_no_equation<E: Extension>() {
    let (model, prepared) = small::<E>();
    let input = model.input(1, 2);
    let plan = plan::<E>(&model, 1);
    let place = plan.pad_columns() - 1;
    // Root and inverse are the last product of the first level.
    let [root, inverse] = plan.pads.pairs[3];
    let known = std::sync::Mutex::new(Vec::new());
    let pads = |pads: &mut Vec<E>| known.lock().unwrap().clone_from(pads);
    let mask = move |masks: &mut [Vec<F>]| masks[E::DEGREE + 1][place] += F::ONE;
    let message = |label: &'static str, _: usize, elements: &mut Vec<E>| {
        if label == "look-up root" {
            let pads = known.lock().unwrap();
            let other = elements[0] - pads[root] + E::ONE;
            let sent = [other + pads[root], other.inverse().unwrap() + pads[inverse]];
            elements.copy_from_slice(&sent);
        }
    };
    let mut cheat = Cheat::<E> {
        pads: Some(Box::new(pads)),
        own_masks: Some(Box::new(mask)),
        message: Some(Box::new(message)),
        ..Cheat::default()
    };
    assert_eq!(verdict(&prepared, &input, &mut cheat), EQUATION);
}

/// §4.19: a mask chosen after the weights of the combination: another combination than that of the committed
/// rows, in a coefficient that no value depends on; and another value of the mask.
fn late_masks_are_rejected<E: Extension>() {
    let (model, prepared) = small::<E>();
    let input = model.input(1, 2);
    for (which, expected) in [(0, OWN), (1, OUTER)] {
        let sent = std::sync::atomic::AtomicUsize::new(0);
        let hand = move |label: &'static str, _: usize, elements: &mut Vec<E>| {
            if label == "combination" && sent.fetch_add(1, Ordering::SeqCst) == which {
                let last = elements.len() - 1;
                elements[last] += E::ONE;
            }
        };
        let mut cheat = Cheat::<E> { message: Some(Box::new(hand)), ..Cheat::default() };
        assert_eq!(verdict(&prepared, &input, &mut cheat), expected);
    }
    let hand = |label: &'static str, _: usize, elements: &mut Vec<E>| {
        if label == "mask value" {
            elements[0] += E::ONE;
        }
    };
    let mut cheat = Cheat::<E> { message: Some(Box::new(hand)), ..Cheat::default() };
    assert_eq!(verdict(&prepared, &input, &mut cheat), EQUATION);
}

/// §4.15, 16: rows that are no code words, in half of their places: values, masks, pads, the weights' mask.
fn rows_far_from_the_code_are_rejected<E: Extension>() {
    let (model, prepared) = small::<E>();
    let input = model.input(1, 6);
    let plan = plan::<E>(&model, 1);
    assert_eq!(plan.columns.extra - plan.pad_rows(), E::DEGREE + 1 + test_rows(E::DEGREE));
    for row in (0..plan.columns.all_rows()).step_by(one_in::<E>(3)) {
        let corrupt = move |words: &mut [F], length: usize| {
            for value in words[row * length..(row + 1) * length].iter_mut().step_by(2) {
                *value += F::ONE;
            }
        };
        // The test is made of what was committed, and then of what the verifier wants.
        let words = Some(Box::new(corrupt) as Box<_>);
        let mut cheat = Cheat::<E> { words, adapts: true, ..Cheat::default() };
        assert_eq!(verdict(&prepared, &input, &mut cheat), OWN, "row {row}");
    }
    for row in 0..E::DEGREE + 1 {
        let corrupt = move |words: &mut [Vec<F>]| {
            for value in words[row].iter_mut().step_by(2) {
                *value += F::ONE;
            }
        };
        let mut cheat = Cheat::<E> { mask_words: Some(Box::new(corrupt)), ..Cheat::default() };
        assert_eq!(verdict(&prepared, &input, &mut cheat), OUTER, "mask {row}");
    }
    // A code word of a larger degree is far as well.
    let corrupt = |masks: &mut [Vec<F>]| masks[0].push(F::ONE);
    let mut cheat = Cheat::<E> { outer_masks: Some(Box::new(corrupt)), ..Cheat::default() };
    assert_eq!(verdict(&prepared, &input, &mut cheat), OUTER);
}

/// A prover that commits to rows of another degree than the plan says, in pads and test: caught by the test or
/// by the combination.
fn longer_rows_are_rejected<E: Extension>() {
    let (model, prepared) = small::<E>();
    let input = model.input(1, 6);
    for row in 0..E::DEGREE + 1 + test_rows(E::DEGREE) {
        let longer = move |masks: &mut [Vec<F>]| masks[row].push(F::ONE);
        let mut cheat = Cheat::<E> { own_masks: Some(Box::new(longer)), ..Cheat::default() };
        assert_eq!(verdict(&prepared, &input, &mut cheat), OWN, "row {row}");
    }
}

/// §4.19: the budget is the header's, and one proof more is refused.
fn one_opening_too_many_is_refused<E: Extension>() {
    let (model, prepared) = small::<E>();
    let input = model.input(1, 1);
    for _ in 0..OPENINGS {
        prepared.prove(&input, 1, b"").unwrap();
    }
    assert!(matches!(prepared.prove(&input, 1, b""), Err(ProofError::BudgetSpent(_))));
    let again = hiding::<E>(&model, 2);
    assert!(matches!(prepared.link(&again), Err(ProofError::BudgetSpent(_))));
    let architecture = &model.architecture;
    for openings in [0, crate::hiding::OPENINGS_MAX + 1] {
        let refused = Prepared::hiding(architecture.clone(), &model.weights, &[1; 32], openings);
        assert!(matches!(refused.map(|_| ()), Err(ProofError::InvalidModel(_))));
    }
}

/// §4.17: a header of one profile, or of one budget, never takes a proof of another.
fn profiles_do_not_mix<E: Extension>() {
    let (model, prepared) = small::<E>();
    let input = model.input(1, 1);
    let plain = registered::<E>(&model, 0, None);
    let more = registered::<E>(&model, 1, Some(OPENINGS + 1));
    let all = [&plain, &prepared, &more];
    let digests: HashSet<_> = all.iter().map(|prepared| prepared.header().digest()).collect();
    assert_eq!(digests.len(), 3);
    for one in all {
        let proof = one.prove(&input, 1, b"").unwrap();
        let output = &proof.output;
        let statement = Statement { batch: 1, input: &input, output, context: b"" };
        for other in all {
            let same = other.header() == one.header();
            // The same root under another profile is another header as well.
            for root in [one.header().weight_root, other.header().weight_root] {
                let header = Header { weight_root: root, ..other.header().clone() };
                assert_eq!(verify(&header, &statement, &proof.bytes).is_ok(), same);
            }
        }
    }
}

over_both!(
    an_idle_cheat_is_accepted,
    false_witnesses_are_rejected,
    other_weights_are_rejected,
    every_message_is_bound,
    false_products_are_rejected,
    other_pads_are_rejected,
    masks_with_a_sum_are_rejected,
    a_sum_of_the_mask_undoes_no_equation,
    late_masks_are_rejected,
    rows_far_from_the_code_are_rejected,
    longer_rows_are_rejected,
    one_opening_too_many_is_refused,
    profiles_do_not_mix,
);
