//! Measuring a block of operations, and the format of a result line.

use std::time::Instant;

use maxwell_kernel::clock::thread_cpu_ns;

/// Nanoseconds of one operation; what was not measured is infinite.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub wall: f64,
    pub cpu: f64,
}

impl Cost {
    pub fn worst() -> Self {
        Self { wall: f64::INFINITY, cpu: f64::INFINITY }
    }

    pub fn min(self, other: Self) -> Self {
        Self { wall: self.wall.min(other.wall), cpu: self.cpu.min(other.cpu) }
    }
}

/// How often an operation is repeated.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub blocks: u32,
    /// Operations of one block.
    pub operations: u32,
}

/// The best block, per operation.
pub fn measure(plan: &Plan, mut operation: impl FnMut()) -> Cost {
    let mut best = Cost::worst();
    for _ in 0..plan.blocks {
        let (cpu, wall) = (thread_cpu_ns(), Instant::now());
        for _ in 0..plan.operations {
            operation();
        }
        let wall = wall.elapsed().as_nanos() as f64;
        let cpu = (thread_cpu_ns() - cpu) as f64;
        let operations = f64::from(plan.operations);
        best = best.min(Cost { wall: wall / operations, cpu: cpu / operations });
    }
    best
}

fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:.1}") } else { "null".to_owned() }
}

/// Prints a cost in nanoseconds; without a target it is only reported.
pub fn print(bench: &str, ours: Cost, target: Option<f64>, peer: &str, peer_cost: Option<Cost>) {
    println!(
        "{{\"bench\":\"{bench}\",\"value\":{},\"unit\":\"ns\",\"target\":{},\"peer\":{},\
         \"peer_value\":{},\"ok\":{},\"cpu_value\":{}}}",
        number(ours.wall),
        target.map_or("null".to_owned(), number),
        if peer_cost.is_some() { format!("\"{peer}\"") } else { "null".to_owned() },
        peer_cost.map_or("null".to_owned(), |cost| number(cost.wall)),
        target.is_none_or(|target| ours.wall <= target),
        number(ours.cpu),
    );
}
