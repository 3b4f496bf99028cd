//! The two endpoints of 2024-11-05's HTTP transport (HTTP with SSE): the stream of a GET, whose
//! first event names where messages are to be POSTed, and that place.
//!
//! What the server names is a bearer secret of the session. The client is given another name for
//! it, sealed for that client, at the path of its own GET.

use crate::http::{Authority, RequestHead, plain_target};
use crate::limits::ENDPOINT_BYTES_MAX;

/// The type of the event.
pub const EVENT: &str = "endpoint";

/// What a sealed name begins with in a target's query. Clients that look for the session's id find
/// it there.
const QUERY: &str = "?session_id=weir.";

/// The target that an `endpoint` event names, for the stream of `get`. `None` for anything but a
/// place of the same origin: one of the same scheme and authority, or a path.
#[must_use]
pub fn read(data: &str, get: &RequestHead, scheme: &str) -> Option<String> {
    if data.len() > ENDPOINT_BYTES_MAX {
        return None;
    }
    let target = if let Some((named, rest)) = data.split_once("://") {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let is_same = named.eq_ignore_ascii_case(scheme)
            && Authority::parse(authority)? == Authority::parse(&get.host)?;
        is_same.then(|| path.to_owned())?
    } else if data.starts_with('/') {
        data.to_owned()
    } else if data.starts_with('?') {
        format!("{}{data}", get.path())
    } else {
        // A relative path takes the place of what follows the last slash (RFC 3986 §5.2.3).
        let (folder, _) = get.path().rsplit_once('/')?;
        let name = data.strip_prefix("./").unwrap_or(data);
        // A colon before any slash would begin a scheme.
        let first = name.split(['/', '?']).next()?;
        (!first.is_empty() && !first.contains(':')).then(|| format!("{folder}/{name}"))?
    };
    plain_target(&target).ok().map(str::to_owned)
}

/// The target that a client is told to POST to, of a name that was sealed for it.
#[must_use]
pub fn shown(get: &RequestHead, sealed: &str) -> String {
    format!("{}{QUERY}{sealed}", get.path())
}

/// The sealed name in a target that a client was told; `None` for any other target.
#[must_use]
pub fn sealed(target: &str) -> Option<&str> {
    let (_, query) = target.split_once('?')?;
    let prefix = QUERY.strip_prefix('?').unwrap_or(QUERY);
    query.strip_prefix(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get() -> RequestHead {
        RequestHead::read(b"GET /a/sse?key=1 HTTP/1.1\r\nHost: localhost:80\r\n\r\n")
            .expect("a head")
    }

    #[test]
    fn an_endpoint_is_at_the_same_origin_or_none() {
        for (data, target) in [
            ("/messages/?session_id=1", Some("/messages/?session_id=1")),
            ("?s=1", Some("/a/sse?s=1")),
            ("messages?s=1", Some("/a/messages?s=1")),
            ("./messages", Some("/a/messages")),
            ("http://localhost:80/m?s=1", Some("/m?s=1")),
            ("HTTP://LOCALHOST:80/m", Some("/m")),
            ("http://localhost/m", None),
            ("https://localhost:80/m", None),
            ("http://elsewhere:80/m", None),
            ("http://localhost:80@elsewhere/m", None),
            ("http://localhost:80", None),
            ("http://localhost:80?x", None),
            ("//elsewhere/m", None),
            ("/\\elsewhere/m", None),
            ("javascript:alert(1)", None),
            ("/a/../b", None),
            ("../b", None),
            ("/a%2fb", None),
            ("/m#x", None),
            ("/m m", None),
            ("/m\r\nX: y", None),
            ("", None),
        ] {
            assert_eq!(read(data, &get(), "http").as_deref(), target, "{data}");
        }
        let long = format!("/{}", "m".repeat(ENDPOINT_BYTES_MAX));
        assert_eq!(read(&long, &get(), "http"), None);
    }

    #[test]
    fn a_name_that_was_shown_is_found_again() {
        let target = shown(&get(), "c2VhbGVk");
        assert_eq!(target, "/a/sse?session_id=weir.c2VhbGVk");
        assert_eq!(sealed(&target), Some("c2VhbGVk"));
        for other in ["/a/sse", "/a?session_id=1", "/a?x=1&session_id=weir.c"] {
            assert_eq!(sealed(other), None, "{other}");
        }
    }
}
