//! The guest that calls one function at a time, and the slice loop that runs it.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use maxwell_kernel::pause::{Pause, PauseFuture, PauseSlot};
use maxwell_kernel::wasi::{
    OutputBuffer, Preopen, RandomSource, Stream, WasiConfig, WasiContext, WasiView, add_to_linker,
};
use tempfile::TempDir;
use wasmtime::{Engine, Func, Instance, Linker, Memory, Module, Store, Val};

/// Every function and the types of its parameters: `i` is 32 bits, `I` is 64.
pub(crate) const SIGNATURES: [(&str, &str); 46] = [
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "iIi"),
    ("fd_advise", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "iII"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_pread", "iiiIi"),
    ("fd_prestat_get", "ii"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_pwrite", "iiiIi"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("fd_seek", "iIii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_exit", "i"),
    ("proc_raise", "i"),
    ("sched_yield", ""),
    ("random_get", "ii"),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

pub(crate) const SUCCESS: u32 = 0;
pub(crate) const EACCES: u32 = 2;
pub(crate) const EBADF: u32 = 8;
pub(crate) const EDQUOT: u32 = 19;
pub(crate) const EEXIST: u32 = 20;
pub(crate) const EFAULT: u32 = 21;
pub(crate) const EFBIG: u32 = 22;
pub(crate) const EILSEQ: u32 = 25;
pub(crate) const EINVAL: u32 = 28;
pub(crate) const EISDIR: u32 = 31;
pub(crate) const ELOOP: u32 = 32;
pub(crate) const EMFILE: u32 = 33;
pub(crate) const ENAMETOOLONG: u32 = 37;
pub(crate) const ENOENT: u32 = 44;
pub(crate) const ENOSYS: u32 = 52;
pub(crate) const ENOTDIR: u32 = 54;
pub(crate) const ENOTEMPTY: u32 = 55;
pub(crate) const ENOTSOCK: u32 = 57;
pub(crate) const ENOTSUP: u32 = 58;
pub(crate) const EOVERFLOW: u32 = 61;
pub(crate) const EPERM: u32 = 63;
pub(crate) const EROFS: u32 = 69;
pub(crate) const ESPIPE: u32 = 70;

/// `rights` to open with.
pub(crate) const READ: i64 = 1 << 1;
pub(crate) const WRITE: i64 = 1 << 6;
/// `oflags` to open with.
pub(crate) const CREATE: i64 = 1;
pub(crate) const DIRECTORY: i64 = 2;
pub(crate) const EXCLUSIVE: i64 = 4;
pub(crate) const TRUNCATE: i64 = 8;

/// Where tests put things in the guest's memory, which has [`MEMORY_BYTES`].
pub(crate) const RESULT: u32 = 64;
pub(crate) const VECTORS: u32 = 4096;
pub(crate) const PATH: u32 = 16 << 10;
pub(crate) const OTHER_PATH: u32 = 24 << 10;
pub(crate) const BUFFER: u32 = 64 << 10;
pub(crate) const MEMORY_BYTES: u32 = 48 * (64 << 10);

/// The wall clock when the monotonic one shows 0.
pub(crate) const EPOCH_NS: u64 = 1_000_000_000_000;

pub(crate) struct Process {
    pub(crate) wasi: WasiContext,
    slot: PauseSlot,
    clock_ns: Arc<AtomicU64>,
    /// Bytes of each charge.
    pub(crate) charges: Vec<u64>,
}

impl WasiView for Process {
    fn wasi(&mut self) -> &mut WasiContext {
        &mut self.wasi
    }

    fn charge(&mut self, bytes: u64) {
        self.charges.push(bytes);
    }

    fn monotonic_ns(&mut self) -> u64 {
        self.clock_ns.load(Ordering::Relaxed)
    }

    fn realtime_ns(&mut self) -> u64 {
        EPOCH_NS + self.monotonic_ns()
    }

    fn pause(&mut self, pause: Pause) -> PauseFuture {
        self.slot.pause(pause)
    }
}

pub(crate) struct Guest {
    pub(crate) store: Store<Process>,
    instance: Instance,
    memory: Option<Memory>,
    slot: PauseSlot,
    pub(crate) clock_ns: Arc<AtomicU64>,
    /// What the guest waited for, in order.
    pub(crate) pauses: Vec<Pause>,
    pub(crate) stdout: OutputBuffer,
    pub(crate) stderr: OutputBuffer,
}

fn module_text(with_memory: bool) -> String {
    let mut text = String::from("(module\n");
    let types = |letters: &str| -> String {
        letters.chars().map(|c| if c == 'i' { " i32" } else { " i64" }).collect()
    };
    let result = |name: &str| if name == "proc_exit" { "" } else { "(result i32)" };
    for (name, letters) in SIGNATURES {
        let (params, result) = (types(letters), result(name));
        writeln!(
            text,
            "(import \"wasi_snapshot_preview1\" \"{name}\"
               (func ${name} (param{params}) {result}))"
        )
        .unwrap();
    }
    if with_memory {
        writeln!(text, "(memory (export \"memory\") {})", MEMORY_BYTES >> 16).unwrap();
    }
    for (name, letters) in SIGNATURES {
        let (params, result) = (types(letters), result(name));
        let gets: String = (0..letters.len()).map(|i| format!(" local.get {i}")).collect();
        writeln!(text, "(func (export \"{name}\") (param{params}) {result} {gets} call ${name})")
            .unwrap();
    }
    text.push(')');
    text
}

pub(crate) fn engine() -> Engine {
    Engine::default()
}

impl Guest {
    pub(crate) fn new(config: WasiConfig) -> Self {
        Self::with_module(config, true)
    }

    /// A guest without a memory of its own.
    pub(crate) fn without_memory() -> Self {
        Self::with_module(WasiConfig::default(), false)
    }

    pub(crate) fn process(config: WasiConfig) -> Process {
        Process {
            wasi: WasiContext::new(config).unwrap(),
            slot: PauseSlot::default(),
            clock_ns: Arc::default(),
            charges: Vec::new(),
        }
    }

    fn with_module(config: WasiConfig, with_memory: bool) -> Self {
        let engine = engine();
        let module =
            Module::new(&engine, wat::parse_str(module_text(with_memory)).unwrap()).unwrap();
        let mut process = Self::process(config);
        let stdout = process.wasi.output(Stream::Stdout).clone();
        let stderr = process.wasi.output(Stream::Stderr).clone();
        let slot = process.slot.clone();
        let clock_ns = process.clock_ns.clone();
        let mut store = Store::new(&engine, process);
        let mut linker = Linker::new(&engine);
        add_to_linker(&mut linker).unwrap();
        let mut pauses = Vec::new();
        let start = linker.instantiate_async(&mut store, &module);
        let instance = block(&slot, &clock_ns, &mut pauses, start).unwrap();
        let memory = instance.get_memory(&mut store, "memory");
        Self { store, instance, memory, slot, clock_ns, pauses, stdout, stderr }
    }

    /// Makes one call; `proc_exit` and host failures are the errors.
    pub(crate) fn try_call(&mut self, name: &str, args: &[i64]) -> wasmtime::Result<u32> {
        let (_, letters) = SIGNATURES.into_iter().find(|(known, _)| *known == name).unwrap();
        assert_eq!(letters.len(), args.len(), "{name} takes {letters}");
        let parameters: Vec<Val> = letters
            .chars()
            .zip(args)
            .map(|(letter, arg)| match letter {
                // A pointer may be given signed or unsigned.
                'i' => Val::I32(u32::try_from(arg & 0xffff_ffff).unwrap().cast_signed()),
                _ => Val::I64(*arg),
            })
            .collect();
        let func: Func = self.instance.get_func(&mut self.store, name).unwrap();
        let mut results = vec![Val::I32(0); usize::from(name != "proc_exit")];
        let before = self.store.data().charges.len();
        let call = func.call_async(&mut self.store, &parameters, &mut results);
        let outcome = block(&self.slot, &self.clock_ns, &mut self.pauses, call);
        assert_eq!(self.store.data().charges.len(), before + 1, "{name} is charged once");
        outcome?;
        Ok(results[0].unwrap_i32().cast_unsigned())
    }

    /// Makes one call and returns its error number.
    pub(crate) fn call(&mut self, name: &str, args: &[i64]) -> u32 {
        self.try_call(name, args).unwrap()
    }

    /// Bytes of the last charge.
    pub(crate) fn charged_bytes(&self) -> u64 {
        *self.store.data().charges.last().unwrap()
    }

    pub(crate) fn put(&mut self, pointer: u32, bytes: &[u8]) {
        self.memory.unwrap().write(&mut self.store, pointer as usize, bytes).unwrap();
    }

    pub(crate) fn get(&mut self, pointer: u32, length: u32) -> Vec<u8> {
        let mut bytes = vec![0; length as usize];
        self.memory.unwrap().read(&self.store, pointer as usize, &mut bytes).unwrap();
        bytes
    }

    pub(crate) fn get_u32(&mut self, pointer: u32) -> u32 {
        u32::from_le_bytes(self.get(pointer, 4).try_into().unwrap())
    }

    pub(crate) fn get_u64(&mut self, pointer: u32) -> u64 {
        u64::from_le_bytes(self.get(pointer, 8).try_into().unwrap())
    }

    /// Puts an array of buffers at [`VECTORS`].
    pub(crate) fn put_vectors(&mut self, vectors: &[(u32, u32)]) {
        let bytes: Vec<u8> = vectors
            .iter()
            .flat_map(|(pointer, length)| [pointer.to_le_bytes(), length.to_le_bytes()].concat())
            .collect();
        self.put(VECTORS, &bytes);
    }

    /// Puts a path at [`PATH`] and returns its pointer and length.
    pub(crate) fn path(&mut self, path: &str) -> [i64; 2] {
        self.put(PATH, path.as_bytes());
        [i64::from(PATH), path.len() as i64]
    }

    /// Puts a path at [`OTHER_PATH`].
    pub(crate) fn other_path(&mut self, path: &str) -> [i64; 2] {
        self.put(OTHER_PATH, path.as_bytes());
        [i64::from(OTHER_PATH), path.len() as i64]
    }

    /// Makes a call that takes a directory, a path, and then `rest`.
    pub(crate) fn path_call(&mut self, name: &str, fd: u32, path: &str, rest: &[i64]) -> u32 {
        let [pointer, length] = self.path(path);
        self.call(name, &[&[i64::from(fd), pointer, length], rest].concat())
    }

    /// Opens a path beneath the first preopen.
    pub(crate) fn open(&mut self, path: &str, oflags: i64, rights: i64) -> Result<u32, u32> {
        self.open_with(3, path, [1, oflags, rights, 0])
    }

    /// Opens with `[lookup, oflags, rights, fdflags]`.
    pub(crate) fn open_with(
        &mut self,
        fd: u32,
        path: &str,
        [lookup, oflags, rights, fdflags]: [i64; 4],
    ) -> Result<u32, u32> {
        let [pointer, length] = self.path(path);
        let result = i64::from(RESULT);
        let args =
            [i64::from(fd), lookup, pointer, length, oflags, rights, rights, fdflags, result];
        match self.call("path_open", &args) {
            SUCCESS => Ok(self.get_u32(RESULT)),
            errno => Err(errno),
        }
    }

    /// Writes `bytes` at once and returns how many the guest is told.
    pub(crate) fn write(&mut self, fd: u32, bytes: &[u8]) -> Result<u32, u32> {
        self.put(BUFFER, bytes);
        self.put_vectors(&[(BUFFER, u32::try_from(bytes.len()).unwrap())]);
        self.transfer("fd_write", fd)
    }

    /// Reads at most `length` bytes.
    pub(crate) fn read(&mut self, fd: u32, length: u32) -> Result<Vec<u8>, u32> {
        self.put_vectors(&[(BUFFER, length)]);
        let count = self.transfer("fd_read", fd)?;
        Ok(self.get(BUFFER, count))
    }

    fn transfer(&mut self, name: &str, fd: u32) -> Result<u32, u32> {
        match self.call(name, &[i64::from(fd), i64::from(VECTORS), 1, i64::from(RESULT)]) {
            SUCCESS => Ok(self.get_u32(RESULT)),
            errno => Err(errno),
        }
    }

    pub(crate) fn unsupported(&self) -> Vec<&'static str> {
        self.store.data().wasi.unsupported().collect()
    }
}

/// Polls a call as a slice loop does: again when the reason of its pause is over.
fn block<R>(
    slot: &PauseSlot,
    clock_ns: &AtomicU64,
    pauses: &mut Vec<Pause>,
    call: impl Future<Output = R>,
) -> R {
    let mut call = pin!(call);
    loop {
        if let Poll::Ready(result) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return result;
        }
        let pause = slot.take().expect("nothing but a pause suspends these guests");
        if let Pause::Until { guest_ns } = pause {
            clock_ns.store(guest_ns, Ordering::Relaxed);
        }
        pauses.push(pause);
    }
}

/// Polls a call that never pauses.
pub(crate) fn finish<R>(call: impl Future<Output = R>) -> R {
    block(&PauseSlot::default(), &AtomicU64::default(), &mut Vec::new(), call)
}

/// A directory on the host and a guest that has it open as `/`, descriptor 3.
pub(crate) struct Sandbox {
    pub(crate) guest: Guest,
    folder: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// A sandbox whose configuration `change` has changed.
    pub(crate) fn with(change: impl FnOnce(&mut WasiConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("inside")).unwrap();
        let mut config = WasiConfig {
            preopens: vec![preopen("/", &folder.path().join("inside"))],
            random: RandomSource::Seeded([7; 32]),
            ..WasiConfig::default()
        };
        change(&mut config);
        Self { guest: Guest::new(config), folder }
    }

    /// The same over a folder that exists.
    pub(crate) fn over(folder: TempDir, change: impl FnOnce(&mut WasiConfig)) -> Self {
        let mut config = WasiConfig {
            preopens: vec![preopen("/", &folder.path().join("inside"))],
            random: RandomSource::Seeded([7; 32]),
            ..WasiConfig::default()
        };
        change(&mut config);
        Self { guest: Guest::new(config), folder }
    }

    /// A path of the host beneath the guest's root.
    pub(crate) fn host(&self, path: &str) -> PathBuf {
        self.folder.path().join("inside").join(path)
    }

    /// A path of the host that the guest must not reach.
    pub(crate) fn outside(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }
}

pub(crate) fn preopen(guest_path: &str, host_path: &Path) -> Preopen {
    Preopen { guest_path: guest_path.to_owned(), host_path: host_path.to_owned(), read_only: false }
}
