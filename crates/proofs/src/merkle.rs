//! A Merkle tree with one pruned multiproof for many leaves.
//!
//! Leaves, inner nodes and everything else are hashed in separate domains, and a leaf's length is fixed by
//! what the verifier expects, so no node can pass for another. The multiproof has exactly one encoding: the
//! siblings that the verifier cannot compute, level by level from the leaves, left to right.

use rayon::prelude::*;

use crate::hash;

/// A hash.
pub type Digest = [u8; 32];

/// Keys of the two domains, fixed strings of 32 bytes.
const LEAF: &[u8; 32] = b"maxwell-proofs merkle leaf v1...";
const NODE: &[u8; 32] = b"maxwell-proofs merkle node v1...";
const SALTED: &[u8; 32] = b"maxwell-proofs merkle salted v1.";
const MASK: &[u8; 32] = b"maxwell-proofs merkle mask v1...";

/// Bytes of a salt, at the front of a hiding leaf.
pub const SALT: usize = 32;

/// The hashes of leaves of one length that lie one after the other, `count` of them.
#[must_use]
pub fn leaves(bytes: &[u8], count: usize) -> Vec<Digest> {
    hash::keyed(LEAF, bytes, count)
}

/// Bytes that a hiding leaf is hashed as: with zeros up to whole blocks of the hash. Its length is known to the
/// verifier, so no two leaves are hashed as the same bytes.
#[must_use]
pub const fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(64)
}

/// The hashes of leaves that start with their salts, padded.
#[must_use]
pub fn salted_leaves(bytes: &[u8], count: usize) -> Vec<Digest> {
    hash::keyed(SALTED, bytes, count)
}

/// The hashes of the places of a mask, salt first, padded.
#[must_use]
pub fn mask_leaves(bytes: &[u8], count: usize) -> Vec<Digest> {
    hash::keyed(MASK, bytes, count)
}

/// The nodes above pairs of hashes.
fn nodes(pairs: &[Digest]) -> Vec<Digest> {
    hash::keyed(NODE, pairs.as_flattened(), pairs.len() / 2)
}

/// Nodes below those that one thread makes at a time.
const PIECE: usize = 1024;

/// All levels of a tree, leaves first.
pub struct Tree {
    levels: Vec<Vec<Digest>>,
}

impl Tree {
    /// Builds the tree over a power of two of leaf hashes.
    #[must_use]
    pub fn new(leaves: Vec<Digest>) -> Self {
        assert!(leaves.len().is_power_of_two(), "BUG: a tree has a power of two of leaves");
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            levels.push(below.par_chunks(PIECE).flat_map_iter(nodes).collect());
        }
        Self { levels }
    }

    /// The nodes `depth` levels above the leaves.
    #[must_use]
    pub fn level(&self, depth: u32) -> &[Digest] {
        &self.levels[depth as usize]
    }

    /// The siblings on the way from one leaf to the level `depth` above.
    #[must_use]
    pub fn branch(&self, position: usize, depth: u32) -> Vec<Digest> {
        let levels = self.levels.iter().take(depth as usize).enumerate();
        levels.map(|(up, level)| level[position >> up ^ 1]).collect()
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.levels.last().map_or([0; 32], |level| level[0])
    }

    /// The siblings needed to check the leaves at these sorted, distinct positions.
    #[must_use]
    pub fn open(&self, positions: &[usize]) -> Vec<Digest> {
        let mut siblings = Vec::new();
        let mut known = positions.to_vec();
        for level in &self.levels[..self.levels.len() - 1] {
            for (place, position) in known.iter().enumerate() {
                let sibling = position ^ 1;
                let beside = if position & 1 == 0 { known.get(place + 1) } else { None };
                let before =
                    if position & 1 == 1 && place > 0 { known.get(place - 1) } else { None };
                if beside != Some(&sibling) && before != Some(&sibling) {
                    siblings.push(level[sibling]);
                }
            }
            for position in &mut known {
                *position /= 2;
            }
            known.dedup();
        }
        siblings
    }
}

/// The nodes `depth` levels above leaves, along their branches, which are one after the other in `siblings`.
#[must_use]
pub fn climb(
    leaves: Vec<Digest>,
    positions: &[usize],
    depth: u32,
    siblings: &[Digest],
) -> Vec<Digest> {
    (0..depth as usize).fold(leaves, |below, up| {
        let siblings = siblings.iter().skip(up).step_by(depth as usize);
        let each = below.iter().zip(siblings).zip(positions);
        let pair = |((hash, other), position): ((&Digest, &Digest), &usize)| {
            if position >> up & 1 == 0 { [*hash, *other] } else { [*other, *hash] }
        };
        nodes(&each.flat_map(pair).collect::<Vec<_>>())
    })
}

/// Recomputes the root from the hashes of leaves at sorted, distinct positions below `2^log_size`.
///
/// `sibling` hands out the next hash of the multiproof. `None` when it has no more, or nothing is opened.
pub fn root_of(
    log_size: u32,
    positions: &[usize],
    leaves: &[Digest],
    mut sibling: impl FnMut() -> Option<Digest>,
) -> Option<Digest> {
    let (mut known, mut hashes) = (positions.to_vec(), leaves.to_vec());
    for _ in 0..log_size {
        let (mut above, mut pairs) = (Vec::with_capacity(known.len()), Vec::new());
        let mut rest = known.iter().zip(&hashes).peekable();
        while let Some((position, hash)) = rest.next() {
            let pair = if position & 1 == 1 {
                [sibling()?, *hash]
            } else if let Some((_, right)) = rest.next_if(|(next, _)| **next == position + 1) {
                [*hash, *right]
            } else {
                [*hash, sibling()?]
            };
            above.push(position / 2);
            pairs.extend(pair);
        }
        (known, hashes) = (above, nodes(&pairs));
    }
    match (known.as_slice(), hashes.as_slice()) {
        ([0], [root]) => Some(*root),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaves(count: usize) -> Vec<Digest> {
        let bytes: Vec<u8> = (0..count).flat_map(usize::to_le_bytes).collect();
        super::leaves(&bytes, count)
    }

    fn check(log: u32, positions: &[usize], found: &[Digest], proof: &[Digest]) -> Option<Digest> {
        let mut siblings = proof.iter();
        let root = root_of(log, positions, found, || siblings.next().copied());
        if siblings.next().is_some() { None } else { root }
    }

    proptest! {
        #[test]
        fn multiproofs_verify_and_bind(mut positions in proptest::collection::vec(0_usize..64, 1..20)) {
            positions.sort_unstable();
            positions.dedup();
            let all = leaves(64);
            let tree = Tree::new(all.clone());
            let found: Vec<Digest> = positions.iter().map(|p| all[*p]).collect();
            let proof = tree.open(&positions);
            prop_assert_eq!(check(6, &positions, &found, &proof), Some(tree.root()));
            for index in 0..found.len() {
                let mut wrong = found.clone();
                wrong[index][0] ^= 1;
                prop_assert_ne!(check(6, &positions, &wrong, &proof), Some(tree.root()));
            }
            for depth in 0..=6 {
                let branches: Vec<Digest> =
                    positions.iter().flat_map(|p| tree.branch(*p, depth)).collect();
                let nodes = climb(found.clone(), &positions, depth, &branches);
                let expected = positions.iter().map(|p| tree.level(depth)[p >> depth]);
                prop_assert_eq!(nodes, expected.collect::<Vec<_>>());
            }
            if let Some(short) = proof.len().checked_sub(1) {
                prop_assert_eq!(check(6, &positions, &found, &proof[..short]), None);
            }
        }
    }

    #[test]
    fn domains_are_separate() {
        let pair = leaves(2);
        let bytes = pair.as_flattened();
        let mut found =
            [super::leaves(bytes, 1), salted_leaves(bytes, 1), mask_leaves(bytes, 1)].concat();
        found.extend(nodes(&pair));
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 4);
        assert_eq!(root_of(3, &[], &[], || None), None);
    }
}
