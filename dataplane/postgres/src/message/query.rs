use super::{Cursor, MessageError, frame, put_string};
use crate::frame::ClientTag;

/// Query: statements in one string, run one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// The text.
    pub text: &'a str,
}

impl<'a> Query<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError`]; a zero byte within the text shows as trailing bytes.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(body);
        let text = cursor.text()?;
        cursor.finish()?;
        Ok(Self { text })
    }

    /// Writes the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(ClientTag::Query, out, |out| put_string(out, self.text));
    }
}
