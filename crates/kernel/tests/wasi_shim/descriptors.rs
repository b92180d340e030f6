//! The table of descriptors: numbers, bounds, closing and renumbering.

use super::harness::*;

#[test]
fn the_lowest_free_number_is_given() {
    let mut sandbox = Sandbox::new();
    let guest = &mut sandbox.guest;
    for fd in 4..8 {
        assert_eq!(guest.open("file", CREATE, READ | WRITE), Ok(fd));
    }
    assert_eq!(guest.call("fd_close", &[5]), SUCCESS);
    assert_eq!(guest.call("fd_close", &[0]), SUCCESS);
    assert_eq!(guest.call("fd_close", &[5]), EBADF);
    assert_eq!(guest.open("file", 0, READ), Ok(5), "a closed stream's number is not given");
    assert_eq!(guest.open("file", 0, READ), Ok(8));
}

#[test]
fn open_files_are_bounded_and_come_free_again() {
    let mut sandbox = Sandbox::with(|config| config.open_files_max = 6);
    let guest = &mut sandbox.guest;
    assert_eq!(guest.open("file", CREATE, READ | WRITE), Ok(4));
    assert_eq!(guest.open("file", 0, READ), Ok(5));
    assert_eq!(guest.open("file", 0, READ), Err(EMFILE));
    assert_eq!(guest.open("new", CREATE, READ), Err(EMFILE));
    assert!(!sandbox.host("new").exists());
    let guest = &mut sandbox.guest;
    assert_eq!(guest.call("fd_close", &[4]), SUCCESS);
    assert_eq!(guest.open("file", 0, READ), Ok(4));
}

#[test]
fn no_configuration_opens_more_than_256() {
    let mut sandbox = Sandbox::new();
    let guest = &mut sandbox.guest;
    assert_eq!(guest.open("file", CREATE, READ | WRITE), Ok(4));
    for fd in 5..256 {
        assert_eq!(guest.open("file", 0, READ), Ok(fd));
    }
    assert_eq!(guest.open("file", 0, READ), Err(EMFILE));
    assert_eq!(guest.store.data().wasi.open_files(), 256);
}

#[test]
fn renumbering_moves_over_what_is_open() {
    let mut sandbox = Sandbox::new();
    let guest = &mut sandbox.guest;
    let fd = guest.open("file", CREATE, READ | WRITE).unwrap();
    assert_eq!(guest.call("fd_renumber", &[i64::from(fd), 9]), EBADF);
    assert_eq!(guest.call("fd_renumber", &[9, i64::from(fd)]), EBADF);
    assert_eq!(guest.call("fd_renumber", &[i64::from(fd), i64::from(fd)]), SUCCESS);
    assert_eq!(guest.call("fd_renumber", &[i64::from(fd), 1]), SUCCESS);
    assert_eq!(guest.call("fd_close", &[i64::from(fd)]), EBADF);
    assert_eq!(guest.write(1, b"to the file"), Ok(11));
    assert_eq!(guest.stdout.written_bytes(), 0);
    assert_eq!(std::fs::read(sandbox.host("file")).unwrap(), b"to the file");
}

/// What Yosys does around ABC, with numbers as they come.
#[test]
fn a_stream_moves_away_and_back() {
    let mut sandbox = Sandbox::new();
    let guest = &mut sandbox.guest;
    let capture = i64::from(guest.open("capture", CREATE, READ | WRITE).unwrap());
    let kept = i64::from(guest.open("capture", 0, READ).unwrap());
    assert_eq!(guest.call("fd_renumber", &[1, kept]), SUCCESS);
    assert_eq!(guest.write(1, b"nowhere"), Err(EBADF));
    assert_eq!(guest.open("other", CREATE, WRITE), Ok(6), "not 1");
    assert_eq!(guest.call("fd_renumber", &[capture, 1]), SUCCESS);
    assert_eq!(guest.write(1, b"captured"), Ok(8));
    assert_eq!(guest.call("fd_renumber", &[kept, 1]), SUCCESS);
    assert_eq!(guest.write(1, b"printed"), Ok(7));
    assert_eq!(guest.stdout.take(), b"printed");
    assert_eq!(guest.store.data().wasi.open_files(), 5);
    assert_eq!(guest.call("fd_renumber", &[6, kept]), EBADF, "other numbers must be open");
    assert_eq!(std::fs::read(sandbox.host("capture")).unwrap(), b"captured");
}

#[test]
fn preopens_are_found_by_name() {
    let mut sandbox = Sandbox::with(|config| {
        config.preopens.push(preopen("/a longer name", &config.preopens[0].host_path));
    });
    let guest = &mut sandbox.guest;
    let (result, buffer) = (i64::from(RESULT), i64::from(BUFFER));
    for (fd, name) in [(3, "/"), (4, "/a longer name")] {
        assert_eq!(guest.call("fd_prestat_get", &[fd, result]), SUCCESS);
        let length = u32::try_from(name.len()).unwrap();
        assert_eq!((guest.get_u32(RESULT), guest.get_u32(RESULT + 4)), (0, length));
        let dir_name = [fd, buffer, i64::from(length)];
        assert_eq!(guest.call("fd_prestat_dir_name", &dir_name), SUCCESS);
        assert_eq!(guest.get(BUFFER, length), name.as_bytes());
    }
    assert_eq!(guest.call("fd_prestat_dir_name", &[4, buffer, 13]), ENAMETOOLONG);
    for fd in [0, 1, 5, -1] {
        assert_eq!(guest.call("fd_prestat_get", &[fd, result]), EBADF);
    }
    let opened = guest.open(".", DIRECTORY, 0).unwrap();
    assert_eq!(guest.call("fd_prestat_get", &[i64::from(opened), result]), EBADF);
    assert_eq!(guest.call("fd_close", &[3]), SUCCESS);
    assert_eq!(guest.open("file", CREATE, READ), Err(EBADF));
}

/// Every call on a descriptor that is closed, and on one of the largest number.
#[test]
fn closed_descriptors_are_bad_everywhere() {
    let mut sandbox = Sandbox::new();
    let guest = &mut sandbox.guest;
    guest.put(PATH, b"file");
    let on_fd = SIGNATURES.into_iter().filter(|(name, _)| name.starts_with("fd_"));
    for (name, letters) in on_fd {
        for fd in [77, i64::from(u32::MAX)] {
            let mut args = vec![i64::from(RESULT); letters.len()];
            args[0] = fd;
            if letters.starts_with("iiii") || name == "fd_pread" || name == "fd_pwrite" {
                args[2] = 0;
            }
            if name == "fd_filestat_set_times" || name == "fd_fdstat_set_flags" {
                *args.last_mut().unwrap() = 0;
            }
            assert_eq!(guest.call(name, &args), EBADF, "{name}");
        }
    }
    let (path, result) = (i64::from(PATH), i64::from(RESULT));
    assert_eq!(guest.call("path_rename", &[77, path, 4, 3, path, 4]), EBADF);
    assert_eq!(guest.call("path_rename", &[3, path, 4, 77, path, 4]), EBADF);
    assert_eq!(guest.call("path_open", &[77, 0, path, 4, 0, READ, 0, 0, result]), EBADF);
}
