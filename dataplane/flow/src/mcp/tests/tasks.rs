//! Held calls whose clients take tasks.

use weir_audit::Kind;
use weir_facts::{ApprovalId, Side};

use super::bench::{ADA, Bench, CAL, Reply, approved, json, post};
use super::rungs::{member, opened, session};
use crate::io::{Decision, Effect, Event, Piece};

const TASK: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"refund_order","task":{"ttl":60000},"arguments":{"order":7,"cents":100}}}"#;
const SSN: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"_meta":{"a":1},"content":[{"type":"text","text":"SSN 123-45-6789"}]}}"#;

fn ask(method: &str, task: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":9,"method":"{method}","params":{{"taskId":"{task}"}}}}"#)
}

/// A session of 2025-11-25 with a task that waits.
struct Waiting {
    bench: Bench,
    head: String,
    approval: ApprovalId,
    task: String,
}

impl Waiting {
    fn new() -> Self {
        let mut bench = Bench::new();
        let head = session(&mut bench, "{}");
        let asked = bench.client(&post(ADA, &head, TASK)).asked();
        let approval = asked.expect("people are asked").id;
        let reply = bench.event(opened(approval, approval));
        let shown = &reply.client;
        assert!(
            shown.contains(r#""result":{"task":{"taskId":""#)
                && shown.contains(r#""status":"working""#),
            "{shown}"
        );
        assert!(matches!(
            reply.effects.as_slice(),
            [Effect::LeaveApproval(_)]
        ));
        let told = bench.of_kind(Kind::Approval);
        assert!(told.iter().any(|kept| kept.reason == "answered: a task"));
        let task = member(shown, "taskId").to_owned();
        Self {
            bench,
            head,
            approval,
            task,
        }
    }

    /// Another connection of the same host, which asks about the task.
    fn beside(&self, method: &str) -> (Bench, Reply) {
        let mut bench = Bench::beside(&self.bench);
        let reply = bench.client(&post(ADA, &self.head, &ask(method, &self.task)));
        (bench, reply)
    }

    /// Asks with people having agreed, up to the call's release.
    fn run(&self, method: &str) -> (Bench, Reply) {
        let (mut bench, reply) = self.beside(method);
        let request = reply.asked().expect("asked again").id;
        let spent = bench.event(approved(request, self.approval));
        assert!(
            matches!(spent.effects.as_slice(), [Effect::RedeemApproval { id, .. }] if *id == self.approval)
        );
        let reply = bench.event(Event::Redeemed {
            id: self.approval,
            granted: true,
        });
        (bench, reply)
    }
}

#[test]
fn a_task_waits_is_run_once_and_has_the_masked_result() {
    let waiting = Waiting::new();
    let (mut bench, reply) = waiting.beside("tasks/get");
    let request = reply.asked().expect("asked again");
    assert_eq!(request.cancel, None);
    let reply = bench.event(opened(request.id, waiting.approval));
    assert!(
        reply.client.contains(r#""status":"working""#),
        "{}",
        reply.client
    );
    assert!(
        bench.of_kind(Kind::Approval).is_empty(),
        "polls are no news"
    );

    let (mut running, reply) = waiting.run("tasks/get");
    assert!(
        reply.client.contains(r#""status":"working""#),
        "{}",
        reply.client
    );
    assert!(reply.client.contains("onnection: close") && reply.pieces == [Piece::Shutdown]);
    let sent = &reply.server;
    assert!(
        sent.contains("refund_order") && !sent.contains(r#""task""#),
        "{sent}"
    );
    assert_eq!(running.last().verdict, "approved");

    // Nobody else runs it meanwhile, and its client leaving does not end it.
    let (_, reply) = waiting.beside("tasks/get");
    assert!(reply.asked().is_none() && reply.client.contains(r#""status":"working""#));
    let (mut patient, reply) = waiting.beside("tasks/result");
    assert!(reply.asked().is_none() && reply.client.is_empty());
    running.eof(Side::Client);
    let reply = running.server(&json(SSN));
    assert_eq!(reply.client, "");
    assert!(
        reply
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Finished))
    );
    assert_eq!(running.outcomes(), ["result"]);

    let reply = patient.wait(|reply| !reply.client.is_empty());
    let related = format!(
        r#""id":9,"result":{{"_meta":{{"io.modelcontextprotocol/related-task":{{"taskId":"{}"}},"a":1}},"content":"#,
        waiting.task
    );
    assert!(reply.client.contains(&related), "{}", reply.client);
    assert!(reply.client.contains("6789") && !reply.client.contains("123-45"));
    let (_, reply) = waiting.beside("tasks/get");
    assert!(reply.asked().is_none() && reply.client.contains(r#""status":"completed""#));
    let list = r#"{"jsonrpc":"2.0","id":9,"method":"tasks/list"}"#;
    let shown = Bench::beside(&waiting.bench)
        .client(&post(ADA, &waiting.head, list))
        .client;
    assert!(
        shown.contains(&format!(r#"{{"tasks":[{{"taskId":"{}""#, waiting.task)),
        "{shown}"
    );
}

#[test]
fn a_result_is_waited_for_until_people_decide_and_the_server_answers() {
    let waiting = Waiting::new();
    let (mut bench, reply) = waiting.beside("tasks/result");
    let request = reply.asked().expect("asked again").id;
    assert_eq!(bench.event(opened(request, waiting.approval)).client, "");
    bench.event(approved(request, waiting.approval));
    let id = waiting.approval;
    let reply = bench.event(Event::Redeemed { id, granted: true });
    assert!(reply.client.is_empty() && reply.server.contains("refund_order"));
    let shown = bench.server(&json(SSN)).client;
    assert!(shown.contains(r#""id":9,"result""#), "{shown}");
    assert!(
        shown.contains("6789") && !shown.contains("123-45"),
        "{shown}"
    );
    // The connection serves the next request.
    let list = r#"{"jsonrpc":"2.0","id":10,"method":"tasks/list"}"#;
    let shown = bench.client(&post(ADA, &waiting.head, list)).client;
    assert!(
        shown.contains(r#""id":10"#) && shown.contains("completed"),
        "{shown}"
    );
}

#[test]
fn whoever_waits_for_a_result_is_answered_before_clients_give_up() {
    // Nobody decides.
    let waiting = Waiting::new();
    let (mut bench, reply) = waiting.beside("tasks/result");
    let begun = bench.now.mono_ns;
    let request = reply.asked().expect("asked again").id;
    bench.event(opened(request, waiting.approval));
    let reply = bench.wait(|reply| reply.client.contains("Ask again"));
    assert!(bench.now.mono_ns - begun < 50_000_000_000);
    assert!(matches!(reply.effects.as_slice(), [Effect::LeaveApproval(left)] if *left == request));
    // The server does not answer.
    let (mut bench, _) = waiting.run("tasks/result");
    let begun = bench.now.mono_ns;
    let reply = bench.wait(|reply| reply.client.contains("Ask again"));
    assert!(
        bench.now.mono_ns - begun < 50_000_000_000,
        "{}",
        reply.client
    );
    bench.server(&json(SSN));
    let (_, reply) = waiting.beside("tasks/result");
    assert!(reply.client.contains("6789"), "{}", reply.client);
    // The control plane does not.
    let waiting = Waiting::new();
    let (mut bench, _) = waiting.beside("tasks/get");
    bench.now.mono_ns = bench.flow.deadline().expect("it waits");
    assert!(bench.timeout().client.contains(r#""status":"working""#));
    let (_, reply) = waiting.beside("tasks/get");
    assert!(reply.asked().is_some(), "its call was put back");
}

#[test]
fn a_task_is_its_owners_alone() {
    let waiting = Waiting::new();
    let outside = "MCP-Protocol-Version: 2025-11-25\r\n";
    for (token, head) in [(ADA, outside), (CAL, outside), (CAL, waiting.head.as_str())] {
        for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
            let mut bench = Bench::beside(&waiting.bench);
            let reply = bench.client(&post(token, head, &ask(method, &waiting.task)));
            let said = if head == outside {
                "Task not found"
            } else {
                "HTTP/1.1 404"
            };
            assert!(reply.client.contains(said), "{method}: {}", reply.client);
            let is_over = |effect: &Effect| matches!(effect, Effect::Finished);
            assert!(reply.effects.iter().all(is_over), "{:?}", reply.effects);
        }
        let mut bench = Bench::beside(&waiting.bench);
        let list = r#"{"jsonrpc":"2.0","id":9,"method":"tasks/list"}"#;
        let shown = bench.client(&post(token, head, list)).client;
        assert!(!shown.contains("taskId"), "{shown}");
    }
    let mut bench = Bench::beside(&waiting.bench);
    let forged = ask("tasks/get", &format!("A{}", waiting.task));
    let reply = bench.client(&post(ADA, &waiting.head, &forged));
    assert!(reply.client.contains("Task not found"), "{}", reply.client);
}

#[test]
fn a_task_of_a_tool_that_its_owner_may_not_use_any_more_is_not_there() {
    let waiting = Waiting::new();
    for action in ["mcp.call_tool", "mcp.list_tool"] {
        let policy = format!(
            r#"@id("no-refunds") forbid(principal, action == Weir::Action::"{action}", resource == Weir::Tool::"demo-mcp/refund_order");"#
        );
        for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
            let mut bench = Bench::beside_with(&waiting.bench, &policy);
            let reply = bench.client(&post(ADA, &waiting.head, &ask(method, &waiting.task)));
            assert!(
                reply.client.contains("Task not found") && reply.asked().is_none(),
                "{method} without {action}: {reply:?}"
            );
        }
        let mut bench = Bench::beside_with(&waiting.bench, &policy);
        let list = r#"{"jsonrpc":"2.0","id":9,"method":"tasks/list"}"#;
        let shown = bench.client(&post(ADA, &waiting.head, list)).client;
        assert!(shown.contains(r#""tasks":[]"#), "{shown}");
    }
    let (_, reply) = waiting.beside("tasks/get");
    assert!(reply.asked().is_some(), "it waits where the tool is there");
}

#[test]
fn a_task_that_is_given_up_never_runs() {
    let waiting = Waiting::new();
    let (mut polling, reply) = waiting.beside("tasks/get");
    let request = reply.asked().expect("asked again").id;
    let (bench, reply) = waiting.beside("tasks/cancel");
    assert!(
        reply.client.contains(r#""status":"cancelled""#),
        "{}",
        reply.client
    );
    assert!(
        matches!(reply.effects.as_slice(), [Effect::WithdrawApproval(id)] if *id == waiting.approval)
    );
    assert_eq!(bench.last().outcome, "withdrawn");
    // People had agreed in that moment.
    let reply = polling.event(approved(request, waiting.approval));
    assert!(
        reply.effects.is_empty() && reply.server.is_empty(),
        "{reply:?}"
    );
    assert!(
        reply.client.contains(r#""status":"cancelled""#),
        "{}",
        reply.client
    );
    let (_, reply) = waiting.beside("tasks/get");
    assert!(reply.asked().is_none());
    let (_, reply) = waiting.beside("tasks/result");
    assert!(reply.client.contains("was cancelled"), "{}", reply.client);
    // And in the moment in which the approval is spent.
    let other = Waiting::new();
    let (mut polling, reply) = other.beside("tasks/get");
    polling.event(approved(
        reply.asked().expect("asked again").id,
        other.approval,
    ));
    other.beside("tasks/cancel");
    let id = other.approval;
    let reply = polling.event(Event::Redeemed { id, granted: true });
    assert!(reply.server.is_empty(), "{}", reply.server);
    assert!(reply.client.contains("cancelled"), "{}", reply.client);
    let (_, reply) = waiting.beside("tasks/cancel");
    assert!(reply.client.contains("terminal"), "{}", reply.client);
}

#[test]
fn a_task_that_people_refuse_has_failed() {
    let decisions = [
        (
            Decision::Denied {
                reason: "too much".into(),
            },
            "too much",
        ),
        (Decision::Expired, "expired"),
    ];
    for (decision, said) in decisions {
        let waiting = Waiting::new();
        let (mut bench, reply) = waiting.beside("tasks/get");
        let request = reply.asked().expect("asked again").id;
        let approval = waiting.approval;
        let reply = bench.event(Event::Approval {
            request,
            approval,
            decision,
        });
        assert!(
            reply
                .client
                .contains(r#""status":"failed","statusMessage":"Approval "#)
                && reply.client.contains(said),
            "{}",
            reply.client
        );
        assert!(reply.server.is_empty());
        let (_, reply) = waiting.beside("tasks/result");
        assert!(
            reply.client.contains(said) && reply.client.contains("isError"),
            "{}",
            reply.client
        );
    }
    // And one whose approval was used for the same call elsewhere.
    let waiting = Waiting::new();
    let (mut bench, reply) = waiting.beside("tasks/get");
    let request = reply.asked().expect("asked again").id;
    let reply = bench.event(opened(request, request));
    assert!(matches!(reply.effects.as_slice(), [Effect::WithdrawApproval(id)] if *id == request));
    assert!(
        reply.client.contains(r#""status":"failed""#),
        "{}",
        reply.client
    );
}

#[test]
fn a_call_that_was_interrupted_is_not_run_again() {
    let waiting = Waiting::new();
    let (mut bench, _) = waiting.run("tasks/result");
    bench.server("nonsense\r\n\r\n");
    let (_, reply) = waiting.beside("tasks/get");
    assert!(reply.asked().is_none() && reply.client.contains(r#""status":"failed""#));
    let (_, reply) = waiting.beside("tasks/result");
    assert!(reply.client.contains("interrupted"), "{}", reply.client);
    // One that leaves before anything was sent has given nothing up.
    let waiting = Waiting::new();
    let (mut bench, reply) = waiting.beside("tasks/result");
    let request = reply.asked().expect("asked again").id;
    bench.event(opened(request, waiting.approval));
    bench.eof(Side::Client);
    let (_, reply) = waiting.beside("tasks/get");
    assert!(reply.asked().is_some());
}

#[test]
fn a_call_is_no_task_where_nothing_waits() {
    let call = super::CALL.replace(r#""params":{"#, r#""params":{"task":{},"#);
    let free = "@id(\"free\") permit(principal, action, resource);";
    let mut bench = Bench::under(free);
    let head = session(&mut bench, "{}");
    let reply = bench.client(&post(ADA, &head, &call));
    assert!(
        reply.client.contains("-32601") && reply.server.is_empty(),
        "{}",
        reply.client
    );
    // Nor is one of a revision that has none.
    let head = head.replace("2025-11-25", "2025-06-18");
    let reply = Bench::new().client(&post(ADA, &head, TASK));
    assert!(
        reply.client.contains("-32601") && reply.asked().is_none(),
        "{}",
        reply.client
    );
}

#[test]
fn the_policy_counts_that_is_in_force_when_a_task_runs() {
    let waiting = Waiting::new();
    let (mut bench, reply) = waiting.beside("tasks/get");
    let request = reply.asked().expect("asked again").id;
    bench.change_policy();
    let reply = bench.event(approved(request, waiting.approval));
    assert!(
        reply.effects.is_empty() && reply.server.is_empty(),
        "{reply:?}"
    );
    assert!(
        reply.client.contains(r#""status":"failed""#),
        "{}",
        reply.client
    );
    // A token that was taken away meanwhile releases nothing.
    let waiting = Waiting::new();
    let (mut bench, reply) = waiting.beside("tasks/result");
    let request = reply.asked().expect("asked again").id;
    bench.revoke_tokens();
    let reply = bench.event(approved(request, waiting.approval));
    assert!(
        reply.effects.is_empty() && reply.server.is_empty(),
        "{reply:?}"
    );
}

const TASKS: &str = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;

fn stateless(method: &str, name: &str, params: &str) -> String {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{TASKS}}}}}}}"#
    );
    let head =
        format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\nMcp-Name: {name}\r\n");
    post(ADA, &head, &body)
}

#[test]
fn the_extension_of_2026_07_28_gets_a_task_with_the_result_in_it() {
    let mut bench = Bench::new();
    let params = r#""name":"refund_order","arguments":{"order":7,"cents":100}"#;
    let call = stateless("tools/call", "refund_order", params);
    let approval = bench.client(&call).asked().expect("asked").id;
    let shown = bench.event(opened(approval, approval)).client;
    assert!(shown.contains(r#""resultType":"task""#), "{shown}");
    let task = member(&shown, "taskId").to_owned();
    let about = |method| stateless(method, &task, &format!(r#""taskId":"{task}""#));

    let mut polling = Bench::beside(&bench);
    let request = polling
        .client(&about("tasks/get"))
        .asked()
        .expect("asked")
        .id;
    polling.event(approved(request, approval));
    let reply = polling.event(Event::Redeemed {
        id: approval,
        granted: true,
    });
    assert!(
        reply.client.contains(r#""status":"working""#),
        "{}",
        reply.client
    );
    assert!(
        !reply.server.contains("io.modelcontextprotocol/tasks"),
        "{}",
        reply.server
    );
    assert!(
        reply
            .server
            .contains("Mcp-Method: tools/call\r\nMcp-Name: refund_order")
    );
    polling.server(&json(
        &SSN.replace(r#""_meta":{"a":1}"#, r#""resultType":"complete""#),
    ));
    let shown = Bench::beside(&bench).client(&about("tasks/get")).client;
    assert!(shown.contains(r#""status":"completed""#), "{shown}");
    assert!(
        shown.contains("6789") && !shown.contains("123-45"),
        "{shown}"
    );
    for method in ["tasks/update", "tasks/cancel"] {
        let shown = Bench::beside(&bench).client(&about(method)).client;
        assert!(
            shown.contains(r#""result":{"resultType":"complete"}"#),
            "{shown}"
        );
    }

    // One that was decided before needs no task.
    let retry = bench.client(&call).asked().expect("asked").id;
    let spent = bench.event(approved(retry, retry));
    assert!(matches!(
        spent.effects.as_slice(),
        [Effect::RedeemApproval { .. }]
    ));
}

#[test]
fn a_host_that_has_no_room_for_another_task_uses_the_next_rung() {
    let mut bench = Bench::new();
    let head = session(&mut bench, "{}");
    let call = |order: usize| TASK.replace(r#""order":7"#, &format!(r#""order":{order}"#));
    let mut last = String::new();
    for order in 0..=64 {
        let id = bench
            .client(&post(ADA, &head, &call(order)))
            .asked()
            .expect("asked")
            .id;
        last = bench.event(opened(id, id)).client;
        if order < 64 {
            assert!(last.contains("taskId"), "{last}");
        }
    }
    assert!(last.contains("Call again without a task"), "{last}");
}
