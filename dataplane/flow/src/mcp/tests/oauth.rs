//! The OAuth of a server that is its own authorization server, at its own address.

use weir_audit::Kind;

use super::bench::{Bench, json};
use crate::io::Piece;
use crate::resource::ResourceUri;
use crate::token::OpaqueTokens;
use crate::world::McpAuthorization;

const METADATA: &str = r#"{"issuer":"http://localhost:3901","authorization_endpoint":"http://localhost:3901/authorize","token_endpoint":"http://localhost:3901/token","registration_endpoint":"http://localhost:3901/register","revocation_endpoint":"http://elsewhere:3901/revoke"}"#;

const FORM: &str = "application/x-www-form-urlencoded";

const EXCHANGE: &str = "grant_type=authorization_code&code=c0de&code_verifier=v";

fn server() -> McpAuthorization {
    McpAuthorization::Server {
        resource: ResourceUri::parse("http://localhost:3901/mcp").expect("canonical"),
        opaque: OpaqueTokens::Refuse,
    }
}

fn begun() -> Bench {
    let mut bench = Bench::of_workload("reporter");
    bench.authorize(server(), Vec::new(), "");
    bench
}

/// A workload's bench whose server has told its metadata.
fn known() -> Bench {
    let mut bench = begun();
    let asked = get("/.well-known/oauth-authorization-server", "");
    assert!(bench.client(&asked).server.starts_with("GET /.well-known/"));
    assert!(bench.server(&json(METADATA)).client.contains("/token"));
    bench
}

fn get(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost:3901\r\nAccept: */*\r\n{fields}\r\n")
}

fn send(target: &str, media: &str, fields: &str, body: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: localhost:3901\r\nContent-Type: {media}\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn nothing_of_it_is_reached_before_the_servers_metadata_names_it() {
    let mut bench = begun();
    for request in [
        send("/token", FORM, "", EXCHANGE),
        get("/authorize?state=s", ""),
        send(
            "/register",
            "application/json",
            "",
            r#"{"redirect_uris":[]}"#,
        ),
    ] {
        let mut bench = begun();
        let reply = bench.client(&request);
        assert!(reply.client.starts_with("HTTP/1.1 404"), "{}", reply.client);
        assert_eq!(reply.server, "");
    }
    // Metadata that is Weir's own names nothing of the server's.
    bench.authorize(
        McpAuthorization::Weir {
            resource: ResourceUri::parse("http://localhost:3901/mcp"),
        },
        Vec::new(),
        "",
    );
    let reply = bench.client(&send("/token", FORM, "", EXCHANGE));
    assert!(reply.server.is_empty(), "{}", reply.client);
}

#[test]
fn a_client_gets_its_token_from_the_server_and_no_record_has_it() {
    let mut bench = known();
    let basic = "Authorization: Basic YTpi\r\nCookie: c=1\r\nMcp-Session-Id: s\r\n";
    let sent = bench.client(&send("/token", FORM, basic, EXCHANGE)).server;
    assert!(sent.starts_with("POST /token HTTP/1.1\r\n"), "{sent}");
    assert!(sent.ends_with(&format!("\r\n\r\n{EXCHANGE}")), "{sent}");
    assert!(sent.contains("authorization: Basic YTpi\r\n"), "{sent}");
    for hidden in ["stored-at-weir", "cookie", "mcp-", "Mcp-"] {
        assert!(!sent.contains(hidden), "{hidden}: {sent}");
    }
    let shown = bench
        .server(&json(
            r#"{"access_token":"t0ken","token_type":"Bearer","expires_in":60,"note":"123-45-6789"}"#,
        ))
        .client;
    assert!(
        shown.ends_with(r#"{"access_token":"t0ken","token_type":"Bearer","expires_in":60}"#),
        "{shown}"
    );
    for kind in [Kind::Intent, Kind::Outcome, Kind::Refusal, Kind::Session] {
        for kept in bench.of_kind(kind) {
            let text = format!("{kept:?}");
            assert!(!text.contains("t0ken") && !text.contains("c0de"), "{text}");
        }
    }
    assert_eq!(bench.last().outcome, "HTTP 200");
    assert_eq!(bench.last().summary, "OAuth token");
}

#[test]
fn what_is_no_message_of_oauth_does_not_go_on() {
    let call = super::CALL;
    for request in [
        send("/token", FORM, "", "code=1"),
        send("/register", "application/json", "", call),
        send("/token", FORM, "", call),
    ] {
        let reply = known().client(&request);
        assert!(reply.client.starts_with("HTTP/1.1 400"), "{}", reply.client);
        assert_eq!(reply.server, "");
    }
    for request in [
        send("/token", "application/json", "", call),
        get("/token", ""),
        send("/revoke", FORM, "", "token=t"),
        send("/tokens", FORM, "", EXCHANGE),
    ] {
        let reply = known().client(&request);
        assert!(reply.client.starts_with("HTTP/1.1 404"), "{}", reply.client);
        assert_eq!(reply.server, "");
    }
    let large = format!("{EXCHANGE}&x={}", "x".repeat(70_000));
    let reply = known().client(&send("/token", FORM, "", &large));
    assert!(reply.client.starts_with("HTTP/1.1 413"), "{}", reply.client);
    assert!(reply.server.is_empty() && reply.pieces.contains(&Piece::Shutdown));
}

#[test]
fn a_path_of_the_resource_itself_is_mcp_whatever_the_metadata_says() {
    let mut bench = begun();
    bench.client(&get("/.well-known/oauth-authorization-server", ""));
    bench.server(&json(&METADATA.replace("/register", "/mcp")));
    let reply = bench.client(&send(
        "/mcp",
        "application/json",
        "",
        r#"{"redirect_uris":[]}"#,
    ));
    assert!(!reply.client.starts_with("HTTP/1.1 2") && reply.server.is_empty());
}

#[test]
fn a_browser_is_sent_on_with_its_code_and_sees_no_masked_value() {
    let mut bench = known();
    let asked = get("/authorize?response_type=code&state=s", "Cookie: c=1\r\n");
    let sent = bench.client(&asked).server;
    assert!(sent.starts_with("GET /authorize?response_type=code&state=s HTTP/1.1\r\n"));
    assert!(sent.contains("cookie: c=1\r\n"), "{sent}");
    let shown = bench
        .server("HTTP/1.1 302 Found\r\nLocation: http://localhost:5/cb?code=c0de&state=s\r\nSet-Cookie: c=2\r\nX-Else: y\r\nContent-Length: 4\r\n\r\ntext")
        .client;
    assert!(shown.starts_with("HTTP/1.1 302 Found\r\n"), "{shown}");
    assert!(shown.contains("Location: http://localhost:5/cb?code=c0de&state=s\r\n"));
    assert!(shown.contains("Set-Cookie: c=2\r\n") && !shown.contains("X-Else"));
    assert!(shown.ends_with("\r\n\r\n"), "{shown}");
    let page = |text: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        )
    };
    bench.client(&asked);
    let shown = bench.server(&page("<form>")).client;
    assert!(shown.ends_with("<form>"), "{shown}");
    bench.client(&asked);
    let shown = bench.server(&page("<p>123-45-6789</p>")).client;
    assert!(
        shown.starts_with("HTTP/1.1 502") && !shown.contains("123-45"),
        "{shown}"
    );
}

#[test]
fn a_client_registers_and_learns_its_name_only() {
    let mut bench = known();
    let body = r#"{"redirect_uris":["http://localhost:5/cb"],"client_name":"x"}"#;
    let sent = bench
        .client(&send("/register", "application/json", "", body))
        .server;
    assert!(sent.ends_with(body), "{sent}");
    let answer =
        r#"{"client_id":"i","client_secret":"s","client_secret_expires_at":0,"rows":[{"a":1}]}"#;
    let shown = bench
        .server(&json(answer).replace("200 OK", "201 Created"))
        .client;
    assert!(shown.starts_with("HTTP/1.1 201 Created\r\n"), "{shown}");
    assert!(
        shown.ends_with(r#"{"client_id":"i","client_secret":"s","client_secret_expires_at":0}"#),
        "{shown}"
    );
}

#[test]
fn nobody_uses_it_who_may_not_use_the_server() {
    let mut bench = known();
    let nobody = r#"@id("nobody") forbid(principal, action, resource);"#;
    bench.authorize(server(), Vec::new(), nobody);
    let reply = bench.client(&send("/token", FORM, "", EXCHANGE));
    assert!(reply.server.is_empty(), "{}", reply.client);
    let mut stranger = Bench::new();
    stranger.calls = known().calls;
    stranger.authorize(server(), Vec::new(), "");
    let reply = stranger.client(&send("/token", FORM, "", EXCHANGE));
    assert!(reply.client.starts_with("HTTP/1.1 401") && reply.server.is_empty());
}
