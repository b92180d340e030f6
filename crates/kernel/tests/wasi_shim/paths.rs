//! Paths: what leads out of a preopen, what is not a file, links, renames, read-only preopens.

use std::os::unix::fs::symlink;
use std::process::Command;

use super::harness::*;

/// A secret beside the guest's root, and links in the root that lead to it.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.outside("secret"), "secret").unwrap();
    std::fs::create_dir(sandbox.outside("vault")).unwrap();
    std::fs::create_dir(sandbox.host("d")).unwrap();
    std::fs::write(sandbox.host("d/file"), "contents").unwrap();
    symlink("../secret", sandbox.host("up")).unwrap();
    symlink(sandbox.outside("secret"), sandbox.host("absolute")).unwrap();
    symlink("../vault", sandbox.host("vault")).unwrap();
    symlink("/proc/self/root", sandbox.host("root")).unwrap();
    symlink("loop", sandbox.host("loop")).unwrap();
    symlink("d/file", sandbox.host("good")).unwrap();
    sandbox
}

const ESCAPES: [&str; 12] = [
    "..",
    "../secret",
    "d/../../secret",
    "d/../../inside/d/file",
    "/etc/passwd",
    "/",
    "//secret",
    "up",
    "absolute",
    "vault/x",
    "root/etc/passwd",
    "d/../up",
];

#[test]
fn no_path_leads_out() {
    let mut sandbox = sandbox();
    let guest = &mut sandbox.guest;
    for path in ESCAPES {
        for (oflags, rights) in [(0, READ), (CREATE, WRITE), (TRUNCATE, WRITE), (DIRECTORY, READ)] {
            let opened = guest.open(path, oflags, rights);
            assert_eq!(opened, Err(EPERM), "{path} {oflags}");
        }
        let [pointer, length] = guest.path(path);
        let stat = [3, 1, pointer, length, i64::from(RESULT)];
        assert_eq!(guest.call("path_filestat_get", &stat), EPERM, "{path}");
        let times = [3, 1, pointer, length, 0, 0, 1];
        assert_eq!(guest.call("path_filestat_set_times", &times), EPERM, "{path}");
    }
    assert_eq!(std::fs::read(sandbox.outside("secret")).unwrap(), b"secret");
    assert_eq!(std::fs::read_dir(sandbox.outside("vault")).unwrap().count(), 0);
}

/// Calls that do not follow a last link still may not pass through one, or climb.
#[test]
fn no_change_happens_outside() {
    let mut sandbox = sandbox();
    let guest = &mut sandbox.guest;
    let outside = ["../secret", "vault/new", "d/../../secret", "/tmp/new", "root/tmp/new"];
    for path in outside {
        for call in ["path_create_directory", "path_remove_directory", "path_unlink_file"] {
            assert_eq!(guest.path_call(call, 3, path, &[]), EPERM, "{call} {path}");
        }
        let bad = guest.path(path);
        let good = guest.other_path("d/file");
        for (old, new) in [(bad, good), (good, bad)] {
            let pair = [3, old[0], old[1], 3, new[0], new[1]];
            assert_eq!(guest.call("path_rename", &pair), EPERM, "rename {path}");
            let link = [3, 0, old[0], old[1], 3, new[0], new[1]];
            assert_eq!(guest.call("path_link", &link), EPERM, "link {path}");
        }
        let symlink = [good[0], good[1], 3, bad[0], bad[1]];
        assert_eq!(guest.call("path_symlink", &symlink), EPERM, "symlink {path}");
        let readlink = [3, bad[0], bad[1], i64::from(BUFFER), 100, i64::from(RESULT)];
        assert_eq!(guest.call("path_readlink", &readlink), EPERM, "readlink {path}");
    }
    assert_eq!(std::fs::read(sandbox.outside("secret")).unwrap(), b"secret");
    assert_eq!(std::fs::read_dir(sandbox.outside("vault")).unwrap().count(), 0);
    assert_eq!(std::fs::read(sandbox.host("d/file")).unwrap(), b"contents");
}

/// A directory that was opened keeps to itself: its paths do not climb to its own parent.
#[test]
fn an_opened_directory_is_a_root_of_its_own() {
    let mut sandbox = sandbox();
    let guest = &mut sandbox.guest;
    let fd = guest.open("d", DIRECTORY, READ).unwrap();
    assert_eq!(guest.open_with(fd, "../d/file", [1, 0, READ, 0]), Err(EPERM));
    assert!(guest.open_with(fd, "./file", [1, 0, READ, 0]).is_ok());
}

#[test]
fn links_inside_are_followed_when_asked() {
    let mut sandbox = sandbox();
    let guest = &mut sandbox.guest;
    assert!(guest.open_with(3, "good", [1, 0, READ, 0]).is_ok());
    assert_eq!(guest.open_with(3, "good", [0, 0, READ, 0]), Err(ELOOP));
    assert_eq!(guest.open_with(3, "loop", [1, 0, READ, 0]), Err(ELOOP));
    let [pointer, length] = guest.path("good");
    for (lookup, kind) in [(1, 4), (0, 7)] {
        let args = [3, lookup, pointer, length, i64::from(RESULT)];
        assert_eq!(guest.call("path_filestat_get", &args), SUCCESS);
        assert_eq!(guest.get(RESULT + 16, 1), [kind]);
    }
}

#[test]
fn links_are_made_and_read() {
    let mut sandbox = sandbox();
    let guest = &mut sandbox.guest;
    let target = guest.other_path("d/file");
    let [pointer, length] = guest.path("link");
    assert_eq!(guest.call("path_symlink", &[target[0], target[1], 3, pointer, length]), SUCCESS);
    assert_eq!(guest.call("path_symlink", &[target[0], target[1], 3, pointer, length]), EEXIST);
    for (room, text) in [(100, &b"d/file"[..]), (3, b"d/f"), (0, b"")] {
        let args = [3, pointer, length, i64::from(BUFFER), room, i64::from(RESULT)];
        assert_eq!(guest.call("path_readlink", &args), SUCCESS);
        let count = guest.get_u32(RESULT);
        assert_eq!(guest.get(BUFFER, count), text);
    }
    let absolute = guest.other_path("/etc/passwd");
    let args = [absolute[0], absolute[1], 3, pointer, length];
    assert_eq!(guest.call("path_symlink", &args), EPERM);
    let [pointer, length] = guest.path("d/file");
    let args = [3, pointer, length, i64::from(BUFFER), 100, i64::from(RESULT)];
    assert_eq!(guest.call("path_readlink", &args), EINVAL);
    let hard = guest.other_path("hard");
    let link = |lookup| [3, lookup, pointer, length, 3, hard[0], hard[1]];
    assert_eq!(guest.call("path_link", &link(1)), EINVAL);
    assert_eq!(guest.call("path_link", &link(0)), SUCCESS);
    assert_eq!(guest.call("path_link", &link(0)), EEXIST);
    assert_eq!(std::fs::read(sandbox.host("hard")).unwrap(), b"contents");
}

#[test]
fn renames_replace() {
    let mut sandbox = sandbox();
    std::fs::write(sandbox.host("other"), "other").unwrap();
    let guest = &mut sandbox.guest;
    let old = guest.path("d/file");
    let new = guest.other_path("other");
    let args = [3, old[0], old[1], 3, new[0], new[1]];
    assert_eq!(guest.call("path_rename", &args), SUCCESS);
    assert_eq!(guest.call("path_rename", &args), ENOENT);
    assert_eq!(std::fs::read(sandbox.host("other")).unwrap(), b"contents");
    assert!(!sandbox.host("d/file").exists());
}

/// Opening a pipe or device must neither wait nor succeed.
#[test]
fn what_is_no_file_is_refused() {
    let mut sandbox = sandbox();
    let pipe = sandbox.host("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(sandbox.host("socket")).unwrap();
    let guest = &mut sandbox.guest;
    assert_eq!(guest.open("pipe", 0, READ), Err(EACCES));
    assert_eq!(guest.open("pipe", 0, READ | WRITE), Err(EACCES));
    assert!(guest.open("pipe", 0, WRITE).is_err());
    assert!(guest.open("socket", 0, READ).is_err());
    assert_eq!(guest.store.data().wasi.open_files(), 4);
    assert_eq!(guest.path_call("path_unlink_file", 3, "pipe", &[]), SUCCESS);
}

#[test]
fn devices_are_refused() {
    let mut guest = Guest::new(maxwell_kernel::wasi::WasiConfig {
        preopens: vec![preopen("/", std::path::Path::new("/dev"))],
        ..Default::default()
    });
    for device in ["null", "zero", "urandom", "tty", "full"] {
        assert!(guest.open(device, 0, READ).is_err(), "{device}");
    }
    assert_eq!(guest.store.data().wasi.open_files(), 4);
}

#[test]
fn read_only_preopens_refuse_every_change() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("inside");
    std::fs::create_dir_all(inside.join("d")).unwrap();
    std::fs::write(inside.join("file"), "contents").unwrap();
    let mut sandbox = Sandbox::over(folder, |config| {
        let writable = preopen("/w", &config.preopens[0].host_path);
        config.preopens[0].read_only = true;
        config.preopens.push(writable);
    });
    let guest = &mut sandbox.guest;
    assert_eq!(guest.open("file", 0, WRITE), Err(EROFS));
    assert_eq!(guest.open("file", TRUNCATE, READ), Err(EROFS));
    assert_eq!(guest.open("new", CREATE, READ), Err(EROFS));
    assert_eq!(guest.open("new", CREATE | EXCLUSIVE, READ), Err(EROFS));
    assert_eq!(guest.open("new", 0, WRITE), Err(ENOENT));
    assert_eq!(guest.open("d", 0, WRITE), Err(EISDIR));
    assert_eq!(guest.open("file", CREATE | EXCLUSIVE, READ), Err(EEXIST));
    let fd = guest.open("file", CREATE, READ).unwrap();
    assert_eq!(guest.read(fd, 8), Ok(b"contents".to_vec()));
    assert_eq!(guest.write(fd, b"x"), Err(EBADF));
    assert_eq!(guest.call("fd_filestat_set_times", &[i64::from(fd), 0, 0, 1]), EROFS);
    assert_eq!(guest.call("fd_filestat_set_times", &[3, 0, 0, 1]), EROFS);
    let inner = guest.open("d", DIRECTORY, READ).unwrap();
    for directory in [3, inner] {
        for call in ["path_create_directory", "path_remove_directory", "path_unlink_file"] {
            assert_eq!(guest.path_call(call, directory, "file", &[]), EROFS);
        }
        assert_eq!(guest.open_with(directory, "new", [0, CREATE, WRITE, 0]), Err(EROFS));
    }
    let (old, new) = (guest.path("file"), guest.other_path("moved"));
    for (from, to) in [(3, 4), (4, 3)] {
        let rename = [from, old[0], old[1], to, new[0], new[1]];
        assert_eq!(guest.call("path_rename", &rename), EROFS);
        let link = [from, 0, old[0], old[1], to, new[0], new[1]];
        assert_eq!(guest.call("path_link", &link), EROFS, "a link would make it writable");
    }
    assert_eq!(guest.call("path_symlink", &[old[0], old[1], 3, new[0], new[1]]), EROFS);
    let times = [3, 0, old[0], old[1], 0, 0, 1];
    assert_eq!(guest.call("path_filestat_set_times", &times), EROFS);
    assert!(guest.open_with(4, "file", [0, 0, WRITE, 0]).is_ok(), "the other preopen is writable");
    assert_eq!(std::fs::read_dir(sandbox.host("")).unwrap().count(), 2);
}
