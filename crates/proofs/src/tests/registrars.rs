//! What stands before a proof: who made the header, and what a model may be. Goal: to show what a verifier must
//! trust, what it need not, and that no model that could compute the transcript's hash is let in or let speak
//! first.

use super::models;
use crate::error::ProofError;
use crate::extension::Quadratic;
use crate::forward;
use crate::model::{Architecture, Kind, Op, Table, Tensor, limits};
use crate::prover::Prepared;
use crate::transcript::Transcript;
use crate::verifier::verify;
use crate::{Header, Profile, Statement};

/// §4.11 and "registration" in docs/concepts/proof-of-inference.md: padding of the weights is checked by nobody but
/// the registrar. One that fills it makes a header whose proofs hold for a model that its files do not
/// describe, and a verifier, which has the root alone, accepts them. Its digest is another: whoever registers
/// the files sees it.
#[test]
fn a_dishonest_registrar_is_found_by_registering_again_and_not_by_a_proof() {
    // Three channels padded to four; the table says 5 at 0, so that the fourth is 5 and meets free weights.
    let dense = |n, input| Op {
        kind: Kind::Dense { row_axes: 0, n },
        input,
        multipliers: vec![1 << 18],
        shift: 24,
        table: 0,
    };
    let values = (-4000..=4000_i32).map(|q| (q + 5).clamp(-127, 127) as i16).collect();
    let architecture = Architecture::new(
        Tensor { shape: vec![2], lo: -127, hi: 127 },
        vec![Table { q_lo: -4000, values }],
        vec![dense(3, 0), dense(1, 1)],
    )
    .unwrap();
    let own = |weights: &[i16], channels: usize| crate::model::OpWeights {
        weights: weights.to_vec(),
        bias: vec![0; channels],
    };
    let weights = vec![own(&[100, 5, -7, 30, -60, 9], 3), own(&[90, -80, 70], 1)];
    let honest = Prepared::new(architecture.clone(), &weights).unwrap();
    let mut packed = forward::pack(&architecture, &weights);
    assert_eq!(packed[1].weights.len(), 4);
    packed[1].weights[3] = 32_000;
    let cheat = Prepared::commit(architecture, packed, Profile::Plain100, &[0; 32]);

    let input = [17, -99];
    let [true_proof, false_proof] =
        [&honest, &cheat].map(|prepared| prepared.prove(&input, 1, b"r").unwrap());
    assert_ne!(true_proof.output, false_proof.output, "the padding counts");
    let statement = |output| Statement { batch: 1, input: &input, output, context: b"r" };
    verify(cheat.header(), &statement(&false_proof.output), &false_proof.bytes).unwrap();
    // What protects: another root, another digest; and no proof of one convinces of the other.
    assert_ne!(cheat.header().digest(), honest.header().digest());
    assert!(verify(honest.header(), &statement(&false_proof.output), &false_proof.bytes).is_err());
}

/// A header that a stranger encoded is decoded by the same rules: no size, range, table or multiplier gets past.
#[test]
fn a_header_made_by_hand_obeys_the_format() {
    let model = models::dense(3, 2, false);
    let header = Prepared::new(model.architecture, &model.weights).unwrap().header().to_bytes();
    let refused = |change: &dyn Fn(&mut Architecture)| {
        let mut other = Header::from_bytes(&header).unwrap();
        change(&mut other.architecture);
        let found = Header::from_bytes(&other.to_bytes());
        assert!(matches!(found, Err(ProofError::InvalidModel(_))), "{found:?}");
    };
    refused(&|a| a.ops[0].multipliers = vec![0]);
    refused(&|a| a.ops[0].multipliers = vec![1, 2, 3]);
    refused(&|a| a.ops[0].shift = 48);
    refused(&|a| a.ops[0].input = 1);
    refused(&|a| a.ops[0].table = 1);
    refused(&|a| a.ops[0].kind = Kind::Dense { row_axes: 0, n: 0 });
    refused(&|a| a.ops[0].kind = Kind::Dense { row_axes: 0, n: limits::WEIGHTS });
    refused(&|a| a.tables[0].values.clear());
    refused(&|a| a.tables[0].q_lo = 1);
    refused(&|a| a.tables = vec![a.tables[0].clone(); limits::TABLES + 1]);
    refused(&|a| a.tensors[0].lo = a.tensors[0].hi + 1);
    refused(&|a| a.tensors[0].shape = vec![1; limits::RANK + 1]);
}

/// §4.21 (Khovratovich, Rothblum, Soukhanov): the attack needs a proved circuit that computes the hash. The layer set
/// is five linear maps with a table each, and a model is at most 64 of them, in a row; one compression of
/// BLAKE3 is 112 dependent 32-bit additions with exclusive-ors.
#[test]
fn no_operation_is_a_hash_and_depth_is_capped() {
    let table = |input| Op { kind: Kind::Table, input, multipliers: vec![256], shift: 8, table: 0 };
    let chain = |count: usize| {
        let ops = (0..count).map(table).collect();
        let identity = Table { q_lo: -2, values: (-2..=2).collect() };
        Architecture::new(Tensor { shape: vec![1], lo: -2, hi: 2 }, vec![identity], ops)
    };
    assert!(chain(limits::OPS).is_ok());
    assert!(matches!(chain(limits::OPS + 1), Err(ProofError::InvalidModel(_))));
    assert_eq!(limits::OPS, 64);

    let bytes = chain(1).unwrap().to_bytes();
    // Magic, rank, dimension, range, table count, q_lo, length, five values, operation count; then the kind.
    let kind = 4 + 1 + 4 + 4 + 4 + 4 + 4 + 10 + 4;
    assert_eq!(bytes[kind], 5);
    for code in (0..=u8::MAX).filter(|code| !(1..=5).contains(code)) {
        let mut other = bytes.clone();
        other[kind] = code;
        let said = Architecture::from_bytes(&other).unwrap_err().to_string();
        assert!(said.contains("unknown operation"), "{code}: {said}");
    }
    // Sizes: a table of more than 2^16 values, and tables of more than 2^18 in all.
    let long = |values: usize, count: usize| {
        let table = Table { q_lo: -2, values: vec![0; values] };
        let ops = (0..count)
            .map(|id| Op {
                kind: Kind::Table,
                input: id,
                multipliers: vec![256],
                shift: 8,
                table: id,
            })
            .collect();
        Architecture::new(Tensor { shape: vec![1], lo: -2, hi: 2 }, vec![table; count], ops)
    };
    assert!(long(limits::TABLE_VALUES, 4).is_ok());
    assert!(long(limits::TABLE_VALUES + 1, 1).is_err());
    assert!(long(limits::TABLE_VALUES, 5).is_err());
}

/// §4.1, 21: the whole model is hashed before anything that depends on it; nothing of the statement comes earlier.
#[test]
fn the_digest_is_absorbed_first() {
    let (input, output) = ([3, -4], [5]);
    let statement = Statement { batch: 1, input: &input, output: &output, context: b"c" };
    let digest = [7; 32];
    let by_hand = |first: &[u8]| {
        let mut transcript = Transcript::new("maxwell 2026 proof of inference v1");
        transcript.absorb("model", first);
        transcript.absorb("context", b"c");
        transcript.absorb("batch", &1_u64.to_le_bytes());
        transcript.absorb("input", &[3, 0, 252, 255]);
        transcript.absorb("output", &[5, 0]);
        transcript.challenge::<Quadratic>()
    };
    assert_eq!(statement.transcript(&digest).challenge::<Quadratic>(), by_hand(&digest));
    assert_ne!(by_hand(&digest), by_hand(&[8; 32]));
    // And the digest is of every byte of the architecture, the profile and the root.
    let model = models::dense(3, 2, false);
    let header = Prepared::new(model.architecture, &model.weights).unwrap().header().clone();
    let bytes = header.to_bytes();
    for place in 5..bytes.len() {
        let mut other = bytes.clone();
        other[place] ^= 1;
        if let Ok(other) = Header::from_bytes(&other) {
            assert_ne!(other.digest(), header.digest(), "byte {place}");
        }
    }
}
