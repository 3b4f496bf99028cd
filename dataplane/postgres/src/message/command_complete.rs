use super::{Cursor, MessageError, frame, put_string};
use crate::frame::ServerTag;

/// CommandComplete: a statement has run to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandComplete<'a> {
    /// Its tag: `SELECT 3`.
    pub tag: &'a str,
}

impl<'a> CommandComplete<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(body);
        let tag = cursor.text()?;
        cursor.finish()?;
        Ok(Self { tag })
    }

    /// Writes the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(ServerTag::CommandComplete, out, |out| {
            put_string(out, self.tag)
        });
    }
}
