//! The walker's slow twin: a recursive reader of the same subset, byte by byte, with no vector
//! code and nothing of the walker's. The tests and the fuzzer compare all that both say.

use super::limits::{JSON_DEPTH_MAX, JSON_NODES_MAX, JSON_NUMBER_BYTES_MAX};
use super::{JsonError, Kind};

/// A value or key, as the walker's nodes have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Whether a string has escapes.
    pub(super) escaped: bool,
    /// Whether every byte of it is below 0x80.
    pub(super) ascii: bool,
    pub(super) start: usize,
    pub(super) end: usize,
    /// The place of the token after everything in it.
    pub(super) next: usize,
}

/// Every value and key of a body in its order, or the first thing that is wrong with it.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Token>, JsonError> {
    let mut twin = Twin {
        bytes,
        at: 0,
        depth: 0,
        tokens: Vec::new(),
    };
    twin.blanks();
    twin.value()?;
    twin.blanks();
    match bytes.get(twin.at) {
        None => Ok(twin.tokens),
        Some(_) => Err(JsonError::Trailing(twin.at)),
    }
}

struct Twin<'b> {
    bytes: &'b [u8],
    at: usize,
    depth: usize,
    tokens: Vec<Token>,
}

impl Twin<'_> {
    fn byte(&self) -> Result<u8, JsonError> {
        let byte = self.bytes.get(self.at).copied();
        byte.ok_or(JsonError::Truncated(self.at))
    }

    fn blanks(&mut self) {
        while matches!(self.byte(), Ok(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn exactly(&mut self, wanted: &[u8]) -> Result<(), JsonError> {
        for byte in wanted {
            if self.byte()? != *byte {
                return Err(JsonError::Unexpected(self.at));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn value(&mut self) -> Result<(), JsonError> {
        let place = self.tokens.len();
        let (start, first) = (self.at, self.byte()?);
        let kind = match first {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'"' => return self.string(Kind::String),
            b't' => Kind::True,
            b'f' => Kind::False,
            b'n' => Kind::Null,
            b'-' | b'0'..=b'9' => Kind::Number,
            _ => return Err(JsonError::Unexpected(start)),
        };
        match kind {
            Kind::Object | Kind::Array => {
                if self.depth == JSON_DEPTH_MAX {
                    return Err(JsonError::Deep(start));
                }
                self.open(kind, start)?;
                self.depth += 1;
                self.at += 1;
                self.members(kind)?;
                self.depth -= 1;
            }
            Kind::True => self.exactly(b"true")?,
            Kind::False => self.exactly(b"false")?,
            Kind::Null => self.exactly(b"null")?,
            Kind::Number => self.number()?,
            Kind::Key | Kind::String => {}
        }
        if self.tokens.len() == place {
            self.open(kind, start)?;
        }
        self.close(place);
        Ok(())
    }

    fn open(&mut self, kind: Kind, start: usize) -> Result<(), JsonError> {
        if self.tokens.len() == JSON_NODES_MAX {
            return Err(JsonError::Large);
        }
        self.tokens.push(Token {
            kind,
            escaped: false,
            ascii: true,
            start,
            end: start,
            next: 0,
        });
        Ok(())
    }

    fn close(&mut self, place: usize) {
        let next = self.tokens.len();
        self.tokens[place].end = self.at;
        self.tokens[place].next = next;
    }

    /// What stands between the brackets, and the closing one.
    fn members(&mut self, of: Kind) -> Result<(), JsonError> {
        let end = if of == Kind::Object { b'}' } else { b']' };
        let mut is_first = true;
        loop {
            self.blanks();
            if self.byte()? == end {
                self.at += 1;
                return Ok(());
            }
            if !is_first {
                self.exactly(b",")?;
                self.blanks();
            }
            is_first = false;
            if of == Kind::Object {
                if self.byte()? != b'"' {
                    return Err(JsonError::Unexpected(self.at));
                }
                self.string(Kind::Key)?;
                self.blanks();
                self.exactly(b":")?;
                self.blanks();
            }
            self.value()?;
        }
    }

    fn string(&mut self, kind: Kind) -> Result<(), JsonError> {
        let start = self.at;
        let (mut escaped, mut ascii) = (false, true);
        self.at += 1;
        loop {
            match self.byte()? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                0..0x20 => return Err(JsonError::Control(self.at)),
                0x20..0x80 => self.at += 1,
                0x80.. => {
                    ascii = false;
                    self.character()?;
                }
            }
        }
        self.at += 1;
        let place = self.tokens.len();
        self.open(kind, start)?;
        self.tokens[place].escaped = escaped;
        self.tokens[place].ascii = ascii;
        self.close(place);
        Ok(())
    }

    /// A character of two to four bytes, by Table 3-7 of the Unicode Standard.
    fn character(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        let (second, more) = match self.byte()? {
            0xC2..=0xDF => (0x80..=0xBF, 0),
            0xE0 => (0xA0..=0xBF, 1),
            0xE1..=0xEC | 0xEE..=0xEF => (0x80..=0xBF, 1),
            0xED => (0x80..=0x9F, 1),
            0xF0 => (0x90..=0xBF, 2),
            0xF1..=0xF3 => (0x80..=0xBF, 2),
            0xF4 => (0x80..=0x8F, 2),
            _ => return Err(JsonError::Utf8(start)),
        };
        self.at += 1;
        for range in std::iter::once(second).chain(std::iter::repeat_n(0x80..=0xBF, more)) {
            match self.byte() {
                Ok(byte) if range.contains(&byte) => self.at += 1,
                Ok(_) | Err(_) => return Err(JsonError::Utf8(start)),
            }
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.at += 1;
        if self.byte()? != b'u' {
            let is_known = b"\"\\/bfnrt".contains(&self.byte()?);
            self.at += 1;
            return is_known.then_some(()).ok_or(JsonError::Escape(start));
        }
        self.at += 1;
        let first = self.hex(start)?;
        if !(0xD800..0xE000).contains(&first) {
            return Ok(());
        }
        let is_pair = first < 0xDC00
            && self.bytes.get(self.at) == Some(&b'\\')
            && self.bytes.get(self.at + 1) == Some(&b'u');
        if !is_pair {
            return Err(JsonError::Surrogate(start));
        }
        self.at += 2;
        match self.hex(start)? {
            0xDC00..0xE000 => Ok(()),
            _ => Err(JsonError::Surrogate(start)),
        }
    }

    fn hex(&mut self, escape: usize) -> Result<u32, JsonError> {
        if self.bytes.len() - self.at < 4 {
            return Err(JsonError::Truncated(self.bytes.len()));
        }
        let mut code = 0;
        for _ in 0..4 {
            code = code * 16
                + match self.byte()? {
                    digit @ b'0'..=b'9' => u32::from(digit - b'0'),
                    digit @ b'a'..=b'f' => u32::from(digit - b'a') + 10,
                    digit @ b'A'..=b'F' => u32::from(digit - b'A') + 10,
                    _ => return Err(JsonError::Escape(escape)),
                };
            self.at += 1;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        if self.byte()? == b'-' {
            self.at += 1;
        }
        match self.byte()? {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.byte() == Ok(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Ok(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Ok(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = String::from_utf8_lossy(&self.bytes[start..self.at]);
        let is_finite = text.parse::<f64>().is_ok_and(f64::is_finite);
        if is_finite && text.len() <= JSON_NUMBER_BYTES_MAX {
            Ok(())
        } else {
            Err(JsonError::Number(start))
        }
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.byte()?.is_ascii_digit() {
            return Err(JsonError::Unexpected(self.at));
        }
        while self.byte().is_ok_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }
}
