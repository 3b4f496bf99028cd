//! One GET over HTTP/1.1, of a JSON document that an issuer publishes. TLS is verified; without TLS
//! only this host is asked. Redirects are not followed: an issuer's keys are where it says.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use axum::body::Body;
use axum::http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long a document may take: a login waits for it.
const ANSWER_MAX: Duration = Duration::from_secs(4);

/// Largest document; a key set of 64 keys with their certificates is smaller.
const DOCUMENT_BYTES_MAX: usize = 256 << 10;

/// Gets a document.
pub(super) async fn get(url: &str, ca_pem: Option<&str>) -> anyhow::Result<String> {
    tokio::time::timeout(ANSWER_MAX, ask(url, ca_pem))
        .await
        .unwrap_or_else(|_| bail!("no answer within {} s", ANSWER_MAX.as_secs()))
        .with_context(|| format!("GET {url}"))
}

/// Whether a URL may be asked: https, or http on this host.
pub(super) fn check_url(url: &str) -> anyhow::Result<Uri> {
    let uri: Uri = url
        .parse()
        .with_context(|| format!("{url:?} is not a URL"))?;
    let host = uri
        .host()
        .with_context(|| format!("{url:?} names no host"))?;
    let is_plain_text = url.chars().all(|character| character.is_ascii_graphic());
    let has_user = uri
        .authority()
        .is_some_and(|part| part.as_str().contains('@'));
    ensure!(
        is_plain_text && !has_user,
        "{url:?} has characters or a user, which it may not"
    );
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_loopback(host) => Ok(uri),
        _ => bail!("{url} is not https: its keys could be anybody's"),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

async fn ask(url: &str, ca_pem: Option<&str>) -> anyhow::Result<String> {
    let uri = check_url(url)?;
    let host = uri
        .host()
        .context("it names no host")?
        .trim_matches(['[', ']']);
    let is_tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let stream = TcpStream::connect((host, port)).await.context("connect")?;
    if is_tls {
        let name = ServerName::try_from(host.to_owned()).context("its host is no server name")?;
        let connector = TlsConnector::from(Arc::new(tls(ca_pem)?));
        let stream = connector.connect(name, stream).await.context("TLS")?;
        exchange(&uri, stream).await
    } else {
        exchange(&uri, stream).await
    }
}

fn tls(ca_pem: Option<&str>) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match ca_pem {
        Some(pem) => {
            for root in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                roots.add(root.context("its CA")?).context("its CA")?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    ensure!(!roots.is_empty(), "no certificate is trusted: give its CA");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

async fn exchange(
    uri: &Uri,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> anyhow::Result<String> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .context("HTTP")?;
    // Ends with the exchange: both halves are dropped here.
    let running = tokio::spawn(connection);
    let target = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().context("it names no host")?.as_str();
    let request = Request::get(target)
        .header(header::HOST, host)
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "close")
        .body(Body::empty())
        .context("HTTP")?;
    let answer = sender.send_request(request).await.context("HTTP")?;
    ensure!(
        answer.status() == StatusCode::OK,
        "it answers {}",
        answer.status()
    );
    let body = Limited::new(answer.into_body(), DOCUMENT_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| anyhow::anyhow!("read the answer: {error}"))?;
    running.abort();
    String::from_utf8(body.to_bytes().to_vec()).context("the answer is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_tls_or_from_this_host() {
        for good in [
            "https://idp.example/jwks",
            "https://idp.example:8443/realms/a",
            "http://127.0.0.1:4444",
            "http://localhost:1/x",
            "http://[::1]:1/x",
        ] {
            assert!(check_url(good).is_ok(), "{good}");
        }
        for bad in [
            "http://idp.example/jwks",
            "http://127.0.0.1.evil.example/",
            "http://localhost@evil.example/",
            "https://user@idp.example/",
            "ftp://idp.example/",
            "file:///etc/passwd",
            "idp.example",
            "/jwks",
            "",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }
}
