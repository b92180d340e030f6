//! Inferences: a guest asks the host for an order, for the run of a registered model, or to be paid
//! for a claim; the host answers as it answers an outbound request (`crate::requests`).
//!
//! What a call may cost at most is computed here from the model's shapes and leaves the purse before
//! the host hears of it, so that no work of the host is ever unpaid.

use serde::Deserialize;
use wasmtime::{Caller, Linker};

use crate::guest::GuestState;
use crate::imports::{EACCES, EFAULT, EINVAL, EMSGSIZE, ENOENT, memory};
use crate::purse::charge_credits;
use crate::requests::{Asked, open, slice, wait};
use crate::wasi::WasiView;

/// Longest name of a model: a digest in hexadecimal.
const NAME_BYTES_MAX: u64 = 64;

/// What a process may have run, and what the host takes for it in advance.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct InferenceTerms {
    /// Models that it may have run.
    pub models: Vec<ModelTerms>,
    /// Rewards that hand out orders.
    pub orders: Vec<OrderTerms>,
    /// The most that checking a claim and its proof takes, µJ.
    pub deliver_uj: u64,
    /// Longest claim with its proof, or sums, bytes.
    pub deliver_bytes_max: u64,
    /// Longest wait, ns.
    pub timeout_ns: u64,
}

/// One model.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct ModelTerms {
    /// Its name in the fleet file.
    pub name: String,
    /// Its digest, 64 lower-case hexadecimal digits.
    pub digest: String,
    /// Bytes of one input.
    pub input_bytes: u64,
    /// Most inputs of one call.
    pub batch_max: u64,
    /// Tiers that the host can run it in.
    pub tiers: Vec<TierTerms>,
}

/// A reward that hands out orders.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub struct OrderTerms {
    /// Its place in the process's rewards.
    pub reward: i32,
    /// Bytes of one order: a guest without room for one cannot have it moved for nothing.
    pub bytes: u64,
}

/// The energy that is set apart for a run in one tier.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub struct TierTerms {
    /// 0, 3 or 4.
    pub tier: i32,
    /// Whatever the batch, µJ.
    pub fixed_uj: u64,
    /// Of each input, µJ.
    pub item_uj: u64,
}

/// What is asked.
#[derive(Debug)]
pub struct Inference {
    /// `order`, `infer` or `deliver`.
    pub call: &'static str,
    /// Which reward, for an order; which order, otherwise, or -1.
    pub number: i32,
    /// Tier of a run.
    pub tier: i32,
    /// Digest of the model to be run, or empty.
    pub model: String,
    /// Price of the moment, by which joules are charged.
    pub price_ppm: u64,
    /// Input, or what is delivered.
    pub data: Vec<u8>,
}

/// Defines `order`, `infer` and `deliver`.
///
/// # Errors
/// The linker's; only a bug leads there.
pub(crate) fn define(linker: &mut Linker<GuestState>, module: &str) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        module,
        "order",
        |mut caller: Caller<'_, GuestState>, (reward, answer, room): (i32, i32, i32)| {
            let asked = order(&mut caller, reward, (answer, room));
            Box::new(finish(caller, asked, answer, room))
        },
    )?;
    linker.func_wrap_async(
        module,
        "infer",
        |mut caller: Caller<'_, GuestState>,
         (name, length, tier, number, ptr, len, answer, room): (
            i32,
            i32,
            i32,
            i32,
            i32,
            i32,
            i32,
            i32,
        )| {
            let asked =
                infer(&mut caller, (name, length), tier, number, (ptr, len), (answer, room));
            Box::new(finish(caller, asked, answer, room))
        },
    )?;
    linker.func_wrap_async(
        module,
        "deliver",
        |mut caller: Caller<'_, GuestState>,
         (number, ptr, len, answer, room): (i32, i32, i32, i32, i32)| {
            let asked = deliver(&mut caller, number, (ptr, len), (answer, room));
            Box::new(finish(caller, asked, answer, room))
        },
    )?;
    Ok(())
}

async fn finish(
    caller: Caller<'_, GuestState>,
    asked: Result<u64, i32>,
    answer: i32,
    room: i32,
) -> i32 {
    match asked {
        Ok(until_ns) => wait(caller, until_ns, answer, room).await,
        Err(errno) => -errno,
    }
}

/// Asks for an order of one of the process's rewards.
fn order(caller: &mut Caller<'_, GuestState>, reward: i32, room: (i32, i32)) -> Result<u64, i32> {
    caller.data_mut().charge(0);
    let terms = terms(caller)?;
    let order = terms.orders.iter().find(|order| order.reward == reward).ok_or(ENOENT)?;
    if u64::from(room.1.cast_unsigned()) < order.bytes {
        return Err(EMSGSIZE);
    }
    check_room(caller, room)?;
    ask(caller, 0, &terms, |price_ppm| Inference {
        call: "order",
        number: reward,
        tier: 0,
        model: String::new(),
        price_ppm,
        data: Vec::new(),
    })
}

/// Asks for the run of a model on the inputs in memory.
fn infer(
    caller: &mut Caller<'_, GuestState>,
    name: (i32, i32),
    tier: i32,
    number: i32,
    input: (i32, i32),
    room: (i32, i32),
) -> Result<u64, i32> {
    caller.data_mut().charge(0);
    let terms = terms(caller)?;
    let name = bytes(caller, name, NAME_BYTES_MAX)?;
    let is_it = |model: &&ModelTerms| {
        model.name.as_bytes() == name || model.digest.as_bytes() == name.as_slice()
    };
    let model = terms.models.iter().find(is_it).ok_or(ENOENT)?;
    let terms_of_tier = model.tiers.iter().find(|terms| terms.tier == tier).ok_or(EINVAL)?;
    if number < -1 {
        return Err(EINVAL);
    }
    let length = u64::from(input.1.cast_unsigned());
    let batch = length / model.input_bytes.max(1);
    if batch == 0 || length != batch * model.input_bytes {
        return Err(EINVAL);
    }
    if batch > model.batch_max {
        return Err(EMSGSIZE);
    }
    check_room(caller, room)?;
    let data = bytes(caller, input, length)?;
    let item_uj = terms_of_tier.item_uj.saturating_mul(batch);
    ask(caller, terms_of_tier.fixed_uj.saturating_add(item_uj), &terms, |price_ppm| Inference {
        call: "infer",
        number,
        tier,
        model: model.digest.clone(),
        price_ppm,
        data,
    })
}

/// Asks to be paid for an order.
fn deliver(
    caller: &mut Caller<'_, GuestState>,
    number: i32,
    data: (i32, i32),
    room: (i32, i32),
) -> Result<u64, i32> {
    caller.data_mut().charge(0);
    let terms = terms(caller)?;
    if number < 0 {
        return Err(EINVAL);
    }
    check_room(caller, room)?;
    let data = bytes(caller, data, terms.deliver_bytes_max)?;
    ask(caller, terms.deliver_uj, &terms, |price_ppm| Inference {
        call: "deliver",
        number,
        tier: 0,
        model: String::new(),
        price_ppm,
        data,
    })
}

fn terms(caller: &Caller<'_, GuestState>) -> Result<std::sync::Arc<InferenceTerms>, i32> {
    caller.data().inference_terms.clone().ok_or(EACCES)
}

/// Copies bytes of the guest, at most `most`, at the price of bytes.
fn bytes(
    caller: &mut Caller<'_, GuestState>,
    (ptr, len): (i32, i32),
    most: u64,
) -> Result<Vec<u8>, i32> {
    let length = u64::from(len.cast_unsigned());
    if length > most {
        return Err(EMSGSIZE);
    }
    let memory = memory(caller).ok_or(EFAULT)?;
    let data = slice(&memory, caller, ptr, len).ok_or(EFAULT)?.to_vec();
    // The call itself was counted when it began.
    caller.data_mut().charge_bytes(length);
    Ok(data)
}

fn check_room(caller: &mut Caller<'_, GuestState>, (ptr, len): (i32, i32)) -> Result<(), i32> {
    let memory = memory(caller).ok_or(EFAULT)?;
    slice(&memory, caller, ptr, len).ok_or(EFAULT).map(|_| ())
}

/// Takes the price of `energy_uj` in advance and asks.
fn ask(
    caller: &mut Caller<'_, GuestState>,
    energy_uj: u64,
    terms: &InferenceTerms,
    asked: impl FnOnce(u64) -> Inference,
) -> Result<u64, i32> {
    let price_ppm = caller.data().cell.price_ppm();
    let credits = charge_credits(energy_uj, price_ppm);
    open(caller, credits, terms.timeout_ns, Asked::Inference(asked(price_ppm)))
}
