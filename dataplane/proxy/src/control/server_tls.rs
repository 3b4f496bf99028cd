//! TLS of Weir's own sessions towards Postgres servers: what `tokio-postgres` needs to
//! speak through rustls, verified as the connection's `sslmode` says.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config};
use tokio_rustls::TlsConnector;
use weir_flow::{Connection, Credential, TlsMode};

use super::answers::{Answers, Cleartext, Watched};
use crate::tls::{Connector, Speaks, Verify, server_end_point};

/// How long a session may take until it is open.
const OPEN_MAX: Duration = Duration::from_secs(10);

/// Opens sessions with the encryption that each connection asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServerTls;

impl ServerTls {
    /// Connects and lets the session run on this thread.
    ///
    /// # Errors
    /// Whatever stands between Weir and the server, named.
    pub(crate) async fn connect(
        &self,
        connection: &Connection,
        credential: &Credential,
        config: &mut Config,
    ) -> Result<Client> {
        config.ssl_mode(match connection.tls.mode {
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require | TlsMode::VerifyFull => SslMode::Require,
        });
        let address = connection
            .addresses
            .first()
            .with_context(|| format!("{} has no address", connection.name))?;
        let name = connection
            .tls
            .server_name
            .as_deref()
            .map_or_else(|| address.ip().to_string(), str::to_owned);
        let own = credential.certificate.as_ref();
        let connector = Connector::new(&name, &connection.tls.ca_pem, Speaks::Postgres, own)?;
        let verify = match connection.tls.mode {
            TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => Verify::Nothing,
            TlsMode::VerifyFull => Verify::Full,
        };
        let tls = connector
            .config(verify)
            .context("verify-full needs the certificates to trust")?;
        let maker = Maker {
            config: tls,
            name: connector.name(),
            cleartext: match connection.tls.mode {
                TlsMode::VerifyFull => Cleartext::Allowed,
                TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => Cleartext::Refused,
            },
        };
        let open = async {
            let stream = TcpStream::connect(address).await.context("connect")?;
            stream.set_nodelay(true).context("TCP_NODELAY")?;
            // Outside TLS the answers can be read here; inside it, behind the decryption.
            let answers = match connection.tls.mode {
                TlsMode::Disable => Answers::begin(Cleartext::Refused),
                TlsMode::Prefer | TlsMode::Require | TlsMode::VerifyFull => {
                    Answers::after_ssl_request()
                }
            };
            let stream = Watched { stream, answers };
            Ok::<_, anyhow::Error>(config.connect_raw(stream, maker).await?)
        };
        let (client, session) = tokio::time::timeout(OPEN_MAX, open)
            .await
            .context("no answer in time")
            .and_then(|opened| opened)
            .with_context(|| format!("cannot open {}", connection.name))?;
        let name = connection.name.clone();
        tokio::task::spawn_local(async move {
            if let Err(error) = session.await {
                tracing::warn!(connection = %name, %error, "catalogue session ended");
            }
        });
        Ok(client)
    }
}

/// What TLS is made with.
struct Maker {
    config: Arc<rustls::ClientConfig>,
    name: ServerName<'static>,
    cleartext: Cleartext,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> TlsConnect<S> for Maker {
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted<S>>>>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let connector = TlsConnector::from(self.config);
            let stream = connector.connect(self.name, stream).await?;
            let answers = Answers::begin(self.cleartext);
            Ok(Encrypted(Watched { stream, answers }))
        })
    }
}

struct Encrypted<S>(Watched<tokio_rustls::client::TlsStream<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    // Where the certificate has no binding the session falls back to plain SCRAM, inside TLS.
    fn channel_binding(&self) -> ChannelBinding {
        let (_, session) = self.0.stream.get_ref();
        let leaf = session.peer_certificates().and_then(<[_]>::first);
        leaf.and_then(|leaf| server_end_point(leaf))
            .map_or_else(ChannelBinding::none, |digest| {
                ChannelBinding::tls_server_end_point(digest.0.to_vec())
            })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}
