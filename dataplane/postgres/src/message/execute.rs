use super::{Cursor, MessageError, frame, put_string};
use crate::frame::ClientTag;

/// Execute: runs a portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execute<'a> {
    /// The portal's name; empty for the unnamed one.
    pub portal: &'a str,
    /// Most rows to be sent; 0 for all. The server takes a negative number for 0.
    pub rows_max: i32,
}

impl<'a> Execute<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(body);
        let portal = cursor.text()?;
        let rows_max = cursor.i32()?;
        cursor.finish()?;
        Ok(Self { portal, rows_max })
    }

    /// Writes the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(ClientTag::Execute, out, |out| {
            put_string(out, self.portal);
            out.extend_from_slice(&self.rows_max.to_be_bytes());
        });
    }
}
