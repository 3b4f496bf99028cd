//! Key sets of issuers (RFC 7517), as they are before data planes get them.

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::limits::LIST_MAX;

/// Kinds of keys that signatures of tokens are made with.
const KEY_TYPES: [&str; 3] = ["RSA", "EC", "OKP"];

/// A key set with at least one key that can be for signatures. Data planes read it in full, and
/// leave out what they cannot use.
pub(super) fn check(jwks: &str) -> anyhow::Result<()> {
    let set: Value = serde_json::from_str(jwks).context("its key set is not JSON")?;
    let keys = set["keys"].as_array().context("its key set has no keys")?;
    let is_usable = |key: &Value| {
        let kind = key["kty"].as_str().unwrap_or_default();
        KEY_TYPES.contains(&kind) && key.get("use").is_none_or(|is_for| is_for == "sig")
    };
    ensure!(
        keys.len() <= LIST_MAX,
        "its key set has {} keys",
        keys.len()
    );
    ensure!(
        keys.iter().any(is_usable),
        "its key set has no public key for signatures"
    );
    // A private key would go to every data plane.
    ensure!(
        keys.iter()
            .all(|key| key.get("d").is_none() && key.get("k").is_none()),
        "its key set has private keys, which it must not publish"
    );
    Ok(())
}

/// The names of the keys in a set.
pub(crate) fn names(jwks: &str) -> Vec<String> {
    let set: Value = serde_json::from_str(jwks).unwrap_or_default();
    let keys = set["keys"].as_array().into_iter().flatten();
    keys.map(|key| key["kid"].as_str().unwrap_or("-").to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_sets_that_no_data_plane_could_use_are_refused() {
        assert!(check(r#"{"keys":[{"kty":"RSA","n":"x","e":"AQAB"},{"kty":"new"}]}"#).is_ok());
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"keys":[]}"#,
            r#"{"keys":[{"kty":"new"}]}"#,
            r#"{"keys":[{"kty":"RSA","use":"enc"}]}"#,
            r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#,
            r#"{"keys":[{"kty":"EC","x":"x","y":"y","d":"secret"}]}"#,
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
