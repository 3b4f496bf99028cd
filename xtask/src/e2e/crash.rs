//! Each program is killed in turn while clients work. They may be refused or reset; they may
//! never reach the server without Weir, and nothing may run that the ledger does not know.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::checks::Checks;
use crate::demo::{guarded_statements, stored_checkpoints, verification};
use crate::stage::{Caller, NO_CLIENTS, Said, Stage, leaves, process, psql, until};

/// Kills altogether.
const CYCLES: u32 = 60;

/// When no further cycle begins.
const TIME_MAX: Duration = Duration::from_secs(240);

/// How soon clients are served again.
const RECOVERY_MAX: Duration = Duration::from_secs(20);

/// Clients that ask all the time.
const CLIENTS: usize = 2;

const QUESTION: &str = "SELECT id, ssn FROM customers WHERE id = 1";
const MASKED: &str = "1|*******6789";

/// What a client may be told while Weir is down or comes up: that nobody is there, that the
/// connection is gone, or a refusal of Weir's own.
const CLOSED: [&str; 8] = [
    "Connection refused",
    "Connection reset by peer",
    "server closed the connection unexpectedly",
    "could not receive data from server",
    "could not send data to server",
    "SSL SYSCALL error: EOF detected",
    "Operation not permitted",
    "weir: ",
];

pub(super) fn play(stage: &mut Stage, checks: &mut Checks) -> Result<()> {
    let load = Load::start(stage)?;
    let begun = Instant::now();
    let played = cycles(stage, &load, begun);
    let tally = load.stop()?;
    let (cycles, slowest) = played?;
    let seen = format!(
        "{cycles} in {:.0} s, served again after {:.1} s at most",
        begun.elapsed().as_secs_f64(),
        slowest.as_secs_f64()
    );
    checks.see(
        "proxy, warden and control plane were killed in turn",
        cycles >= 50,
        &seen,
    );
    let seen = format!(
        "{} masked answers, {} refused or reset",
        tally.served.load(Ordering::Relaxed),
        tally.closed.load(Ordering::Relaxed)
    );
    let odd = tally.odd.lock().expect("nobody panics with it").clone();
    checks.see(
        "clients saw masked rows, refusals and resets, nothing else",
        odd.is_empty(),
        if odd.is_empty() { &seen } else { &odd },
    );
    account(stage, checks)
}

/// Kills one after the other. Returns how many, and the longest time until a client was served.
fn cycles(stage: &mut Stage, load: &Load, begun: Instant) -> Result<(u32, Duration)> {
    let mut slowest = Duration::ZERO;
    for cycle in 0..CYCLES {
        if begun.elapsed() > TIME_MAX {
            return Ok((cycle, slowest));
        }
        let killed = Instant::now();
        let what = match cycle % 3 {
            0 => {
                let proxy = stage.dataplane.await_proxy(RECOVERY_MAX)?;
                process::kill(proxy);
                until("the end of the proxy", RECOVERY_MAX, || {
                    Ok(process::about(proxy)
                        .filter(|about| !about.is_zombie)
                        .is_none()
                        .then_some(()))
                })?;
                "proxy"
            }
            1 => {
                stage.dataplane.kill_and_restart(&stage.record)?;
                "warden"
            }
            _ => {
                stage.control.kill_and_restart(&stage.record)?;
                "control plane"
            }
        };
        let before = load.tally.served.load(Ordering::Relaxed);
        let is_served = || {
            Ok(
                (load.tally.served.load(Ordering::Relaxed) >= before + CLIENTS as u64)
                    .then_some(()),
            )
        };
        until("an answer", RECOVERY_MAX, is_served).with_context(|| {
            format!(
                "after the {what} was killed in cycle {cycle}; the data plane's log ends:\n{}",
                stage.dataplane.tail()
            )
        })?;
        slowest = slowest.max(killed.elapsed());
    }
    Ok((CYCLES, slowest))
}

/// The server's log against the ledger, when all is quiet.
fn account(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let names = stage.postgres.log.applications()?;
    let strangers: Vec<_> = names
        .iter()
        .filter(|name| !name.starts_with("weir:") && !NO_CLIENTS.contains(&name.as_str()))
        .collect();
    let seen = format!(
        "{} sessions, {} of strangers: {:?}",
        names.len(),
        strangers.len(),
        strangers.iter().collect::<BTreeSet<_>>()
    );
    checks.see(
        "nobody reached the server but Weir",
        strangers.is_empty(),
        &seen,
    );

    let ran = guarded_statements(stage)?;
    let count = || {
        Ok::<_, anyhow::Error>(leaves::count(
            &leaves::read(&stage.log())?,
            "intent",
            "demo-pg",
        ))
    };
    let kept = until("every intent", Duration::from_secs(10), || {
        Ok(Some(count()?).filter(|kept| *kept >= ran))
    })
    .or_else(|_| count())?;
    checks.see(
        "no statement ran without an intent",
        kept >= ran && ran > 0,
        &format!("{ran} statements in the server's log, {kept} intents"),
    );

    let stored = stored_checkpoints(stage)?;
    let said = verification(stage, &stage.site.ledger(), &stored)?;
    let is_told = |line: &&str| {
        ["checked", "stored"]
            .iter()
            .any(|word| line.starts_with(word))
    };
    let seen = said
        .out
        .lines()
        .filter(is_told)
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let seen = seen.collect::<Vec<_>>().join(", ");
    checks.see(
        "after all restarts the log verifies",
        said.ok,
        if said.ok { &seen } else { &said.out },
    );
    Ok(())
}

/// What the clients saw.
#[derive(Default)]
struct Tally {
    served: AtomicU64,
    closed: AtomicU64,
    /// The first answer that should not be.
    odd: Mutex<String>,
}

impl Tally {
    fn count(&self, said: &Said) {
        if said.ok && said.out.trim() == MASKED {
            self.served.fetch_add(1, Ordering::Relaxed);
        } else if !said.ok
            && said.out.trim().is_empty()
            && CLOSED.iter().any(|words| said.err.contains(words))
        {
            self.closed.fetch_add(1, Ordering::Relaxed);
        } else {
            let mut odd = self.odd.lock().expect("nobody panics with it");
            if odd.is_empty() {
                *odd = format!("{said:?}");
            }
        }
    }
}

/// Clients that hold the server's password and would reach it if they could.
struct Load {
    tally: Arc<Tally>,
    is_over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Result<()>>>,
}

impl Load {
    fn start(stage: &Stage) -> Result<Self> {
        let (tally, is_over) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
        let mut clients = Vec::new();
        for index in 0..CLIENTS {
            let caller = stage.people.alice.guarded.clone();
            let caller = caller
                .with("PGPASSWORD", &stage.postgres.password)
                .with("PGAPPNAME", &format!("load-{index}"));
            let caller = caller.with("PGCONNECT_TIMEOUT", "15");
            let arguments: Vec<_> = stage
                .postgres
                .arguments()
                .into_iter()
                .chain(["-c".to_owned(), QUESTION.to_owned()])
                .collect();
            let (tally, is_over) = (tally.clone(), is_over.clone());
            clients.push(std::thread::spawn(move || {
                ask(&caller, &arguments, &tally, &is_over)
            }));
        }
        Ok(Self {
            tally,
            is_over,
            clients,
        })
    }

    fn stop(self) -> Result<Arc<Tally>> {
        self.is_over.store(true, Ordering::Relaxed);
        for client in self.clients {
            let ended = client.join();
            ensure!(ended.is_ok(), "a client's thread panicked");
            ended.unwrap_or(Ok(()))?;
        }
        Ok(self.tally)
    }
}

fn ask(caller: &Caller, arguments: &[String], tally: &Tally, is_over: &AtomicBool) -> Result<()> {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let psql = psql()?;
    while !is_over.load(Ordering::Relaxed) {
        let said = caller.run(&psql, &arguments, "")?;
        tally.count(&said);
        if !said.ok {
            // Nobody is there: do not take the processor from whoever starts.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}
