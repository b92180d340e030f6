//! The 46 functions of `wasi_snapshot_preview1`, defined in a linker.

use wasmtime::{Caller, Extern, Linker};

type Result<T, E = wasmtime::Error> = std::result::Result<T, E>;

use super::memory::{GuestBytes, GuestMemory};
use super::paths::{GuestPath, OpenRequest, TimesRequest};
use super::poll::PollRequest;
use super::process::Exit;
use super::transfer::Transfer;
use super::unsupported::Unsupported;
use super::{WasiContext, WasiView};
use super::{
    args, clocks, directories, errno::Errno, files, paths, poll, random, transfer, unsupported,
};

const MODULE: &str = "wasi_snapshot_preview1";

/// Defines every function of WASI preview 1, `sched_yield` and `poll_oneoff` as asynchronous ones.
///
/// # Errors
/// When the linker already has one of the names.
pub fn add_to_linker<T: WasiView>(linker: &mut Linker<T>) -> Result<()> {
    link_process(linker)?;
    link_clocks(linker)?;
    link_descriptors(linker)?;
    link_file_status(linker)?;
    link_transfers(linker)?;
    link_directories(linker)?;
    link_paths(linker)?;
    link_path_pairs(linker)?;
    link_sockets(linker)
}

/// Runs `call` with the guest's memory and the store's data, and charges what it moved, once.
pub(super) fn charged<T: WasiView, R>(
    caller: &mut Caller<'_, T>,
    call: impl FnOnce(&mut T, &mut GuestMemory<'_>) -> R,
) -> R {
    with_memory(caller, |view, memory| {
        let result = call(view, memory);
        view.charge(memory.moved_bytes());
        result
    })
}

/// As [`charged`], for the rest of a call that was charged before.
pub(super) fn free<T: WasiView, R>(
    caller: &mut Caller<'_, T>,
    call: impl FnOnce(&mut T, &mut GuestMemory<'_>) -> R,
) -> R {
    with_memory(caller, call)
}

fn with_memory<T: WasiView, R>(
    caller: &mut Caller<'_, T>,
    call: impl FnOnce(&mut T, &mut GuestMemory<'_>) -> R,
) -> R {
    match caller.get_export("memory").and_then(Extern::into_memory) {
        Some(memory) => {
            let (bytes, view) = memory.data_and_store_mut(caller);
            call(view, &mut GuestMemory::new(bytes))
        }
        None => call(caller.data_mut(), &mut GuestMemory::new(&mut [])),
    }
}

/// A plain call: everything it needs is the context and the memory.
fn plain<T: WasiView>(
    mut caller: Caller<'_, T>,
    call: impl FnOnce(&mut WasiContext, &mut GuestMemory<'_>) -> Result<(), Errno>,
) -> u32 {
    let start = std::time::Instant::now();
    let result = charged(&mut caller, |view, memory| call(view.wasi(), memory));
    let ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    caller.data_mut().host_time(ns);
    code(result)
}

fn code(result: Result<(), Errno>) -> u32 {
    match result {
        Ok(()) => 0,
        Err(errno) => u32::from(errno.code()),
    }
}

fn buffer(pointer: u32, length: u32) -> GuestBytes {
    GuestBytes { pointer, length }
}

fn path(fd: u32, pointer: u32, length: u32) -> GuestPath {
    GuestPath { fd, path: buffer(pointer, length) }
}

/// Defines `$name` as a [`plain`] call.
macro_rules! define {
    ($linker:expr, $name:literal, |$context:ident, $memory:ident, $($arg:ident: $type:ty),*|
     $call:expr) => {
        $linker.func_wrap(MODULE, $name, |caller: Caller<'_, T>, $($arg: $type),*| {
            plain(caller, |$context, $memory| $call)
        })?;
    };
}

fn link_process<T: WasiView>(linker: &mut Linker<T>) -> Result<()> {
    define!(linker, "args_get", |c, m, pointers: u32, block: u32| {
        args::get(&c.args, m, pointers, block)
    });
    define!(linker, "args_sizes_get", |c, m, count: u32, bytes: u32| {
        args::sizes_get(&c.args, m, count, bytes)
    });
    define!(linker, "environ_get", |c, m, pointers: u32, block: u32| {
        args::get(&c.env, m, pointers, block)
    });
    define!(linker, "environ_sizes_get", |c, m, count: u32, bytes: u32| {
        args::sizes_get(&c.env, m, count, bytes)
    });
    define!(linker, "random_get", |c, m, pointer: u32, length: u32| {
        random::random_get(c, m, buffer(pointer, length))
    });
    define!(linker, "proc_raise", |c, _m, _signal: u32| unsupported::proc_raise(c));
    linker.func_wrap(
        MODULE,
        "proc_exit",
        |mut caller: Caller<'_, T>, code: u32| -> Result<()> {
            caller.data_mut().charge(0);
            Err(wasmtime::Error::new(Exit(code)))
        },
    )?;
    Ok(())
}

fn link_clocks<T: WasiView>(linker: &mut Linker<T>) -> Result<()> {
    define!(linker, "clock_res_get", |_c, m, id: u32, result: u32| {
        clocks::clock_res_get(m, id, result)
    });
    linker.func_wrap(
        MODULE,
        "clock_time_get",
        |mut caller: Caller<'_, T>, id: u32, _precision_ns: u64, result: u32| {
            code(charged(&mut caller, |view, memory| {
                clocks::clock_time_get(view, memory, id, result)
            }))
        },
    )?;
    linker.func_wrap_async(
        MODULE,
        "poll_oneoff",
        |mut caller: Caller<'_, T>,
         (subscriptions, events, count, result): (u32, u32, u32, u32)| {
            let request = PollRequest { subscriptions, events, count, result };
            Box::new(async move { code(poll::poll_oneoff(&mut caller, request).await) })
        },
    )?;
    linker.func_wrap_async(MODULE, "sched_yield", |mut caller: Caller<'_, T>, (): ()| {
        Box::new(async move {
            poll::sched_yield(&mut caller).await;
            0_u32
        })
    })?;
    Ok(())
}

fn link_descriptors<T: WasiView>(linker: &mut Linker<T>) -> Result<()> {
    define!(linker, "fd_close", |c, _m, fd: u32| c.descriptors.close(fd));
    define!(linker, "fd_renumber", |c, _m, from: u32, to: u32| c.descriptors.renumber(from, to));
    define!(linker, "fd_sync", |c, _m, fd: u32| files::fd_sync(c, fd));
    define!(linker, "fd_datasync", |c, _m, fd: u32| files::fd_sync(c, fd));
    define!(linker, "fd_fdstat_get", |c, m, fd: u32, result: u32| {
        files::fd_fdstat_get(c, m, fd, result)
    });
    define!(linker, "fd_fdstat_set_flags", |c, _m, fd: u32, flags: u32| {
        files::fd_fdstat_set_flags(c, fd, flags)
    });
    define!(linker, "fd_fdstat_set_rights", |c, _m, fd: u32, _base: u64, _inheriting: u64| {
        unsupported::fd_fdstat_set_rights(c, fd)
    });
    define!(linker, "fd_advise", |c, _m, fd: u32, offset: u64, length: u64, advice: u32| {
        files::fd_advise(c, fd, offset, length, advice)
    });
    define!(linker, "fd_allocate", |c, _m, fd: u32, offset: u64, length: u64| {
        files::fd_allocate(c, fd, offset, length)
    });
    Ok(())
}

fn link_file_status<T: WasiView>(linker: &mut Linker<T>) -> Result<()> {
    define!(linker, "fd_filestat_get", |c, m, fd: u32, result: u32| {
        files::fd_filestat_get(c, m, fd, result)
    });
    define!(linker, "fd_filestat_set_size", |c, _m, fd: u32, size_bytes: u64| {
        files::fd_filestat_set_size(c, fd, size_bytes)
    });
    define!(
        linker,
        "fd_filestat_set_times",
        |c, _m, fd: u32, accessed_ns: u64, modified_ns: u64, flags: u32| {
            files::fd_filestat_set_times(c, fd, accessed_ns, modified_ns, flags)
        }
    );
    define!(linker, "path_filestat_get", |c,
                                          m,
                                          fd: u32,
                                          lookup: u32,
                                          pointer: u32,
                                          length: u32,
                                          result: u32| {
        paths::path_filestat_get(c, m, lookup, path(fd, pointer, length), result)
    });
    define!(
        linker,
        "path_filestat_set_times",
        |c,
         m,
         fd: u32,
         lookup: u32,
         pointer: u32,
         length: u32,
         accessed_ns: u64,
         modified_ns: u64,
         flags: u32| {
            let request = TimesRequest { lookup, accessed_ns, modified_ns, flags };
            paths::path_filestat_set_times(c, m, path(fd, pointer, length), request)
        }
    );
    Ok(())
}

fn link_transfers<T: WasiView>(linker: &mut Linker<T>) -> Result<()> {
    define!(linker, "fd_read", |c, m, fd: u32, vectors: u32, count: u32, result: u32| {
        transfer::fd_read(c, m, fd, Transfer { vectors, count, result })
    });
    define!(linker, "fd_write", |c, m, fd: u32, vectors: u32, count: u32, result: u32| {
        transfer::fd_write(c, m, fd, Transfer { vectors, count, result })
    });
    define!(linker, "fd_pread", |c,
                                 m,
                                 fd: u32,
                                 vectors: u32,
                                 count: u32,
                                 offset: u64,
                                 result: u32| {
        transfer::fd_pread(c, m, fd, Transfer { vectors, count, result }, offset)
    });
    define!(linker, "fd_pwrite", |c,
                                  m,
                                  fd: u32,
                                  vectors: u32,
                                  count: u32,
                                  offset: u64,
                                  result: u32| {
        transfer::fd_pwrite(c, m, fd, Transfer { vectors, count, result }, offset)
    });
    define!(linker, "fd_seek", |c, m, fd: u32, delta: i64, whence: u32, result: u32| {
        files::fd_seek(c, m, fd, delta, whence, result)
    });
    define!(linker, "fd_tell", |c, m, fd: u32, result: u32| files::fd_tell(c, m, fd, result));
    Ok(())
}

fn link_directories<T: WasiView>(linker: &mut Linker<T>) -> Result<()> {
    define!(linker, "fd_prestat_get", |c, m, fd: u32, result: u32| {
        directories::fd_prestat_get(c, m, fd, result)
    });
    define!(linker, "fd_prestat_dir_name", |c, m, fd: u32, pointer: u32, length: u32| {
        directories::fd_prestat_dir_name(c, m, fd, buffer(pointer, length))
    });
    define!(linker, "fd_readdir", |c,
                                   m,
                                   fd: u32,
                                   pointer: u32,
                                   length: u32,
                                   cookie: u64,
                                   result: u32| {
        directories::fd_readdir(c, m, fd, buffer(pointer, length), cookie, result)
    });
    Ok(())
}

fn link_paths<T: WasiView>(linker: &mut Linker<T>) -> Result<()> {
    define!(linker, "path_open", |c,
                                  m,
                                  fd: u32,
                                  lookup: u32,
                                  pointer: u32,
                                  length: u32,
                                  oflags: u32,
                                  rights: u64,
                                  _inheriting: u64,
                                  fdflags: u32,
                                  result: u32| {
        let request = OpenRequest { lookup, oflags, rights, fdflags };
        paths::path_open(c, m, path(fd, pointer, length), request, result)
    });
    define!(linker, "path_create_directory", |c, m, fd: u32, pointer: u32, length: u32| {
        paths::path_create_directory(c, m, path(fd, pointer, length))
    });
    define!(linker, "path_remove_directory", |c, m, fd: u32, pointer: u32, length: u32| {
        paths::path_remove_directory(c, m, path(fd, pointer, length))
    });
    define!(linker, "path_unlink_file", |c, m, fd: u32, pointer: u32, length: u32| {
        paths::path_unlink_file(c, m, path(fd, pointer, length))
    });
    define!(linker, "path_readlink", |c,
                                      m,
                                      fd: u32,
                                      pointer: u32,
                                      length: u32,
                                      out: u32,
                                      out_length: u32,
                                      result: u32| {
        let at = path(fd, pointer, length);
        paths::path_readlink(c, m, at, buffer(out, out_length), result)
    });
    Ok(())
}

fn link_path_pairs<T: WasiView>(linker: &mut Linker<T>) -> Result<()> {
    define!(linker, "path_link", |c,
                                  m,
                                  fd: u32,
                                  lookup: u32,
                                  pointer: u32,
                                  length: u32,
                                  new_fd: u32,
                                  new_pointer: u32,
                                  new_length: u32| {
        let old = path(fd, pointer, length);
        paths::path_link(c, m, lookup, old, path(new_fd, new_pointer, new_length))
    });
    define!(linker, "path_rename", |c,
                                    m,
                                    fd: u32,
                                    pointer: u32,
                                    length: u32,
                                    new_fd: u32,
                                    new_pointer: u32,
                                    new_length: u32| {
        let old = path(fd, pointer, length);
        paths::path_rename(c, m, old, path(new_fd, new_pointer, new_length))
    });
    define!(linker, "path_symlink", |c,
                                     m,
                                     target: u32,
                                     target_length: u32,
                                     fd: u32,
                                     pointer: u32,
                                     length: u32| {
        let target = buffer(target, target_length);
        paths::path_symlink(c, m, target, path(fd, pointer, length))
    });
    Ok(())
}

fn link_sockets<T: WasiView>(linker: &mut Linker<T>) -> Result<()> {
    define!(linker, "sock_accept", |c, _m, fd: u32, _flags: u32, _result: u32| {
        unsupported::socket(c, Unsupported::SockAccept, fd)
    });
    define!(linker, "sock_recv", |c,
                                  _m,
                                  fd: u32,
                                  _vectors: u32,
                                  _count: u32,
                                  _flags: u32,
                                  _bytes: u32,
                                  _out: u32| {
        unsupported::socket(c, Unsupported::SockRecv, fd)
    });
    define!(linker, "sock_send", |c,
                                  _m,
                                  fd: u32,
                                  _vectors: u32,
                                  _count: u32,
                                  _flags: u32,
                                  _bytes: u32| {
        unsupported::socket(c, Unsupported::SockSend, fd)
    });
    define!(linker, "sock_shutdown", |c, _m, fd: u32, _how: u32| {
        unsupported::socket(c, Unsupported::SockShutdown, fd)
    });
    Ok(())
}
