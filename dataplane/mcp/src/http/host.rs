//! Who the request is meant for: Host and Origin (MCP transports, "Security Warning";
//! DNS rebinding).

use thiserror::Error;

use super::RequestHead;

/// Why a request is not meant for this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HostError {
    /// Host names another server.
    #[error("Host is not this server")]
    Host,
    /// Origin is a page of another site, or none that can be named.
    #[error("Origin is not allowed")]
    Origin,
}

/// A name and optional port, as in Host: `db.example:8080`, `[::1]:3000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Name or address in lower case, brackets included.
    pub host: String,
    /// The port, where one is given.
    pub port: Option<u16>,
}

impl Authority {
    /// Reads `host[:port]` (RFC 3986 §3.2 without user information).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']')?;
                address.parse::<std::net::Ipv6Addr>().ok()?;
                (
                    format!("[{}]", address.to_ascii_lowercase()),
                    after.strip_prefix(':').or(after.is_empty().then_some("")),
                )
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host.to_ascii_lowercase(), Some(port)),
                None => (text.to_ascii_lowercase(), Some("")),
            },
        };
        let name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if !host.starts_with('[') && (host.is_empty() || !host.bytes().all(name)) {
            return None;
        }
        let port = match port? {
            "" if !text.ends_with(':') => None,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            _ => return None,
        };
        Some(Self { host, port })
    }

    /// An allowed authority without a port allows every port of that host.
    fn allows(&self, other: &Self) -> bool {
        self.host == other.host && (self.port.is_none() || self.port == other.port)
    }
}

/// Whether the request is meant for one of `allowed`, and comes from no other site's
/// page. No Origin is fine: only browsers send one.
///
/// # Errors
/// Which of the two is wrong.
pub fn check_host(head: &RequestHead, allowed: &[Authority]) -> Result<(), HostError> {
    let host = Authority::parse(&head.host).ok_or(HostError::Host)?;
    if !allowed.iter().any(|authority| authority.allows(&host)) {
        return Err(HostError::Host);
    }
    let Some(origin) = head.fields.get("origin") else {
        return Ok(());
    };
    let site = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    let site = site.and_then(Authority::parse).ok_or(HostError::Origin)?;
    // A page of the same host on another port is still another origin, but the port of a
    // development server is not known beforehand; the host is what rebinding forges.
    if allowed.iter().any(|authority| authority.host == site.host) {
        Ok(())
    } else {
        Err(HostError::Origin)
    }
}
