use crate::message::{Cursor, MessageError};

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// 0: as in SQL, in the client's encoding.
    Text,
    /// 1: as its type's send function writes it.
    Binary,
}

impl Format {
    /// The format behind a code.
    ///
    /// # Errors
    /// [`MessageError::Format`].
    pub const fn from_code(code: u16) -> Result<Self, MessageError> {
        match code {
            0 => Ok(Self::Text),
            1 => Ok(Self::Binary),
            _ => Err(MessageError::Format),
        }
    }

    /// Its code.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Text => 0,
            Self::Binary => 1,
        }
    }
}

/// Bind's format codes: none means text, one holds for all, else there is one for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formats {
    /// No code: text.
    Text,
    /// One code.
    All(Format),
    /// One code for each, two or more.
    Each(Box<[Format]>),
}

impl Formats {
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, MessageError> {
        let count = usize::from(cursor.u16()?);
        let codes = cursor.bytes(count * 2)?;
        let mut formats = codes
            .as_chunks()
            .0
            .iter()
            .map(|code| Format::from_code(u16::from_be_bytes(*code)));
        match count {
            0 => Ok(Self::Text),
            1 => Ok(formats.next().transpose()?.map_or(Self::Text, Self::All)),
            _ => formats.collect::<Result<_, _>>().map(Self::Each),
        }
    }

    /// Whether they can stand for `count` values.
    #[must_use]
    pub const fn fits(&self, count: usize) -> bool {
        match self {
            Self::Text | Self::All(_) => true,
            Self::Each(formats) => formats.len() == count,
        }
    }

    /// The format of a value, by its position from 0; `None` beyond the last.
    #[must_use]
    pub fn of(&self, position: usize) -> Option<Format> {
        match self {
            Self::Text => Some(Format::Text),
            Self::All(format) => Some(*format),
            Self::Each(formats) => formats.get(position).copied(),
        }
    }
}
