use super::{Cursor, MessageError, frame, put_string};
use crate::frame::ClientTag;
use crate::rows::Format;

/// CopyInResponse and CopyOutResponse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyResponse {
    /// Text (also CSV) or binary.
    pub format: Format,
    /// Columns.
    pub columns: u16,
}

impl CopyResponse {
    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(body: &[u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(body);
        let format = Format::from_code(cursor.u8()?.into())?;
        let columns = cursor.u16()?;
        for _ in 0..columns {
            Format::from_code(cursor.u16()?)?;
        }
        cursor.finish()?;
        Ok(Self { format, columns })
    }
}

/// CopyFail: the client gives a COPY up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyFail<'a> {
    /// Why, for the server's error text.
    pub reason: &'a str,
}

impl<'a> CopyFail<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(body);
        let reason = cursor.text()?;
        cursor.finish()?;
        Ok(Self { reason })
    }

    /// Writes the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(ClientTag::CopyFail, out, |out| put_string(out, self.reason));
    }
}
