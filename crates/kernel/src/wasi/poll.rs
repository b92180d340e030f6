//! `poll_oneoff` and `sched_yield`: the two calls in which a guest waits.
//!
//! Files and streams are always ready, so only clocks are waited for. A wait on the wall clock is
//! turned into one on the monotonic clock when it begins.

use wasmtime::Caller;

use super::WasiView;
use super::clocks::Clock;
use super::context::WasiContext;
use super::descriptors::Descriptor;
use super::errno::Errno;
use super::limits;
use super::linker::{charged, free};
use super::memory::GuestMemory;
use crate::pause::Pause;

const SUBSCRIPTION_BYTES: u32 = 48;
const EVENT_BYTES: u32 = 32;

const EVENT_CLOCK: u8 = 0;
const EVENT_READ: u8 = 1;
const EVENT_WRITE: u8 = 2;

/// `subclockflags`: the timeout is a time, not a duration.
const CLOCK_ABSOLUTE: u16 = 1 << 0;
/// `eventrwflags`: nothing more will come.
const HANGUP: u16 = 1 << 0;

/// Where `poll_oneoff` finds its subscriptions and puts its events.
#[derive(Clone, Copy, Debug)]
pub(super) struct PollRequest {
    pub(super) subscriptions: u32,
    pub(super) events: u32,
    pub(super) count: u32,
    pub(super) result: u32,
}

/// One subscription, as it stood when the call began.
#[derive(Clone, Copy, Debug)]
struct Subscription {
    user_data: u64,
    kind: u8,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Over when the monotonic clock shows this.
    Until(u64),
    Ready {
        bytes: u64,
        flags: u16,
    },
    Failed(Errno),
}

pub(super) async fn sched_yield<T: WasiView>(caller: &mut Caller<'_, T>) {
    let view = caller.data_mut();
    view.charge(0);
    let pause = view.pause(Pause::Yield);
    pause.await;
}

pub(super) async fn poll_oneoff<T: WasiView>(
    caller: &mut Caller<'_, T>,
    request: PollRequest,
) -> Result<(), Errno> {
    let subscriptions = charged(caller, |view, memory| begin(view, memory, request))?;
    let deadlines = subscriptions.iter().map(|subscription| match subscription.state {
        State::Until(guest_ns) => guest_ns,
        State::Ready { .. } | State::Failed(_) => 0,
    });
    let guest_ns = deadlines.min().unwrap_or(0);
    if caller.data_mut().monotonic_ns() < guest_ns {
        T::before_wait(caller);
    }
    loop {
        let view = caller.data_mut();
        if view.monotonic_ns() >= guest_ns {
            break;
        }
        let pause = view.pause(Pause::Until { guest_ns });
        pause.await;
    }
    free(caller, |view, memory| finish(view, memory, request, &subscriptions))
}

/// Reads the subscriptions, checks where the events go, and counts both, so that a call is charged
/// before it waits: it may never come back.
fn begin<T: WasiView>(
    view: &mut T,
    memory: &mut GuestMemory<'_>,
    request: PollRequest,
) -> Result<Vec<Subscription>, Errno> {
    let PollRequest { subscriptions, events, count, result } = request;
    if count == 0 || count > limits::SUBSCRIPTIONS_MAX {
        return Err(Errno::Inval);
    }
    memory.check(subscriptions, count * SUBSCRIPTION_BYTES)?;
    memory.check(events, count * EVENT_BYTES)?;
    memory.check(result, 4)?;
    let subscriptions = (0..count)
        .map(|index| {
            let bytes = memory.read(subscriptions + index * SUBSCRIPTION_BYTES)?;
            subscription(view, &bytes)
        })
        .collect::<Result<_, _>>()?;
    memory.count((count * EVENT_BYTES + 4) as usize);
    Ok(subscriptions)
}

fn subscription<T: WasiView>(
    view: &mut T,
    bytes: &[u8; SUBSCRIPTION_BYTES as usize],
) -> Result<Subscription, Errno> {
    let kind = bytes[8];
    let state = match kind {
        EVENT_CLOCK => {
            let flags = u16::from_le_bytes(field(bytes, 40));
            if flags & !CLOCK_ABSOLUTE != 0 {
                return Err(Errno::Inval);
            }
            let timeout_ns = u64::from_le_bytes(field(bytes, 24));
            match Clock::new(u32::from_le_bytes(field(bytes, 16))) {
                Ok(clock) => State::Until(deadline(view, clock, timeout_ns, flags)),
                Err(errno) => State::Failed(errno),
            }
        }
        EVENT_READ | EVENT_WRITE => {
            readiness(view.wasi(), kind, u32::from_le_bytes(field(bytes, 16)))
        }
        _ => return Err(Errno::Inval),
    };
    Ok(Subscription { user_data: u64::from_le_bytes(field(bytes, 0)), kind, state })
}

fn field<const N: usize>(bytes: &[u8; SUBSCRIPTION_BYTES as usize], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

/// When a timeout is over, on the monotonic clock.
fn deadline<T: WasiView>(view: &mut T, clock: Clock, timeout_ns: u64, flags: u16) -> u64 {
    let left_ns = if flags & CLOCK_ABSOLUTE != 0 {
        timeout_ns.saturating_sub(clock.now_ns(view))
    } else {
        timeout_ns
    };
    view.monotonic_ns().saturating_add(left_ns)
}

fn readiness(context: &mut WasiContext, kind: u8, fd: u32) -> State {
    let ready = |bytes| State::Ready { bytes, flags: 0 };
    match (context.descriptors.get(fd), kind) {
        (Err(errno), _) => State::Failed(errno),
        (Ok(Descriptor::Stdin), EVENT_READ) => {
            let bytes = context.stdin.remaining().len() as u64;
            State::Ready { bytes, flags: if bytes == 0 { HANGUP } else { 0 } }
        }
        (Ok(Descriptor::Output(_)), EVENT_WRITE) => ready(u64::from(limits::CALL_BYTES_MAX)),
        (Ok(Descriptor::File(file)), EVENT_READ) if file.readable => match file.file.metadata() {
            Ok(metadata) => ready(metadata.len().saturating_sub(file.offset)),
            Err(error) => State::Failed(error.into()),
        },
        (Ok(Descriptor::File(file)), EVENT_WRITE) if file.writable => {
            ready(u64::from(limits::CALL_BYTES_MAX))
        }
        (Ok(_), _) => State::Failed(Errno::Badf),
    }
}

/// Writes an event for each subscription that is over, in the order of the subscriptions.
fn finish<T: WasiView>(
    view: &mut T,
    memory: &mut GuestMemory<'_>,
    request: PollRequest,
    subscriptions: &[Subscription],
) -> Result<(), Errno> {
    let now_ns = view.monotonic_ns();
    let mut count = 0;
    for subscription in subscriptions {
        let (errno, bytes, flags) = match subscription.state {
            State::Until(guest_ns) if guest_ns > now_ns => continue,
            State::Until(_) => (0, 0, 0),
            State::Ready { bytes, flags } => (0, bytes, flags),
            State::Failed(errno) => (errno.code(), 0, 0),
        };
        let mut event = [0; EVENT_BYTES as usize];
        event[0..8].copy_from_slice(&subscription.user_data.to_le_bytes());
        event[8..10].copy_from_slice(&errno.to_le_bytes());
        event[10] = subscription.kind;
        event[16..24].copy_from_slice(&bytes.to_le_bytes());
        event[24..26].copy_from_slice(&flags.to_le_bytes());
        memory.write(request.events + count * EVENT_BYTES, &event)?;
        count += 1;
    }
    assert!(count > 0, "BUG: poll_oneoff woke for nothing");
    memory.write_u32(request.result, count)
}
