//! A Merkle tree with one pruned multiproof for many leaves.
//!
//! Leaves, inner nodes and everything else are hashed in separate domains, and a leaf's length is fixed by
//! what the verifier expects, so no node can pass for another. The multiproof has exactly one encoding: the
//! siblings that the verifier cannot compute, level by level from the leaves, left to right.

use rayon::prelude::*;

/// A hash.
pub type Digest = [u8; 32];

/// Keys of the two domains, fixed strings of 32 bytes.
const LEAF: &[u8; 32] = b"maxwell-proofs merkle leaf v1...";
const NODE: &[u8; 32] = b"maxwell-proofs merkle node v1...";
const SALTED: &[u8; 32] = b"maxwell-proofs merkle salted v1.";
const MASK: &[u8; 32] = b"maxwell-proofs merkle mask v1...";

/// Bytes of a salt, at the front of a hiding leaf.
pub const SALT: usize = 32;

/// The hash of a leaf.
#[must_use]
pub fn leaf(bytes: &[u8]) -> Digest {
    *blake3::keyed_hash(LEAF, bytes).as_bytes()
}

/// The hash of a leaf that starts with its salt.
#[must_use]
pub fn salted_leaf(bytes: &[u8]) -> Digest {
    *blake3::keyed_hash(SALTED, bytes).as_bytes()
}

/// The hash of one place of a mask, salt first.
#[must_use]
pub fn mask_leaf(bytes: &[u8]) -> Digest {
    *blake3::keyed_hash(MASK, bytes).as_bytes()
}

fn node(left: &Digest, right: &Digest) -> Digest {
    let mut both = [0; 64];
    both[..32].copy_from_slice(left);
    both[32..].copy_from_slice(right);
    *blake3::keyed_hash(NODE, &both).as_bytes()
}

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
            let above = below.par_chunks_exact(2).with_min_len(256);
            levels.push(above.map(|pair| node(&pair[0], &pair[1])).collect());
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

/// The node above a leaf, along its branch. `None` when `sibling` has no more.
pub fn climb(
    leaf: Digest,
    position: usize,
    depth: u32,
    mut sibling: impl FnMut() -> Option<Digest>,
) -> Option<Digest> {
    (0..depth).try_fold(leaf, |hash, up| {
        let other = sibling()?;
        Some(if position >> up & 1 == 0 { node(&hash, &other) } else { node(&other, &hash) })
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
    let mut known: Vec<(usize, Digest)> =
        positions.iter().copied().zip(leaves.iter().copied()).collect();
    for _ in 0..log_size {
        let mut above = Vec::with_capacity(known.len());
        let mut rest = known.as_slice();
        while let Some(((position, hash), tail)) = rest.split_first() {
            rest = tail;
            let parent = if position & 1 == 1 {
                node(&sibling()?, hash)
            } else if let Some(((next, right), after)) = rest.split_first()
                && *next == position + 1
            {
                rest = after;
                node(hash, right)
            } else {
                node(hash, &sibling()?)
            };
            above.push((position / 2, parent));
        }
        known = above;
    }
    match known.as_slice() {
        [(0, root)] => Some(*root),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count).map(|index| leaf(&index.to_le_bytes())).collect()
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
                let mut branch = tree.branch(positions[0], depth).into_iter();
                let node = climb(all[positions[0]], positions[0], depth, || branch.next());
                prop_assert_eq!(node, Some(tree.level(depth)[positions[0] >> depth]));
            }
            if let Some(short) = proof.len().checked_sub(1) {
                prop_assert_eq!(check(6, &positions, &found, &proof[..short]), None);
            }
        }
    }

    #[test]
    fn domains_are_separate() {
        let [a, b] = [leaf(b"a"), leaf(b"b")];
        let all: [fn(&[u8]) -> Digest; 3] = [leaf, salted_leaf, mask_leaf];
        let bytes = [a, b].concat();
        let mut found: Vec<Digest> = all.iter().map(|hash| hash(&bytes)).collect();
        found.push(node(&a, &b));
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 4);
        assert_eq!(root_of(3, &[], &[], || None), None);
    }
}
