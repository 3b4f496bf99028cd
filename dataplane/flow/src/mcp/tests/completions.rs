//! What is to be completed, and what with.

use super::bench::{ADA, Bench, json, post};

/// Whoever completes, completes no secret.
const POLICY: &str = r#"
@id("completes") permit(principal, action == Weir::Action::"mcp.complete", resource);
@id("no-secrets") forbid(principal, action == Weir::Action::"mcp.complete", resource)
when { context.arguments.strings.hasTag("city") && context.arguments.strings.getTag("city") like "secret*" };
"#;

fn complete(argument: &str, context: &str) -> String {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{{"ref":{{"type":"ref/prompt","name":"letter"}},"argument":{argument}{context}}}}}"#
    );
    post(ADA, "", &body)
}

#[test]
fn what_is_entered_and_what_was_is_for_policy() {
    let city = |value: &str| format!(r#"{{"name":"city","value":"{value}"}}"#);
    let before = |arguments: &str| format!(r#","context":{{"arguments":{arguments}}}"#);
    let cases = [
        (true, city("Lon"), String::new()),
        (false, city("secret lair"), String::new()),
        (false, city("\\u0073ecret"), String::new()),
        (true, city("Lon"), before(r#"{"country":"secret"}"#)),
        // Clients send what they have, the argument itself among it.
        (true, city("Lond"), before(r#"{"city":"Lon"}"#)),
        (false, city("Lond"), before(r#"{"city":"secret"}"#)),
        (false, city("secret"), before(r#"{"city":"Lon"}"#)),
        (
            false,
            r#"{"name":"street","value":"x"}"#.to_owned(),
            before(r#"{"city":"secret"}"#),
        ),
        (
            true,
            r#"{"name":"street","value":"x"}"#.to_owned(),
            before("{}"),
        ),
        // Of another type than policy speaks of.
        (
            false,
            r#"{"name":"street","value":"x"}"#.to_owned(),
            before(r#"{"city":["secret"]}"#),
        ),
    ];
    for (passes, argument, context) in cases {
        let reply = Bench::also(POLICY).client(&complete(&argument, &context));
        assert_eq!(
            !reply.server.is_empty(),
            passes,
            "{argument}{context}: {}",
            reply.client
        );
        if !passes {
            assert!(reply.client.contains("Unknown prompt"), "{}", reply.client);
        }
    }
}

#[test]
fn what_is_completed_is_masked() {
    let mut bench = Bench::also(POLICY);
    bench.client(&complete(r#"{"name":"ssn","value":"123"}"#, ""));
    let shown = bench
        .server(&json(
            r#"{"jsonrpc":"2.0","id":1,"result":{"completion":{"values":["123-45-6789"],"total":1,"hasMore":false}}}"#,
        ))
        .client;
    assert!(
        shown.contains(r#""values":["#) && shown.contains("6789") && !shown.contains("123-45"),
        "{shown}"
    );
}

#[test]
fn what_a_prompt_is_given_is_for_policy() {
    let policy = r#"
@id("gets") permit(principal, action == Weir::Action::"mcp.get_prompt", resource);
@id("no-secrets") forbid(principal, action == Weir::Action::"mcp.get_prompt", resource)
when { context.arguments.strings.hasTag("city") && context.arguments.strings.getTag("city") like "secret*" };
"#;
    let get = |city: &str| {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{{"name":"letter","arguments":{{"city":"{city}"}}}}}}"#
        );
        Bench::also(policy).client(&post(ADA, "", &body))
    };
    assert_ne!(get("London").server, "");
    let told = get("secret lair");
    assert!(
        told.server.is_empty() && told.client.contains("Unknown prompt"),
        "{}",
        told.client
    );
}
