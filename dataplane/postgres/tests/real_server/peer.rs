//! A client of the server, made of this crate.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use weir_postgres::auth::{Binding, ClientKeys, ScramClient, md5_response};
use weir_postgres::frame::{ServerReader, ServerTag, Step, Streamed};
use weir_postgres::message::{Authentication, Password, SaslInitialResponse};
use weir_postgres::session::{Disposal, Effect, Event, Name, Session, Statement, What};
use weir_postgres::startup::{ServerStartup, Version};

pub(crate) type Plan = Arc<Statement<u32>>;

pub(crate) fn plan(number: u32, effect: Effect<u32>) -> Plan {
    Arc::new(Statement {
        plan: number,
        effect,
    })
}

pub(crate) fn select(number: u32) -> Plan {
    plan(number, Effect::None)
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    reader: ServerReader,
    pub(crate) session: Session<u32, ()>,
    chunk: Vec<u8>,
    at: usize,
    /// How the server asked for the password.
    pub(crate) asked: &'static str,
    pub(crate) keys: Option<ClientKeys>,
    pub(crate) negotiated: Option<u32>,
}

impl Peer {
    pub(crate) fn connect(port: u16, user: &str, password: &str) -> Result<Self, String> {
        Self::connect_with(port, user, password, Version::V3_0, None)
    }

    pub(crate) fn connect_with(
        port: u16,
        user: &str,
        password: &str,
        version: Version,
        keys: Option<&ClientKeys>,
    ) -> Result<Self, String> {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut peer = Self {
            stream,
            reader: ServerReader::new(),
            session: Session::new(),
            chunk: Vec::new(),
            at: 0,
            asked: "nothing",
            keys: None,
            negotiated: None,
        };
        let mut out = Vec::new();
        let startup = ServerStartup {
            version,
            user,
            database: "postgres",
            parameters: &[],
            client_min_messages: Some("warning"),
        };
        startup.encode(&mut out).unwrap();
        peer.send(&out);
        peer.log_in(user, password, keys)?;
        peer.until_ready(1);
        Ok(peer)
    }

    fn log_in(
        &mut self,
        user: &str,
        password: &str,
        keys: Option<&ClientKeys>,
    ) -> Result<(), String> {
        let mut begun = None;
        let mut proven = None;
        loop {
            let (tag, body) = self.frame();
            match tag {
                ServerTag::ErrorResponse => {
                    return Err(String::from_utf8_lossy(&body).replace('\0', " "));
                }
                ServerTag::NegotiateProtocolVersion => {
                    let asked =
                        weir_postgres::message::NegotiateProtocolVersion::parse(&body).unwrap();
                    self.negotiated = Some(asked.version);
                    continue;
                }
                _ => assert_eq!(tag, ServerTag::Authentication),
            }
            let asked = Authentication::parse(&body).unwrap();
            let mut out = Vec::new();
            match asked {
                Authentication::Ok => return Ok(()),
                Authentication::CleartextPassword => unreachable!("not configured"),
                Authentication::Md5Password { salt } => {
                    self.asked = "md5";
                    Password {
                        password: md5_response(user, password, salt).as_bytes(),
                    }
                    .encode(&mut out);
                }
                Authentication::Sasl { .. } => {
                    self.asked = "scram";
                    let client =
                        ScramClient::new(asked.mechanisms(), Binding::None, &[7; 18]).unwrap();
                    let first = SaslInitialResponse {
                        mechanism: client.mechanism(),
                        data: Some(client.first()),
                    };
                    first.encode(&mut out);
                    begun = Some(client);
                }
                Authentication::SaslContinue { data } => {
                    let (next, answer) = begun
                        .take()
                        .unwrap()
                        .on_server_first(data, password, keys)
                        .unwrap();
                    SaslInitialResponse::encode_response(&answer, &mut out);
                    proven = Some(next);
                }
                Authentication::SaslFinal { data } => {
                    let proven: weir_postgres::auth::AwaitFinal = proven.take().unwrap();
                    self.keys = Some(proven.on_server_final(data).unwrap());
                }
                Authentication::Other(other) => unreachable!("{other}"),
            }
            self.send(&out);
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next frame, whole.
    pub(crate) fn frame(&mut self) -> (ServerTag, Vec<u8>) {
        loop {
            let mut chunk = std::mem::take(&mut self.chunk);
            let step = self
                .reader
                .next(&mut chunk, &mut self.at, Streamed::NONE)
                .unwrap();
            let found = match step {
                Some(Step::Frame(frame)) => Some((frame.tag, frame.body().to_vec())),
                Some(Step::Piece(_)) => unreachable!("nothing is streamed"),
                None => None,
            };
            self.chunk = chunk;
            if let Some(found) = found {
                return found;
            }
            // Chunks of an odd size, so that frames straddle them.
            let mut fresh = vec![0; 37];
            let read = self
                .stream
                .read(&mut fresh)
                .expect("an answer within ten seconds");
            assert!(read > 0, "the server hung up");
            fresh.truncate(read);
            self.chunk = fresh;
            self.at = 0;
        }
    }

    /// Reads one frame through the session, and tells what it was.
    pub(crate) fn event(&mut self) -> String {
        let (tag, body) = self.frame();
        let event = self
            .session
            .on_server(tag, &body)
            .unwrap_or_else(|error| panic!("{error} at {tag:?}"));
        describe(&event)
    }

    /// Reads to the `count`-th ReadyForQuery; ParameterStatus and the cancel key are left out.
    pub(crate) fn until_ready(&mut self, count: usize) -> Vec<String> {
        let mut story = Vec::new();
        let mut ready = 0;
        while ready < count {
            let told = self.event();
            ready += usize::from(told.contains("Ready"));
            if !told.starts_with("Parameter ") && told != "CancelKey" {
                story.push(told);
            }
        }
        story
    }
}

fn describe(event: &Event<'_, '_, u32, ()>) -> String {
    let what = match &event.what {
        What::Completed { tag, .. } => format!("Completed {tag}"),
        What::Failed { code, skipped, .. } => {
            format!("Failed {code} skips {}", skipped.end.0 - skipped.start.0)
        }
        What::Refused { skipped } => format!("Refused skips {}", skipped.end.0 - skipped.start.0),
        What::Columns { of, has_columns } => format!("{of:?} {has_columns}"),
        What::Ready(status) => format!("Ready {status:?}"),
        What::Suspended { tally } => format!("Suspended after {}", tally.rows),
        What::Parameter { .. } => "Parameter ".to_owned(),
        other => format!("{other:?}"),
    };
    let plan = event
        .statement
        .map(|statement| format!(" of {}", statement.plan))
        .unwrap_or_default();
    let disposal = match event.disposal {
        Disposal::Forward => "",
        Disposal::Swallow => " swallowed",
        Disposal::Replace(_) => " replaced",
    };
    format!("{what}{plan}{disposal}")
}
