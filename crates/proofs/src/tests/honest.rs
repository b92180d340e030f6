//! Honest proofs verify, and outputs are those of the oracle.

use super::models::{self, Model};
use crate::prover::Prepared;
use crate::verifier::verify;
use crate::{Header, Statement};

fn check(model: &Model, batch: usize) -> usize {
    let prepared = Prepared::new(model.architecture.clone(), &model.weights).unwrap();
    let input = model.input(batch, 5);
    let proof = prepared.prove(&input, batch, b"context").unwrap();
    assert_eq!(proof.output, model.oracle(&input, batch));
    let header = Header::from_bytes(&prepared.header().to_bytes()).unwrap();
    let statement = Statement { batch, input: &input, output: &proof.output, context: b"context" };
    verify(&header, &statement, &proof.bytes).unwrap();
    proof.bytes.len()
}

#[test]
fn one_dense_layer() {
    for (k, n) in [(64, 64), (3, 1), (1, 5), (100, 33)] {
        check(&models::dense(k, n, false), 1);
        check(&models::dense(k, n, n > 1), 3);
    }
}

#[test]
fn a_perceptron_with_and_without_batch() {
    let model = models::mlp([50, 32, 17, 10]);
    check(&model, 1);
    check(&model, 5);
}

#[test]
fn every_operation() {
    check(&models::everything(), 1);
    check(&models::everything(), 3);
}
