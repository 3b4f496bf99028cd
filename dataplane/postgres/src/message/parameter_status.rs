use super::{Cursor, MessageError, frame, put_string};
use crate::frame::ServerTag;

/// ParameterStatus: the value of a setting that clients rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterStatus<'a> {
    /// The setting.
    pub name: &'a str,
    /// Its value.
    pub value: &'a str,
}

impl<'a> ParameterStatus<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(body);
        let name = cursor.text()?;
        let value = cursor.text()?;
        cursor.finish()?;
        Ok(Self { name, value })
    }

    /// Writes the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(ServerTag::ParameterStatus, out, |out| {
            put_string(out, self.name);
            put_string(out, self.value);
        });
    }
}
