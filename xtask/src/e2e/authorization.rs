//! An MCP client that knows nothing but its own secret: it is told where tokens come from, gets one
//! for the server that it calls, and is sent for another where policy asks for a scope.

use anyhow::Result;
use serde_json::Value;

use super::sessions_with;
use crate::checks::Checks;
use crate::install;
use crate::stage::mcp::PLAIN;
use crate::stage::{Caller, Idp, Stage, policies, put_in_force};

/// Who runs a process is not enough here, and one tool asks for a scope.
const POLICIES: &str = r#"
@id("mcp-wants-a-token")
forbid(principal is Weir::Workload, action == Weir::Action::"mcp.connect", resource == Weir::Connection::"demo-mcp")
unless { context has service_account || context has user };

@id("echo-wants-a-scope") @effect("step_up") @scope("refunds:write")
forbid(principal, action == Weir::Action::"mcp.call_tool", resource == Weir::Tool::"demo-mcp/echo")
unless { context.scopes.contains("refunds:write") };
"#;

pub(super) fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    install::ensure(&[install::CURL])?;
    let admin = stage.control.admin();
    let idp = Idp::start(&stage.record, stage.site)?;
    let before = policies::active(&admin)?;
    put_in_force(stage.site, &admin, || {
        let audience = "urn:weir:{connection}";
        admin.run(&["idp", "add", &idp.issuer(), "--audience", audience])
    })?;
    let edit = policies::Edit {
        file: "mcp.cedar",
        from: "",
        to: POLICIES,
    };
    policies::push(stage.site, &admin, "tokens", &[edit])?;
    let resource = format!("http://127.0.0.1:{}/mcp", stage.mcp.port);
    put_in_force(stage.site, &admin, || {
        let ours = [PLAIN.as_slice(), &["--resource", &resource]].concat();
        stage.mcp.register(&admin, &ours)
    })?;
    told(stage, &resource, checks)?;
    called(stage, &idp, checks)?;
    for_another(stage, &idp, checks)?;
    put_in_force(stage.site, &admin, || stage.mcp.register(&admin, &PLAIN))?;
    policies::roll_back(stage.site, &admin, before)?;
    admin.run(&["idp", "remove", &idp.issuer()])?;
    Ok(())
}

/// What a client without a token is told.
fn told(stage: &Stage, resource: &str, checks: &mut Checks) -> Result<()> {
    let alice = &stage.people.alice.guarded;
    let head = [
        "-sS",
        "-i",
        "-X",
        "POST",
        "-H",
        "Content-Type: application/json",
    ];
    let accept = ["-H", "Accept: application/json, text/event-stream", "-d"];
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let words: Vec<_> = head
        .into_iter()
        .chain(accept)
        .chain([ping, resource])
        .collect();
    let said = alice.run("curl", &words, "")?;
    let metadata = resource.replace("/mcp", "/.well-known/oauth-protected-resource/mcp");
    let challenged = said.out.starts_with("HTTP/1.1 401")
        && said
            .out
            .contains(&format!("resource_metadata=\"{metadata}\""))
        && said.out.contains("scope=\"openid\"");
    checks.see(
        "without a token: 401, and where to get one",
        challenged,
        &said.all(),
    );
    let said = alice.run("curl", &["-sS", &metadata], "")?;
    let document: Value = serde_json::from_str(&said.out).unwrap_or_default();
    let fits = document["resource"] == resource
        && document["scopes_supported"] == serde_json::json!(["openid", "refunds:write"]);
    checks.see(
        "the metadata names the server and the scopes",
        fits,
        &said.all(),
    );
    Ok(())
}

fn called(stage: &Stage, idp: &Idp, checks: &mut Checks) -> Result<()> {
    let alice = &stage.people.alice.guarded;
    let lookup = ["call", "lookup_customer", r#"{"id":1}"#];
    let echo = ["call", "echo", r#"{"text":"hello"}"#];
    let ask = |caller: &Caller, words: &[&str]| stage.mcp.ask(caller, words);
    let (answer, said) = ask(alice, &lookup)?;
    checks.see(
        "control: the same client without a secret of its own gets nothing",
        answer["failed"].is_string(),
        &said.all(),
    );
    let robot = idp.robot(alice, "");
    let before = stage.mcp.calls()?.len();
    let (answer, said) = ask(&robot, &lookup)?;
    let masked = answer["structuredContent"]["ssn"] == "*******6789";
    checks.see(
        "the official SDK's client finds the provider, gets a token for the server, and calls: masked",
        masked,
        &said.all(),
    );
    // What a tool asks for is told of one that a list has shown.
    ask(&robot, &["list"])?;
    let (answer, said) = ask(&robot, &echo)?;
    let refused = answer["failed"]
        .as_str()
        .is_some_and(|why| why.contains("403"));
    checks.see(
        "a tool that asks for a scope: 403 insufficient_scope, on which the client asked anew",
        refused && stage.mcp.calls()?.len() == before + 1,
        &said.all(),
    );
    let (answer, said) = ask(&idp.robot(alice, "refunds:write"), &echo)?;
    checks.see(
        "with the scope: it is called",
        answer["structuredContent"]["text"] == "hello",
        &said.all(),
    );
    let sessions = sessions_with(stage, "robot")?;
    checks.see(
        "the session is the provider's subject's",
        sessions.contains("robot"),
        &sessions,
    );
    Ok(())
}

fn for_another(stage: &Stage, idp: &Idp, checks: &mut Checks) -> Result<()> {
    let alice = &stage.people.alice.guarded;
    let lookup = ["call", "lookup_customer", r#"{"id":1}"#];
    let before = stage.mcp.calls()?.len();
    let shown = |audience: &str| -> Result<_> {
        let caller = alice.clone().with("MCP_TOKEN", &idp.token(audience)?);
        stage.mcp.ask(&caller, &lookup)
    };
    let (answer, said) = shown("http://127.0.0.1:1/mcp")?;
    checks.see(
        "a token for another server: refused, and nothing reaches ours",
        answer["failed"].is_string() && stage.mcp.calls()?.len() == before,
        &said.all(),
    );
    idp.rotate()?;
    let resource = format!("http://127.0.0.1:{}/mcp", stage.mcp.port);
    let (answer, said) = shown(&resource)?;
    checks.see(
        "a token of a key that nobody here knew: its keys are fetched while it waits",
        answer["structuredContent"]["ssn"] == "*******6789",
        &said.all(),
    );
    Ok(())
}
