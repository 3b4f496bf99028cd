//! Whose tokens are taken, what clients without a good one are told, and where tokens go.

use super::bench::{ADA, Bench, Reply, chunk, json, post, sse};
use super::{CALL, REFUND, text_result};
use crate::io::{Effect, Event, Piece};
use crate::resource::ResourceUri;
use crate::token::tests::{HEADER, ISSUER, Signer, provider};
use crate::token::{IdentityProvider, OpaqueTokens};
use crate::world::McpAuthorization;

const RESOURCE: &str = "http://localhost:3901/mcp";
const METADATA_URL: &str = "http://localhost:3901/.well-known/oauth-protected-resource/mcp";

/// The clock of the bench, in seconds.
const NOW: u64 = 1_700_000_000;

const STEP_UP: &str = "@id(\"refunds\") @effect(\"step_up\") @scope(\"refunds:write\")\n\
    forbid(principal, action == Weir::Action::\"mcp.call_tool\", resource == Weir::Tool::\"demo-mcp/lookup_customer\")\n\
    unless { context.scopes.contains(\"refunds:write\") };";

fn weir() -> McpAuthorization {
    McpAuthorization::Weir {
        resource: ResourceUri::parse(RESOURCE),
    }
}

fn server(opaque: OpaqueTokens) -> McpAuthorization {
    McpAuthorization::Server {
        resource: ResourceUri::parse(RESOURCE).expect("canonical"),
        opaque,
    }
}

/// An issuer that knows one key, whose tokens name groups of ours.
fn issuer(keys: &[String]) -> Vec<IdentityProvider> {
    vec![IdentityProvider {
        group_prefix: "".into(),
        ..provider(keys)
    }]
}

fn token(signer: &Signer, issuer: &str, aud: &str, scope: &str) -> String {
    let claims = format!(
        r#"{{"iss":"{issuer}","aud":"{aud}","sub":"alice","exp":{},"groups":["engineering"],"scope":"{scope}"}}"#,
        NOW + 60
    );
    signer.sign(HEADER, &claims)
}

fn get(path: &str, fields: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost:3901\r\nAccept: application/json\r\n{fields}\r\n"
    )
}

fn listen(token: &str) -> String {
    format!(
        "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nAccept: text/event-stream\r\n\r\n"
    )
}

/// A bench where Weir is the resource server, and one who signs tokens for it.
fn guarded() -> (Bench, Signer) {
    let (mut bench, signer) = (Bench::new(), Signer::new());
    bench.authorize(weir(), issuer(&[signer.jwk("k1")]), STEP_UP);
    (bench, signer)
}

fn challenge(reply: &Reply) -> String {
    let field = reply
        .client
        .lines()
        .find_map(|line| line.strip_prefix("WWW-Authenticate: "));
    field.unwrap_or_default().to_owned()
}

#[test]
fn clients_are_told_where_tokens_come_from_and_what_they_must_be_for() {
    let (mut bench, _) = guarded();
    for path in ["", "/mcp"] {
        let path = format!("/.well-known/oauth-protected-resource{path}");
        let reply = bench.client(&get(&path, ""));
        assert!(reply.client.starts_with("HTTP/1.1 200"), "{}", reply.client);
        for part in [
            format!(r#""resource":"{RESOURCE}""#),
            format!(r#""authorization_servers":["{ISSUER}"]"#),
            r#""scopes_supported":["openid","refunds:write"]"#.to_owned(),
        ] {
            assert!(reply.client.contains(&part), "{part}: {}", reply.client);
        }
        assert_eq!(reply.server, "");
    }
    for path in [
        "/.well-known/oauth-protected-resource/other",
        "/.well-known/oauth-authorization-server",
    ] {
        let reply = bench.client(&get(path, ""));
        assert!(reply.client.starts_with("HTTP/1.1 404"), "{path}");
        assert_eq!(reply.server, "");
    }
    let rebound = get("/.well-known/oauth-protected-resource", "");
    let rebound = rebound.replace("localhost:3901", "evil.example");
    assert!(bench.client(&rebound).client.starts_with("HTTP/1.1 403"));
}

#[test]
fn a_client_without_a_good_token_is_told_where_to_get_one() {
    let (mut bench, signer) = guarded();
    let reply = bench.client(&post("", "", CALL));
    assert!(reply.client.starts_with("HTTP/1.1 401") && reply.server.is_empty());
    assert_eq!(
        challenge(&reply),
        format!(r#"Bearer realm="weir", scope="openid", resource_metadata="{METADATA_URL}""#)
    );
    for (aud, issuer) in [
        ("http://localhost:3902/mcp", ISSUER),
        ("http://localhost:3901", ISSUER),
        (RESOURCE, "https://evil.example"),
    ] {
        let mut bench = Bench::new();
        bench.authorize(weir(), self::issuer(&[signer.jwk("k1")]), "");
        let reply = bench.client(&post(&token(&signer, issuer, aud, ""), "", CALL));
        assert!(reply.client.starts_with("HTTP/1.1 401") && reply.server.is_empty());
        assert!(
            challenge(&reply).contains(r#"error="invalid_token""#),
            "{aud}"
        );
    }
}

#[test]
fn a_token_for_the_resource_ends_at_weir_whose_own_credential_goes_on() {
    let (mut bench, signer) = guarded();
    let token = token(&signer, ISSUER, RESOURCE, "refunds:write");
    for _ in 0..2 {
        let reply = bench.client(&post(&token, "", CALL));
        assert!(reply.server.contains("tools/call"), "{}", reply.client);
        assert!(
            reply
                .server
                .contains("Authorization: Bearer stored-at-weir\r\n")
        );
        assert!(!reply.server.contains(&token));
        bench.server(&json(&text_result("ok")));
    }
    // It is remembered, but not beyond its end.
    bench.now.unix_us += 60_000_000;
    let late = bench.client(&post(&token, "", CALL));
    assert!(late.client.starts_with("HTTP/1.1 401") && late.server.is_empty());
}

#[test]
fn a_path_that_is_not_the_resources_is_not_there() {
    let (mut bench, signer) = guarded();
    let request = post(&token(&signer, ISSUER, RESOURCE, ""), "", CALL);
    let reply = bench.client(&request.replace("POST /mcp ", "POST /admin "));
    assert!(reply.client.starts_with("HTTP/1.1 404") && reply.server.is_empty());
}

#[test]
fn a_token_without_a_scope_that_would_do_is_sent_for_it() {
    let (mut bench, signer) = guarded();
    bench.list("lookup_customer");
    let weak = token(&signer, ISSUER, RESOURCE, "openid");
    let reply = bench.client(&post(&weak, "", CALL));
    assert!(reply.client.starts_with("HTTP/1.1 403") && reply.server.is_empty());
    assert_eq!(
        challenge(&reply),
        format!(
            r#"Bearer realm="weir", error="insufficient_scope", scope="openid refunds:write", resource_metadata="{METADATA_URL}""#
        )
    );
    assert_eq!(bench.last().verdict, "deny");
    // The flow and its session go on with the better token.
    let strong = token(&signer, ISSUER, RESOURCE, "openid refunds:write");
    assert!(
        bench
            .client(&post(&strong, "", CALL))
            .server
            .contains("tools/call")
    );
    bench.server(&json(&text_result("ok")));
    let again = bench.client(&post(&weak, "", CALL));
    assert!(again.client.starts_with("HTTP/1.1 403") && again.server.is_empty());
    // What no scope cures is told as ever.
    let held = bench.client(&post(&weak, "", REFUND));
    assert!(held.client.is_empty() && held.asked().is_some());
}

#[test]
fn a_tool_that_is_hidden_or_absent_asks_for_no_scope() {
    let signer = Signer::new();
    let every = STEP_UP.replace(
        "resource == Weir::Tool::\"demo-mcp/lookup_customer\"",
        "resource in Weir::Connection::\"demo-mcp\"",
    );
    let hidden = "@id(\"hide\") forbid(principal, action == Weir::Action::\"mcp.list_tool\",\n\
        resource == Weir::Tool::\"demo-mcp/lookup_customer\");";
    let mut bench = Bench::new();
    bench.list("lookup_customer");
    bench.authorize(
        weir(),
        issuer(&[signer.jwk("k1")]),
        &format!("{every}{hidden}"),
    );
    let weak = token(&signer, ISSUER, RESOURCE, "openid");
    let mut call = |name: &str| {
        let reply = bench.client(&post(&weak, "", &CALL.replace("lookup_customer", name)));
        assert!(reply.server.is_empty() && challenge(&reply).is_empty());
        reply.client.replace(name, "NAME")
    };
    // Names of one length, so that the answers are.
    let answer = call("lookup_customer");
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("NAME"),
        "{answer}"
    );
    assert_eq!(answer, call("look_up_visitor"));
    assert_eq!(answer, call("echo_something1"));
}

#[test]
fn a_caller_for_whom_no_provider_answers_is_sent_for_no_scope() {
    let (mut bench, _) = guarded();
    bench.list("lookup_customer");
    let reply = bench.client(&post(ADA, "", CALL));
    assert!(reply.client.starts_with("HTTP/1.1 200") && reply.server.is_empty());
    assert!(
        reply.client.contains("Denied by policy"),
        "{}",
        reply.client
    );
    let signer = Signer::new();
    let mut workload = Bench::of_workload("reporter");
    workload.list("lookup_customer");
    workload.authorize(weir(), issuer(&[signer.jwk("k1")]), STEP_UP);
    let reply = workload.client(&post("", "", CALL));
    assert!(reply.client.starts_with("HTTP/1.1 401") && reply.server.is_empty());
    assert!(challenge(&reply).contains(r#"scope="openid refunds:write""#));
}

#[test]
fn a_token_of_a_new_key_waits_until_its_keys_were_fetched() {
    let (signer, other) = (Signer::new(), Signer::new());
    let begin = || {
        let mut bench = Bench::new();
        bench.authorize(weir(), issuer(&[other.jwk("k0")]), "");
        let request = post(&token(&signer, ISSUER, RESOURCE, ""), "", CALL);
        let body_at = request.len() - CALL.len();
        let reply = bench.client(&request);
        assert_eq!((reply.client.as_str(), reply.server.as_str()), ("", ""));
        assert_eq!(reply.taken, body_at, "the body waits outside");
        let asked = |effect: &Effect| matches!(effect, Effect::RefreshKeys(of) if **of == *ISSUER);
        assert!(reply.effects.iter().any(asked));
        bench
    };
    let mut bench = begin();
    bench.authorize(weir(), issuer(&[signer.jwk("k1")]), "");
    assert!(bench.client(CALL).server.contains("tools/call"));

    let mut bench = begin();
    let until_ns = bench.flow.deadline().expect("it does not wait for ever");
    bench.now.mono_ns = until_ns;
    let reply = bench.timeout();
    assert!(reply.client.starts_with("HTTP/1.1 401"), "{}", reply.client);
}

#[test]
fn an_open_stream_ends_with_its_token() {
    let (mut bench, signer) = guarded();
    bench.client(&listen(&token(&signer, ISSUER, RESOURCE, "")));
    bench.server(sse());
    bench.server(&chunk(
        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n",
    ));
    let ends_ns = bench.flow.deadline().expect("the token's end");
    bench.now.mono_ns = ends_ns - 2000;
    assert_eq!(bench.timeout().client, "");
    bench.now.mono_ns = ends_ns;
    let reply = bench.timeout();
    assert_eq!(reply.client, "0\r\n\r\n");
    assert!(reply.pieces.contains(&Piece::Shutdown));
    assert!(
        bench
            .outcomes()
            .iter()
            .any(|outcome| outcome.contains("token has ended"))
    );
}

#[test]
fn the_answer_to_a_call_may_end_a_while_after_its_token() {
    let (mut bench, signer) = guarded();
    let token = token(&signer, ISSUER, RESOURCE, "refunds:write");
    bench.client(&post(&token, "", CALL));
    bench.server(sse());
    let ends_ns = bench
        .flow
        .deadline()
        .expect("a while after the token's end");
    assert_eq!(ends_ns / 1_000_000_000, 120);
    bench.now.mono_ns = 61_000_000_000;
    assert_eq!(bench.timeout().client, "");
    let shown = bench.server(&chunk(&format!("data: {}\n\n", text_result("ok"))));
    assert!(shown.client.contains("ok"), "{}", shown.client);
}

#[test]
fn an_open_stream_ends_when_its_token_is_taken_away() {
    let mut bench = Bench::new();
    bench.client(&listen(ADA));
    bench.server(sse());
    assert_eq!(bench.event(Event::WorldChanged).pieces, []);
    let reply = bench.revoke_tokens();
    assert!(reply.pieces.contains(&Piece::Reset), "{reply:?}");
}

#[test]
fn a_credential_that_was_replaced_is_the_one_that_goes_on() {
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", CALL));
    bench.server(&json(&text_result("ok")));
    bench.authorize(server(OpaqueTokens::Refuse), Vec::new(), "");
    let reply = bench.client(&post(ADA, "", CALL));
    assert!(reply.client.starts_with("HTTP/1.1 401") && reply.server.is_empty());
}

/// A bench of a workload where the server is the resource server.
fn passing(opaque: OpaqueTokens, providers: Vec<IdentityProvider>) -> Bench {
    let mut bench = Bench::of_workload("reporter");
    bench.authorize(server(opaque), providers, "");
    bench
}

#[test]
fn a_token_goes_to_the_server_that_it_is_for_and_to_no_other() {
    let signer = Signer::new();
    let known = || issuer(&[signer.jwk("k1")]);
    let foreign = "https://idp.of.the.server";
    for (providers, issuer) in [(known(), ISSUER), (known(), foreign), (Vec::new(), foreign)] {
        let mut bench = passing(OpaqueTokens::Refuse, providers);
        let token = token(&signer, issuer, RESOURCE, "");
        let reply = bench.client(&post(&token, "", CALL));
        let field = format!("Authorization: Bearer {token}\r\n");
        assert!(reply.server.contains(&field), "{}", reply.client);
        assert!(!reply.server.contains("stored-at-weir"));
    }
    let stranger = Signer::new();
    for (token, opaque) in [
        // For Weir, for somebody else, of a registered issuer that did not sign it.
        (
            token(&signer, ISSUER, "urn:weir:demo-mcp", ""),
            OpaqueTokens::Pass,
        ),
        (
            token(&signer, foreign, "http://localhost:3902/mcp", ""),
            OpaqueTokens::Pass,
        ),
        (token(&stranger, ISSUER, RESOURCE, ""), OpaqueTokens::Pass),
        // Weir's own, whether or not this host knows them.
        (ADA.to_owned(), OpaqueTokens::Pass),
        (super::bench::EXPIRED.to_owned(), OpaqueTokens::Pass),
        ("weir_never-heard-of".to_owned(), OpaqueTokens::Pass),
        ("opaque".to_owned(), OpaqueTokens::Refuse),
    ] {
        let mut bench = passing(opaque, known());
        let reply = bench.client(&post(&token, "", CALL));
        assert!(
            reply.client.starts_with("HTTP/1.1 401"),
            "{token}: {}",
            reply.client
        );
        assert_eq!(reply.server, "", "{token}");
    }
    let mut bench = passing(OpaqueTokens::Pass, known());
    let reply = bench.client(&post("opaque", "", CALL));
    assert!(reply.server.contains("Authorization: Bearer opaque\r\n"));
    // It proves nothing: without a workload nobody asks.
    let mut bench = Bench::new();
    bench.authorize(server(OpaqueTokens::Pass), known(), "");
    let reply = bench.client(&post("opaque", "", CALL));
    assert!(reply.client.starts_with("HTTP/1.1 401") && reply.server.is_empty());
}

#[test]
fn a_server_that_is_its_own_resource_server_says_so_itself() {
    let mut bench = passing(OpaqueTokens::Refuse, Vec::new());
    let reply = bench.client(&post("", "", CALL));
    assert!(reply.server.contains("tools/call") && !reply.server.contains("Authorization"));
    let said = "Bearer realm=\"x\", error=\"invalid_token\", error_description=\"SSN 123-45-6789\", \
                resource_metadata=\"http://localhost:3901/.well-known/oauth-protected-resource/mcp\"";
    for (status, word) in [(401, "Unauthorized"), (403, "Forbidden")] {
        let shown = bench.server(&format!(
            "HTTP/1.1 {status} No\r\nWWW-Authenticate: {said}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
        ));
        let head = format!("HTTP/1.1 {status} {word}\r\n");
        assert!(shown.client.starts_with(&head), "{}", shown.client);
        assert_eq!(
            challenge(&shown),
            format!(r#"Bearer error="invalid_token", resource_metadata="{METADATA_URL}""#)
        );
        assert!(!shown.client.contains("123-45-6789"));
        bench.client(&post("", "", CALL));
    }
}

#[test]
fn a_servers_own_metadata_is_shown_as_far_as_clients_use_it() {
    let path = "/.well-known/oauth-protected-resource/mcp";
    let mut bench = passing(OpaqueTokens::Refuse, Vec::new());
    let asked = bench.client(&get(path, "")).server;
    assert!(asked.starts_with(&format!("GET {path} HTTP/1.1\r\n")));
    assert!(asked.contains("Accept: application/json\r\n"));
    let shown = bench.server(&json(
        r#"{"resource":"http://localhost:3901/mcp","authorization_servers":["https://as"],"note":"123-45-6789"}"#,
    ));
    let body = r#"{"resource":"http://localhost:3901/mcp","authorization_servers":["https://as"]}"#;
    assert!(shown.client.ends_with(body), "{}", shown.client);
    bench.client(&get("/.well-known/openid-configuration", ""));
    let hidden = bench.server(&json(r#"{"issuer":"https://as/123-45-6789"}"#));
    assert!(
        hidden.client.starts_with("HTTP/1.1 502"),
        "{}",
        hidden.client
    );
    let other = bench.client(&get("/.well-known/mcp.json", ""));
    assert_eq!(other.server, "");
    // Where Weir is the resource server, what the server says of tokens is about Weir's.
    let (mut weir, signer) = guarded();
    weir.client(&post(
        &token(&signer, ISSUER, RESOURCE, "refunds:write"),
        "",
        CALL,
    ));
    let shown = weir.server(
        "HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer scope=\"x\"\r\nContent-Length: 0\r\n\r\n",
    );
    assert!(shown.client.starts_with("HTTP/1.1 502") && challenge(&shown).is_empty());
}

#[test]
fn a_token_is_for_the_resource_of_the_world_in_force_before_the_flow_is_told_of_it() {
    let (mut bench, signer) = guarded();
    let here = token(&signer, ISSUER, RESOURCE, "refunds:write");
    assert!(
        bench
            .client(&post(&here, "", CALL))
            .server
            .contains("tools/call")
    );
    bench.server(&json(&text_result("fine")));
    let moved = McpAuthorization::Weir {
        resource: ResourceUri::parse("http://localhost:3901/elsewhere"),
    };
    bench.authorize_quietly(moved, issuer(&[signer.jwk("k1")]));
    let reply = bench.client(&post(&here, "", CALL));
    assert!(
        reply.client.starts_with("HTTP/1.1 401") && reply.server.is_empty(),
        "{} {}",
        reply.client,
        reply.server
    );
}

#[test]
fn a_servers_challenge_and_metadata_that_hold_a_value_are_not_shown() {
    let signer = Signer::new();
    let served = || {
        let mut bench = Bench::of_workload("reporter");
        bench.authorize(
            server(OpaqueTokens::Refuse),
            issuer(&[signer.jwk("k1")]),
            "",
        );
        bench
    };
    let mut bench = served();
    bench.client(&post("", "", CALL));
    let answer = "HTTP/1.1 401 x\r\nWWW-Authenticate: Bearer scope=\"of 123-45-6789\"\r\nContent-Length: 0\r\n\r\n";
    let reply = bench.server(answer);
    assert!(reply.client.starts_with("HTTP/1.1 401"), "{}", reply.client);
    assert_eq!(challenge(&reply), "");
    for value in ["123-45-6789", r"123\u002d45-6789"] {
        let mut bench = served();
        bench.client(&get("/.well-known/oauth-protected-resource", ""));
        let document = format!(r#"{{"resource":"{RESOURCE}","scopes_supported":["{value}"]}}"#);
        let reply = bench.server(&json(&document));
        assert!(reply.client.starts_with("HTTP/1.1 502"), "{}", reply.client);
        assert!(!reply.client.contains("6789"), "{}", reply.client);
    }
}

#[test]
fn an_approval_is_for_the_token_that_goes_on_where_nobody_here_knows_whose_it_is() {
    let digest = |token: &str| {
        let mut bench = Bench::of_workload("reporter");
        bench.authorize(server(OpaqueTokens::Pass), Vec::new(), "");
        let asked = bench.client(&post(token, "", REFUND)).asked();
        asked.expect("people are asked").digest
    };
    assert_eq!(digest("opaque-a"), digest("opaque-a"));
    assert_ne!(digest("opaque-a"), digest("opaque-b"));
}
