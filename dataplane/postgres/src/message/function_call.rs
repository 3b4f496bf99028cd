use super::{Cursor, MessageError};
use crate::rows::Formats;

/// FunctionCall: runs one function outside any statement ("Function Call" in the protocol chapter).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionCall {
    /// `pg_proc.oid`.
    pub function: u32,
}

impl FunctionCall {
    /// Reads a body, arguments and all; these stay where they are.
    ///
    /// # Errors
    /// [`MessageError`]; also for format codes that are not none, one, or one for each argument.
    pub fn parse(body: &[u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(body);
        let function = cursor.u32()?;
        let formats = Formats::parse(&mut cursor)?;
        let count = usize::from(cursor.u16()?);
        for _ in 0..count {
            cursor.value()?;
        }
        let result = cursor.u16()?;
        cursor.finish()?;
        if !formats.fits(count) {
            return Err(MessageError::FormatCount);
        }
        if result > 1 {
            return Err(MessageError::Format);
        }
        Ok(Self { function })
    }

    /// Checks the body of a FunctionCallResponse: one value, or null.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse_response(body: &[u8]) -> Result<(), MessageError> {
        let mut cursor = Cursor::new(body);
        cursor.value()?;
        cursor.finish()
    }
}
