//! Listing, making and removing directories.

use super::harness::*;

const DIRENT_BYTES: usize = 24;

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    next: u64,
    inode: u64,
    kind: u8,
    name: String,
}

/// One call: the bytes it used, and the entries that are whole in them.
fn readdir(guest: &mut Guest, fd: u32, length: u32, cookie: u64) -> (u32, Vec<Entry>) {
    let args = [
        i64::from(fd),
        i64::from(BUFFER),
        i64::from(length),
        cookie.cast_signed(),
        i64::from(RESULT),
    ];
    assert_eq!(guest.call("fd_readdir", &args), SUCCESS);
    let used = guest.get_u32(RESULT);
    let bytes = guest.get(BUFFER, used);
    let mut rest = &bytes[..];
    let mut entries = Vec::new();
    while rest.len() >= DIRENT_BYTES {
        let number = |at: usize| u64::from_le_bytes(rest[at..at + 8].try_into().unwrap());
        let name_bytes = u32::from_le_bytes(rest[16..20].try_into().unwrap()) as usize;
        let Some(name) = rest.get(DIRENT_BYTES..DIRENT_BYTES + name_bytes) else { break };
        entries.push(Entry {
            next: number(0),
            inode: number(8),
            kind: rest[20],
            name: String::from_utf8(name.to_vec()).unwrap(),
        });
        rest = &rest[DIRENT_BYTES + name_bytes..];
    }
    (used, entries)
}

/// Lists as C libraries do: again from the last whole entry while the buffer comes back full.
fn list(guest: &mut Guest, fd: u32, length: u32) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let cookie = all.last().map_or(0, |entry| entry.next);
        let (used, entries) = readdir(guest, fd, length, cookie);
        let progress = !entries.is_empty();
        all.extend(entries);
        if used < length {
            return all;
        }
        assert!(progress, "a buffer of {length} holds no entry");
    }
}

fn names(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.name.as_str()).collect()
}

#[test]
fn listings_are_sorted_and_typed() {
    let mut sandbox = Sandbox::new();
    for name in ["b", "a", "-", "c.txt"] {
        std::fs::write(sandbox.host(name), name).unwrap();
    }
    std::fs::create_dir(sandbox.host("B")).unwrap();
    std::os::unix::fs::symlink("a", sandbox.host("link")).unwrap();
    let entries = list(&mut sandbox.guest, 3, 4096);
    assert_eq!(names(&entries), [".", "..", "-", "B", "a", "b", "c.txt", "link"]);
    let kinds: Vec<u8> = entries.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [3, 3, 4, 3, 4, 4, 4, 7]);
    let nexts: Vec<u64> = entries.iter().map(|entry| entry.next).collect();
    assert_eq!(nexts, [1, 2, 3, 4, 5, 6, 7, 8]);
    let guest = &mut sandbox.guest;
    let [pointer, length] = guest.path("a");
    let args = [3, 0, pointer, length, i64::from(RESULT)];
    assert_eq!(guest.call("path_filestat_get", &args), SUCCESS);
    assert_eq!(guest.get_u64(RESULT + 8), entries[4].inode);
}

#[test]
fn every_buffer_size_lists_the_same() {
    let mut sandbox = Sandbox::new();
    for index in 0..40 {
        std::fs::write(sandbox.host(&format!("file-{index:02}")), "").unwrap();
    }
    let whole = list(&mut sandbox.guest, 3, 64 << 10);
    assert_eq!(whole.len(), 42);
    for length in [31, 32, 33, 47, 48, 64, 100, 1000] {
        assert_eq!(list(&mut sandbox.guest, 3, length), whole, "buffer of {length}");
    }
    for length in 0..24 {
        let (used, entries) = readdir(&mut sandbox.guest, 3, length, 0);
        assert_eq!((used, entries.len()), (length, 0), "a cut-off entry fills the buffer");
    }
}

#[test]
fn any_cookie_is_safe() {
    let mut sandbox = Sandbox::new();
    std::fs::write(sandbox.host("file"), "").unwrap();
    let guest = &mut sandbox.guest;
    for cookie in [3, 4, 1 << 32, u64::MAX] {
        assert_eq!(readdir(guest, 3, 100, cookie), (0, vec![]));
    }
    let (_, entries) = readdir(guest, 3, 100, 2);
    assert_eq!(names(&entries), ["file"]);
}

#[test]
fn a_listing_begun_is_not_shifted_by_removals() {
    let mut sandbox = Sandbox::new();
    for name in ["a", "b", "c", "d"] {
        std::fs::write(sandbox.host(name), "").unwrap();
    }
    let guest = &mut sandbox.guest;
    let (_, first) = readdir(guest, 3, 25 + 26 + 25, 0);
    assert_eq!(names(&first), [".", "..", "a"]);
    assert_eq!(guest.path_call("path_unlink_file", 3, "a", &[]), SUCCESS);
    let (_, rest) = readdir(guest, 3, 4096, first[2].next);
    assert_eq!(names(&rest), ["b", "c", "d"]);
    assert_eq!(names(&list(guest, 3, 4096)), [".", "..", "b", "c", "d"], "from the start again");
}

#[test]
fn directories_are_made_opened_and_removed() {
    let mut sandbox = Sandbox::new();
    let guest = &mut sandbox.guest;
    assert_eq!(guest.path_call("path_create_directory", 3, "d", &[]), SUCCESS);
    assert_eq!(guest.path_call("path_create_directory", 3, "d/e", &[]), SUCCESS);
    assert_eq!(guest.path_call("path_create_directory", 3, "d", &[]), EEXIST);
    assert_eq!(guest.path_call("path_create_directory", 3, "no/d", &[]), ENOENT);
    let fd = guest.open("d", DIRECTORY, READ).unwrap();
    assert_eq!(names(&list(guest, fd, 4096)), [".", "..", "e"]);
    let inner = guest.open_with(fd, "file", [0, CREATE, WRITE, 0]).unwrap();
    assert_eq!(guest.write(inner, b"x"), Ok(1));
    assert_eq!(guest.open_with(inner, "x", [0, 0, READ, 0]), Err(ENOTDIR));
    assert_eq!(guest.path_call("path_remove_directory", 3, "d", &[]), ENOTEMPTY);
    assert_eq!(guest.path_call("path_remove_directory", 3, "d/file", &[]), ENOTDIR);
    assert_eq!(guest.path_call("path_unlink_file", 3, "d/e", &[]), EISDIR);
    assert_eq!(guest.path_call("path_unlink_file", fd, "file", &[]), SUCCESS);
    assert_eq!(guest.path_call("path_remove_directory", fd, "e", &[]), SUCCESS);
    assert_eq!(guest.path_call("path_remove_directory", 3, "/", &[]), EPERM);
    assert_eq!(guest.path_call("path_remove_directory", 3, ".", &[]), EINVAL);
    assert_eq!(guest.path_call("path_remove_directory", 3, "d//", &[]), SUCCESS);
    assert_eq!(names(&list(guest, fd, 4096)), [""; 0], "a removed directory has no names");
    assert!(!sandbox.host("d").exists());
}

#[test]
fn directories_are_not_files() {
    let mut sandbox = Sandbox::new();
    let guest = &mut sandbox.guest;
    assert_eq!(guest.read(3, 1), Err(EBADF));
    assert_eq!(guest.write(3, b"x"), Err(EBADF));
    let result = i64::from(RESULT);
    assert_eq!(guest.call("fd_seek", &[3, 0, 0, result]), EBADF);
    assert_eq!(guest.call("fd_allocate", &[3, 0, 1]), EBADF);
    assert_eq!(guest.call("fd_filestat_set_size", &[3, 1]), EBADF);
    assert_eq!(guest.call("fd_fdstat_set_flags", &[3, 1]), EBADF);
    assert_eq!(guest.open(".", 0, WRITE), Err(EISDIR));
    assert_eq!(guest.open(".", CREATE, READ).map(|_| ()), Ok(()));
    let file = guest.open("file", CREATE, READ).unwrap();
    let args = [i64::from(file), i64::from(BUFFER), 100, 0, result];
    assert_eq!(guest.call("fd_readdir", &args), ENOTDIR);
    assert_eq!(guest.call("fd_fdstat_get", &[3, result]), SUCCESS);
    assert_eq!(guest.get(RESULT, 1), [3]);
}

/// Listings kept for many descriptors stay within 4 MiB, and their readers still reach the end.
#[test]
fn listings_are_bounded_over_descriptors() {
    let mut sandbox = Sandbox::new();
    for index in 0..2_000 {
        std::fs::write(sandbox.host(&format!("{index:0250}")), "").unwrap();
    }
    let guest = &mut sandbox.guest;
    let open: Vec<u32> = (0..20).map(|_| guest.open(".", DIRECTORY, READ).unwrap()).collect();
    for fd in &open {
        let (_, entries) = readdir(guest, *fd, 1000, 0);
        assert_eq!(entries.len(), 5);
    }
    for fd in open {
        let (_, entries) = readdir(guest, fd, 1000, 2001);
        assert_eq!(entries.len(), 1);
    }
}

#[test]
fn a_directory_too_large_to_list_overflows() {
    let mut sandbox = Sandbox::new();
    for index in 0..15_000 {
        std::fs::write(sandbox.host(&format!("{index:0255}")), "").unwrap();
    }
    let args = [3, i64::from(BUFFER), 100, 0, i64::from(RESULT)];
    assert_eq!(sandbox.guest.call("fd_readdir", &args), EOVERFLOW);
}
