//! W3C Trace Context as far as a call and the SQL that it causes are linked by it: where a
//! `traceparent` stands in a text of SQL or in a session's name, and which trace it names.

/// The trace of a `traceparent` (W3C Trace Context §3.2.2.3): what stays the same from a call
/// to everything that it causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TraceId([u8; 16]);

/// Characters of a version 00 `traceparent`.
const TRACEPARENT_BYTES: usize = 55;

impl TraceId {
    /// Reads a `traceparent`. Of a version to come, what version 00 has (§3.2.4); none with
    /// upper-case digits, none of zeros only, and none of version ff.
    pub(crate) fn of(traceparent: &str) -> Option<Self> {
        let plain = traceparent.get(..TRACEPARENT_BYTES)?;
        let rest = traceparent.get(TRACEPARENT_BYTES..)?;
        let mut parts = plain.split('-');
        let (version, trace, parent, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let goes_on = version != "00" && rest.starts_with('-');
        let is_whole = parts.next().is_none() && (rest.is_empty() || goes_on);
        let (version, flags) = (hex::<1>(version)?, hex::<1>(flags)?);
        let (trace, parent) = (hex::<16>(trace)?, hex::<8>(parent)?);
        let _ = flags;
        let names_something = version != [0xff] && trace != [0; 16] && parent != [0; 8];
        (is_whole && names_something).then_some(Self(trace))
    }

    /// A trace that nobody else has, and a `traceparent` that names it.
    pub(crate) fn begin(random: &mut dyn FnMut(&mut [u8])) -> (Self, String) {
        let mut drawn = [0; 24];
        random(&mut drawn);
        let (trace, parent) = drawn.split_at(16);
        let mut id = [0; 16];
        id.iter_mut().zip(trace).for_each(|(to, from)| *to = *from);
        // Neither may be all zeros.
        id[0] |= 1;
        let mut text = String::with_capacity(TRACEPARENT_BYTES);
        text.push_str("00-");
        id.iter().for_each(|byte| push_hex(&mut text, *byte));
        text.push('-');
        let (last, parent) = parent.split_last().unwrap_or((&0, &[]));
        parent.iter().for_each(|byte| push_hex(&mut text, *byte));
        push_hex(&mut text, last | 1);
        // Sampled: a server that asks its parent whether to trace would else stop tracing.
        text.push_str("-01");
        (Self(id), text)
    }

    /// The trace that a text of SQL carries in a comment at its end or at its beginning, as
    /// sqlcommenter writes it: `/*…,traceparent='00-…-…-01',…*/`. Nothing else is looked at:
    /// what stands between could be a value that a client brought.
    pub(crate) fn of_sql(text: &str) -> Option<Self> {
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == ';');
        let last = last_comment(text).and_then(Self::of_comment);
        last.or_else(|| first_comment(text).and_then(Self::of_comment))
    }

    /// The trace that a session's name (`application_name`) is, or ends with behind a blank or a
    /// slash: `app 00-…-…-01`. A server keeps 63 bytes of a name, of which this takes 55.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::of(name.rsplit([' ', '/']).next()?)
    }

    fn of_comment(comment: &str) -> Option<Self> {
        comment.split(',').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            let value = value.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            (key.trim() == "traceparent").then(|| Self::of(value))?
        })
    }
}

/// The comment that a text ends with. A literal ends with its quote, so this is none.
fn last_comment(text: &str) -> Option<&str> {
    let text = text.strip_suffix("*/")?;
    let begin = text.rfind("/*")?;
    let comment = text.get(begin + 2..)?;
    // Of a comment within a comment it is not known who wrote which.
    (!comment.contains("*/")).then_some(comment)
}

/// The comment that a text begins with.
fn first_comment(text: &str) -> Option<&str> {
    let text = text.strip_prefix("/*")?;
    let comment = text.get(..text.find("*/")?)?;
    (!comment.contains("/*")).then_some(comment)
}

/// Appends a byte in lower-case hexadecimal: a formatter for each byte of a digest took longer than
/// the digest.
pub(crate) fn push_hex(text: &mut String, byte: u8) {
    let digit = |nibble: u8| char::from(nibble + if nibble < 10 { b'0' } else { b'a' - 10 });
    text.push(digit(byte >> 4));
    text.push(digit(byte & 15));
}

fn hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn trace() -> Option<TraceId> {
        TraceId::of(PARENT)
    }

    #[test]
    fn a_traceparent_names_its_trace_and_a_malformed_one_names_none() {
        assert!(trace().is_some());
        let later = format!("01-{}-what", &PARENT[3..]);
        assert_eq!(TraceId::of(&later), trace());
        for wrong in [
            "",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0af7651916cd43dd8448eb211c80319cb7ad6b7169203331-0100",
        ] {
            assert_eq!(TraceId::of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_trace_that_is_begun_reads_back() {
        let mut next = 0u8;
        let (id, text) = TraceId::begin(&mut |bytes| {
            bytes.iter_mut().for_each(|byte| *byte = next);
            next = next.wrapping_add(7);
        });
        assert_eq!(TraceId::of(&text), Some(id));
    }

    #[test]
    fn a_comment_at_either_end_of_sql_is_read() {
        for sql in [
            format!("SELECT 1 /*traceparent='{PARENT}'*/"),
            format!("SELECT 1 /*db_driver='x%20y',traceparent='{PARENT}',z=''*/ ;\n"),
            format!("/* action='list' , traceparent = '{PARENT}' */ SELECT '/*'"),
            format!("SELECT /* hint */ 1 /*traceparent='{PARENT}'*/"),
        ] {
            assert_eq!(TraceId::of_sql(&sql), trace(), "{sql}");
        }
    }

    #[test]
    fn a_session_is_named_by_a_trace_alone_or_behind_a_name() {
        for name in ["", "app ", "app/", "weir:ada@uid:7/", "x y/z "] {
            assert_eq!(
                TraceId::of_name(&format!("{name}{PARENT}")),
                trace(),
                "{name}"
            );
        }
        for name in [
            "psql".to_owned(),
            format!("app{PARENT}"),
            format!("{PARENT} psql"),
        ] {
            assert_eq!(TraceId::of_name(&name), None, "{name}");
        }
        assert_eq!(TraceId::of_name(&PARENT[..54]), None);
    }

    #[test]
    fn what_stands_in_a_literal_or_in_a_nested_comment_is_no_trace() {
        for sql in [
            format!("SELECT '/*traceparent=''{PARENT}''*/'"),
            format!("SELECT '/*traceparent='{PARENT}'*/', 1"),
            format!("SELECT $$/*traceparent='{PARENT}'*/$$"),
            format!("SELECT 1 /* a /*traceparent='{PARENT}'*/ b */"),
            format!("SELECT 1 /*tracepar='{PARENT}'*/"),
            "SELECT 1".to_owned(),
            "/*".to_owned(),
            "*/".to_owned(),
        ] {
            assert_eq!(TraceId::of_sql(&sql), None, "{sql}");
        }
    }
}
