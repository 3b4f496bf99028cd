//! The JSON of a token's parts.

use weir_mcp::json::{Document, KeyEquality, Kind};

use super::TokenError;

/// One object in which no key stands twice, at any depth.
pub(super) fn read(json: &[u8]) -> Result<Document<'_>, TokenError> {
    let document = Document::parse(json).map_err(|_| TokenError::Malformed("JSON"))?;
    let is_object = document.root().kind() == Kind::Object;
    let is_unique = document.unique_keys_everywhere(KeyEquality::Exact).is_ok();
    if is_object && is_unique {
        Ok(document)
    } else {
        Err(TokenError::Malformed("JSON"))
    }
}
