//! Where people reach the web pages, as links say it.

/// Bytes of the address: it stands in answers to agents, beside the id of a request.
const BYTES_MAX: usize = 512;

/// Reads the address of the web pages, and takes the slash from its end.
///
/// # Errors
/// In words for the operator.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .ok_or("it must begin with https:// or http://")?;
    if text.len() > BYTES_MAX {
        return Err(format!("it is longer than {BYTES_MAX} bytes"));
    }
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() || host.contains('@') {
        return Err("it must name a host, and nobody's credentials".to_owned());
    }
    // A link is put together behind it.
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&byte);
    if !text.bytes().all(is_plain) {
        return Err("it must have neither a query, nor a fragment, nor spaces".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn an_address_is_one_that_a_link_can_be_put_behind() {
        for (text, read) in [
            ("https://weir.corp.example/", "https://weir.corp.example"),
            ("http://127.0.0.1:7400", "http://127.0.0.1:7400"),
            ("https://corp.example/weir/", "https://corp.example/weir"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(read));
        }
        for text in [
            "",
            "weir.corp.example",
            "javascript:alert(1)",
            "https://",
            "https:///approvals",
            "https://ann@corp.example",
            "https://corp.example/?a",
            "https://corp.example/#/approvals",
            "https://corp.example/ b",
            "https://corp.example/\n",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(parse(&format!("https://{}", "a".repeat(600))).is_err());
    }
}
