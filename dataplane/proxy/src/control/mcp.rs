//! What opens an MCP server and whose its tokens are, as the control plane pushed it.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weir_api::v1;
use weir_flow::{McpAuthorization, McpCredential, OpaqueTokens, ResourceUri};
use zeroize::Zeroizing;

/// Where tokens and passwords are shown (RFC 9110 §11.6.2).
const AUTHORIZATION: &str = "Authorization";

/// The field that Weir puts into each request.
pub(super) fn credential(stored: Vec<v1::Credential>) -> Option<McpCredential> {
    let found = stored
        .into_iter()
        .find(|one| !(one.bearer.is_empty() && one.password.is_empty()))?;
    let password = Zeroizing::new(found.password);
    let (field, value): (Arc<str>, _) = if !found.bearer.is_empty() {
        let bearer = Zeroizing::new(found.bearer);
        (
            AUTHORIZATION.into(),
            Zeroizing::new(format!("Bearer {}", *bearer)),
        )
    } else if !found.field.is_empty() {
        (found.field.into(), password)
    } else {
        // RFC 7617 §2.
        let pair = Zeroizing::new(format!("{}:{}", found.role, *password));
        let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
        (
            AUTHORIZATION.into(),
            Zeroizing::new(format!("Basic {}", *encoded)),
        )
    };
    Some(McpCredential { field, value })
}

/// Whose the tokens of a connection are.
pub(super) fn authorization(connection: &v1::Connection) -> Result<McpAuthorization> {
    let text = connection.resource.as_str();
    let resource = || {
        ResourceUri::parse(text)
            .ok_or_else(|| anyhow!("resource {text:?} is not in canonical form"))
    };
    match connection.authorization() {
        v1::McpAuthorization::Unspecified | v1::McpAuthorization::Weir => {
            Ok(McpAuthorization::Weir {
                resource: (!text.is_empty()).then(resource).transpose()?,
            })
        }
        v1::McpAuthorization::Server => Ok(McpAuthorization::Server {
            resource: resource()?,
            opaque: if connection.opaque_tokens {
                OpaqueTokens::Pass
            } else {
                OpaqueTokens::Refuse
            },
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_put_where_it_belongs() {
        let stored = |role: &str, password: &str, bearer: &str, field: &str| v1::Credential {
            role: role.to_owned(),
            password: password.to_owned(),
            bearer: bearer.to_owned(),
            field: field.to_owned(),
            ..v1::Credential::default()
        };
        for (one, field, value) in [
            (stored("", "", "t", ""), "Authorization", "Bearer t"),
            (stored("", "k", "", "X-API-Key"), "X-API-Key", "k"),
            // RFC 7617 §2, its own example.
            (
                stored("Aladdin", "open sesame", "", ""),
                "Authorization",
                "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            ),
        ] {
            let shown = credential(vec![one]).expect("a credential");
            assert_eq!((&*shown.field, shown.value.as_str()), (field, value));
        }
        assert!(credential(Vec::new()).is_none());
    }

    #[test]
    fn a_resource_that_is_none_is_refused() {
        let of = |resource: &str, authorization: v1::McpAuthorization| {
            authorization_of(resource, authorization)
        };
        assert!(of("", v1::McpAuthorization::Weir).is_ok());
        assert!(of("https://mcp.example/mcp", v1::McpAuthorization::Server).is_ok());
        assert!(of("", v1::McpAuthorization::Server).is_err());
        assert!(of("https://MCP.example/", v1::McpAuthorization::Weir).is_err());
    }

    fn authorization_of(
        resource: &str,
        authorization: v1::McpAuthorization,
    ) -> Result<McpAuthorization> {
        super::authorization(&v1::Connection {
            resource: resource.to_owned(),
            authorization: authorization.into(),
            ..v1::Connection::default()
        })
    }
}
