use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits::MESSAGE_BYTES_MAX;
use crate::message::{ToProxy, ToWarden};
use crate::sys;

/// The descriptor that a proxy finds its end at, after the three standard ones.
const PROXY_FD: RawFd = 3;

/// Why a message could not be sent or received. After any of them the conversation is over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandoverError {
    /// The socket.
    #[error("{call}: {source}")]
    System {
        /// Name of the system call.
        call: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// A message or its descriptors are more than a packet may carry.
    #[error("a message of more than {MESSAGE_BYTES_MAX} bytes or too many descriptors")]
    TooLarge,
    /// The peer sent something that is no message.
    #[error("not a message: {0}")]
    Malformed(serde_json::Error),
    /// This process was not started by a warden.
    #[error(
        "descriptor {PROXY_FD} is not a warden's socket: weir-proxy is started by weir-dataplane, not by hand"
    )]
    NotInherited,
}

/// One end of the conversation: sends `Out`, receives `In`. Packets are whole and in order.
/// Both methods take `&self`, so one thread can receive while others send.
#[derive(Debug)]
pub struct Channel<Out, In> {
    socket: OwnedFd,
    kinds: PhantomData<fn(Out) -> In>,
}

/// The warden's end.
pub type WardenEnd = Channel<ToProxy, ToWarden>;

/// The proxy's end.
pub type ProxyEnd = Channel<ToWarden, ToProxy>;

/// Makes both ends, closed on exec.
pub fn pair() -> io::Result<(WardenEnd, ProxyEnd)> {
    let (warden, proxy) = sys::socket_pair()?;
    Ok((Channel::new(warden), Channel::new(proxy)))
}

/// The proxy's end in a process that a warden started. Call it once, before any other
/// descriptor is opened or closed.
pub fn inherit() -> Result<ProxyEnd, HandoverError> {
    let socket = sys::adopt(PROXY_FD).map_err(|_| HandoverError::NotInherited)?;
    if sys::is_packet_socket(socket.as_fd()) {
        Ok(Channel::new(socket))
    } else {
        Err(HandoverError::NotInherited)
    }
}

impl ProxyEnd {
    /// The number under which a warden leaves this end open in the process that it starts.
    pub const DESCRIPTOR: RawFd = PROXY_FD;
}

impl<Out, In> Channel<Out, In> {
    const fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            kinds: PhantomData,
        }
    }

    /// Sending to a peer that does not read gives up after this long with an error.
    pub fn set_send_timeout(&self, timeout: Duration) -> io::Result<()> {
        sys::set_send_timeout(self.socket.as_fd(), timeout)
    }

    /// The socket alone, to hand it to a child or to put it in a ring or a poll.
    #[must_use]
    pub fn into_socket(self) -> OwnedFd {
        self.socket
    }

    /// A second handle of the same end.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.socket.try_clone().map(Self::new)
    }
}

impl<Out: Serialize, In: DeserializeOwned> Channel<Out, In> {
    /// Sends one message with descriptors; waits while the socket's buffer is full.
    pub fn send(&self, message: &Out, descriptors: &[BorrowedFd<'_>]) -> Result<(), HandoverError> {
        let bytes = serde_json::to_vec(message).map_err(HandoverError::Malformed)?;
        if bytes.len() > MESSAGE_BYTES_MAX || descriptors.len() > crate::limits::DESCRIPTORS_MAX {
            return Err(HandoverError::TooLarge);
        }
        sys::send(self.socket.as_fd(), &bytes, descriptors).map_err(|source| {
            HandoverError::System {
                call: "sendmsg",
                source,
            }
        })
    }

    /// Waits for one message. `None` means that the other process is gone.
    pub fn receive(&self) -> Result<Option<(In, Vec<OwnedFd>)>, HandoverError> {
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let packet = sys::receive(self.socket.as_fd(), &mut bytes).map_err(|source| {
            HandoverError::System {
                call: "recvmsg",
                source,
            }
        })?;
        if packet.truncated {
            return Err(HandoverError::TooLarge);
        }
        let Some(message) = bytes
            .get(..packet.length)
            .filter(|message| !message.is_empty())
        else {
            return Ok(None);
        };
        let message = serde_json::from_slice(message).map_err(HandoverError::Malformed)?;
        Ok(Some((message, packet.fds)))
    }
}

impl<Out, In> AsFd for Channel<Out, In> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Seek as _, Write as _};

    use super::*;
    use crate::message::Attest;

    fn attest(request: u64) -> ToWarden {
        ToWarden::Attest(Attest {
            request,
            tgid: 1,
            uid: 2,
            gid: 3,
            cgroup_id: 4,
            connect_boottime_ns: 5,
        })
    }

    #[test]
    fn messages_and_descriptors_arrive_whole_and_in_order() {
        let (warden, proxy) = pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"signed").unwrap();
        proxy.send(&attest(1), &[]).unwrap();
        proxy
            .send(
                &ToWarden::ApplyGuards { request: 2 },
                &[file.as_fd(), file.as_fd()],
            )
            .unwrap();
        let (first, none) = warden.receive().unwrap().unwrap();
        assert_eq!((first, none.len()), (attest(1), 0));
        let (second, mut fds) = warden.receive().unwrap().unwrap();
        assert_eq!(
            (second, fds.len()),
            (ToWarden::ApplyGuards { request: 2 }, 2)
        );
        let mut received = File::from(fds.remove(0));
        received.rewind().unwrap();
        let mut text = String::new();
        received.read_to_string(&mut text).unwrap();
        assert_eq!(text, "signed");
    }

    #[test]
    fn a_peer_that_is_gone_is_told_from_one_that_errs() {
        let (warden, proxy) = pair().unwrap();
        drop(proxy);
        assert!(warden.receive().unwrap().is_none());
        assert!(matches!(
            warden.send(&ToProxy::Drain { deadline_ms: 1 }, &[]),
            Err(HandoverError::System { .. })
        ));
    }

    #[test]
    fn what_is_no_message_of_the_peer_is_refused() {
        let (warden, proxy) = sys::socket_pair().unwrap();
        let warden: WardenEnd = Channel::new(warden);
        let nonsense: [&[u8]; 5] = [
            b"x",
            b"{}",
            b"\"Drained\" ",
            b"{\"Alive\":{\"extra\":1}}",
            br#"{"Drain":{"deadline_ms":1}}"#,
        ];
        let mut refused = 0;
        for bytes in nonsense {
            sys::send(proxy.as_fd(), bytes, &[]).unwrap();
            refused += usize::from(matches!(warden.receive(), Err(HandoverError::Malformed(_))));
        }
        assert_eq!(
            refused, 4,
            "all but the one that is a message with a space behind it"
        );
        sys::send(proxy.as_fd(), &vec![b' '; MESSAGE_BYTES_MAX + 1], &[]).unwrap();
        assert!(matches!(warden.receive(), Err(HandoverError::TooLarge)));
    }

    #[test]
    fn too_many_descriptors_are_not_sent() {
        let (_warden, proxy) = pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        let many = vec![file.as_fd(); crate::limits::DESCRIPTORS_MAX + 1];
        assert!(matches!(
            proxy.send(&attest(1), &many),
            Err(HandoverError::TooLarge)
        ));
    }

    #[test]
    fn the_most_descriptors_arrive() {
        let (warden, proxy) = pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        warden
            .send(
                &ToProxy::Drain { deadline_ms: 1 },
                &vec![file.as_fd(); crate::limits::DESCRIPTORS_MAX],
            )
            .unwrap();
        let (_, fds) = proxy.receive().unwrap().unwrap();
        assert_eq!(fds.len(), crate::limits::DESCRIPTORS_MAX);
    }
}
