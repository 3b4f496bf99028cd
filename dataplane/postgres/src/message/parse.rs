use super::{Cursor, MessageError, frame, put_string};
use crate::frame::ClientTag;

/// Parse: makes a prepared statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parse<'a> {
    /// The statement's name; empty for the unnamed one.
    pub name: &'a str,
    /// The text of one statement.
    pub text: &'a str,
    types: &'a [u8],
}

impl<'a> Parse<'a> {
    /// A statement whose parameter types the server finds.
    #[must_use]
    pub const fn new(name: &'a str, text: &'a str) -> Self {
        Self {
            name,
            text,
            types: &[],
        }
    }

    #[expect(
        clippy::self_named_constructors,
        reason = "every message has a `parse`, and this is the message Parse"
    )]
    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(body);
        let name = cursor.text()?;
        let text = cursor.text()?;
        let count = usize::from(cursor.u16()?);
        let types = cursor.bytes(count * 4)?;
        cursor.finish()?;
        Ok(Self { name, text, types })
    }

    /// Type OIDs of the parameters that the client fixed; 0 is unspecified.
    pub fn parameter_types(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.types
            .as_chunks()
            .0
            .iter()
            .map(|oid| u32::from_be_bytes(*oid))
    }

    /// Writes the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(ClientTag::Parse, out, |out| {
            put_string(out, self.name);
            put_string(out, self.text);
            let count = u16::try_from(self.types.len() / 4).unwrap_or(u16::MAX);
            out.extend_from_slice(&count.to_be_bytes());
            out.extend_from_slice(self.types);
        });
    }
}
