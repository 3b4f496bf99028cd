//! What may be said of an MCP server: whose its tokens are, and what opens it.

use axum::http::{HeaderName, Uri};
use weir_api::http::{Authorization, Connection, Credential, Kind, Tls};

use crate::error::{Error, Result};
use crate::limits::TEXT_BYTES_MAX;

/// Fields that Weir writes itself, or that say how a message is framed: a credential in one of them
/// would be a second answer to a question that has one.
const RESERVED: [&str; 17] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "origin",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
];

/// Whose the tokens of a connection are.
pub(crate) fn check_connection(spec: &Connection) -> Result<()> {
    let invalid = |text: &str| Err(Error::Invalid(text.to_owned()));
    let is_plain =
        spec.resource.is_none() && spec.authorization == Authorization::Weir && !spec.opaque_tokens;
    match (spec.kind, spec.authorization) {
        (Kind::Postgres, _) if !is_plain => {
            return invalid("resource, authorization and opaque tokens are for MCP");
        }
        (_, Authorization::Weir) if spec.opaque_tokens => {
            return invalid(
                "opaque tokens go on to a server that is its own resource server: \
                 they prove nothing to Weir",
            );
        }
        (_, Authorization::Server) if spec.resource.is_none() => {
            return invalid(
                "give the resource, like https://mcp.corp.example/mcp: \
                 a token for anybody else must not go on to this server",
            );
        }
        (Kind::Postgres | Kind::Mcp, _) => {}
    }
    let Some(resource) = &spec.resource else {
        return Ok(());
    };
    check_resource(resource)?;
    let is_secure = resource.starts_with("https://");
    if spec.authorization == Authorization::Server && is_secure && spec.tls != Tls::VerifyFull {
        return invalid(
            "tokens for an https server go on to it only with verify-full: \
             whoever answered in its place would have them",
        );
    }
    Ok(())
}

/// A URI in the one form in which tokens name it (RFC 8707 §2, MCP "Canonical Server URI").
fn check_resource(text: &str) -> Result<()> {
    let wrong = |why: &str| {
        Err(Error::Invalid(format!(
            "resource {text:?} {why}; it is what clients call the server, like https://mcp.corp.example/mcp"
        )))
    };
    let Ok(uri) = text.parse::<Uri>() else {
        return wrong("is not a URI");
    };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return wrong("has no scheme or no host");
    };
    if !matches!(scheme, "http" | "https") {
        return wrong("is neither http nor https");
    }
    let origin = format!("{scheme}://{authority}");
    if origin != origin.to_ascii_lowercase() || !text.starts_with(&origin) {
        return wrong("has capital letters in its scheme or host");
    }
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return wrong("has a user, or no host");
    }
    let path = text.get(origin.len()..).unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#\\\"<>^`{|}%".contains(&byte);
    if !path.bytes().all(is_plain) || path.split('/').any(|part| part == "." || part == "..") {
        return wrong("has a query, a fragment, an escape or a dot segment");
    }
    if path.ends_with('/') || path.contains("//") {
        return wrong("ends with a slash, or has two in a row");
    }
    Ok(())
}

/// What opens an MCP server: a bearer token, the password of a user, or the value of a header.
pub(crate) fn check_credential(connection: &Connection, credential: &Credential) -> Result<()> {
    let invalid = |text: String| Err(Error::Invalid(text));
    if credential.certificate_pem.is_some() || credential.catalogue {
        return invalid(
            "an MCP credential is a bearer token, a password or a header; \
             certificates and catalogues are for Postgres"
                .to_owned(),
        );
    }
    let is_shown = |text: &str| {
        text.bytes()
            .all(|byte| byte == b' ' || byte.is_ascii_graphic())
    };
    if !is_shown(&credential.secret) || credential.secret.len() > TEXT_BYTES_MAX {
        return invalid("the secret has bytes that no header can carry".to_owned());
    }
    if !is_shown(&credential.role) || credential.role.contains(':') {
        return invalid("the user has bytes that Basic authentication cannot carry".to_owned());
    }
    let Some(header) = &credential.header else {
        return check_token(connection);
    };
    let name = header.parse::<HeaderName>();
    let is_reserved =
        |name: &HeaderName| RESERVED.contains(&name.as_str()) || name.as_str().starts_with("mcp-");
    match name {
        Err(_) => invalid(format!("{header:?} is not the name of a header field")),
        Ok(name) if is_reserved(&name) => invalid(format!("{header} is Weir's own to write")),
        Ok(_) if !credential.role.is_empty() => {
            invalid("a credential has a user or a header, not both".to_owned())
        }
        Ok(name) if name == "authorization" => check_token(connection),
        Ok(_) => Ok(()),
    }
}

/// `Authorization` is the client's where the server itself is the resource server.
fn check_token(connection: &Connection) -> Result<()> {
    match connection.authorization {
        Authorization::Weir => Ok(()),
        Authorization::Server => Err(Error::Invalid(format!(
            "clients of {} show their own tokens to the server: give a credential with --header",
            connection.name
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &str) -> Connection {
        let base = r#"{"name":"crm","kind":"mcp","addresses":["127.0.0.1:1"],"tls":"disable","unlabelled":"clear""#;
        serde_json::from_str(&format!("{base}{json}}}")).expect(json)
    }

    fn credential(json: &str) -> Credential {
        serde_json::from_str(json).expect(json)
    }

    #[test]
    fn whose_tokens_are_taken_must_be_clear() {
        for good in [
            "",
            r#","resource":"http://127.0.0.1:3901/mcp""#,
            r#","resource":"https://mcp.example""#,
            r#","resource":"http://mcp.example/mcp","authorization":"server""#,
            r#","resource":"http://mcp.example/mcp","authorization":"server","opaque_tokens":true"#,
        ] {
            assert!(check_connection(&spec(good)).is_ok(), "{good}");
        }
        for bad in [
            r#","authorization":"server""#,
            r#","opaque_tokens":true"#,
            r#","resource":"https://mcp.example/mcp","authorization":"server""#,
            r#","resource":"https://mcp.example/mcp/""#,
            r#","resource":"https://MCP.example/mcp""#,
            r#","resource":"HTTPS://mcp.example/mcp""#,
            r#","resource":"https://u@mcp.example/mcp""#,
            r#","resource":"https://mcp.example/mcp?a=b""#,
            r#","resource":"https://mcp.example/../mcp""#,
            r#","resource":"ftp://mcp.example/mcp""#,
            r#","resource":"/mcp""#,
            r#","resource":"""#,
        ] {
            assert!(check_connection(&spec(bad)).is_err(), "{bad}");
        }
        let postgres = Connection {
            kind: Kind::Postgres,
            ..spec(r#","resource":"http://127.0.0.1:3901/mcp""#)
        };
        assert!(check_connection(&postgres).is_err());
    }

    #[test]
    fn a_credential_is_one_that_a_request_can_carry() {
        let weir = spec("");
        for good in [
            r#"{"secret":"t"}"#,
            r#"{"secret":"p w","role":"svc"}"#,
            r#"{"secret":"k","header":"X-API-Key"}"#,
            r#"{"secret":"Token k","header":"Authorization"}"#,
        ] {
            assert!(check_credential(&weir, &credential(good)).is_ok(), "{good}");
        }
        for bad in [
            r#"{"secret":"a\r\nX: y"}"#,
            r#"{"secret":"p","role":"a:b"}"#,
            r#"{"secret":"p","role":"a","header":"X-API-Key"}"#,
            r#"{"secret":"k","header":"Host"}"#,
            r#"{"secret":"k","header":"Mcp-Session-Id"}"#,
            r#"{"secret":"k","header":"a b"}"#,
            r#"{"secret":"k","catalogue":true}"#,
        ] {
            assert!(check_credential(&weir, &credential(bad)).is_err(), "{bad}");
        }
        let server = spec(r#","resource":"http://mcp.example/mcp","authorization":"server""#);
        assert!(check_credential(&server, &credential(r#"{"secret":"t"}"#)).is_err());
        let key = credential(r#"{"secret":"k","header":"X-API-Key"}"#);
        assert!(check_credential(&server, &key).is_ok());
    }
}
