//! Which request an answer belongs to, and to whom a session, a stream and a server's
//! request belong.
//!
//! A session spreads over many connections, and those over many workers and restarts of
//! Weir. So nothing is looked up in a table that all of them would have to share: what
//! must be known later is sealed into the names that the client brings back. The session
//! id, the ids of events and the ids of the server's requests carry a tag that only Weir
//! can make, bound to connection, caller and session. What is only known while a stream
//! is open, its unanswered requests, is in [`Pending`].

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;
use weir_facts::ConnectionName;

use crate::json::{Document, quote};
use crate::limits::{
    ENDPOINT_BYTES_MAX, ID_BYTES_MAX, PENDING_PER_SESSION_MAX, PENDING_PER_STREAM_MAX,
    REQUEST_STATE_BYTES_MAX, SEALED_EVENT_ID_BYTES_MAX, SEALED_REQUEST_ID_BYTES_MAX,
    SEALED_TASK_ID_BYTES_MAX, SESSION_ID_BYTES_MAX,
};
use crate::message::{Id, IdKey};

/// Why a request cannot be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PendingError {
    /// A request with this id is unanswered.
    #[error("id is in use")]
    InUse,
    /// Too many are unanswered.
    #[error("too many requests are unanswered")]
    Full,
}

/// The unanswered requests of one stream, each with what the caller keeps of it. An
/// answer to none of them is to be dropped: it could carry what nobody was allowed to
/// ask for.
#[derive(Debug)]
pub struct Pending<P> {
    asked: HashMap<IdKey, (Id, P)>,
    most: usize,
}

impl<P> Default for Pending<P> {
    fn default() -> Self {
        Self {
            asked: HashMap::new(),
            most: PENDING_PER_STREAM_MAX,
        }
    }
}

impl<P> Pending<P> {
    /// Those of a session whose one stream answers everything (2024-11-05).
    #[must_use]
    pub fn of_session() -> Self {
        Self {
            most: PENDING_PER_SESSION_MAX,
            ..Self::default()
        }
    }

    /// Whether a request with this id could be remembered.
    ///
    /// # Errors
    /// Where its id is in use, or too many are unanswered.
    pub fn may_ask(&self, id: &Id) -> Result<(), PendingError> {
        if self.asked.contains_key(id.key()) {
            return Err(PendingError::InUse);
        }
        if self.asked.len() >= self.most {
            return Err(PendingError::Full);
        }
        Ok(())
    }

    /// Remembers a request.
    ///
    /// # Errors
    /// Where its id is in use, or too many are unanswered.
    pub fn ask(&mut self, id: Id, plan: P) -> Result<(), PendingError> {
        self.may_ask(&id)?;
        self.asked.insert(id.key().clone(), (id, plan));
        Ok(())
    }

    /// Finds a request without ending it.
    #[must_use]
    pub fn get(&self, id: &Id) -> Option<&P> {
        self.asked.get(id.key()).map(|(_, plan)| plan)
    }

    /// Ends a request; `None` where there was none.
    pub fn answer(&mut self, id: &Id) -> Option<P> {
        self.asked.remove(id.key()).map(|(_, plan)| plan)
    }

    /// What is unanswered, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Id, &P)> {
        self.asked.values().map(|(id, plan)| (id, plan))
    }

    /// Takes everything that is unanswered.
    pub fn drain(&mut self) -> impl Iterator<Item = (Id, P)> {
        self.asked.drain().map(|(_, entry)| entry)
    }

    /// Whether nothing is unanswered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    /// How many are unanswered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.asked.len()
    }
}

/// A request that a resumed stream may still answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumable {
    /// Its method, as sent.
    pub method: String,
    /// Tool, prompt or resource; empty where it names none.
    pub subject: String,
    /// Its id.
    pub id: Id,
}

/// Makes and checks sealed names. The key is secret and the same for every worker.
#[derive(Clone)]
pub struct Seal {
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(…)")
    }
}

/// To whom a sealed name belongs. All of it is part of every tag.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    /// The registered server.
    pub connection: &'a ConnectionName,
    /// Tells callers apart: equal for the same caller only.
    pub caller: &'a [u8],
    /// The session at the server; empty where the server has none.
    pub session: &'a str,
}

/// What a client has declared of itself when it opened its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// It can have its person open a URL (2025-11-25, `elicitation.url`).
    pub opens_urls: bool,
}

impl Client {
    /// As names carry it. No letter of it is a digit of a tag.
    const fn declared(self) -> &'static str {
        if self.opens_urls { "u" } else { "" }
    }

    fn split(tag: &str) -> (Self, &str) {
        let rest = tag.strip_prefix('u');
        let opens_urls = rest.is_some();
        (Self { opens_urls }, rest.unwrap_or(tag))
    }
}

/// What a name is used for, so that none can stand in for another.
#[derive(Clone, Copy)]
enum Use {
    Session,
    Event,
    Request,
    Task,
    State,
    Endpoint,
}

/// What is sealed stands for nothing else.
const UNBOUND: &[u8] = &[];

/// Hexadecimal digits of a tag: 128 bits.
const TAG_DIGITS: usize = 32;

/// Bytes of a tag that also encrypts.
const TAG_BYTES: usize = 16;

/// Who made what a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The server, which gets it back.
    Server,
    /// Weir itself: the server has never heard of it.
    Weir,
}

impl Origin {
    const fn byte(self) -> u8 {
        match self {
            Self::Server => b's',
            Self::Weir => b'w',
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        match byte {
            b's' => Some(Self::Server),
            b'w' => Some(Self::Weir),
            _ => None,
        }
    }
}

/// What a client is to bring back with its retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State<'a> {
    /// Who made it.
    pub origin: Origin,
    /// When it expires, in seconds since 1970.
    pub expires_s: u64,
    /// What it is.
    pub content: &'a str,
}

impl Seal {
    /// A seal with this key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        // A key shorter than a block is taken as it is (RFC 2104 §2).
        let mut block = [0; 64];
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        Self {
            mac: Hmac::new(&block.into()),
        }
    }

    fn tag(&self, purpose: Use, holder: &Holder<'_>, name: &[u8]) -> String {
        let mac = self.over(purpose, holder, name);
        let mut tag = weir_facts::Digest(mac.finalize().into_bytes().into()).to_string();
        tag.truncate(TAG_DIGITS);
        tag
    }

    fn over(&self, purpose: Use, holder: &Holder<'_>, name: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        let purpose: &[u8] = match purpose {
            Use::Session => b"session",
            Use::Event => b"event",
            Use::Request => b"request",
            Use::Task => b"task",
            Use::State => b"state",
            Use::Endpoint => b"endpoint",
        };
        let parts: [&[u8]; 5] = [
            purpose,
            holder.connection.as_str().as_bytes(),
            holder.caller,
            holder.session.as_bytes(),
            name,
        ];
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }

    fn check(&self, purpose: Use, holder: &Holder<'_>, name: &[u8], tag: &str) -> bool {
        let expected = self.tag(purpose, holder, name);
        // No early exit: how long the comparison takes tells nothing of the tag.
        let differences = expected
            .bytes()
            .zip(tag.bytes())
            .fold(0, |all, (one, other)| all | (one ^ other));
        expected.len() == tag.len() && differences == 0
    }

    /// The name that a client gets for the server's session `holder.session`, with what the
    /// client has declared of itself. `None` for one that is not visible ASCII or too long
    /// (MCP transports, "Session Management").
    #[must_use]
    pub fn session(&self, holder: &Holder<'_>, client: Client) -> Option<String> {
        let id = holder.session;
        let is_plain = !id.is_empty()
            && id.len() <= SESSION_ID_BYTES_MAX
            && id.bytes().all(|byte| byte.is_ascii_graphic());
        let declared = client.declared();
        is_plain.then(|| {
            let tag = self.tag(Use::Session, holder, declared.as_bytes());
            format!("{id}.{declared}{tag}")
        })
    }

    /// The same without showing the server's own name for it, which may be a value that is
    /// masked everywhere else.
    #[must_use]
    pub fn concealed_session(&self, holder: &Holder<'_>, client: Client) -> Option<String> {
        let id = holder.session;
        let is_short = !id.is_empty() && id.len() <= SESSION_ID_BYTES_MAX;
        let nameless = Holder {
            session: "",
            ..*holder
        };
        is_short.then(|| {
            let content = format!("{}.{id}", client.declared());
            let content = content.as_bytes();
            self.conceal(Use::Session, &nameless, UNBOUND, Origin::Server, content)
        })
    }

    /// The server's session of a name that this caller was given, and what the client had
    /// declared; `None` for another's, which cannot be told from one that never was.
    #[must_use]
    pub fn open_session(
        &self,
        connection: &ConnectionName,
        caller: &[u8],
        shown: &str,
    ) -> Option<(String, Client)> {
        let holder = |session| Holder {
            connection,
            caller,
            session,
        };
        let Some((session, tag)) = shown.rsplit_once('.') else {
            return self.open_concealed_session(&holder(""), shown);
        };
        let (client, tag) = Client::split(tag);
        let declared = client.declared().as_bytes();
        (session.len() <= SESSION_ID_BYTES_MAX
            && self.check(Use::Session, &holder(session), declared, tag))
        .then(|| (session.to_owned(), client))
    }

    fn open_concealed_session(&self, holder: &Holder<'_>, shown: &str) -> Option<(String, Client)> {
        if shown.len() > 2 * SESSION_ID_BYTES_MAX {
            return None;
        }
        let (_, content) = self.uncover(Use::Session, holder, UNBOUND, shown)?;
        let content = String::from_utf8(content).ok()?;
        let (declared, session) = content.split_once('.')?;
        let (client, _) = Client::split(declared);
        Some((session.to_owned(), client))
    }

    /// The id that a client gets for the server's event `id`, on a stream that may still
    /// answer `asked`. `None` where it would be too long for a header: that event cannot
    /// be resumed from.
    pub fn event<'r>(
        &self,
        holder: &Holder<'_>,
        id: &str,
        asked: impl IntoIterator<Item = &'r Resumable>,
    ) -> Option<String> {
        let mut context = Vec::with_capacity(64);
        context.push(b'[');
        quote(id, &mut context);
        for request in asked {
            context.extend_from_slice(b",[");
            quote(&request.method, &mut context);
            context.push(b',');
            quote(&request.subject, &mut context);
            context.push(b',');
            context.extend_from_slice(request.id.raw());
            context.push(b']');
        }
        context.push(b']');
        let shown = self.conceal(Use::Event, holder, UNBOUND, Origin::Server, &context);
        (shown.len() <= SEALED_EVENT_ID_BYTES_MAX).then_some(shown)
    }

    /// The server's event id, and what the stream may still answer, of an id that this
    /// caller was given in this session.
    #[must_use]
    pub fn open_event(&self, holder: &Holder<'_>, shown: &str) -> Option<(String, Vec<Resumable>)> {
        if shown.len() > SEALED_EVENT_ID_BYTES_MAX {
            return None;
        }
        let (_, context) = self.uncover(Use::Event, holder, UNBOUND, shown)?;
        let document = Document::parse(&context).ok()?;
        let root = document.root();
        let mut elements = root.elements();
        let id = elements.next()?.text()?.into_owned();
        let asked = elements.map(|request| {
            let mut parts = request.elements();
            let method = parts.next()?.text()?.into_owned();
            let subject = parts.next()?.text()?.into_owned();
            Some(Resumable {
                method,
                subject,
                id: Id::read(&parts.next()?)?,
            })
        });
        Some((id, asked.collect::<Option<_>>()?))
    }

    /// The id that a client gets for a task, made by a call of `tool`. `None` where it
    /// would be too long for a header.
    #[must_use]
    pub fn task(
        &self,
        holder: &Holder<'_>,
        origin: Origin,
        id: &str,
        tool: &str,
    ) -> Option<String> {
        let mut content = vec![b'['];
        quote(id, &mut content);
        content.push(b',');
        quote(tool, &mut content);
        content.push(b']');
        let shown = self.conceal(Use::Task, holder, UNBOUND, origin, &content);
        (shown.len() <= SEALED_TASK_ID_BYTES_MAX).then_some(shown)
    }

    /// Whose task it is, its id there, and the tool whose call made it, of an id that this
    /// caller was given.
    #[must_use]
    pub fn open_task(&self, holder: &Holder<'_>, shown: &str) -> Option<(Origin, String, String)> {
        if shown.len() > SEALED_TASK_ID_BYTES_MAX {
            return None;
        }
        let (origin, content) = self.uncover(Use::Task, holder, UNBOUND, shown)?;
        let document = Document::parse(&content).ok()?;
        let root = document.root();
        let mut parts = root.elements();
        let id = parts.next()?.text()?.into_owned();
        let tool = parts.next()?.text()?.into_owned();
        Some((origin, id, tool))
    }

    /// What a client gets as `requestState`, to bring back within `life_s` with the
    /// request that `bound` tells apart from all others. `None` for a state that is too
    /// long. It can be used more than once: what must not be is the server's to see to.
    #[must_use]
    pub fn state(&self, holder: &Holder<'_>, bound: &[u8], state: &State<'_>) -> Option<String> {
        if state.content.len() > REQUEST_STATE_BYTES_MAX {
            return None;
        }
        let mut content = state.expires_s.to_be_bytes().to_vec();
        content.extend_from_slice(state.content.as_bytes());
        Some(self.conceal(Use::State, holder, bound, state.origin, &content))
    }

    /// Whose state it is and what it was, where this caller was given it for the same
    /// request and it has not expired.
    #[must_use]
    pub fn open_state(
        &self,
        holder: &Holder<'_>,
        bound: &[u8],
        now_s: u64,
        shown: &str,
    ) -> Option<(Origin, String)> {
        if shown.len() > 2 * REQUEST_STATE_BYTES_MAX {
            return None;
        }
        let (origin, content) = self.uncover(Use::State, holder, bound, shown)?;
        let (expires, content) = content.split_first_chunk::<8>()?;
        let content = String::from_utf8(content.to_vec()).ok()?;
        (now_s < u64::from_be_bytes(*expires)).then_some((origin, content))
    }

    /// The name that a client gets for the place where its messages go (2024-11-05).
    #[must_use]
    pub fn endpoint(&self, holder: &Holder<'_>, target: &str) -> String {
        self.conceal(
            Use::Endpoint,
            holder,
            &[],
            Origin::Server,
            target.as_bytes(),
        )
    }

    /// The place behind a name that this caller was given.
    #[must_use]
    pub fn open_endpoint(&self, holder: &Holder<'_>, shown: &str) -> Option<String> {
        if shown.len() > 2 * ENDPOINT_BYTES_MAX {
            return None;
        }
        let (_, target) = self.uncover(Use::Endpoint, holder, &[], shown)?;
        String::from_utf8(target).ok()
    }

    /// Encrypts and authenticates `content`: what a server puts into such names may be
    /// values that are masked everywhere else. A synthetic tag over everything is both
    /// (Rogaway and Shrimpton, "Deterministic Authenticated-Encryption", SIV), so that no
    /// randomness is needed and the same content gives the same name.
    fn conceal(
        &self,
        purpose: Use,
        holder: &Holder<'_>,
        bound: &[u8],
        origin: Origin,
        content: &[u8],
    ) -> String {
        let mut plain = vec![origin.byte()];
        plain.extend_from_slice(content);
        let tag = self.synthetic(purpose, holder, bound, &plain);
        self.stream(&tag, &mut plain);
        let mut sealed = tag.to_vec();
        sealed.extend_from_slice(&plain);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    fn uncover(
        &self,
        purpose: Use,
        holder: &Holder<'_>,
        bound: &[u8],
        shown: &str,
    ) -> Option<(Origin, Vec<u8>)> {
        let sealed = URL_SAFE_NO_PAD.decode(shown).ok()?;
        let (tag, rest) = sealed.split_first_chunk::<TAG_BYTES>()?;
        let mut plain = rest.to_vec();
        self.stream(tag, &mut plain);
        let expected = self.synthetic(purpose, holder, bound, &plain);
        let differences = expected
            .iter()
            .zip(tag)
            .fold(0, |all, (one, other)| all | (one ^ other));
        if differences != 0 {
            return None;
        }
        let (origin, content) = plain.split_first()?;
        Some((Origin::of(*origin)?, content.to_vec()))
    }

    fn synthetic(
        &self,
        purpose: Use,
        holder: &Holder<'_>,
        bound: &[u8],
        plain: &[u8],
    ) -> [u8; TAG_BYTES] {
        let mut mac = self.over(purpose, holder, bound);
        mac.update(plain);
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        let (tag, _) = whole
            .split_first_chunk::<TAG_BYTES>()
            .unwrap_or((&[0; TAG_BYTES], &[]));
        *tag
    }

    /// Adds the key stream of a tag, in counter mode.
    fn stream(&self, tag: &[u8; TAG_BYTES], bytes: &mut [u8]) {
        for (counter, block) in bytes.chunks_mut(32).enumerate() {
            let mut mac = self.mac.clone();
            // No holder's parts are that long: no tag is ever computed over these bytes.
            mac.update(&u64::MAX.to_be_bytes());
            mac.update(tag);
            mac.update(&(counter as u64).to_be_bytes());
            let key: [u8; 32] = mac.finalize().into_bytes().into();
            for (byte, key) in block.iter_mut().zip(key) {
                *byte ^= key;
            }
        }
    }

    /// The id, as JSON, that a client gets for the server's request `id`. The same id
    /// gives the same name, so that a later cancellation finds it.
    #[must_use]
    pub fn request(&self, holder: &Holder<'_>, id: &Id) -> Vec<u8> {
        let sealed = self.conceal(Use::Request, holder, UNBOUND, Origin::Server, id.raw());
        format!("\"{sealed}\"").into_bytes()
    }

    /// The server's id, as JSON, that a client's answer names.
    #[must_use]
    pub fn open_request(&self, holder: &Holder<'_>, shown: &Id) -> Option<Vec<u8>> {
        let IdKey::String(text) = shown.key() else {
            return None;
        };
        if text.len() > SEALED_REQUEST_ID_BYTES_MAX {
            return None;
        }
        let (_, raw) = self.uncover(Use::Request, holder, UNBOUND, text)?;
        (raw.len() <= ID_BYTES_MAX).then_some(raw)
    }
}

#[cfg(test)]
mod tests;
