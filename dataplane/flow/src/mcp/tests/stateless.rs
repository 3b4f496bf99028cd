//! 2026-07-28: requests that stand for themselves.

use weir_audit::Kind;
use weir_facts::Side;

use super::bench::{ADA, Bench, CAL, agreed, chunk, json, post, sse};
use crate::io::Effect;

/// Policies under which everything may be asked of the client and read.
const OPEN: &str = r#"
@id("test-asks") permit(principal, action in [Weir::Action::"mcp.elicitation", Weir::Action::"mcp.sampling", Weir::Action::"mcp.roots"], resource in Weir::Connection::"demo-mcp");
@id("test-reads") permit(principal, action == Weir::Action::"mcp.read_resource", resource in Weir::Connection::"demo-mcp")
when { resource == Weir::McpResource::"demo-mcp/file:///a" };
"#;

fn body(method: &str, params: &str) -> String {
    with_capabilities("{}", method, params)
}

fn with_capabilities(capabilities: &str, method: &str, params: &str) -> String {
    let comma = if params.is_empty() { "" } else { "," };
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{comma}"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{capabilities}}}}}}}"#
    )
}

fn fields(method: &str, name: &str) -> String {
    let name = if name.is_empty() {
        String::new()
    } else {
        format!("Mcp-Name: {name}\r\n")
    };
    format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{name}")
}

const TASKS: &str = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
const ECHO: &str = r#""name":"echo","arguments":{"n":1}"#;

fn call(token: &str, capabilities: &str, params: &str) -> String {
    let body = with_capabilities(capabilities, "tools/call", params);
    post(token, &fields("tools/call", "echo"), &body)
}

fn result(result: &str) -> String {
    json(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#))
}

/// The text of a member in what was shown.
fn member<'t>(shown: &'t str, name: &str) -> &'t str {
    let after = shown.split(&format!("\"{name}\":\"")).nth(1);
    after.and_then(|rest| rest.split('"').next()).expect(name)
}

#[test]
fn a_call_goes_on_with_fields_from_its_body_and_without_a_session() {
    let mut bench = Bench::new();
    let head = format!(
        "{}Mcp-Param-N: 1\r\nMcp-Session-Id: none\r\nLast-Event-ID: none\r\n",
        fields("tools/call", "=?base64?ZWNobw==?=")
    );
    let request = body("tools/call", ECHO);
    let sent = bench.client(&post(ADA, &head, &request)).server;
    assert!(
        sent.contains(
            "\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\nmcp-param-n: 1\r\n"
        ),
        "{sent}"
    );
    assert!(
        !sent.to_lowercase().contains("session-id") && !sent.to_lowercase().contains("last-event"),
        "{sent}"
    );
    assert!(sent.ends_with(&request), "{sent}");
    let shown = bench
        .server(&result(
            r#"{"resultType":"complete","content":[{"type":"text","text":"123-45-6789"}]}"#,
        ))
        .client;
    assert!(
        shown.contains("6789") && !shown.contains("123-45"),
        "{shown}"
    );
}

#[test]
fn a_field_that_the_tool_names_repeats_its_own_argument() {
    let call = |field: &str| {
        let mut bench = Bench::new();
        bench.define(
            r#"{"name":"echo","inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string"}}}}"#,
        );
        let params = ECHO.replace(r#""arguments":{"n":1}"#, r#""arguments":{"a":"x","b":"y"}"#);
        assert_ne!(params, ECHO);
        let head = format!("{}{field}\r\n", fields("tools/call", "echo"));
        bench.client(&post(ADA, &head, &body("tools/call", &params)))
    };
    assert!(call("Mcp-Param-A: x").server.contains("mcp-param-a: x"));
    let told = call("Mcp-Param-A: y");
    assert_eq!(told.server, "");
    assert!(told.client.contains("-32020"), "{}", told.client);
}

#[test]
fn what_head_and_body_say_differently_reaches_nobody() {
    let good = body("tools/call", ECHO);
    let head = fields("tools/call", "echo");
    let cases = [
        (
            head.replace("Mcp-Name: echo", "Mcp-Name: refund_order"),
            good.clone(),
            "-32020",
        ),
        (
            head.replace("Mcp-Method: tools/call\r\n", ""),
            good.clone(),
            "-32020",
        ),
        (
            head.replace("tools/call", "tools/list"),
            good.clone(),
            "-32020",
        ),
        (
            head.replace("Mcp-Name: echo\r\n", ""),
            good.clone(),
            "-32020",
        ),
        (format!("{head}Mcp-Param-N: 2\r\n"), good.clone(), "-32020"),
        (String::new(), good.clone(), "-32020"),
        (
            head.replace("2026-07-28", "2025-11-25"),
            good.clone(),
            "-32020",
        ),
        (
            head.clone(),
            good.replace("2026-07-28", "2025-11-25"),
            "-32020",
        ),
        (
            head.replace("2026-07-28", "2030-01-01"),
            good.replace("2026-07-28", "2030-01-01"),
            "-32022",
        ),
        (
            head.replace("2026-07-28", "2030-01-01"),
            good.clone(),
            "-32020",
        ),
        (
            head.clone(),
            good.replace("io.modelcontextprotocol/clientCapabilities", "x"),
            "-32602",
        ),
        (head.clone(), super::CALL.to_owned(), "-32602"),
    ];
    for (head, body, code) in cases {
        let mut bench = Bench::new();
        let reply = bench.client(&post(ADA, &head, &body));
        assert!(
            reply.client.starts_with("HTTP/1.1 400")
                && reply
                    .client
                    .contains(&format!(r#""id":1,"error":{{"code":{code},"#)),
            "{head}{body}: {}",
            reply.client
        );
        assert_eq!(reply.server, "", "{head}{body}");
        assert_eq!(bench.last().kind, Kind::Refusal);
    }
}

#[test]
fn what_belongs_to_sessions_is_not_there() {
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "tasks/list",
        "unknown/method",
    ] {
        let reply = Bench::new().client(&post(ADA, &fields(method, ""), &body(method, "")));
        assert!(
            reply.client.starts_with("HTTP/1.1 404") && reply.client.contains("-32601"),
            "{method}: {}",
            reply.client
        );
        assert_eq!(reply.server, "", "{method}");
    }
    for method in ["GET", "DELETE"] {
        let request = format!(
            "{method} /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADA}\r\nAccept: text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n\r\n"
        );
        let reply = Bench::new().client(&request);
        assert!(
            reply.client.starts_with("HTTP/1.1 405") && reply.server.is_empty(),
            "{method}"
        );
    }
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let reply = Bench::new().client(&post(ADA, &fields("x", ""), answer));
    assert!(reply.client.starts_with("HTTP/1.1 400") && reply.server.is_empty());
}

#[test]
fn lists_become_private_and_discoveries_name_what_is_served() {
    let mut bench = Bench::new();
    bench.client(&post(
        ADA,
        &fields("tools/list", ""),
        &body("tools/list", ""),
    ));
    let shown = bench
        .server(&result(
            r#"{"resultType":"complete","tools":[{"name":"echo"},{"name":"run_shell"}],"cacheScope":"public","ttlMs":3600000}"#,
        ))
        .client;
    assert!(
        shown.contains(r#""tools":[{"name":"echo"}],"cacheScope":"private","ttlMs":60000}"#),
        "{shown}"
    );
    let mut bench = Bench::new();
    bench.client(&post(
        ADA,
        &fields("server/discover", ""),
        &body("server/discover", ""),
    ));
    let shown = bench
        .server(&result(
            r#"{"supportedVersions":["2027-01-01","2026-07-28","2025-11-25"],"capabilities":{}}"#,
        ))
        .client;
    assert!(
        shown.contains(
            r#"{"cacheScope":"private","supportedVersions":["2026-07-28","2025-11-25"],"#
        ),
        "{shown}"
    );
}

#[test]
fn what_the_server_may_not_ask_is_neither_offered_nor_shown() {
    let asks = r#"{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","params":{"message":"SECRET"}}}}"#;
    let declared = r#"{"elicitation":{},"sampling":{},"x":{}}"#;
    let mut bench = Bench::new();
    let sent = bench.client(&call(ADA, declared, ECHO)).server;
    assert!(sent.contains(r#"clientCapabilities":{"x":{}}"#), "{sent}");
    let shown = bench.server(&result(asks)).client;
    assert!(
        shown.contains("isError") && !shown.contains("SECRET"),
        "{shown}"
    );
    let mut bench = Bench::also(OPEN);
    let sent = bench.client(&call(ADA, declared, ECHO)).server;
    assert!(sent.contains(declared), "{sent}");
    let shown = bench.server(&result(asks)).client;
    assert!(shown.contains("SECRET"), "{shown}");
    assert_eq!(bench.last().outcome, "input required");
    for wrong in [
        r#"{"resultType":"input_required"}"#,
        r#"{"resultType":"input_required","inputRequests":{"a":{"method":"tools/call"}}}"#,
        r#"{"resultType":"input_required","inputRequests":{"a":{"method":"ping"}}}"#,
        r#"{"resultType":"input_required","inputRequests":[]}"#,
        r#"{"resultType":"other","text":"SECRET"}"#,
        r#"{"resultType":"complete","ResultType":"input_required","text":"SECRET"}"#,
        r#"{"resultType":"task","taskId":"SECRET"}"#,
    ] {
        let mut bench = Bench::also(OPEN);
        bench.client(&call(ADA, declared, ECHO));
        let shown = bench.server(&result(wrong)).client;
        assert!(
            shown.contains("-32603") && !shown.contains("SECRET"),
            "{wrong}: {shown}"
        );
    }
    let mut bench = Bench::also(OPEN);
    bench.client(&post(
        ADA,
        &fields("tools/list", ""),
        &body("tools/list", ""),
    ));
    let shown = bench.server(&result(asks)).client;
    assert!(!shown.contains("SECRET"), "no list asks for input: {shown}");
}

#[test]
fn a_state_goes_back_to_the_server_from_the_same_caller_with_the_same_call_only() {
    let mut bench = Bench::also(OPEN);
    bench.client(&call(ADA, "{}", ECHO));
    let shown = bench
        .server(&result(
            r#"{"resultType":"input_required","requestState":"row 123-45-6789"}"#,
        ))
        .client;
    assert!(
        !shown.contains("123-45") && !shown.contains("row"),
        "{shown}"
    );
    let state = member(&shown, "requestState").to_owned();
    let retry = |token: &str, params: &str, state: &str| {
        let params = format!(
            r#"{params},"inputResponses":{{"a":{{"action":"accept"}}}},"requestState":"{state}""#
        );
        Bench::also(OPEN).client(&call(token, "{}", &params))
    };
    let sent = retry(ADA, ECHO, &state).server;
    assert!(
        sent.contains(
            r#""inputResponses":{"a":{"action":"accept"}},"requestState":"row 123-45-6789""#
        ),
        "{sent}"
    );
    let other_call = r#""name":"echo","arguments":{"n":2}"#;
    for (token, params, state) in [
        (CAL, ECHO, state.clone()),
        (ADA, other_call, state.clone()),
        (ADA, ECHO, format!("{state}-TAMPERED")),
        (ADA, ECHO, "row 123-45-6789".to_owned()),
    ] {
        let reply = retry(token, params, &state);
        assert!(
            reply.client.starts_with("HTTP/1.1 400")
                && reply.client.contains("-32602")
                && reply.server.is_empty(),
            "{}",
            reply.client
        );
    }
    let mut late = Bench::also(OPEN);
    late.now.unix_us += 3_601_000_000;
    let params = format!(r#"{ECHO},"requestState":"{state}""#);
    assert_eq!(late.client(&call(ADA, "{}", &params)).server, "", "expired");
}

#[test]
fn a_task_is_its_callers_and_keeps_the_masks_of_its_tool() {
    let mut bench = Bench::also(OPEN);
    bench.client(&call(ADA, TASKS, ECHO));
    let shown = bench
        .server(&result(
            r#"{"resultType":"task","taskId":"t-1","status":"working"}"#,
        ))
        .client;
    let task = member(&shown, "taskId").to_owned();
    assert!(!shown.contains("t-1"), "{shown}");
    let get = |token: &str, capabilities: &str, task: &str| {
        let params = format!(r#""taskId":"{task}""#);
        let body = with_capabilities(capabilities, "tasks/get", &params);
        post(token, &fields("tasks/get", task), &body)
    };
    let mut bench = Bench::also(OPEN);
    let sent = bench.client(&get(ADA, TASKS, &task)).server;
    assert!(
        sent.contains("Mcp-Name: t-1\r\n") && sent.contains(r#""taskId":"t-1""#),
        "{sent}"
    );
    let done = r#"{"resultType":"complete","taskId":"t-1","status":"completed","result":{"content":[{"type":"text","text":"123-45-6789"}]}}"#;
    let shown = bench.server(&result(done)).client;
    assert_eq!(member(&shown, "taskId"), task);
    assert!(
        !shown.contains("123-45") && shown.contains("6789"),
        "{shown}"
    );
    assert_eq!(bench.last().summary, "tasks/get echo");
    for (token, capabilities, task, code) in [
        (CAL, TASKS, task.as_str(), "-32602"),
        (ADA, TASKS, "t-1", "-32602"),
        (ADA, "{}", task.as_str(), "-32021"),
    ] {
        let reply = Bench::also(OPEN).client(&get(token, capabilities, task));
        assert!(
            reply.client.starts_with("HTTP/1.1 400") && reply.client.contains(code),
            "{}",
            reply.client
        );
        assert_eq!(reply.server, "");
    }
    let mut bench = Bench::also(OPEN);
    bench.client(&get(ADA, TASKS, &task));
    let shown = bench.server(&result(&done.replace("t-1", "t-2"))).client;
    assert!(
        shown.contains("-32603") && !shown.contains("content"),
        "{shown}"
    );
}

#[test]
fn a_subscription_tells_what_was_asked_for_and_may_be_known() {
    let mut bench = Bench::also(OPEN);
    let asked = r#""notifications":{"toolsListChanged":true,"resourceSubscriptions":["file:///a","file:///b"]}"#;
    let request = post(
        ADA,
        &fields("subscriptions/listen", ""),
        &body("subscriptions/listen", asked),
    );
    let sent = bench.client(&request).server;
    assert!(
        sent.contains(r#""resourceSubscriptions":["file:///a"]}"#),
        "{sent}"
    );
    let tagged = |method: &str, params: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/{method}","params":{{{params}"_meta":{{"io.modelcontextprotocol/subscriptionId":1}}}}}}"#
        )
    };
    bench.server(sse());
    let mut tell = |message: &str| {
        bench
            .server(&chunk(&format!("id: 9\ndata: {message}\n\n")))
            .client
    };
    let acknowledged = tell(&tagged(
        "subscriptions/acknowledged",
        r#""notifications":{"toolsListChanged":true,"resourceSubscriptions":["file:///a","file:///c"]},"#,
    ));
    assert!(
        acknowledged.contains(r#""resourceSubscriptions":["file:///a"]"#)
            && !acknowledged.contains("id: "),
        "{acknowledged}"
    );
    for (passes, message) in [
        (true, tagged("tools/list_changed", "")),
        (true, tagged("resources/updated", r#""uri":"file:///a","#)),
        (false, tagged("resources/updated", r#""uri":"file:///b","#)),
        (false, tagged("prompts/list_changed", "")),
        (
            false,
            tagged("tools/list_changed", "").replace(":1}", ":2}"),
        ),
        (
            false,
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#.to_owned(),
        ),
        (false, tagged("message", r#""data":"x","#)),
        (false, tagged("tasks", r#""taskId":"t","#)),
        (
            false,
            r#"{"jsonrpc":"2.0","id":5,"method":"ping"}"#.to_owned(),
        ),
        (
            true,
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#
                .to_owned(),
        ),
        (
            false,
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}"#
                .to_owned(),
        ),
    ] {
        assert_eq!(!tell(&message).is_empty(), passes, "{message}");
    }
    let end = bench.eof(Side::Client);
    assert!(
        end.effects
            .iter()
            .any(|effect| matches!(effect, Effect::Finished))
    );
}

#[test]
fn a_change_of_a_list_is_told_to_whoever_asked_about_that_list() {
    const LISTS: [&str; 3] = ["tools", "prompts", "resources"];
    for asked in LISTS {
        let mut bench = Bench::new();
        let filter = format!(r#""notifications":{{"{asked}ListChanged":true}}"#);
        let request = body("subscriptions/listen", &filter);
        let head = fields("subscriptions/listen", "");
        assert_ne!(bench.client(&post(ADA, &head, &request)).server, "");
        bench.server(sse());
        for told in LISTS {
            let message = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/{told}/list_changed","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":1}}}}}}"#
            );
            let shown = bench.server(&chunk(&format!("data: {message}\n\n"))).client;
            assert_eq!(
                shown.contains("list_changed"),
                told == asked,
                "{asked}: {shown}"
            );
        }
    }
}

#[test]
fn a_state_is_brought_back_to_what_may_ask_for_input_only() {
    use weir_mcp::session::{Origin, State as Brought};
    let list = |state: &str| {
        let body = body("tools/list", state);
        post(ADA, &fields("tools/list", ""), &body)
    };
    let mut bench = Bench::new();
    bench.client(&list(""));
    // As if a server had been let give one.
    let super::super::State::Answering(answering) = &bench.flow.state else {
        panic!("the list is asked for");
    };
    let exchange = &answering.exchange;
    let context = &bench.flow.desk.context;
    let holder = context.holder(&exchange.caller, "");
    let bound = super::super::stateless::bound_to_body(exchange).expect("a request");
    let state = Brought {
        origin: Origin::Server,
        expires_s: u64::MAX,
        content: "s",
    };
    let sealed = context.seal.state(&holder, &bound, &state).expect("short");
    let reply = Bench::new().client(&list(&format!(r#""requestState":"{sealed}""#)));
    assert!(
        reply.server.is_empty() && reply.client.contains("requestState is not valid"),
        "{reply:?}"
    );
}

#[test]
fn a_task_of_a_tool_that_the_caller_may_not_use_any_more_is_not_there() {
    let mut bench = Bench::new();
    bench.client(&call(ADA, TASKS, ECHO));
    let shown = bench
        .server(&result(
            r#"{"resultType":"task","taskId":"t-1","status":"working"}"#,
        ))
        .client;
    let task = member(&shown, "taskId").to_owned();
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let body = with_capabilities(TASKS, method, &format!(r#""taskId":"{task}""#));
        let asked = post(ADA, &fields(method, &task), &body);
        assert_ne!(Bench::new().client(&asked).server, "", "{method}");
        for action in ["mcp.call_tool", "mcp.list_tool"] {
            let policy = format!(
                r#"@id("no-echo") forbid(principal, action == Weir::Action::"{action}", resource == Weir::Tool::"demo-mcp/echo");"#
            );
            let reply = Bench::also(&policy).client(&asked);
            assert!(
                reply.server.is_empty() && reply.client.contains("Task not found"),
                "{method} without {action}: {reply:?}"
            );
        }
    }
}

#[test]
fn a_client_that_closes_its_stream_cancels_its_call() {
    let mut bench = Bench::new();
    bench.client(&call(ADA, "{}", ECHO));
    bench.server(sse());
    let end = bench.eof(Side::Client);
    assert!(
        end.effects
            .iter()
            .any(|effect| matches!(effect, Effect::Finished))
    );
    assert_eq!(
        bench.last().outcome,
        "cancelled: the client has closed the stream"
    );
}

#[test]
fn a_denied_tool_and_an_absent_one_look_the_same() {
    let mut bench = Bench::new();
    let body = body("tools/call", r#""name":"run_shell","arguments":{}"#);
    let denied = bench.client(&post(ADA, &fields("tools/call", "run_shell"), &body));
    assert_eq!(denied.server, "");
    for said in [
        r#""error":{"code":-32602,"message":"Tool echo not found"}"#,
        r#""result":{"isError":true,"content":[{"type":"text","text":"Unknown tool: echo"}]}"#,
    ] {
        for status in ["200 OK", "400 Bad Request", "404 Not Found"] {
            let mut bench = Bench::new();
            bench.client(&call(ADA, "{}", ECHO));
            let answer = json(&format!(r#"{{"jsonrpc":"2.0","id":1,{said}}}"#));
            let absent = bench.server(&answer.replace("200 OK", status)).client;
            let length = |text: &str| {
                text.replace("Content-Length: 130", "")
                    .replace("Content-Length: 135", "")
            };
            assert_eq!(
                length(&absent),
                length(&denied.client.replace("run_shell", "echo")),
                "{status}"
            );
        }
    }
}

/// Nobody is asked about anything.
const FREE: &str = "@id(\"free\") permit(principal, action, resource);";

#[test]
fn the_experiment_of_tasks_is_told_to_neither_side_and_no_call_is_one_where_nothing_waits() {
    let mut bench = Bench::under(FREE);
    let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"tasks":{"list":{}},"roots":{}},"clientInfo":{"name":"c","version":"1"}}}"#;
    let sent = bench.client(&post(ADA, "", initialize)).server;
    assert!(sent.contains(r#""capabilities":{"roots":{}}"#), "{sent}");
    let shown = bench
        .server(&result(
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{},"tasks":{"cancel":{}}}}"#,
        ))
        .client;
    assert!(shown.contains(r#""capabilities":{"tools":{}}"#), "{shown}");
    let augmented = super::CALL.replace(r#""arguments""#, r#""task":{"ttl":1},"arguments""#);
    let reply = Bench::under(FREE).client(&post(
        ADA,
        "MCP-Protocol-Version: 2025-11-25\r\n",
        &augmented,
    ));
    assert!(
        reply.client.starts_with("HTTP/1.1 200")
            && reply.client.contains("-32601")
            && reply.server.is_empty(),
        "{}",
        reply.client
    );
}

#[test]
fn a_client_that_closes_the_stream_of_a_held_call_withdraws_it() {
    let mut bench = Bench::new();
    let params = r#""name":"refund_order","arguments":{"order":7,"cents":100}"#;
    let head = fields("tools/call", "refund_order");
    let asked = bench
        .client(&post(ADA, &head, &body("tools/call", params)))
        .asked()
        .expect("people are asked");
    let reply = bench.eof(Side::Client);
    assert!(
        matches!(reply.effects.as_slice(), [Effect::WithdrawApproval(id), Effect::Finished] if *id == asked.id),
        "{:?}",
        reply.effects
    );
    assert_eq!(bench.last().outcome, "withdrawn");
    let reply = bench.event(agreed(asked.id));
    assert!(reply.server.is_empty() && reply.effects.is_empty());
}
