//! The profiles: what each proves, from its real parameters, and that none takes another's proof.

use super::models::{self, Model};
use super::security;
use crate::extension::{Cubic, Quadratic};
use crate::field::MODULUS;
use crate::forward::channel_axis;
use crate::header::Profile;
use crate::hiding::{self, Plan};
use crate::layout::{self, log2_ceil};
use crate::model::{Architecture, Kind, limits};
use crate::params::{LOG_COLUMNS, Matrix, Security};
use crate::prover::Prepared;
use crate::verifier::{verify, verify_hidden_input};
use crate::{Header, Statement};

/// A step of the argument and the chance that a cheat gets past it.
type Terms = Vec<(&'static str, f64)>;

/// |E|.
fn size(security: Security) -> f64 {
    (MODULUS as f64).powi(security.degree() as i32)
}

/// What one code of a commitment lets pass: each place shows a cheat but for (1 + ρ)/2.
fn queries(message: usize, log_length: u32, count: usize) -> f64 {
    f64::midpoint(1.0, message as f64 / f64::from(1_u32 << log_length)).powi(count as i32)
}

/// Rounds of the sum-checks between look-ups and openings.
fn rounds(architecture: &Architecture, batch: usize) -> usize {
    let mut rounds = layout::tensor_log(architecture.output(), batch);
    for (index, op) in architecture.ops().iter().enumerate() {
        if op.multipliers.len() > 1 {
            rounds += channel_axis(architecture, index).1;
        }
        rounds += layout::weight_shape(architecture, index).map_or(0, |(k_bits, ..)| k_bits);
        if matches!(op.kind, Kind::Conv2d { .. } | Kind::AvgPool { .. }) {
            let bits = layout::axis_bits(&architecture.tensors()[op.input], batch);
            rounds += bits[0] + bits[1];
        }
    }
    rounds
}

/// What opening a matrix may let pass, but for its queries: claims and groups (no more than claims) weighted with
/// powers, the sum-check over columns, and the proximity of all rows, a tensor and then a line.
fn opening(matrix: &Matrix, claims: usize, size: f64) -> f64 {
    let length = f64::from(1_u32 << matrix.log_length);
    let proximity = (log2_ceil(matrix.all_rows()) as f64 + 1.0) * length;
    (2.0 * claims as f64 + 2.0 * matrix.log_columns as f64 + proximity) / size
}

/// Every error of a proof, look-ups first; the queries are the last line.
fn terms(header: &Header, batch: usize, hides_input: bool) -> Terms {
    let (architecture, security) = (&header.architecture, header.profile.security());
    let size = size(security);
    let leaves = layout::all_segments(architecture, batch, hides_input).len;
    let depth = log2_ceil(leaves);
    let tree: usize = (0..depth).map(|level| 2 * level + 2).sum();
    let claims = hiding::claims(architecture, batch, hides_input);
    let mut terms = vec![
        ("look-ups", 2.0 * leaves as f64 / size),
        ("fraction tree", tree as f64 / size),
        ("sum-checks", 2.0 * rounds(architecture, batch) as f64 / size),
    ];
    let Some(openings) = header.profile.openings() else {
        let all = [header.column_matrix(batch), header.weight_matrix()];
        for matrix in &all {
            terms.push(("opening", opening(matrix, claims, size)));
        }
        // Each is asked at places of its own.
        let own = |matrix: &Matrix| queries(matrix.message, matrix.log_length, matrix.queries);
        terms.push(("queries", all.iter().map(own).sum()));
        return terms;
    };
    let plan = Plan::new(security, architecture, batch, openings, hides_input).unwrap();
    for matrix in plan.outside.iter().chain([&plan.columns]) {
        terms.push(("opening", opening(matrix, claims, size)));
    }
    let length = f64::from(1_u32 << plan.log_places());
    terms.push(("products of pads", f64::from(2_u32 << plan.pads.log_half()) / size));
    // No more equations than messages, and three of the products.
    terms.push(("equations", (plan.pads.messages + 3) as f64 / size));
    terms.push(("two comparisons at once", length / size));
    // Which code is wrong is fixed before the places are drawn, which are the same for all.
    let own = [queries(plan.test_length(), plan.columns.log_length, plan.queries)];
    let outside = plan.outside.iter().map(|m| queries(m.message, m.log_length, plan.queries));
    terms.push(("queries", outside.chain(own).fold(0.0, f64::max)));
    terms
}

/// A header of a model that nobody committed to.
fn header(model: &Model, profile: Profile) -> Header {
    Header { architecture: model.architecture.clone(), profile, weight_root: [0; 32] }
}

/// The sum of all errors is what the profile says, with real parameters of real models; and in the cubic
/// extension nothing but the queries counts.
#[test]
fn the_budget_is_kept() {
    let all = [
        (models::dense(64, 64, false), 1),
        (models::dense(3, 1, false), 1),
        (models::mlp([784, 128, 64, 10]), 16),
        (models::everything(), 3),
        (models::dense(1024, 1024, true), 64),
    ];
    for security in Security::ALL {
        let promised = 0.5_f64.powi(security.bits() as i32);
        for (model, batch) in &all {
            for openings in [None, Some(1), Some(16), Some(hiding::OPENINGS_MAX)] {
                for hides_input in [false, openings.is_some()] {
                    let header = header(model, Profile::new(security, openings));
                    let terms = terms(&header, *batch, hides_input);
                    let sum: f64 = terms.iter().map(|(_, error)| error).sum();
                    assert!(sum < promised, "{security:?} {openings:?}: {terms:?}");
                    // Not far more than was promised either: a query too many is paid for in bytes.
                    assert!(sum > promised / 16.0, "{security:?} {openings:?}: {terms:?}");
                    let rest: f64 = terms[..terms.len() - 1].iter().map(|(_, error)| error).sum();
                    let least =
                        security.bits() + if security == Security::Bits100 { 2 } else { 30 };
                    assert!(rest < 0.5_f64.powi(least as i32), "{terms:?}");
                }
            }
        }
    }
}

/// The same for the largest proof that the limits allow: the table of docs/concepts/proof-of-inference.md.
#[test]
fn the_budget_is_kept_at_the_limits() {
    for security in Security::ALL {
        let size = size(security);
        let longest = f64::from(1_u32 << 18);
        let log_rows = log2_ceil(limits::LEAVES) as f64;
        let algebra = [
            2.0 * limits::LEAVES as f64,
            (0..26).map(|level| 2.0 * f64::from(level) + 2.0).sum(),
            // Rounds: at most 2·28 an operation, and claims: at most 16 columns an operation.
            2.0 * 56.0 * limits::OPS as f64,
            4.0 * 16.0 * limits::OPS as f64 + 2.0 * *LOG_COLUMNS.end() as f64,
            3.0 * (log_rows + 1.0) * longest,
            512.0,
            8192.0,
            longest,
        ];
        let queries = 2.0 * 0.5_f64.powi(security.query_bits() as i32);
        let sum = algebra.iter().sum::<f64>() / size + queries;
        assert!(sum < 0.5_f64.powi(security.bits() as i32), "{security:?} {sum:e}");
    }
}

#[test]
fn securities_fit_their_extensions() {
    assert_eq!(security::<Quadratic>(), Security::Bits100);
    assert_eq!(security::<Cubic>(), Security::Bits128);
    for security in Security::ALL {
        assert_eq!(Security::of_bits(security.bits()), Some(security));
        for openings in [None, Some(1), Some(hiding::OPENINGS_MAX)] {
            let profile = Profile::new(security, openings);
            assert_eq!((profile.security(), profile.openings()), (security, openings));
            assert_eq!(profile.hides(), openings.is_some());
            let bytes = header(&models::dense(3, 2, false), profile).to_bytes();
            assert_eq!(
                bytes[4],
                2 * (security == Security::Bits128) as u8 + 1 + openings.is_some() as u8
            );
            assert_eq!(Header::from_bytes(&bytes).unwrap().profile(), profile);
        }
    }
    assert_eq!(Security::of_bits(127), None);
    let mut bytes = header(&models::dense(3, 2, false), Profile::Plain128).to_bytes();
    for unknown in [0, 5, 255] {
        bytes[4] = unknown;
        assert!(Header::from_bytes(&bytes).is_err());
    }
    for openings in [0, hiding::OPENINGS_MAX + 1] {
        let bytes = header(&models::dense(3, 2, false), Profile::Hiding128 { openings }).to_bytes();
        assert!(Header::from_bytes(&bytes).is_err());
    }
}

/// §4.17: a proof of one profile is none under another, also not when the other header is of the same root.
#[test]
fn no_profile_takes_the_proof_of_another() {
    let model = models::mlp([5, 4, 3, 2]);
    let input = model.input(1, 1);
    let all = Security::ALL.map(|security| [None, Some(3)].map(|o| Profile::new(security, o)));
    let all = all.concat().into_iter().map(|profile| {
        let architecture = model.architecture.clone();
        Prepared::registered(architecture, &model.weights, profile, &[1; 32]).unwrap()
    });
    let all: Vec<Prepared> = all.collect();
    for one in &all {
        let proof = one.prove(&input, 1, b"").unwrap();
        let hidden = one.prove_hidden_input(&input, 1, b"").ok();
        assert_eq!(hidden.is_some(), one.header().profile().hides());
        let output = &proof.output;
        let statement = Statement { batch: 1, input: &input, output, context: b"" };
        for other in &all {
            let same = other.header() == one.header();
            for root in [one.header().weight_root, other.header().weight_root] {
                let header = Header { weight_root: root, ..other.header().clone() };
                assert_eq!(verify(&header, &statement, &proof.bytes).is_ok(), same);
                if let Some(hidden) = &hidden {
                    let statement = Statement { input: &[], ..statement };
                    let found =
                        verify_hidden_input(&header, &statement, &hidden.commitment, &hidden.bytes);
                    assert_eq!(found.is_ok(), same);
                }
            }
        }
        let again = &all[usize::from(!one.header().profile().hides())];
        if one.header() != again.header() {
            assert!(one.link(again).is_err());
        }
    }
}

/// As `honest::bytes_are_those_of_version_1`, for 128 bits.
#[test]
fn bytes_of_128_bits_are_those_of_version_1() {
    let model = models::everything();
    let architecture = model.architecture.clone();
    let prepared =
        Prepared::registered(architecture, &model.weights, Profile::Plain128, &[0; 32]).unwrap();
    let proof = prepared.prove(&model.input(2, 1), 2, b"vector").unwrap();
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex()[..16].to_owned();
    let found = [hash(&prepared.header().to_bytes()), hash(&proof.bytes)];
    assert_eq!(found, ["26c8be42cf06712c", "3f13325abd95f642"]);
}

/// An element of 128 bits is three words: two thirds of one, or one and a half, do not shift what follows.
#[test]
fn elements_have_the_length_of_their_degree() {
    let model = models::dense(3, 2, false);
    let input = model.input(1, 1);
    for security in Security::ALL {
        let profile = Profile::new(security, None);
        let architecture = model.architecture.clone();
        let prepared =
            Prepared::registered(architecture, &model.weights, profile, &[0; 32]).unwrap();
        let proof = prepared.prove(&input, 1, b"").unwrap();
        let output = &proof.output;
        let statement = Statement { batch: 1, input: &input, output, context: b"" };
        verify(prepared.header(), &statement, &proof.bytes).unwrap();
        for place in [32, 32 + 8 * security.degree()] {
            for words in [1, security.degree()] {
                let mut shorter = proof.bytes.clone();
                shorter.drain(place..place + 8 * words);
                assert!(verify(prepared.header(), &statement, &shorter).is_err());
                let mut longer = proof.bytes.clone();
                longer.splice(place..place, vec![0; 8 * words]);
                assert!(verify(prepared.header(), &statement, &longer).is_err());
            }
        }
    }
}
