//! What clients are told of tasks, and that it is true.

use weir_audit::Kind;

use super::bench::{ADA, Bench, json, post};
use super::rungs::{member, session};

const OWN: &str = r#""tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}"#;
const FREE: &str = "@id(\"free\") permit(principal, action, resource);";

/// What a client of this revision is shown of what the server says of itself.
fn initialized(bench: &mut Bench, revision: &str) -> String {
    let ask = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"{revision}","capabilities":{{}},"clientInfo":{{"name":"c","version":"1"}}}}}}"#
    );
    bench.client(&post(ADA, "", &ask));
    let says = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"protocolVersion":"{revision}","capabilities":{{"tools":{{}}}}}}}}"#
    );
    bench.server(&json(&says)).client
}

#[test]
fn a_session_is_told_of_tasks_where_calls_may_wait_and_its_revision_has_them() {
    assert!(initialized(&mut Bench::new(), "2025-11-25").contains(OWN));
    assert!(!initialized(&mut Bench::new(), "2025-06-18").contains("tasks"));
    assert!(!initialized(&mut Bench::under(FREE), "2025-11-25").contains("tasks"));
}

/// What a list shows of two tools, of which one may wait.
fn listed(bench: &mut Bench, head: &str) -> String {
    let list = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
    bench.client(&post(ADA, head, list));
    let tools =
        r#"{"name":"echo"},{"name":"refund_order","execution":{"taskSupport":"forbidden"}}"#;
    let says = format!(r#"{{"jsonrpc":"2.0","id":2,"result":{{"tools":[{tools}]}}}}"#);
    bench.server(&json(&says)).client
}

#[test]
fn a_list_says_which_calls_may_be_tasks_and_definitions_are_the_servers_own() {
    let mut bench = Bench::new();
    let older = listed(&mut bench, "MCP-Protocol-Version: 2025-06-18\r\n");
    assert!(older.contains(r#""taskSupport":"forbidden""#), "{older}");
    let shown = listed(&mut bench, "MCP-Protocol-Version: 2025-11-25\r\n");
    let tools =
        r#"[{"name":"echo"},{"name":"refund_order","execution":{"taskSupport":"optional"}}]"#;
    assert!(shown.contains(tools), "{shown}");
    assert_eq!(bench.of_kind(Kind::Tool).len(), 2, "one sight of each");
    let mut free = Bench::under(FREE);
    let shown = listed(&mut free, "MCP-Protocol-Version: 2025-11-25\r\n");
    assert!(shown.contains(r#""taskSupport":"forbidden""#), "{shown}");
}

#[test]
fn a_discovery_is_told_of_the_extension_where_calls_may_wait() {
    let discover = |mut bench: Bench| {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
        let head = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: server/discover\r\n";
        bench.client(&post(ADA, head, body));
        let says = r#"{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}}"#;
        bench.server(&json(says)).client
    };
    let own = r#""capabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}},"tools":{}}"#;
    let shown = discover(Bench::new());
    assert!(shown.contains(own), "{shown}");
    let shown = discover(Bench::under(FREE));
    assert!(shown.contains(r#""capabilities":{"tools":{}}"#), "{shown}");
}

const ECHO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","task":{"ttl":60000},"arguments":{"n":1}}}"#;
const SSN: &str =
    r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"SSN 123-45-6789"}]}}"#;

#[test]
fn a_call_that_waits_for_nobody_is_a_task_where_its_client_asks_for_one() {
    let mut bench = Bench::new();
    let head = session(&mut bench, "{}");
    let reply = bench.client(&post(ADA, &head, ECHO));
    let shown = &reply.client;
    assert!(
        shown.contains(r#""id":1,"result":{"task":{"taskId":""#)
            && shown.contains(r#""status":"working""#)
            && shown.contains("onnection: close"),
        "{shown}"
    );
    let sent = &reply.server;
    assert!(
        sent.contains(r#""name":"echo""#) && !sent.contains(r#""task""#),
        "{sent}"
    );
    assert!(reply.asked().is_none());
    assert_eq!(bench.of_kind(Kind::Intent).len(), 2, "initialize, the call");
    let task = member(shown, "taskId").to_owned();
    let ask = |method: &str| {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":9,"method":"{method}","params":{{"taskId":"{task}"}}}}"#
        );
        let mut bench = Bench::beside(&bench);
        let reply = bench.client(&post(ADA, &head, &body));
        (bench, reply.client)
    };
    let (_, shown) = ask("tasks/get");
    assert!(shown.contains(r#""status":"working""#), "{shown}");
    let (mut patient, shown) = ask("tasks/result");
    assert_eq!(shown, "");
    assert_eq!(bench.server(&json(SSN)).client, "");
    let shown = patient.wait(|reply| !reply.client.is_empty()).client;
    assert!(
        shown.contains(r#""id":9,"result""#) && shown.contains("6789") && !shown.contains("123-45"),
        "{shown}"
    );
}

#[test]
fn a_task_that_runs_can_be_given_up_and_one_whose_server_leaves_has_failed() {
    for (method, status) in [("tasks/cancel", "cancelled"), ("tasks/get", "failed")] {
        let mut bench = Bench::new();
        let head = session(&mut bench, "{}");
        let shown = bench.client(&post(ADA, &head, ECHO)).client;
        let task = member(&shown, "taskId").to_owned();
        if status == "failed" {
            bench.eof(weir_facts::Side::Server);
        }
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":9,"method":"{method}","params":{{"taskId":"{task}"}}}}"#
        );
        let shown = Bench::beside(&bench)
            .client(&post(ADA, &head, &body))
            .client;
        assert!(
            shown.contains(&format!(r#""status":"{status}""#)),
            "{shown}"
        );
    }
}

#[test]
fn a_call_that_is_denied_is_no_task_and_its_client_is_told_why() {
    let policy = r#"@id("no-echo") @reason("quiet") forbid(principal, action == Weir::Action::"mcp.call_tool", resource == Weir::Tool::"demo-mcp/echo");"#;
    let mut bench = Bench::also(policy);
    bench.list("echo");
    let head = session(&mut bench, "{}");
    let reply = bench.client(&post(ADA, &head, ECHO));
    assert!(
        reply.client.contains(r#""error":{"#)
            && reply.client.contains("quiet")
            && reply.server.is_empty(),
        "{reply:?}"
    );
}
