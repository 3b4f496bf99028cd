//! `weir mcp run`: an MCP server of standard input and output, guarded like any other.
//!
//! ```text
//!  client ─lines─► front ─HTTP─► data plane ─HTTP─► back ─lines─► server
//!                    └──── both ends of each flow: the warden's ────┘
//! ```
//! What passes is judged, masked and recorded by the data plane of this host, which attests this
//! process and what it has started. Nothing here decides anything, and there is no other way
//! from the client to the server: without a flow a request is answered with an error.

mod back;
mod client;
mod front;
mod gate;
mod limits;
mod lines;
mod message;
mod server;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::header::HeaderValue;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use self::back::{Back, ToServer};
use self::front::Front;
use self::gate::{Closed, Gate};
use self::limits::{
    DELIVERY_MAX, LAST_ANSWERS_MAX, LAST_CALLS_MAX, SERVER_END_MAX, WAITING_LINES_MAX,
};
use self::lines::Line;
use self::message::{Seen, error, split};
use self::server::Server;
use crate::arguments::McpRun;
use crate::failure::Failure;

/// A token that says on whose behalf the client calls. The server does not get to see it.
const TOKEN: &str = "WEIR_MCP_TOKEN";

/// How often it is looked whether the last requests are through.
const LOOK: Duration = Duration::from_millis(10);

/// Runs until the server has ended.
pub(crate) async fn run(run: McpRun) -> Result<ExitCode> {
    let gate = Gate::new(run.socket, run.connection);
    let (to_client, written) = client::output().context("standard output")?;
    let lines = client::input().context("standard input")?;
    if let Err(closed) = gate.open().await {
        let why = closed.to_string();
        return Err(refuse_all(&why, lines, to_client, written, failure(closed)).await);
    }
    let (server, stdin, stdout) = match Server::start(&run.command, TOKEN) {
        Ok(started) => started,
        Err(wrong) => {
            let why = format!("{wrong:#}");
            return Err(refuse_all(&why, lines, to_client, written, wrong).await);
        }
    };
    gate.started(server.pid());
    let (to_server, messages) = mpsc::channel(WAITING_LINES_MAX);
    let back = Back::new(session(), to_server.clone());
    tokio::spawn(server::write(stdin, messages));
    let reader = tokio::spawn(server::read(stdout, Arc::clone(&back)));
    let front = Front::new(gate, back, to_client, authorization()?);
    let input_over = read_client(lines, &front, to_server);
    let status = attend(server, input_over, &front).await?;
    // What it started may still hold its output.
    let _ = timeout(LAST_ANSWERS_MAX, reader).await;
    let _ = timeout(LAST_ANSWERS_MAX, answered(&front)).await;
    front.hang_up();
    drop(front);
    let _ = timeout(LAST_ANSWERS_MAX, written).await;
    Ok(server::code(status))
}

/// Whether a data plane answers for a connection here.
pub(crate) async fn probe(socket: std::path::PathBuf, connection: String) -> Result<(), String> {
    Gate::new(socket, connection)
        .open()
        .await
        .map_err(|closed| closed.to_string())
}

fn failure(closed: Closed) -> anyhow::Error {
    match closed {
        Closed::Away(why) => Failure::NotReady(why).into(),
        Closed::Refused(why) => Failure::Denied(why).into(),
    }
}

/// Tells this run from every other on this host; no secret.
fn session() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = since.map_or(0, |since| since.as_nanos());
    format!("{:x}-{nanos:x}", std::process::id())
}

fn authorization() -> Result<Option<HeaderValue>> {
    let Some(token) = std::env::var(TOKEN).ok().filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .with_context(|| format!("{TOKEN} is no token"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Passes the client's lines on; then, when every request has reached the server, ends its
/// input.
fn read_client(
    mut lines: mpsc::Receiver<Line>,
    front: &Arc<Front>,
    to_server: mpsc::Sender<ToServer>,
) -> oneshot::Receiver<()> {
    let (over, is_over) = oneshot::channel();
    let front = Arc::clone(front);
    tokio::spawn(async move {
        while let Some(line) = lines.recv().await {
            front.take(line).await;
        }
        let delivered = async {
            while front.unanswered(true) > 0 {
                sleep(LOOK).await;
            }
        };
        let _ = timeout(DELIVERY_MAX, delivered).await;
        let _ = to_server.send(ToServer::End).await;
        let _ = over.send(());
    });
    is_over
}

async fn answered(front: &Front) {
    while front.unanswered(false) > 0 {
        sleep(LOOK).await;
    }
}

/// Passes signals on, and ends the server after its input has ended: it is given time for what it
/// was asked, then for itself, then SIGTERM, then SIGKILL (MCP lifecycle, "Shutdown", stdio).
async fn attend(
    mut server: Server,
    mut input_over: oneshot::Receiver<()>,
    front: &Front,
) -> Result<std::process::ExitStatus> {
    let catch = |kind| signal(kind).context("catch signals");
    let (mut term, mut int) = (
        catch(SignalKind::terminate())?,
        catch(SignalKind::interrupt())?,
    );
    let (mut hup, mut quit) = (catch(SignalKind::hangup())?, catch(SignalKind::quit())?);
    let mut ends = [Signal::TERM, Signal::KILL].into_iter();
    let (mut is_open, mut next) = (true, None);
    loop {
        tokio::select! {
            status = server.wait() => return status,
            _ = &mut input_over, if is_open => {
                is_open = false;
                next = Some(Instant::now() + LAST_CALLS_MAX + SERVER_END_MAX);
            }
            () = answered(front), if !is_open && next.is_some_and(|at| at > Instant::now() + SERVER_END_MAX) => {
                next = Some(Instant::now() + SERVER_END_MAX);
            }
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                next = ends.next().map(|signal| {
                    server.signal(signal);
                    Instant::now() + SERVER_END_MAX
                });
            }
            Some(()) = term.recv() => server.signal(Signal::TERM),
            Some(()) = int.recv() => server.signal(Signal::INT),
            Some(()) = hup.recv() => server.signal(Signal::HUP),
            Some(()) = quit.recv() => server.signal(Signal::QUIT),
        }
    }
}

/// Answers every request with why nothing can be asked, until the client leaves.
async fn refuse_all(
    why: &str,
    mut lines: mpsc::Receiver<Line>,
    to_client: mpsc::Sender<Vec<u8>>,
    written: oneshot::Receiver<()>,
    failure: anyhow::Error,
) -> anyhow::Error {
    eprintln!("weir: {why}");
    let told = format!("Weir: {why}");
    while let Some(line) = lines.recv().await {
        let messages = match &line {
            Line::Whole(bytes) => split(bytes),
            Line::TooLong(_) => None,
        };
        let unread = vec![(Vec::new(), Seen::Unclear)];
        for (_, seen) in messages.unwrap_or(unread) {
            let answer = match seen {
                Seen::Request(asked) => error(Some(&asked.id), &told),
                Seen::Unclear => error(None, &told),
                Seen::Notification(_) | Seen::Answer { .. } => continue,
            };
            let _ = to_client.send(answer).await;
        }
    }
    drop(to_client);
    let _ = timeout(LAST_ANSWERS_MAX, written).await;
    failure
}
