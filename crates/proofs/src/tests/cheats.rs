//! A malicious prover that controls the witness and every message. Goal: nothing false is accepted. Each
//! test names the entries of the bug list (design document, §4) that it covers.

use super::models::{self, Model};
use super::{one_in, security};
use crate::extension::Extension;
use crate::field::F;
use crate::forward::Trace;
use crate::model::Kind;
use crate::prover::{Prepared, Tamper};
use crate::verifier::verify;
use crate::{Profile, ProofError, Statement};

type OnTrace<'a> = dyn Fn(&mut Trace) + Sync + 'a;
type OnMessage<'a, E> = dyn Fn(&'static str, usize, &mut Vec<E>) + Sync + 'a;
type OnBytes<'a> = dyn Fn(&'static str, &mut Vec<u8>) + Sync + 'a;
type OnWords<'a> = dyn Fn(&mut [F], usize) + Sync + 'a;

/// Cheats with up to four hands.
struct Cheat<'a, E> {
    trace: Option<Box<OnTrace<'a>>>,
    message: Option<Box<OnMessage<'a, E>>>,
    bytes: Option<Box<OnBytes<'a>>>,
    words: Option<Box<OnWords<'a>>>,
    /// Labels and lengths of the messages that were sent.
    seen: Vec<(&'static str, usize)>,
}

impl<E> Default for Cheat<'_, E> {
    fn default() -> Self {
        Self { trace: None, message: None, bytes: None, words: None, seen: Vec::new() }
    }
}

impl<E: Extension> Tamper<E> for Cheat<'_, E> {
    fn trace(&mut self, trace: &mut Trace) {
        if let Some(cheat) = &self.trace {
            cheat(trace);
        }
    }

    fn message(&mut self, label: &'static str, nth: usize, elements: &mut Vec<E>) {
        self.seen.push((label, elements.len()));
        if let Some(cheat) = &self.message {
            cheat(label, nth, elements);
        }
    }

    fn code_words(&mut self, words: &mut [F], length: usize) {
        if let Some(cheat) = &self.words {
            cheat(words, length);
        }
    }

    fn bytes(&mut self, label: &'static str, bytes: &mut Vec<u8>) {
        if let Some(cheat) = &self.bytes {
            cheat(label, bytes);
        }
    }
}

fn small<E: Extension>() -> (Model, Prepared) {
    prepared::<E>(models::mlp([5, 4, 3, 2]))
}

fn prepared<E: Extension>(model: Model) -> (Model, Prepared) {
    let profile = Profile::new(security::<E>(), None);
    let architecture = model.architecture.clone();
    let prepared = Prepared::registered(architecture, &model.weights, profile, &[0; 32]).unwrap();
    (model, prepared)
}

/// What the verifier says to a cheating proof, about the output that the cheat claims.
fn verdict<E: Extension>(
    prepared: &Prepared,
    input: &[i16],
    batch: usize,
    cheat: &mut Cheat<'_, E>,
) -> crate::Result<()> {
    let proof = prepared.prove_tampered(input, batch, b"c", cheat).unwrap();
    let statement = Statement { batch, input, output: &proof.output, context: b"c" };
    verify(prepared.header(), &statement, &proof.bytes)
}

#[allow(clippy::needless_pass_by_value, reason = "the result of the call, not kept")]
fn assert_rejected(found: crate::Result<()>, what: &str) {
    assert!(matches!(found, Err(ProofError::Rejected(_))), "{what}: {found:?}");
}

/// The witness tests below would mean nothing if the hooks alone broke a proof.
fn an_idle_cheat_is_accepted<E: Extension>() {
    let (model, prepared) = small::<E>();
    verdict(&prepared, &model.input(2, 1), 2, &mut Cheat::<E>::default()).unwrap();
}

/// §4.1, 2, 5, 6, 8, 14, 15: every element of every message is bound.
fn every_message_is_bound<E: Extension>() {
    for (model, prepared) in [small::<E>(), prepared::<E>(models::everything())] {
        let input = model.input(1, 2);
        let mut honest = Cheat::<E>::default();
        verdict(&prepared, &input, 1, &mut honest).unwrap();
        for (nth, (label, len)) in honest.seen.iter().enumerate().step_by(one_in::<E>(5)) {
            for element in [0, len - 1] {
                let change = move |_: &'static str, now: usize, elements: &mut Vec<E>| {
                    if now == nth {
                        elements[element] += E::ONE;
                    }
                };
                let mut cheat = Cheat::<E> { message: Some(Box::new(change)), ..Cheat::default() };
                assert_rejected(verdict(&prepared, &input, 1, &mut cheat), label);
            }
        }
    }
}

/// §4.6: a missing or an extra element shifts everything that follows.
fn messages_have_their_length<E: Extension>() {
    let (model, prepared) = small::<E>();
    let input = model.input(1, 2);
    let mut honest = Cheat::<E>::default();
    verdict(&prepared, &input, 1, &mut honest).unwrap();
    for nth in (0..honest.seen.len()).step_by(one_in::<E>(4)) {
        for longer in [true, false] {
            let change = move |_: &'static str, now: usize, elements: &mut Vec<E>| {
                if now == nth && longer {
                    elements.push(E::ZERO);
                } else if now == nth {
                    elements.pop();
                }
            };
            let mut cheat = Cheat::<E> { message: Some(Box::new(change)), ..Cheat::default() };
            assert_rejected(verdict(&prepared, &input, 1, &mut cheat), "length");
        }
    }
}

type WitnessCheat = (&'static str, fn(&mut Trace));

/// §4.4, 7, 8, 9, 10, 11, 24: false witnesses, each as consistent as its author could make it.
fn false_witnesses_are_rejected<E: Extension>() {
    let cheats: [WitnessCheat; 12] = [
        ("a wrong output alone", |t| t.tensors[3][0] ^= 1),
        ("a wrong hidden activation", |t| t.tensors[1][0] ^= 1),
        ("a wrong quotient alone", |t| t.quotients[1][0] += 1),
        ("a wrong remainder", |t| t.limbs[0][0][0] ^= 1),
        ("quotient and output moved together, with their uses", |t| move_quotient(t, 2, 0, 1)),
        ("the other decomposition of the same value: q − 1, r + 2^s", |t| {
            move_quotient(t, 2, 0, -1);
            t.limbs[2][2][0] += 256;
        }),
        ("q + 1 with a negative remainder", |t| {
            move_quotient(t, 2, 0, 1);
            t.limbs[2][2][0] = t.limbs[2][2][0].wrapping_sub(256) & 0x7fff;
        }),
        ("a limb of 256, carried down from the next", |t| {
            let limbs = &mut t.limbs[0];
            let cell = (0..limbs[1].len()).find(|cell| limbs[1][*cell] > 0).unwrap();
            limbs[1][cell] -= 1;
            limbs[0][cell] += 256;
        }),
        ("uses moved from one table entry to another", |t| {
            t.table_uses[0][0] += 1;
            t.table_uses[0][1] = t.table_uses[0][1].wrapping_sub(1);
        }),
        ("no uses at all", |t| t.range_uses.fill(0)),
        ("a padding cell of the output", |t| {
            let last = t.tensors[2].len() - 1;
            t.tensors[2][last] ^= 1;
        }),
        ("a non-zero padding cell of the public input", |t| {
            let last = t.tensors[0].len() - 1;
            t.tensors[0][last] = 1;
        }),
    ];
    let (model, prepared) = small::<E>();
    let input = model.input(1, 3);
    for (what, cheat) in cheats {
        let mut cheat = Cheat::<E> { trace: Some(Box::new(cheat)), ..Cheat::default() };
        assert_rejected(verdict(&prepared, &input, 1, &mut cheat), what);
    }
}

/// Moves a quotient and its output along the table (which clamps: value q itself), with the uses.
fn move_quotient(trace: &mut Trace, op: usize, cell: usize, by: i32) {
    let table = 1; // The last operation of `mlp` uses table 1, whose q_lo is −4000.
    let entry = |q: i32| (q + 4000) as usize;
    let old = trace.quotients[op][cell];
    trace.table_uses[table][entry(old)] -= 1;
    trace.table_uses[table][entry(old + by)] += 1;
    trace.quotients[op][cell] = old + by;
    trace.tensors[op + 1][cell] = (old + by).clamp(-128, 127) as i16;
}

/// §4.13: other weights under the registered commitment; the attacker even commits nothing new.
fn other_weights_are_rejected<E: Extension>() {
    let (model, mut prepared) = small::<E>();
    let input = model.input(1, 4);
    for op in 0..3 {
        let kept = prepared.packed[op].clone();
        prepared.packed[op].weights[0] += 1;
        assert_rejected(verdict(&prepared, &input, 1, &mut Cheat::<E>::default()), "weight");
        prepared.packed[op] = kept.clone();
        prepared.packed[op].bias[0] += 1;
        assert_rejected(verdict(&prepared, &input, 1, &mut Cheat::<E>::default()), "bias");
        prepared.packed[op] = kept;
    }
    verdict(&prepared, &input, 1, &mut Cheat::<E>::default()).unwrap();
}

/// §4.15: roots, columns and paths.
fn commitments_are_bound<E: Extension>() {
    let (model, prepared) = small::<E>();
    let input = model.input(1, 4);
    for label in ["columns root", "column", "path"] {
        let flip = move |found: &'static str, bytes: &mut Vec<u8>| {
            if found == label {
                bytes[0] ^= 1;
            }
        };
        let cut = move |found: &'static str, bytes: &mut Vec<u8>| {
            if found == label {
                bytes.truncate(bytes.len() - 8);
            }
        };
        let mut cheat = Cheat::<E> { bytes: Some(Box::new(flip)), ..Cheat::default() };
        assert_rejected(verdict(&prepared, &input, 1, &mut cheat), label);
        let mut cheat = Cheat::<E> { bytes: Some(Box::new(cut)), ..Cheat::default() };
        assert_rejected(verdict(&prepared, &input, 1, &mut cheat), label);
    }
}

/// Messages that still satisfy the equation they are sent in, but not the commitment behind it.
fn assert_message_rejected<E: Extension>(
    label: &'static str,
    change: impl Fn(&mut Vec<E>) + Sync,
    model: Model,
    reason: &str,
) {
    let (model, prepared) = prepared::<E>(model);
    let input = model.input(1, 6);
    let change = |found: &'static str, _: usize, elements: &mut Vec<E>| {
        if found == label {
            change(elements);
        }
    };
    let mut cheat = Cheat::<E> { message: Some(Box::new(change)), ..Cheat::default() };
    let found = verdict(&prepared, &input, 1, &mut cheat);
    assert_eq!(found, Err(ProofError::Rejected(leak(reason))), "{label}");
}

fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

/// §4.14: two claims of an addition that cancel (3·5 − 5·3 = 0), and factors whose product is kept: only the
/// opening can tell, and it does.
fn cancelling_claims_are_opened<E: Extension>() {
    let reason = "the columns do not add up";
    let cancel = |elements: &mut Vec<E>| {
        elements[0] += E::from_i64(5);
        elements[1] += E::from_i64(3);
    };
    let ops = vec![
        (Kind::Dense { row_axes: 0, n: 6 }, 0, false),
        (Kind::Table, 1, false),
        (Kind::Add { other: 2, scales: [3, -5] }, 1, false),
    ];
    let model = models::build(&[4], ops, &[(-128, 127)], 5);
    assert_message_rejected::<E>("addends", cancel, model, reason);
    let product = |elements: &mut Vec<E>| {
        elements[0] *= E::from_i64(2);
        elements[1] *= E::from_i64(2).inverse().unwrap();
    };
    // The left factor of the only layer is the public input.
    let reason = "the input is another one";
    assert_message_rejected::<E>("factors", product, models::dense(4, 4, false), reason);
}

/// §4.10: a tree of zeros, 0/0 at the root, adds up and is no proof.
fn zero_denominators_are_rejected<E: Extension>() {
    let (model, prepared) = small::<E>();
    let input = model.input(1, 6);
    let zeros = |label: &'static str, _: usize, elements: &mut Vec<E>| {
        if label.starts_with("look-up") {
            elements.fill(E::ZERO);
        }
    };
    let mut cheat = Cheat::<E> { message: Some(Box::new(zeros)), ..Cheat::default() };
    let found = verdict(&prepared, &input, 1, &mut cheat);
    assert_eq!(found, Err(ProofError::Rejected("a look-up denominator is zero")));
}

/// §4.3, 10: a value looked up in another operation's table, with the use counted there.
fn tables_are_separate<E: Extension>() {
    let (model, prepared) = small::<E>();
    for seed in 0..20 {
        let input = model.input(1, seed);
        let swap = |t: &mut Trace| {
            // Operation 0 has ReLU (table 0); take a negative value from table 1 instead.
            let Some(cell) = t.quotients[0].iter().position(|q| *q < 0) else { return };
            let entry = (t.quotients[0][cell] + 4000) as usize;
            t.table_uses[0][entry] -= 1;
            t.table_uses[1][entry] += 1;
            t.tensors[1][cell] = t.quotients[0][cell].max(-128) as i16;
        };
        let mut cheat = Cheat::<E> { trace: Some(Box::new(swap)), ..Cheat::default() };
        let packed = &prepared.packed;
        let honest = crate::forward::run(&model.architecture, packed, &input, 1).unwrap();
        if honest.quotients[0].iter().any(|q| *q < 0) {
            assert_rejected(verdict(&prepared, &input, 1, &mut cheat), "another table");
            return;
        }
    }
    panic!("no input with a negative quotient");
}

/// §4.15, 16: a row that is no code word, in half of its places, is caught although its message is right.
fn rows_far_from_the_code_are_rejected<E: Extension>() {
    let (model, prepared) = small::<E>();
    let input = model.input(1, 6);
    let rows = prepared.header().column_matrix(1).rows;
    for row in 0..rows {
        let corrupt = move |words: &mut [F], length: usize| {
            for value in words[row * length..(row + 1) * length].iter_mut().step_by(2) {
                *value += F::ONE;
            }
        };
        let mut cheat = Cheat::<E> { words: Some(Box::new(corrupt)), ..Cheat::default() };
        let found = verdict(&prepared, &input, 1, &mut cheat);
        let reason = "a column does not fit the combination";
        assert_eq!(found, Err(ProofError::Rejected(reason)), "row {row}");
    }
}

over_both!(
    an_idle_cheat_is_accepted,
    every_message_is_bound,
    messages_have_their_length,
    false_witnesses_are_rejected,
    other_weights_are_rejected,
    commitments_are_bound,
    cancelling_claims_are_opened,
    zero_denominators_are_rejected,
    tables_are_separate,
    rows_far_from_the_code_are_rejected,
);
