//! Standard input, output and error.

use maxwell_kernel::wasi::WasiConfig;

use super::harness::*;

#[test]
fn output_is_kept_apart_and_drained() {
    let mut guest = Guest::new(WasiConfig::default());
    assert_eq!(guest.write(1, b"out"), Ok(3));
    assert_eq!(guest.charged_bytes(), 8 + 3 + 4);
    assert_eq!(guest.write(2, b"error"), Ok(5));
    assert_eq!(guest.write(1, b"put"), Ok(3));
    assert_eq!(guest.stdout.pending_bytes(), 6);
    assert_eq!(guest.stdout.take(), b"output");
    assert_eq!(guest.stdout.take(), b"");
    assert_eq!(guest.stderr.take(), b"error");
    assert_eq!((guest.stdout.written_bytes(), guest.stdout.lost_bytes()), (6, 0));
}

#[test]
fn what_does_not_fit_is_lost_and_counted_and_the_guest_told_of_success() {
    let config = WasiConfig { output_bytes_max: 10, ..WasiConfig::default() };
    let mut guest = Guest::new(config);
    assert_eq!(guest.write(1, b"01234567"), Ok(8));
    assert_eq!(guest.write(1, b"89abcdef"), Ok(8));
    assert_eq!(guest.write(1, b"more"), Ok(4));
    assert_eq!((guest.stdout.written_bytes(), guest.stdout.lost_bytes()), (20, 10));
    assert_eq!(guest.stdout.take(), b"0123456789");
    assert_eq!(guest.write(1, b"after"), Ok(5));
    assert_eq!(guest.stdout.take(), b"after");
    assert_eq!((guest.stdout.written_bytes(), guest.stdout.lost_bytes()), (25, 10));
    assert_eq!(guest.stderr.lost_bytes(), 0);
}

#[test]
fn a_scattered_write_is_one_stream_of_bytes() {
    let mut guest = Guest::new(WasiConfig::default());
    guest.put(BUFFER, b"abcdef");
    guest.put_vectors(&[(BUFFER + 3, 3), (BUFFER, 0), (BUFFER, 3), (BUFFER + 5, 1)]);
    let args = [1, i64::from(VECTORS), 4, i64::from(RESULT)];
    assert_eq!(guest.call("fd_write", &args), SUCCESS);
    assert_eq!(guest.get_u32(RESULT), 7);
    assert_eq!(guest.stdout.take(), b"defabcf");
    assert_eq!(guest.call("fd_write", &[1, i64::from(VECTORS), 0, i64::from(RESULT)]), SUCCESS);
    assert_eq!(guest.get_u32(RESULT), 0);
}

#[test]
fn one_call_moves_one_mebibyte_at_most() {
    let mut guest = Guest::new(WasiConfig::default());
    guest.put_vectors(&[(BUFFER, 600 << 10), (BUFFER, 600 << 10), (BUFFER, 1)]);
    let args = [1, i64::from(VECTORS), 3, i64::from(RESULT)];
    assert_eq!(guest.call("fd_write", &args), SUCCESS);
    assert_eq!(guest.get_u32(RESULT), 1 << 20);
    assert_eq!(guest.stdout.written_bytes(), 1 << 20);
}

#[test]
fn input_ends() {
    let config = WasiConfig { stdin: b"0123456789".to_vec(), ..WasiConfig::default() };
    let mut guest = Guest::new(config);
    guest.put_vectors(&[(BUFFER, 2), (BUFFER + 2, 2)]);
    let args = [0, i64::from(VECTORS), 2, i64::from(RESULT)];
    assert_eq!(guest.call("fd_read", &args), SUCCESS);
    assert_eq!(guest.get_u32(RESULT), 4);
    assert_eq!(guest.get(BUFFER, 4), b"0123");
    assert_eq!(guest.read(0, 100), Ok(b"456789".to_vec()));
    assert_eq!(guest.read(0, 100), Ok(vec![]));
}

#[test]
fn streams_have_a_direction_and_no_offset() {
    let mut guest = Guest::new(WasiConfig::default());
    assert_eq!(guest.write(0, b"x"), Err(EBADF));
    assert_eq!(guest.read(1, 1), Err(EBADF));
    assert_eq!(guest.read(99, 1), Err(EBADF));
    let result = i64::from(RESULT);
    for fd in 0..3_i64 {
        assert_eq!(guest.call("fd_seek", &[fd, 0, 0, result]), ESPIPE);
        assert_eq!(guest.call("fd_tell", &[fd, result]), ESPIPE);
        guest.put_vectors(&[(BUFFER, 1)]);
        assert_eq!(guest.call("fd_pread", &[fd, i64::from(VECTORS), 1, 0, result]), ESPIPE);
        assert_eq!(guest.call("fd_allocate", &[fd, 0, 1]), EBADF);
        assert_eq!(guest.call("fd_filestat_set_size", &[fd, 0]), EBADF);
        assert_eq!(guest.call("fd_filestat_set_times", &[fd, 0, 0, 1]), EBADF);
        assert_eq!(guest.call("fd_sync", &[fd]), SUCCESS);
        assert_eq!(guest.call("fd_fdstat_set_flags", &[fd, 4]), SUCCESS);
        assert_eq!(guest.call("fd_filestat_get", &[fd, result]), SUCCESS);
        assert_eq!(guest.get_u64(RESULT + 16), 0, "filetype unknown: not a terminal");
        assert_eq!(guest.call("fd_fdstat_get", &[fd, result]), SUCCESS);
        assert_eq!(guest.get(RESULT, 1), [0]);
        assert_eq!(guest.path_call("path_unlink_file", fd as u32, "x", &[]), ENOTDIR);
    }
}
