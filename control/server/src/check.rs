//! Checks of what people type.

use std::net::SocketAddr;

use crate::error::{Error, Result};
use crate::limits::{LIST_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX};

/// A name: lower-case letters, digits, `.`, `_`, `-`; starts with a letter or digit.
/// Nothing that a path, a policy or a terminal could read as something else.
pub(crate) fn name(what: &str, text: &str) -> Result<()> {
    let first = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let rest = text.bytes().all(|byte| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
    });
    if first && rest && text.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{what} {text:?} is not a name: 1 to {NAME_BYTES_MAX} of a-z 0-9 . _ -, starting with a letter or digit"
    )))
}

/// Names, sorted and without doubles.
pub(crate) fn names(what: &str, list: &[String]) -> Result<Vec<String>> {
    bounded(what, list.len())?;
    list.iter().try_for_each(|item| name(what, item))?;
    let mut sorted = list.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    Ok(sorted)
}

/// Free text of one line or more, without control characters that a terminal would obey.
pub(crate) fn text(what: &str, text: &str) -> Result<()> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Error::Invalid(format!(
            "{what} is longer than {TEXT_BYTES_MAX} bytes"
        )));
    }
    if text
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
    {
        return Err(Error::Invalid(format!("{what} has control characters")));
    }
    Ok(())
}

/// What a certificate names, as data planes spell it.
pub(crate) fn certificate_name(text: &str) -> Result<()> {
    let known = ["cn:", "dns:", "email:", "uri:"];
    let value = known.iter().find_map(|kind| text.strip_prefix(kind));
    if value.is_some_and(|value| !value.is_empty())
        && text.len() <= TEXT_BYTES_MAX
        && !text.contains(char::is_control)
    {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{text:?} is not what a certificate names: cn:alice, dns:ci.corp.example, email:alice@corp.example or uri:spiffe://corp.example/ci"
    )))
}

/// A certificate and its private key, PEM.
pub(crate) fn certificate(certificate: &str, key: &str) -> Result<()> {
    if !certificate.contains("-----BEGIN CERTIFICATE-----") {
        return Err(Error::Invalid(
            "the certificate is not a PEM certificate".to_owned(),
        ));
    }
    let is_key = key.contains("PRIVATE KEY-----");
    if !is_key || key.contains("ENCRYPTED") {
        return Err(Error::Invalid(
            "the key is not an unencrypted PEM private key".to_owned(),
        ));
    }
    Ok(())
}

/// A list that is short enough.
pub(crate) fn bounded(what: &str, length: usize) -> Result<()> {
    if length > LIST_MAX {
        return Err(Error::Invalid(format!("{what}: more than {LIST_MAX}")));
    }
    Ok(())
}

/// An address with a port; never a name.
pub(crate) fn address(text: &str) -> Result<SocketAddr> {
    let parsed: SocketAddr = text.parse().map_err(|_| {
        Error::Invalid(format!(
            "{text:?} is not an address with a port, like 192.0.2.7:5432"
        ))
    })?;
    if parsed.port() == 0 || parsed.ip().is_unspecified() {
        return Err(Error::Invalid(format!(
            "{text:?} is no place to connect to"
        )));
    }
    Ok(parsed)
}

/// A cgroup2 path: absolute, without `.`, `..` or empty parts.
pub(crate) fn cgroup(text: &str) -> Result<()> {
    let parts_hold = text.strip_prefix('/').is_some_and(|rest| {
        rest.is_empty()
            || rest
                .split('/')
                .all(|part| !part.is_empty() && part != "." && part != "..")
    });
    if parts_hold && text.len() <= TEXT_BYTES_MAX && !text.contains(char::is_control) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{text:?} is not a cgroup2 path, like /system.slice/app.service"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_read_as_something_else_are_refused() {
        for good in ["a", "prod-pg", "a.b_c-9", "0x"] {
            assert!(name("name", good).is_ok(), "{good:?}");
        }
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        for bad in [
            "",
            "A",
            "-a",
            ".a",
            "a/b",
            "a b",
            "a\n",
            "é",
            "a\u{202e}b",
            "..",
            &long,
        ] {
            assert!(name("name", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_are_numbers_with_a_port() {
        for good in ["127.0.0.1:5432", "[2001:db8::1]:80"] {
            assert!(address(good).is_ok(), "{good:?}");
        }
        for bad in [
            "localhost:5432",
            "127.0.0.1",
            "127.0.0.1:0",
            "0.0.0.0:1",
            "[::]:1",
            "",
        ] {
            assert!(address(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn cgroup_paths_do_not_climb() {
        for good in ["/", "/a", "/system.slice/app.service"] {
            assert!(cgroup(good).is_ok(), "{good:?}");
        }
        for bad in ["", "a", "//", "/a/", "/a/../b", "/.", "/a\u{1b}"] {
            assert!(cgroup(bad).is_err(), "{bad:?}");
        }
    }
}
