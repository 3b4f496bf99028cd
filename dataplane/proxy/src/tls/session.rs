//! One link's TLS: ciphertext in, plaintext out, and the reverse. Owns no socket and no clock.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rustls::{ClientConnection, Connection, ServerConfig, ServerConnection};
use weir_facts::Digest;

use super::acceptor::Acceptor;
use super::binding::server_end_point;
use super::connector::{Connector, Verify};
use super::names::names;

/// Plaintext taken at once: what one record carries (RFC 8446 §5.1).
const RECORD_BYTES: usize = 16 * 1024;

/// Whether the client must name its protocol: TLS that begins without SSLRequest could be meant
/// for any server, and ALPN is what tells (PostgreSQL 17 refuses it as well).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// It must.
    Required,
    /// It may.
    Optional,
}

/// What feeding ciphertext led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fed {
    /// The handshake goes on.
    Handshaking,
    /// The handshake just ended well; said once.
    Up {
        /// `tls-server-end-point` of this link (RFC 5929), where it is defined.
        channel_binding: Option<Digest>,
        /// What the certificate of a client names, which was verified.
        names: Arc<[Arc<str>]>,
    },
    /// Plaintext, if any, was appended.
    Open,
    /// The peer sent close_notify: it will send no more.
    Closed,
}

/// One link's TLS.
pub struct Session {
    connection: Connection,
    alpn: Alpn,
    our_leaf: Option<Digest>,
    is_up: bool,
}

impl Session {
    /// Answers a client with the acceptor's leaf, as one of its configurations says.
    ///
    /// # Errors
    /// The configuration cannot serve.
    pub fn accept(
        acceptor: &Acceptor,
        config: Arc<ServerConfig>,
        alpn: Alpn,
    ) -> Result<Self, rustls::Error> {
        let connection = ServerConnection::new(config)?;
        Ok(Self::new(connection.into(), alpn, Some(acceptor.digest())))
    }

    /// Greets a server; the first flight is in [`Session::take_ciphertext`].
    ///
    /// # Errors
    /// Full verification without roots.
    pub fn connect(connector: &Connector, verify: Verify) -> Result<Self, rustls::Error> {
        let config = connector.config(verify).ok_or_else(|| {
            rustls::Error::General("verify-full without root certificates".to_owned())
        })?;
        let connection = ClientConnection::new(config, connector.name())?;
        Ok(Self::new(connection.into(), Alpn::Optional, None))
    }

    fn new(mut connection: Connection, alpn: Alpn, our_leaf: Option<Digest>) -> Self {
        // The link's own marks bound what is queued; a second bound would only split writes.
        connection.set_buffer_limit(None);
        Self {
            connection,
            alpn,
            our_leaf,
            is_up: false,
        }
    }

    /// Takes ciphertext and appends plaintext. After [`Fed::Up`], call again with what is left.
    ///
    /// # Errors
    /// The peer broke the protocol or failed verification. [`Session::take_ciphertext`] then has
    /// the alert.
    pub fn feed(
        &mut self,
        ciphertext: &mut &[u8],
        plaintext: &mut BytesMut,
    ) -> Result<Fed, rustls::Error> {
        loop {
            let state = self.connection.process_new_packets()?;
            self.take_plaintext(state.plaintext_bytes_to_read(), plaintext)?;
            if !self.is_up && !self.connection.is_handshaking() {
                return self.come_up();
            }
            if state.peer_has_closed() {
                return Ok(Fed::Closed);
            }
            if ciphertext.is_empty() {
                return Ok(if self.is_up {
                    Fed::Open
                } else {
                    Fed::Handshaking
                });
            }
            let taken = self
                .connection
                .read_tls(ciphertext)
                .map_err(|error| rustls::Error::General(error.to_string()))?;
            if taken == 0 {
                return Err(rustls::Error::General(
                    "the record buffer takes no more".to_owned(),
                ));
            }
        }
    }

    fn come_up(&mut self) -> Result<Fed, rustls::Error> {
        if self.alpn == Alpn::Required && self.connection.alpn_protocol().is_none() {
            return Err(rustls::Error::NoApplicationProtocol);
        }
        self.is_up = true;
        let peer = self.connection.peer_certificates().and_then(<[_]>::first);
        let names = match (&self.connection, peer) {
            (Connection::Server(_), Some(certificate)) => names(certificate),
            (Connection::Server(_) | Connection::Client(_), _) => Arc::from([]),
        };
        let binding = || peer.and_then(|leaf| server_end_point(leaf));
        Ok(Fed::Up {
            channel_binding: self.our_leaf.or_else(binding),
            names,
        })
    }

    fn take_plaintext(
        &mut self,
        count: usize,
        plaintext: &mut BytesMut,
    ) -> Result<(), rustls::Error> {
        let mut left = count;
        while left > 0 {
            let start = plaintext.len();
            let step = left.min(RECORD_BYTES);
            plaintext.resize(start + step, 0);
            let target = plaintext.get_mut(start..).unwrap_or_default();
            let read = self
                .connection
                .reader()
                .read(target)
                .map_err(|error| rustls::Error::General(error.to_string()))?;
            plaintext.truncate(start + read);
            if read == 0 {
                break;
            }
            left -= read;
        }
        Ok(())
    }

    /// Encrypts runs of plaintext as one; the result is in [`Session::take_ciphertext`].
    ///
    /// # Errors
    /// The connection can encrypt no more.
    pub fn seal(&mut self, runs: &[IoSlice<'_>]) -> io::Result<()> {
        let total: usize = runs.iter().map(|run| run.len()).sum();
        let mut writer = self.connection.writer();
        // Without a buffer limit everything is taken at once; anything else would reorder bytes.
        match writer.write_vectored(runs)? {
            taken if taken == total => Ok(()),
            _ => Err(io::Error::new(
                io::ErrorKind::WriteZero,
                "TLS took only a part",
            )),
        }
    }

    /// Says that nothing more will be sent (close_notify).
    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }

    /// What is to be sent on the link.
    ///
    /// # Errors
    /// Never, in practice: it writes to memory.
    pub fn take_ciphertext(&mut self) -> io::Result<Option<Bytes>> {
        if !self.connection.wants_write() {
            return Ok(None);
        }
        let mut ciphertext = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut ciphertext)?;
        }
        Ok(Some(Bytes::from(ciphertext)))
    }
}

#[cfg(test)]
mod tests;
