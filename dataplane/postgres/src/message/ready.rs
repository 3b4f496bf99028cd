use super::{Cursor, MessageError, frame};
use crate::frame::ServerTag;

/// Where a session stands towards transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// `I`: in none.
    Idle,
    /// `T`: in a transaction block.
    InTransaction,
    /// `E`: in a transaction block that has failed.
    Failed,
}

/// ReadyForQuery: everything before it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyForQuery {
    /// The transaction status.
    pub status: TransactionStatus,
}

impl ReadyForQuery {
    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(body: &[u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(body);
        let status = match cursor.u8()? {
            b'I' => TransactionStatus::Idle,
            b'T' => TransactionStatus::InTransaction,
            b'E' => TransactionStatus::Failed,
            other => return Err(MessageError::Code(other.into())),
        };
        cursor.finish()?;
        Ok(Self { status })
    }

    /// Writes the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let byte = match self.status {
            TransactionStatus::Idle => b'I',
            TransactionStatus::InTransaction => b'T',
            TransactionStatus::Failed => b'E',
        };
        frame(ServerTag::ReadyForQuery, out, |out| out.push(byte));
    }
}
