use super::{Cursor, MessageError, frame, put_string};
use crate::frame::ServerTag;

/// NegotiateProtocolVersion: what of the client's StartupMessage is not spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NegotiateProtocolVersion<'a> {
    /// The newest version spoken, major in the high half: 3.2 is `0x0003_0002`.
    pub version: u32,
    options: &'a [u8],
}

impl<'a> NegotiateProtocolVersion<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(body);
        let version = cursor.u32()?;
        let count = cursor.u32()?;
        let options = cursor.rest();
        // Each name has at least its zero byte, so that the body bounds the walk.
        for _ in 0..count {
            cursor.string()?;
        }
        cursor.finish()?;
        Ok(Self { version, options })
    }

    /// The options that are not known.
    pub fn options(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut cursor = Cursor::new(self.options);
        std::iter::from_fn(move || {
            if cursor.is_empty() {
                None
            } else {
                cursor.string().ok()
            }
        })
    }

    /// Writes the frame.
    pub fn encode<S: AsRef<[u8]>>(version: u32, options: &[S], out: &mut Vec<u8>) {
        frame(ServerTag::NegotiateProtocolVersion, out, |out| {
            out.extend_from_slice(&version.to_be_bytes());
            out.extend_from_slice(
                &u32::try_from(options.len())
                    .unwrap_or(u32::MAX)
                    .to_be_bytes(),
            );
            options.iter().for_each(|option| put_string(out, option));
        });
    }
}
