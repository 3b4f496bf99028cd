//! The canonical URI of an MCP server: the audience of its tokens (RFC 8707 §2, MCP "Authorization").

use std::sync::Arc;

use weir_mcp::http::Authority;

/// Where a resource server's metadata is (RFC 9728 §3).
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// An `http` or `https` URI without user, query, fragment and final slash, its host in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceUri {
    text: Arc<str>,
    /// Where the path begins.
    path_at: usize,
    authority: Authority,
}

impl ResourceUri {
    /// Reads a URI that is in canonical form already. `None` if it is not.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let after = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))?;
        let host_at = text.len() - after.len();
        let path_at = after.find('/').map_or(text.len(), |at| host_at + at);
        let authority = Authority::parse(text.get(host_at..path_at)?)?;
        let is_lower = !text.get(..path_at)?.bytes().any(|b| b.is_ascii_uppercase());
        let path = text.get(path_at..)?;
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#\\\"<>^`{|}%".contains(&byte);
        let fits = path.bytes().all(is_plain) && !path.ends_with('/') && !path.contains("//");
        let has_dots = path.split('/').any(|part| part == "." || part == "..");
        (is_lower && fits && !has_dots).then(|| Self {
            text: text.into(),
            path_at,
            authority,
        })
    }

    /// The URI.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its host, and its port if it names one.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Whether an `aud` names it; a final slash makes no difference (RFC 3986 §6.2.3).
    #[must_use]
    pub fn is(&self, audience: &str) -> bool {
        audience.strip_suffix('/').unwrap_or(audience) == &*self.text
    }

    /// Whether a request's path is the resource's, or below it.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        path.strip_prefix(self.path())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Its scheme and authority.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.text.get(..self.path_at).unwrap_or_default()
    }

    /// Where its metadata is.
    #[must_use]
    pub fn metadata_url(&self) -> String {
        format!("{}{WELL_KNOWN}{}", self.origin(), self.path())
    }

    /// Whether a request's path is where its metadata is: with the resource's own path, which is
    /// right, or without, where clients look that were told nothing (RFC 9728 §3.1).
    #[must_use]
    pub fn is_metadata(&self, path: &str) -> bool {
        path.strip_prefix(WELL_KNOWN)
            .is_some_and(|rest| rest.is_empty() || rest == self.path())
    }

    fn path(&self) -> &str {
        self.text.get(self.path_at..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_taken() {
        for good in [
            "https://mcp.example",
            "https://mcp.example/mcp",
            "http://127.0.0.1:3901/mcp",
            "http://[::1]:1/a/b",
        ] {
            assert!(ResourceUri::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "mcp.example",
            "ftp://mcp.example",
            "https://MCP.example",
            "https://mcp.example/",
            "https://mcp.example/mcp/",
            "https://mcp.example/mcp?x",
            "https://mcp.example/mcp#x",
            "https://user@mcp.example/mcp",
            "https://mcp.example//mcp",
            "https://mcp.example/a/../b",
            "https://mcp.example/%6dcp",
            "https://",
        ] {
            assert!(ResourceUri::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn it_knows_its_own_paths_audience_and_metadata() {
        let one = ResourceUri::parse("https://mcp.example:8443/mcp").expect("canonical");
        for (path, covered) in [
            ("/mcp", true),
            ("/mcp/x", true),
            ("/mcpx", false),
            ("/", false),
        ] {
            assert_eq!(one.covers(path), covered, "{path}");
        }
        assert!(one.is("https://mcp.example:8443/mcp") && one.is("https://mcp.example:8443/mcp/"));
        for other in [
            "https://mcp.example:8443",
            "https://mcp.example/mcp",
            "http://mcp.example:8443/mcp",
            "https://mcp.example:8443/mcp//",
        ] {
            assert!(!one.is(other), "{other}");
        }
        let well_known = "/.well-known/oauth-protected-resource";
        assert_eq!(
            one.metadata_url(),
            format!("https://mcp.example:8443{well_known}/mcp")
        );
        assert!(one.is_metadata(well_known) && one.is_metadata(&format!("{well_known}/mcp")));
        assert!(!one.is_metadata(&format!("{well_known}/other")) && !one.is_metadata("/mcp"));
        let whole = ResourceUri::parse("https://mcp.example").expect("canonical");
        assert!(whole.covers("/") && whole.covers("/sse"));
    }
}
