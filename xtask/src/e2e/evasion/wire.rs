//! A client of protocol 3 that says whatever it is told to, and keeps every byte that it hears.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long the other side may stay silent before a conversation counts as over.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Protocol 3.0.
const VERSION: u32 = 196_608;

/// What was heard, frame by frame; bytes that were no whole frame stand at the end.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Type and body.
    pub frames: Vec<(u8, Vec<u8>)>,
    /// What was left when the connection ended.
    pub rest: Vec<u8>,
    /// ReadyForQuery came at least once.
    pub opened: bool,
}

/// Heard in all sessions of one conversation.
pub(super) type Log = Rc<RefCell<Heard>>;

/// One session.
pub(super) struct Wire {
    stream: TcpStream,
    log: Log,
    buffer: Vec<u8>,
    closed: bool,
    /// What a COPY FROM STDIN is given.
    pub data: Vec<u8>,
}

impl Wire {
    /// Connects, starts a session, and waits until it is ready or over.
    pub(super) fn open(
        address: SocketAddr,
        parameters: &[(&str, &str)],
        log: &Log,
    ) -> Result<Self> {
        let stream = TcpStream::connect(address).context("connect")?;
        stream.set_nodelay(true).context("set TCP_NODELAY")?;
        stream
            .set_read_timeout(Some(SILENCE_MAX))
            .context("set a timeout")?;
        let mut wire = Self {
            stream,
            log: log.clone(),
            buffer: Vec::new(),
            closed: false,
            data: Vec::new(),
        };
        let mut body = VERSION.to_be_bytes().to_vec();
        for (name, value) in parameters {
            for text in [name, value] {
                body.extend_from_slice(text.as_bytes());
                body.push(0);
            }
        }
        body.push(0);
        let mut packet = length(body.len())?.to_vec();
        packet.extend_from_slice(&body);
        wire.send(&packet);
        wire.settle()?;
        Ok(wire)
    }

    /// The session is over.
    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Sends bytes; a peer that is gone is noticed when it is listened to.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        if self.stream.write_all(bytes).is_err() {
            self.closed = true;
        }
    }

    /// Sends a text as one Query and waits for its end.
    pub(super) fn query(&mut self, text: impl AsRef<[u8]>) -> Result<()> {
        self.send(&frame(b'Q', &cstring(text.as_ref())));
        self.settle()
    }

    /// Parse, Bind, Describe, Execute and Sync of a text, and waits for its end.
    pub(super) fn extended(&mut self, text: &[u8]) -> Result<()> {
        let pipeline = [
            parse("", text),
            bind("", "", &[], &[]),
            describe(b'P', ""),
            execute("", 0),
            sync(),
        ];
        self.send(&pipeline.concat());
        self.settle()
    }

    /// Sends messages with a Sync behind them and waits for the end.
    pub(super) fn pipeline(&mut self, messages: &[Vec<u8>]) -> Result<()> {
        self.send(&[messages.concat(), sync()].concat());
        self.settle()
    }

    /// Reads until ReadyForQuery or the connection's end. COPY FROM STDIN is given its data.
    pub(super) fn settle(&mut self) -> Result<()> {
        loop {
            match self.hear()? {
                None | Some(b'Z' | b'W') => return Ok(()),
                Some(b'G') => {
                    let data = std::mem::take(&mut self.data);
                    let end = if data.is_empty() {
                        frame(b'f', b"nothing\0")
                    } else {
                        [frame(b'd', &data), frame(b'c', b"")].concat()
                    };
                    self.send(&end);
                }
                Some(_) => {}
            }
        }
    }

    /// Reads until a frame of this type, or the end.
    pub(super) fn until(&mut self, tag: u8) -> Result<()> {
        while let Some(heard) = self.hear()? {
            if heard == tag || heard == b'E' {
                break;
            }
        }
        Ok(())
    }

    /// Reads while something comes within this time.
    pub(super) fn listen(&mut self, patience: Duration) -> Result<()> {
        let begun = Instant::now();
        self.stream.set_read_timeout(Some(patience))?;
        while begun.elapsed() < SILENCE_MAX && self.hear_or_silence()?.is_some() {}
        self.stream.set_read_timeout(Some(SILENCE_MAX))?;
        Ok(())
    }

    fn hear(&mut self) -> Result<Option<u8>> {
        match self.hear_or_silence()? {
            None if !self.closed => {
                bail!("the server said nothing for {} s", SILENCE_MAX.as_secs())
            }
            heard => Ok(heard),
        }
    }

    /// One frame; `None` at the connection's end and where nothing comes.
    fn hear_or_silence(&mut self) -> Result<Option<u8>> {
        loop {
            if let Some(tag) = self.take() {
                return Ok(Some(tag));
            }
            let mut chunk = [0; 1 << 14];
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    self.end();
                    return Ok(None);
                }
                Ok(read) => self
                    .buffer
                    .extend_from_slice(chunk.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                    ) =>
                {
                    self.end();
                    return Ok(None);
                }
                Err(error) => return Err(error).context("receive"),
            }
        }
    }

    /// A whole frame from the buffer.
    fn take(&mut self) -> Option<u8> {
        let (tag, rest) = self.buffer.split_first()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length))
            .ok()?
            .checked_sub(4)?;
        let body = rest.get(..length)?.to_vec();
        let tag = *tag;
        self.buffer.drain(..length + 5);
        let mut log = self.log.borrow_mut();
        log.opened |= tag == b'Z';
        log.frames.push((tag, body));
        Some(tag)
    }

    fn end(&mut self) {
        self.closed = true;
        let rest = std::mem::take(&mut self.buffer);
        self.log.borrow_mut().rest.extend(rest);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.end();
    }
}

/// The first value of each row of a text's answer, from a session of its own.
pub(super) fn ask(
    address: SocketAddr,
    user: &str,
    database: &str,
    text: &str,
) -> Result<Vec<String>> {
    let log = Log::default();
    let mut wire = Wire::open(address, &[("user", user), ("database", database)], &log)?;
    wire.query(text)?;
    let heard = log.borrow();
    if let Some((_, body)) = heard.frames.iter().find(|(tag, _)| *tag == b'E') {
        bail!("{text}: {}", String::from_utf8_lossy(body));
    }
    if !heard.opened || wire.is_closed() {
        bail!("{text}: the session ended");
    }
    let rows = heard.frames.iter().filter(|(tag, _)| *tag == b'D');
    Ok(rows
        .map(|(_, body)| {
            let first = values(body).into_iter().next().unwrap_or_default();
            String::from_utf8_lossy(&first).into_owned()
        })
        .collect())
}

/// The values of a DataRow; nothing for NULL.
pub(super) fn values(body: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = body.get(2..).unwrap_or_default();
    let mut found = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        found.push(after.get(..length).unwrap_or_default().to_vec());
        rest = after.get(length..).unwrap_or_default();
    }
    found
}

/// A frame of the protocol.
pub(super) fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&[tag], &length.to_be_bytes()[..], body].concat()
}

fn length(body: usize) -> Result<[u8; 4]> {
    Ok(u32::try_from(body + 4).context("too long")?.to_be_bytes())
}

/// Bytes with a terminator.
pub(super) fn cstring(text: &[u8]) -> Vec<u8> {
    [text, b"\0"].concat()
}

/// Parse, with no parameter types.
pub(super) fn parse(name: &str, text: impl AsRef<[u8]>) -> Vec<u8> {
    let body = [cstring(name.as_bytes()), cstring(text.as_ref()), vec![0, 0]];
    frame(b'P', &body.concat())
}

/// Bind of text parameters, with result formats.
pub(super) fn bind(
    portal: &str,
    statement: &str,
    parameters: &[&[u8]],
    formats: &[u16],
) -> Vec<u8> {
    let count = |n: usize| u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes();
    let mut body = [cstring(portal.as_bytes()), cstring(statement.as_bytes())].concat();
    body.extend([0, 0]);
    body.extend(count(parameters.len()));
    for value in parameters {
        body.extend(u32::try_from(value.len()).unwrap_or(0).to_be_bytes());
        body.extend_from_slice(value);
    }
    body.extend(count(formats.len()));
    body.extend(formats.iter().flat_map(|format| format.to_be_bytes()));
    frame(b'B', &body)
}

/// Describe of a statement (`S`) or a portal (`P`).
pub(super) fn describe(kind: u8, name: &str) -> Vec<u8> {
    frame(b'D', &[&[kind], &cstring(name.as_bytes())[..]].concat())
}

/// Close of a statement (`S`) or a portal (`P`).
pub(super) fn close(kind: u8, name: &str) -> Vec<u8> {
    frame(b'C', &[&[kind], &cstring(name.as_bytes())[..]].concat())
}

/// Execute; 0 rows are all.
pub(super) fn execute(portal: &str, rows: u32) -> Vec<u8> {
    frame(
        b'E',
        &[cstring(portal.as_bytes()), rows.to_be_bytes().to_vec()].concat(),
    )
}

/// Query.
pub(super) fn query(text: &str) -> Vec<u8> {
    frame(b'Q', &cstring(text.as_bytes()))
}

/// Sync.
pub(super) fn sync() -> Vec<u8> {
    frame(b'S', b"")
}

/// Flush.
pub(super) fn flush() -> Vec<u8> {
    frame(b'H', b"")
}
