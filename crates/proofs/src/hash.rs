//! BLAKE3 of many short messages of one length at once, a message a vector lane.
//!
//! The digests are those of [`blake3::keyed_hash`]: BLAKE3's own vectorised compression is asked for whole
//! messages instead of for the chunks of one (BLAKE3 specification, 2021, §2.1, §2.4, §5.3).

use blake3::platform::Platform;
use blake3::{BLOCK_LEN, CHUNK_LEN, IncrementCounter};

use crate::merkle::Digest;

/// Flags of the specification's table 3.
const CHUNK_START: u8 = 1;
const CHUNK_END: u8 = 1 << 1;
const ROOT: u8 = 1 << 3;
const KEYED_HASH: u8 = 1 << 4;

/// The keyed hashes of messages of one length that lie one after the other, `count` of them.
pub(crate) fn keyed(key: &[u8; 32], messages: &[u8], count: usize) -> Vec<Digest> {
    let width = messages.len() / count.max(1);
    debug_assert_eq!(messages.len(), width * count, "BUG: messages of one length");
    if width == 0 {
        return vec![*blake3::keyed_hash(key, &[]).as_bytes(); count];
    }
    if width > CHUNK_LEN {
        // A message of several chunks fills the lanes by itself.
        let messages = messages.chunks_exact(width);
        return messages.map(|message| *blake3::keyed_hash(key, message).as_bytes()).collect();
    }
    let platform = Platform::detect();
    let start = words(key);
    let rest = width % BLOCK_LEN;
    let end = if rest == 0 { CHUNK_END | ROOT } else { 0 };
    let mut digests = vec![[0; 32]; count];
    macro_rules! blocks {
        ($($count:literal)*) => {
            match width / BLOCK_LEN {
                $($count => {
                    let fronts: Vec<&[u8; $count * BLOCK_LEN]> =
                        messages.chunks_exact(width).filter_map(<[u8]>::first_chunk).collect();
                    let out = digests.as_flattened_mut();
                    let no = IncrementCounter::No;
                    platform.hash_many(&fronts, &start, 0, no, KEYED_HASH, CHUNK_START, end, out);
                })*
                _ => digests.fill(*key),
            }
        };
    }
    blocks!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
    if rest > 0 {
        let first = if width < BLOCK_LEN { CHUNK_START } else { 0 };
        let flags = KEYED_HASH | first | CHUNK_END | ROOT;
        for (digest, message) in digests.iter_mut().zip(messages.chunks_exact(width)) {
            let mut block = [0; BLOCK_LEN];
            block[..rest].copy_from_slice(&message[width - rest..]);
            let mut chaining = words(digest);
            platform.compress_in_place(&mut chaining, &block, rest as u8, 0, flags);
            for (bytes, word) in digest.chunks_exact_mut(4).zip(chaining) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
        }
    }
    digests
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
        fn hashes_as_one_by_one(key: [u8; 32], width in 0_usize..1200, count in 0_usize..40, seed: u64) {
            let mut messages = vec![0; width * count];
            blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut messages);
            let message = |index: usize| &messages[index * width..(index + 1) * width];
            let expected: Vec<Digest> =
                (0..count).map(|index| *blake3::keyed_hash(&key, message(index)).as_bytes()).collect();
            prop_assert_eq!(keyed(&key, &messages, count), expected);
        }
    }

    /// Every count of whole blocks, with and without a rest.
    #[test]
    fn every_width_of_a_chunk() {
        let messages: Vec<u8> = (0..17 * CHUNK_LEN).map(|index| (index * 7 % 251) as u8).collect();
        for width in 1..=CHUNK_LEN {
            let messages = &messages[..17 * width];
            let one = |message| *blake3::keyed_hash(&[9; 32], message).as_bytes();
            let expected: Vec<Digest> = messages.chunks_exact(width).map(one).collect();
            assert_eq!(keyed(&[9; 32], messages, 17), expected, "{width} bytes");
        }
    }
}
