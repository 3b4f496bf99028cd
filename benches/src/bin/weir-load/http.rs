//! As much of HTTP/1.1 (RFC 9112) as a client needs that trusts its server: heads,
//! Content-Length and chunked bodies.

use anyhow::{Context, Result, bail};

/// A whole response.
#[derive(PartialEq, Eq)]
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// The head, as it came.
    pub(crate) head: String,
    /// The body, without the framing.
    pub(crate) body: Vec<u8>,
    /// Bytes of all of it on the wire.
    pub(crate) length: usize,
}

/// So much of a body is shown where it is not what it should be.
const SHOWN_BYTES: usize = 600;

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.body.get(..SHOWN_BYTES).unwrap_or(&self.body);
        let body = String::from_utf8_lossy(shown);
        write!(f, "{} {body:?}", self.status)
    }
}

impl Response {
    /// A field of the head, by its name in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

/// Reads a response that may not have come whole.
///
/// # Errors
/// It is none.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<Response>> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, rest) = bytes.split_at_checked(end + 4).context("a head")?;
    let head = std::str::from_utf8(head)
        .context("a head is text")?
        .to_owned();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .context("no status line")?;
    let (body, length) = if field(&head, "transfer-encoding")
        .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    {
        match chunked(rest)? {
            Some(whole) => whole,
            None => return Ok(None),
        }
    } else {
        let length = match field(&head, "content-length") {
            Some(length) => length.parse().context("Content-Length")?,
            None if status == 202 || status == 204 => 0,
            None => bail!("a body without an end: {head}"),
        };
        match rest.get(..length) {
            Some(body) => (body.to_vec(), length),
            None => return Ok(None),
        }
    };
    Ok(Some(Response {
        status,
        length: head.len() + length,
        head,
        body,
    }))
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// The body, and the bytes that it took.
fn chunked(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(line) = memchr::memmem::find(rest, b"\r\n") else {
            return Ok(None);
        };
        let size =
            std::str::from_utf8(rest.get(..line).unwrap_or_default()).context("a chunk's size")?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
            .context("a chunk's size")?;
        let Some(chunk) = rest.get(line + 2..line + 2 + size + 2) else {
            return Ok(None);
        };
        body.extend_from_slice(chunk.get(..size).unwrap_or_default());
        at += line + 2 + size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_whole_only_at_its_last_byte() {
        for whole in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".as_bytes(),
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        ] {
            for cut in 0..whole.len() {
                assert_eq!(read(&whole[..cut]).unwrap(), None, "{cut}");
            }
            let response = read(whole).unwrap().unwrap();
            assert_eq!((response.status, response.body.as_slice(), response.length), (200, b"hello".as_slice(), whole.len()));
        }
    }

    #[test]
    fn what_is_no_response_is_an_error() {
        assert!(read(b"nonsense\r\n\r\n").is_err());
        assert!(read(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n").is_err());
    }
}
