use super::{Cursor, MessageError};

/// ParameterDescription: the parameter types of a prepared statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterDescription<'a> {
    types: &'a [u8],
}

impl<'a> ParameterDescription<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(body);
        let count = usize::from(cursor.u16()?);
        let types = cursor.bytes(count * 4)?;
        cursor.finish()?;
        Ok(Self { types })
    }

    /// Type OIDs in order.
    pub fn types(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.types
            .as_chunks()
            .0
            .iter()
            .map(|oid| u32::from_be_bytes(*oid))
    }
}
