//! Hidden inputs and links: what a commitment from outside is bound to.

use std::sync::atomic::Ordering;

use super::super::models;
use super::{Cheat, EQUATION, OWN, hiding, registered, small};
use crate::extension::Extension;
use crate::forward::Trace;
use crate::prover::Prepared;
use crate::verifier::{verify, verify_hidden_input, verify_link};
use crate::{Result, Statement, commit_input};

/// What the verifier says to a cheating proof with a hidden input; the commitment that it is checked against is
/// of the trace's input, or of another one.
fn hidden_verdict<E: Extension>(
    prepared: &Prepared,
    input: &[i16],
    other: Option<&[i16]>,
    cheat: &mut Cheat<'_, E>,
) -> Result<()> {
    prepared.opened.store(0, Ordering::SeqCst);
    let proof = prepared.prove_hidden_tampered(input, 1, b"c", cheat).unwrap();
    let statement = Statement { batch: 1, input: &[], output: &proof.output, context: b"c" };
    let commitment = other.map_or(proof.commitment, |other| {
        commit_input(prepared.header(), other, 1, &proof.seed).unwrap()
    });
    verify_hidden_input(prepared.header(), &statement, &commitment, &proof.bytes)
}

/// Hidden inputs: of another commitment, out of their range, other than the committed one, of another run.
fn hidden_inputs_are_bound<E: Extension>() {
    let (model, prepared) = small::<E>();
    let input = model.input(1, 3);
    let tensor = model.architecture.input();
    hidden_verdict(&prepared, &input, None, &mut Cheat::<E>::default()).unwrap();
    hidden_verdict(&prepared, &input, Some(&input), &mut Cheat::<E>::default()).unwrap();
    let mut other = input.clone();
    other[4] ^= 1;
    assert!(hidden_verdict(&prepared, &input, Some(&other), &mut Cheat::<E>::default()).is_err());
    for (wrong, why) in [(tensor.hi + 1, "above"), (tensor.lo - 1, "below"), (300, "far")] {
        for (adapts, expected) in [(false, EQUATION), (true, OWN)] {
            // Committed to and run as it is, but no value that an input can have. A weight of zero would
            // forgive it, and the look-up does not.
            let hand = move |t: &mut Trace| t.tensors[0][2] = wrong;
            let mut cheat = Cheat::<E> { trace: Some(Box::new(hand)), adapts, ..Cheat::default() };
            assert_eq!(hidden_verdict(&prepared, &input, None, &mut cheat), expected, "{why}");
        }
    }
    // In range, in a padding cell, or not what was run.
    for cell in [0, 7] {
        let hand = move |t: &mut Trace| t.tensors[0][cell] ^= 1;
        let mut cheat = Cheat::<E> { trace: Some(Box::new(hand)), ..Cheat::default() };
        let found = hidden_verdict(&prepared, &input, Some(&input), &mut cheat);
        assert!(found.is_err(), "cell {cell}");
    }
    let every = hidden_seen::<E>(&prepared, &input);
    for (nth, (label, len)) in every.iter().enumerate().step_by(5) {
        let change = move |_: &'static str, now: usize, elements: &mut Vec<E>| {
            if now == nth {
                elements[len - 1] += E::ONE;
            }
        };
        let mut cheat =
            Cheat::<E> { message: Some(Box::new(change)), adapts: true, ..Cheat::default() };
        assert!(hidden_verdict(&prepared, &input, None, &mut cheat).is_err(), "{label}");
    }
}

fn hidden_seen<E: Extension>(prepared: &Prepared, input: &[i16]) -> Vec<(&'static str, usize)> {
    let mut honest = Cheat::<E>::default();
    hidden_verdict(prepared, input, None, &mut honest).unwrap();
    honest.seen
}

/// A proof with a hidden input is none with a public one, nor of another batch or model, and the other way round.
fn hidden_and_public_inputs_do_not_mix<E: Extension>() {
    let (model, prepared) = small::<E>();
    let input = model.input(1, 3);
    let hidden = prepared.prove_hidden_input(&input, 1, b"c").unwrap();
    let open = prepared.prove(&input, 1, b"c").unwrap();
    let output = &hidden.output;
    let public = Statement { batch: 1, input: &input, output, context: b"c" };
    let secret = Statement { input: &[], ..public };
    let header = prepared.header();
    let at = &hidden.commitment;
    verify_hidden_input(header, &secret, at, &hidden.bytes).unwrap();
    assert!(verify(header, &public, &hidden.bytes).is_err());
    assert!(verify(header, &secret, &hidden.bytes).is_err());
    assert!(verify_hidden_input(header, &secret, at, &open.bytes).is_err());
    assert!(verify_hidden_input(header, &public, at, &hidden.bytes).is_err());
    for statement in [
        Statement { context: b"d", ..secret },
        Statement { batch: 2, ..secret },
        Statement { batch: 0, ..secret },
    ] {
        assert!(verify_hidden_input(header, &statement, at, &hidden.bytes).is_err());
    }
    let mut wrong = output.clone();
    wrong[0] ^= 1;
    let statement = Statement { output: &wrong, ..secret };
    assert!(verify_hidden_input(header, &statement, at, &hidden.bytes).is_err());
    let other = hiding::<E>(&model, 2);
    assert!(verify_hidden_input(other.header(), &secret, at, &hidden.bytes).is_err());
    let plain = registered::<E>(&model, 0, None);
    assert!(verify_hidden_input(plain.header(), &secret, at, &hidden.bytes).is_err());
    assert!(plain.prove_hidden_input(&input, 1, b"c").is_err());
    for step in (0..hidden.bytes.len()).step_by(499) {
        let mut damaged = hidden.bytes.clone();
        damaged[step] ^= 1 << (step % 8);
        assert!(verify_hidden_input(header, &secret, at, &damaged).is_err(), "byte {step}");
    }
}

/// Registering with the same seed is deterministic, with another it is another header; a link says that both
/// are the same model, and is refused for any other.
fn links_are_between_equal_weights<E: Extension>() {
    for model in [models::mlp([5, 4, 3, 2]), models::everything()] {
        let (old, new) = (hiding::<E>(&model, 1), hiding::<E>(&model, 2));
        assert_eq!(old.header(), hiding::<E>(&model, 1).header());
        assert_ne!(old.header().digest(), new.header().digest());
        let link = old.link(&new).unwrap();
        verify_link(old.header(), new.header(), &link).unwrap();
        assert!(verify_link(new.header(), old.header(), &link).is_err());
        assert!(verify_link(old.header(), old.header(), &link).is_err());
        assert!(verify_link(old.header(), new.header(), &link[1..]).is_err());
        let plain = registered::<E>(&model, 0, None);
        assert!(old.link(&plain).is_err());
        assert!(verify_link(old.header(), plain.header(), &link).is_err());
        for step in (0..link.len()).step_by(601) {
            let mut damaged = link.clone();
            damaged[step] ^= 1 << (step % 8);
            assert!(verify_link(old.header(), new.header(), &damaged).is_err(), "byte {step}");
        }
    }
    let model = models::mlp([5, 4, 3, 2]);
    for place in [0, 2] {
        let mut other = models::mlp([5, 4, 3, 2]);
        other.weights[place].weights[0] ^= 1;
        let (old, new) = (hiding::<E>(&model, 1), hiding::<E>(&other, 2));
        for adapts in [false, true] {
            let mut cheat = Cheat::<E> { adapts, ..Cheat::default() };
            let link = old.link_tampered(&new, &mut cheat).unwrap();
            let expected = if adapts { OWN } else { EQUATION };
            assert_eq!(verify_link(old.header(), new.header(), &link), expected);
        }
    }
}

over_both!(
    hidden_inputs_are_bound,
    hidden_and_public_inputs_do_not_mix,
    links_are_between_equal_weights,
);
