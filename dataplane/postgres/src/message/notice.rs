use super::{Cursor, MessageError};

/// ErrorResponse or NoticeResponse: fields by one-letter types (protocol chapter "Error and Notice
/// Message Fields").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice<'a> {
    bytes: &'a [u8],
}

impl<'a> Notice<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(body);
        while cursor.u8()? != 0 {
            cursor.string()?;
        }
        cursor.finish()?;
        Ok(Self { bytes: body })
    }

    /// The fields in order: type and value.
    pub fn fields(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let mut cursor = Cursor::new(self.bytes);
        std::iter::from_fn(move || match cursor.u8() {
            Ok(0) | Err(_) => None,
            Ok(kind) => cursor.string().ok().map(|value| (kind, value)),
        })
    }

    /// The first field of a type.
    #[must_use]
    pub fn field(&self, wanted: u8) -> Option<&'a [u8]> {
        self.fields()
            .find(|(kind, _)| *kind == wanted)
            .map(|(_, value)| value)
    }

    /// SQLSTATE.
    #[must_use]
    pub fn code(&self) -> Option<&'a str> {
        self.field(b'C')
            .and_then(|code| std::str::from_utf8(code).ok())
    }

    /// Whether the connection ends with it. Read from the severity that is never translated; servers
    /// before 9.6 have only the translated one.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        let severity = self.field(b'V').or_else(|| self.field(b'S'));
        matches!(severity, Some(b"FATAL" | b"PANIC"))
    }
}
