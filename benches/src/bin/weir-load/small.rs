//! One small statement over and over on N connections, one outstanding on each.

use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use serde_json::json;

use crate::session::{Link, Session, error, query};
use crate::window::Window;
use crate::{Expected, Measured, Target};

/// How many sockets one wait tells of.
const EVENTS_MAX: usize = 256;

/// How long nothing may come back, seconds.
const SILENCE_MAX_S: i64 = 10;

/// What to ask, and how often at a time.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    measured: Measured,
    #[command(flatten)]
    expected: Expected,
    /// The statement.
    #[arg(long)]
    statement: String,
    /// Connections.
    #[arg(long, default_value_t = 1)]
    connections: usize,
}

struct Lane {
    link: Link,
    received: usize,
    begun: Instant,
}

/// Runs until the window closes.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (mut lanes, answer) = open(arguments)?;
    let request = query(&arguments.statement);
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (index, lane) in lanes.iter_mut().enumerate() {
        lane.link.socket().set_nonblocking(true)?;
        epoll::add(
            &poll,
            lane.link.socket(),
            epoll::EventData::new_u64(index as u64),
            epoll::EventFlags::IN,
        )?;
    }
    let (mut window, mut events) = (
        Window::begin(&arguments.measured)?,
        Vec::with_capacity(EVENTS_MAX),
    );
    let mut buffer = vec![0; answer.len() + 64 * 1024];
    for lane in &mut lanes {
        ask(lane, &request)?;
    }
    while window.is_on(Instant::now())? {
        events.clear();
        let silence = Timespec {
            tv_sec: SILENCE_MAX_S,
            tv_nsec: 0,
        };
        let woken = epoll::wait(&poll, spare_capacity(&mut events), Some(&silence))?;
        ensure!(woken > 0, "no answer for {SILENCE_MAX_S} s");
        for event in &events {
            let lane = lanes.get_mut(event.data.u64() as usize).context("a lane")?;
            if receive(lane, &answer, &mut buffer)? {
                let ended = Instant::now();
                window.count(lane.begun, ended, answer.len());
                ask(lane, &request)?;
            }
        }
    }
    // What is under way belongs to the server's count and to the ledger's.
    let first = lanes.len();
    let under_way = finish(&mut lanes, &answer)?;
    window.end(&json!({ "unmeasured": first + under_way, "answer_bytes": answer.len() }))
}

/// Opens every session and has each give the same answer once.
fn open(arguments: &Arguments) -> Result<(Vec<Lane>, Vec<u8>)> {
    let (mut lanes, mut expected) = (Vec::new(), None);
    for _ in 0..arguments.connections {
        let mut session = Session::open(&arguments.target)?;
        let answer = session.ask(&arguments.statement)?;
        arguments.expected.check(&answer)?;
        ensure!(
            *expected.get_or_insert_with(|| answer.clone()) == answer,
            "two sessions get different answers"
        );
        lanes.push(Lane {
            link: session.link,
            received: 0,
            begun: Instant::now(),
        });
    }
    Ok((lanes, expected.context("no connection")?))
}

fn ask(lane: &mut Lane, request: &[u8]) -> Result<()> {
    lane.begun = Instant::now();
    lane.received = 0;
    // A request is far smaller than a socket's buffer, and the one before it was answered.
    lane.link.write_all(request).context("send a request")
}

/// Takes what has come. Whether the answer is whole; it must be the expected one, byte by byte.
fn receive(lane: &mut Lane, answer: &[u8], buffer: &mut [u8]) -> Result<bool> {
    loop {
        let count = match lane.link.read(buffer) {
            Ok(0) => bail!("the server ends the session"),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).context("read an answer"),
        };
        let (got, rest) = (
            buffer.get(..count).unwrap_or_default(),
            answer.get(lane.received..).unwrap_or_default(),
        );
        if !rest.starts_with(got) {
            bail!("an answer differs from the first one: {}", describe(got));
        }
        lane.received += count;
        if lane.received == answer.len() {
            return Ok(true);
        }
    }
}

fn describe(got: &[u8]) -> String {
    match got {
        [b'E', l0, l1, l2, l3, body @ ..] => {
            let length = u32::from_be_bytes([*l0, *l1, *l2, *l3]) as usize;
            error(body.get(..length.saturating_sub(4)).unwrap_or(body))
        }
        _ => format!(
            "{:?}",
            String::from_utf8_lossy(got.get(..got.len().min(300)).unwrap_or_default())
        ),
    }
}

/// Waits for the answers that are still to come.
fn finish(lanes: &mut [Lane], answer: &[u8]) -> Result<usize> {
    let mut count = 0;
    for lane in lanes {
        lane.link.socket().set_nonblocking(false)?;
        let mut rest = vec![0; answer.len().saturating_sub(lane.received)];
        if !rest.is_empty() {
            lane.link.read_exact(&mut rest)?;
            count += 1;
        }
    }
    Ok(count)
}
