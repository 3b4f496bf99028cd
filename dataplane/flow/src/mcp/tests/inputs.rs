//! What clients answer to what servers ask: in messages of their own, and in requests that bring
//! answers along (2026-07-28).

use super::bench::{ADA, Bench, json, post, sse};
use super::{CALL, text_result};

const ASKED: &str = r#"{"action":"accept","content":{"name":"ann"}}"#;
const SAID: &str = r#"{"role":"assistant","content":{"type":"text","text":"x"},"model":"m"}"#;
const ROOTS: &str = r#"{"roots":[{"uri":"file:///a"}]}"#;

fn may(actions: &[&str]) -> String {
    let policies = actions.iter().map(|action| {
        format!(
            "@id(\"{action}\") permit(principal, action == Weir::Action::\"{action}\", resource);\n"
        )
    });
    policies.collect()
}

/// A request of 2026-07-28 that brings answers.
fn bringing(method: &str, name: &str, answers: &str) -> String {
    let member = if method == "resources/read" {
        "uri"
    } else {
        "name"
    };
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"{member}":"{name}","inputResponses":{answers},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    );
    let head =
        format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\nMcp-Name: {name}\r\n");
    post(ADA, &head, &body)
}

#[test]
fn every_answer_that_a_request_brings_is_judged_for_what_it_is() {
    let actions = ["mcp.elicitation", "mcp.sampling", "mcp.roots"];
    for (given, answer) in [ASKED, SAID, ROOTS].iter().enumerate() {
        for (allowed, action) in actions.iter().enumerate() {
            let answers = format!(r#"{{"a":{answer}}}"#);
            let reply =
                Bench::also(&may(&[action])).client(&bringing("tools/call", "echo", &answers));
            assert_eq!(
                !reply.server.is_empty(),
                given == allowed,
                "{action}: {answer}"
            );
            assert!(
                given == allowed
                    || reply.client.contains("Denied by policy")
                        && reply.client.contains(r#""isError":true"#),
                "{}",
                reply.client
            );
        }
    }
    // Each of several.
    let both = format!(r#"{{"a":{ASKED},"b":{SAID}}}"#);
    for (passes, may_be) in [
        (false, may(&actions[..1])),
        (false, may(&actions[1..2])),
        (true, may(&actions[..2])),
    ] {
        let reply = Bench::also(&may_be).client(&bringing("tools/call", "echo", &both));
        assert_eq!(!reply.server.is_empty(), passes, "{}", reply.client);
    }
    // What is no answer at all is nothing that a policy names.
    for wrong in [
        "12",
        "null",
        r#"{"a":"accept"}"#,
        r#"{"a":[]}"#,
        r#"{"a":{"x":1}}"#,
    ] {
        let reply = Bench::also(&may(&actions)).client(&bringing("tools/call", "echo", wrong));
        assert_eq!(reply.server, "", "{wrong}");
        assert!(
            reply.client.contains("Denied by policy"),
            "{}",
            reply.client
        );
    }
    // In whatever else may be asked for input.
    let reads = may(&["mcp.get_prompt", "mcp.read_resource"]);
    for (method, name) in [("prompts/get", "letter"), ("resources/read", "file:///a")] {
        let asked = bringing(method, name, &format!(r#"{{"a":{ASKED}}}"#));
        let reply = Bench::also(&reads).client(&asked);
        assert!(
            reply.server.is_empty() && reply.client.contains("Denied by policy"),
            "{method}: {}",
            reply.client
        );
        let open = format!("{reads}{}", may(&actions));
        assert_ne!(Bench::also(&open).client(&asked).server, "", "{method}");
    }
}

/// What a person may tell a server: no more than a name.
const NAMES: &str = r#"
@id("asks") permit(principal, action == Weir::Action::"mcp.elicitation", resource);
@id("no-numbers") forbid(principal, action == Weir::Action::"mcp.elicitation", resource)
when { context.arguments.names.contains("content/ssn") };
"#;

#[test]
fn what_a_client_answers_is_for_policy() {
    const TOLD: &str = r#"{"action":"accept","content":{"ssn":"123-45-6789"}}"#;
    for (passes, answer) in [(true, ASKED), (false, TOLD)] {
        let asked = bringing("tools/call", "echo", &format!(r#"{{"a":{answer}}}"#));
        let reply = Bench::also(NAMES).client(&asked);
        assert_eq!(!reply.server.is_empty(), passes, "{}", reply.client);
        assert!(!reply.client.contains("6789"), "{}", reply.client);

        let mut bench = Bench::also(NAMES);
        bench.client(&post(ADA, "", CALL));
        bench.server(sse());
        let ask = r#"{"jsonrpc":"2.0","id":5,"method":"elicitation/create","params":{}}"#;
        let shown = bench.server(&super::bench::chunk(&format!("data: {ask}\n\n")));
        let (_, rest) = shown.client.split_once(r#""id":""#).expect("it may ask");
        let (id, _) = rest.split_once('"').expect("a sealed id");
        let body = format!(r#"{{"jsonrpc":"2.0","id":"{id}","result":{answer}}}"#);
        let reply = Bench::also(NAMES).client(&post(ADA, "", &body));
        assert_eq!(!reply.server.is_empty(), passes, "{}", reply.client);
    }
}

#[test]
fn what_a_client_answers_goes_on_as_it_is() {
    // Masks are of what servers show.
    let answer = r#"{"a":{"action":"accept","content":{"name":"123-45-6789"}}}"#;
    let mut bench = Bench::also(&may(&["mcp.elicitation"]));
    let reply = bench.client(&bringing("tools/call", "echo", answer));
    assert!(reply.server.contains(answer), "{}", reply.server);
    let shown = bench.server(&json(&text_result("123-45-6789"))).client;
    assert!(
        shown.contains("6789") && !shown.contains("123-45"),
        "{shown}"
    );
}
