//! Honest proofs verify, and outputs are those of the oracle.

use super::models::{self, Model};
use super::security;
use crate::extension::Extension;
use crate::model::Kind;
use crate::prover::Prepared;
use crate::verifier::{verify, verify_hidden_input};
use crate::{Header, Profile, Statement, commit_input};

fn registered<E: Extension>(model: &Model, openings: Option<u32>) -> Prepared {
    let profile = Profile::new(security::<E>(), openings);
    let architecture = model.architecture.clone();
    Prepared::registered(architecture, &model.weights, profile, &[3; 32]).unwrap()
}

fn check<E: Extension>(model: &Model, batch: usize) {
    let prepared = registered::<E>(model, None);
    let input = model.input(batch, 5);
    let proof = prepared.prove(&input, batch, b"context").unwrap();
    assert_eq!(proof.output, model.oracle(&input, batch));
    let header = Header::from_bytes(&prepared.header().to_bytes()).unwrap();
    let statement = Statement { batch, input: &input, output: &proof.output, context: b"context" };
    verify(&header, &statement, &proof.bytes).unwrap();
    check_hiding::<E>(model, batch);
}

fn check_hiding<E: Extension>(model: &Model, batch: usize) {
    let prepared = registered::<E>(model, Some(2));
    let input = model.input(batch, 5);
    let proof = prepared.prove(&input, batch, b"context").unwrap();
    assert_eq!(proof.output, model.oracle(&input, batch));
    let header = Header::from_bytes(&prepared.header().to_bytes()).unwrap();
    let statement = Statement { batch, input: &input, output: &proof.output, context: b"context" };
    verify(&header, &statement, &proof.bytes).unwrap();

    let hidden = prepared.prove_hidden_input(&input, batch, b"context").unwrap();
    assert_eq!(hidden.output, proof.output);
    let commitment = commit_input(&header, &input, batch, &hidden.seed).unwrap();
    assert_eq!(commitment, hidden.commitment);
    let statement = Statement { input: &[], ..statement };
    verify_hidden_input(&header, &statement, &commitment, &hidden.bytes).unwrap();
}

fn one_dense_layer<E: Extension>() {
    for (k, n) in [(64, 64), (3, 1), (1, 5), (100, 33)] {
        check::<E>(&models::dense(k, n, false), 1);
        check::<E>(&models::dense(k, n, n > 1), 3);
    }
}

fn a_perceptron_with_and_without_batch<E: Extension>() {
    let model = models::mlp([50, 32, 17, 10]);
    check::<E>(&model, 1);
    check::<E>(&model, 5);
}

fn every_operation<E: Extension>() {
    check::<E>(&models::everything(), 1);
    check::<E>(&models::everything(), 3);
}

/// Nothing to commit to: the weight matrix has no rows, and is not opened.
fn a_model_without_weights<E: Extension>() {
    let ops = vec![
        (Kind::AvgPool { window: models::window([2, 2], [2, 2], [0; 4]) }, 0, false),
        (Kind::Table, 1, false),
    ];
    check::<E>(&models::build(&[2, 4, 4], ops, &[(0, 127)], 3), 2);
}

over_both!(
    one_dense_layer,
    a_perceptron_with_and_without_batch,
    every_operation,
    a_model_without_weights,
);

/// Differential: the padded forward pass against the oracle, on 10^4 inputs of 2,500 random models whose
/// weights and inputs are often corners.
#[test]
fn the_forward_pass_agrees_with_the_book() {
    let mut rng = models::Rng(1);
    for seed in 0..2_500 {
        let window = models::window(
            [1 + rng.below(3), 1 + rng.below(3)],
            [1 + rng.below(2), 1 + rng.below(2)],
            [0; 4],
        );
        let per_channel = rng.below(2) == 0;
        let first = match rng.below(5) {
            0 => Kind::Conv2d { o: 1 + rng.below(4), window },
            1 => Kind::AvgPool { window },
            2 => Kind::Dense { row_axes: rng.below(3), n: 1 + rng.below(5) },
            3 => Kind::Add { other: 0, scales: [rng.int(-9, -1) as i32, rng.int(1, 9) as i32] },
            _ => Kind::Table,
        };
        let shape = [1 + rng.below(3), 3 + rng.below(3), 3 + rng.below(3)];
        let ops = vec![(first, 0, per_channel), (Kind::Dense { row_axes: 0, n: 2 }, 1, false)];
        let model = models::build(&shape, ops, &[(-128, 127), (0, 255)], seed);
        let packed = crate::forward::pack(&model.architecture, &model.weights);
        let input = model.input(4, seed);
        let trace = crate::forward::run(&model.architecture, &packed, &input, 4).unwrap();
        let output = crate::forward::unpadded(model.architecture.output(), 4, &trace.tensors[2]);
        assert_eq!(output, model.oracle(&input, 4), "model {seed}");
    }
}

/// The format does not drift unnoticed: proving is deterministic, so its bytes have one hash. A change of the
/// protocol changes them, and must change the protocol's label or version too.
#[test]
fn bytes_are_those_of_version_1() {
    let model = models::everything();
    let prepared = Prepared::new(model.architecture.clone(), &model.weights).unwrap();
    let proof = prepared.prove(&model.input(2, 1), 2, b"vector").unwrap();
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex()[..16].to_owned();
    let found = [hash(&prepared.header().to_bytes()), hash(&proof.bytes)];
    assert_eq!(found, ["47f102934a870fdd", "11e9ef21dba2010d"]);
}
