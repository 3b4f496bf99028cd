//! Weir's own login at the server, with the credential that only Weir holds.
//!
//! ```text
//!   SslAnswer ─ S ─▶ Handshake ─▶ Exchange ─ AuthenticationOk ─▶ in
//!       └────── N ────────────────────▲
//! ```

use std::sync::Arc;

use bytes::Bytes;
use weir_facts::{Digest, Side};
use weir_postgres::auth::{AwaitFinal, Binding, ScramClient, md5_response};
use weir_postgres::frame::{ServerReader, ServerTag, Step, Streamed};
use weir_postgres::message::{Authentication, Notice, Password, SaslInitialResponse};
use weir_postgres::startup::{
    Parameter, ServerStartup, Setting, StartupMessage, encode_ssl_request,
};
use zeroize::Zeroizing;

use super::end::{End, unreadable};
use crate::io::{Env, Piece};
use crate::world::{Attribution, Connection, Credential, Derived, TlsMode};

/// Longest `application_name` that a server keeps (`NAMEDATALEN` − 1).
const APPLICATION_NAME_BYTES: usize = 63;

/// A login under way.
pub(crate) struct Login {
    phase: Phase,
    startup: Bytes,
    role: Arc<str>,
    password: Zeroizing<String>,
    derived: Arc<Derived>,
    mode: TlsMode,
    encrypted: Option<Option<Digest>>,
}

enum Phase {
    SslAnswer,
    Handshake,
    Exchange { reader: ServerReader, scram: Scram },
    Over,
}

enum Scram {
    Not,
    First(Box<ScramClient>),
    Final(Box<AwaitFinal>),
    /// The server has proved that it knows the password, too.
    Done,
}

/// How far it is.
pub(crate) enum Logged {
    /// The server has to say more.
    Wait,
    /// It has accepted us; its reader stands behind AuthenticationOk.
    In(ServerReader),
}

impl Login {
    /// Begins: the first bytes to the server.
    pub(crate) fn begin(
        env: &mut Env<'_>,
        connection: &Connection,
        credential: &Credential,
        startup: &StartupMessage,
        name: Option<String>,
    ) -> Result<Self, End> {
        let parameters = parameters(startup, name);
        let mut packet = Vec::new();
        ServerStartup {
            version: startup.version,
            user: &credential.role,
            database: &startup.database,
            parameters: &parameters,
            client_min_messages: None,
        }
        .encode(&mut packet)
        .map_err(|error| End::client(&error.to_string()))?;
        let mut login = Self {
            phase: Phase::SslAnswer,
            startup: packet.into(),
            role: credential.role.clone(),
            password: credential.password.clone(),
            derived: credential.derived.clone(),
            mode: connection.tls.mode,
            encrypted: None,
        };
        match login.mode {
            TlsMode::Disable => login.start(env),
            TlsMode::Prefer | TlsMode::Require | TlsMode::VerifyFull => {
                let mut request = Vec::new();
                encode_ssl_request(&mut request);
                env.out.to_server.push(Piece::Bytes(request.into()));
            }
        }
        Ok(login)
    }

    fn start(&mut self, env: &mut Env<'_>) {
        env.out.to_server.push(Piece::Bytes(self.startup.clone()));
        self.phase = Phase::Exchange {
            reader: ServerReader::new(),
            scram: Scram::Not,
        };
    }

    /// The handshake with the server ended well.
    pub(crate) fn encrypted(&mut self, env: &mut Env<'_>, channel_binding: Option<Digest>) {
        self.encrypted = Some(channel_binding);
        self.start(env);
    }

    /// Reads what the server said.
    pub(crate) fn handle_bytes(
        &mut self,
        env: &mut Env<'_>,
        input: &mut [u8],
        at: &mut usize,
    ) -> Result<Logged, End> {
        match &self.phase {
            Phase::SslAnswer => {
                self.ssl_answer(env, input, at)?;
                Ok(Logged::Wait)
            }
            Phase::Handshake | Phase::Over => Ok(Logged::Wait),
            Phase::Exchange { .. } => self.exchange(env, input, at),
        }
    }

    /// One byte. More behind it was sent by somebody in between (CVE-2021-23222).
    fn ssl_answer(&mut self, env: &mut Env<'_>, input: &[u8], at: &mut usize) -> Result<(), End> {
        let rest = input.get(*at..).unwrap_or_default();
        match (rest, self.mode) {
            ([], _) => {}
            ([b'S'], _) => {
                *at += 1;
                env.out.to_server.push(Piece::StartTls {
                    role: Some(self.role.clone()),
                });
                self.phase = Phase::Handshake;
            }
            ([b'N'], TlsMode::Prefer) => {
                *at += 1;
                self.start(env);
            }
            ([b'N'], _) => {
                return Err(End::Unserved(
                    "it offers no TLS, which this connection needs".to_owned(),
                ));
            }
            _ => return Err(End::server("an answer to SSLRequest that is none")),
        }
        Ok(())
    }

    fn exchange(
        &mut self,
        env: &mut Env<'_>,
        input: &mut [u8],
        at: &mut usize,
    ) -> Result<Logged, End> {
        let Phase::Exchange {
            mut reader,
            mut scram,
        } = std::mem::replace(&mut self.phase, Phase::Over)
        else {
            return Ok(Logged::Wait);
        };
        loop {
            let step = reader
                .next(input, at, Streamed::NONE)
                .map_err(|error| unreadable(Side::Server, error))?;
            let Some(Step::Frame(frame)) = step else {
                break;
            };
            match frame.tag {
                ServerTag::Authentication => {
                    let request = Authentication::parse(frame.body()).map_err(End::server)?;
                    if let Authentication::Ok = request {
                        return if matches!(scram, Scram::Not | Scram::Done) {
                            Ok(Logged::In(reader))
                        } else {
                            Err(End::server("accepted without its own proof"))
                        };
                    }
                    scram = self.answer(env, &request, scram)?;
                }
                // An older minor version is spoken; nothing of ours depends on a newer one.
                ServerTag::NegotiateProtocolVersion => {}
                ServerTag::ErrorResponse => return Err(refused(frame.body())),
                ServerTag::NoticeResponse => {}
                other => return Err(End::server(format!("{other:?} during authentication"))),
            }
        }
        self.phase = Phase::Exchange { reader, scram };
        Ok(Logged::Wait)
    }

    fn answer(
        &self,
        env: &mut Env<'_>,
        request: &Authentication<'_>,
        scram: Scram,
    ) -> Result<Scram, End> {
        let mut out = Vec::new();
        let next = match (request, scram) {
            (Authentication::CleartextPassword, Scram::Not) => {
                // Whoever poses as the server would have it.
                if self.encrypted.is_none() || self.mode != TlsMode::VerifyFull {
                    return Err(End::Unserved(
                        "it asks for a cleartext password, which it gets inside verified TLS only (tls verify-full)"
                            .to_owned(),
                    ));
                }
                Password {
                    password: self.password.as_bytes(),
                }
                .encode(&mut out);
                Scram::Not
            }
            (Authentication::Md5Password { salt }, Scram::Not) => {
                let response = md5_response(&self.role, &self.password, *salt);
                Password {
                    password: response.as_bytes(),
                }
                .encode(&mut out);
                Scram::Not
            }
            (Authentication::Sasl { .. }, Scram::Not) => {
                let mut random = [0; 18];
                (env.random)(&mut random);
                let binding = self.encrypted.flatten();
                let binding = binding
                    .as_ref()
                    .map_or(Binding::None, |digest| Binding::Prefer(&digest.0));
                let client =
                    ScramClient::new(request.mechanisms(), binding, &random).map_err(unserved)?;
                SaslInitialResponse {
                    mechanism: client.mechanism(),
                    data: Some(client.first()),
                }
                .encode(&mut out);
                Scram::First(Box::new(client))
            }
            (Authentication::SaslContinue { data }, Scram::First(client)) => {
                let known = self.derived.keys();
                let (next, proof) = client
                    .on_server_first(data, &self.password, known.as_ref())
                    .map_err(unserved)?;
                SaslInitialResponse::encode_response(&proof, &mut out);
                Scram::Final(Box::new(next))
            }
            (Authentication::SaslFinal { data }, Scram::Final(client)) => {
                self.derived
                    .keep(client.on_server_final(data).map_err(unserved)?);
                return Ok(Scram::Done);
            }
            _ => {
                return Err(End::Unserved(
                    "it asks for an authentication that Weir does not give".to_owned(),
                ));
            }
        };
        env.out.to_server.push(Piece::Bytes(out.into()));
        Ok(next)
    }
}

fn unserved(error: impl ToString) -> End {
    End::Unserved(error.to_string())
}

/// The server's refusal of our login is for the record: it can name roles and addresses.
fn refused(body: &[u8]) -> End {
    let text = Notice::parse(body)
        .ok()
        .and_then(|notice| notice.field(b'M'))
        .unwrap_or_default();
    End::Unserved(String::from_utf8_lossy(text).into_owned())
}

/// The name that the session gets at the server, with the principal before the client's own, and
/// that own one; `None` where the server's log is not to name the principal.
pub(crate) fn named<'s>(
    env: &Env<'_>,
    connection: &Connection,
    startup: &'s StartupMessage,
    principal: &str,
) -> Option<(String, &'s str)> {
    match (env.world.settings.attribution, connection.attribution) {
        (Attribution::ApplicationName, Attribution::ApplicationName) => {}
        (Attribution::Off, _) | (_, Attribution::Off) => return None,
    }
    let mut parameters = startup.parameters.iter();
    let own = parameters.find(|parameter| parameter.setting == Setting::ApplicationName);
    let own = own.map_or("", |parameter| parameter.value.as_str());
    let mut sent = format!("weir:{principal}/{own}");
    sent.truncate(sent.floor_char_boundary(APPLICATION_NAME_BYTES));
    Some((sent, own))
}

/// The client's parameters, with another `application_name` where it gets one.
fn parameters(startup: &StartupMessage, name: Option<String>) -> Vec<Parameter> {
    let mut parameters = startup.parameters.clone();
    let Some(value) = name else {
        return parameters;
    };
    let is_name = |parameter: &Parameter| parameter.setting == Setting::ApplicationName;
    if let Some(own) = parameters.iter().position(is_name) {
        parameters.remove(own);
    }
    parameters.push(Parameter {
        setting: Setting::ApplicationName,
        value,
    });
    parameters
}
