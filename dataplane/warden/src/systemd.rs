//! The little of systemd's protocol that is needed: readiness, and sockets that outlive the
//! process (sd_notify(3), sd_pid_notify_with_fds(3), sd_listen_fds(3)). Without systemd all of
//! it does nothing.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The first inherited descriptor.
const FIRST: RawFd = 3;

/// Descriptors that systemd kept for us, by name. Call once, first of all.
pub(crate) fn kept() -> HashMap<String, OwnedFd> {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u32>().ok())
    };
    if number("LISTEN_PID") != Some(std::process::id()) {
        return HashMap::new();
    }
    let count = number("LISTEN_FDS")
        .and_then(|count| RawFd::try_from(count).ok())
        .unwrap_or(0);
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names = names
        .split(':')
        .map(str::to_owned)
        .chain(std::iter::repeat_with(String::new));
    (FIRST..FIRST + count)
        .zip(names)
        .filter_map(|(fd, name)| weir_handover::adopt(fd).ok().map(|fd| (name, fd)))
        .collect()
}

/// Has systemd keep a descriptor for the next start.
pub(crate) fn keep(name: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
    notify(&format!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0"), &[fd])
}

/// Forgets a kept descriptor.
pub(crate) fn forget(name: &str) -> io::Result<()> {
    notify(&format!("FDSTOREREMOVE=1\nFDNAME={name}"), &[])
}

/// Says that the service is ready.
pub(crate) fn ready() -> io::Result<()> {
    notify("READY=1", &[])
}

/// Says that the service is going.
pub(crate) fn stopping() -> io::Result<()> {
    notify("STOPPING=1", &[])
}

fn notify(text: &str, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address(&path)?)?;
    weir_handover::send_packet(socket.as_fd(), text.as_bytes(), fds)
}

/// `@` at the start means an abstract name.
fn address(path: &OsString) -> io::Result<SocketAddr> {
    match path.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name),
        Some(_) | None => SocketAddr::from_pathname(path),
    }
}
