//! The evasion suite: every way that we know to get at a masked value, played by clients of the
//! guarded cgroup and, as control, by the same clients outside of it. Direct, each must leak, so
//! that the suite cannot pass by not running; guarded, none may.
//!
//! The cases are in `xtask/evasion/*.sql` ([`case`]) and in [`moves`]; [`needle`] knows what
//! must not be seen and in which forms; [`mod@play`] is the client; [`lane`] gives each case its
//! database.

mod case;
mod lane;
mod moves;
mod needle;
pub(crate) mod play;
mod wire;

use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::{Context, Result};

use crate::checks::Checks;
use crate::stage::{Stage, place, policies, put_in_force};
use crate::step;
use case::Shows;
use lane::{Lane, Played};

/// Lanes side by side: as many as there are workers in small CI machines.
const LANES: usize = 2;

/// What the player is called on the stage.
const PLAYER: &str = "weir-evade";

/// One case, as one role, by one protocol.
#[derive(Clone, Debug)]
struct Round {
    case: String,
    shows: Shows,
    is_root: bool,
    extended: bool,
    may_be_shut_out: bool,
}

impl Round {
    fn name(&self) -> String {
        let role = if self.is_root { "superuser" } else { "owner" };
        let protocol = if self.extended { "extended" } else { "simple" };
        format!("{} ({role}, {protocol})", self.case)
    }
}

/// Every round of the suite.
fn rounds() -> Result<Vec<Round>> {
    let mut rounds = Vec::new();
    for case in case::all()? {
        for is_root in [false, true] {
            for extended in [false, true] {
                let role = if is_root { "root" } else { "owner" };
                let protocol = if extended { "extended" } else { "simple" };
                let is_played = case.role.as_deref().is_none_or(|only| only == role)
                    && case.protocol.as_deref().is_none_or(|only| only == protocol);
                if is_played {
                    rounds.push(Round {
                        case: case.name.clone(),
                        shows: case.shows,
                        is_root,
                        extended,
                        may_be_shut_out: false,
                    });
                }
            }
        }
    }
    for one in moves::MOVES {
        for is_root in [false, true] {
            if one.role.is_none() || (one.role == Some("root")) == is_root {
                rounds.push(Round {
                    case: one.name.to_owned(),
                    shows: one.shows,
                    is_root,
                    extended: true,
                    may_be_shut_out: one.may_be_shut_out,
                });
            }
        }
    }
    Ok(rounds)
}

/// Plays everything under the generous policy of `xtask/evasion/policy`.
pub(super) fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    place(
        std::path::Path::new("/proc/self/exe"),
        &stage.site.programs().join(PLAYER),
    )?;
    let admin = stage.control.admin();
    let old = policies::active(&admin)?;
    lane::prepare(stage, LANES)?;
    let generous: PathBuf = step::root().join("xtask/evasion/policy");
    put_in_force(stage.site, &admin, || {
        let folder = generous.display().to_string();
        admin.json(&["policy", "push", &folder, "-m", "the evasion suite's"])
    })?;
    let all = rounds()?;
    let outcome = run(stage, &all);
    policies::roll_back(stage.site, &admin, old)?;
    report(checks, "a generous policy", &all, &outcome?);
    Ok(())
}

/// Plays all rounds, some side by side.
fn run(stage: &Stage, all: &[Round]) -> Result<Vec<Played>> {
    let next = Mutex::new(0_usize);
    let done: Mutex<Vec<Option<Played>>> = Mutex::new(vec![None; all.len()]);
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|number| {
                let (next, done) = (&next, &done);
                scope.spawn(move || -> Result<()> {
                    let mut lane = Lane::open(stage, number)?;
                    loop {
                        let at = {
                            let mut next = next.lock().expect("nobody panics with it");
                            *next += 1;
                            *next - 1
                        };
                        let Some(round) = all.get(at) else {
                            return Ok(());
                        };
                        let played = lane.play(round)?;
                        if let Some(slot) = done.lock().expect("nobody panics with it").get_mut(at)
                        {
                            *slot = Some(played);
                        }
                    }
                })
            })
            .collect();
        lanes
            .into_iter()
            .try_for_each(|lane| lane.join().expect("a lane does not panic"))
    })?;
    let done = done.into_inner().expect("nobody panics with it");
    done.into_iter()
        .map(|played| played.context("a round that nobody played"))
        .collect()
}

/// Says how many there were, and each that went wrong.
fn report(checks: &mut Checks, under: &str, all: &[Round], played: &[Played]) {
    let silent: Vec<_> = all
        .iter()
        .zip(played)
        .filter(|(_, played)| !played.leaks_direct)
        .collect();
    let leaking: Vec<_> = all
        .iter()
        .zip(played)
        .filter(|(_, played)| played.leak.is_some())
        .collect();
    let absent: Vec<_> = all
        .iter()
        .zip(played)
        .filter(|(round, played)| !played.opened && !round.may_be_shut_out)
        .collect();
    let lines = |these: &[(&Round, &Played)], what: fn(&Played) -> String| {
        let lines: Vec<_> = these
            .iter()
            .map(|(round, played)| format!("{}: {}", round.name(), what(played)))
            .collect();
        lines.join("\n")
    };
    let cases = {
        let mut names: Vec<_> = all.iter().map(|round| &round.case).collect();
        names.sort();
        names.dedup();
        names.len()
    };
    let count = format!("{cases} cases in {} rounds", all.len());
    let seen = if silent.is_empty() {
        format!("{count}, {} leak direct", all.len())
    } else {
        lines(&silent, |played| played.direct.clone())
    };
    checks.see("direct, every case leaks", silent.is_empty(), &seen);
    let seen = if absent.is_empty() {
        count.clone()
    } else {
        lines(&absent, |played| played.guarded.clone())
    };
    checks.see("guarded, every session begins", absent.is_empty(), &seen);
    let seen = if leaking.is_empty() {
        format!("{count}, 0 leak")
    } else {
        lines(&leaking, |played| played.leak.clone().unwrap_or_default())
    };
    checks.see(
        &format!("guarded by {under}, none leaks"),
        leaking.is_empty(),
        &seen,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suite_is_wide() {
        let rounds = rounds().expect("the files");
        assert!(rounds.len() > 1_000, "{}", rounds.len());
    }

    #[test]
    fn moves_and_cases_have_names_of_their_own() {
        let mut names: Vec<String> = case::all()
            .expect("the files")
            .into_iter()
            .map(|case| case.name)
            .chain(moves::MOVES.iter().map(|one| one.name.to_owned()))
            .collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
