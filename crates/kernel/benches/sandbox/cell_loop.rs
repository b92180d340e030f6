//! A whole cell on one end of a socket pair: what a slice costs beside the guest.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use maxwell_kernel::admission;
use maxwell_kernel::engine::Metering;
use maxwell_kernel::slots::Slots;
use serde::{Deserialize, Serialize};

use crate::guests;
use crate::output::{Cost, print};

/// What the parent sends first; the kernel's own record only reads.
#[derive(Serialize)]
struct Config<'a> {
    cell: u32,
    core: Option<usize>,
    seed: [u8; 16],
    deterministic: bool,
    epoch_ns: u64,
    temperature_log2: u8,
    reserve_ppm: u64,
    model: Model,
    quantum_fuel: u64,
    slice_quanta: u32,
    guests_max: u32,
    slots_path: &'a Path,
    rent_per_process: u64,
    rent_per_mib: u64,
}

/// Five watts a core, as without a sensor.
#[derive(Serialize)]
struct Model {
    alpha_pj_per_fuel: u64,
    beta_pj_per_ns: u64,
    gamma_pj_per_byte: u64,
    delta_pj_per_call: u64,
    switch_pj: u64,
    femtoseconds_per_fuel: u64,
}

#[derive(Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Message<'a> {
    Spawn {
        pid: u32,
        slot: usize,
        account: u64,
        artifact: &'a Path,
        args: Vec<String>,
        env: Vec<(String, String)>,
        dirs: Vec<()>,
        credits: u64,
        urgency_millis: u32,
        bid_ppm: Option<u64>,
        horizon_uj: u64,
        memory_bytes_max: u64,
        deadline_ns: Option<u64>,
        random_seed: Option<[u8; 32]>,
        rewards_open: bool,
    },
    Stop {
        outcome: &'a str,
        reason: &'a str,
    },
}

/// The part of an epoch's report that is read here.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Report {
    cpu_ns: u64,
    slice_ns: u64,
    slices: u64,
    last: bool,
}

fn send(parent: &mut UnixStream, message: &impl Serialize) {
    let body = rmp_serde::to_vec_named(message).expect("plain data");
    let length = u32::try_from(body.len()).expect("a short frame");
    parent.write_all(&length.to_le_bytes()).expect("the cell reads");
    parent.write_all(&body).expect("the cell reads");
}

fn receive(parent: &mut UnixStream) -> Report {
    let mut length = [0; 4];
    parent.read_exact(&mut length).expect("the cell reports");
    let mut body = vec![0; u32::from_le_bytes(length) as usize];
    parent.read_exact(&mut body).expect("the cell reports");
    rmp_serde::from_slice(&body).expect("a report")
}

/// What `benches/market_cost.py` measures from outside, on a thread and without the parent's work.
pub fn bench(smoke: bool) {
    let (processes, epochs) = if smoke { (8, 2) } else { (1_000, 30) };
    let folder = tempfile::tempdir().expect("a folder for the run");
    let (slots_path, artifact) = (folder.path().join("slots"), folder.path().join("spin.cwasm"));
    let _slots = Slots::create(&slots_path, processes as usize + 1).expect("shared memory");
    let wasm = wat::parse_str(guests::SPIN).expect("the module is well-formed");
    admission::admit(&wasm, &artifact, Metering::Fuel, None).expect("the module is admitted");
    // `SPIN` runs about 48 fuel a nanosecond here: ten quanta take about 100 µs.
    let config = Config {
        cell: 0,
        core: Some(0),
        seed: [7; 16],
        deterministic: false,
        epoch_ns: 100_000_000,
        temperature_log2: 2,
        reserve_ppm: 1_000_000,
        model: Model {
            alpha_pj_per_fuel: 0,
            beta_pj_per_ns: 5_000,
            gamma_pj_per_byte: 0,
            delta_pj_per_call: 0,
            switch_pj: 5_000_000,
            femtoseconds_per_fuel: 67_000,
        },
        quantum_fuel: 480_000,
        slice_quanta: 10,
        guests_max: processes + 1,
        slots_path: &slots_path,
        rent_per_process: 2_000,
        rent_per_mib: 400,
    };
    let (mut parent, child) = UnixStream::pair().expect("a socket pair");
    let cell = std::thread::spawn(move || maxwell_kernel::cell::run(child));
    send(&mut parent, &config);
    let spawns: Vec<Message<'_>> = (1..=processes).map(|pid| spawn(pid, &artifact)).collect();
    send(&mut parent, &spawns);
    let reports: Vec<Report> = (0..epochs + 12).map(|_| receive(&mut parent)).collect();
    send(&mut parent, &[Message::Stop { outcome: "deadline", reason: "the bench is over" }]);
    while !receive(&mut parent).last {}
    cell.join().expect("the cell did not panic").expect("the cell ran");
    report(&reports, smoke);
}

fn spawn(pid: u32, artifact: &Path) -> Message<'_> {
    Message::Spawn {
        pid,
        slot: pid as usize,
        account: u64::from(pid),
        artifact,
        args: vec!["spin".to_owned()],
        env: Vec::new(),
        dirs: Vec::new(),
        credits: 20_000_000,
        urgency_millis: 500,
        bid_ppm: None,
        horizon_uj: 5_000_000,
        memory_bytes_max: 512 << 20,
        deadline_ns: None,
        random_seed: None,
        rewards_open: false,
    }
}

/// The best ten epochs after the first slices (births are `spawn_drop`'s business).
fn report(reports: &[Report], smoke: bool) {
    let window = if smoke { 1 } else { 10 };
    let steady = &reports[reports.len().min(10)..];
    let mut best = Cost::worst();
    let mut slice_ns = f64::NAN;
    for pair in steady.windows(window + 1) {
        let (first, last) = (pair[0], pair[window]);
        let slices = last.slices.saturating_sub(first.slices);
        if slices == 0 {
            continue;
        }
        let inside = last.slice_ns - first.slice_ns;
        let beside = (last.cpu_ns - first.cpu_ns).saturating_sub(inside) as f64 / slices as f64;
        if beside < best.cpu {
            best = Cost { wall: beside, cpu: beside };
            slice_ns = inside as f64 / slices as f64;
        }
    }
    print("cell_turn_beside_guest_n1000", best, None, "", None);
    let share = best.cpu / (best.cpu + slice_ns);
    println!(
        "{{\"bench\":\"cell_turn_share_n1000\",\"value\":{share:.5},\"unit\":\"ratio\",\
         \"target\":null,\"peer\":\"mean slice, ns\",\"peer_value\":{slice_ns:.0},\"ok\":true}}"
    );
}
