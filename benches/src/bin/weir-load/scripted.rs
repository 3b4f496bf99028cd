//! A scripted Postgres server: it answers one statement with the bytes that the real server
//! gave for it, in no time, so that what is measured is what stands before it.
//!
//! Sessions of Weir's catalogue reader go to the real server, byte by byte: its catalogue is
//! the one that the answer's column origins belong to.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use crate::Target;
use crate::session::Session;

const EVENTS_MAX: usize = 256;
const BUFFER_BYTES: usize = 64 * 1024;

/// The listener's mark among the events.
const LISTENER: u64 = u64::MAX;

/// Asks for the number of scripted answers given.
const COUNT: &str = "SHOW scripted_answers";

/// SSLRequest's and GSSENCRequest's codes (PostgreSQL protocol, "Message Formats").
const SSL_REQUEST: [u8; 4] = 80_877_103u32.to_be_bytes();
const GSSENC_REQUEST: [u8; 4] = 80_877_104u32.to_be_bytes();

/// What to answer, and from where it is learnt.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The real server.
    #[command(flatten)]
    target: Target,
    /// The statement.
    #[arg(long = "statement", required = true)]
    statements: Vec<String>,
    /// The port to listen at, on 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// Sessions of this user go to the real server.
    #[arg(long, default_value = "weir_catalog")]
    passed_on: String,
}

/// Which scripted server to ask.
#[derive(clap::Args)]
pub(crate) struct Asked {
    #[command(flatten)]
    target: Target,
}

/// Prints how many answers a scripted server has given.
pub(crate) fn count(asked: &Asked) -> Result<()> {
    let answer = Session::open(&asked.target)?.ask(COUNT)?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let number: String = text
        .chars()
        .skip_while(|c| *c != ' ')
        .filter(char::is_ascii_digit)
        .collect();
    println!("{number}");
    Ok(())
}

/// The answers, as the real server gave them.
struct Script {
    real: SocketAddr,
    passed_on: Vec<u8>,
    parameters: Vec<u8>,
    answers: Vec<Answer>,
    given: u64,
}

struct Answer {
    statement: Vec<u8>,
    /// All of it, ReadyForQuery included.
    whole: Vec<u8>,
    /// Its RowDescription.
    description: Vec<u8>,
    /// Its rows and CommandComplete.
    rows: Vec<u8>,
}

enum Phase {
    Startup,
    Session { prepared: Option<usize> },
}

struct Lane {
    socket: TcpStream,
    phase: Phase,
    input: Vec<u8>,
    output: Vec<u8>,
}

enum Next {
    Go,
    End,
    /// The packet goes to the real server, and everything behind it.
    PassOn(Vec<u8>),
}

/// Serves until it is killed.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut script = learn(arguments)?;
    let listener = TcpListener::bind(("127.0.0.1", arguments.port)).context("bind")?;
    listener.set_nonblocking(true)?;
    println!("listening on {}", listener.local_addr()?);
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(
        &poll,
        &listener,
        epoll::EventData::new_u64(LISTENER),
        epoll::EventFlags::IN,
    )?;
    let (mut lanes, mut events) = (Vec::<Option<Lane>>::new(), Vec::with_capacity(EVENTS_MAX));
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        events.clear();
        match epoll::wait(&poll, spare_capacity(&mut events), None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error).context("epoll_wait"),
        }
        for event in &events {
            let key = event.data.u64();
            if key == LISTENER {
                accept(&listener, &poll, &mut lanes)?;
                continue;
            }
            let Some(slot) = lanes.get_mut(key as usize) else {
                continue;
            };
            let Some(lane) = slot else { continue };
            match lane.serve(&mut script, &mut buffer) {
                Ok(Next::Go) => {}
                Ok(Next::End) => *slot = None,
                Ok(Next::PassOn(packet)) => {
                    let lane = slot.take().context("a lane")?;
                    epoll::delete(&poll, &lane.socket)?;
                    let real = script.real;
                    std::thread::spawn(move || pass_on(lane.socket, real, &packet));
                }
                Err(error) => {
                    eprintln!("{error:#}");
                    *slot = None;
                }
            }
        }
    }
}

fn learn(arguments: &Arguments) -> Result<Script> {
    let mut session = Session::open(&arguments.target)?;
    let parameters = session.parameters.clone();
    let mut answers = Vec::new();
    for statement in &arguments.statements {
        let whole = session.ask(statement)?;
        let mut answer = Answer {
            statement: statement.as_bytes().to_vec(),
            whole: whole.clone(),
            description: Vec::new(),
            rows: Vec::new(),
        };
        for frame in Frames(&whole) {
            match frame.first() {
                Some(b'T') => answer.description.extend_from_slice(frame),
                Some(b'D' | b'C') => answer.rows.extend_from_slice(frame),
                _ => {}
            }
        }
        answers.push(answer);
    }
    let passed_on = [b"user\0".as_slice(), arguments.passed_on.as_bytes(), b"\0"].concat();
    Ok(Script {
        real: arguments.target.address,
        passed_on,
        parameters,
        answers,
        given: 0,
    })
}

/// Whole frames at the start of some bytes.
struct Frames<'a>(&'a [u8]);

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let [_, length @ ..] = self.0.first_chunk::<5>()?;
        let (frame, rest) = self
            .0
            .split_at_checked(u32::from_be_bytes(*length) as usize + 1)?;
        self.0 = rest;
        Some(frame)
    }
}

fn accept(
    listener: &TcpListener,
    poll: &impl std::os::fd::AsFd,
    lanes: &mut Vec<Option<Lane>>,
) -> Result<()> {
    loop {
        let socket = match listener.accept() {
            Ok((socket, _)) => socket,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("accept"),
        };
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let index = lanes
            .iter()
            .position(Option::is_none)
            .unwrap_or(lanes.len());
        epoll::add(
            poll,
            &socket,
            epoll::EventData::new_u64(index as u64),
            epoll::EventFlags::IN,
        )?;
        let lane = Some(Lane {
            socket,
            phase: Phase::Startup,
            input: Vec::new(),
            output: Vec::new(),
        });
        match lanes.get_mut(index) {
            Some(slot) => *slot = lane,
            None => lanes.push(lane),
        }
    }
}

impl Lane {
    fn serve(&mut self, script: &mut Script, buffer: &mut [u8]) -> Result<Next> {
        loop {
            let count = match self.socket.read(buffer) {
                Ok(0) => return Ok(Next::End),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Next::Go),
                Err(_) => return Ok(Next::End),
            };
            self.input
                .extend_from_slice(buffer.get(..count).unwrap_or_default());
            let next = self.take(script)?;
            self.socket
                .write_all(&self.output)
                .context("an answer that does not fit the socket's buffer")?;
            self.output.clear();
            if !matches!(next, Next::Go) || count < buffer.len() {
                return Ok(next);
            }
        }
    }

    /// Takes every whole message of the input.
    fn take(&mut self, script: &mut Script) -> Result<Next> {
        loop {
            let next = match self.phase {
                Phase::Startup => {
                    let Some(length) = self.input.first_chunk::<4>() else {
                        return Ok(Next::Go);
                    };
                    let length = u32::from_be_bytes(*length) as usize;
                    let Some(packet) = self.input.get(..length) else {
                        return Ok(Next::Go);
                    };
                    let packet = packet.to_vec();
                    self.input.drain(..length);
                    self.startup(packet, script)
                }
                Phase::Session { .. } => {
                    let Some(frame) = Frames(&self.input).next() else {
                        return Ok(Next::Go);
                    };
                    let frame = frame.to_vec();
                    self.input.drain(..frame.len());
                    self.message(&frame, script)?
                }
            };
            if !matches!(next, Next::Go) {
                return Ok(next);
            }
        }
    }

    fn startup(&mut self, packet: Vec<u8>, script: &Script) -> Next {
        let code = packet.get(4..8).unwrap_or_default();
        if code == SSL_REQUEST || code == GSSENC_REQUEST {
            self.output.push(b'N');
            return Next::Go;
        }
        if code != 196_608u32.to_be_bytes() && code != 196_610u32.to_be_bytes() {
            return Next::End;
        }
        if memchr::memmem::find(&packet, &script.passed_on).is_some() {
            return Next::PassOn(packet);
        }
        self.output.extend_from_slice(b"R\0\0\0\x08\0\0\0\0");
        self.output.extend_from_slice(&script.parameters);
        self.output
            .extend_from_slice(b"K\0\0\0\x0c\0\0\0\x01\0\0\0\x02");
        self.ready();
        self.phase = Phase::Session { prepared: None };
        Next::Go
    }

    fn message(&mut self, frame: &[u8], script: &mut Script) -> Result<Next> {
        let (tag, body) = (
            frame.first().copied().unwrap_or_default(),
            frame.get(5..).unwrap_or_default(),
        );
        let Phase::Session { prepared } = &mut self.phase else {
            bail!("a message before the session")
        };
        let answer = prepared.and_then(|index| script.answers.get(index));
        match tag {
            b'Q' => self.query(body, script),
            b'P' => {
                let text = body.split(|byte| *byte == 0).nth(1).unwrap_or_default();
                *prepared = script
                    .answers
                    .iter()
                    .position(|answer| answer.statement == text);
                let known = prepared.is_some();
                if known {
                    self.output.extend_from_slice(b"1\0\0\0\x04")
                } else {
                    self.unknown(text)
                }
            }
            b'B' => self.output.extend_from_slice(b"2\0\0\0\x04"),
            b'D' => {
                let answer = answer.context("Describe of nothing scripted")?;
                if body.first() == Some(&b'S') {
                    self.output.extend_from_slice(b"t\0\0\0\x06\0\0");
                }
                self.output.extend_from_slice(&answer.description);
            }
            b'E' => {
                self.output
                    .extend_from_slice(&answer.context("Execute of nothing scripted")?.rows);
                script.given += 1;
            }
            b'C' => self.output.extend_from_slice(b"3\0\0\0\x04"),
            b'S' => self.ready(),
            b'H' => {}
            b'X' => return Ok(Next::End),
            other => bail!(
                "the script has no answer to a message {:?}",
                char::from(other)
            ),
        }
        Ok(Next::Go)
    }

    fn query(&mut self, body: &[u8], script: &mut Script) {
        let text = body.strip_suffix(b"\0").unwrap_or(body);
        if let Some(answer) = script
            .answers
            .iter()
            .find(|answer| answer.statement == text)
        {
            self.output.extend_from_slice(&answer.whole);
            script.given += 1;
        } else if text == COUNT.as_bytes() {
            self.complete(&format!("SHOW {}", script.given));
            self.ready();
        } else if text.starts_with(b"SET ") || text.starts_with(b"DISCARD ") {
            // A pooler's settings and its reset: nothing here depends on them.
            let word = if text.starts_with(b"SET ") {
                "SET"
            } else {
                "DISCARD ALL"
            };
            self.complete(word);
            self.ready();
        } else {
            self.unknown(text);
            self.ready();
        }
    }

    fn complete(&mut self, tag: &str) {
        weir_postgres::message::CommandComplete { tag }.encode(&mut self.output);
    }

    fn unknown(&mut self, text: &[u8]) {
        let fields = [b"SERROR\0C0A000\0Mnot scripted: ".as_slice(), text, b"\0\0"].concat();
        let length = u32::try_from(fields.len() + 4).unwrap_or(u32::MAX);
        self.output.push(b'E');
        self.output.extend_from_slice(&length.to_be_bytes());
        self.output.extend_from_slice(&fields);
        eprintln!("not scripted: {}", String::from_utf8_lossy(text));
    }

    fn ready(&mut self) {
        self.output.extend_from_slice(b"Z\0\0\0\x05I");
    }
}

/// Copies both ways between a client and the real server, until both are done.
fn pass_on(client: TcpStream, real: SocketAddr, packet: &[u8]) {
    let copy = || -> std::io::Result<()> {
        client.set_nonblocking(false)?;
        let mut server = TcpStream::connect_timeout(&real, Duration::from_secs(5))?;
        server.set_nodelay(true)?;
        server.write_all(packet)?;
        let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
        let up = std::thread::spawn(move || {
            let copied = std::io::copy(&mut from, &mut to);
            // The other side may have ended first.
            let _ = to.shutdown(Shutdown::Write);
            copied
        });
        std::io::copy(&mut server, &mut &client)?;
        let _ = client.shutdown(Shutdown::Write);
        // A panic of the copying thread has been printed by itself.
        let _ = up.join();
        Ok(())
    };
    if let Err(error) = copy() {
        eprintln!("passing a catalogue session on: {error}");
    }
}
