//! A server that is its own authorization server, at its own address: the official SDK's client
//! finds it, registers, sends its person there, and gets a token, all through Weir.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::kit::Kit;
use super::servers::Server;
use super::setup::Setup;
use crate::checks::Checks;
use crate::stage::{Caller, Said, Stage, put_in_force};

/// What the server adds to its metadata and its tokens, and no client uses.
const ASIDE: &str = "x_operator";

/// In what the tool says, and what is shown instead.
const SECRET: [&str; 2] = ["with 123-45-6789", "with *******6789"];

/// The steps of a client that has no token yet, and what each shows.
const STEPS: [(&str, &str); 6] = [
    (
        "heard /.well-known/oauth-protected-resource/mcp",
        "200 {\"resource\"",
    ),
    (
        "heard /.well-known/oauth-authorization-server",
        "\"issuer\":\"http://127.0.0.1:",
    ),
    ("heard /register", "201 {\"client_id\""),
    ("challenge", "S256 http://127.0.0.1:"),
    ("page", "302 http://127.0.0.1:1/callback of-this-client"),
    ("heard /token", "200 {\"access_token\""),
];

/// Plays it.
pub(super) fn play(stage: &Stage, kit: &Kit, _: &Setup, checks: &mut Checks) -> Result<()> {
    let server = Server::node(stage, kit, "suite-authority", "authority.mjs")?;
    let resource = server.url("/mcp");
    let admin = stage.control.admin();
    let theirs = ["--authorization", "server", "--resource", &resource];
    put_in_force(stage.site, &admin, || server.register_with(stage, &theirs))?;
    let asking = Asking {
        kit,
        server: &server,
        url: &resource,
    };
    undirected(stage, &asking, checks)?;
    let opaque = [&theirs[..], &["--opaque-tokens"]].concat();
    put_in_force(stage.site, &admin, || server.register_with(stage, &opaque))?;
    by_itself(stage, &asking, checks)?;
    of_weir(stage, &asking, checks)?;
    put_in_force(stage.site, &admin, || {
        admin.run(&["connection", "remove", server.name])
    })
    .map(drop)
}

struct Asking<'a> {
    kit: &'a Kit,
    server: &'a Server,
    url: &'a str,
}

impl Asking<'_> {
    /// What a client told, and what reached the server meanwhile.
    fn run(&self, caller: &Caller) -> Result<(Said, Vec<Value>)> {
        let before = self.server.asked()?.len();
        let program = self.kit.at("node/authorized.mjs");
        let said = self
            .kit
            .run(caller, &[&self.kit.node(), &program, self.url])?;
        ensure!(said.ok && said.out.contains("done\t"), "{}", said.all());
        Ok((said, self.server.asked_since(before)?))
    }
}

fn lines<'a>(said: &'a Said, step: &str) -> Vec<&'a str> {
    let lines = said.out.lines().filter_map(|line| line.split_once('\t'));
    lines
        .filter(|(name, _)| *name == step)
        .map(|(_, seen)| seen)
        .collect()
}

fn call(said: &Said) -> &str {
    lines(said, "call").first().copied().unwrap_or("nothing")
}

/// Whether a request with this token reached the server.
fn has_shown(reached: &[Value], token: &str) -> bool {
    let shown = reached.iter().filter_map(|it| it["authorization"].as_str());
    shown.into_iter().any(|shown| shown.contains(token))
}

/// A token that does not say whom it is for goes nowhere, unless the connection lets it.
fn undirected(stage: &Stage, asking: &Asking<'_>, checks: &mut Checks) -> Result<()> {
    let (said, reached) = asking.run(&stage.people.alice.guarded)?;
    let has_token = lines(&said, "heard /token")
        .first()
        .is_some_and(|it| it.contains("access_token"));
    checks.see(
        "a token that does not say whom it is for does not go on",
        has_token && call(&said).starts_with("RAISED") && !has_shown(&reached, "Bearer"),
        call(&said),
    );
    Ok(())
}

fn by_itself(stage: &Stage, asking: &Asking<'_>, checks: &mut Checks) -> Result<()> {
    let alice = &stage.people.alice;
    let (direct, _) = asking.run(&alice.unguarded)?;
    checks.see(
        "control: direct, the client gets a token by itself, and sees more than it uses",
        call(&direct).contains(SECRET[0]) && direct.out.matches(ASIDE).count() >= 2,
        call(&direct),
    );
    let (through, reached) = asking.run(&alice.guarded)?;
    for (step, words) in STEPS {
        let seen = lines(&through, step);
        checks.see(
            &format!("through Weir: {step}"),
            !seen.is_empty() && seen.iter().all(|it| it.contains(words)),
            seen.first().copied().unwrap_or("nothing"),
        );
    }
    checks.see(
        "metadata, registration and token have what clients use, and nothing else",
        !through.out.contains(ASIDE) && !through.out.contains("123-45-6789"),
        &lines(&through, "heard /token").concat(),
    );
    let own: Value = serde_json::from_str(call(&through)).unwrap_or_default();
    let client = own["of"].as_str().unwrap_or("nobody");
    checks.see(
        "the call is made with the client's own token, and masked",
        call(&through).contains(SECRET[1]) && call(&through).contains(&format!("client {client} ")),
        call(&through),
    );
    let count = |path: &str| reached.iter().filter(|it| it["path"] == path).count();
    checks.see(
        "by the server's account: registered, agreed to and given a token once each",
        ["/register", "/authorize", "/token"]
            .iter()
            .all(|path| count(path) == 1),
        &format!("{} requests", reached.len()),
    );
    Ok(())
}

/// What Weir would take elsewhere is nobody else's to see.
fn of_weir(stage: &Stage, asking: &Asking<'_>, checks: &mut Checks) -> Result<()> {
    let token = stage.control.admin().token("alice", "connect")?;
    let alice = &stage.people.alice;
    let shows = |caller: &Caller| asking.run(&caller.clone().with("MCP_TOKEN", &token));
    let (_, direct) = shows(&alice.unguarded)?;
    let (said, reached) = shows(&alice.guarded)?;
    checks.see(
        "a token of Weir's is never passed on",
        has_shown(&direct, &token)
            && reached.is_empty()
            && call(&said).starts_with("RAISED")
            && call(&said).contains("401"),
        call(&said),
    );
    Ok(())
}
