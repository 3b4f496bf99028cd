//! Rows: formats, a walk over DataRow's values, and edits of chosen columns, in DataRow and in
//! COPY's three formats.

mod copy;
mod edit;
mod format;
mod layout;

pub use copy::{CopyForm, CopyHeader, CopyRows};
pub use edit::{Edit, Edited, edit};
pub use format::{Format, Formats};
pub use layout::rename;

use crate::message::{Cursor, MessageError};

/// The values of a DataRow.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    left: usize,
    cursor: Cursor<'a>,
}

/// Reads a DataRow's body. Each value is checked when it is reached, and the end when the last is.
///
/// # Errors
/// [`MessageError::Truncated`] for a body without a count.
pub fn values(body: &[u8]) -> Result<Values<'_>, MessageError> {
    let mut cursor = Cursor::new(body);
    let left = usize::from(cursor.u16()?);
    Ok(Values { left, cursor })
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<Option<&'a [u8]>, MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            if self.cursor.is_empty() {
                return None;
            }
            self.cursor = Cursor::new(&[]);
            return Some(Err(MessageError::TrailingBytes));
        }
        self.left -= 1;
        let value = self.cursor.value();
        if value.is_err() {
            self.left = 0;
            self.cursor = Cursor::new(&[]);
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests;
