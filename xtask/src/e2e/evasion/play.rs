//! `cargo xtask evade`: plays cases as they are named on its standard input, one a line, and says
//! what of the secrets came back. It runs inside the guarded cgroup, and outside of it as control.

use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::case::{self, Case, Voice, twin};
use super::moves::MOVES;
use super::needle::{self, Needle};
use super::wire::{Heard, Log, Wire, values};

/// Command tags of what leaves a database as it was.
const LEAVES_NOTHING: &[&str] = &[
    "SELECT",
    "SHOW",
    "SET",
    "RESET",
    "BEGIN",
    "ROLLBACK",
    "COMMIT",
    "SAVEPOINT",
    "RELEASE",
    "FETCH",
    "MOVE",
    "CLOSE CURSOR",
    "DECLARE CURSOR",
    "PREPARE",
    "DEALLOCATE",
    "LISTEN",
    "EXPLAIN",
    "DISCARD",
];

/// Who is asked.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The server, as a client would name it.
    address: SocketAddr,
}

/// One case to be played.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// Its name.
    pub case: String,
    /// As this role.
    pub user: String,
    /// In this database.
    pub database: String,
    /// By the extended protocol.
    pub extended: bool,
    /// As the second of the twins.
    pub second: bool,
    /// Words between `@` and what they stand for.
    pub words: Vec<(String, String)>,
}

/// What came of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// A session began.
    pub opened: bool,
    /// What was found, and in which type of message.
    pub found: Vec<String>,
    /// The database may have changed.
    pub dirty: bool,
    /// Of all that was said, without what differs from run to run.
    pub digest: String,
    /// How long it took.
    pub millis: u64,
    /// The last error's code and message.
    pub said: String,
    /// The agent itself failed.
    pub trouble: Option<String>,
}

/// Where a conversation takes place.
pub(super) struct Room<'a> {
    address: SocketAddr,
    user: &'a str,
    /// The database.
    pub database: &'a str,
    wires: Vec<Wire>,
    log: Log,
}

impl Room<'_> {
    /// Begins one more session.
    pub(super) fn open(&mut self) -> Result<&mut Wire> {
        self.open_with(&[])
    }

    /// The same with more start-up parameters.
    pub(super) fn open_with(&mut self, more: &[(&str, &str)]) -> Result<&mut Wire> {
        let own = [("user", self.user), ("database", self.database)];
        let parameters = [&own[..], more].concat();
        self.wires
            .push(Wire::open(self.address, &parameters, &self.log)?);
        self.wires.last_mut().context("the session just begun")
    }

    /// A session by its number.
    pub(super) fn wire(&mut self, at: usize) -> Result<&mut Wire> {
        self.wires.get_mut(at).context("no such session")
    }

    /// The first value of the last row.
    pub(super) fn last_row(&self) -> Option<Vec<u8>> {
        let log = self.log.borrow();
        let row = log.frames.iter().rev().find(|(tag, _)| *tag == b'D');
        row.and_then(|(_, body)| values(body).into_iter().next())
    }
}

/// Plays until its input ends.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cases = case::all()?;
    let needles = needle::all();
    for line in std::io::stdin().lock().lines() {
        let order: Order = serde_json::from_str(&line.context("read an order")?)?;
        let outcome = play(arguments.address, &cases, &needles, &order);
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&outcome)?).context("tell an outcome")?;
        out.flush().context("tell an outcome")?;
    }
    Ok(())
}

fn play(address: SocketAddr, cases: &[Case], needles: &[Needle], order: &Order) -> Outcome {
    let log = Log::default();
    let begun = Instant::now();
    let mut room = Room {
        address,
        user: &order.user,
        database: &order.database,
        wires: Vec::new(),
        log: log.clone(),
    };
    let case = cases.iter().find(|case| case.name == order.case);
    let played = match (case, MOVES.iter().find(|one| one.name == order.case)) {
        (Some(case), _) => speak(&mut room, case, order),
        (None, Some(one)) => (one.play)(&mut room),
        (None, None) => Err(anyhow::anyhow!("no such case")),
    };
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    drop(room);
    let heard = log.borrow();
    let mut all = needles.to_vec();
    for bytes in case.iter().flat_map(|case| &case.expected) {
        let name = String::from_utf8_lossy(bytes).into_owned();
        all.push(Needle {
            name,
            bytes: bytes.clone(),
        });
    }
    Outcome {
        opened: heard.opened,
        found: found(&heard, &all),
        dirty: is_dirty(&heard),
        digest: digest(&heard),
        millis,
        said: last_error(&heard),
        trouble: played.err().map(|error| format!("{error:#}")),
    }
}

/// Says a case's texts, one after the other.
fn speak(room: &mut Room<'_>, case: &Case, order: &Order) -> Result<()> {
    let beside = case.steps.iter().any(|step| step.voice == Voice::Beside);
    room.open()?;
    if beside {
        room.open()?;
    }
    for step in &case.steps {
        let mut text = step.text.clone();
        for (word, meaning) in &order.words {
            text = text.replace(&format!("@{word}@"), meaning);
        }
        let text = twin(&text, order.second);
        let wire = room.wire(usize::from(step.voice == Voice::Beside))?;
        if wire.is_closed() {
            return Ok(());
        }
        wire.data = case.data.clone().into_bytes();
        if order.extended {
            wire.extended(&text)?;
        } else {
            wire.query(&text)?;
        }
    }
    if beside
        || case
            .steps
            .iter()
            .any(|step| step.text.contains("NOTIFY") || step.text.contains("pg_notify"))
    {
        // What was sent to others arrives when it likes.
        room.wire(0)?.listen(Duration::from_millis(100))?;
    }
    Ok(())
}

/// Every needle in every frame as it came; and values that came apart, put together again.
fn found(heard: &Heard, needles: &[Needle]) -> Vec<String> {
    let mut found = Vec::new();
    for (tag, body) in &heard.frames {
        // What the server says of itself, and the client's own key, hold random bytes.
        if *tag == b'K' || *tag == b'R' {
            continue;
        }
        let hits = needle::found(needles, body);
        found.extend(hits.map(|needle| format!("{}: {}", char::from(*tag), needle.name)));
    }
    let hits = needle::found(needles, &heard.rest);
    found.extend(hits.map(|needle| format!("rest: {}", needle.name)));
    let rows = heard.frames.iter().filter(|(tag, _)| *tag == b'D');
    let together: Vec<u8> = rows.flat_map(|(_, body)| values(body).concat()).collect();
    let hits = needle::found(needles, &together);
    found.extend(hits.map(|needle| format!("rows together: {}", needle.name)));
    let digits: Vec<u8> = together.into_iter().filter(u8::is_ascii_digit).collect();
    let apart = needle::DIGITS
        .iter()
        .filter(|wanted| needle::contains(&digits, wanted));
    found.extend(
        apart.map(|wanted| format!("digits together: {}", String::from_utf8_lossy(wanted))),
    );
    found.sort();
    found.dedup();
    found
}

fn is_dirty(heard: &Heard) -> bool {
    let tags = heard.frames.iter().filter(|(tag, _)| *tag == b'C');
    tags.map(|(_, body)| String::from_utf8_lossy(body))
        .any(|said| !LEAVES_NOTHING.iter().any(|known| said.starts_with(known)))
}

/// The fields of an error that tell twins apart: its code and its message.
fn error_fields(body: &[u8]) -> (String, String) {
    let fields = body.split(|byte| *byte == 0);
    let field = |wanted: u8| {
        let mut fields = fields.clone();
        let found = fields.find(|field| field.first() == Some(&wanted));
        String::from_utf8_lossy(found.and_then(|field| field.get(1..)).unwrap_or_default())
            .into_owned()
    };
    (field(b'C'), field(b'M'))
}

fn last_error(heard: &Heard) -> String {
    let last = heard.frames.iter().rev().find(|(tag, _)| *tag == b'E');
    last.map(|(_, body)| {
        let (code, message) = error_fields(body);
        format!("{code} {message}")
    })
    .unwrap_or_default()
}

/// What a client could tell twins apart by.
fn digest(heard: &Heard) -> String {
    let mut hash = Sha256::new();
    for (tag, body) in &heard.frames {
        hash.update([*tag]);
        match tag {
            b'K' | b'R' => {}
            b'E' | b'N' => {
                let (code, message) = error_fields(body);
                hash.update(code);
                hash.update(message);
            }
            // Table numbers differ from database to database, names do not.
            b'T' => hash.update(body.get(..2).unwrap_or_default()),
            _ => hash.update(body),
        }
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
