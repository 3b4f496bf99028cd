//! A lane plays rounds one after the other, in databases of its own, with roles of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::case::Shows;
use super::play::{Order, Outcome};
use super::{PLAYER, Round, wire};
use crate::stage::{Caller, Stage, until};

/// What the databases are made of.
const SCHEMA: &str = include_str!("../../../evasion/schema.sql");

/// How much longer the slower twin of a case must take to tell something: the cases sleep 1,500 ms.
const TELLING_MS: u64 = 1_200;

/// How often a difference in time is looked at again, since a busy machine sleeps too.
const LOOKS: usize = 4;

/// How long the server may take to read who is let in.
const RELOAD_MAX: Duration = Duration::from_secs(20);

/// The superuser by which lanes make their databases.
const MAKER: &str = "evasion_maker";

/// Both sides of one round.
#[derive(Clone, Debug)]
pub(super) struct Played {
    /// Direct, it leaked.
    pub leaks_direct: bool,
    /// What was said direct.
    pub direct: String,
    /// Guarded, a session began.
    pub opened: bool,
    /// What was said guarded.
    pub guarded: String,
    /// What leaked, guarded.
    pub leak: Option<String>,
}

/// Makes the roles, lets them in without passwords, and gives their credentials to Weir.
pub(super) fn prepare(stage: &Stage, lanes: usize) -> Result<()> {
    let admin = stage.control.admin();
    let sql = |text: &str| stage.postgres.sql("postgres", text);
    sql(&format!("CREATE ROLE {MAKER} LOGIN SUPERUSER"))?;
    for lane in 0..lanes {
        sql(&format!("CREATE ROLE {} LOGIN", owner(lane)))?;
        sql(&format!(
            "CREATE ROLE {} LOGIN SUPERUSER REPLICATION",
            root(lane)
        ))?;
        for role in [owner(lane), root(lane)] {
            admin.run_with(
                &["connection", "credential", "demo-pg", "--role", &role],
                "none is asked for",
            )?;
        }
    }
    let roles = (0..lanes).flat_map(|lane| [owner(lane), root(lane)]);
    stage
        .postgres
        .trust(&roles.chain([MAKER.to_owned()]).collect::<Vec<_>>())?;
    until("the server lets the suite's roles in", RELOAD_MAX, || {
        Ok(wire::ask(address(stage), MAKER, "postgres", "SELECT 1").ok())
    })?;
    for lane in 0..lanes {
        let template = format!("evasion_{lane}");
        let maker = |database: &str, text: &str| wire::ask(address(stage), MAKER, database, text);
        let create = format!("CREATE DATABASE {template} OWNER {}", owner(lane));
        maker("postgres", &create)?;
        let words = words(stage, lane, &template);
        let schema = words
            .iter()
            .fold(SCHEMA.to_owned(), |text, (word, meaning)| {
                text.replace(&format!("@{word}@"), meaning)
            });
        maker(&template, &schema)?;
    }
    Ok(())
}

fn owner(lane: usize) -> String {
    format!("evasion_owner_{lane}")
}

fn root(lane: usize) -> String {
    format!("evasion_root_{lane}")
}

fn address(stage: &Stage) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, stage.postgres.port))
}

fn words(stage: &Stage, lane: usize, database: &str) -> Vec<(String, String)> {
    let port = stage.postgres.port.to_string();
    [
        ("owner", owner(lane)),
        ("root", root(lane)),
        ("database", database.to_owned()),
        ("port", port),
    ]
    .map(|(word, meaning)| (word.to_owned(), meaning))
    .into()
}

/// A player that runs beside us.
struct Player {
    child: Child,
    orders: ChildStdin,
    outcomes: BufReader<ChildStdout>,
}

impl Player {
    fn start(stage: &Stage, caller: &Caller) -> Result<Self> {
        let program = stage.site.programs().join(PLAYER).display().to_string();
        let mut child = caller
            .command(&program)
            .args(["evade", &address(stage).to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start a player")?;
        Ok(Self {
            orders: child.stdin.take().context("no input")?,
            outcomes: BufReader::new(child.stdout.take().context("no output")?),
            child,
        })
    }

    fn play(&mut self, order: &Order) -> Result<Outcome> {
        writeln!(self.orders, "{}", serde_json::to_string(order)?)
            .context("the player has ended")?;
        let mut line = String::new();
        self.outcomes
            .read_line(&mut line)
            .context("the player has ended")?;
        serde_json::from_str(&line).with_context(|| format!("the player said {line:?}"))
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One way to the server: a player, and the database that it has at the moment.
struct Way {
    letter: char,
    player: Player,
    database: Option<String>,
    made: usize,
}

/// A lane.
pub(super) struct Lane<'s> {
    stage: &'s Stage,
    number: usize,
    direct: Way,
    guarded: Way,
}

impl<'s> Lane<'s> {
    /// Starts its players.
    pub(super) fn open(stage: &'s Stage, number: usize) -> Result<Self> {
        let way = |letter, caller: &Caller| {
            Ok::<_, anyhow::Error>(Way {
                letter,
                player: Player::start(stage, caller)?,
                database: None,
                made: 0,
            })
        };
        let alice = &stage.people.alice;
        Ok(Self {
            stage,
            number,
            direct: way('d', &alice.unguarded)?,
            guarded: way('g', &alice.guarded)?,
        })
    }

    /// Plays a round on both ways.
    pub(super) fn play(&mut self, round: &Round) -> Result<Played> {
        let (mut direct, mut said_direct) = self.both(round, false)?;
        if direct.is_none() {
            // Something that no command tag tells may have been left behind by the round before.
            self.discard(false)?;
            (direct, said_direct) = self.both(round, false)?;
        }
        let (mut leak, said) = self.both(round, true)?;
        for _ in 1..LOOKS {
            if round.shows == Shows::Time && leak.is_some() {
                leak = self.both(round, true)?.0;
            }
        }
        Ok(Played {
            leaks_direct: direct.is_some(),
            direct: brief(&said_direct),
            opened: said.opened,
            guarded: brief(&said),
            leak,
        })
    }

    /// Plays a round on one way, with its twin where it has one: what leaked, and what was said.
    fn both(&mut self, round: &Round, guarded: bool) -> Result<(Option<String>, Outcome)> {
        let first = self.once(round, guarded, false)?;
        let leak = match round.shows {
            Shows::Value => (!first.found.is_empty()).then(|| first.found.join(", ")),
            Shows::Difference => {
                let second = self.once(round, guarded, true)?;
                let differs = first.digest != second.digest;
                differs
                    .then(|| format!("twins are told apart: {:?}, {:?}", first.said, second.said))
            }
            Shows::Time => {
                let second = self.once(round, guarded, true)?;
                let slower = first.millis.saturating_sub(second.millis);
                (slower > TELLING_MS).then(|| format!("{} ms, {} ms", first.millis, second.millis))
            }
        };
        Ok((leak, first))
    }

    fn once(&mut self, round: &Round, guarded: bool, second: bool) -> Result<Outcome> {
        let user = if round.is_root {
            root(self.number)
        } else {
            owner(self.number)
        };
        let database = self.database(guarded)?;
        let words = words(self.stage, self.number, &database);
        let order = Order {
            case: round.case.clone(),
            user,
            database,
            extended: round.extended,
            second,
            words,
        };
        let way = if guarded {
            &mut self.guarded
        } else {
            &mut self.direct
        };
        let outcome = way.player.play(&order)?;
        if outcome.dirty || outcome.trouble.is_some() {
            self.discard(guarded)?;
        }
        Ok(outcome)
    }

    /// The database at hand, or a new one. Never one of a name that was used before: who knew
    /// that would know it wrong.
    fn database(&mut self, guarded: bool) -> Result<String> {
        let (stage, number) = (self.stage, self.number);
        let way = if guarded {
            &mut self.guarded
        } else {
            &mut self.direct
        };
        if let Some(name) = &way.database {
            return Ok(name.clone());
        }
        way.made += 1;
        let name = format!("evasion_{number}_{}{}", way.letter, way.made);
        let text = format!(
            "CREATE DATABASE {name} OWNER {} TEMPLATE evasion_{number}",
            owner(number)
        );
        wire::ask(address(stage), MAKER, "postgres", &text)?;
        way.database = Some(name.clone());
        Ok(name)
    }

    fn discard(&mut self, guarded: bool) -> Result<()> {
        let way = if guarded {
            &mut self.guarded
        } else {
            &mut self.direct
        };
        let Some(name) = way.database.take() else {
            return Ok(());
        };
        let text = format!("DROP DATABASE {name} WITH (FORCE)");
        let dropped = wire::ask(address(self.stage), MAKER, "postgres", &text);
        let _ = std::fs::remove_file(format!("/tmp/{name}.csv"));
        // Left behind where a slot or a prepared transaction still holds it; the cluster goes as a whole.
        let _ = dropped;
        Ok(())
    }
}

fn brief(outcome: &Outcome) -> String {
    let trouble = outcome.trouble.as_deref().unwrap_or_default();
    format!("{}{trouble}", outcome.said)
}
