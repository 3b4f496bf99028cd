use super::{Cursor, MessageError, frame, put_string};
use crate::frame::ServerTag;
use crate::limits;
use crate::rows::Format;

/// RowDescription: the columns of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowDescription<'a> {
    count: usize,
    bytes: &'a [u8],
}

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name, in the client's encoding.
    pub name: &'a [u8],
    /// `pg_class.oid` of the relation that it comes from unchanged; 0 for an expression.
    pub relation_oid: u32,
    /// `pg_attribute.attnum` there; 0 for an expression, or with a relation for its whole row.
    pub attnum: i16,
    /// `pg_type.oid`.
    pub type_oid: u32,
    /// `pg_type.typlen`.
    pub type_size: i16,
    /// `pg_attribute.atttypmod`.
    pub type_modifier: i32,
    /// The format; text wherever a prepared statement is described.
    pub format: Format,
}

/// The columns in order.
#[derive(Clone, Debug)]
pub struct Fields<'a>(Cursor<'a>);

impl<'a> RowDescription<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let mut cursor = Cursor::new(body);
        let count = usize::from(cursor.u16()?);
        if count > limits::COLUMNS_MAX {
            return Err(MessageError::TooMany);
        }
        let bytes = cursor.rest();
        for _ in 0..count {
            Field::read(&mut cursor)?;
        }
        cursor.finish()?;
        Ok(Self { count, bytes })
    }

    /// How many columns.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The columns in order.
    #[must_use]
    pub const fn fields(&self) -> Fields<'a> {
        Fields(Cursor::new(self.bytes))
    }

    /// Writes a frame of these columns, at most 65,535.
    pub fn encode<'f>(fields: impl IntoIterator<Item = Field<'f>>, out: &mut Vec<u8>) {
        frame(ServerTag::RowDescription, out, |out| {
            let at = out.len();
            out.extend_from_slice(&[0, 0]);
            let mut count = 0_u16;
            for field in fields.into_iter().take(u16::MAX.into()) {
                field.put(out);
                count += 1;
            }
            if let Some(word) = out.get_mut(at..at + 2) {
                word.copy_from_slice(&count.to_be_bytes());
            }
        });
    }
}

impl<'a> Field<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, MessageError> {
        Ok(Self {
            name: cursor.string()?,
            relation_oid: cursor.u32()?,
            attnum: cursor.i16()?,
            type_oid: cursor.u32()?,
            type_size: cursor.i16()?,
            type_modifier: cursor.i32()?,
            format: Format::from_code(cursor.u16()?)?,
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_string(out, self.name);
        out.extend_from_slice(&self.relation_oid.to_be_bytes());
        out.extend_from_slice(&self.attnum.to_be_bytes());
        out.extend_from_slice(&self.type_oid.to_be_bytes());
        out.extend_from_slice(&self.type_size.to_be_bytes());
        out.extend_from_slice(&self.type_modifier.to_be_bytes());
        out.extend_from_slice(&self.format.code().to_be_bytes());
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.0.is_empty() {
            None
        } else {
            Field::read(&mut self.0).ok()
        }
    }
}
