//! Registering, running, proving and verifying the layers and networks of the side by side.
//!
//! Goal: wall and CPU time and proof bytes of each case on this machine. Not: quality of a model; weights
//! are random int8, multipliers as large as a table of 4,095 quotients allows (three byte limbs). Times are
//! the best of several runs, CPU time is the process's. Output: one JSON object a line; `rerun_ms` is the
//! integer forward pass on the same machine, what a verifier would do without a proof;
//! `verify_over_rerun` compares CPU times.
//!
//! `cargo bench -p maxwell-proofs --bench proofs [-- --smoke] [-- CASE] [-- --security 128]`
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench"
)]

use std::hint::black_box;
use std::time::Instant;

use maxwell_proofs::freivalds::Secret;
use maxwell_proofs::model::{Architecture, Kind, Op, OpWeights, Table, Tensor, Weights, Window};
use maxwell_proofs::params::Security;
use maxwell_proofs::{Prepared, Profile, Statement, forward, verifier};

/// Quotients reach from −REACH to REACH.
const REACH: i32 = 2047;

struct Rng(u64);

impl Rng {
    fn int8(&mut self) -> i16 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i16::from((self.0 >> 56) as u8 as i8).max(-127)
    }
}

struct Case {
    name: &'static str,
    input: Vec<usize>,
    ops: Vec<Kind>,
    relu: bool,
    batch: usize,
    /// Targets of the issue without hiding: milliseconds to prove and verify, bytes.
    target: [Option<f64>; 3],
    /// The same with hiding.
    hiding: [Option<f64>; 3],
    runs: u32,
}

fn dense(row_axes: usize, n: usize) -> Kind {
    Kind::Dense { row_axes, n }
}

fn conv(o: usize, kernel: usize, stride: usize, pad: usize) -> Kind {
    let window = Window { kernel: [kernel; 2], strides: [stride; 2], pads: [pad; 4] };
    Kind::Conv2d { o, window }
}

/// Prove and verify targets are those of the table; sizes are 100 kB below its hiding ones.
fn cases() -> Vec<Case> {
    let mlp = || vec![dense(0, 128), dense(0, 64), dense(0, 10)];
    let case =
        |name, input: &[usize], ops, relu, batch, prove, verify, bytes: Option<f64>, runs| Case {
            name,
            input: input.to_vec(),
            ops,
            relu,
            batch,
            target: [Some(prove), Some(verify), bytes],
            hiding: [Some(prove), Some(verify), bytes.map(|bytes| bytes + 100e3)],
            runs,
        };
    vec![
        case("dense_64", &[64], vec![dense(0, 64)], false, 1, 8.0, 2.0, Some(90e3), 20),
        case("dense_256_relu", &[256], vec![dense(0, 256)], true, 1, 12.0, 2.5, Some(170e3), 20),
        case("mlp_784_128_64_10", &[784], mlp(), true, 1, 25.0, 5.0, Some(250e3), 20),
        case("mlp_784_128_64_10_b16", &[784], mlp(), true, 16, 40.0, 6.0, None, 10),
        case(
            "conv_1x28x28_4f5s2",
            &[1, 28, 28],
            vec![conv(4, 5, 2, 0)],
            true,
            1,
            15.0,
            2.5,
            None,
            20,
        ),
        case(
            "conv_8x16x16_16f3",
            &[8, 16, 16],
            vec![conv(16, 3, 1, 1)],
            true,
            1,
            20.0,
            3.0,
            None,
            10,
        ),
        case("dense_1024", &[1024], vec![dense(0, 1024)], false, 1, 25.0, 4.0, Some(450e3), 10),
        case("matmul_256", &[256, 256], vec![dense(1, 256)], false, 1, 150.0, 4.0, None, 4),
        case("ffn_768_3072", &[768], vec![dense(0, 3072)], true, 1, 40.0, 5.0, Some(750e3), 5),
        case("matmul_512", &[512, 512], vec![dense(1, 512)], false, 1, 600.0, 6.0, None, 2),
    ]
}

fn clamp(lo: i32, hi: i32) -> Table {
    Table { q_lo: -REACH, values: (-REACH..=REACH).map(|q| q.clamp(lo, hi) as i16).collect() }
}

/// Weights are random; each multiplier is the largest that keeps every quotient in the table.
fn build(case: &Case) -> (Architecture, Weights) {
    let mut rng = Rng(1);
    let input = Tensor { shape: case.input.clone(), lo: -127, hi: 127 };
    let (mut ops, mut weights) = (Vec::new(), Weights::new());
    let tables = vec![if case.relu { clamp(0, 127) } else { clamp(-128, 127) }];
    for (index, kind) in case.ops.iter().enumerate() {
        ops.push(Op {
            kind: kind.clone(),
            input: index,
            multipliers: vec![1],
            shift: 24,
            table: 0,
        });
        let shape = Architecture::new(input.clone(), tables.clone(), ops.clone()).unwrap();
        let (count, channels) = shape.weight_counts(index);
        let own = OpWeights {
            weights: (0..count).map(|_| rng.int8()).collect(),
            bias: (0..channels).map(|_| i64::from(rng.int8()) * 50).collect(),
        };
        let per_channel = |channel: usize| -> i64 {
            let magnitude = |weight: &i16| i64::from(weight.unsigned_abs());
            match kind {
                Kind::Dense { n, .. } => {
                    own.weights[channel..].iter().step_by(*n).map(magnitude).sum()
                }
                _ => own
                    .weights
                    .chunks(count / channels)
                    .nth(channel)
                    .unwrap()
                    .iter()
                    .map(magnitude)
                    .sum(),
            }
        };
        let bound = (0..channels).map(|c| 128 * per_channel(c) + own.bias[c].abs()).max().unwrap();
        ops[index].multipliers = vec![((i64::from(REACH) << 24) / bound) as u32];
        weights.push(own);
    }
    (Architecture::new(input, tables, ops).unwrap(), weights)
}

/// Process CPU time, ms.
fn cpu_ms() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
}

/// The best wall and CPU milliseconds of several runs, and the last result.
fn best<T>(runs: u32, mut work: impl FnMut() -> T) -> (f64, f64, T) {
    let (mut wall, mut cpu, mut result) = (f64::INFINITY, f64::INFINITY, None);
    for _ in 0..runs {
        let (from, start) = (cpu_ms(), Instant::now());
        result = Some(black_box(work()));
        wall = wall.min(start.elapsed().as_secs_f64() * 1e3);
        cpu = cpu.min(cpu_ms() - from);
    }
    (wall, cpu, result.unwrap())
}

/// One line; `extra` is more JSON members.
fn print(
    (security, case): (Security, &str),
    what: &str,
    value: f64,
    unit: &str,
    target: Option<f64>,
    extra: &str,
) {
    // The targets are for 100 bits.
    let (group, target) = match security {
        Security::Bits100 => ("proofs", target),
        Security::Bits128 => ("proofs128", None),
    };
    let ok = target.is_none_or(|target| value <= target);
    let target = target.map_or("null".to_owned(), |target| format!("{target}"));
    println!(
        "{{\"bench\":\"{group}.{case}.{what}\",\"value\":{value:.4},\"unit\":\"{unit}\",\"target\":{target},\
         \"peer\":null,\"peer_value\":null,\"ok\":{ok}{extra}}}"
    );
}

/// Cases that are measured at 128 bits too.
const CASES_128: [&str; 3] = ["dense_64", "mlp_784_128_64_10", "dense_1024"];

/// Openings that the weights of hiding cases are registered for.
const OPENINGS: u32 = 16;

fn measure(case: &Case, security: Security, smoke: bool, hiding: bool) {
    let runs = if smoke { 1 } else { case.runs };
    let (architecture, weights) = build(case);
    let seed = [1; 32];
    let registered = || {
        let profile = Profile::new(security, hiding.then_some(OPENINGS));
        Prepared::registered(architecture.clone(), &weights, profile, &seed).unwrap()
    };
    // The budget of the last one is left for the runs.
    let (wall, cpu, prepared) = best(if smoke { 1 } else { 2 }, registered);
    let runs = if hiding { runs.min(OPENINGS) } else { runs };
    let name = if hiding { format!("{}.zk", case.name) } else { case.name.to_owned() };
    let name = (security, name.as_str());
    let targets = if hiding { case.hiding } else { case.target };
    print(name, "register_ms", wall, "ms", None, &format!(",\"cpu_ms\":{cpu:.3}"));
    let mut rng = Rng(2);
    let count = case.input.iter().product::<usize>() * case.batch;
    let input: Vec<i16> = (0..count).map(|_| rng.int8()).collect();
    let (wall, rerun, _) = best(runs, || prepared.run(&input, case.batch).unwrap());
    print(name, "rerun_ms", wall, "ms", None, &format!(",\"cpu_ms\":{rerun:.3}"));
    let (wall, cpu, proof) = best(runs, || prepared.prove(&input, case.batch, b"bench").unwrap());
    print(name, "prove_ms", wall, "ms", targets[0], &format!(",\"cpu_ms\":{cpu:.3}"));
    let output = &proof.output;
    let statement = Statement { batch: case.batch, input: &input, output, context: b"bench" };
    let (wall, cpu, ()) =
        best(runs, || verifier::verify(prepared.header(), &statement, &proof.bytes).unwrap());
    let ratio = cpu / rerun;
    let extra = format!(",\"cpu_ms\":{cpu:.3},\"verify_over_rerun\":{ratio:.3}");
    print(name, "verify_ms", wall, "ms", targets[1], &extra);
    print(name, "proof_bytes", proof.bytes.len() as f64, "B", targets[2], "");
}

/// Tier 1: one secret-vector check of the 768→3072 layer, beside the layer itself.
fn secret_vector(smoke: bool) {
    let case = cases().into_iter().find(|case| case.name == "ffn_768_3072").unwrap();
    let (architecture, weights) = build(&case);
    let secret = Secret::new(&weights[0].weights, &weights[0].bias, &[1; 32]).unwrap();
    let packed = forward::pack(&architecture, &weights);
    let mut rng = Rng(2);
    let input: Vec<i16> = (0..768).map(|_| rng.int8()).collect();
    let (layer, _, trace) = best(5, || forward::run(&architecture, &packed, &input, 1).unwrap());
    let accumulators = &trace.accumulators[0][..3072];
    let (wall, _, ()) = best(if smoke { 1 } else { 20 }, || {
        for _ in 0..100 {
            assert!(secret.check(black_box(&input), black_box(accumulators)));
        }
    });
    let extra = format!(",\"layer_us\":{:.1}", layer * 1e3);
    print(
        (Security::Bits100, "ffn_768_3072"),
        "secret_vector_us",
        wall * 10.0,
        "us",
        Some(5.0),
        &extra,
    );
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` passes --bench; `cargo test` does not, and then it is as short as it can be.
    let smoke =
        words.iter().any(|word| word == "--smoke") || !words.iter().any(|word| word == "--bench");
    // All cases at 100 bits, and the few of `CASES_128` at 128 as well, unless asked for one security.
    let asked = words.iter().position(|word| word == "--security").map(|place| place + 1);
    let only = asked.map(|place| {
        let bits = words.get(place).and_then(|word| word.parse().ok());
        bits.and_then(Security::of_bits).expect("--security is 100 or 128")
    });
    let is_case =
        |(place, word): &(usize, &String)| !word.starts_with('-') && Some(*place) != asked;
    let chosen = words.iter().enumerate().find(is_case).map(|(_, word)| word);
    for case in cases().iter().filter(|case| chosen.is_none_or(|name| name == case.name)) {
        if !smoke || case.input.iter().product::<usize>() <= 2048 && case.name != "dense_1024" {
            for security in Security::ALL {
                let wanted = only.unwrap_or(security) == security;
                let also = security == Security::Bits100
                    || only.is_some()
                    || CASES_128.contains(&case.name);
                for hiding in [false, true] {
                    if wanted && also {
                        measure(case, security, smoke, hiding);
                    }
                }
            }
        }
    }
    if chosen.is_none() && only != Some(Security::Bits128) && !smoke {
        secret_vector(smoke);
    }
}
