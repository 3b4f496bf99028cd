//! Who is this accepted socket: right even when the port was reused.

use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use weir_redirect::{Counter, FlowStore, Listeners, LoadBoard};

use crate::Test;
use crate::bed::{Bed, finish, mono_ns, read_all};

pub(crate) const TESTS: &[Test] = &[
    (
        "the_right_caller_is_named_when_a_port_is_reused_after_a_reset",
        reused_port,
    ),
    (
        "an_unprivileged_worker_needs_only_descriptors",
        an_unprivileged_worker_needs_only_descriptors,
    ),
    (
        "a_busy_worker_passes_connections_on",
        a_busy_worker_passes_connections_on,
    ),
];

/// One worker that accepts only when it is told to.
fn lone_listener(bed: &Bed) -> Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let base_port = listener.local_addr()?.port();
    bed.redirect.set_listeners(Listeners {
        base_port,
        workers: 1,
        heartbeat_ttl: Duration::from_secs(60),
    })?;
    Ok(listener)
}

fn reused_port() -> Result<()> {
    let bed = Bed::new()?;
    let listener = lone_listener(&bed)?;
    let store = FlowStore::new(bed.redirect.flow_store_fd()?);
    let source = TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port()
        .to_string();
    let target = format!("192.0.2.1:{}", bed.target.port);
    let other = format!("192.0.2.2:{}", bed.target.port);
    let first = bed
        .client("clients", &["from-port", &source, &target, "first"])?
        .concat();
    let second = bed
        .client("clients", &["from-port", &source, &other, "second"])?
        .concat();
    ensure!(first != second);
    for (tgid, destination) in [(first, target), (second, other)] {
        let (stream, peer) = listener.accept()?;
        ensure!(
            peer.port().to_string() == source,
            "both came from the same port"
        );
        let origin = store.origin(stream.as_fd())?.context("no origin")?;
        ensure!(
            origin.caller.tgid.to_string() == tgid,
            "{origin:?}, not {tgid}"
        );
        ensure!(origin.destination.to_string() == destination, "{origin:?}");
    }
    Ok(())
}

fn an_unprivileged_worker_needs_only_descriptors() -> Result<()> {
    let bed = Bed::new()?;
    let listener = lone_listener(&bed)?;
    let client = bed.spawn("clients", &["connect", &bed.target.v4()])?;
    let tgid = client.id();
    let (stream, _) = listener.accept()?;
    let mut worker = Command::new(std::env::current_exe()?);
    worker
        .arg("client")
        .arg(bed.cgroup("weir"))
        .arg("unprivileged");
    worker
        .stdin(Stdio::from(bed.redirect.flow_store_fd()?))
        .stdout(Stdio::piped());
    pass(&mut worker, stream.as_fd().try_clone_to_owned()?, 3);
    pass(&mut worker, bed.redirect.load_board_fd()?, 4);
    let lines = finish(worker.spawn()?)?;
    ensure!(
        lines == [format!("{} {tgid} true false", bed.target.v4())],
        "{lines:?}"
    );
    // The command keeps the descriptors that it passed on.
    drop((stream, worker));
    ensure!(finish(client)?.len() == 1);
    Ok(())
}

/// Leaves a descriptor open under a number in the child.
fn pass(command: &mut Command, fd: OwnedFd, number: i32) {
    #[expect(unsafe_code, reason = "std passes no descriptor but the first three")]
    // SAFETY: dup2 is async-signal-safe, and the descriptor lives as long as the closure.
    unsafe {
        command.pre_exec(move || {
            if libc::dup2(fd.as_raw_fd(), number) < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
}

/// The placement rule in the kernel: a lead of more than four active flows turns the next
/// connection away from the caller's own worker.
fn a_busy_worker_passes_connections_on() -> Result<()> {
    let bed = Bed::new()?;
    // Every CPU belongs to worker 0.
    (0..2).try_for_each(|cpu| bed.redirect.set_cpu_worker(cpu, 0))?;
    let board = LoadBoard::map(bed.redirect.load_board_fd()?)?;
    let (mine, other) = (
        board.cell(0).context("cell 0")?,
        board.cell(1).context("cell 1")?,
    );
    let worker = |active: u64| -> Result<String> {
        mine.settle();
        other.settle();
        mine.epoch(mono_ns(), active, 0);
        other.epoch(mono_ns(), 0, 0);
        // Right away: an epoch is believed for 100 ms, less than a process needs here.
        let line = read_all(std::net::TcpStream::connect(bed.target.v4())?)?;
        Ok(line.rsplit('=').next().unwrap_or_default().to_owned())
    };
    // This process connects as a client.
    crate::bed::enter(&bed.cgroup("clients"))?;
    let answers = [0, 4, 5, 50].map(worker);
    crate::bed::enter(&bed.cgroup("weir"))?;
    let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
    ensure!(answers == ["0", "0", "1", "1"], "{answers:?}");
    ensure!(bed.count(Counter::Redirected)? == 4);
    Ok(())
}
