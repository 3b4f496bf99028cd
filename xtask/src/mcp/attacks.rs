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

/// How the cases begin that are calls which may go on: what is refused beside them is refused for
/// what it is.
const GOOD: &str = "a good call";

/// What a good call must not bring along: it would rather speak another protocol.
const UPGRADE: &str = "h2c";

/// Fewer cases than this were not all.
const CASES_MIN: usize = 81;

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
    // "tax number " and the value, in base64; then the same with the value masked.
    answer(
        "blob",
        "dGF4IG51bWJlciAxMjMtNDUtNjc4OQ==",
        "dGF4IG51bWJlciAxMj",
        "dGF4IG51bWJlciAqKioqKioqNjc4OQ==",
    ),
    answer("twice", SSN, SSN, ""),
    answer("both", "two framings", "two framings", ""),
    answer("redirect", SSN, SSN, ""),
    answer("fields", SSN, SSN, "linked"),
    answer("early", SSN, SSN, "after the hints"),
    answer("around", SSN, SSN, "in order"),
    answer("named", "of another type", "of another type", "asked"),
    answer("trailers", SSN, SSN, ""),
    answer("extensions", SSN, SSN, ""),
    answer("zipped", "gzip", "gzip", ""),
    answer("switched", SSN, SSN, ""),
    answer("collides", "of another id", "of another id", "asked"),
    answer("pretends", "pretended", "pretended", "asked"),
    answer(
        "astray",
        "progress of another",
        "progress of another",
        "asked",
    ),
    answer("logs", SSN, SSN, MASKED),
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
    sessions(stage, &thrower, checks)?;
    in_session(stage, &thrower, checks)?;
    sessionless(stage, &thrower, checks)?;
    later(stage, &thrower, checks)
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

    /// Whether these words are among the bytes that reached it.
    fn holds(&self, words: &str) -> bool {
        let bytes = |note: &Value| note["bytes"].as_str().map(str::to_lowercase);
        self.0
            .iter()
            .filter_map(bytes)
            .any(|bytes| bytes.contains(words))
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
        let is_right = if case.starts_with(GOOD) {
            reached.ran(case) && told.contains("and ran")
        } else {
            !reached.ran(case) && !told.contains("and ran")
        };
        // The first response to two requests is that to the good one.
        checks.see(
            case,
            succeeds && is_right,
            &format!("direct it runs: {succeeds}; through Weir: {told}"),
        );
    }
    let stray = reached.stray();
    checks.see(
        "by the server's account, no byte of them was sent on",
        stray.is_empty() && reached.ran(GOOD),
        &format!("{} others\n{}", stray.len(), stray.join("\n")),
    );
    checks.see(
        "a good call goes on without what it would rather be",
        ran.holds(UPGRADE) && !reached.holds(UPGRADE),
        UPGRADE,
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

/// What is said in another's session: of its calls, and of its end.
fn in_session(stage: &Stage, thrower: &Thrower<'_>, checks: &mut Checks) -> Result<()> {
    let (alice, bo) = (&stage.people.alice.guarded, &stage.people.bo.guarded);
    let direct = &stage.people.bo.unguarded;
    let session = thrower.throw(alice, &["session"])?;
    let session = session.trim();
    for (case, words) in [
        (
            "another's call is cancelled",
            ["notify", "notifications/cancelled"],
        ),
        (
            "progress of another's",
            ["notify", "notifications/progress"],
        ),
        ("the end of another's session", ["end", ""]),
    ] {
        let step = |session| -> Vec<&str> {
            let words = [words[0], session, words[1], case];
            words.into_iter().filter(|word| !word.is_empty()).collect()
        };
        let (_, ran) = thrower.watch(direct, &step("everybody"))?;
        let (other, reached) = thrower.watch(bo, &step(session))?;
        let (own, passed) = thrower.watch(alice, &step(session))?;
        checks.see(
            case,
            ran.ran(case)
                && other.contains(" 404 ")
                && reached.0.is_empty()
                && !passed.0.is_empty(),
            &format!("its holder: {}, another: {}", own.trim(), other.trim()),
        );
    }
    Ok(())
}

/// Where there are no sessions, a server takes ids for whoever's they may be.
fn sessionless(stage: &Stage, thrower: &Thrower<'_>, checks: &mut Checks) -> Result<()> {
    let (direct, bo) = (&stage.people.bo.unguarded, &stage.people.bo.guarded);
    for (case, method) in [
        ("anybody's call is cancelled", "notifications/cancelled"),
        ("progress of anybody's", "notifications/progress"),
    ] {
        let words = ["notify", "", method, case];
        let (_, ran) = thrower.watch(direct, &words)?;
        let (told, reached) = thrower.watch(bo, &words)?;
        checks.see(
            case,
            ran.ran(case) && told.contains(" 202 ") && reached.0.is_empty(),
            &format!("through Weir: {}", told.trim()),
        );
    }
    Ok(())
}

/// What a caller may come back with later is nobody else's: a task, and the state of a round.
fn later(stage: &Stage, thrower: &Thrower<'_>, checks: &mut Checks) -> Result<()> {
    let (alice, bo) = (&stage.people.alice.guarded, &stage.people.bo.guarded);
    let direct = &stage.people.bo.unguarded;
    let given = |caller, tool| -> Result<String> {
        Ok(thrower.throw(caller, &["later", tool])?.trim().to_owned())
    };
    let (task, state) = (given(alice, "tasked")?, given(alice, "rounds")?);
    let (plain_task, plain_state) = (given(direct, "tasked")?, given(direct, "rounds")?);
    let get = ["task", &task, "tasks/get", "another's task"];
    let cancel = ["task", &task, "tasks/cancel", "another's task given up"];
    let again = ["again", &state, "another's round"];
    for (words, plain) in [
        (get.as_slice(), &plain_task),
        (cancel.as_slice(), &plain_task),
        (again.as_slice(), &plain_state),
    ] {
        let case = words.last().copied().unwrap_or_default();
        let with = |name| {
            let mut words = words.to_vec();
            words[1] = name;
            words
        };
        let (_, ran) = thrower.watch(direct, &with(plain))?;
        let (other, reached) = thrower.watch(bo, words)?;
        // The server's own name for it is no way around.
        let (plainly, reached_plainly) = thrower.watch(bo, &with(plain))?;
        let (own, passed) = thrower.watch(alice, words)?;
        checks.see(
            case,
            ran.ran(case)
                && passed.ran(case)
                && reached.0.is_empty()
                && reached_plainly.0.is_empty(),
            &format!(
                "its holder: {}, another: {}, by the server's name: {}",
                own.trim(),
                other.trim(),
                plainly.trim()
            ),
        );
    }
    Ok(())
}
