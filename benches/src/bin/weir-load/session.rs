//! A Postgres client's session: start-up, authentication, one simple query at a time.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use weir_postgres::auth::{AwaitFinal, Binding, ScramClient};
use weir_postgres::message::{Authentication, Notice, Query, SaslInitialResponse};

use crate::Target;

/// A connection, encrypted or not.
pub(crate) enum Link {
    /// Not.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Link {
    /// The socket below.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// A session that waits for a query.
pub(crate) struct Session {
    /// Its connection.
    pub(crate) link: Link,
    /// The ParameterStatus messages that the server began with, whole.
    pub(crate) parameters: Vec<u8>,
}

impl Session {
    /// Connects and authenticates.
    pub(crate) fn open(target: &Target) -> Result<Self> {
        let socket = TcpStream::connect(target.address)
            .with_context(|| format!("connect to {}", target.address))?;
        socket.set_nodelay(true)?;
        let mut link = if target.tls {
            encrypt(socket)?
        } else {
            Link::Plain(socket)
        };
        link.write_all(&startup(target))?;
        let (mut scram, mut parameters) = (Scram::Not, Vec::new());
        loop {
            let frame = read_frame(&mut link)?;
            let body = frame.get(5..).unwrap_or_default();
            match frame.first() {
                Some(b'R') => {
                    let mut answer = Vec::new();
                    scram = authenticate(body, scram, &mut answer)?;
                    link.write_all(&answer)?;
                }
                Some(b'S') => parameters.extend_from_slice(&frame),
                Some(b'Z') => return Ok(Self { link, parameters }),
                Some(b'E') => bail!("the server refuses the session: {}", error(body)),
                _ => {}
            }
        }
    }

    /// Asks, and returns every frame of the answer, ReadyForQuery included.
    pub(crate) fn ask(&mut self, text: &str) -> Result<Vec<u8>> {
        self.link.write_all(&query(text))?;
        let mut answer = Vec::new();
        loop {
            let frame = read_frame(&mut self.link)?;
            match frame.first() {
                Some(b'E') => bail!("{text}: {}", error(frame.get(5..).unwrap_or_default())),
                Some(b'Z') => {
                    answer.extend_from_slice(&frame);
                    return Ok(answer);
                }
                _ => answer.extend_from_slice(&frame),
            }
        }
    }
}

/// A simple query as it is sent.
pub(crate) fn query(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    Query { text }.encode(&mut out);
    out
}

/// What an ErrorResponse says.
pub(crate) fn error(body: &[u8]) -> String {
    let notice = Notice::parse(body).ok();
    let field = |tag| {
        notice
            .as_ref()
            .and_then(|notice| notice.field(tag))
            .map(|text| String::from_utf8_lossy(text).into_owned())
    };
    format!(
        "{} {}",
        field(b'C').unwrap_or_default(),
        field(b'M').unwrap_or_default()
    )
}

/// Reads one whole message with its tag and length.
pub(crate) fn read_frame(link: &mut impl Read) -> Result<Vec<u8>> {
    let mut head = [0; 5];
    link.read_exact(&mut head)
        .context("the server ends the session")?;
    let [_, length @ ..] = head;
    let length = u32::from_be_bytes(length) as usize;
    let mut frame = head.to_vec();
    frame.resize(length + 1, 0);
    link.read_exact(frame.get_mut(5..).context("a length below 4")?)?;
    Ok(frame)
}

fn startup(target: &Target) -> Vec<u8> {
    let mut body = 196_608u32.to_be_bytes().to_vec();
    for text in [
        "user",
        &target.user,
        "database",
        &target.database,
        "client_encoding",
        "UTF8",
    ] {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [length.to_be_bytes().as_slice(), &body].concat()
}

enum Scram {
    Not,
    First(Box<ScramClient>),
    Final(Box<AwaitFinal>),
    Done,
}

fn authenticate(body: &[u8], scram: Scram, out: &mut Vec<u8>) -> Result<Scram> {
    let request = Authentication::parse(body).context("an authentication request")?;
    let password =
        || std::env::var("PGPASSWORD").context("the server wants a password: set PGPASSWORD");
    match (&request, scram) {
        (Authentication::Ok, scram) => Ok(scram),
        (Authentication::Sasl { .. }, Scram::Not) => {
            let client = ScramClient::new(request.mechanisms(), Binding::None, &nonce()?)?;
            SaslInitialResponse {
                mechanism: client.mechanism(),
                data: Some(client.first()),
            }
            .encode(out);
            Ok(Scram::First(Box::new(client)))
        }
        (Authentication::SaslContinue { data }, Scram::First(client)) => {
            let (next, proof) = client.on_server_first(data, &password()?, None)?;
            SaslInitialResponse::encode_response(&proof, out);
            Ok(Scram::Final(Box::new(next)))
        }
        (Authentication::SaslFinal { data }, Scram::Final(client)) => {
            client.on_server_final(data)?;
            Ok(Scram::Done)
        }
        _ => {
            bail!("the server wants an authentication that this client does not know: {request:?}")
        }
    }
}

fn nonce() -> Result<[u8; 18]> {
    let mut bytes = [0; 18];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn encrypt(mut socket: TcpStream) -> Result<Link> {
    let mut request = Vec::new();
    weir_postgres::startup::encode_ssl_request(&mut request);
    socket.write_all(&request)?;
    let mut answer = [0];
    socket.read_exact(&mut answer)?;
    anyhow::ensure!(answer == *b"S", "the server offers no TLS");
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let config = config
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").context("a name")?;
    let stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, socket);
    Ok(Link::Tls(Box::new(stream)))
}

/// Believes every certificate: what is measured is the cost of the encryption, on loopback.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
