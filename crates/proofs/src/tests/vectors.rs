//! With and without SIMD: one result. Goal: the vectorised loops change no proof and no verdict. The build with
//! the feature `scalar` (slow suite) has no vectors anywhere, BLAKE3 included, and runs all tests.

use super::models::{self, Rng};
use crate::lanes::WITHOUT_VECTORS;
use crate::prover::Prepared;
use crate::verifier::verify;
use crate::{Profile, Result, Statement};

/// Runs something on this thread without vectors.
fn scalar<T>(work: impl FnOnce() -> T) -> T {
    WITHOUT_VECTORS.set(true);
    let result = work();
    WITHOUT_VECTORS.set(false);
    result
}

fn said(verdict: &Result<()>) -> String {
    format!("{verdict:?}")
}

#[test]
fn proofs_and_verdicts_are_the_same_without_vectors() {
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let mut rng = Rng(7);
    for (model, profile) in [
        (models::dense(100, 33, true), Profile::Plain100),
        (models::mlp([50, 32, 17, 10]), Profile::Plain128),
        (models::everything(), Profile::Plain100),
        (models::everything(), Profile::Plain128),
    ] {
        let input = model.input(2, 4);
        let make = || {
            let architecture = model.architecture.clone();
            let prepared =
                Prepared::registered(architecture, &model.weights, profile, &[0; 32]).unwrap();
            let proof = prepared.prove(&input, 2, b"v").unwrap();
            (prepared, proof)
        };
        let (prepared, proof) = make();
        let (plain, same) = one_thread.install(|| scalar(make));
        assert_eq!(plain.header(), prepared.header());
        assert_eq!(same.bytes, proof.bytes);
        let statement = Statement { batch: 2, input: &input, output: &proof.output, context: b"v" };
        let verdict = |bytes: &[u8]| verify(prepared.header(), &statement, bytes);
        verdict(&proof.bytes).unwrap();
        scalar(|| verdict(&proof.bytes)).unwrap();
        for _ in 0..60 {
            let mut damaged = proof.bytes.clone();
            let place = rng.below(damaged.len());
            damaged[place] ^= 1 << rng.below(8);
            let found = verdict(&damaged);
            assert!(found.is_err());
            assert_eq!(said(&scalar(|| verdict(&damaged))), said(&found), "byte {place}");
        }
    }
}
