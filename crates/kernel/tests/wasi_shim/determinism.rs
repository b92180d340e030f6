//! Deterministic mode: two hosts that differ in every accident show a guest the same.

use std::fs::{File, FileTimes};
use std::time::{Duration, UNIX_EPOCH};

use super::harness::*;

/// Makes the same tree in another order, with other times, after other files took inodes.
fn tree(reverse: bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("inside");
    std::fs::create_dir_all(inside.join("sub")).unwrap();
    let mut names: Vec<String> = (0..30).map(|index| format!("file-{index}")).collect();
    names.push("sub/inner".to_owned());
    if reverse {
        for index in 0..10 {
            std::fs::write(folder.path().join(format!("other-{index}")), "").unwrap();
        }
        names.reverse();
    }
    for name in names {
        std::fs::write(inside.join(&name), &name).unwrap();
        let seconds = if reverse { 1_000 } else { 2_000 };
        let time = UNIX_EPOCH + Duration::from_secs(seconds);
        let times = FileTimes::new().set_accessed(time).set_modified(time);
        File::options().write(true).open(inside.join(&name)).unwrap().set_times(times).unwrap();
    }
    std::os::unix::fs::symlink("sub/inner", inside.join("link")).unwrap();
    if reverse {
        std::fs::hard_link(inside.join("file-3"), folder.path().join("elsewhere")).unwrap();
    }
    folder
}

/// All that a guest can learn by looking: listings, stats by path and by descriptor.
fn look(sandbox: &mut Sandbox) -> Vec<u8> {
    let guest = &mut sandbox.guest;
    let mut seen = Vec::new();
    let sub = guest.open("sub", DIRECTORY, READ).unwrap();
    for fd in [3, sub] {
        let args = [i64::from(fd), i64::from(BUFFER), 8192, 0, i64::from(RESULT)];
        assert_eq!(guest.call("fd_readdir", &args), SUCCESS);
        let used = guest.get_u32(RESULT);
        seen.extend(guest.get(BUFFER, used));
        assert_eq!(guest.call("fd_filestat_get", &[i64::from(fd), i64::from(RESULT)]), SUCCESS);
        seen.extend(guest.get(RESULT, 64));
    }
    for path in ["file-3", "file-29", "sub", "sub/inner", "sub/../link", ".", "link"] {
        let [pointer, length] = guest.path(path);
        for lookup in [0, 1] {
            let args = [3, lookup, pointer, length, i64::from(RESULT)];
            assert_eq!(guest.call("path_filestat_get", &args), SUCCESS);
            seen.extend(guest.get(RESULT, 64));
        }
    }
    assert_eq!(guest.call("random_get", &[i64::from(BUFFER), 100]), SUCCESS);
    seen.extend(guest.get(BUFFER, 100));
    seen
}

#[test]
fn the_hosts_accidents_do_not_show() {
    let looks: Vec<Vec<u8>> = [false, true]
        .map(|reverse| {
            let mut sandbox = Sandbox::over(tree(reverse), |config| config.deterministic = true);
            look(&mut sandbox)
        })
        .to_vec();
    assert_eq!(looks[0], looks[1]);
    let plain: Vec<Vec<u8>> =
        [false, true].map(|reverse| look(&mut Sandbox::over(tree(reverse), |_| {}))).to_vec();
    assert_ne!(plain[0], plain[1], "the trees do differ");
}

fn inode(guest: &mut Guest, fd: u32, path: &str, lookup: i64) -> u64 {
    let [pointer, length] = guest.path(path);
    let args = [i64::from(fd), lookup, pointer, length, i64::from(RESULT)];
    assert_eq!(guest.call("path_filestat_get", &args), SUCCESS);
    guest.get_u64(RESULT + 8)
}

#[test]
fn one_file_has_one_number_by_every_path_and_call() {
    let mut sandbox = Sandbox::over(tree(false), |config| config.deterministic = true);
    let guest = &mut sandbox.guest;
    let number = inode(guest, 3, "sub/inner", 0);
    assert_eq!(inode(guest, 3, "./sub/../sub//inner", 0), number);
    assert_eq!(inode(guest, 3, "link", 1), number);
    assert_ne!(inode(guest, 3, "link", 0), number);
    let sub = guest.open("sub", DIRECTORY, READ).unwrap();
    assert_eq!(inode(guest, sub, "inner", 0), number);
    let fd = guest.open("link", 0, READ).unwrap();
    assert_eq!(guest.call("fd_filestat_get", &[i64::from(fd), i64::from(RESULT)]), SUCCESS);
    assert_eq!(guest.get_u64(RESULT + 8), number);
    assert_eq!((guest.get_u64(RESULT), guest.get_u64(RESULT + 24)), (0, 1), "device and links");
    assert_eq!(guest.get_u64(RESULT + 32), 9, "size");
    assert_eq!(guest.get(RESULT + 40, 24), [0; 24], "times");
}
