use super::{Cursor, MessageError};

/// NotificationResponse: a NOTIFY of any session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotificationResponse<'a> {
    /// The server process that notified.
    pub process: u32,
    /// The channel.
    pub channel: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

impl<'a> NotificationResponse<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(body);
        let process = cursor.u32()?;
        let channel = cursor.string()?;
        let payload = cursor.string()?;
        cursor.finish()?;
        Ok(Self {
            process,
            channel,
            payload,
        })
    }
}
