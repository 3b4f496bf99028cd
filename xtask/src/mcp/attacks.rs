//! Attacks from both sides. Each has its control: direct, it succeeds at a server that is naive
//! enough. Through Weir it is refused, and by the server's own account nothing of it was sent on.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use super::kit::Kit;
use super::servers::Server;
use super::setup::Setup;
use crate::checks::Checks;
use crate::stage::{Caller, Stage};

/// The one call among the attacks that may go on.
const GOOD: &str = "a good call";

/// Fewer cases than this were not all.
const CASES_MIN: usize = 37;

/// An answer of the naive server: its tool, what its direct answer holds, what must not come
/// through, and what comes instead. An empty last one: the answer is refused as a whole.
struct Answer {
    tool: &'static str,
    direct: &'static str,
    hidden: &'static str,
    shown: &'static str,
}

const ANSWERS: &[Answer] = &[
    answer("unasked", "to nothing", "to nothing", "asked"),
    answer("second", "a second response", "a second response", "first"),
    answer("escaped", "\\u0031\\u0032\\u0033", "\\u0031\\u0032", MASKED),
    answer("lines", SSN, SSN, MASKED),
    answer("cut", "5-6789", "-6789", MASKED),
    answer("twice", SSN, SSN, ""),
    answer("both", "two framings", "two framings", ""),
];

const SSN: &str = "123-45-6789";

const MASKED: &str = "*******6789";

const fn answer(
    tool: &'static str,
    direct: &'static str,
    hidden: &'static str,
    shown: &'static str,
) -> Answer {
    Answer {
        tool,
        direct,
        hidden,
        shown,
    }
}

/// Plays them.
pub(super) fn play(stage: &Stage, kit: &Kit, setup: &Setup, checks: &mut Checks) -> Result<()> {
    let thrower = Thrower {
        kit,
        server: &setup.naive,
    };
    requests(stage, &thrower, checks)?;
    answers(stage, &thrower, checks)?;
    sessions(stage, &thrower, checks)
}

/// Who throws, and at whom.
struct Thrower<'a> {
    kit: &'a Kit,
    server: &'a Server,
}

impl Thrower<'_> {
    fn throw(&self, caller: &Caller, words: &[&str]) -> Result<String> {
        let caller = self.kit.python(caller);
        let (entry, port) = (
            self.kit.at("python/attacks/throw.py"),
            self.server.port.to_string(),
        );
        let words = [&["/usr/bin/python3", &entry, &port], words].concat();
        let said = self.kit.run(&caller, &words)?;
        anyhow::ensure!(said.ok, "{}", said.all());
        Ok(said.out)
    }

    /// What is thrown, line by line, and what the server wrote down meanwhile.
    fn watch(&self, caller: &Caller, words: &[&str]) -> Result<(String, Seen)> {
        let before = self.server.asked()?.len();
        let said = self.throw(caller, words)?;
        Ok((said, Seen(self.server.asked()?.split_off(before))))
    }
}

/// What the server wrote down.
struct Seen(Vec<Value>);

impl Seen {
    /// Whether it ran something for this case.
    fn ran(&self, case: &str) -> bool {
        self.0
            .iter()
            .any(|note| note["ran"].is_string() && note["case"] == case)
    }

    /// All bytes that reached it, but for those of the good call.
    fn stray(&self) -> Vec<&str> {
        self.0
            .iter()
            .filter_map(|note| note["bytes"].as_str())
            .filter(|bytes| !bytes.contains(GOOD))
            .collect()
    }
}

fn lines(said: &str) -> BTreeMap<&str, &str> {
    said.lines()
        .filter_map(|line| line.split_once('\t'))
        .collect()
}

fn requests(stage: &Stage, thrower: &Thrower<'_>, checks: &mut Checks) -> Result<()> {
    let alice = &stage.people.alice;
    let (direct, ran) = thrower.watch(&alice.unguarded, &["requests"])?;
    let (through, reached) = thrower.watch(&alice.guarded, &["requests"])?;
    let (direct, through) = (lines(&direct), lines(&through));
    checks.see(
        "every case was thrown at both",
        direct.len() >= CASES_MIN && direct.keys().eq(through.keys()),
        &format!("{} cases", direct.len()),
    );
    for case in direct.keys() {
        let told = through.get(case).unwrap_or(&"nothing");
        let succeeds = ran.ran(case);
        let is_refused = !reached.ran(case) && !told.contains("and ran");
        // The first response to two requests is that to the good one.
        checks.see(
            case,
            succeeds && is_refused,
            &format!("direct it runs: {succeeds}; through Weir: {told}"),
        );
    }
    let stray = reached.stray();
    checks.see(
        "by the server's account, no byte of them was sent on",
        stray.is_empty() && reached.ran(GOOD),
        &format!("{} others\n{}", stray.len(), stray.join("\n")),
    );
    Ok(())
}

fn answers(stage: &Stage, thrower: &Thrower<'_>, checks: &mut Checks) -> Result<()> {
    let alice = &stage.people.alice;
    let direct = thrower.throw(&alice.unguarded, &["answers"])?;
    let through = thrower.throw(&alice.guarded, &["answers"])?;
    let (direct, through) = (lines(&direct), lines(&through));
    let text = |all: &BTreeMap<&str, &str>, tool| -> Result<String> {
        let line = all.get(tool).context("no such answer")?;
        serde_json::from_str(line).context("a line that is no JSON")
    };
    for Answer {
        tool,
        direct: clear,
        hidden,
        shown,
    } in ANSWERS
    {
        let (direct, through) = (text(&direct, tool)?, text(&through, tool)?);
        let is_refused = through.is_empty() || through.starts_with("HTTP/1.1 5");
        let is_right = if shown.is_empty() {
            is_refused
        } else {
            through.contains(shown)
        };
        checks.see(
            &format!("a server's answer: {tool}"),
            direct.contains(clear) && !through.contains(hidden) && is_right,
            &format!("{:?}", through.lines().last().unwrap_or_default()),
        );
    }
    Ok(())
}

/// What belongs to one principal is nothing to another.
fn sessions(stage: &Stage, thrower: &Thrower<'_>, checks: &mut Checks) -> Result<()> {
    let (alice, bo) = (&stage.people.alice.guarded, &stage.people.bo.guarded);
    let direct = &stage.people.bo.unguarded;
    let session = thrower.throw(alice, &["session"])?;
    let session = session.trim();
    let (own, _) = thrower.watch(alice, &["call", session, "safe", GOOD])?;
    let words = ["call", session, "safe", "another's session"];
    let (other, reached) = thrower.watch(bo, &words)?;
    let (_, ran) = thrower.watch(direct, &["call", "everybody", "safe", "another's session"])?;
    checks.see(
        "another's session",
        ran.ran("another's session")
            && own.contains("200")
            && other.contains("404")
            && reached.stray().is_empty(),
        &format!("its holder: {}, another: {}", own.trim(), other.trim()),
    );
    let stream = thrower.throw(alice, &["resume", session])?;
    let event = stream
        .lines()
        .find_map(|line| line.strip_prefix("id:"))
        .with_context(|| format!("no event has an id: {stream}"))?
        .trim();
    let again = thrower.throw(alice, &["resume", session, event])?;
    let theirs = thrower.throw(bo, &["session"])?;
    let (replayed, reached) = thrower.watch(bo, &["resume", theirs.trim(), event])?;
    let control = thrower.throw(direct, &["resume", "everybody", "7"])?;
    checks.see(
        "an event of another's session",
        control.contains("of another session")
            && again.contains("200")
            && replayed.contains(" 404 ")
            && reached.stray().is_empty(),
        &format!(
            "its holder: {}, another: {}",
            again.lines().next().unwrap_or_default(),
            replayed.lines().next().unwrap_or_default()
        ),
    );
    Ok(())
}
