//! Messages between the parent and a cell: MessagePack maps in length-prefixed frames.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::energy::EnergyModel;
use crate::inference::InferenceTerms;
use crate::purse::PPM;
use crate::requests::RequestTerms;

/// The first frame a cell gets: what it is.
#[derive(Clone, Debug, Deserialize)]
pub struct CellConfig {
    /// Number of this cell.
    pub cell: u32,
    /// Core to pin to, if any.
    pub core: Option<usize>,
    /// Key of the auction's draws.
    pub seed: [u8; 16],
    /// Virtual time and barriers.
    pub deterministic: bool,
    /// Time between two epochs, ns.
    pub epoch_ns: u64,
    /// T = 2^-this.
    pub temperature_log2: u8,
    /// Lowest accepted bid, ppm.
    pub reserve_ppm: u64,
    /// Energy of what is counted.
    pub model: EnergyModel,
    /// Fuel between two yields.
    pub quantum_fuel: u64,
    /// Quanta of a slice.
    pub slice_quanta: u32,
    /// Guests alive at once.
    pub guests_max: u32,
    /// The meters' shared file.
    pub slots_path: PathBuf,
    /// Rent, credits per second and process.
    pub rent_per_process: u64,
    /// Rent, credits per second and MiB.
    pub rent_per_mib: u64,
    /// What the cell's clock shows at first, ns: not zero in a cell that is started again.
    #[serde(default)]
    pub start_ns: u64,
    /// On the real clock: the machine's monotonic time at which the run's clock showed `start_ns`.
    #[serde(default)]
    pub start_monotonic_ns: Option<u64>,
}

/// A directory that a guest sees.
#[derive(Clone, Debug, Deserialize)]
pub struct Directory {
    /// Path the guest sees.
    pub guest: String,
    /// Path on this machine.
    pub host: PathBuf,
    /// Whether the guest may change it.
    pub read_only: bool,
}

/// A stream that a process is asked about.
#[derive(Clone, Debug, Deserialize)]
pub struct StreamQuestion {
    /// Its number for the guest.
    pub question: u32,
    /// Where the stream is.
    pub path: PathBuf,
    /// Its symbols in the order of the outcomes; empty: all bytes.
    #[serde(with = "serde_bytes")]
    pub alphabet: Vec<u8>,
    /// Symbols revealed at once.
    pub chunk: u32,
    /// Credits per bit.
    pub kappa: u64,
    /// No belief counts from then on, ns on the run's clock.
    pub deadline_ns: Option<u64>,
    /// Whether the sponsor pays.
    pub open: bool,
}

/// A process to start.
#[derive(Clone, Debug, Deserialize)]
pub struct Spawn {
    /// Process number, unique in the run.
    pub pid: u32,
    /// Slot in the meters.
    pub slot: usize,
    /// Account that bids.
    pub account: u64,
    /// Compiled module.
    pub artifact: PathBuf,
    /// Arguments, the program's name first.
    pub args: Vec<String>,
    /// Environment.
    pub env: Vec<(String, String)>,
    /// Directories.
    pub dirs: Vec<Directory>,
    /// Opening purse.
    pub credits: u64,
    /// Urgency, thousandths.
    pub urgency_millis: u32,
    /// Explicit bid instead of the proxy's.
    pub bid_ppm: Option<u64>,
    /// Horizon of the proxy, µJ of own consumption.
    pub horizon_uj: u64,
    /// Limit of linear memory, bytes.
    pub memory_bytes_max: u64,
    /// When to end it, ns after its start.
    pub deadline_ns: Option<u64>,
    /// Seed of its random numbers; `None` takes the machine's.
    pub random_seed: Option<[u8; 32]>,
    /// Whether a sponsor listens to its reports.
    pub rewards_open: bool,
    /// Its outbound requests: none unless the operator grants them.
    #[serde(default)]
    pub request_terms: Option<RequestTerms>,
    /// Models that it may have run, and its orders.
    #[serde(default)]
    pub inference_terms: Option<InferenceTerms>,
    /// Stake of each of its reports, credits.
    #[serde(default)]
    pub report_stake: u64,
    /// Quality of its account, ppm.
    #[serde(default = "quality_one")]
    pub quality_ppm: u64,
    /// Streams that it is asked about.
    #[serde(default)]
    pub questions: Vec<StreamQuestion>,
}

fn quality_one() -> u64 {
    PPM
}

/// Parent to cell.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum ToCell {
    /// Start a process.
    Spawn(Box<Spawn>),
    /// Add credits to a purse.
    Fund {
        /// To whom.
        pid: u32,
        /// How much.
        credits: u64,
    },
    /// Open or close a process's reports.
    Rewards {
        /// Whose.
        pid: u32,
        /// Whether a sponsor still pays.
        open: bool,
    },
    /// Answer what a process asked and waits for.
    Answer {
        /// Whose.
        pid: u32,
        /// Which one of it.
        id: u64,
        /// 0, or an errno of WASI.
        errno: i32,
        /// The answer when `errno` is 0.
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
    },
    /// Open or close one of a process's questions.
    Question {
        /// Whose.
        pid: u32,
        /// Its number for the guest.
        question: u32,
        /// Whether a sponsor still pays.
        open: bool,
    },
    /// Change the quality of an account's bids.
    Quality {
        /// Whose.
        account: u64,
        /// 1/8 to 8, ppm.
        ppm: u64,
    },
    /// End a process.
    Kill {
        /// Whom.
        pid: u32,
        /// Outcome to write.
        outcome: String,
        /// Why.
        reason: String,
    },
    /// Give a process back that has not run yet.
    Revoke {
        /// Whom.
        pid: u32,
    },
    /// Change the reserve.
    Reserve {
        /// Lowest accepted bid, ppm.
        ppm: u64,
    },
    /// Go on to the next epoch (deterministic mode).
    Barrier,
    /// End all processes, send a last report and stop.
    Stop {
        /// Outcome of those still alive.
        outcome: String,
        /// Why.
        reason: String,
    },
}

/// Cell to parent, once an epoch.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EpochReport {
    /// Which cell.
    pub cell: u32,
    /// Which epoch of it.
    pub epoch: u64,
    /// Its clock, ns.
    pub now_ns: u64,
    /// CPU time of its worker since it began to loop, ns.
    pub cpu_ns: u64,
    /// CPU time of the worker before it began to loop, ns.
    pub startup_cpu_ns: u64,
    /// Time inside slices, ns.
    pub slice_ns: u64,
    /// Time outside slices that was not idle, ns.
    pub overhead_ns: u64,
    /// Time asleep (virtual time skipped), ns.
    pub idle_ns: u64,
    /// Time the machine gave to others during slices, ns.
    pub stolen_ns: u64,
    /// Slices run.
    pub slices: u64,
    /// Mean price of this epoch weighted by energy, ppm; 0 without a slice.
    pub price_mean_ppm: u64,
    /// Sum of the racing bidders' rates, in units of 2^32 and saturated: how loaded the cell is.
    pub rate_sum: u64,
    /// Processes that wait for a slice.
    pub runnable: u64,
    /// Processes alive.
    pub alive: u64,
    /// Hash of every decision, bill and fuel count so far.
    pub digest: u64,
    /// Whether this is the last report.
    pub last: bool,
    /// Whether further events of the same epoch follow in another report.
    pub more: bool,
    /// What happened, in order.
    pub events: Vec<CellEvent>,
}

/// Something that happened on a cell.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum CellEvent {
    /// First slice.
    Started {
        /// Who.
        pid: u32,
        /// When.
        t_ns: u64,
    },
    /// Output of a guest.
    Output {
        /// Whose.
        pid: u32,
        /// 1 or 2.
        stream: u8,
        /// What.
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
        /// Bytes dropped because the buffer was full.
        lost: u64,
    },
    /// A result line for the sponsor.
    Report {
        /// Whose.
        pid: u32,
        /// What.
        #[serde(with = "serde_bytes")]
        line: Vec<u8>,
        /// Credits that left the purse with it.
        staked: u64,
    },
    /// A block of a stream in which the process believed something.
    Beliefs {
        /// Whose.
        pid: u32,
        /// The question's number for the guest.
        question: u32,
        /// Position of the block's first symbol.
        start: u64,
        /// Symbols with a belief.
        believed: u32,
        /// Bits won or lost, in units of 2^-32.
        bits_q32: i64,
        /// Stake that was lost.
        lost: u64,
        /// The process's energy so far, µJ.
        energy_uj: u64,
        /// Its probability of each symbol, little-endian u32; 0: no belief.
        #[serde(with = "serde_bytes")]
        own: Vec<u8>,
        /// The public probability of each symbol.
        #[serde(with = "serde_bytes")]
        public: Vec<u8>,
    },
    /// Beliefs or observations that were refused since the last epoch.
    Disbelieved {
        /// Whose.
        pid: u32,
        /// The question's number, if there is one of it.
        question: Option<u32>,
        /// Why.
        why: String,
        /// How many.
        count: u64,
    },
    /// Credits on their way to another process.
    Transfer {
        /// From.
        pid: u32,
        /// To.
        to: u32,
        /// How many.
        credits: u64,
    },
    /// An outbound request; its price in advance has left the purse.
    Request {
        /// Whose.
        pid: u32,
        /// Which one of it.
        id: u64,
        /// Credits taken for it.
        credits: u64,
        /// What it asks.
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
    },
    /// An order, an inference or a delivery; its price in advance has left the purse.
    Inference {
        /// Whose.
        pid: u32,
        /// Which one of what it asked.
        id: u64,
        /// Credits taken for it.
        credits: u64,
        /// Price of a joule when it was asked, ppm.
        price_ppm: u64,
        /// `order`, `infer` or `deliver`.
        call: &'static str,
        /// The reward of an order, or the order of the others; -1: none.
        number: i32,
        /// Tier of a run.
        tier: i32,
        /// Digest of the model to be run, or empty.
        model: String,
        /// Input, or what is delivered.
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
    },
    /// The end of a process; its slot holds the figures.
    Died {
        /// Who.
        pid: u32,
        /// When.
        t_ns: u64,
        /// One of the outcomes.
        outcome: String,
        /// Why.
        reason: String,
        /// Exit code of the guest, if it ended by itself.
        exit_code: Option<u32>,
        /// Unsupported host calls it tried.
        unsupported: Vec<String>,
    },
    /// A process that had not run was given back.
    Revoked {
        /// Who.
        pid: u32,
    },
    /// A message named a process that is not here.
    Unknown {
        /// Who.
        pid: u32,
        /// Credits that came with it.
        credits: u64,
    },
}

/// Bytes of events in one report; what is more goes into further reports of the same epoch.
pub const REPORT_EVENT_BYTES: usize = 2 << 20;

impl CellEvent {
    /// About how many bytes it takes in a report.
    #[must_use]
    pub fn size(&self) -> usize {
        const FIXED: usize = 64;
        FIXED
            + match self {
                Self::Output { data, .. } => data.len(),
                Self::Report { line, .. } => line.len(),
                Self::Request { data, .. } => data.len(),
                Self::Inference { data, model, .. } => data.len() + model.len(),
                Self::Beliefs { own, public, .. } => own.len() + public.len(),
                Self::Died { reason, unsupported, .. } => {
                    reason.len() + unsupported.iter().map(|name| name.len() + 5).sum::<usize>()
                }
                _ => 0,
            }
    }
}

/// Parses one frame: a list of messages.
///
/// # Errors
/// The decoder's, as text.
pub fn parse(frame: &[u8]) -> Result<Vec<ToCell>, String> {
    rmp_serde::from_slice(frame).map_err(|error| error.to_string())
}

/// Encodes `report` as a frame with its length in front.
#[must_use]
pub fn encode(report: &EpochReport) -> Vec<u8> {
    let mut frame = vec![0; 4];
    // Numbers, texts and bytes always encode, and `REPORT_EVENT_BYTES` keeps the length far below 4 GiB.
    let encoded = rmp_serde::encode::write_named(&mut frame, report);
    debug_assert!(encoded.is_ok(), "a report encodes");
    let length = u32::try_from(frame.len() - 4).unwrap_or(0);
    frame[..4].copy_from_slice(&length.to_le_bytes());
    frame
}
