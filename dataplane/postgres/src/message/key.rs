use super::{Cursor, MessageError, frame};
use crate::frame::ServerTag;
use crate::limits;

/// BackendKeyData: what a CancelRequest must show. 4 bytes in protocol 3.0, up to 256 in 3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendKeyData<'a> {
    /// The server process.
    pub process: u32,
    /// The secret.
    pub key: &'a [u8],
}

impl<'a> BackendKeyData<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError`]; also for a key of less than 4 or more than 256 bytes.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(body);
        let process = cursor.u32()?;
        let key = cursor.rest();
        if key.len() < limits::CANCEL_KEY_BYTES_MIN {
            return Err(MessageError::Truncated);
        }
        if key.len() > limits::CANCEL_KEY_BYTES_MAX {
            return Err(MessageError::TrailingBytes);
        }
        Ok(Self { process, key })
    }

    /// Writes the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(ServerTag::BackendKeyData, out, |out| {
            out.extend_from_slice(&self.process.to_be_bytes());
            out.extend_from_slice(self.key);
        });
    }
}
