//! TLS of Weir's own sessions towards Postgres servers: what `tokio-postgres` needs to
//! speak through rustls, verified as the connection's `sslmode` says.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use anyhow::{Context, Result};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config};
use tokio_rustls::TlsConnector;
use weir_flow::{Connection, TlsMode};

use crate::tls::{Connector, Speaks, Verify};

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
        let connector = Connector::new(&name, &connection.tls.ca_pem, Speaks::Postgres)?;
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
        };
        let (client, session) = config
            .connect(maker)
            .await
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

#[derive(Clone)]
struct Maker {
    config: Arc<rustls::ClientConfig>,
    name: ServerName<'static>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> MakeTlsConnect<S> for Maker {
    type Stream = Encrypted<S>;
    type TlsConnect = Connect;
    type Error = io::Error;

    fn make_tls_connect(&mut self, _host: &str) -> io::Result<Connect> {
        Ok(Connect {
            connector: TlsConnector::from(self.config.clone()),
            name: self.name.clone(),
        })
    }
}

struct Connect {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> TlsConnect<S> for Connect {
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted<S>>>>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            self.connector
                .connect(self.name, stream)
                .await
                .map(Encrypted)
        })
    }
}

struct Encrypted<S>(tokio_rustls::client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    // Without binding the session falls back to plain SCRAM, inside TLS.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
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
