// What a fuzzed verification is, shared by `tests/hostile.rs` and the libFuzzer target.

use maxwell_proofs::model::{Architecture, Kind, Op, OpWeights, Table, Tensor, Weights, Window};
use maxwell_proofs::{Header, Prepared, Profile, ProofError, Statement, verifier};

#[path = "rng.rs"]
mod rng;

pub(crate) use rng::Rng;

/// Everything that a verifier is given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Input {
    pub(crate) header: Vec<u8>,
    pub(crate) batch: usize,
    pub(crate) x: Vec<i16>,
    pub(crate) y: Vec<i16>,
    pub(crate) context: Vec<u8>,
    pub(crate) proof: Vec<u8>,
}

/// An honest proof and what it is about.
pub(crate) struct Case {
    pub(crate) header: Vec<u8>,
    pub(crate) x: Vec<i16>,
    pub(crate) y: Vec<i16>,
    pub(crate) proof: Vec<u8>,
}

impl Case {
    pub(crate) fn input(&self) -> Input {
        Input {
            header: self.header.clone(),
            batch: 1,
            x: self.x.clone(),
            y: self.y.clone(),
            context: b"fuzz".to_vec(),
            proof: self.proof.clone(),
        }
    }
}

/// Decodes and verifies, as a verifier does with what a stranger sends.
pub(crate) fn verdict(input: &Input) -> Result<(), ProofError> {
    let header = Header::from_bytes(&input.header)?;
    let statement = Statement {
        batch: input.batch,
        input: &input.x,
        output: &input.y,
        context: &input.context,
    };
    verifier::verify(&header, &statement, &input.proof)
}

/// A dense layer, a small perceptron, a convolution with pooling and addition, and a dense layer of 128 bits.
pub(crate) fn cases() -> Vec<Case> {
    let dense = |n| Kind::Dense { row_axes: 0, n };
    let square = |kernel| Window { kernel: [kernel; 2], strides: [1; 2], pads: [0; 4] };
    let image = vec![
        (Kind::Conv2d { o: 2, window: square(2) }, 0),
        (Kind::Add { other: 1, scales: [3, -2] }, 1),
        (Kind::AvgPool { window: square(2) }, 2),
        (dense(3), 3),
    ];
    vec![
        case(Profile::Plain100, &[3], vec![(dense(2), 0)]),
        case(Profile::Plain100, &[5], vec![(dense(4), 0), (dense(3), 1), (dense(2), 2)]),
        case(Profile::Plain100, &[2, 4, 4], image),
        case(Profile::Plain128, &[3], vec![(dense(2), 0)]),
    ]
}

fn case(profile: Profile, shape: &[usize], kinds: Vec<(Kind, usize)>) -> Case {
    let mut rng = Rng(3);
    let input = Tensor { shape: shape.to_vec(), lo: -127, hi: 127 };
    let values = (-4000..=4000).map(|q: i16| q.clamp(-128, 127)).collect();
    let tables = vec![Table { q_lo: -4000, values }];
    let ops: Vec<Op> = kinds
        .into_iter()
        .map(|(kind, input)| Op { kind, input, multipliers: vec![9_000], shift: 24, table: 0 })
        .collect();
    let architecture = Architecture::new(input, tables, ops).unwrap();
    let weights: Weights = (0..architecture.ops().len())
        .map(|index| {
            let (count, channels) = architecture.weight_counts(index);
            OpWeights {
                weights: (0..count).map(|_| (rng.below(255) as i16) - 127).collect(),
                bias: vec![-77; channels],
            }
        })
        .collect();
    let cells: usize = shape.iter().product();
    let x: Vec<i16> = (0..cells).map(|_| (rng.below(255) as i16) - 127).collect();
    let prepared = Prepared::registered(architecture, &weights, profile, &[0; 32]).unwrap();
    let proof = prepared.prove(&x, 1, b"fuzz").unwrap();
    Case { header: prepared.header().to_bytes(), x, y: proof.output, proof: proof.bytes }
}

/// Changes an honest input in one to three places; mostly the proof.
pub(crate) fn mutate(case: &Case, other: &Case, rng: &mut Rng) -> Input {
    let mut input = case.input();
    for _ in 0..=rng.below(3) {
        match rng.below(16) {
            0 => damage(&mut input.header, rng),
            1 => {
                let place = rng.below(input.x.len());
                input.x[place] ^= 1 << rng.below(16);
            }
            2 => {
                let place = rng.below(input.y.len());
                input.y[place] ^= 1 << rng.below(16);
            }
            3 => input.batch = [0, 2, 4096, usize::MAX][rng.below(4)],
            4 => input.context.push(rng.next() as u8),
            5 => splice(&mut input.proof, &other.proof, rng),
            6..=9 => element(&mut input.proof, rng),
            _ => damage(&mut input.proof, rng),
        }
    }
    input
}

/// Bytes: flips, cuts, insertions, deletions, long tails.
fn damage(bytes: &mut Vec<u8>, rng: &mut Rng) {
    if bytes.is_empty() {
        return;
    }
    // Early bytes are the interactive part.
    let place =
        if rng.below(2) == 0 { rng.below(bytes.len()) } else { rng.below(bytes.len().min(2500)) };
    match rng.below(7) {
        0 => bytes[place] = rng.next() as u8,
        1 => bytes[place] ^= 1 << rng.below(8),
        2 => bytes.truncate(place),
        3 => bytes.insert(place, rng.next() as u8),
        4 => {
            bytes.remove(place);
        }
        5 => bytes.resize(bytes.len() + rng.below(1 << 14), rng.next() as u8),
        _ => {
            let other = rng.below(bytes.len());
            bytes.swap(place, other);
        }
    }
}

/// An element: zero, one, the largest, one that is not canonical, another one of the proof, or one more.
fn element(proof: &mut [u8], rng: &mut Rng) {
    const MODULUS: u64 = 0xffff_ffff_0000_0001;
    let words = proof.len() / 8;
    if words < 8 {
        return;
    }
    let limit = if rng.below(2) == 0 { words } else { words.min(300) };
    // Behind the 32 bytes of the first root everything is in words of 8 bytes.
    let at = 8 * rng.below(limit);
    let old = u64::from_le_bytes(proof[at..at + 8].try_into().unwrap());
    let from = 8 * rng.below(words);
    let word = match rng.below(6) {
        0 => 0,
        1 => 1,
        2 => MODULUS - 1,
        3 => old.wrapping_add(MODULUS),
        4 => u64::from_le_bytes(proof[from..from + 8].try_into().unwrap()),
        _ => old.wrapping_add(1),
    };
    proof[at..at + 8].copy_from_slice(&word.to_le_bytes());
}

/// A stretch of another proof, or of this one from elsewhere.
fn splice(proof: &mut [u8], other: &[u8], rng: &mut Rng) {
    let length = rng.below(proof.len().min(other.len()).min(2048));
    let (from, to) = (rng.below(other.len() - length), rng.below(proof.len() - length));
    proof[to..to + length].copy_from_slice(&other[from..from + length]);
}
