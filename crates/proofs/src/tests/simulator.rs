//! The test of hiding: a simulator that knows the architecture and the public statement, and nothing else, makes
//! a proof that the verifier accepts when the challenges are known beforehand.
//!
//! It has neither weights nor a hidden input nor a run of the model; the outputs it "proves" are random. Messages
//! are random, each column that will be shown is random but for the few values that the verifier's comparisons
//! fix (combination and linear test, each by its own mask), every other leaf is a random hash. Since the real proof has the same distribution (pads, masks, random coefficients and
//! salts are uniform), what a verifier sees of it, it could have made itself.

use super::models::{self, Model, Rng};
use super::security;
use crate::extension::{self, Extension};
use crate::field::F;
use crate::header::{Header, Profile};
use crate::hiding::Plan;
use crate::merkle::{self, Digest, Tree};
use crate::ntt::Domain;
use crate::transcript::Transcript;
use crate::verifier::{self, Tested, verify, verify_hidden_input, verify_with};
use crate::{ProofError, Statement};

const OPENINGS: u32 = 4;

struct Simulator {
    rng: Rng,
}

fn pad(leaf: &[u8]) -> Vec<u8> {
    let mut leaf = leaf.to_vec();
    leaf.resize(merkle::padded(leaf.len()), 0);
    leaf
}

fn salted(leaf: &[u8]) -> Digest {
    merkle::salted_leaves(&pad(leaf), 1)[0]
}

impl Simulator {
    fn element(&mut self) -> F {
        F::from_u64(self.rng.next())
    }

    fn elements(&mut self, count: usize) -> Vec<F> {
        (0..count).map(|_| self.element()).collect()
    }

    fn extension<E: Extension>(&mut self) -> E {
        E::from_fn(|_| self.element())
    }

    fn digest(&mut self) -> Digest {
        let mut digest = [0; 32];
        for word in digest.chunks_exact_mut(8) {
            word.copy_from_slice(&self.rng.next().to_le_bytes());
        }
        digest
    }

    /// A leaf: a random salt, then values.
    fn leaf(&mut self, values: &[F]) -> Vec<u8> {
        let values = values.iter().flat_map(|value| value.to_u64().to_le_bytes());
        self.digest().into_iter().chain(values).collect()
    }

    /// A tree of random hashes, but for some leaves.
    fn tree(&mut self, log_length: u32, known: impl Iterator<Item = (usize, Digest)>) -> Tree {
        let mut leaves: Vec<Digest> = (0..1 << log_length).map(|_| self.digest()).collect();
        for (place, hash) in known {
            leaves[place] = hash;
        }
        Tree::new(leaves)
    }

    /// The proof, the header whose root belongs to it, and the commitment to the input if that is hidden.
    fn run<E: Extension>(
        &mut self,
        model: &Model,
        statement: &Statement<'_>,
        hides_input: bool,
    ) -> (Header, Vec<u8>, Option<Digest>) {
        let architecture = model.architecture.clone();
        let profile = Profile::new(security::<E>(), Some(OPENINGS));
        let mut header = Header { architecture, profile, weight_root: [0; 32] };
        let plan = Plan::new(
            security::<E>(),
            &header.architecture,
            statement.batch,
            OPENINGS,
            hides_input,
        )
        .unwrap();

        // As many random messages as the verifier reads, and the test with the coefficient it wants.
        let mut proof: Vec<u8> = self.digest().to_vec();
        for _ in 0..1 << 16 {
            self.extension::<E>().write(&mut proof);
        }
        let supply = proof.clone();
        let transcript = Transcript::programmed("simulator");
        let mut settled =
            verifier::inference::<E>(&header, statement, hides_input, &plan, transcript, &supply)
                .unwrap();
        proof.truncate(supply.len() - settled.reader.remaining());
        let mut test: Vec<E> = (0..plan.test_length()).map(|_| self.extension()).collect();
        test[plan.pad_columns() - 1] = settled.target;
        proof.extend(extension::to_bytes(&test));
        settled.reader.elements::<E>("linear test", test.len()).unwrap();
        let _: E = settled.reader.transcript.challenge();

        // The places are known; so everything else is made to fit.
        let places = settled.reader.transcript.positions(plan.queries, plan.log_places());
        let mut roots = Vec::new();
        let mut masks = vec![Vec::new(); places.len()];
        for (matrix, opened) in plan.outside.iter().zip(&settled.outside) {
            let columns: Vec<Vec<F>> = places.iter().map(|_| self.elements(matrix.rows)).collect();
            let leaves: Vec<Vec<u8>> = columns.iter().map(|column| self.leaf(column)).collect();
            let hashes = leaves.iter().map(|leaf| salted(leaf));
            let tree = self.tree(matrix.log_length, places.iter().copied().zip(hashes));
            roots.push(tree.root());
            proof.extend(leaves.concat());
            proof.extend(tree.open(&places).concat());
            let words = opened.words(matrix.log_length, &places);
            for ((column, word), mask) in columns.iter().zip(words).zip(&mut masks) {
                let (factors, of_masks) = opened.factors.split_at(matrix.rows);
                mask.extend(self.masks(word - combine(column, factors), of_masks));
            }
        }
        header.weight_root = roots[0];

        let leaves: Vec<Vec<u8>> = masks.iter().map(|mask| self.leaf(mask)).collect();
        let hashes = leaves.iter().map(|leaf| merkle::mask_leaves(&pad(leaf), 1)[0]);
        let below = self.tree(plan.log_places(), places.iter().copied().zip(hashes));
        for (place, leaf) in places.iter().zip(leaves) {
            proof.extend(leaf);
            proof.extend(below.branch(*place, plan.fold()).concat());
        }

        let mut own: Vec<usize> = places.iter().map(|place| place >> plan.fold()).collect();
        own.dedup();
        let tested = Tested::new(&plan, &settled.functional);
        let log_length = plan.columns.log_length;
        let words = settled.columns.words(log_length, &own);
        let tests = verifier::words(&test, log_length, &own);
        let domain = Domain::new(log_length);
        let mut hashes = Vec::new();
        for ((place, word), test) in own.iter().zip(words).zip(tests) {
            let first = plan.columns.rows;
            let mut column = self.elements(plan.columns.all_rows());
            // Each mask makes up for everything else in what it masks.
            let masks = plan.mask_rows();
            column[first..first + masks + E::DEGREE].fill(F::ZERO);
            let point = domain.point(*place);
            let missing = test - tested.at(point, &column);
            column[first + masks..][..E::DEGREE].copy_from_slice(missing.coordinates().as_ref());
            assert_eq!(tested.at(point, &column), test);
            let factors = &settled.columns.factors;
            let missing = word - combine(&column, factors);
            let mask = self.masks(missing, &factors[first..first + masks]);
            column[first..first + masks].copy_from_slice(&mask);
            let leaf = self.leaf(&column);
            let node = &below.level(plan.fold())[*place][..];
            hashes.push(salted(&[&leaf, node].concat()));
            proof.extend(leaf);
        }
        let tree = self.tree(log_length, own.iter().copied().zip(hashes));
        proof.extend(tree.open(&own).concat());
        proof[..32].copy_from_slice(&tree.root());
        (header, proof, roots.get(1).copied())
    }

    /// Values with Σ factor · value = `missing`, one more than the degree: the last is free.
    fn masks<E: Extension>(&mut self, missing: E, factors: &[E]) -> Vec<F> {
        let (last, factors) = factors.split_last().unwrap();
        let free = self.element();
        let rest = missing - last.scale(free);
        // As many equations over F as unknowns: Gauss, with the right-hand side behind each row.
        let row = |index: usize| -> Vec<F> {
            let all = factors.iter().chain([&rest]);
            all.map(|element| element.coordinates()[index]).collect()
        };
        let mut rows: Vec<Vec<F>> = (0..E::DEGREE).map(row).collect();
        for pivot in 0..E::DEGREE {
            let found = (pivot..E::DEGREE).find(|row| rows[*row][pivot] != F::ZERO).unwrap();
            rows.swap(pivot, found);
            let inverse = rows[pivot][pivot].inverse().unwrap();
            let own: Vec<F> = rows[pivot].iter().map(|value| *value * inverse).collect();
            for (index, row) in rows.iter_mut().enumerate() {
                let factor = row[pivot];
                for (value, own) in row.iter_mut().zip(&own) {
                    *value = if index == pivot { *own } else { *value - factor * *own };
                }
            }
        }
        rows.iter().map(|row| row[E::DEGREE]).chain([free]).collect()
    }
}

fn combine<E: Extension>(column: &[F], factors: &[E]) -> E {
    column.iter().zip(factors).map(|(value, factor)| factor.scale(*value)).sum()
}

fn simulated_proofs_are_accepted_under_programmed_challenges<E: Extension>() {
    let programmed = || Transcript::programmed("simulator");
    for (model, batch, hides_input) in [
        (models::mlp([5, 4, 3, 2]), 1, false),
        (models::everything(), 2, false),
        (models::everything(), 1, true),
    ] {
        let mut simulator = Simulator { rng: Rng(1) };
        let input = if hides_input { Vec::new() } else { model.input(batch, 1) };
        let tensor = model.architecture.output();
        let output: Vec<i16> = (0..tensor.len() * batch)
            .map(|_| simulator.rng.int(i64::from(tensor.lo), i64::from(tensor.hi)) as i16)
            .collect();
        assert!(hides_input || output != model.oracle(&input, batch));
        let statement = Statement { batch, input: &input, output: &output, context: b"c" };
        let (header, proof, commitment) = simulator.run::<E>(&model, &statement, hides_input);
        let root = commitment.as_ref();
        verify_with(&header, &statement, root, programmed(), &proof).unwrap();
        // The challenges made it so: under those of the hash it is nothing.
        let found = match root {
            Some(root) => verify_hidden_input(&header, &statement, root, &proof),
            None => verify(&header, &statement, &proof),
        };
        assert!(matches!(found, Err(ProofError::Rejected(_))));
        // And the verifier still decides.
        for place in (0..proof.len()).step_by(1511) {
            let mut damaged = proof.clone();
            damaged[place] ^= 1;
            let found = verify_with(&header, &statement, root, programmed(), &damaged);
            assert!(found.is_err(), "byte {place}");
        }
    }
}

over_both!(simulated_proofs_are_accepted_under_programmed_challenges);
