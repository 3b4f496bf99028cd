//! What `weir mcp run` asks of the warden: flows to a server that it has started itself.
//!
//! A socket of the warden's that every local user may connect to. Whoever asks is attested by
//! the kernel, each time. The warden makes both links itself and gives the asker its ends: no
//! descriptor of a client's ever reaches the warden or the proxy.
//!
//! One question and one answer for each connection: [`ask`] at one end, [`Listener`] at the other.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::HandoverError;
use crate::limits::{ASK_BYTES_MAX, MESSAGE_BYTES_MAX};
use crate::sys::{self, Packet};

pub use crate::sys::{Peer, stream_pair};

/// The socket's name in the warden's runtime directory.
pub const SOCKET: &str = "stdio.sock";

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Ask {
    /// May such a server be started at all?
    Open {
        /// Which registered server.
        connection: String,
    },
    /// A flow to it.
    Flow {
        /// Which registered server.
        connection: String,
        /// The asker's child that is that server.
        pid: u32,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Answer {
    /// It may; a flow's two descriptors come with it: the client's end and the server's.
    Granted,
    /// It may not.
    Refused {
        /// Why, and what to do, for whoever reads the client's log.
        reason: String,
    },
}

/// Asks, and waits for the answer.
///
/// # Errors
/// Nobody listens, or nobody answers in time, or what came is no answer.
pub fn ask(
    path: &Path,
    ask: &Ask,
    patience: Duration,
) -> Result<(Answer, Vec<OwnedFd>), HandoverError> {
    let system = |call| move |source| HandoverError::System { call, source };
    let socket = sys::connect_packets(path).map_err(system("connect"))?;
    sys::set_send_timeout(socket.as_fd(), patience).map_err(system("setsockopt"))?;
    sys::set_receive_timeout(socket.as_fd(), patience).map_err(system("setsockopt"))?;
    let bytes = serde_json::to_vec(ask).map_err(HandoverError::Malformed)?;
    sys::send(socket.as_fd(), &bytes, &[]).map_err(system("sendmsg"))?;
    let mut bytes = vec![0; MESSAGE_BYTES_MAX];
    let packet = sys::receive(socket.as_fd(), &mut bytes).map_err(system("recvmsg"))?;
    if packet.length == 0 {
        let source = io::ErrorKind::ConnectionReset.into();
        return Err(system("recvmsg")(source));
    }
    Ok((parse(&bytes, &packet)?, packet.fds))
}

fn parse<T: DeserializeOwned>(bytes: &[u8], packet: &Packet) -> Result<T, HandoverError> {
    if packet.truncated {
        return Err(HandoverError::TooLarge);
    }
    serde_json::from_slice(bytes.get(..packet.length).unwrap_or_default())
        .map_err(HandoverError::Malformed)
}

/// The warden's listening socket.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl Listener {
    /// Binds the path, which every local user may connect to. What was there goes: it is a socket
    /// of a warden that is gone.
    ///
    /// # Errors
    /// The directory is not there, or not ours.
    pub fn bind(path: &Path) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let socket = sys::listen_packets(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o666))?;
        Ok(Self(socket))
    }

    /// Waits for somebody who asks.
    ///
    /// # Errors
    /// Out of descriptors, mostly.
    pub fn accept(&self) -> io::Result<Asker> {
        sys::accept(self.0.as_fd()).map(Asker)
    }
}

/// Somebody who asks.
#[derive(Debug)]
pub struct Asker(OwnedFd);

impl Asker {
    /// Who connected, as the kernel noted it then.
    ///
    /// # Errors
    /// The kernel is older than 6.5, or the process is gone.
    pub fn peer(&self) -> io::Result<Peer> {
        sys::peer(self.0.as_fd())
    }

    /// What is asked. Descriptors that come with it are never received.
    ///
    /// # Errors
    /// It does not come in time, or is no question.
    pub fn receive(&self, patience: Duration) -> Result<Ask, HandoverError> {
        let system = |call| move |source| HandoverError::System { call, source };
        sys::set_receive_timeout(self.0.as_fd(), patience).map_err(system("setsockopt"))?;
        let mut bytes = vec![0; ASK_BYTES_MAX];
        let packet = sys::receive_bytes(self.0.as_fd(), &mut bytes).map_err(system("recv"))?;
        parse(&bytes, &packet)
    }

    /// Answers.
    ///
    /// # Errors
    /// The asker is gone.
    pub fn answer(&self, answer: &Answer, ends: &[OwnedFd]) -> Result<(), HandoverError> {
        let bytes = serde_json::to_vec(answer).map_err(HandoverError::Malformed)?;
        let ends: Vec<_> = ends.iter().map(|end| end.as_fd()).collect();
        sys::send(self.0.as_fd(), &bytes, &ends).map_err(|source| HandoverError::System {
            call: "sendmsg",
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn open() -> Ask {
        Ask::Open {
            connection: "files".into(),
        }
    }

    #[test]
    fn a_question_is_answered_with_both_ends_and_the_asker_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SOCKET);
        let listener = Listener::bind(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o666);
        let warden = std::thread::spawn(move || {
            let asker = listener.accept().unwrap();
            let (peer, asked) = (asker.peer().unwrap(), asker.receive(PATIENCE).unwrap());
            let ((client, ours), (server, _)) = (stream_pair().unwrap(), stream_pair().unwrap());
            asker.answer(&Answer::Granted, &[client, server]).unwrap();
            UnixStream::from(ours).write_all(b"judged").unwrap();
            (peer, asked)
        });
        let (answer, mut ends) = ask(&path, &open(), PATIENCE).unwrap();
        assert_eq!((answer, ends.len()), (Answer::Granted, 2));
        let mut text = String::new();
        UnixStream::from(ends.remove(0))
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "judged");
        let (peer, asked) = warden.join().unwrap();
        assert_eq!((peer.pid, asked), (std::process::id(), open()));
    }

    #[test]
    fn descriptors_that_come_with_a_question_are_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SOCKET);
        let listener = Listener::bind(&path).unwrap();
        let socket = sys::connect_packets(&path).unwrap();
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let bytes = serde_json::to_vec(&open()).unwrap();
        sys::send(socket.as_fd(), &bytes, &[theirs.as_fd()]).unwrap();
        drop(theirs);
        let asker = listener.accept().unwrap();
        assert_eq!(asker.receive(PATIENCE).unwrap(), open());
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(
            ours.read(&mut [0]).unwrap(),
            0,
            "the last copy of the other end is closed"
        );
    }

    #[test]
    fn what_is_no_question_is_refused_and_nobody_is_waited_for_forever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SOCKET);
        let listener = Listener::bind(&path).unwrap();
        for (said, too_large) in [
            (b"{\"Open\":{}}".to_vec(), false),
            (vec![b'x'; ASK_BYTES_MAX + 1], true),
        ] {
            let socket = sys::connect_packets(&path).unwrap();
            sys::send(socket.as_fd(), &said, &[]).unwrap();
            let error = listener.accept().unwrap().receive(PATIENCE).unwrap_err();
            assert_eq!(matches!(error, HandoverError::TooLarge), too_large);
        }
        let _silent = sys::connect_packets(&path).unwrap();
        let asker = listener.accept().unwrap();
        assert!(asker.receive(Duration::from_millis(10)).is_err());
        let nobody = folder.path().join("nobody");
        assert!(ask(&nobody, &open(), PATIENCE).is_err());
    }
}
