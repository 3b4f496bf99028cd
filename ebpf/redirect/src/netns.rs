use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};

use crate::{Error, sys};

/// The cookie by which the programs know a network namespace: of the given socket's, or,
/// without one, of the calling thread's.
pub fn netns_cookie(socket: Option<BorrowedFd<'_>>) -> Result<u64, Error> {
    let cookie = match socket {
        Some(socket) => sys::netns_cookie(socket),
        // Unbound would do; std offers none. Port 0 of loopback disturbs nobody.
        None => UdpSocket::bind("127.0.0.1:0")
            .or_else(|_| UdpSocket::bind("0.0.0.0:0"))
            .and_then(|socket| sys::netns_cookie(socket.as_fd())),
    };
    cookie.map_err(Error::system("getsockopt", "SO_NETNS_COOKIE"))
}
