//! Reads a leaf back, strictly: only what the canonical writer writes is accepted.

use weir_facts::{CallRef, Digest, FlowId, Link, OperationSeq};

use crate::leaf::LEAF_VERSION_MIN;
use crate::limits::{INTEGER_MAX, LEAF_DEPTH_MAX};
use crate::{Kind, LEAF_VERSION, RecordSeq, WorkerId};

/// What a leaf says of its own place, and of the operation it tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeafFacts {
    /// What it tells of.
    pub kind: Kind,
    /// Whose sequence it is in.
    pub worker: WorkerId,
    /// Its place there.
    pub seq: RecordSeq,
    /// Hash of the worker's leaf before it.
    pub prev: Digest,
    /// Microseconds since the Unix epoch.
    pub time_us: u64,
    /// The flow.
    pub flow: Option<u64>,
    /// The operation's position in the flow.
    pub operation: Option<u32>,
    /// The MCP call that caused it.
    pub link: Option<Link>,
}

/// Why a leaf is not one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// Not UTF-8, not JSON, or not in canonical form (RFC 8785), at this byte.
    #[error("not canonical JSON at byte {0}")]
    Form(usize),
    /// A member that every leaf has is missing or is not what it should be.
    #[error("member {0} is missing or malformed")]
    Member(&'static str),
}

/// Reads the members that verification needs, and checks the form of all of them.
///
/// # Errors
/// If the leaf is not exactly what the writer would have written for its content.
pub fn read_leaf(leaf: &[u8]) -> Result<LeafFacts, LeafError> {
    let text = std::str::from_utf8(leaf).map_err(|error| LeafError::Form(error.valid_up_to()))?;
    let mut reader = Reader {
        bytes: text.as_bytes(),
        at: 0,
    };
    let mut members = Members::default();
    reader.expect(b'{')?;
    reader.members(1, &mut |key, value| members.take(key, value))?;
    if reader.at != reader.bytes.len() {
        return Err(LeafError::Form(reader.at));
    }
    members.facts()
}

/// A value as read; strings as they are written, between the quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'b> {
    Text(&'b [u8]),
    Integer(u64),
    /// An object or array, as it is written.
    Nested(&'b [u8]),
}

#[derive(Default)]
struct Members<'b> {
    kind: Option<Value<'b>>,
    worker: Option<Value<'b>>,
    seq: Option<Value<'b>>,
    prev: Option<Value<'b>>,
    time_us: Option<Value<'b>>,
    flow: Option<Value<'b>>,
    operation: Option<Value<'b>>,
    version: Option<Value<'b>>,
    link: Option<Value<'b>>,
}

/// Members of `link`.
#[derive(Default)]
struct Cause<'b> {
    candidates: Option<Value<'b>>,
    flow: Option<Value<'b>>,
    kind: Option<Value<'b>>,
    operation: Option<Value<'b>>,
}

impl<'b> Cause<'b> {
    /// Reads the object once more: its form is checked.
    fn read(object: Value<'b>) -> Option<Link> {
        let Value::Nested(bytes) = object else {
            return None;
        };
        let mut reader = Reader { bytes, at: 0 };
        let mut cause = Self::default();
        reader.expect(b'{').ok()?;
        reader
            .members(1, &mut |key, value| cause.take(key, value))
            .ok()?;
        cause.link()
    }

    fn take(&mut self, key: &[u8], value: Value<'b>) {
        let slot = match key {
            b"candidates" => &mut self.candidates,
            b"flow" => &mut self.flow,
            b"kind" => &mut self.kind,
            b"operation" => &mut self.operation,
            _ => return,
        };
        *slot = Some(value);
    }

    fn link(self) -> Option<Link> {
        let count = |value| u32::try_from(integer(value, "link").ok()?).ok();
        let call = || {
            Some(CallRef {
                flow: FlowId(hex64(text(self.flow)?)?),
                operation: OperationSeq(count(self.operation)?),
            })
        };
        match text(self.kind)? {
            b"trace" => call().map(Link::Trace),
            b"process" => call().map(Link::Process),
            b"ambiguous" => count(self.candidates).map(|candidates| Link::Ambiguous { candidates }),
            _ => None,
        }
    }
}

impl<'b> Members<'b> {
    fn take(&mut self, key: &[u8], value: Value<'b>) {
        let slot = match key {
            b"kind" => &mut self.kind,
            b"worker" => &mut self.worker,
            b"seq" => &mut self.seq,
            b"prev" => &mut self.prev,
            b"time_us" => &mut self.time_us,
            b"flow" => &mut self.flow,
            b"operation" => &mut self.operation,
            b"v" => &mut self.version,
            b"link" => &mut self.link,
            _ => return,
        };
        *slot = Some(value);
    }

    fn facts(self) -> Result<LeafFacts, LeafError> {
        let version = integer(self.version, "v")?;
        if !(LEAF_VERSION_MIN..=LEAF_VERSION).contains(&version) {
            return Err(LeafError::Member("v"));
        }
        let kind = text(self.kind).and_then(|text| Kind::parse(std::str::from_utf8(text).ok()?));
        let worker = u16::try_from(integer(self.worker, "worker")?)
            .map_err(|_| LeafError::Member("worker"))?;
        let flow = self.flow.map(|flow| {
            text(Some(flow))
                .and_then(hex64)
                .ok_or(LeafError::Member("flow"))
        });
        let operation = self.operation.map(|value| {
            u32::try_from(integer(Some(value), "operation")?)
                .map_err(|_| LeafError::Member("operation"))
        });
        Ok(LeafFacts {
            kind: kind.ok_or(LeafError::Member("kind"))?,
            worker: WorkerId(worker),
            seq: RecordSeq(integer(self.seq, "seq")?),
            prev: text(self.prev)
                .and_then(hex_digest)
                .ok_or(LeafError::Member("prev"))?,
            time_us: integer(self.time_us, "time_us")?,
            flow: flow.transpose()?,
            operation: operation.transpose()?,
            link: match self.link {
                None => None,
                Some(object) => Some(Cause::read(object).ok_or(LeafError::Member("link"))?),
            },
        })
    }
}

fn text(value: Option<Value<'_>>) -> Option<&[u8]> {
    match value? {
        Value::Text(text) => Some(text),
        Value::Integer(_) | Value::Nested(_) => None,
    }
}

fn integer(value: Option<Value<'_>>, name: &'static str) -> Result<u64, LeafError> {
    match value {
        Some(Value::Integer(integer)) => Ok(integer),
        Some(Value::Text(digits)) => large_integer(digits).ok_or(LeafError::Member(name)),
        Some(Value::Nested(_)) | None => Err(LeafError::Member(name)),
    }
}

/// An integer that is written as a string, because a JSON reader could round it.
fn large_integer(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?;
    let plain = digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.starts_with('0');
    digits
        .parse()
        .ok()
        .filter(|value| plain && *value > INTEGER_MAX)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn hex64(text: &[u8]) -> Option<u64> {
    if text.len() != 16 {
        return None;
    }
    text.iter().try_fold(0, |value, digit| {
        Some(value << 4 | u64::from(nibble(*digit)?))
    })
}

fn hex_digest(text: &[u8]) -> Option<Digest> {
    let (pairs, rest) = text.as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(Digest(digest))
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    const fn wrong(&self) -> LeafError {
        LeafError::Form(self.at)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, LeafError> {
        let byte = self.peek().ok_or(self.wrong())?;
        self.at += 1;
        Ok(byte)
    }

    fn expect(&mut self, wanted: u8) -> Result<(), LeafError> {
        if self.peek() != Some(wanted) {
            return Err(self.wrong());
        }
        self.at += 1;
        Ok(())
    }

    /// Members up to and with the closing brace: keys strictly ascending.
    fn members(
        &mut self,
        depth: usize,
        take: &mut dyn FnMut(&[u8], Value<'b>),
    ) -> Result<(), LeafError> {
        let mut last: &[u8] = b"";
        loop {
            let before = self.at;
            let key = self.string()?;
            let plain = key
                .iter()
                .all(|byte| byte.is_ascii_lowercase() || *byte == b'_');
            if !plain || key <= last {
                return Err(LeafError::Form(before));
            }
            last = key;
            self.expect(b':')?;
            take(key, self.value(depth)?);
            match self.next()? {
                b',' => {}
                b'}' => return Ok(()),
                _ => return Err(LeafError::Form(self.at - 1)),
            }
        }
    }

    fn items(&mut self, depth: usize) -> Result<(), LeafError> {
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth)?;
            match self.next()? {
                b',' => {}
                b']' => return Ok(()),
                _ => return Err(LeafError::Form(self.at - 1)),
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value<'b>, LeafError> {
        if depth > LEAF_DEPTH_MAX {
            return Err(self.wrong());
        }
        match self.peek() {
            Some(b'"') => self.string().map(Value::Text),
            Some(b'0'..=b'9') => self.integer().map(Value::Integer),
            Some(open @ (b'[' | b'{')) => {
                let start = self.at;
                self.at += 1;
                if open == b'[' {
                    self.items(depth + 1)?;
                } else {
                    self.members(depth + 1, &mut |_, _| {})?;
                }
                let nested = self.bytes.get(start..self.at);
                nested.map(Value::Nested).ok_or(LeafError::Form(start))
            }
            _ => Err(self.wrong()),
        }
    }

    fn integer(&mut self) -> Result<u64, LeafError> {
        let start = self.at;
        let mut value = 0u64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            let leading_zero = self.at > start && value == 0;
            value = value * 10 + u64::from(digit - b'0');
            if leading_zero || value > INTEGER_MAX {
                return Err(self.wrong());
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn string(&mut self) -> Result<&'b [u8], LeafError> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.next()? {
                b'"' => {
                    return self
                        .bytes
                        .get(start..self.at - 1)
                        .ok_or(LeafError::Form(start));
                }
                b'\\' => self.escape()?,
                0..0x20 => return Err(LeafError::Form(self.at - 1)),
                _ => {}
            }
        }
    }

    /// The shortest escape is the only one.
    fn escape(&mut self) -> Result<(), LeafError> {
        match self.next()? {
            b'"' | b'\\' | b'b' | b't' | b'n' | b'f' | b'r' => Ok(()),
            b'u' => {
                self.expect(b'0')?;
                self.expect(b'0')?;
                let (high, low) = (self.next()?, self.next()?);
                let code = nibble(high)
                    .zip(nibble(low))
                    .map(|(high, low)| high << 4 | low);
                match code {
                    Some(8 | 9 | 10 | 12 | 13 | 0x20..) | None => Err(self.wrong()),
                    Some(0..0x20) => Ok(()),
                }
            }
            _ => Err(LeafError::Form(self.at - 1)),
        }
    }
}
