//! What a server asks its client: not asked where policy does not let it, and answered by whom it
//! has asked only.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::kit::Kit;
use super::servers::Server;
use super::setup::Setup;
use crate::checks::Checks;
use crate::stage::{Caller, Running, Said, Stage, until};

/// A client says at once what it is asked, on a slow machine too.
const ASKED_MAX: Duration = Duration::from_secs(60);

/// Plays them.
pub(super) fn play(stage: &Stage, kit: &Kit, setup: &Setup, checks: &mut Checks) -> Result<()> {
    let asking = Asking {
        kit,
        server: &setup.loose,
        program: kit.at("node/asked.mjs"),
        url: setup.loose.url("/mcp"),
    };
    in_vain(stage, &asking, checks)?;
    unable(stage, &asking, checks)?;
    another(stage, &asking, checks)
}

/// The client, and the server that asks it.
struct Asking<'a> {
    kit: &'a Kit,
    server: &'a Server,
    program: String,
    url: String,
}

impl Asking<'_> {
    fn run(&self, caller: &Caller, words: &[&str]) -> Result<Said> {
        let node = self.kit.node();
        let (what, more) = words.split_first().context("a word")?;
        let head = [node.as_str(), &self.program, what, &self.url];
        let said = self.kit.run(caller, &[&head[..], more].concat())?;
        anyhow::ensure!(said.ok && said.out.contains("done\t"), "{}", said.all());
        Ok(said)
    }

    /// What the server was told, once it was told so much of these.
    fn told(&self, before: usize, what: &str, count: usize) -> Result<Vec<Value>> {
        until(what, ASKED_MAX, || {
            let notes = self.server.asked_since(before)?;
            let found: Vec<_> = notes
                .into_iter()
                .filter(|note| note["tool"] == what)
                .collect();
            Ok((found.len() >= count).then_some(found))
        })
    }
}

fn line<'a>(said: &'a Said, step: &str) -> &'a str {
    let found = said.out.lines().filter_map(|line| line.split_once('\t'));
    let mut found = found
        .filter(|(name, _)| *name == step)
        .map(|(_, seen)| seen);
    found.next().unwrap_or("nothing")
}

/// The kinds, with whether the stream is the server's own.
const QUESTIONS: [(&str, &str, bool); 4] = [
    ("sampling", "sampling", false),
    ("elicitation", "elicitation", false),
    ("roots", "roots", false),
    ("apart", "sampling", true),
];

/// What the server may not ask is answered in the client's place, so that its tool ends.
fn in_vain(stage: &Stage, asking: &Asking<'_>, checks: &mut Checks) -> Result<()> {
    let alice = &stage.people.alice;
    let direct = asking.run(&alice.unguarded, &["able"])?;
    checks.see(
        "control: direct, the server asks for everything, and its client gives it",
        QUESTIONS
            .iter()
            .all(|(step, ..)| line(&direct, step).contains("answered: ")),
        line(&direct, "asked"),
    );
    let before = asking.server.asked()?.len();
    let through = asking.run(&alice.guarded, &["able"])?;
    checks.see(
        "the client is asked what policy lets it be asked, and nothing else",
        line(&through, "asked") == r#"["elicitation"]"#
            && line(&through, "elicitation").contains("blue"),
        &through.all(),
    );
    let can = asking.server.asked_since(before)?;
    let can = can.iter().find(|note| note["posted"] == "initialize");
    let can = can.map(|note| note["can"].to_string()).unwrap_or_default();
    checks.see(
        "the server was told so at the beginning",
        can == r#"["elicitation"]"#,
        &can,
    );
    let told = asking.told(before, "refused", 3)?;
    for (step, kind, apart) in QUESTIONS
        .into_iter()
        .filter(|(step, ..)| *step != "elicitation")
    {
        let wanted = json!({"kind": kind, "apart": apart, "code": -32601});
        let is_told = told.iter().any(|note| note["arguments"] == wanted);
        let shown = line(&through, step);
        checks.see(
            &format!("asked in vain: {step}: the server is told no, and its tool ends"),
            is_told && shown.contains("\"isError\":true"),
            shown,
        );
    }
    let answered = asking.told(before, "answered", 1)?;
    checks.see(
        "by the server's account, one question was answered",
        answered.len() == 1
            && answered
                .iter()
                .all(|note| note["arguments"]["kind"] == "elicitation"),
        &format!("{} answered, {} refused", answered.len(), told.len()),
    );
    Ok(())
}

/// A client that can do nothing of it: what policy permits it refuses itself, the rest Weir does.
fn unable(stage: &Stage, asking: &Asking<'_>, checks: &mut Checks) -> Result<()> {
    let before = asking.server.asked()?.len();
    let through = asking.run(&stage.people.alice.guarded, &["unable"])?;
    let told = asking.told(before, "refused", 4)?;
    let is_error =
        |(step, ..): &(&str, &str, bool)| line(&through, step).contains("\"isError\":true");
    checks.see(
        "a client that can do nothing of it: the server is told no four times, and its tools end",
        told.len() == 4 && QUESTIONS.iter().all(is_error) && line(&through, "asked") == "[]",
        &through.out,
    );
    Ok(())
}

/// A question that somebody was asked, and that waits for the answer.
struct Waiting {
    client: Running,
    session: String,
    id: String,
    folder: std::path::PathBuf,
}

impl Waiting {
    fn begin(asking: &Asking<'_>, caller: &Caller, name: &str) -> Result<Self> {
        let folder = asking.kit.scratch(name)?;
        let shared = folder.display().to_string();
        let mut command = caller.command(&asking.kit.node());
        command.args([&asking.program, "waits", &asking.url, &shared]);
        let mut client = Running::start(&mut command, "")?;
        let asked = until("the question", ASKED_MAX, || {
            anyhow::ensure!(client.is_running(), "the client ended before it was asked");
            Ok(std::fs::read_to_string(folder.join("asked")).ok())
        })?;
        let asked: Value = serde_json::from_str(&asked).context("what was asked")?;
        Ok(Self {
            client,
            session: asked["session"].as_str().context("a session")?.to_owned(),
            id: asked["id"].to_string(),
            folder,
        })
    }

    /// Its own client answers, and tells what the tool made of that.
    fn answer(self) -> Result<Said> {
        std::fs::write(self.folder.join("go"), "").context("go")?;
        self.client.finish()
    }
}

/// Bo answers what alice was asked.
fn another(stage: &Stage, asking: &Asking<'_>, checks: &mut Checks) -> Result<()> {
    let people = &stage.people;
    let direct = Waiting::begin(asking, &people.alice.unguarded, "asked-direct")?;
    let server_id = direct.id.clone();
    let theirs = ["answers", &direct.session, &direct.id];
    asking.run(&people.bo.unguarded, &theirs)?;
    let said = direct.answer()?;
    checks.see(
        "control: direct, another answers what she was asked, and the server takes it",
        line(&said, "elicitation").contains("stolen"),
        &said.all(),
    );
    let guarded = Waiting::begin(asking, &people.alice.guarded, "asked-guarded")?;
    let before = asking.server.asked()?.len();
    for (name, words) in [
        ("in her session", ["answers", &guarded.session, &guarded.id]),
        (
            "in a session of the other's own",
            ["answers", "own", &guarded.id],
        ),
        (
            "by the server's name for it",
            ["answers", "own", &server_id],
        ),
    ] {
        let said = asking.run(&people.bo.guarded, &words)?;
        let reached = asking.server.asked_since(before)?;
        let reached = reached
            .iter()
            .filter(|note| note["posted"] == "answer")
            .count();
        let status = line(&said, "status");
        checks.see(
            &format!("another's answer, {name}: it does not reach the server"),
            reached == 0 && status.starts_with('4'),
            &format!("HTTP {status}"),
        );
    }
    let said = guarded.answer()?;
    let taken = asking.told(before, "answered", 1)?;
    checks.see(
        "hers does, and is the one that counts",
        line(&said, "elicitation").contains("blue")
            && taken
                .iter()
                .all(|note| note["arguments"]["answer"]["content"]["colour"] == "blue"),
        &said.all(),
    );
    Ok(())
}
