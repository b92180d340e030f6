//! Clocks, and waiting for them with `poll_oneoff`.

use std::sync::atomic::Ordering;

use maxwell_kernel::pause::Pause;
use maxwell_kernel::wasi::WasiConfig;

use super::harness::*;

const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;
const ABSOLUTE: u16 = 1;

#[test]
fn the_clocks_are_the_views() {
    let mut guest = Guest::new(WasiConfig::default());
    guest.clock_ns.store(123, Ordering::Relaxed);
    for (id, expected) in [(0, EPOCH_NS + 123), (1, 123)] {
        assert_eq!(guest.call("clock_time_get", &[id, 1, i64::from(RESULT)]), SUCCESS);
        assert_eq!(guest.get_u64(RESULT), expected);
        assert_eq!(guest.charged_bytes(), 8);
        assert_eq!(guest.call("clock_res_get", &[id, i64::from(RESULT)]), SUCCESS);
        assert_eq!(guest.get_u64(RESULT), 1);
    }
    for id in [2, 3, 4, -1] {
        assert_eq!(guest.call("clock_time_get", &[id, 1, i64::from(RESULT)]), EINVAL);
        assert_eq!(guest.call("clock_res_get", &[id, i64::from(RESULT)]), EINVAL);
    }
}

fn clock(user_data: u64, id: u32, timeout_ns: u64, flags: u16) -> [u8; 48] {
    let mut bytes = [0xaa; 48];
    bytes[0..8].copy_from_slice(&user_data.to_le_bytes());
    bytes[8] = 0;
    bytes[16..20].copy_from_slice(&id.to_le_bytes());
    bytes[24..32].copy_from_slice(&timeout_ns.to_le_bytes());
    bytes[40..42].copy_from_slice(&flags.to_le_bytes());
    bytes
}

fn descriptor(user_data: u64, kind: u8, fd: u32) -> [u8; 48] {
    let mut bytes = [0xaa; 48];
    bytes[0..8].copy_from_slice(&user_data.to_le_bytes());
    bytes[8] = kind;
    bytes[16..20].copy_from_slice(&fd.to_le_bytes());
    bytes
}

#[derive(Debug, PartialEq, Eq)]
struct Event {
    user_data: u64,
    errno: u16,
    kind: u8,
    bytes: u64,
    flags: u16,
}

fn event(user_data: u64, errno: u32, kind: u8, bytes: u64, flags: u16) -> Event {
    Event { user_data, errno: u16::try_from(errno).unwrap(), kind, bytes, flags }
}

fn poll(guest: &mut Guest, subscriptions: &[[u8; 48]]) -> Result<Vec<Event>, u32> {
    guest.put(VECTORS, subscriptions.as_flattened());
    let count = subscriptions.len() as i64;
    let args = [i64::from(VECTORS), i64::from(BUFFER), count, i64::from(RESULT)];
    match guest.call("poll_oneoff", &args) {
        SUCCESS => {}
        errno => return Err(errno),
    }
    assert_eq!(guest.charged_bytes(), (subscriptions.len() * (48 + 32) + 4) as u64);
    let count = guest.get_u32(RESULT);
    let bytes = guest.get(BUFFER, count * 32);
    let events = bytes.chunks(32).map(|bytes| Event {
        user_data: u64::from_le_bytes(bytes[0..8].try_into().unwrap()),
        errno: u16::from_le_bytes(bytes[8..10].try_into().unwrap()),
        kind: bytes[10],
        bytes: u64::from_le_bytes(bytes[16..24].try_into().unwrap()),
        flags: u16::from_le_bytes(bytes[24..26].try_into().unwrap()),
    });
    Ok(events.collect())
}

#[test]
fn a_sleep_lasts_until_its_deadline_on_either_clock() {
    let cases = [
        (MONOTONIC, 50, 0),
        (REALTIME, 50, 0),
        (MONOTONIC, 1_050, ABSOLUTE),
        (REALTIME, EPOCH_NS + 1_050, ABSOLUTE),
    ];
    for (id, timeout_ns, flags) in cases {
        let mut guest = Guest::new(WasiConfig::default());
        guest.clock_ns.store(1_000, Ordering::Relaxed);
        let events = poll(&mut guest, &[clock(9, id, timeout_ns, flags)]).unwrap();
        assert_eq!(events, [event(9, SUCCESS, 0, 0, 0)]);
        assert_eq!(guest.pauses, [Pause::Until { guest_ns: 1_050 }], "clock {id} {flags}");
    }
}

#[test]
fn the_past_and_zero_are_over_at_once() {
    let cases = [(MONOTONIC, 0, 0), (MONOTONIC, 999, ABSOLUTE), (REALTIME, EPOCH_NS, ABSOLUTE)];
    for (id, timeout_ns, flags) in cases {
        let mut guest = Guest::new(WasiConfig::default());
        guest.clock_ns.store(1_000, Ordering::Relaxed);
        assert_eq!(poll(&mut guest, &[clock(1, id, timeout_ns, flags)]).unwrap().len(), 1);
        assert_eq!(guest.pauses, []);
    }
}

#[test]
fn a_sleep_without_end_waits_for_the_end_of_the_clock() {
    let mut guest = Guest::new(WasiConfig::default());
    guest.clock_ns.store(1_000, Ordering::Relaxed);
    assert_eq!(poll(&mut guest, &[clock(1, MONOTONIC, u64::MAX, 0)]).unwrap().len(), 1);
    assert_eq!(guest.pauses, [Pause::Until { guest_ns: u64::MAX }]);
}

#[test]
fn the_earliest_deadline_wins_and_ties_come_together() {
    let mut guest = Guest::new(WasiConfig::default());
    let subscriptions = [
        clock(1, MONOTONIC, 300, 0),
        clock(2, REALTIME, 100, 0),
        clock(3, MONOTONIC, 100, 0),
        clock(4, MONOTONIC, u64::MAX, 0),
    ];
    let events = poll(&mut guest, &subscriptions).unwrap();
    assert_eq!(events, [event(2, SUCCESS, 0, 0, 0), event(3, SUCCESS, 0, 0, 0)]);
    assert_eq!(guest.pauses, [Pause::Until { guest_ns: 100 }]);
}

#[test]
fn descriptors_are_ready_at_once_and_clocks_with_them_are_not_waited_for() {
    let mut sandbox = Sandbox::with(|config| config.stdin = b"12345".to_vec());
    std::fs::write(sandbox.host("file"), "0123456789").unwrap();
    let guest = &mut sandbox.guest;
    let fd = guest.open("file", 0, READ | WRITE).unwrap();
    guest.read(fd, 3).unwrap();
    let subscriptions = [
        descriptor(1, 1, 0),
        descriptor(2, 2, 1),
        descriptor(3, 1, fd),
        descriptor(4, 2, fd),
        clock(5, MONOTONIC, 1_000_000, 0),
    ];
    let room = 1 << 20;
    let expected = [
        event(1, SUCCESS, 1, 5, 0),
        event(2, SUCCESS, 2, room, 0),
        event(3, SUCCESS, 1, 7, 0),
        event(4, SUCCESS, 2, room, 0),
    ];
    assert_eq!(poll(guest, &subscriptions).unwrap(), expected);
    assert_eq!(guest.pauses, []);
    guest.read(0, 5).unwrap();
    assert_eq!(poll(guest, &[descriptor(1, 1, 0)]).unwrap(), [event(1, SUCCESS, 1, 0, 1)]);
}

#[test]
fn what_cannot_be_waited_for_is_an_event_with_an_error() {
    let mut sandbox = Sandbox::new();
    let guest = &mut sandbox.guest;
    let fd = guest.open("file", CREATE, READ).unwrap();
    let subscriptions = [
        descriptor(1, 1, 99),
        descriptor(2, 1, 3),
        descriptor(3, 2, 0),
        descriptor(4, 1, 1),
        descriptor(5, 2, fd),
        clock(6, 2, 100, 0),
        clock(7, MONOTONIC, 100, 0),
    ];
    let expected = [
        event(1, EBADF, 1, 0, 0),
        event(2, EBADF, 1, 0, 0),
        event(3, EBADF, 2, 0, 0),
        event(4, EBADF, 1, 0, 0),
        event(5, EBADF, 2, 0, 0),
        event(6, EINVAL, 0, 0, 0),
    ];
    assert_eq!(poll(guest, &subscriptions).unwrap(), expected);
    assert_eq!(guest.pauses, []);
}

#[test]
fn malformed_polls_are_invalid() {
    let mut guest = Guest::new(WasiConfig::default());
    assert_eq!(poll(&mut guest, &[]), Err(EINVAL));
    assert_eq!(poll(&mut guest, &[clock(1, MONOTONIC, 1, 2)]), Err(EINVAL));
    assert_eq!(poll(&mut guest, &[descriptor(1, 3, 0)]), Err(EINVAL));
    let many = vec![clock(1, MONOTONIC, 5, 0); 1024];
    assert_eq!(poll(&mut guest, &many).unwrap().len(), 1024);
    assert_eq!(guest.pauses, [Pause::Until { guest_ns: 5 }]);
}

/// Events may overwrite the subscriptions: those were copied when the call began.
#[test]
fn events_may_lie_over_subscriptions() {
    let mut guest = Guest::new(WasiConfig::default());
    guest.put(VECTORS, [clock(1, MONOTONIC, 5, 0), clock(2, MONOTONIC, 5, 0)].as_flattened());
    let args = [i64::from(VECTORS), i64::from(VECTORS), 2, i64::from(RESULT)];
    assert_eq!(guest.call("poll_oneoff", &args), SUCCESS);
    assert_eq!((guest.get_u64(VECTORS), guest.get_u64(VECTORS + 32)), (1, 2));
}
