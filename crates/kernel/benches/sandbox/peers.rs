//! What the machine's operating system takes for the nearest thing that it does.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crate::output::{Cost, Plan, measure};

/// Name of [`thread_switch`].
pub const SWITCH: &str = "Linux, switch between two threads of one core over a socket pair";
/// Name of [`process`].
pub const PROCESS: &str = "Linux, start and wait for /bin/true";

/// Half a round trip of a byte between two threads on one core: a switch and two system calls.
pub fn thread_switch(plan: &Plan) -> Cost {
    let (here, there) = UnixStream::pair().expect("a socket pair");
    let allowed = rustix::thread::sched_getaffinity(None).expect("an affinity");
    let first = (0..rustix::thread::CpuSet::MAX_CPU).find(|&core| allowed.is_set(core));
    let mut one = rustix::thread::CpuSet::new();
    one.set(first.expect("a core to run on"));
    let pin = move || {
        let _ = rustix::thread::sched_setaffinity(None, &one);
    };
    pin();
    let echo = std::thread::spawn(move || {
        pin();
        let mut byte = [0];
        // Ends when the other side closes.
        while (&there).read_exact(&mut byte).and_then(|()| (&there).write_all(&byte)).is_ok() {}
    });
    let mut byte = [0];
    let round = measure(plan, || {
        (&here).write_all(&byte).and_then(|()| (&here).read_exact(&mut byte)).expect("an echo");
    });
    drop(here);
    echo.join().expect("the echo ends");
    let _ = rustix::thread::sched_setaffinity(None, &allowed);
    Cost { wall: round.wall / 2.0, cpu: round.cpu / 2.0 }
}

/// A process that does nothing, from its start to its end.
pub fn process(plan: &Plan) -> Cost {
    measure(plan, || {
        let mut command = Command::new("/bin/true");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let status = command.status().expect("/bin/true starts");
        assert!(status.success(), "/bin/true succeeds");
    })
}
