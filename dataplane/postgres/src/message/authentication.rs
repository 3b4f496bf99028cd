use super::{Cursor, MessageError, frame, put_string};
use crate::frame::ServerTag;

/// What a server asks of a client that wants in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication<'a> {
    /// AuthenticationOk.
    Ok,
    /// AuthenticationCleartextPassword.
    CleartextPassword,
    /// AuthenticationMD5Password.
    Md5Password {
        /// The salt.
        salt: [u8; 4],
    },
    /// AuthenticationSASL. The mechanisms are zero-terminated names.
    Sasl {
        /// See [`Authentication::mechanisms`].
        mechanisms: &'a [u8],
    },
    /// AuthenticationSASLContinue.
    SaslContinue {
        /// The mechanism's message.
        data: &'a [u8],
    },
    /// AuthenticationSASLFinal.
    SaslFinal {
        /// The mechanism's message.
        data: &'a [u8],
    },
    /// A method that Weir does not speak: Kerberos, GSSAPI, SSPI and the like.
    Other(u32),
}

impl<'a> Authentication<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(body);
        let parsed = match cursor.u32()? {
            0 => Self::Ok,
            3 => Self::CleartextPassword,
            5 => {
                let salt = cursor.u32()?.to_be_bytes();
                Self::Md5Password { salt }
            }
            10 => {
                let mechanisms = cursor.rest();
                while !cursor.text()?.is_empty() {}
                cursor.finish()?;
                return Ok(Self::Sasl { mechanisms });
            }
            11 => {
                return Ok(Self::SaslContinue {
                    data: cursor.rest(),
                });
            }
            12 => {
                return Ok(Self::SaslFinal {
                    data: cursor.rest(),
                });
            }
            other => return Ok(Self::Other(other)),
        };
        cursor.finish()?;
        Ok(parsed)
    }

    /// The names in AuthenticationSASL.
    pub fn mechanisms(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let list = match self {
            Self::Sasl { mechanisms } => *mechanisms,
            Self::Ok
            | Self::CleartextPassword
            | Self::Md5Password { .. }
            | Self::SaslContinue { .. }
            | Self::SaslFinal { .. }
            | Self::Other(_) => &[],
        };
        list.split(|byte| *byte == 0)
            .filter_map(|name| std::str::from_utf8(name).ok())
            .filter(|name| !name.is_empty())
    }

    /// Writes AuthenticationOk.
    pub fn encode_ok(out: &mut Vec<u8>) {
        Self::put(0, out, |_| {});
    }

    /// Writes AuthenticationCleartextPassword. To be sent inside TLS only.
    pub fn encode_cleartext_password(out: &mut Vec<u8>) {
        Self::put(3, out, |_| {});
    }

    /// Writes AuthenticationSASL.
    pub fn encode_sasl(mechanisms: &[&str], out: &mut Vec<u8>) {
        Self::put(10, out, |out| {
            mechanisms.iter().for_each(|name| put_string(out, name));
            out.push(0);
        });
    }

    /// Writes AuthenticationSASLContinue.
    pub fn encode_sasl_continue(data: &[u8], out: &mut Vec<u8>) {
        Self::put(11, out, |out| out.extend_from_slice(data));
    }

    /// Writes AuthenticationSASLFinal.
    pub fn encode_sasl_final(data: &[u8], out: &mut Vec<u8>) {
        Self::put(12, out, |out| out.extend_from_slice(data));
    }

    fn put(code: u32, out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
        frame(ServerTag::Authentication, out, |out| {
            out.extend_from_slice(&code.to_be_bytes());
            body(out);
        });
    }
}
