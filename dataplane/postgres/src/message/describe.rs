use super::{Cursor, MessageError, frame, put_string};
use crate::frame::ClientTag;

/// What Describe and Close name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `S`: a prepared statement.
    Statement,
    /// `P`: a portal.
    Portal,
}

impl Target {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, MessageError> {
        match cursor.u8()? {
            b'S' => Ok(Self::Statement),
            b'P' => Ok(Self::Portal),
            other => Err(MessageError::Code(other.into())),
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Statement => b'S',
            Self::Portal => b'P',
        }
    }
}

macro_rules! target_message {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name<'a> {
            /// Statement or portal.
            pub target: Target,
            /// Its name; empty for the unnamed one.
            pub name: &'a str,
        }

        impl<'a> $name<'a> {
            /// Reads a body.
            ///
            /// # Errors
            /// [`MessageError`].
            pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
                let mut cursor = Cursor::new(body);
                let target = Target::parse(&mut cursor)?;
                let name = cursor.text()?;
                cursor.finish()?;
                Ok(Self { target, name })
            }

            /// Writes the frame.
            pub fn encode(&self, out: &mut Vec<u8>) {
                frame(ClientTag::$name, out, |out| {
                    out.push(self.target.byte());
                    put_string(out, self.name);
                });
            }
        }
    };
}

target_message! {
    /// Describe: asks for the columns of a prepared statement or portal.
    Describe
}

target_message! {
    /// Close: frees a prepared statement or portal.
    Close
}
