//! How COPY writes its rows (the options of `COPY … TO STDOUT`).

use std::sync::Arc;

use pg_raw_parse::Node;
use pg_raw_parse::list::CastNodeList;
use pg_raw_parse::nodes::DefElem;

/// How the rows of one COPY are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyForm {
    /// FORMAT.
    pub format: CopyFormat,
    /// HEADER: a row of names comes first.
    pub header: bool,
}

/// FORMAT, with the options that belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyFormat {
    /// `text`.
    Text {
        /// DELIMITER, ASCII.
        delimiter: u8,
        /// NULL. No value is written like it, unless it is empty.
        null: Arc<str>,
    },
    /// `csv`.
    Csv {
        /// DELIMITER, ASCII.
        delimiter: u8,
        /// NULL.
        null: Arc<str>,
        /// QUOTE, ASCII.
        quote: u8,
        /// ESCAPE, ASCII.
        escape: u8,
        /// FORCE_QUOTE: positions from 0, ascending.
        quoted: Vec<usize>,
    },
    /// `binary`.
    Binary,
}

/// Characters that no DELIMITER of the text format may be (`ProcessCopyOptions`).
const NO_DELIMITERS: &[u8] = b"\\.abcdefghijklmnopqrstuvwxyz0123456789";

/// The options as written, before they are put together.
#[derive(Default)]
struct Options {
    format: Option<String>,
    delimiter: Option<u8>,
    null: Option<String>,
    header: Option<bool>,
    quote: Option<u8>,
    escape: Option<u8>,
    quoted: Option<Vec<usize>>,
    encoding: Option<()>,
}

impl CopyForm {
    /// Reads the options of a COPY whose columns have these names. `None` for whatever is
    /// unknown, is there twice, is refused by the server, or would make rows that cannot be
    /// read back for certain.
    pub(crate) fn read(options: &CastNodeList<DefElem>, names: &[&str]) -> Option<Self> {
        let mut read = Options::default();
        for option in options {
            read.take(option.defname()?, option.arg(), names)?;
        }
        read.form()
    }
}

impl Options {
    fn take(&mut self, name: &str, value: Node<'_>, names: &[&str]) -> Option<()> {
        match name {
            "format" => once(&mut self.format, word(value)?),
            "delimiter" => once(&mut self.delimiter, character(&word(value)?)?),
            "null" => once(&mut self.null, word(value)?),
            "header" => once(&mut self.header, truth(value)?),
            "quote" => once(&mut self.quote, character(&word(value)?)?),
            "escape" => once(&mut self.escape, character(&word(value)?)?),
            "force_quote" => once(&mut self.quoted, positions(value, names)?),
            "encoding" => is_utf8(&word(value)?).then(|| once(&mut self.encoding, ()))?,
            _ => None,
        }
    }

    fn form(self) -> Option<CopyForm> {
        let format = match self.format.as_deref() {
            None | Some("text") => self.text()?,
            Some("csv") => self.csv()?,
            Some("binary") => self.binary()?,
            Some(_) => return None,
        };
        Some(CopyForm {
            format,
            header: self.header.unwrap_or(false),
        })
    }

    fn text(&self) -> Option<CopyFormat> {
        let delimiter = self.delimiter.unwrap_or(b'\t');
        let null = self.null.as_deref().unwrap_or("\\N");
        let fits = self.quote.is_none()
            && self.escape.is_none()
            && self.quoted.is_none()
            && !NO_DELIMITERS.contains(&delimiter)
            && is_no_value(null, delimiter);
        fits.then(|| CopyFormat::Text {
            delimiter,
            null: null.into(),
        })
    }

    fn csv(&self) -> Option<CopyFormat> {
        let delimiter = self.delimiter.unwrap_or(b',');
        let quote = self.quote.unwrap_or(b'"');
        let null = self.null.as_deref().unwrap_or_default();
        let is_plain = null
            .bytes()
            .all(|byte| byte != delimiter && byte != quote && !matches!(byte, b'\n' | b'\r'));
        (is_plain && delimiter != quote).then(|| CopyFormat::Csv {
            delimiter,
            null: null.into(),
            quote,
            escape: self.escape.unwrap_or(quote),
            quoted: self.quoted.clone().unwrap_or_default(),
        })
    }

    fn binary(&self) -> Option<CopyFormat> {
        let fits = self.delimiter.is_none()
            && self.null.is_none()
            && self.quote.is_none()
            && self.escape.is_none()
            && self.quoted.is_none()
            && self.header != Some(true);
        fits.then_some(CopyFormat::Binary)
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

/// Whether a NULL of the text format is one that no value is written like. The server does not
/// escape it, and so a value of the same letters would pass for it: only what holds an escape
/// that no value has is certain. The empty string is taken nevertheless, for all that it could
/// tell is that a value is absent or empty.
fn is_no_value(null: &str, delimiter: u8) -> bool {
    let mut bytes = null.bytes();
    let mut is_certain = null.is_empty();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next() {
                None => return false,
                Some(escaped) if escaped == delimiter || escaped < b' ' => return false,
                Some(escaped) => is_certain |= !b"bfnrtv\\".contains(&escaped),
            },
            0x08..=0x0d => return false,
            _ if byte == delimiter => return false,
            _ => {}
        }
    }
    is_certain
}

/// A name, a string or a number.
fn word(value: Node<'_>) -> Option<String> {
    match value {
        Node::String(text) => text.sval().map(str::to_owned),
        Node::Integer(number) => Some(number.ival.to_string()),
        _ => None,
    }
}

/// One character of ASCII that ends no line.
fn character(word: &str) -> Option<u8> {
    match word.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, 0 | b'\n' | b'\r') => Some(*byte),
        _ => None,
    }
}

/// `defGetBoolean`'s words.
fn truth(value: Node<'_>) -> Option<bool> {
    match value {
        Node::None => Some(true),
        Node::Boolean(truth) => Some(truth.boolval),
        other => match word(other)?.to_ascii_lowercase().as_str() {
            "1" | "on" | "true" => Some(true),
            "0" | "off" | "false" => Some(false),
            _ => None,
        },
    }
}

/// `*`, or names of columns, of which the first of that name is meant.
fn positions(value: Node<'_>, names: &[&str]) -> Option<Vec<usize>> {
    match value {
        Node::A_Star(_) => Some((0..names.len()).collect()),
        Node::NodeList(list) => {
            let mut found: Vec<usize> = list
                .iter()
                .map(|name| {
                    let name = name.as_str()?;
                    names.iter().position(|known| *known == name)
                })
                .collect::<Option<_>>()?;
            found.sort_unstable();
            Some(found)
        }
        _ => None,
    }
}

/// `pg_char_to_encoding` looks at letters and digits only.
fn is_utf8(name: &str) -> bool {
    let name: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase();
    matches!(name.as_str(), "utf8" | "unicode")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_that_a_value_could_be_is_not_taken() {
        for (null, delimiter, is_taken) in [
            ("\\N", b'\t', true),
            ("", b'\t', true),
            ("\\q", b'|', true),
            ("x\\Ny", b'|', true),
            ("123-45-6789", b'\t', false),
            ("NULL", b'\t', false),
            ("\\\\N", b'\t', false),
            ("\\t", b'\t', false),
            ("\\N\\", b'\t', false),
            ("\\|", b'|', false),
            ("\\N|", b'|', false),
            ("\\N\t", b'|', false),
            ("\\N\n", b'|', false),
        ] {
            assert_eq!(is_no_value(null, delimiter), is_taken, "{null:?}");
        }
    }
}
