//! How the client proves who it is.
//!
//! The first login rule of the connection that fits the start-up user decides how it is asked. Where
//! none does: a certificate that names an account, else the account of the start-up user's name (its
//! secret by SCRAM, or its token as the password), else the attested workload alone; and a name that
//! nobody has is asked as one with a secret is, so that its being unknown is not told.

use std::sync::Arc;

use weir_facts::{Agent, Identity, Side};
use weir_postgres::auth::{
    self, AwaitProof, Bearer, DUMMY_RESPONSE, OAUTHBEARER, ScramServer, Verifier,
};
use weir_postgres::frame::{ClientReader, ClientTag, Step, Streamed};
use weir_postgres::message::{Authentication, Password, SaslInitialResponse};
use weir_postgres::refuse::SqlState;
use weir_postgres::startup::StartupMessage;
use zeroize::Zeroizing;

use super::end::{End, unreadable};
use super::opening::Encryption;
use super::refusal::Refusal;
use crate::io::{Arrival, Effect, Env, Piece};
use crate::token::TokenError;
use crate::world::{Account, Connection, LoginMethod, World};

/// How long a client waits for the keys of its token's issuer: the control plane fetches them in a
/// second, or not at all.
const KEYS_WAIT_NS: u64 = 5_000_000_000;

/// What is known of a client that is about to be asked.
pub(crate) struct Asking<'a> {
    pub(crate) arrival: &'a Arrival,
    pub(crate) connection: &'a Connection,
    pub(crate) encryption: Encryption,
    /// What its verified certificate names.
    pub(crate) names: &'a [Arc<str>],
}

/// Who a client proved to be. Nobody: the attested workload alone.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub(crate) identity: Option<Arc<Identity>>,
    pub(crate) agent: Option<Arc<Agent>>,
}

impl Who {
    pub(crate) const NOBODY: Self = Self {
        identity: None,
        agent: None,
    };

    fn account(account: &Account) -> Self {
        Self {
            identity: Some(account.identity.clone()),
            agent: None,
        }
    }
}

/// What a start-up led to.
pub(crate) enum Challenge {
    /// The client was asked.
    Prove(Proof),
    /// Nothing more is needed.
    Known(Box<StartupMessage>, Who),
}

/// Whether the client is known by now.
pub(crate) enum Proven {
    /// It has to say more, or its token's keys have to come.
    Wait,
    /// This is it.
    Known(Who),
}

/// A client that proves itself.
pub(crate) struct Proof {
    reader: ClientReader,
    startup: Box<StartupMessage>,
    method: Method,
}

/// ```text
///   Scram ── SASLInitialResponse ──▶ Challenged ── SASLResponse ──▶ proven
///   Password ── PasswordMessage ──▶ proven, or Keys
///   Bearer ── SASLInitialResponse ──▶ proven, Keys or Failed
///      └─ without a message ─▶ Awaited ── SASLResponse ──▶ proven, Keys or Failed
///   Keys ── WorldChanged ──▶ proven or Failed; the deadline ──▶ Failed
///   Failed ── SASLResponse ──▶ FATAL
/// ```
enum Method {
    Scram(Box<ScramServer>, Option<Arc<Account>>),
    Challenged(Box<AwaitProof>, Option<Arc<Account>>),
    Password,
    Bearer,
    Awaited,
    Keys(Pending),
    /// The client was told where it gets a token; the reason is for the record.
    Failed(String),
    Over,
}

/// A token whose key is not known yet.
struct Pending {
    token: Zeroizing<String>,
    by: By,
    until_ns: u64,
}

/// How a token came.
#[derive(Clone, Copy)]
enum By {
    Password,
    OauthBearer,
}

impl Asking<'_> {
    /// Asks the client by the method of its start-up user.
    pub(crate) fn challenge(
        &self,
        env: &mut Env<'_>,
        startup: Box<StartupMessage>,
    ) -> Result<Challenge, End> {
        let account = env.world.accounts.get(&*startup.user).cloned();
        let bearer = env.world.certificate(self.names);
        let method = self.connection.login.method(&startup.user);
        let method = method.unwrap_or_else(|| self.default_method(bearer, account.as_deref()));
        let mut out = Vec::new();
        startup.negotiate(&mut out);
        let asked = match method {
            LoginMethod::Certificate => Err(bearer
                .map(|account| Who::account(account))
                .ok_or_else(|| self.no_certificate())?),
            LoginMethod::Workload => Err(self.workload()?),
            LoginMethod::Secret => Ok(self.secret(env, account, &startup.user, &mut out)?),
            LoginMethod::Token => Ok(self.token(&mut out)?),
            LoginMethod::OauthBearer => Ok(self.oauth_bearer(env.world, &mut out)?),
        };
        if !out.is_empty() {
            env.out.to_client.push(Piece::Bytes(out.into()));
        }
        Ok(match asked {
            Err(who) => Challenge::Known(startup, who),
            Ok(method) => Challenge::Prove(Proof {
                reader: ClientReader::new(),
                startup,
                method,
            }),
        })
    }

    fn default_method(
        &self,
        bearer: Option<&Arc<Account>>,
        account: Option<&Account>,
    ) -> LoginMethod {
        match account {
            _ if bearer.is_some() => LoginMethod::Certificate,
            Some(account) if account.scram_verifier.is_none() && account.has_token => {
                LoginMethod::Token
            }
            None if self.arrival.workload.is_some() => LoginMethod::Workload,
            Some(_) | None => LoginMethod::Secret,
        }
    }

    fn workload(&self) -> Result<Who, End> {
        if self.arrival.workload.is_some() {
            return Ok(Who::NOBODY);
        }
        let refusal = Refusal::new(
            SqlState::INVALID_AUTHORIZATION,
            "weir: this user is for processes of guarded hosts only",
        );
        Err(refusal.into())
    }

    fn no_certificate(&self) -> End {
        let inside = match self.names {
            [] => "no client certificate".to_owned(),
            names => format!("no one account has a certificate of {}", names.join(", ")),
        };
        Refusal::new(
            SqlState::INVALID_AUTHORIZATION,
            "weir: this user needs a client certificate that an account is registered for",
        )
        .hint("connect with sslmode=require, sslcert and sslkey; weir account certificate registers a name")
        .inside(inside)
        .into()
    }

    fn token(&self, out: &mut Vec<u8>) -> Result<Method, End> {
        self.inside_tls()?;
        Authentication::encode_cleartext_password(out);
        Ok(Method::Password)
    }

    fn oauth_bearer(&self, world: &World, out: &mut Vec<u8>) -> Result<Method, End> {
        self.inside_tls()?;
        if world.authentication.providers.is_empty() {
            return Err(no_provider());
        }
        Authentication::encode_sasl(&[OAUTHBEARER], out);
        Ok(Method::Bearer)
    }

    fn inside_tls(&self) -> Result<(), End> {
        if matches!(self.encryption, Encryption::Up(_)) {
            return Ok(());
        }
        Err(Refusal::new(
            SqlState::INVALID_AUTHORIZATION,
            "weir: a token is taken inside TLS only",
        )
        .hint("connect with sslmode=require")
        .into())
    }

    fn secret(
        &self,
        env: &Env<'_>,
        account: Option<Arc<Account>>,
        user: &str,
        out: &mut Vec<u8>,
    ) -> Result<Method, End> {
        let binding = match self.encryption {
            Encryption::Up(binding) => binding,
            Encryption::None | Encryption::Handshake => None,
        };
        let verifier = account
            .as_ref()
            .and_then(|account| account.scram_verifier.as_deref());
        let verifier = match verifier {
            Some(text) => text
                .parse()
                .map_err(|_| End::Broken("a SCRAM verifier that does not parse"))?,
            None => Verifier::mock(user, &env.world.mock_key),
        };
        let server = ScramServer::new(verifier, binding.map(|digest| digest.0.to_vec()));
        Authentication::encode_sasl(server.mechanisms(), out);
        Ok(Method::Scram(Box::new(server), account))
    }
}

impl Proof {
    pub(crate) fn into_startup(self) -> Box<StartupMessage> {
        self.startup
    }

    /// When the wait for keys is over, if there is one.
    pub(crate) fn deadline(&self) -> Option<u64> {
        match &self.method {
            Method::Keys(pending) => Some(pending.until_ns),
            Method::Scram(..)
            | Method::Challenged(..)
            | Method::Password
            | Method::Bearer
            | Method::Awaited
            | Method::Failed(_)
            | Method::Over => None,
        }
    }

    pub(crate) fn handle_bytes(
        &mut self,
        env: &mut Env<'_>,
        connection: &Connection,
        input: &mut [u8],
        at: &mut usize,
    ) -> Result<Proven, End> {
        while !matches!(self.method, Method::Keys(_)) {
            let step = self.reader.next(input, at, Streamed::NONE);
            let Some(step) = step.map_err(|error| unreadable(Side::Client, error))? else {
                break;
            };
            let Step::Frame(frame) = step else {
                return Err(End::Broken("a streamed authentication message"));
            };
            if frame.tag != ClientTag::Authentication {
                return Err(End::client("something else than an authentication message"));
            }
            let proven = answer(&mut self.method, env, connection, frame.body())?;
            if matches!(proven, Proven::Known(_)) {
                return Ok(proven);
            }
        }
        Ok(Proven::Wait)
    }

    /// There may be new keys.
    pub(crate) fn on_world(
        &mut self,
        env: &mut Env<'_>,
        connection: &Connection,
    ) -> Result<Proven, End> {
        match std::mem::replace(&mut self.method, Method::Over) {
            Method::Keys(pending) => {
                let judged = judge(env, connection, &pending.token);
                match judged {
                    Err(TokenError::Key { .. }) => {
                        self.method = Method::Keys(pending);
                        Ok(Proven::Wait)
                    }
                    Ok(who) => Ok(Proven::Known(who)),
                    Err(error) => {
                        self.method = fail(env, pending.by, &error.to_string())?;
                        Ok(Proven::Wait)
                    }
                }
            }
            other => {
                self.method = other;
                Ok(Proven::Wait)
            }
        }
    }

    /// Time has passed.
    pub(crate) fn on_deadline(&mut self, env: &mut Env<'_>) -> Result<(), End> {
        let is_over = |pending: &Pending| env.now.mono_ns >= pending.until_ns;
        if let Method::Keys(pending) = &self.method
            && is_over(pending)
        {
            let by = pending.by;
            self.method = fail(env, by, "the token's key is unknown, and no new keys came")?;
        }
        Ok(())
    }
}

fn answer(
    method: &mut Method,
    env: &mut Env<'_>,
    connection: &Connection,
    body: &[u8],
) -> Result<Proven, End> {
    let mut out = Vec::new();
    let (next, proven) = match std::mem::replace(method, Method::Over) {
        Method::Password => {
            let password = Password::parse(body)?;
            let token = std::str::from_utf8(password.password)
                .map_err(|_| wrong_password("a password that is not UTF-8"))?;
            take_token(env, connection, By::Password, token)?
        }
        Method::Bearer => {
            let initial = SaslInitialResponse::parse(body)?;
            if initial.mechanism != OAUTHBEARER {
                return Err(End::client("a mechanism that was not offered"));
            }
            match initial.data {
                Some(message) => take_bearer(env, connection, message)?,
                None => {
                    Authentication::encode_sasl_continue(&[], &mut out);
                    (Method::Awaited, Proven::Wait)
                }
            }
        }
        Method::Awaited => take_bearer(env, connection, body)?,
        Method::Failed(inside) if body == DUMMY_RESPONSE => return Err(bad_token(&inside)),
        Method::Failed(_) => return Err(End::client("more after a failed authentication")),
        Method::Scram(server, account) => {
            let initial = SaslInitialResponse::parse(body)?;
            let mut nonce = [0; 18];
            (env.random)(&mut nonce);
            let data = initial.data.unwrap_or_default();
            let (next, challenge) = server
                .on_client_first(initial.mechanism, data, &nonce)
                .map_err(|error| wrong_password(&error.to_string()))?;
            Authentication::encode_sasl_continue(&challenge, &mut out);
            (Method::Challenged(Box::new(next), account), Proven::Wait)
        }
        Method::Challenged(server, account) => {
            let (_, last) = server
                .on_client_final(body)
                .map_err(|error| wrong_password(&error.to_string()))?;
            let account = account.ok_or_else(|| wrong_password("an unknown user"))?;
            Authentication::encode_sasl_final(&last, &mut out);
            (Method::Over, Proven::Known(Who::account(&account)))
        }
        Method::Keys(_) | Method::Over => {
            return Err(End::client("an authentication message too many"));
        }
    };
    *method = next;
    if !out.is_empty() {
        env.out.to_client.push(Piece::Bytes(out.into()));
    }
    Ok(proven)
}

fn take_bearer(
    env: &mut Env<'_>,
    connection: &Connection,
    message: &[u8],
) -> Result<(Method, Proven), End> {
    match auth::bearer(message) {
        Ok(Bearer::Token(token)) => take_token(env, connection, By::OauthBearer, token),
        Ok(Bearer::Discovery) => {
            let asks = "the client has no token yet, and was told where it gets one";
            Ok((fail(env, By::OauthBearer, asks)?, Proven::Wait))
        }
        Err(error) => Err(End::client(&error.to_string())),
    }
}

fn take_token(
    env: &mut Env<'_>,
    connection: &Connection,
    by: By,
    token: &str,
) -> Result<(Method, Proven), End> {
    match judge(env, connection, token) {
        Ok(who) => Ok((Method::Over, Proven::Known(who))),
        Err(TokenError::Key { issuer, .. }) => {
            env.out.effects.push(Effect::RefreshKeys(issuer));
            let pending = Pending {
                token: Zeroizing::new(token.to_owned()),
                by,
                until_ns: env.now.mono_ns.saturating_add(KEYS_WAIT_NS),
            };
            Ok((Method::Keys(pending), Proven::Wait))
        }
        Err(error) => Ok((fail(env, by, &error.to_string())?, Proven::Wait)),
    }
}

fn judge(env: &Env<'_>, connection: &Connection, token: &str) -> Result<Who, TokenError> {
    let bearer = env.world.bearer(token, &connection.name, env.now.unix_us)?;
    Ok(Who {
        identity: Some(bearer.identity),
        agent: bearer.agent,
    })
}

/// A token that is not accepted: a password is refused at once; OAUTHBEARER tells where there are
/// tokens, and the client has to acknowledge that.
fn fail(env: &mut Env<'_>, by: By, inside: &str) -> Result<Method, End> {
    match by {
        By::Password => Err(wrong_password(inside)),
        By::OauthBearer => {
            let provider = env.world.authentication.providers.first();
            let provider = provider.ok_or_else(no_provider)?;
            let json = auth::failure(&provider.configuration, &provider.scope);
            let mut out = Vec::new();
            Authentication::encode_sasl_continue(&json, &mut out);
            env.out.to_client.push(Piece::Bytes(out.into()));
            Ok(Method::Failed(inside.to_owned()))
        }
    }
}

fn no_provider() -> End {
    Refusal::new(
        SqlState::INVALID_AUTHORIZATION,
        "weir: tokens are asked of this user, but no identity provider is registered",
    )
    .hint("weir idp add registers one")
    .into()
}

fn wrong_password(inside: &str) -> End {
    Refusal::new(SqlState::INVALID_PASSWORD, "weir: authentication failed")
        .hint("the password is the Weir secret or token of the account that the user name names, or a token of an identity provider for this connection")
        .inside(format!("authentication failed: {inside}"))
        .into()
}

fn bad_token(inside: &str) -> End {
    Refusal::new(
        SqlState::INVALID_AUTHORIZATION,
        "weir: OAuth bearer authentication failed",
    )
    .hint("get a token for this connection from the identity provider")
    .inside(format!("bearer token refused: {inside}"))
    .into()
}
