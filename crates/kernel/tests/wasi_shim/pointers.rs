//! Hostile pointers: each call answers `EFAULT` and nothing else happens.

use maxwell_kernel::wasi::WasiConfig;

use super::harness::*;

/// Pointers that cannot hold even a byte, and the last one that can.
const BAD_POINTERS: [u32; 4] = [MEMORY_BYTES, MEMORY_BYTES + 1, 0x8000_0000, u32::MAX];

/// Calls whose pointer argument at an index must be valid, with the rest of the arguments good.
/// The guest has `file` open as descriptor 4.
fn pointer_calls() -> Vec<(&'static str, Vec<i64>, usize)> {
    let (result, path, buffer) = (i64::from(RESULT), i64::from(PATH), i64::from(BUFFER));
    let vectors = i64::from(VECTORS);
    vec![
        ("args_get", vec![buffer, result], 0),
        ("args_get", vec![result, buffer], 1),
        ("args_sizes_get", vec![result, result + 4], 0),
        ("args_sizes_get", vec![result, result + 4], 1),
        ("environ_get", vec![buffer, result], 0),
        ("environ_sizes_get", vec![result, result + 4], 1),
        ("clock_res_get", vec![0, result], 1),
        ("clock_time_get", vec![1, 0, result], 2),
        ("fd_fdstat_get", vec![4, result], 1),
        ("fd_filestat_get", vec![4, result], 1),
        ("fd_pread", vec![4, vectors, 1, 0, result], 1),
        ("fd_pread", vec![4, vectors, 1, 0, result], 4),
        ("fd_prestat_get", vec![3, result], 1),
        ("fd_prestat_dir_name", vec![3, buffer, 1], 1),
        ("fd_pwrite", vec![4, vectors, 1, 0, result], 1),
        ("fd_pwrite", vec![4, vectors, 1, 0, result], 4),
        ("fd_read", vec![4, vectors, 1, result], 1),
        ("fd_read", vec![4, vectors, 1, result], 3),
        ("fd_readdir", vec![3, buffer, 64, 0, result], 1),
        ("fd_readdir", vec![3, buffer, 64, 0, result], 4),
        ("fd_seek", vec![4, 0, 0, result], 3),
        ("fd_tell", vec![4, result], 1),
        ("fd_write", vec![4, vectors, 1, result], 1),
        ("fd_write", vec![4, vectors, 1, result], 3),
        ("path_create_directory", vec![3, path, 4], 1),
        ("path_filestat_get", vec![3, 0, path, 4, result], 2),
        ("path_filestat_get", vec![3, 0, path, 4, result], 4),
        ("path_filestat_set_times", vec![3, 0, path, 4, 0, 0, 0], 2),
        ("path_link", vec![3, 0, path, 4, 3, path, 4], 2),
        ("path_link", vec![3, 0, path, 4, 3, path, 4], 5),
        ("path_open", vec![3, 0, path, 4, 0, READ, 0, 0, result], 2),
        ("path_open", vec![3, 0, path, 4, 0, READ, 0, 0, result], 8),
        ("path_readlink", vec![3, path, 4, buffer, 64, result], 1),
        ("path_readlink", vec![3, path, 4, buffer, 64, result], 3),
        ("path_readlink", vec![3, path, 4, buffer, 64, result], 5),
        ("path_remove_directory", vec![3, path, 4], 1),
        ("path_rename", vec![3, path, 4, 3, path, 4], 1),
        ("path_rename", vec![3, path, 4, 3, path, 4], 4),
        ("path_symlink", vec![path, 4, 3, path, 4], 0),
        ("path_symlink", vec![path, 4, 3, path, 4], 3),
        ("path_unlink_file", vec![3, path, 4], 1),
        ("poll_oneoff", vec![vectors, buffer, 1, result], 0),
        ("poll_oneoff", vec![vectors, buffer, 1, result], 1),
        ("poll_oneoff", vec![vectors, buffer, 1, result], 3),
        ("random_get", vec![buffer, 16], 0),
    ]
}

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::with(|config: &mut WasiConfig| {
        config.args = vec!["program".to_owned()];
        config.env = vec![("NAME".to_owned(), "value".to_owned())];
    });
    let guest = &mut sandbox.guest;
    assert_eq!(guest.open("file", CREATE, READ | WRITE), Ok(4));
    assert_eq!(guest.write(4, b"contents"), Ok(8));
    sandbox
}

#[test]
fn every_pointer_outside_memory_faults() {
    let mut sandbox = sandbox();
    for (name, args, index) in pointer_calls() {
        for pointer in BAD_POINTERS {
            let guest = &mut sandbox.guest;
            guest.put(PATH, b"file");
            guest.put_vectors(&[(BUFFER, 8)]);
            let mut args = args.clone();
            args[index] = i64::from(pointer);
            assert_eq!(guest.call(name, &args), EFAULT, "{name} {args:x?}");
        }
    }
    assert_eq!(std::fs::read(sandbox.host("file")).unwrap(), b"contents");
    assert_eq!(std::fs::read_dir(sandbox.host("")).unwrap().count(), 1);
    assert_eq!(sandbox.guest.store.data().wasi.open_files(), 5);
}

#[test]
fn results_that_straddle_the_end_of_memory_fault() {
    let mut sandbox = sandbox();
    for (name, args, index) in pointer_calls() {
        let guest = &mut sandbox.guest;
        guest.put(PATH, b"file");
        guest.put_vectors(&[(BUFFER, 8)]);
        let mut args = args.clone();
        args[index] = i64::from(MEMORY_BYTES - 1);
        let errno = guest.call(name, &args);
        // One byte holds nothing of these but a preopen's name of one byte.
        let expected = if name == "fd_prestat_dir_name" { SUCCESS } else { EFAULT };
        assert_eq!(errno, expected, "{name} {args:x?}");
    }
}

#[test]
fn lengths_that_leave_memory_fault() {
    let mut sandbox = sandbox();
    let guest = &mut sandbox.guest;
    let (path, result) = (i64::from(PATH), i64::from(RESULT));
    for length in [MEMORY_BYTES - BUFFER + 1, u32::MAX - BUFFER, u32::MAX] {
        guest.put_vectors(&[(BUFFER, 1), (BUFFER, length)]);
        let args = [4, i64::from(VECTORS), 2, result];
        assert_eq!(guest.call("fd_read", &args), EFAULT);
        assert_eq!(guest.call("fd_write", &args), EFAULT);
        assert_eq!(guest.call("random_get", &[i64::from(BUFFER), i64::from(length)]), EFAULT);
        let readdir = [3, i64::from(BUFFER), i64::from(length), 0, result];
        assert_eq!(guest.call("fd_readdir", &readdir), EFAULT);
        assert_eq!(
            guest.call("path_unlink_file", &[3, path, i64::from(length)]),
            ENAMETOOLONG,
            "the bound comes before the memory"
        );
    }
    assert_eq!(guest.call("path_unlink_file", &[3, i64::from(MEMORY_BYTES - 3), 4]), EFAULT);
    assert_eq!(guest.stdout.written_bytes(), 0);
}

#[test]
fn counts_are_bounded_before_anything_is_allocated() {
    let mut sandbox = sandbox();
    let guest = &mut sandbox.guest;
    let (vectors, result) = (i64::from(VECTORS), i64::from(RESULT));
    for count in [1025, 0x2000_0000, i64::from(u32::MAX)] {
        assert_eq!(guest.call("fd_read", &[4, vectors, count, result]), EINVAL);
        assert_eq!(guest.call("fd_pwrite", &[4, vectors, count, 0, result]), EINVAL);
        assert_eq!(guest.call("poll_oneoff", &[vectors, vectors, count, result]), EINVAL);
    }
    let many = vec![(BUFFER, 1); 1024];
    guest.put_vectors(&many);
    assert_eq!(guest.call("fd_write", &[1, vectors, 1024, result]), SUCCESS);
    assert_eq!(guest.get_u32(RESULT), 1024);
    assert_eq!(guest.charged_bytes(), 1024 * 8 + 1024 + 4);
}

#[test]
fn pointers_need_no_alignment() {
    let mut sandbox = sandbox();
    let guest = &mut sandbox.guest;
    assert_eq!(guest.call("fd_filestat_get", &[4, 1001]), SUCCESS);
    assert_eq!(guest.get_u64(1001 + 32), 8, "size");
    assert_eq!(guest.call("clock_time_get", &[0, 0, 1003]), SUCCESS);
    assert_eq!(guest.get_u64(1003), EPOCH_NS);
}

/// A read may overwrite the array of buffers that it is using: each buffer is checked again.
#[test]
fn a_read_over_its_own_vectors_stays_in_memory() {
    let mut sandbox = sandbox();
    let hostile = [MEMORY_BYTES - 1, 100].map(u32::to_le_bytes).concat();
    std::fs::write(sandbox.host("file"), [&hostile[..], b"never arrives"].concat()).unwrap();
    let guest = &mut sandbox.guest;
    guest.put_vectors(&[(VECTORS + 8, 8), (BUFFER, 8)]);
    let args = [4, i64::from(VECTORS), 2, i64::from(RESULT)];
    assert_eq!(guest.call("fd_seek", &[4, 0, 0, i64::from(RESULT)]), SUCCESS);
    // What was read before the bad buffer is reported, as for any error after the first byte.
    assert_eq!(guest.call("fd_read", &args), SUCCESS);
    assert_eq!(guest.get_u32(RESULT), 8);
    assert_eq!(guest.get(MEMORY_BYTES - 1, 1), [0]);
}

#[test]
fn a_guest_without_memory_gets_faults_and_no_trap() {
    let mut guest = Guest::without_memory();
    assert_eq!(guest.call("clock_time_get", &[0, 0, 0]), EFAULT);
    assert_eq!(guest.call("fd_write", &[1, 0, 1, 0]), EFAULT);
    assert_eq!(guest.call("random_get", &[0, 0]), SUCCESS, "nothing at address 0 is nothing");
    assert_eq!(guest.call("fd_close", &[0]), SUCCESS);
    assert_eq!(guest.call("sched_yield", &[]), SUCCESS);
}

#[test]
fn paths_must_be_short_utf8_without_nul() {
    let mut sandbox = sandbox();
    let guest = &mut sandbox.guest;
    for bytes in [&b"nul\0"[..], b"\xff\xfe", b"\0"] {
        guest.put(PATH, bytes);
        let args = [3, i64::from(PATH), bytes.len() as i64];
        assert_eq!(guest.call("path_unlink_file", &args), EILSEQ);
    }
    assert_eq!(guest.call("path_unlink_file", &[3, i64::from(PATH), 0]), ENOENT);
    let long = "x/".repeat(2048) + "x";
    assert_eq!(guest.path_call("path_unlink_file", 3, &long, &[]), ENAMETOOLONG);
    let name = "x".repeat(256);
    assert_eq!(guest.open(&name, CREATE, WRITE), Err(ENAMETOOLONG));
}
