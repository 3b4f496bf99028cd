//! The way to the data plane of this host.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::net::UnixStream;
use weir_handover::HandoverError;
use weir_handover::stdio::{Answer, Ask, ask};

use super::limits::ASK_PATIENCE;

/// Why there is no flow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Closed {
    /// Nobody is there to ask.
    #[error("{0}")]
    Away(String),
    /// It was refused.
    #[error("{0}")]
    Refused(String),
}

/// Asks the warden for flows of one connection.
#[derive(Debug)]
pub(crate) struct Gate {
    socket: PathBuf,
    connection: String,
    /// The server, once it was started; 0 before.
    server: AtomicU32,
}

impl Gate {
    pub(crate) const fn new(socket: PathBuf, connection: String) -> Self {
        Self {
            socket,
            connection,
            server: AtomicU32::new(0),
        }
    }

    /// Whether the server may be started.
    pub(crate) async fn open(&self) -> Result<(), Closed> {
        let connection = self.connection.clone();
        self.ask(Ask::Open { connection }).await.map(drop)
    }

    /// The server is this process.
    pub(crate) fn started(&self, pid: u32) {
        self.server.store(pid, Ordering::Relaxed);
    }

    /// A flow: the client's end, and the server's.
    pub(crate) async fn flow(&self) -> Result<(UnixStream, UnixStream), Closed> {
        let ask = Ask::Flow {
            connection: self.connection.clone(),
            pid: self.server.load(Ordering::Relaxed),
        };
        let ends = self.ask(ask).await?;
        let [client, server] = <[OwnedFd; 2]>::try_from(ends)
            .map_err(|_| Closed::Refused("the data plane gave no flow".to_owned()))?;
        let stream = |end: OwnedFd| {
            let end = std::os::unix::net::UnixStream::from(end);
            end.set_nonblocking(true)
                .and_then(|()| UnixStream::from_std(end))
                .map_err(|error| Closed::Refused(error.to_string()))
        };
        Ok((stream(client)?, stream(server)?))
    }

    async fn ask(&self, question: Ask) -> Result<Vec<OwnedFd>, Closed> {
        let path = self.socket.clone();
        let asked = tokio::task::spawn_blocking(move || ask(&path, &question, ASK_PATIENCE)).await;
        match asked {
            Ok(Ok((Answer::Granted, ends))) => Ok(ends),
            Ok(Ok((Answer::Refused { reason }, _))) => Err(Closed::Refused(reason)),
            Ok(Err(error)) => Err(self.away(&error)),
            Err(error) => Err(Closed::Away(error.to_string())),
        }
    }

    fn away(&self, error: &HandoverError) -> Closed {
        let socket = self.socket.display();
        Closed::Away(match error {
            HandoverError::System { call, source } if *call == "connect" => match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    format!("{socket} may not be opened by this user: {source}")
                }
                _ => format!(
                    "no data plane answers at {socket} ({source}): start weir-dataplane on this host"
                ),
            },
            error => format!("the data plane at {socket} does not answer ({error}): try again"),
        })
    }
}
