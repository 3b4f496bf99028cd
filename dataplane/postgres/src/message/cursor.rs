//! Reads a body field by field, and knows that nothing is left.

use super::MessageError;

#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) const fn new(body: &'a [u8]) -> Self {
        Self(body)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], MessageError> {
        let (chunk, rest) = self.0.split_first_chunk().ok_or(MessageError::Truncated)?;
        self.0 = rest;
        Ok(*chunk)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, MessageError> {
        self.chunk::<1>().map(|[byte]| byte)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, MessageError> {
        self.chunk().map(i16::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, MessageError> {
        self.chunk().map(u16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, MessageError> {
        self.chunk().map(i32::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, MessageError> {
        self.chunk().map(u32::from_be_bytes)
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], MessageError> {
        let (bytes, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(MessageError::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// A value behind its length word; `None` for −1.
    pub(crate) fn value(&mut self) -> Result<Option<&'a [u8]>, MessageError> {
        match self.i32()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| MessageError::NegativeLength)?;
                self.bytes(length).map(Some)
            }
        }
    }

    /// A zero-terminated string, without its terminator.
    pub(crate) fn string(&mut self) -> Result<&'a [u8], MessageError> {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .ok_or(MessageError::Unterminated)?;
        let string = self.bytes(end)?;
        self.u8()?;
        Ok(string)
    }

    /// A zero-terminated string in UTF-8, the only client encoding.
    pub(crate) fn text(&mut self) -> Result<&'a str, MessageError> {
        std::str::from_utf8(self.string()?).map_err(|_| MessageError::NotUtf8)
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) const fn finish(&self) -> Result<(), MessageError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(MessageError::TrailingBytes)
        }
    }
}
