use super::{Cursor, MessageError, frame, put_string};
use crate::frame::ClientTag;

/// SASLInitialResponse: the mechanism that the client chose, and its first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaslInitialResponse<'a> {
    /// The mechanism.
    pub mechanism: &'a str,
    /// Its first message, if it has one.
    pub data: Option<&'a [u8]>,
}

impl<'a> SaslInitialResponse<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(body);
        let mechanism = cursor.text()?;
        let data = cursor.value()?;
        cursor.finish()?;
        Ok(Self { mechanism, data })
    }

    /// Writes the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(ClientTag::Authentication, out, |out| {
            put_string(out, self.mechanism);
            let length = self
                .data
                .map_or(-1, |data| i32::try_from(data.len()).unwrap_or(i32::MAX));
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(self.data.unwrap_or_default());
        });
    }

    /// Writes a SASLResponse, whose body is the mechanism's message.
    pub fn encode_response(data: &[u8], out: &mut Vec<u8>) {
        frame(ClientTag::Authentication, out, |out| {
            out.extend_from_slice(data)
        });
    }
}

/// PasswordMessage: a password in the clear, or the answer to an md5 challenge.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password<'a> {
    /// What the client sent, in whatever encoding.
    pub password: &'a [u8],
}

impl std::fmt::Debug for Password<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

impl<'a> Password<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(body);
        let password = cursor.string()?;
        cursor.finish()?;
        Ok(Self { password })
    }

    /// Writes the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(ClientTag::Authentication, out, |out| {
            put_string(out, self.password)
        });
    }
}
