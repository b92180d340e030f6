//! Proofs damaged byte by byte and at random, with and without hiding: none is accepted, nothing panics.

use super::models::{self, Rng};
use super::{one_in, security};
use crate::extension::Extension;
use crate::prover::Prepared;
use crate::verifier::verify;
use crate::{Header, Profile, Statement};

struct Case {
    header: Header,
    input: Vec<i16>,
    output: Vec<i16>,
    proof: Vec<u8>,
}

impl Case {
    fn new<E: Extension>(openings: Option<u32>) -> Self {
        let model = models::dense(3, 2, false);
        let profile = Profile::new(security::<E>(), openings);
        let architecture = model.architecture.clone();
        let prepared =
            Prepared::registered(architecture, &model.weights, profile, &[1; 32]).unwrap();
        let input = model.input(1, 9);
        let proof = prepared.prove(&input, 1, b"c").unwrap();
        let (header, output) = (prepared.header().clone(), proof.output);
        Self { header, input, output, proof: proof.bytes }
    }

    /// One that hides nothing, and one that hides.
    fn both<E: Extension>() -> [Self; 2] {
        [None, Some(1)].map(Self::new::<E>)
    }

    fn accepted_by(&self, header: &Header, proof: &[u8]) -> bool {
        let (input, output) = (&self.input, &self.output);
        verify(header, &Statement { batch: 1, input, output, context: b"c" }, proof).is_ok()
    }

    fn accepts(&self, proof: &[u8]) -> bool {
        self.accepted_by(&self.header, proof)
    }

    fn flip(&self, place: usize) {
        let mut damaged = self.proof.clone();
        damaged[place] ^= 1 << (place % 8);
        assert!(!self.accepts(&damaged), "byte {place}");
    }

    /// Random mutations of proof and header.
    fn mutate(&self, rounds: usize, seed: u64) {
        let header = self.header.to_bytes();
        let mut rng = Rng(seed);
        for round in 0..rounds {
            let proof = mutated(&self.proof, &mut rng);
            assert!(proof == self.proof || !self.accepts(&proof), "round {round} of seed {seed}");
            let mut damaged = header.clone();
            let place = rng.below(damaged.len().min(64));
            damaged[place] ^= 1 << rng.below(8);
            if let Ok(other) = Header::from_bytes(&damaged) {
                assert!(!self.accepted_by(&other, &self.proof), "round {round} of seed {seed}");
            }
        }
    }
}

/// A proof with one to three changes, half of them in the conversation at its front.
fn mutated(proof: &[u8], rng: &mut Rng) -> Vec<u8> {
    const FRONT: usize = 2000;
    let mut proof = proof.to_vec();
    for _ in 0..=rng.below(3) {
        if proof.len() <= FRONT {
            break;
        }
        let place = if rng.below(2) == 0 { rng.below(proof.len()) } else { rng.below(FRONT) };
        match rng.below(6) {
            0 => proof[place] = rng.next() as u8,
            1 => proof[place] ^= 1 << rng.below(8),
            2 => proof.truncate(place.max(1)),
            3 => proof.insert(place, rng.next() as u8),
            4 => {
                proof.remove(place);
            }
            _ => {
                let other = rng.below(proof.len());
                proof.swap(place, other);
            }
        }
    }
    proof
}

/// §4.12, 20: no byte is free, nothing may follow, nothing may be missing. (All bytes: slow test.)
fn damaged_proofs_are_rejected<E: Extension>() {
    for case in Case::both::<E>() {
        let proof = &case.proof;
        assert!(case.accepts(proof));
        assert!(!case.accepts(&[]) && !case.accepts(&[&proof[..], &[0]].concat()));
        let mut rng = Rng(1);
        for _ in 0..100 {
            assert!(!case.accepts(&proof[..rng.below(proof.len())]));
        }
        let step = one_in::<E>(3);
        let front = (0..3000).step_by(step * if case.header.profile().hides() { 5 } else { 1 });
        for place in front.chain((3000..proof.len()).step_by(61 * step)) {
            case.flip(place);
        }
    }
}

/// Every byte of a proof, one at a time.
fn every_byte_flip_is_rejected<E: Extension>() {
    for case in Case::both::<E>() {
        for place in 0..case.proof.len() {
            case.flip(place);
        }
    }
}

fn thousands_of_mutations<E: Extension>() {
    let [plain, hiding] = Case::both::<E>();
    plain.mutate(10_000 / one_in::<E>(4), 1);
    hiding.mutate(1_000, 1);
}

fn a_million_mutations<E: Extension>() {
    let [plain, hiding] = Case::both::<E>();
    plain.mutate(1_000_000, 2);
    hiding.mutate(100_000, 2);
}

over_both!(
    damaged_proofs_are_rejected,
    #[ignore = "slow: one verification per byte"]
    every_byte_flip_is_rejected,
    thousands_of_mutations,
    #[ignore = "slow: a million mutations"]
    a_million_mutations,
);
