//! Regular files: bytes, offsets, sizes, times, and the disk budget.

use std::os::unix::fs::MetadataExt;

use super::harness::*;

const APPEND: i64 = 1;

fn seek(guest: &mut Guest, fd: u32, delta: i64, whence: i64) -> Result<u64, u32> {
    match guest.call("fd_seek", &[i64::from(fd), delta, whence, i64::from(RESULT)]) {
        SUCCESS => Ok(guest.get_u64(RESULT)),
        errno => Err(errno),
    }
}

fn at(guest: &mut Guest, call: &str, fd: u32, length: u32, offset: i64) -> Result<u32, u32> {
    guest.put_vectors(&[(BUFFER, length)]);
    match guest.call(call, &[i64::from(fd), i64::from(VECTORS), 1, offset, i64::from(RESULT)]) {
        SUCCESS => Ok(guest.get_u32(RESULT)),
        errno => Err(errno),
    }
}

#[test]
fn what_is_written_is_read() {
    let mut sandbox = Sandbox::new();
    let guest = &mut sandbox.guest;
    let fd = guest.open("file", CREATE, READ | WRITE).unwrap();
    assert_eq!(guest.write(fd, b"0123456789"), Ok(10));
    assert_eq!(guest.read(fd, 10), Ok(vec![]));
    assert_eq!(seek(guest, fd, 2, 0), Ok(2));
    assert_eq!(guest.read(fd, 3), Ok(b"234".to_vec()));
    assert_eq!(guest.charged_bytes(), 8 + 3 + 4);
    assert_eq!(seek(guest, fd, -1, 1), Ok(4));
    assert_eq!(seek(guest, fd, -2, 2), Ok(8));
    assert_eq!(guest.read(fd, 100), Ok(b"89".to_vec()));
    assert_eq!(guest.call("fd_tell", &[i64::from(fd), i64::from(RESULT)]), SUCCESS);
    assert_eq!(guest.get_u64(RESULT), 10);
    guest.put(BUFFER, b"XYZ");
    assert_eq!(at(guest, "fd_pwrite", fd, 3, 1), Ok(3));
    assert_eq!(at(guest, "fd_pread", fd, 4, 0), Ok(4));
    assert_eq!(guest.get(BUFFER, 4), b"0XYZ");
    assert_eq!(seek(guest, fd, 0, 1), Ok(10), "positioned transfers leave the offset");
    assert_eq!(std::fs::read(sandbox.host("file")).unwrap(), b"0XYZ456789");
}

#[test]
fn seeks_stay_in_range() {
    let mut sandbox = Sandbox::new();
    let guest = &mut sandbox.guest;
    let fd = guest.open("file", CREATE, READ | WRITE).unwrap();
    assert_eq!(seek(guest, fd, -1, 0), Err(EINVAL));
    assert_eq!(seek(guest, fd, i64::MIN, 2), Err(EINVAL));
    assert_eq!(seek(guest, fd, 0, 3), Err(EINVAL));
    assert_eq!(seek(guest, fd, i64::MAX, 0), Ok(i64::MAX.cast_unsigned()));
    assert_eq!(seek(guest, fd, 1, 1), Err(EOVERFLOW));
    assert_eq!(guest.read(fd, 1), Err(EINVAL), "past what the host can say");
    assert_eq!(guest.write(fd, b"x"), Err(EFBIG));
    assert_eq!(at(guest, "fd_pread", fd, 1, -1), Err(EINVAL));
    assert_eq!(at(guest, "fd_pwrite", fd, 1, -1), Err(EFBIG));
}

#[test]
fn appending_goes_to_the_end_until_it_is_turned_off() {
    let mut sandbox = Sandbox::new();
    std::fs::write(sandbox.host("file"), "base").unwrap();
    let guest = &mut sandbox.guest;
    let fd = guest.open_with(3, "file", [0, 0, READ | WRITE, APPEND]).unwrap();
    assert_eq!(guest.write(fd, b"+1"), Ok(2));
    assert_eq!(seek(guest, fd, 0, 0), Ok(0));
    assert_eq!(guest.write(fd, b"+2"), Ok(2));
    assert_eq!(seek(guest, fd, 0, 1), Ok(8));
    assert_eq!(guest.call("fd_fdstat_set_flags", &[i64::from(fd), 0]), SUCCESS);
    assert_eq!(seek(guest, fd, 0, 0), Ok(0));
    assert_eq!(guest.write(fd, b"B"), Ok(1));
    assert_eq!(guest.call("fd_fdstat_set_flags", &[i64::from(fd), APPEND]), SUCCESS);
    assert_eq!(guest.write(fd, b"+3"), Ok(2));
    assert_eq!(guest.call("fd_fdstat_set_flags", &[i64::from(fd), 32]), EINVAL);
    assert_eq!(guest.call("fd_fdstat_get", &[i64::from(fd), i64::from(RESULT)]), SUCCESS);
    assert_eq!(guest.get(RESULT, 4), [4, 0, 1, 0], "a regular file that appends");
    assert_eq!(std::fs::read(sandbox.host("file")).unwrap(), b"Base+1+2+3");
}

#[test]
fn descriptors_do_what_they_were_opened_for() {
    let mut sandbox = Sandbox::new();
    std::fs::write(sandbox.host("file"), "contents").unwrap();
    let guest = &mut sandbox.guest;
    let reader = guest.open("file", 0, READ).unwrap();
    let writer = guest.open("file", 0, WRITE).unwrap();
    let neither = guest.open("file", 0, 0).unwrap();
    for fd in [reader, neither] {
        assert_eq!(guest.write(fd, b"x"), Err(EBADF));
        assert_eq!(at(guest, "fd_pwrite", fd, 1, 0), Err(EBADF));
        assert_eq!(guest.call("fd_filestat_set_size", &[i64::from(fd), 0]), EBADF);
        assert_eq!(guest.call("fd_allocate", &[i64::from(fd), 0, 10]), EBADF);
    }
    for fd in [writer, neither] {
        assert_eq!(guest.read(fd, 1), Err(EBADF));
        assert_eq!(at(guest, "fd_pread", fd, 1, 0), Err(EBADF));
    }
    // Creation needs a writable descriptor of the host; the guest's stays what it asked for.
    let created = guest.open("new", CREATE, READ).unwrap();
    assert_eq!(guest.write(created, b"x"), Err(EBADF));
}

#[test]
fn sizes_change() {
    let mut sandbox = Sandbox::new();
    let guest = &mut sandbox.guest;
    let fd = guest.open("file", CREATE, READ | WRITE).unwrap();
    assert_eq!(guest.write(fd, b"0123456789"), Ok(10));
    assert_eq!(guest.call("fd_filestat_set_size", &[i64::from(fd), 4]), SUCCESS);
    assert_eq!(guest.call("fd_filestat_set_size", &[i64::from(fd), 6]), SUCCESS);
    assert_eq!(guest.call("fd_allocate", &[i64::from(fd), 4, 4]), SUCCESS);
    assert_eq!(guest.call("fd_allocate", &[i64::from(fd), 4, 0]), EINVAL);
    assert_eq!(guest.call("fd_allocate", &[i64::from(fd), -1, 4]), EFBIG);
    assert_eq!(guest.call("fd_filestat_set_size", &[i64::from(fd), -1]), EDQUOT);
    assert_eq!(guest.call("fd_filestat_get", &[i64::from(fd), i64::from(RESULT)]), SUCCESS);
    assert_eq!(guest.get_u64(RESULT + 32), 8);
    assert_eq!(guest.call("fd_advise", &[i64::from(fd), 0, 10, 5]), SUCCESS);
    assert_eq!(guest.call("fd_advise", &[i64::from(fd), 0, 10, 6]), EINVAL);
    assert_eq!(guest.call("fd_advise", &[i64::from(fd), -1, 10, 0]), EINVAL);
    assert_eq!(guest.call("fd_advise", &[3, 0, 10, 0]), EBADF);
    assert_eq!(guest.call("fd_sync", &[i64::from(fd)]), SUCCESS);
    assert_eq!(guest.call("fd_datasync", &[i64::from(fd)]), SUCCESS);
    assert_eq!(std::fs::read(sandbox.host("file")).unwrap(), b"0123\0\0\0\0");
}

#[test]
fn truncating_and_creating_follow_their_flags() {
    let mut sandbox = Sandbox::new();
    std::fs::write(sandbox.host("file"), "contents").unwrap();
    let guest = &mut sandbox.guest;
    assert_eq!(guest.open("missing", 0, READ), Err(ENOENT));
    assert_eq!(guest.open("missing", TRUNCATE, WRITE), Err(ENOENT));
    assert_eq!(guest.open("file", CREATE | EXCLUSIVE, WRITE), Err(EEXIST));
    assert_eq!(guest.open("file", DIRECTORY, READ), Err(ENOTDIR));
    assert_eq!(guest.open("new", CREATE | DIRECTORY, READ), Err(EINVAL));
    assert_eq!(guest.open("file", 16, READ), Err(EINVAL));
    assert_eq!(guest.open_with(3, "file", [2, 0, READ, 0]), Err(EINVAL));
    assert_eq!(guest.open_with(3, "file", [0, 0, READ, 32]), Err(EINVAL));
    assert!(guest.open("file", CREATE, WRITE).is_ok());
    assert!(guest.open("fresh", CREATE | EXCLUSIVE, WRITE).is_ok());
    assert_eq!(std::fs::read(sandbox.host("file")).unwrap(), b"contents");
    assert!(sandbox.guest.open("file", TRUNCATE, WRITE).is_ok());
    assert_eq!(std::fs::read(sandbox.host("file")).unwrap(), b"");
}

#[test]
fn times_are_shown_and_set() {
    let mut sandbox = Sandbox::new();
    std::fs::write(sandbox.host("file"), "contents").unwrap();
    let guest = &mut sandbox.guest;
    let fd = guest.open("file", 0, READ | WRITE).unwrap();
    let (accessed, modified) = (1_500_000_000_123_456_789, 1_600_000_000_987_654_321);
    let set = |flags| [i64::from(fd), accessed, modified, flags];
    assert_eq!(guest.call("fd_filestat_set_times", &set(1 | 4)), SUCCESS);
    assert_eq!(guest.call("fd_filestat_get", &[i64::from(fd), i64::from(RESULT)]), SUCCESS);
    assert_eq!(guest.get_u64(RESULT + 40), accessed.cast_unsigned());
    assert_eq!(guest.get_u64(RESULT + 48), modified.cast_unsigned());
    assert_eq!(guest.call("fd_filestat_set_times", &set(2)), SUCCESS);
    assert_eq!(guest.call("fd_filestat_get", &[i64::from(fd), i64::from(RESULT)]), SUCCESS);
    assert!(guest.get_u64(RESULT + 40) > accessed.cast_unsigned(), "set to now");
    assert_eq!(guest.get_u64(RESULT + 48), modified.cast_unsigned(), "left alone");
    for flags in [1 | 2, 4 | 8, 16] {
        assert_eq!(guest.call("fd_filestat_set_times", &set(flags)), EINVAL);
    }
    let path = guest.path("file");
    let args = [3, 1, path[0], path[1], 5_000_000_000, 0, 1];
    assert_eq!(guest.call("path_filestat_set_times", &args), SUCCESS);
    assert_eq!(guest.call("fd_filestat_set_times", &[3, 0, 7_000_000_000, 4]), SUCCESS);
    let metadata = std::fs::metadata(sandbox.host("file")).unwrap();
    assert_eq!((metadata.atime(), metadata.mtime()), (5, 1_600_000_000));
    assert_eq!(std::fs::metadata(sandbox.host("")).unwrap().mtime(), 7);
}

#[test]
fn a_link_and_its_target_have_times_of_their_own() {
    let mut sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.host("d")).unwrap();
    std::fs::write(sandbox.host("d/file"), "contents").unwrap();
    std::os::unix::fs::symlink("file", sandbox.host("d/link")).unwrap();
    let guest = &mut sandbox.guest;
    let path = guest.path("d/link");
    let set = |lookup, ns| [3, lookup, path[0], path[1], 0, ns, 4];
    assert_eq!(guest.call("path_filestat_set_times", &set(1, 3_000_000_000)), SUCCESS);
    assert_eq!(guest.call("path_filestat_set_times", &set(0, 4_000_000_000)), SUCCESS);
    assert_eq!(std::fs::metadata(sandbox.host("d/file")).unwrap().mtime(), 3);
    assert_eq!(std::fs::symlink_metadata(sandbox.host("d/link")).unwrap().mtime(), 4);
    let guest = &mut sandbox.guest;
    for (path, errno) in [(".", SUCCESS), ("d/..", SUCCESS), ("..", EPERM), ("no/x", ENOENT)] {
        let [pointer, length] = guest.path(path);
        for lookup in [0, 1] {
            let args = [3, lookup, pointer, length, 0, 0, 8];
            assert_eq!(guest.call("path_filestat_set_times", &args), errno, "{path} {lookup}");
        }
    }
}

#[test]
fn the_disk_budget_counts_bytes_and_entries() {
    let mut sandbox = Sandbox::with(|config| config.disk_bytes_max = 3 * 4096 + 100);
    std::fs::write(sandbox.host("large"), vec![b'x'; 20_000]).unwrap();
    let guest = &mut sandbox.guest;
    let fd = guest.open("file", CREATE, READ | WRITE).unwrap();
    assert_eq!(guest.store.data().wasi.disk_written_bytes(), 4096);
    guest.open("file", CREATE, READ | WRITE).unwrap();
    assert_eq!(guest.store.data().wasi.disk_written_bytes(), 4096, "it existed");
    assert_eq!(guest.path_call("path_create_directory", 3, "d", &[]), SUCCESS);
    assert_eq!(guest.path_call("path_create_directory", 3, "d", &[]), EEXIST);
    assert_eq!(guest.write(fd, &[1; 60]), Ok(60));
    assert_eq!(guest.store.data().wasi.disk_written_bytes(), 2 * 4096 + 60);
    // What fits is written, as on a full disk.
    assert_eq!(guest.write(fd, &[2; 5000]), Ok(4096 + 40));
    assert_eq!(guest.write(fd, &[3; 1]), Err(EDQUOT));
    assert_eq!(guest.open("another", CREATE, READ), Err(EDQUOT));
    assert_eq!(guest.path_call("path_create_directory", 3, "e", &[]), EDQUOT);
    let target = guest.other_path("target");
    let [pointer, length] = guest.path("link");
    assert_eq!(guest.call("path_symlink", &[target[0], target[1], 3, pointer, length]), EDQUOT);
    assert_eq!(guest.call("fd_allocate", &[i64::from(fd), 0, 1]), EDQUOT);
    assert_eq!(guest.call("fd_filestat_set_size", &[i64::from(fd), 9000]), EDQUOT);
    assert_eq!(guest.call("fd_filestat_set_size", &[i64::from(fd), 10]), SUCCESS);
    assert_eq!(std::fs::read_dir(sandbox.host("")).unwrap().count(), 3);
}

/// A guest cannot make a file that looks larger than what it may write.
#[test]
fn holes_stay_within_the_budget() {
    let mut sandbox = Sandbox::with(|config| config.disk_bytes_max = 10_000);
    std::fs::write(sandbox.host("large"), vec![b'x'; 20_000]).unwrap();
    let guest = &mut sandbox.guest;
    let fd = guest.open("file", CREATE, READ | WRITE).unwrap();
    assert_eq!(at(guest, "fd_pwrite", fd, 1, 9_999), Ok(1));
    assert_eq!(at(guest, "fd_pwrite", fd, 1, 10_001), Err(EFBIG));
    assert_eq!(at(guest, "fd_pwrite", fd, 1, 1 << 40), Err(EFBIG));
    let large = guest.open("large", 0, READ | WRITE).unwrap();
    assert_eq!(at(guest, "fd_pwrite", large, 1, 20_000), Ok(1), "no hole");
    assert_eq!(at(guest, "fd_pwrite", large, 1, 20_002), Err(EFBIG));
}
