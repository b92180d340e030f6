//! Models for tests, and an oracle that runs them as docs/reference/proof-model.md says, with plain loops
//! over unpadded tensors and wide integers: independent of the crate's own forward pass.

use crate::model::{
    Architecture, Kind, Op, OpWeights, Table, Tensor, Weights, Window, check_bounds,
};

#[path = "../../fuzz/rng.rs"]
mod rng;

pub(crate) use rng::Rng;

impl Rng {
    /// An integer in `lo..=hi`, now and then exactly a corner.
    pub(crate) fn int(&mut self, lo: i64, hi: i64) -> i64 {
        match self.below(16) {
            0 => lo,
            1 => hi,
            _ => lo + (self.next() % (hi - lo + 1) as u64) as i64,
        }
    }
}

pub(crate) struct Model {
    pub(crate) architecture: Architecture,
    pub(crate) weights: Weights,
}

impl Model {
    pub(crate) fn input(&self, batch: usize, seed: u64) -> Vec<i16> {
        let (tensor, mut rng) = (self.architecture.input(), Rng(seed));
        let value = |_| rng.int(i64::from(tensor.lo), i64::from(tensor.hi)) as i16;
        (0..tensor.len() * batch).map(value).collect()
    }

    /// The output of a batch, by the book.
    pub(crate) fn oracle(&self, input: &[i16], batch: usize) -> Vec<i16> {
        let size = self.architecture.input().len();
        (0..batch).flat_map(|b| self.one(&input[b * size..(b + 1) * size])).collect()
    }

    fn one(&self, input: &[i16]) -> Vec<i16> {
        let mut tensors = vec![input.to_vec()];
        for (index, op) in self.architecture.ops().iter().enumerate() {
            let shape = &self.architecture.tensors()[index + 1].shape;
            let (x, own) = (&tensors[op.input], &self.weights[index]);
            let in_shape = &self.architecture.tensors()[op.input].shape;
            let area: usize = shape[1..].iter().product();
            let cell = |cell: usize| -> i16 {
                let (acc, channel): (i128, usize) = match &op.kind {
                    Kind::Dense { row_axes, n } => {
                        let k: usize = in_shape[*row_axes..].iter().product();
                        let (row, column) = (cell / n, cell % n);
                        let term = |i: usize| {
                            i128::from(x[row * k + i]) * i128::from(own.weights[i * n + column])
                        };
                        ((0..k).map(term).sum::<i128>() + i128::from(own.bias[column]), column)
                    }
                    Kind::Conv2d { window, .. } => {
                        let o = cell / area;
                        let mut sum = i128::from(own.bias[o]);
                        for c in 0..in_shape[0] {
                            sum += each(window, cell % area, shape, in_shape, |i, j, place| {
                                let w = ((o * in_shape[0] + c) * window.kernel[0] + i)
                                    * window.kernel[1]
                                    + j;
                                i128::from(x[c * in_shape[1] * in_shape[2] + place])
                                    * i128::from(own.weights[w])
                            });
                        }
                        (sum, o)
                    }
                    Kind::Add { other, scales } => {
                        let [a, b] = scales.map(i128::from);
                        (a * i128::from(x[cell]) + b * i128::from(tensors[*other][cell]), 0)
                    }
                    Kind::AvgPool { window } => {
                        let c = cell / area;
                        let sum = each(window, cell % area, shape, in_shape, |_, _, place| {
                            i128::from(x[c * in_shape[1] * in_shape[2] + place])
                        });
                        (sum, 0)
                    }
                    Kind::Table => (i128::from(x[cell]), 0),
                };
                let v = acc * i128::from(op.multiplier(channel)) + (1 << (op.shift - 1));
                let q = v.div_euclid(1 << op.shift);
                let table = &self.architecture.tables[op.table];
                table.values[(q - i128::from(table.q_lo)) as usize]
            };
            let cells = (0..shape.iter().product()).map(cell).collect();
            tensors.push(cells);
        }
        tensors.pop().unwrap()
    }
}

/// Sums a term over the window of output position `at`, places outside left out.
fn each(
    window: &Window,
    at: usize,
    shape: &[usize],
    in_shape: &[usize],
    term: impl Fn(usize, usize, usize) -> i128,
) -> i128 {
    let (oh, ow) = ((at / shape[2]) as i64, (at % shape[2]) as i64);
    let mut sum = 0;
    for i in 0..window.kernel[0] {
        for j in 0..window.kernel[1] {
            let h = oh * window.strides[0] as i64 + i as i64 - window.pads[0] as i64;
            let w = ow * window.strides[1] as i64 + j as i64 - window.pads[1] as i64;
            if (0..in_shape[1] as i64).contains(&h) && (0..in_shape[2] as i64).contains(&w) {
                sum += term(i, j, h as usize * in_shape[2] + w as usize);
            }
        }
    }
    sum
}

/// A table over exactly the q that can occur: clamps to `lo..=hi`.
pub(crate) fn clamp(reach: i32, lo: i16, hi: i16) -> Table {
    let values = (-reach..=reach).map(|q| q.clamp(i32::from(lo), i32::from(hi)) as i16).collect();
    Table { q_lo: -reach, values }
}

pub(crate) fn weights(count: usize, channels: usize, rng: &mut Rng) -> OpWeights {
    OpWeights {
        weights: (0..count).map(|_| rng.int(-127, 127) as i16).collect(),
        bias: (0..channels).map(|_| rng.int(-5000, 5000)).collect(),
    }
}

/// Builds a model: fills in weights, and tables as wide as the bound needs.
pub(crate) fn build(
    input: &[usize],
    ops: Vec<(Kind, usize, bool)>,
    activations: &[(i16, i16)],
    seed: u64,
) -> Model {
    let mut rng = Rng(seed);
    let input = Tensor { shape: input.to_vec(), lo: -127, hi: 127 };
    let reach = 4000;
    let tables: Vec<Table> = activations.iter().map(|(lo, hi)| clamp(reach, *lo, *hi)).collect();
    let count = ops.len();
    let mut list: Vec<Op> = Vec::new();
    for (index, (kind, reads, per_channel)) in ops.into_iter().enumerate() {
        let table = if index + 1 == count { tables.len() - 1 } else { index % tables.len() };
        list.push(Op { kind, input: reads, multipliers: vec![1], shift: 24, table });
        let _ = per_channel;
        let partial =
            Architecture::new_unread(input.clone(), tables.clone(), list.clone()).unwrap();
        let (_, channels) = partial.weight_counts(index);
        if per_channel && channels > 0 {
            list[index].multipliers = vec![1; channels];
        }
    }
    let partial = Architecture::new_unread(input.clone(), tables.clone(), list.clone()).unwrap();
    let weights: Weights = (0..list.len())
        .map(|index| {
            let (w, c) = partial.weight_counts(index);
            weights(w, c, &mut rng)
        })
        .collect();
    // The largest multiplier that the bound allows is found by halving.
    for index in 0..list.len() {
        for channel in 0..list[index].multipliers.len() {
            list[index].multipliers[channel] = (1 << 23) - rng.below(1 << 20) as u32;
        }
        loop {
            let architecture =
                Architecture::new_unread(input.clone(), tables.clone(), list.clone()).unwrap();
            let refused = check_bounds(&architecture, &weights).err().map(|e| e.to_string());
            if !refused.is_some_and(|text| text.contains(&format!("operation {index},"))) {
                break;
            }
            for multiplier in &mut list[index].multipliers {
                *multiplier = *multiplier / 2 + 1;
            }
        }
    }
    let architecture = Architecture::new(input, tables, list).unwrap();
    check_bounds(&architecture, &weights).unwrap();
    Model { architecture, weights }
}

pub(crate) fn window(kernel: [usize; 2], strides: [usize; 2], pads: [usize; 4]) -> Window {
    Window { kernel, strides, pads }
}

/// One dense layer.
pub(crate) fn dense(k: usize, n: usize, per_channel: bool) -> Model {
    build(&[k], vec![(Kind::Dense { row_axes: 0, n }, 0, per_channel)], &[(-128, 127)], 7)
}

/// A perceptron of three layers.
pub(crate) fn mlp(sizes: [usize; 4]) -> Model {
    let op = |layer: usize| (Kind::Dense { row_axes: 0, n: sizes[layer + 1] }, layer, layer == 1);
    build(&[sizes[0]], (0..3).map(op).collect(), &[(0, 127), (-128, 127)], 11)
}

/// Every operation at once, with a tensor that is read three times, one twice by the same addition, odd
/// sizes, strides and pads.
pub(crate) fn everything() -> Model {
    let ops = vec![
        (Kind::Conv2d { o: 3, window: window([3, 2], [2, 1], [1, 0, 1, 1]) }, 0, true),
        (Kind::Conv2d { o: 3, window: window([3, 3], [1, 1], [1, 1, 1, 1]) }, 1, false),
        (Kind::Add { other: 2, scales: [3, -5] }, 1, false),
        (Kind::Add { other: 3, scales: [1 << 10, 77] }, 3, false),
        (Kind::AvgPool { window: window([2, 2], [1, 2], [0, 1, 1, 0]) }, 4, false),
        (Kind::Table, 5, false),
        (Kind::Dense { row_axes: 1, n: 5 }, 6, true),
        (Kind::Dense { row_axes: 0, n: 7 }, 7, false),
    ];
    build(&[2, 7, 5], ops, &[(0, 127), (-128, 127), (-300, 300)], 3)
}
