//! BLAKE3 of many short messages of one length at once, a message a vector lane.
//!
//! The digests are those of [`blake3::keyed_hash`]: BLAKE3's own vectorised compression is asked for the same
//! chunk of many messages instead of for many chunks of one (BLAKE3 specification, 2021, §2.1, §2.4, §5.3).

use blake3::platform::Platform;
use blake3::{BLOCK_LEN, CHUNK_LEN, IncrementCounter};

use crate::merkle::Digest;

/// Flags of the specification's table 3.
const CHUNK_START: u8 = 1;
const CHUNK_END: u8 = 1 << 1;
const PARENT: u8 = 1 << 2;
const ROOT: u8 = 1 << 3;
const KEYED_HASH: u8 = 1 << 4;

/// The keyed hashes of messages of one length that lie one after the other, `count` of them.
pub(crate) fn keyed(key: &[u8; 32], messages: &[u8], count: usize) -> Vec<Digest> {
    let width = messages.len() / count.max(1);
    debug_assert_eq!(messages.len(), width * count, "BUG: messages of one length");
    if width == 0 {
        return vec![*blake3::keyed_hash(key, &[]).as_bytes(); count];
    }
    let lanes = Lanes { platform: Platform::detect(), key, start: words(key) };
    if width <= CHUNK_LEN {
        return lanes.chunks(messages.chunks_exact(width), width, 0, ROOT);
    }
    let chunk = |index: usize| {
        let from = index * CHUNK_LEN;
        let to = width.min(from + CHUNK_LEN);
        let parts = messages.chunks_exact(width).map(|message| &message[from..to]);
        lanes.chunks(parts, to - from, index as u64, 0)
    };
    lanes.tree(&(0..width.div_ceil(CHUNK_LEN)).map(chunk).collect::<Vec<_>>(), ROOT)
}

/// One message a lane.
struct Lanes<'a> {
    platform: Platform,
    key: &'a [u8; 32],
    start: [u32; 8],
}

impl Lanes<'_> {
    /// The chaining values of chunk number `index` of each message, of `width` bytes, 1 to 1024.
    fn chunks<'m>(
        &self,
        parts: impl Iterator<Item = &'m [u8]> + Clone,
        width: usize,
        index: u64,
        root: u8,
    ) -> Vec<Digest> {
        let rest = width % BLOCK_LEN;
        let end = if rest == 0 { CHUNK_END | root } else { 0 };
        let mut values = vec![*self.key; parts.clone().count()];
        macro_rules! whole_blocks {
            ($($count:literal)*) => {
                match width / BLOCK_LEN {
                    $($count => {
                        let fronts: Vec<&[u8; $count * BLOCK_LEN]> =
                            parts.clone().filter_map(<[u8]>::first_chunk).collect();
                        let out = values.as_flattened_mut();
                        self.many(&fronts, index, CHUNK_START, end, out);
                    })*
                    _ => {}
                }
            };
        }
        whole_blocks!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
        if rest > 0 {
            let first = if width < BLOCK_LEN { CHUNK_START } else { 0 };
            let flags = KEYED_HASH | first | CHUNK_END | root;
            for (value, part) in values.iter_mut().zip(parts) {
                let mut block = [0; BLOCK_LEN];
                block[..rest].copy_from_slice(&part[width - rest..]);
                let mut chaining = words(value);
                self.platform.compress_in_place(&mut chaining, &block, rest as u8, index, flags);
                for (bytes, word) in value.chunks_exact_mut(4).zip(chaining) {
                    bytes.copy_from_slice(&word.to_le_bytes());
                }
            }
        }
        values
    }

    /// The hashes of messages from the values of their chunks: to the left of a node are as many chunks as a power
    /// of two can be.
    fn tree(&self, chunks: &[Vec<Digest>], root: u8) -> Vec<Digest> {
        if let [values] = chunks {
            return values.clone();
        }
        let (left, right) = chunks.split_at(chunks.len().next_power_of_two() / 2);
        let (left, right) = (self.tree(left, 0), self.tree(right, 0));
        let pairs: Vec<[u8; 64]> = left
            .iter()
            .zip(&right)
            .map(|(left, right)| {
                std::array::from_fn(|i| if i < 32 { left[i] } else { right[i - 32] })
            })
            .collect();
        let mut values = vec![[0; 32]; pairs.len()];
        let out = values.as_flattened_mut();
        self.many(&pairs.iter().collect::<Vec<_>>(), 0, PARENT, root, out);
        values
    }

    fn many<const N: usize>(
        &self,
        inputs: &[&[u8; N]],
        counter: u64,
        first: u8,
        last: u8,
        out: &mut [u8],
    ) {
        let no = IncrementCounter::No;
        self.platform.hash_many(inputs, &self.start, counter, no, KEYED_HASH, first, last, out);
    }
}

fn words(bytes: &[u8; 32]) -> [u32; 8] {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Differential: BLAKE3's public function, message by message.
        #[test]
        fn hashes_as_one_by_one(key: [u8; 32], width in 0_usize..8000, count in 0_usize..40, seed: u64) {
            let mut messages = vec![0; width * count];
            blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut messages);
            let message = |index: usize| &messages[index * width..(index + 1) * width];
            let expected: Vec<Digest> =
                (0..count).map(|index| *blake3::keyed_hash(&key, message(index)).as_bytes()).collect();
            prop_assert_eq!(keyed(&key, &messages, count), expected);
        }
    }

    /// Every count of whole blocks, with and without a rest, and the first of a second chunk.
    #[test]
    fn every_width_of_a_chunk() {
        let messages: Vec<u8> = (0..19 * CHUNK_LEN).map(|index| (index * 7 % 251) as u8).collect();
        for width in 1..=CHUNK_LEN + BLOCK_LEN {
            let messages = &messages[..17 * width];
            let one = |message| *blake3::keyed_hash(&[9; 32], message).as_bytes();
            let expected: Vec<Digest> = messages.chunks_exact(width).map(one).collect();
            assert_eq!(keyed(&[9; 32], messages, 17), expected, "{width} bytes");
        }
    }
}
