//! One tool call over and over on N connections, each with an MCP session of its own
//! (Streamable HTTP), one call outstanding on each.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use serde_json::json;

use crate::http::{self, Response};
use crate::window::Window;
use crate::{Expected, Measured};

const EVENTS_MAX: usize = 256;
const SILENCE_MAX_S: i64 = 10;
const BUFFER_BYTES: usize = 64 * 1024;

/// A socket takes a request of this size at once; a larger one is waited with.
const AT_ONCE_BYTES: usize = 16 * 1024;

/// The revision that is asked for; the server's answer counts.
const REVISION: &str = "2025-06-18";

/// What to call, and how often at a time.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where the server, or what stands before it, is.
    #[arg(long)]
    address: SocketAddr,
    #[command(flatten)]
    measured: Measured,
    #[command(flatten)]
    expected: Expected,
    /// The tool.
    #[arg(long)]
    tool: String,
    /// Its arguments, as JSON.
    #[arg(long)]
    arguments: String,
    /// So many letters stand for the word PAD in the arguments and in what answers hold.
    #[arg(long, default_value_t = 0)]
    pad: usize,
    /// What ends a call's time.
    #[arg(long, value_enum, default_value_t = Until::Whole)]
    until: Until,
    /// Connections.
    #[arg(long, default_value_t = 16)]
    connections: usize,
}

/// What of an answer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Until {
    /// All of it.
    Whole,
    /// The first byte of its body: of the first event, where it is a stream of events.
    FirstByte,
}

struct Lane {
    socket: TcpStream,
    head: String,
    input: Vec<u8>,
    id: u64,
    begun: Instant,
    /// Reads return at once.
    is_polled: bool,
    /// When the first byte of the answer's body came.
    first: Option<Instant>,
    /// The first answer's body without the call's id: each later one is the same.
    same: Vec<u8>,
}

/// Runs until the window closes.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let inputs = fill(&arguments.arguments, arguments.pad);
    let expected = Expected {
        contained: filled(&arguments.expected.contained, arguments.pad),
        lacking: filled(&arguments.expected.lacking, arguments.pad),
    };
    let mut lanes = (0..arguments.connections)
        .map(|_| Lane::open(arguments.address))
        .collect::<Result<Vec<_>>>()?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (index, lane) in lanes.iter_mut().enumerate() {
        lane.call(&arguments.tool, &inputs)?;
        lane.is_polled = true;
        lane.socket.set_nonblocking(true)?;
        epoll::add(
            &poll,
            &lane.socket,
            epoll::EventData::new_u64(index as u64),
            epoll::EventFlags::IN,
        )?;
    }
    let (mut window, mut events) = (
        Window::begin(&arguments.measured)?,
        Vec::with_capacity(EVENTS_MAX),
    );
    let mut buffer = vec![0; BUFFER_BYTES];
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
            if let Some(response) = lane.receive(&mut buffer)? {
                let ended = match arguments.until {
                    Until::Whole => Instant::now(),
                    Until::FirstByte => lane.first.context("an answer without a body")?,
                };
                lane.check(&response, &expected)?;
                window.count(lane.begun, ended, response.length);
                lane.call(&arguments.tool, &inputs)?;
            }
        }
    }
    let under_way = lanes.len();
    for lane in &mut lanes {
        lane.socket.set_nonblocking(false)?;
        loop {
            if let Some(response) = lane.receive(&mut buffer)? {
                break lane.check(&response, &expected)?;
            }
        }
    }
    window.end(&json!({ "unmeasured": under_way }))
}

/// The text with so many letters for each word PAD.
fn fill(text: &str, pad: usize) -> String {
    text.replace("PAD", &"x".repeat(pad))
}

fn filled(texts: &[String], pad: usize) -> Vec<String> {
    texts.iter().map(|text| fill(text, pad)).collect()
}

impl Lane {
    /// Connects and initialises a session.
    fn open(address: SocketAddr) -> Result<Self> {
        let socket =
            TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
        socket.set_nodelay(true)?;
        let mut head = format!(
            "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        );
        if let Ok(token) = std::env::var("MCP_TOKEN") {
            head += &format!("Authorization: Bearer {token}\r\n");
        }
        let mut lane = Self {
            socket,
            head,
            input: Vec::new(),
            id: 0,
            begun: Instant::now(),
            is_polled: false,
            first: None,
            same: Vec::new(),
        };
        let about = json!({ "protocolVersion": REVISION, "capabilities": {}, "clientInfo": { "name": "weir-load", "version": "1" } });
        let hello = lane.exchange(
            &json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": about })
                .to_string(),
        )?;
        ensure!(hello.status == 200, "initialize: {hello:?}");
        let session = hello.field("mcp-session-id").context("no session")?;
        let text = String::from_utf8_lossy(&hello.body).into_owned();
        let revision = text
            .split("\"protocolVersion\":\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .context("no revision")?;
        lane.head += &format!("Mcp-Session-Id: {session}\r\nMcp-Protocol-Version: {revision}\r\n");
        let told = lane.exchange(
            &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string(),
        )?;
        ensure!(told.status == 202, "notifications/initialized: {told:?}");
        Ok(lane)
    }

    fn exchange(&mut self, body: &str) -> Result<Response> {
        self.send(body)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            if let Some(response) = self.receive(&mut buffer)? {
                return Ok(response);
            }
        }
    }

    fn call(&mut self, tool: &str, inputs: &str) -> Result<()> {
        self.id += 1;
        let id = self.id;
        self.send(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{inputs}}}}}"#
        ))
    }

    fn send(&mut self, body: &str) -> Result<()> {
        let request = format!("{}Content-Length: {}\r\n\r\n{body}", self.head, body.len());
        self.begun = Instant::now();
        self.first = None;
        if request.len() <= AT_ONCE_BYTES {
            return self
                .socket
                .write_all(request.as_bytes())
                .context("send a request");
        }
        self.socket.set_nonblocking(false)?;
        let sent = self.socket.write_all(request.as_bytes());
        self.socket.set_nonblocking(self.is_polled)?;
        sent.context("send a large request")
    }

    /// Takes what has come.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<Option<Response>> {
        match self.socket.read(buffer) {
            Ok(0) => bail!("the server ends the connection"),
            Ok(count) => self
                .input
                .extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("read an answer"),
        }
        if self.first.is_none() && has_body(&self.input) {
            self.first = Some(Instant::now());
        }
        let response = http::read(&self.input)?;
        if let Some(response) = &response {
            self.input.drain(..response.length);
        }
        Ok(response)
    }

    /// Every answer is one to its call and holds what it must; but for the id, all are the same.
    fn check(&mut self, response: &Response, expected: &Expected) -> Result<()> {
        ensure!(response.status == 200, "{response:?}");
        let plain = without_id(&response.body, self.id)
            .with_context(|| format!("an answer to another call than {}: {response:?}", self.id))?;
        if self.same.is_empty() {
            expected.check(&response.body)?;
            self.same = plain.concat();
            return Ok(());
        }
        let [head, tail] = plain;
        ensure!(
            self.same.len() == head.len() + tail.len()
                && self.same.starts_with(head)
                && self.same.ends_with(tail),
            "an answer differs from the first one: {response:?}"
        );
        Ok(())
    }
}

/// What stands before and behind the number of a call in the answer to it, if it is one: the
/// last member `id`, since what tools tell stands before the envelope's, with exactly this number.
fn without_id(body: &[u8], id: u64) -> Option<[&[u8]; 2]> {
    let member = format!("\"id\":{id}");
    let at = memchr::memmem::rfind(body, member.as_bytes())?;
    let (head, rest) = body.split_at_checked(at)?;
    let tail = rest.get(member.len()..)?;
    let is_longer = tail.first().is_none_or(u8::is_ascii_digit);
    (!is_longer).then_some([head, tail])
}

/// Whether an answer's head is over and something follows it.
fn has_body(input: &[u8]) -> bool {
    memchr::memmem::find(input, b"\r\n\r\n").is_some_and(|end| input.len() > end + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_a_call_is_taken_for_it() {
        let body = br#"{"result":{"id":12},"id":12,"jsonrpc":"2.0"}"#;
        let [head, tail] = without_id(body, 12).unwrap();
        assert_eq!(head, br#"{"result":{"id":12},"#.as_slice());
        assert_eq!(tail, br#","jsonrpc":"2.0"}"#.as_slice());
        assert_eq!(without_id(body, 1), None, "12 is not 1");
        assert_eq!(without_id(body, 13), None);
        assert_eq!(without_id(br#"{"id":1"#, 1), None, "no end of the number");
    }
}
