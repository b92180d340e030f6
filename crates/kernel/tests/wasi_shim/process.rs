//! Arguments, environment, randomness, exit, and the calls that are not served.

use std::path::PathBuf;

use maxwell_kernel::pause::Pause;
use maxwell_kernel::wasi::{Exit, Preopen, RandomSource, WasiConfig, WasiContext, WasiError};

use super::harness::*;

fn strings(guest: &mut Guest, call: &str, count: u32) -> Vec<String> {
    assert_eq!(guest.call(call, &[i64::from(VECTORS), i64::from(BUFFER)]), SUCCESS);
    (0..count)
        .map(|index| {
            let pointer = guest.get_u32(VECTORS + 4 * index);
            let bytes = guest.get(pointer, 100);
            let end = bytes.iter().position(|byte| *byte == 0).unwrap();
            String::from_utf8(bytes[..end].to_vec()).unwrap()
        })
        .collect()
}

#[test]
fn arguments_and_environment_arrive_in_order() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut guest = Guest::new(WasiConfig {
        args: ["program", "", "két szó"].map(str::to_owned).to_vec(),
        env: vec![pair("B", "2"), pair("A", "x=y"), pair("EMPTY", "")],
        ..WasiConfig::default()
    });
    let sizes = [i64::from(RESULT), i64::from(RESULT + 4)];
    assert_eq!(guest.call("args_sizes_get", &sizes), SUCCESS);
    assert_eq!((guest.get_u32(RESULT), guest.get_u32(RESULT + 4)), (3, 8 + 1 + 10));
    assert_eq!(strings(&mut guest, "args_get", 3), ["program", "", "két szó"]);
    assert_eq!(guest.charged_bytes(), 19 + 3 * 4);
    assert_eq!(guest.call("environ_sizes_get", &sizes), SUCCESS);
    assert_eq!((guest.get_u32(RESULT), guest.get_u32(RESULT + 4)), (3, 4 + 6 + 7));
    assert_eq!(strings(&mut guest, "environ_get", 3), ["B=2", "A=x=y", "EMPTY="]);
}

#[test]
fn nothing_is_given_by_default() {
    let mut guest = Guest::new(WasiConfig::default());
    let sizes = [i64::from(RESULT), i64::from(RESULT + 4)];
    for call in ["args_sizes_get", "environ_sizes_get"] {
        assert_eq!(guest.call(call, &sizes), SUCCESS);
        assert_eq!((guest.get_u32(RESULT), guest.get_u32(RESULT + 4)), (0, 0));
    }
    assert_eq!(guest.call("args_get", &sizes), SUCCESS);
    assert_eq!(guest.read(0, 10), Ok(vec![]));
    assert_eq!(guest.call("fd_prestat_get", &[3, i64::from(RESULT)]), EBADF);
}

fn random(source: RandomSource, lengths: &[u32]) -> Vec<u8> {
    let mut guest = Guest::new(WasiConfig { random: source, ..WasiConfig::default() });
    let mut bytes = Vec::new();
    for length in lengths {
        assert_eq!(guest.call("random_get", &[i64::from(BUFFER), i64::from(*length)]), SUCCESS);
        assert_eq!(guest.charged_bytes(), u64::from(*length));
        bytes.extend(guest.get(BUFFER, *length));
    }
    bytes
}

#[test]
fn seeded_bytes_repeat_and_others_do_not() {
    let seeded = random(RandomSource::Seeded([1; 32]), &[64, 32]);
    assert_eq!(seeded, random(RandomSource::Seeded([1; 32]), &[64, 32]));
    assert_ne!(seeded, random(RandomSource::Seeded([2; 32]), &[64, 32]));
    assert_ne!(random(RandomSource::Os, &[32]), random(RandomSource::Os, &[32]));
    // The first bytes of ChaCha20 under a key of ones, so that a change of generator shows.
    assert_eq!(seeded[..8], random(RandomSource::Seeded([1; 32]), &[8])[..]);
}

#[test]
fn random_bytes_are_bounded_by_one_call() {
    let mut guest = Guest::new(WasiConfig::default());
    assert_eq!(guest.call("random_get", &[i64::from(BUFFER), 1 << 20]), SUCCESS);
    assert_eq!(guest.call("random_get", &[i64::from(BUFFER), (1 << 20) + 1]), EINVAL);
}

#[test]
fn exit_is_an_error_that_carries_the_code() {
    let mut guest = Guest::new(WasiConfig::default());
    for code in [0, 7, u32::MAX] {
        let error = guest.try_call("proc_exit", &[i64::from(code)]).unwrap_err();
        assert_eq!(error.downcast_ref::<Exit>(), Some(&Exit(code)));
    }
    assert_eq!(Exit(3).to_string(), "the guest exited with code 3");
}

#[test]
fn yielding_pauses_once() {
    let mut guest = Guest::new(WasiConfig::default());
    assert_eq!(guest.call("sched_yield", &[]), SUCCESS);
    assert_eq!(guest.pauses, [Pause::Yield]);
}

#[test]
fn unserved_calls_are_refused_and_named_once() {
    let mut guest = Guest::new(WasiConfig::default());
    assert_eq!(guest.unsupported(), [""; 0]);
    for _ in 0..2 {
        assert_eq!(guest.call("proc_raise", &[6]), ENOSYS);
        assert_eq!(guest.call("sock_accept", &[1, 0, 64]), ENOTSOCK);
        assert_eq!(guest.call("sock_accept", &[9, 0, 64]), EBADF);
        assert_eq!(guest.call("sock_recv", &[0, 0, 0, 0, 64, 68]), ENOTSOCK);
        assert_eq!(guest.call("sock_send", &[1, 0, 0, 0, 64]), ENOTSOCK);
        assert_eq!(guest.call("sock_shutdown", &[1, 0]), ENOTSOCK);
        assert_eq!(guest.call("fd_fdstat_set_rights", &[1, 0, 0]), ENOTSUP);
    }
    let named = [
        "fd_fdstat_set_rights",
        "proc_raise",
        "sock_accept",
        "sock_recv",
        "sock_send",
        "sock_shutdown",
    ];
    assert_eq!(guest.unsupported(), named);
}

fn refusal(change: impl FnOnce(&mut WasiConfig)) -> WasiError {
    let mut config = WasiConfig::default();
    change(&mut config);
    WasiContext::new(config).err().unwrap()
}

#[test]
fn configurations_are_refused_with_what_and_where() {
    let missing = Preopen {
        guest_path: "/data".to_owned(),
        host_path: PathBuf::from("/nowhere/at/all"),
        read_only: false,
    };
    let error = refusal(|config| config.preopens = vec![missing.clone()]);
    let text = error.to_string();
    assert!(text.contains("/nowhere/at/all") && text.contains("/data"), "{text}");
    assert!(matches!(error, WasiError::Preopen { .. }));

    let here = Preopen { host_path: PathBuf::from("."), ..missing };
    let twice = vec![here.clone(), here.clone()];
    assert!(matches!(refusal(|c| c.preopens = twice), WasiError::GuestPath { .. }));
    let file = Preopen { host_path: PathBuf::from("/proc/self/exe"), ..here.clone() };
    assert!(matches!(refusal(|c| c.preopens = vec![file]), WasiError::Preopen { .. }));
    for guest_path in ["", "nul\0"] {
        let bad = Preopen { guest_path: guest_path.to_owned(), ..here.clone() };
        assert!(matches!(refusal(|c| c.preopens = vec![bad]), WasiError::GuestPath { .. }));
    }
    let nul = || vec!["nul\0".to_owned()];
    assert!(matches!(refusal(|c| c.args = nul()), WasiError::Strings { what: "arguments", .. }));
    let large = vec!["x".repeat(1 << 20)];
    assert!(matches!(refusal(|c| c.args = large), WasiError::Strings { .. }));
    let pair = vec![("NAME".to_owned(), "nul\0".to_owned())];
    assert!(matches!(refusal(|c| c.env = pair), WasiError::Strings { .. }));
    assert!(matches!(refusal(|c| c.open_files_max = 2), WasiError::OpenFiles { .. }));
    assert!(matches!(refusal(|c| c.open_files_max = 257), WasiError::OpenFiles { .. }));
}
