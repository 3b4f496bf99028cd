//! `sendmsg` and `recvmsg` with descriptors.
#![expect(
    unsafe_code,
    reason = "std's SCM_RIGHTS is unstable, and it has no SOCK_SEQPACKET"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use crate::limits::DESCRIPTORS_MAX;

/// Bytes of control data for the most descriptors, with the header and its alignment.
const CONTROL_BYTES: usize = 16 + (DESCRIPTORS_MAX * size_of::<RawFd>()).next_multiple_of(8);

/// Aligned as a control message header needs it.
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

impl Control {
    const fn new() -> Self {
        Self([0; CONTROL_BYTES])
    }
}

/// Two connected packet sockets, closed on exec.
pub(crate) fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    pair_of(libc::SOCK_SEQPACKET)
}

/// Two connected stream sockets, blocking, closed on exec.
///
/// # Errors
/// The process is out of descriptors.
pub fn stream_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    pair_of(libc::SOCK_STREAM)
}

fn pair_of(kind: libc::c_int) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [-1; 2];
    // SAFETY: a live place for two descriptors.
    let answer = unsafe {
        libc::socketpair(
            libc::AF_UNIX,
            kind | libc::SOCK_CLOEXEC,
            0,
            fds.as_mut_ptr(),
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel made both for us alone.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// Sends one packet with descriptors over any local packet or datagram socket; also what
/// systemd's descriptor store takes. Never raises SIGPIPE.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if fds.len() > DESCRIPTORS_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut control = Control::new();
    let mut part = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: `msghdr` is plain old data, for which zero is a value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    if !fds.is_empty() {
        let length =
            u32::try_from(size_of_val(fds) / size_of::<BorrowedFd<'_>>() * size_of::<RawFd>())
                .map_err(|_| io::ErrorKind::InvalidInput)?;
        header.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: CMSG_SPACE only computes.
        header.msg_controllen = unsafe { libc::CMSG_SPACE(length) } as _;
        // SAFETY: the control buffer is aligned and large enough for one header and
        // DESCRIPTORS_MAX descriptors, which was checked above.
        unsafe {
            let first = libc::CMSG_FIRSTHDR(&raw const header);
            (*first).cmsg_level = libc::SOL_SOCKET;
            (*first).cmsg_type = libc::SCM_RIGHTS;
            (*first).cmsg_len = libc::CMSG_LEN(length) as _;
            let data = libc::CMSG_DATA(first).cast::<RawFd>();
            for (index, fd) in fds.iter().enumerate() {
                data.add(index).write_unaligned(fd.as_raw_fd());
            }
        }
    }
    loop {
        // SAFETY: everything that the header points to lives until the call returns.
        let sent =
            unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL) };
        if sent >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// One packet: bytes filled of `bytes`, its descriptors, and whether something was cut off.
pub(crate) struct Packet {
    pub(crate) length: usize,
    pub(crate) fds: Vec<OwnedFd>,
    pub(crate) truncated: bool,
}

/// Receives one packet; length 0 means that the peer is gone.
pub(crate) fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<Packet> {
    let mut control = Control::new();
    let mut part = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: `msghdr` is plain old data, for which zero is a value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL_BYTES as _;
    let length = loop {
        // SAFETY: everything that the header points to lives until the call returns.
        let received =
            unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
        match usize::try_from(received) {
            Ok(length) => break length,
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    };
    let truncated = header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
    Ok(Packet {
        length,
        fds: take_descriptors(&header),
        truncated,
    })
}

/// Takes ownership of every descriptor that came, so that none is ever leaked.
fn take_descriptors(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: the header is as recvmsg left it, and its control buffer is still borrowed by
    // our caller; lengths are the kernel's.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(header);
        while !next.is_null() {
            if (*next).cmsg_level == libc::SOL_SOCKET && (*next).cmsg_type == libc::SCM_RIGHTS {
                let data = libc::CMSG_DATA(next).cast::<RawFd>();
                let bytes = (*next).cmsg_len.saturating_sub(libc::CMSG_LEN(0) as _);
                let count = bytes / size_of::<RawFd>();
                fds.extend(
                    (0..count).map(|index| OwnedFd::from_raw_fd(data.add(index).read_unaligned())),
                );
            }
            next = libc::CMSG_NXTHDR(header, next);
        }
    }
    fds
}

/// Whether a descriptor is a local packet socket.
pub(crate) fn is_packet_socket(fd: BorrowedFd<'_>) -> bool {
    option(fd, libc::SO_DOMAIN) == Some(libc::AF_UNIX)
        && option(fd, libc::SO_TYPE) == Some(libc::SOCK_SEQPACKET)
}

fn option(fd: BorrowedFd<'_>, name: libc::c_int) -> Option<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length: libc::socklen_t = 4;
    // SAFETY: a live place of the size that is told.
    let answer = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    (answer == 0).then_some(value)
}

/// Receives one packet's bytes. Descriptors in it are dropped by the kernel: closing one of a
/// stranger's here could make us wait for its owner.
pub(crate) fn receive_bytes(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<Packet> {
    loop {
        // SAFETY: a live buffer of the length that is told.
        let received = unsafe {
            libc::recv(
                socket.as_raw_fd(),
                bytes.as_mut_ptr().cast(),
                bytes.len(),
                // Tells the packet's own length, however much of it fits.
                libc::MSG_TRUNC,
            )
        };
        if let Ok(length) = usize::try_from(received) {
            return Ok(Packet {
                length: length.min(bytes.len()),
                fds: Vec::new(),
                truncated: length > bytes.len(),
            });
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn packet_socket() -> io::Result<OwnedFd> {
    // SAFETY: plain numbers.
    let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0) };
    owned(fd)
}

fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel made it for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A path as the kernel takes it, with its length.
fn address(path: &Path) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    // SAFETY: `sockaddr_un` is plain old data, for which zero is a value.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let bytes = path.as_os_str().as_bytes();
    // One byte is left for the NUL.
    if bytes.is_empty() || bytes.contains(&0) || bytes.len() >= address.sun_path.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = from.cast_signed();
    }
    let length = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    Ok((address, length))
}

/// A packet socket that listens at a path.
pub(crate) fn listen_packets(path: &Path) -> io::Result<OwnedFd> {
    let (socket, (address, length)) = (packet_socket()?, address(path)?);
    // SAFETY: a live address of the length that is told.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    // SAFETY: plain numbers.
    if bound < 0 || unsafe { libc::listen(socket.as_raw_fd(), libc::SOMAXCONN) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

/// A packet socket that is connected to a path.
pub(crate) fn connect_packets(path: &Path) -> io::Result<OwnedFd> {
    let (socket, (address, length)) = (packet_socket()?, address(path)?);
    // SAFETY: a live address of the length that is told.
    let answer = unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

/// Waits for a connection.
pub(crate) fn accept(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: the peer's address is not asked for.
    let fd = unsafe {
        libc::accept4(
            socket.as_raw_fd(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            libc::SOCK_CLOEXEC,
        )
    };
    owned(fd)
}

/// The process that connected a local socket.
#[derive(Debug)]
pub struct Peer {
    /// Its number when it connected; 0 where it cannot be seen from here.
    pub pid: u32,
    /// Its effective user id then.
    pub uid: u32,
    /// Its effective group id then.
    pub gid: u32,
    /// The process itself, whatever becomes of its number.
    pub pidfd: OwnedFd,
}

/// Who connected a local socket, as the kernel noted it (`SO_PEERCRED`, `SO_PEERPIDFD`).
pub(crate) fn peer(socket: BorrowedFd<'_>) -> io::Result<Peer> {
    let mut credentials = libc::ucred {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: a live place of the size that is told.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut length,
        )
    };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    let pidfd = option(socket, libc::SO_PEERPIDFD).ok_or_else(io::Error::last_os_error)?;
    Ok(Peer {
        pid: credentials.pid.cast_unsigned(),
        uid: credentials.uid,
        gid: credentials.gid,
        pidfd: owned(pidfd)?,
    })
}

/// Receiving gives up after this long.
pub(crate) fn set_receive_timeout(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<()> {
    set_timeout(fd, libc::SO_RCVTIMEO, timeout)
}

/// Sending gives up after this long.
pub(crate) fn set_send_timeout(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<()> {
    set_timeout(fd, libc::SO_SNDTIMEO, timeout)
}

fn set_timeout(fd: BorrowedFd<'_>, name: libc::c_int, timeout: Duration) -> io::Result<()> {
    let value = libc::timeval {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_usec: timeout.subsec_micros().into(),
    };
    // SAFETY: a live value of the size that is told.
    let answer = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            (&raw const value).cast(),
            u32::try_from(size_of::<libc::timeval>()).unwrap_or(16),
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Takes an inherited descriptor by its number, closed on exec from now on. Fails where the
/// number is not open. The caller vouches that nobody else in the process owns it; call it
/// before anything else is opened or closed.
pub fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl of a number; one that is not open is an error.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and by the contract of `inherit` nobody else in this process has it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
