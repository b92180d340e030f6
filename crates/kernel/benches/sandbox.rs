//! What a sandbox costs besides its instructions: a slice switch, a life, a death, a slice's sale.
//!
//! Goal: the price of each step of the shipped path on this machine; not: guests' speed (that is
//! `benches/metering.py`). Guests are made, resumed and ended through the same functions and the
//! same pooling engine as in a cell; the last figure is a whole cell on a socket. Times are wall,
//! the best of many short blocks; `cpu_value` is the thread's CPU time of its own best block. The
//! peers are Linux's own: a switch between two threads of one core, and a process that does nothing.
//! Output: one JSON object a line.
//!
//! `cargo bench -p maxwell-kernel --bench sandbox [-- switch|life|kill|cell]`; without `--bench`,
//! which cargo adds, as in `cargo test`, it runs as short as it can.
#![allow(clippy::print_stdout, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
#![allow(missing_docs, unreachable_pub)]

#[path = "sandbox/cell_loop.rs"]
mod cell_loop;
#[path = "sandbox/guests.rs"]
mod guests;
#[path = "sandbox/output.rs"]
mod output;
#[path = "sandbox/peers.rs"]
mod peers;

use std::hint::black_box;

use guests::{Module, Parked};
use output::{Cost, Plan, measure, print};

/// Guests of the largest run: the pool's five mappings each stay below the usual 65,530.
const MANY: u32 = 10_000;

/// What of the bench runs, and how long.
struct Options {
    smoke: bool,
    only: Vec<String>,
}

impl Options {
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }

    fn plan(&self, blocks: u32, operations: u32) -> Plan {
        if self.smoke {
            Plan { blocks: 2, operations: (operations / 1_000).max(2) }
        } else {
            Plan { blocks, operations }
        }
    }
}

/// Resume, two turns of a counting loop, yield: in turn over `count` preempted guests.
fn slice_switch(options: &Options, module: &Module, count: u32, target: Option<f64>, peer: Cost) {
    let mut guests: Vec<Parked> = (0..count).map(|_| module.park(guests::SHORT_QUANTUM)).collect();
    shuffle(&mut guests);
    let mut at = 0;
    // Each block goes round at least four times, so that every guest is as cold as in a cell.
    let operations = (count * 4).max(20_000);
    let mut plan = options.plan(if count > 1_000 { 12 } else { 60 }, operations);
    plan.operations = plan.operations.max(if options.smoke { 1 } else { count });
    let cost = measure(&plan, || {
        guests[at].resume();
        at += 1;
        if at == guests.len() {
            at = 0;
        }
    });
    print(&format!("slice_switch_n{count}"), cost, target, peers::SWITCH, Some(peer));
}

/// Puts guests in an order that no prefetcher guesses, as auctions do.
fn shuffle(guests: &mut [Parked]) {
    let mut state = 1u64;
    for left in (2..=guests.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        guests.swap(left - 1, (state >> 33) as usize % left);
    }
}

fn slice_switches(options: &Options) {
    let many = if options.smoke { 50 } else { MANY };
    let peer = peers::thread_switch(&options.plan(20, 5_000));
    let module = Module::new(guests::SPIN, many);
    for (count, target) in
        [(1, Some(250.0)), (100, Some(250.0)), (1_000, None), (MANY, Some(5_000.0))]
    {
        if count <= many {
            slice_switch(options, &module, count, target, peer);
        }
    }
}

/// Store, instance, first slice to the end of the program, burial count, drop.
fn lives(options: &Options) {
    let plan = options.plan(40, 5_000);
    let peer = peers::process(&options.plan(10, 100));
    for (name, wat, target) in [
        ("spawn_drop_no_memory", guests::EMPTY, None),
        ("spawn_drop_one_page", guests::ONE_PAGE, Some(10_000.0)),
        ("spawn_drop_one_page_written", guests::ONE_PAGE_WRITTEN, None),
        ("spawn_drop_16_pages", guests::SIXTEEN_PAGES, None),
    ] {
        let module = Module::new(wat, 64);
        let cost = measure(&plan, || {
            black_box(module.live());
        });
        print(name, cost, target, peers::PROCESS, Some(peer));
    }
}

/// From the decision to end a guest in the middle of its loop to its memory given back.
fn kills(options: &Options) {
    for count in [100, 1_000] {
        if options.smoke && count > 100 {
            continue;
        }
        let module = Module::new(guests::SPIN, count + 64);
        // Making the victims is not timed: each block kills what the step before it made.
        let mut best = Cost::worst();
        let rounds = if options.smoke { 1 } else { 10 };
        for _ in 0..rounds {
            let mut victims: Vec<Parked> =
                (0..count).map(|_| module.park(guests::SHORT_QUANTUM)).collect();
            let plan = Plan { blocks: 1, operations: count };
            best = best.min(measure(&plan, || {
                if let Some(victim) = victims.pop() {
                    victim.kill();
                }
            }));
        }
        print(&format!("kill_preempted_n{count}"), best, None, "", None);
    }
}

fn main() {
    let mut options = Options { smoke: true, only: Vec::new() };
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--bench" => options.smoke = false,
            _ => options.only.push(argument),
        }
    }
    if options.wants("switch") {
        slice_switches(&options);
    }
    if options.wants("life") {
        lives(&options);
    }
    if options.wants("kill") {
        kills(&options);
    }
    if options.wants("cell") {
        cell_loop::bench(options.smoke);
    }
}
