//! A client that says exactly what a test wants, with or without TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use weir_postgres::auth::{Binding, ScramClient};
use weir_postgres::message::SaslInitialResponse;

use super::bed::{Bed, PATIENCE, SECRET};
use crate::tls::{Connector, Speaks, Verify};

/// SSLRequest and GSSENCRequest.
pub(super) const SSL: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
pub(super) const GSS: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];

/// 3.0, 3.2, and what libpq of PostgreSQL 19 begins with.
pub(super) const V3_0: u32 = 3 << 16;
pub(super) const V3_2: u32 = V3_0 + 2;
pub(super) const V3_9999: u32 = V3_0 + 9999;

pub(super) enum Talk {
    Plain(TcpStream),
    Secure(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// A message of the other side.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) tag: u8,
    pub(super) body: Vec<u8>,
}

impl Heard {
    /// The text of a field of an ErrorResponse.
    pub(super) fn field(&self, code: u8) -> String {
        assert_eq!(self.tag, b'E', "{self:?}");
        let fields = self.body.split(|byte| *byte == 0);
        let found = fields
            .filter_map(|field| field.split_first())
            .find(|(first, _)| **first == code);
        String::from_utf8_lossy(found.map_or(&[], |(_, text)| text)).into_owned()
    }
}

/// A StartupMessage.
pub(super) fn startup(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).expect("short");
    [length.to_be_bytes().as_slice(), &body].concat()
}

/// How TLS is begun.
pub(super) fn tls(alpn: &[&[u8]]) -> ClientConnection {
    let connector = Connector::new("localhost", "", Speaks::Postgres, None).expect("a connector");
    let config = connector.config(Verify::Nothing).expect("unverified");
    let mut config = ClientConfig::clone(&config);
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    ClientConnection::new(Arc::new(config), connector.name()).expect("a client")
}

impl Talk {
    pub(super) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self::Plain(stream)
    }

    /// Behind SSLRequest.
    pub(super) fn secure(address: SocketAddr) -> Self {
        let mut talk = Self::to(address);
        talk.send(&SSL);
        assert_eq!(talk.byte(), Some(b'S'));
        talk.encrypt(tls(&[b"postgresql"])).expect("a handshake")
    }

    /// Begins TLS.
    pub(super) fn encrypt(self, mut session: ClientConnection) -> std::io::Result<Self> {
        let Self::Plain(mut stream) = self else {
            panic!("TLS inside TLS");
        };
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Self::Secure(Box::new(StreamOwned::new(session, stream))))
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        let sent = match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Secure(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        };
        sent.expect("sent");
    }

    fn read(&mut self, into: &mut [u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.read_exact(into),
            Self::Secure(stream) => stream.read_exact(into),
        }
    }

    /// One byte; `None` at the end of the connection.
    pub(super) fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.read(&mut byte).ok().map(|()| byte[0])
    }

    /// The next message; `None` at the end of the connection.
    pub(super) fn hear(&mut self) -> Option<Heard> {
        let tag = self.byte()?;
        let mut length = [0; 4];
        self.read(&mut length).expect("a length");
        let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
        self.read(&mut body).expect("a body");
        Some(Heard { tag, body })
    }

    /// The message that must come next.
    pub(super) fn expect(&mut self, tag: u8) -> Heard {
        let heard = self.hear().expect("a message");
        let said = String::from_utf8_lossy(&heard.body).into_owned();
        assert_eq!(char::from(heard.tag), char::from(tag), "{said}");
        heard
    }

    /// What an authentication request asks for, and its data.
    pub(super) fn asked(&mut self) -> (u32, Vec<u8>) {
        let heard = self.expect(b'R');
        let (code, data) = heard.body.split_first_chunk().expect("a code");
        (u32::from_be_bytes(*code), data.to_vec())
    }

    /// Sends a message with its length.
    pub(super) fn say(&mut self, tag: u8, body: &[u8]) {
        let length = u32::try_from(body.len() + 4).expect("short");
        self.send(&[[tag].as_slice(), &length.to_be_bytes(), body].concat());
    }

    /// Answers SCRAM with the accounts' secret, up to AuthenticationOk.
    pub(super) fn prove(&mut self, offered: &[u8]) {
        let names: Vec<_> = offered
            .split(|byte| *byte == 0)
            .map(|name| std::str::from_utf8(name).expect("text"))
            .collect();
        let client = ScramClient::new(names, Binding::None, &[5; 18]).expect("SCRAM");
        let mut out = Vec::new();
        SaslInitialResponse {
            mechanism: client.mechanism(),
            data: Some(client.first()),
        }
        .encode(&mut out);
        self.send(&out);
        let (code, challenge) = self.asked();
        assert_eq!(code, 11);
        let (last, proof) = client
            .on_server_first(&challenge, SECRET, None)
            .expect("a challenge");
        self.say(b'p', &proof);
        let (code, signature) = self.asked();
        assert_eq!(code, 12);
        last.on_server_final(&signature).expect("it knows, too");
        assert_eq!(self.asked().0, 0);
    }

    /// Reads up to ReadyForQuery; the body of BackendKeyData.
    pub(super) fn ready(&mut self) -> Vec<u8> {
        let mut key = Vec::new();
        loop {
            let heard = self.hear().expect("a session");
            match heard.tag {
                b'K' => key = heard.body,
                b'Z' => return key,
                b'S' | b'N' => {}
                _ => panic!("{heard:?}"),
            }
        }
    }

    /// Runs one statement: the first value of its first row, or the error.
    pub(super) fn query(&mut self, text: &str) -> Result<String, Heard> {
        self.say(b'Q', &[text.as_bytes(), b"\0"].concat());
        let mut said = Ok(String::new());
        loop {
            let heard = self.hear().expect("an answer");
            match heard.tag {
                b'Z' => return said,
                b'E' => said = Err(heard),
                b'D' => said = Ok(String::from_utf8_lossy(&heard.body[6..]).into_owned()),
                _ => {}
            }
        }
    }
}

/// Enters as an account with a secret. The message before the proof, if there is one, and the key.
pub(super) fn enter(
    bed: &Bed,
    version: u32,
    more: &[(&str, &str)],
) -> (Talk, Option<Heard>, Vec<u8>) {
    let mut talk = Talk::to(bed.address);
    let own = [("user", "app"), ("database", "postgres")];
    talk.send(&startup(version, &[own.as_slice(), more].concat()));
    let first = talk.hear().expect("an answer");
    let (negotiated, request) = match first.tag {
        b'v' => (Some(first), talk.expect(b'R')),
        _ => (None, first),
    };
    assert_eq!(request.body.get(..4), Some([0, 0, 0, 10].as_slice()));
    talk.prove(&request.body[4..]);
    let key = talk.ready();
    (talk, negotiated, key)
}
