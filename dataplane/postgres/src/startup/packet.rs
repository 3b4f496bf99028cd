use super::StartupError;
use super::parameter::{Parameter, read_parameters};
use crate::limits;
use crate::message::{Cursor, NegotiateProtocolVersion};

const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;

/// The first byte of a TLS record that carries a handshake (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// A protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 3.
    pub major: u16,
    /// 0, or 2 for cancel keys of other lengths.
    pub minor: u16,
}

impl Version {
    /// 3.0.
    pub const V3_0: Self = Self { major: 3, minor: 0 };
    /// 3.2: PostgreSQL 18.
    pub const V3_2: Self = Self { major: 3, minor: 2 };

    /// How long a cancel key of ours is: 4 bytes are all that 3.0 has; 3.2 has up to 256, of which
    /// PostgreSQL 18 uses 32.
    #[must_use]
    pub const fn cancel_key_bytes(self) -> usize {
        if self.minor >= Self::V3_2.minor {
            32
        } else {
            limits::CANCEL_KEY_BYTES_MIN
        }
    }

    /// As it stands in messages.
    #[must_use]
    pub const fn code(self) -> u32 {
        (self.major as u32) << 16 | self.minor as u32
    }
}

/// The first thing that a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// Answer `S` and begin TLS, or `N`.
    SslRequest,
    /// Answer `N`.
    GssEncRequest,
    /// Pass it on to the flow whose key it shows, and close without an answer.
    Cancel(Cancel),
    /// A session begins.
    Startup(StartupMessage),
    /// A TLS handshake without SSLRequest (PostgreSQL 17, `sslnegotiation=direct`). Nothing was taken.
    DirectTls,
}

/// CancelRequest.
#[derive(Clone, PartialEq, Eq)]
pub struct Cancel {
    /// The process of BackendKeyData.
    pub process: u32,
    /// Its key: 4 to 256 bytes.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Cancel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cancel")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

/// StartupMessage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartupMessage {
    /// What the client asked for; of major 3.
    pub asked: Version,
    /// What is spoken: 3.0 or 3.2.
    pub version: Version,
    /// Options `_pq_.…` of which none is known.
    pub unknown_options: Vec<String>,
    /// The user.
    pub user: String,
    /// The database; the user's name where none was given.
    pub database: String,
    /// Everything else, checked, each name once.
    pub parameters: Vec<Parameter>,
}

impl StartupMessage {
    /// Appends NegotiateProtocolVersion if the client asked for more than is spoken. To be sent
    /// before any authentication message.
    pub fn negotiate(&self, out: &mut Vec<u8>) {
        if self.asked != self.version || !self.unknown_options.is_empty() {
            NegotiateProtocolVersion::encode(self.version.code(), &self.unknown_options, out);
        }
    }

    fn parse(code: u32, cursor: &mut Cursor<'_>) -> Result<Self, StartupError> {
        let [a, b, c, d] = code.to_be_bytes();
        let asked = Version {
            major: u16::from_be_bytes([a, b]),
            minor: u16::from_be_bytes([c, d]),
        };
        if asked.major != Version::V3_0.major {
            return Err(StartupError::Version(asked.major, asked.minor));
        }
        let version = if asked >= Version::V3_2 {
            Version::V3_2
        } else {
            Version::V3_0
        };
        let read = read_parameters(cursor)?;
        let user = read
            .user
            .filter(|user| !user.is_empty())
            .ok_or(StartupError::NoUser)?;
        let database = read
            .database
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| user.clone());
        Ok(Self {
            asked,
            version,
            unknown_options: read.unknown_options,
            user,
            database,
            parameters: read.parameters,
        })
    }
}

/// Reads packets from a client's first bytes. Holds at most one, of 10,000 bytes.
#[derive(Debug, Default)]
pub struct PacketReader {
    buffer: Vec<u8>,
    ssl_asked: bool,
    gss_asked: bool,
    encrypted: bool,
}

impl PacketReader {
    /// A reader at the beginning of a connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// TLS has begun; what comes next is inside it.
    pub fn encrypted(&mut self) {
        self.encrypted = true;
    }

    /// Whether the connection ends within a packet if it ends now.
    #[must_use]
    pub fn is_between_packets(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next packet in `chunk` from `at`, which is moved behind it; `None` until it is whole.
    ///
    /// # Errors
    /// [`StartupError`]; the connection ends.
    pub fn next(&mut self, chunk: &[u8], at: &mut usize) -> Result<Option<Packet>, StartupError> {
        let rest = chunk.get(*at..).unwrap_or_default();
        let is_first =
            self.buffer.is_empty() && !self.ssl_asked && !self.gss_asked && !self.encrypted;
        if is_first && rest.first() == Some(&TLS_HANDSHAKE) {
            self.ssl_asked = true;
            return Ok(Some(Packet::DirectTls));
        }
        let mut taken = 0;
        let total = loop {
            let total = match self.buffer.first_chunk() {
                None => 4,
                Some(word) => packet_length(*word)?,
            };
            let missing = total.saturating_sub(self.buffer.len());
            let piece = rest.get(taken..).unwrap_or_default();
            let piece = piece.get(..missing.min(piece.len())).unwrap_or_default();
            self.buffer.extend_from_slice(piece);
            taken += piece.len();
            if piece.len() < missing {
                *at += taken;
                return Ok(None);
            }
            if total > 4 {
                break total;
            }
        };
        debug_assert_eq!(self.buffer.len(), total);
        *at += taken;
        let packet = parse_packet(&std::mem::take(&mut self.buffer))?;
        self.check_order(&packet, rest.len() > taken)?;
        Ok(Some(packet))
    }

    fn check_order(&mut self, packet: &Packet, more: bool) -> Result<(), StartupError> {
        let asked = match packet {
            Packet::SslRequest => &mut self.ssl_asked,
            Packet::GssEncRequest => &mut self.gss_asked,
            Packet::Cancel(_) if more => return Err(StartupError::Premature),
            Packet::Cancel(_) | Packet::Startup(_) | Packet::DirectTls => return Ok(()),
        };
        if *asked || self.encrypted {
            return Err(StartupError::AskedTwice);
        }
        *asked = true;
        if more {
            Err(StartupError::Premature)
        } else {
            Ok(())
        }
    }
}

/// A length that can be one: with it come at least four more bytes.
fn packet_length(word: [u8; 4]) -> Result<usize, StartupError> {
    usize::try_from(u32::from_be_bytes(word))
        .ok()
        .filter(|length| (8..=limits::STARTUP_PACKET_BYTES_MAX).contains(length))
        .ok_or(StartupError::Layout)
}

fn parse_packet(packet: &[u8]) -> Result<Packet, StartupError> {
    let body = packet.get(4..).ok_or(StartupError::Layout)?;
    let mut cursor = Cursor::new(body);
    let code = cursor.u32().map_err(|_| StartupError::Layout)?;
    match code {
        SSL_REQUEST if cursor.is_empty() => Ok(Packet::SslRequest),
        GSSENC_REQUEST if cursor.is_empty() => Ok(Packet::GssEncRequest),
        SSL_REQUEST | GSSENC_REQUEST => Err(StartupError::Layout),
        CANCEL_REQUEST => parse_cancel(&mut cursor).map(Packet::Cancel),
        _ => StartupMessage::parse(code, &mut cursor).map(Packet::Startup),
    }
}

fn parse_cancel(cursor: &mut Cursor<'_>) -> Result<Cancel, StartupError> {
    let process = cursor.u32().map_err(|_| StartupError::Layout)?;
    let key = cursor.rest();
    if !(limits::CANCEL_KEY_BYTES_MIN..=limits::CANCEL_KEY_BYTES_MAX).contains(&key.len()) {
        return Err(StartupError::Layout);
    }
    Ok(Cancel {
        process,
        key: key.to_vec(),
    })
}
