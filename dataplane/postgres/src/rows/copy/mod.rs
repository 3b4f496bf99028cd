//! The rows of COPY TO STDOUT (documentation of COPY, "File Formats").
//!
//! The server sends each row as one CopyData, and so it does with the header line; in the binary
//! format the header comes before the first row, or before the trailer, in the same CopyData
//! (`CopySendEndOfRow` in copyto.c). Nothing else is taken.

mod line;

use super::edit::{Edit, Edited, edit_tuple};
use crate::frame::ServerTag;
use crate::message::MessageError;
use line::Line;

/// How rows are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyForm {
    /// `FORMAT text`.
    Text {
        /// DELIMITER.
        delimiter: u8,
        /// NULL. As it is not escaped, it must be one that no value is written like.
        null: Box<[u8]>,
    },
    /// `FORMAT csv`.
    Csv {
        /// DELIMITER.
        delimiter: u8,
        /// NULL.
        null: Box<[u8]>,
        /// QUOTE.
        quote: u8,
        /// ESCAPE.
        escape: u8,
        /// FORCE_QUOTE: positions from 0, ascending.
        quoted: Vec<usize>,
    },
    /// `FORMAT binary`.
    Binary,
}

/// What comes before the first row of the text formats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyHeader {
    /// A row.
    Absent,
    /// Exactly these names: a name can be made to carry a value.
    Names(Vec<Box<[u8]>>),
    /// Some line.
    Unchecked,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Header,
    Rows,
    /// Nothing: the binary trailer was seen.
    Over,
}

/// The rows of one COPY, as they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyRows {
    form: CopyForm,
    count: usize,
    header: CopyHeader,
    stage: Stage,
}

/// The binary format's signature, flags without any set, and a header extension of no bytes.
const BINARY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// In the place of a row's count of values.
const BINARY_TRAILER: &[u8] = &(-1_i16).to_be_bytes();

impl CopyRows {
    /// Rows of `count` columns.
    #[must_use]
    pub fn new(form: CopyForm, count: usize, header: CopyHeader) -> Self {
        let starts = form == CopyForm::Binary || header != CopyHeader::Absent;
        let stage = if starts { Stage::Header } else { Stage::Rows };
        Self {
            form,
            count,
            header,
            stage,
        }
    }

    /// Edits the values of chosen columns in the next CopyData, leaving nulls alone.
    ///
    /// `columns` are positions from 0, ascending. Values are shown without escapes and quotes, as
    /// DataRow would have them. What stays as it is, is not copied; else the row is appended to
    /// `out` as a frame, written as the server would have written it.
    ///
    /// # Errors
    /// [`MessageError`] for whatever is not one whole row (header, trailer) of this COPY. It must
    /// not be passed on then, for it may be edited in part.
    pub fn edit(
        &mut self,
        body: &mut [u8],
        columns: impl IntoIterator<Item = usize>,
        change: impl FnMut(usize, &mut [u8]) -> Edit,
        out: &mut Vec<u8>,
    ) -> Result<Edited, MessageError> {
        let stage = std::mem::replace(&mut self.stage, Stage::Rows);
        let line = match &self.form {
            CopyForm::Binary => return self.edit_binary(stage, body, columns, change, out),
            CopyForm::Text { delimiter, null } => Line::text(*delimiter, null),
            CopyForm::Csv {
                delimiter,
                null,
                quote,
                escape,
                quoted,
            } => Line::csv(*delimiter, null, *quote, *escape, quoted, self.count),
        };
        match (stage, &self.header) {
            (Stage::Header, CopyHeader::Names(names)) => {
                let mut wanted = Vec::with_capacity(body.len());
                line.put_header(names, &mut wanted);
                if wanted == body {
                    Ok(Edited::InPlace)
                } else {
                    Err(MessageError::CopyRow)
                }
            }
            (Stage::Header, CopyHeader::Unchecked) => Ok(Edited::InPlace),
            (Stage::Header | Stage::Rows | Stage::Over, _) => {
                line.edit(body, self.count, columns, change, out)
            }
        }
    }

    fn edit_binary(
        &mut self,
        stage: Stage,
        body: &mut [u8],
        columns: impl IntoIterator<Item = usize>,
        change: impl FnMut(usize, &mut [u8]) -> Edit,
        out: &mut Vec<u8>,
    ) -> Result<Edited, MessageError> {
        let start = match stage {
            Stage::Header if body.starts_with(BINARY_HEADER) => BINARY_HEADER.len(),
            Stage::Rows => 0,
            Stage::Header | Stage::Over => return Err(MessageError::CopyRow),
        };
        match body.get(start..).unwrap_or_default() {
            [] if stage == Stage::Header => Ok(Edited::InPlace),
            BINARY_TRAILER => {
                self.stage = Stage::Over;
                Ok(Edited::InPlace)
            }
            _ => edit_tuple(
                ServerTag::CopyData,
                body,
                start,
                self.count,
                columns,
                change,
                out,
            ),
        }
    }
}

#[cfg(test)]
mod tests;
