//! A guest that calls anything with anything.
//!
//! Goal: no sequence of calls panics the host, traps, is charged twice, or touches a file outside
//! the preopen. Method: arguments are drawn from numbers that mean something (open descriptors,
//! pointers to paths and buffers, flags, edges), so that most calls get far.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use super::harness::*;

const PATHS: [&str; 8] = ["file", "d", "d/file", "link", "../secret", "/etc/passwd", ".", "new"];

/// Where each path lies in the guest's memory, and its length.
fn path_slots() -> impl Iterator<Item = (u32, &'static str)> {
    PATHS.into_iter().enumerate().map(|(index, path)| (PATH + 64 * index as u32, path))
}

fn small_argument() -> impl Strategy<Value = i64> {
    let slots: Vec<i64> = path_slots().map(|(pointer, _)| i64::from(pointer)).collect();
    prop_oneof![
        6 => 0_i64..8,
        4 => select(slots),
        2 => select(PATHS.map(|path| path.len() as i64).to_vec()),
        3 => select(vec![RESULT, VECTORS, BUFFER].into_iter().map(i64::from).collect::<Vec<_>>()),
        1 => select(vec![
            i64::from(MEMORY_BYTES) - 1,
            i64::from(MEMORY_BYTES),
            i64::from(u32::MAX),
            1 << 31,
            64,
            4096,
        ]),
        1 => any::<u32>().prop_map(i64::from),
    ]
}

fn large_argument() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => 0_i64..100,
        1 => select(vec![READ | WRITE, i64::MAX, i64::MIN, -1, 1 << 32, 1 << 20]),
        1 => any::<i64>(),
    ]
}

/// A path argument that fits its length more often than chance would have it.
fn path_pair() -> impl Strategy<Value = (i64, i64)> {
    select(path_slots().collect::<Vec<_>>())
        .prop_map(|(pointer, path)| (i64::from(pointer), path.len() as i64))
}

fn call() -> impl Strategy<Value = (&'static str, Vec<i64>)> {
    select(SIGNATURES.to_vec()).prop_flat_map(|(name, letters)| {
        let arguments: Vec<BoxedStrategy<i64>> = letters
            .chars()
            .map(|c| if c == 'i' { small_argument().boxed() } else { large_argument().boxed() })
            .collect();
        (arguments, path_pair(), path_pair(), 3_i64..7).prop_map(
            move |(mut arguments, first, second, fd)| {
                aim(name, &mut arguments, [first, second], fd);
                (name, arguments)
            },
        )
    })
}

/// Makes half of the calls on paths well formed, so that they reach the file system.
fn aim(name: &str, arguments: &mut [i64], [first, second]: [(i64, i64); 2], fd: i64) {
    let (at, other) = match name {
        "path_open" | "path_filestat_get" | "path_filestat_set_times" => (2, None),
        "path_link" => (2, Some(5)),
        "path_rename" => (1, Some(4)),
        "path_symlink" => (0, Some(3)),
        name if name.starts_with("path_") => (1, None),
        _ => return,
    };
    if (first.0 + second.0) % 128 == 0 {
        return;
    }
    (arguments[at], arguments[at + 1]) = first;
    if let Some(other) = other {
        (arguments[other], arguments[other + 1]) = second;
    }
    if name == "path_open" {
        arguments[0] = fd;
        arguments[4] &= 15;
        arguments[7] &= 1;
        arguments[8] = i64::from(RESULT);
    }
}

fn sandbox(read_only: bool) -> Sandbox {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("inside");
    std::fs::create_dir_all(inside.join("d")).unwrap();
    std::fs::write(inside.join("file"), "contents").unwrap();
    std::fs::write(folder.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink("../secret", inside.join("link")).unwrap();
    let mut sandbox = Sandbox::over(folder, |config| {
        config.disk_bytes_max = 1 << 20;
        config.open_files_max = 16;
        config.stdin = vec![b'x'; 100];
        config.preopens[0].read_only = read_only;
    });
    for (pointer, path) in path_slots() {
        sandbox.guest.put(pointer, path.as_bytes());
    }
    sandbox.guest.put_vectors(&[(BUFFER, 100), (BUFFER + 50, 100), (0, 10), (BUFFER, 1 << 20)]);
    sandbox
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn nothing_breaks(calls in prop::collection::vec(call(), 1..120), read_only: bool) {
        let mut sandbox = sandbox(read_only);
        for (name, arguments) in calls {
            let outcome = sandbox.guest.try_call(name, &arguments);
            prop_assert_eq!(outcome.is_err(), name == "proc_exit", "{} {:?}", name, arguments);
            prop_assert!(outcome.unwrap_or(0) < 77);
            // One call moves a mebibyte and its arrays at most; a listing, four.
            prop_assert!(sandbox.guest.charged_bytes() < 6 << 20);
        }
        let process = sandbox.guest.store.data();
        prop_assert!(process.wasi.open_files() <= 16);
        prop_assert!(process.wasi.disk_written_bytes() <= 1 << 20);
        prop_assert_eq!(std::fs::read(sandbox.outside("secret")).unwrap(), b"secret");
        prop_assert_eq!(std::fs::read_dir(sandbox.outside("")).unwrap().count(), 2);
        if read_only {
            prop_assert_eq!(std::fs::read(sandbox.host("file")).unwrap(), b"contents");
            prop_assert_eq!(std::fs::read_dir(sandbox.host("")).unwrap().count(), 3);
        }
        let secret = std::fs::metadata(sandbox.outside("secret")).unwrap();
        prop_assert!(secret.modified().unwrap().elapsed().unwrap() < Duration::from_secs(3600));
    }
}
