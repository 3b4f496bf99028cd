use super::{Cursor, MessageError, frame, put_string};
use crate::frame::ClientTag;
use crate::rows::{Format, Formats};

/// Bind: makes a portal of a prepared statement and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind<'a> {
    /// The portal's name; empty for the unnamed one.
    pub portal: &'a str,
    /// The statement's name; empty for the unnamed one.
    pub statement: &'a str,
    /// Formats of the parameters.
    pub parameter_formats: Formats,
    /// The parameters.
    pub parameters: Parameters<'a>,
    /// Formats wanted for the result.
    pub result_formats: Formats,
}

/// Parameter values, `None` for null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Parameters<'a> {
    /// How many.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&'a [u8]>> + use<'a> {
        let mut cursor = Cursor::new(self.bytes);
        std::iter::from_fn(move || {
            if cursor.is_empty() {
                None
            } else {
                cursor.value().ok()
            }
        })
    }
}

impl<'a> Bind<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError`]; also for format codes that are not none, one, or one for each parameter.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(body);
        let portal = cursor.text()?;
        let statement = cursor.text()?;
        let parameter_formats = Formats::parse(&mut cursor)?;
        let count = usize::from(cursor.u16()?);
        let start = cursor.rest();
        for _ in 0..count {
            cursor.value()?;
        }
        let bytes = start
            .get(..start.len() - cursor.rest().len())
            .unwrap_or_default();
        let result_formats = Formats::parse(&mut cursor)?;
        cursor.finish()?;
        if !parameter_formats.fits(count) {
            return Err(MessageError::FormatCount);
        }
        let parameters = Parameters { count, bytes };
        Ok(Self {
            portal,
            statement,
            parameter_formats,
            parameters,
            result_formats,
        })
    }

    /// Writes the frame of a Bind without parameters.
    pub fn encode_plain(portal: &str, statement: &str, result: Format, out: &mut Vec<u8>) {
        frame(ClientTag::Bind, out, |out| {
            put_string(out, portal);
            put_string(out, statement);
            out.extend_from_slice(&[0, 0, 0, 0, 0, 1]);
            out.extend_from_slice(&result.code().to_be_bytes());
        });
    }
}
