//! Files inside of messages: what is a text in them is masked like any text.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{
    DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD,
};
use memchr::memmem;
use weir_mcp::json::{Document, Kind, Value};
use weir_mcp::reveal::Shown;

use super::{Hidden, Pointer, Withheld, Work};

/// As lenient as clients are.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Strings of a message that carry files, by position, with whether they say that they are text.
pub(super) struct Blobs(Vec<(usize, Said)>);

/// What a file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Text,
    Other,
}

/// A file.
#[derive(Debug)]
pub(super) enum Blob {
    /// It is text, whatever it says.
    Text(String),
    /// The same to clients that pass over what base64 does not have. To others it is no file.
    Scattered(String),
    /// It says that it is text, in an encoding that detectors do not read.
    Unread,
    /// It is something else.
    Opaque,
}

impl Blobs {
    /// `blob` of a resource's contents, `data` of a picture or sound, and what a `uri` itself has.
    pub(super) fn of(document: &Document<'_>) -> Self {
        let mut blobs = Self(Vec::new());
        let bytes = document.bytes();
        // Names may be written with escapes; most messages have neither.
        let may_have = [&b"blob"[..], b"data", b"\\u"]
            .iter()
            .any(|word| memmem::find(bytes, word).is_some());
        if may_have {
            blobs.walk(&document.root());
        }
        blobs
    }

    fn walk(&mut self, value: &Value<'_>) {
        // Looked for once: of an object with one name many times, readers take any.
        let (mut is_picture, mut said) = (None, None);
        for (key, member) in value.members() {
            let is_url = |value: &Value<'_>| value.raw().starts_with(b"\"data:");
            let is_file = key.is_text("blob")
                || (key.is_text("uri") && is_url(&member))
                || (key.is_text("data") && *is_picture.get_or_insert_with(|| is_picture_of(value)));
            if is_file && member.kind() == Kind::String {
                let said = *said.get_or_insert_with(|| said_of(value));
                self.0.push((member.index(), said));
            }
            self.walk(&member);
        }
        for element in value.elements() {
            self.walk(&element);
        }
    }

    /// The file that a string is, if it is one. What is no base64 to anybody is a text like any
    /// other.
    pub(super) fn decoded(&self, index: usize, text: &str) -> Option<Blob> {
        let at = self.0.binary_search_by_key(&index, |(at, _)| *at).ok()?;
        let (_, said) = self.0.get(at)?;
        let (content, is_whole) = match LENIENT.decode(text) {
            Ok(content) => (content, true),
            Err(_) => (LENIENT.decode(gathered(text)).ok()?, is_wrapped(text)),
        };
        match (String::from_utf8(content), said) {
            (Ok(content), _) if is_whole => Some(Blob::Text(content)),
            (Ok(content), _) => Some(Blob::Scattered(content)),
            (Err(_), Said::Text) if is_whole => Some(Blob::Unread),
            (Err(_), Said::Other) if is_whole => Some(Blob::Opaque),
            (Err(_), Said::Text | Said::Other) => None,
        }
    }
}

/// Bytes of a file in base64 that could be a value as it stands: no picture is as small.
const VALUE_BYTES_MAX: usize = 256;

impl Blob {
    /// Whether what stands there may be a value that is no file at all.
    pub(super) fn may_be_plain(&self, text: &str) -> bool {
        let is_scattered = matches!(self, Self::Scattered(_));
        is_scattered || text.len() <= VALUE_BYTES_MAX || LENIENT.decode(text).is_err()
    }
}

/// What Node and Python take for base64 of a text: either alphabet, and nothing else of it. Of a
/// `data` URL (RFC 2397), what follows its type.
fn gathered(text: &str) -> Vec<u8> {
    let content = text
        .split_once("base64,")
        .filter(|(before, _)| before.starts_with("data:"))
        .map_or(text, |(_, content)| content);
    let digits = content.bytes().filter_map(|byte| match byte {
        b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        _ if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/') => Some(byte),
        _ => None,
    });
    let mut digits: Vec<_> = digits.collect();
    if digits.len() % 4 == 1 {
        digits.pop();
    }
    digits
}

/// Whether a text is base64 of either alphabet, in lines.
fn is_wrapped(text: &str) -> bool {
    let belongs = |byte: u8| {
        byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || b"+/-_=".contains(&byte)
    };
    text.bytes().all(belongs)
}

impl Work<'_> {
    /// What is shown of a file. One that cannot be read and should be is emptied.
    pub(super) fn opened(&mut self, pointer: Pointer<'_>, blob: Blob) -> Shown {
        match blob {
            Blob::Text(content) => {
                let is_found = self.look(&content);
                match self.through(pointer, &content, is_found) {
                    Shown::Same => Shown::Same,
                    Shown::Text(shown) | Shown::Literal(shown) => {
                        Shown::Text(STANDARD.encode(shown))
                    }
                    Shown::Null => Shown::Text(String::new()),
                }
            }
            Blob::Scattered(content) => {
                let has_places = !self.masks.places.is_empty() && super::is_json(&content);
                if !has_places && !self.look(&content) {
                    return Shown::Same;
                }
                self.note(pointer, || "null (no whole base64)".to_owned());
                Shown::Text(String::new())
            }
            Blob::Unread if self.masks.is_empty() => Shown::Same,
            Blob::Unread => {
                self.note(pointer, || "null (text in another encoding)".to_owned());
                Shown::Text(String::new())
            }
            Blob::Opaque => match &self.masks.blobs {
                None => Shown::Same,
                Some(Hidden::Masked(_)) => {
                    self.note(pointer, || "null (blob)".to_owned());
                    Shown::Text(String::new())
                }
                Some(Hidden::Denied(outside)) => {
                    self.withheld = Some(Withheld::of("a blob", outside));
                    Shown::Null
                }
            },
        }
    }
}

/// Whether an object says that its `data` is a picture or sound.
fn is_picture_of(value: &Value<'_>) -> bool {
    let is_so = |kind: Value<'_>| kind.is_text("image") || kind.is_text("audio");
    let mut members = value.members();
    members.any(|(key, kind)| key.is_text("type") && is_so(kind))
}

fn said_of(value: &Value<'_>) -> Said {
    let is_text = |kind: Value<'_>| kind.text().is_some_and(|kind| is_text_like(&kind));
    let mut members = value.members();
    match members.any(|(key, kind)| key.is_text("mimeType") && is_text(kind)) {
        true => Said::Text,
        false => Said::Other,
    }
}

/// Whether a media type (RFC 6838) is of text.
fn is_text_like(kind: &str) -> bool {
    const OTHERS: &[&str] = &[
        "application/json",
        "application/xml",
        "application/yaml",
        "application/x-yaml",
        "application/toml",
        "application/sql",
        "application/csv",
        "application/javascript",
        "application/x-ndjson",
        "application/jsonl",
        "application/x-www-form-urlencoded",
    ];
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind.starts_with("text/")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || OTHERS.contains(&&*kind)
}
