//! `cargo xtask throw`: one malformed conversation, and how the other side took it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long the other side may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Between bytes of a slow client.
const SLOW: Duration = Duration::from_secs(1);

/// What is thrown.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The server that a client would ask.
    address: SocketAddr,
    /// Which of the cases; their names are printed without one.
    case: Option<String>,
}

/// When the bytes are sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// Before anything else.
    First,
    /// In a session that began well.
    InSession,
    /// In a session that began well, and then the connection's end.
    InSessionThenEnd,
    /// Before anything else, one byte a second.
    Slowly,
    /// Before anything else, and then the connection's end.
    ThenEnd,
}

/// One malformed conversation.
pub(crate) struct Case {
    /// Its name.
    pub name: &'static str,
    when: When,
    bytes: &'static [u8],
}

impl Case {
    /// It takes seconds.
    pub(crate) fn is_slow(&self) -> bool {
        self.when == When::Slowly
    }

    /// The kind of the record that it must leave: a client that ends its session in the middle
    /// of a frame was refused nothing, but the session is known.
    pub(crate) fn record(&self) -> &'static str {
        if self.when == When::InSessionThenEnd {
            "session"
        } else {
            "refusal"
        }
    }

    /// The client leaves before it has said who it is or what it wants. Nothing was asked, and
    /// nothing is refused: it leaves no record.
    pub(crate) fn asks_nothing(&self) -> bool {
        self.when == When::ThenEnd
    }
}

const fn case(name: &'static str, when: When, bytes: &'static [u8]) -> Case {
    Case { name, when, bytes }
}

/// At a Postgres server.
pub(crate) const POSTGRES: &[Case] = &[
    case(
        "garbage",
        When::First,
        b"\xde\xad\xbe\xef\xff\x00\x13\x37 and more of it, enough to be read as a head\xff\xff",
    ),
    case(
        "another protocol",
        When::First,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ),
    case(
        "startup of length 0",
        When::First,
        &[0, 0, 0, 0, 0, 3, 0, 0],
    ),
    case(
        "startup of length 3",
        When::First,
        &[0, 0, 0, 3, 0, 3, 0, 0],
    ),
    case(
        "startup of length 2^31-1",
        When::First,
        &[0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0],
    ),
    case(
        "startup of length 2^32-1",
        When::First,
        &[0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0],
    ),
    case(
        "startup without its end",
        When::ThenEnd,
        &[0, 0, 0, 30, 0, 3, 0, 0, b'u', b's'],
    ),
    case("startup, one byte a second", When::Slowly, &[0, 0, 0, 3, 0]),
    case(
        "frame of length 0",
        When::InSession,
        b"Q\x00\x00\x00\x00SELECT 1\x00",
    ),
    case(
        "frame of length 3",
        When::InSession,
        b"Q\x00\x00\x00\x03SELECT 1\x00",
    ),
    case(
        "frame of length 2^31-1",
        When::InSession,
        b"Q\x7f\xff\xff\xffSELECT 1\x00",
    ),
    case(
        "frame of length 2^32-1",
        When::InSession,
        b"Q\xff\xff\xff\xffSELECT 1\x00",
    ),
    case(
        "frame without its end",
        When::InSessionThenEnd,
        b"Q\x00\x00\x00\x20SELECT ssn FR",
    ),
    case(
        "frame of an unknown kind",
        When::InSession,
        b"\x01\x00\x00\x00\x04",
    ),
    case(
        "query without its terminator",
        When::InSession,
        b"Q\x00\x00\x00\x0cSELECT 1",
    ),
    case(
        "bind that counts more than it holds",
        When::InSession,
        b"B\x00\x00\x00\x0c\x00\x00\x7f\xff\x00\x00\x00\x00",
    ),
];

/// At an MCP server.
pub(crate) const MCP: &[Case] = &[
    case("http garbage", When::First, b"\xff\xfe\x00\x01 / HTTP/9.9\r\n\r\n"),
    case("two lengths", When::First, b"POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    case("length and chunks", When::First, b"POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    case("length beyond all bounds", When::First, b"POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99999999999999999999\r\n\r\n"),
    case("no JSON", When::First, b"POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: 5\r\n\r\n{\"a\":"),
    case("a key twice", When::First, b"POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: 60\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"method\":\"tools/xx\"}"),
    case("head without its end", When::ThenEnd, b"POST /mcp HTTP/1.1\r\nHost: a\r\nConte"),
];

/// Throws one case and prints how it was taken: `error`, `reset`, `closed`, or else `served`
/// or `silence`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cases = || POSTGRES.iter().chain(MCP);
    let Some(name) = &arguments.case else {
        cases().for_each(|case| println!("{}", case.name));
        return Ok(());
    };
    let case = cases()
        .find(|case| case.name == name)
        .with_context(|| format!("no case {name:?}"))?;
    println!("{}", throw(arguments.address, case)?);
    Ok(())
}

fn throw(address: SocketAddr, case: &Case) -> Result<&'static str> {
    let mut stream = TcpStream::connect(address).context("connect")?;
    stream
        .set_read_timeout(Some(ANSWER_MAX))
        .context("set a timeout")?;
    let sent = match case.when {
        When::First => stream.write_all(case.bytes),
        When::InSession => {
            begin(&mut stream)?;
            stream.write_all(case.bytes)
        }
        When::InSessionThenEnd => {
            begin(&mut stream)?;
            stream
                .write_all(case.bytes)
                .and_then(|()| stream.shutdown(Shutdown::Write))
        }
        When::Slowly => slowly(&mut stream, case.bytes),
        When::ThenEnd => stream
            .write_all(case.bytes)
            .and_then(|()| stream.shutdown(Shutdown::Write)),
    };
    match sent {
        Err(error) if is_reset(&error) => Ok("reset"),
        Err(error) => Err(error).context("send"),
        Ok(()) => answer(&mut stream),
    }
}

/// A session with role `app`, up to ReadyForQuery.
fn begin(stream: &mut TcpStream) -> Result<()> {
    let parameters = b"\x00\x03\x00\x00user\x00app\x00database\x00shop\x00\x00";
    let length = u32::try_from(parameters.len() + 4).context("length")?;
    stream
        .write_all(&length.to_be_bytes())
        .and_then(|()| stream.write_all(parameters))
        .context("send the start-up")?;
    loop {
        let mut head = [0; 5];
        stream
            .read_exact(&mut head)
            .context("read a frame's head")?;
        let [tag, length @ ..] = head;
        let mut body = vec![
            0;
            (u32::from_be_bytes(length) as usize)
                .saturating_sub(4)
                .min(1 << 16)
        ];
        stream
            .read_exact(&mut body)
            .context("read a frame's body")?;
        match tag {
            b'Z' => return Ok(()),
            b'E' => bail!(
                "the session did not begin: {}",
                String::from_utf8_lossy(&body)
            ),
            _ => {}
        }
    }
}

fn slowly(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte])?;
        std::thread::sleep(SLOW);
    }
    Ok(())
}

/// Reads to the end, which must come soon.
fn answer(stream: &mut TcpStream) -> Result<&'static str> {
    let (mut said, begun) = (Vec::new(), Instant::now());
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(told(&said)),
            Ok(read) => said.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            Err(error) if is_reset(&error) => return Ok("reset"),
            // An error was told, and the connection is kept: HTTP allows it.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Ok(if said.is_empty() {
                    "silence"
                } else {
                    told(&said)
                });
            }
            Err(error) => return Err(error).context("receive"),
        }
        if told(&said) == "error" || begun.elapsed() > ANSWER_MAX {
            return Ok(told(&said));
        }
    }
}

fn told(said: &[u8]) -> &'static str {
    let is_http_error = said.starts_with(b"HTTP/1.1 4") || said.starts_with(b"HTTP/1.1 5");
    match said.first() {
        None => "closed",
        Some(b'E') => "error",
        Some(_) if is_http_error => "error",
        Some(_) => "served",
    }
}

fn is_reset(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted
    )
}
