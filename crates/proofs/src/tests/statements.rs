//! One honest proof against other statements, other models and damaged bytes: all rejected.

use super::models;
use super::{one_in, security};
use crate::extension::Extension;
use crate::field::MODULUS;
use crate::model::{Architecture, Kind};
use crate::prover::{Prepared, Proof};
use crate::verifier::verify;
use crate::{Header, Profile, Statement};

struct Case {
    prepared: Prepared,
    input: Vec<i16>,
    proof: Proof,
}

const CONTEXT: &[u8] = b"process 7, nonce 1";

fn registered<E: Extension>(model: &models::Model) -> Prepared {
    let profile = Profile::new(security::<E>(), None);
    let architecture = model.architecture.clone();
    Prepared::registered(architecture, &model.weights, profile, &[0; 32]).unwrap()
}

fn case<E: Extension>(model: &models::Model, batch: usize) -> Case {
    let prepared = registered::<E>(model);
    let input = model.input(batch, 9);
    let proof = prepared.prove(&input, batch, CONTEXT).unwrap();
    Case { prepared, input, proof }
}

impl Case {
    fn statement(&self) -> Statement<'_> {
        Statement { batch: 1, input: &self.input, output: &self.proof.output, context: CONTEXT }
    }

    fn accepts(&self, proof: &[u8]) -> bool {
        verify(self.prepared.header(), &self.statement(), proof).is_ok()
    }
}

/// §4.1, 22: context, input, output and batch are part of what is proved.
fn a_proof_is_for_one_statement<E: Extension>() {
    let case = case::<E>(&models::mlp([5, 4, 3, 2]), 1);
    let header = case.prepared.header();
    let honest = case.statement();
    verify(header, &honest, &case.proof.bytes).unwrap();
    assert!(
        verify(header, &Statement { context: b"process 8", ..honest }, &case.proof.bytes).is_err()
    );
    for index in 0..case.input.len() {
        let mut input = case.input.clone();
        input[index] ^= 1;
        assert!(verify(header, &Statement { input: &input, ..honest }, &case.proof.bytes).is_err());
    }
    for index in 0..honest.output.len() {
        let mut output = honest.output.to_vec();
        output[index] ^= 1;
        assert!(
            verify(header, &Statement { output: &output, ..honest }, &case.proof.bytes).is_err()
        );
    }
    for batch in [0, 2, usize::MAX] {
        assert!(verify(header, &Statement { batch, ..honest }, &case.proof.bytes).is_err());
    }
}

/// §4.3, 4, 13, 17, 23: anything else in the architecture is another model, and its digest is another.
fn a_proof_is_for_one_model<E: Extension>() {
    let model = models::everything();
    let case = case::<E>(&model, 1);
    let header = case.prepared.header();
    verify(header, &case.statement(), &case.proof.bytes).unwrap();
    let original = &model.architecture;
    let mut others: Vec<Architecture> = Vec::new();
    let mut change = |edit: &dyn Fn(&mut Architecture)| {
        let mut architecture = original.clone();
        edit(&mut architecture);
        // Only what a decoder accepts can be a header.
        if let Ok(valid) = Architecture::from_bytes(&architecture.to_bytes()) {
            others.push(valid);
        }
    };
    for op in 0..original.ops().len() {
        change(&|a| a.ops[op].multipliers[0] += 1);
        change(&|a| a.ops[op].shift = 32);
        change(&|a| a.ops[op].table = (a.ops[op].table + 1) % 3);
    }
    change(&|a| a.tables[0].values[4001] += 1);
    change(&|a| a.tables[1].q_lo += 1);
    change(&|a| a.ops[2].kind = Kind::Add { other: 2, scales: [-5, 3] });
    change(&|a| a.ops.swap(2, 3));
    change(&|a| a.tensors[0].hi += 1);
    assert!(others.len() > 20);
    for architecture in others {
        let other = Header { architecture, ..header.clone() };
        assert_ne!(other.digest(), header.digest());
        assert!(verify(&other, &case.statement(), &case.proof.bytes).is_err());
    }
    let mut other = header.clone();
    other.weight_root[0] ^= 1;
    assert!(verify(&other, &case.statement(), &case.proof.bytes).is_err());
}

/// §4.13: a square layer and its transpose have equal sizes and different commitments.
fn a_transposed_layer_is_another_model<E: Extension>() {
    let mut model = models::dense(6, 6, false);
    let case = case::<E>(&model, 1);
    let weights = model.weights[0].weights.clone();
    for (index, weight) in weights.iter().enumerate() {
        model.weights[0].weights[index % 6 * 6 + index / 6] = *weight;
    }
    let transposed = registered::<E>(&model);
    assert_ne!(transposed.header().digest(), case.prepared.header().digest());
    assert!(verify(transposed.header(), &case.statement(), &case.proof.bytes).is_err());
}

/// §4.12: x and x + p are one element; only x is accepted.
fn elements_have_one_encoding<E: Extension>() {
    let case = case::<E>(&models::dense(3, 2, false), 1);
    let proof = &case.proof.bytes;
    let mut tried = 0;
    for place in (32..proof.len() - 8).step_by(8 * one_in::<E>(4)) {
        let word = u64::from_le_bytes(proof[place..place + 8].try_into().unwrap());
        if let Some(alias) = word.checked_add(MODULUS) {
            let mut damaged = proof.clone();
            damaged[place..place + 8].copy_from_slice(&alias.to_le_bytes());
            assert!(!case.accepts(&damaged));
            tried += 1;
        }
    }
    assert!(tried > 50 / one_in::<E>(4), "{tried} aliases");
}

over_both!(
    a_proof_is_for_one_statement,
    a_proof_is_for_one_model,
    a_transposed_layer_is_another_model,
    elements_have_one_encoding,
);
