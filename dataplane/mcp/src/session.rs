//! Sessions, and which request an answer belongs to.
//!
//! An answer may come on the stream of its POST, on a GET stream, or after a
//! resumption; what it answers is found here by its typed id. An answer to nothing is
//! dropped by the caller: it could carry what nobody was allowed to ask for.

use std::collections::HashMap;

use thiserror::Error;
use weir_facts::ConnectionName;

use crate::limits::{PENDING_PER_SESSION_MAX, SESSION_ID_BYTES_MAX, SESSIONS_MAX};
use crate::message::{Id, IdKey, Revision};

/// Which session at which server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// The registered server.
    pub connection: ConnectionName,
    /// `Mcp-Session-Id`.
    pub id: Box<str>,
}

impl SessionKey {
    /// A key, if the id is visible ASCII of a bounded length (MCP transports, "Session
    /// Management").
    #[must_use]
    pub fn new(connection: &ConnectionName, id: &str) -> Option<Self> {
        let is_plain = !id.is_empty() && id.len() <= SESSION_ID_BYTES_MAX && id.bytes().all(|byte| byte.is_ascii_graphic());
        is_plain.then(|| Self { connection: connection.clone(), id: id.into() })
    }
}

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

/// Requests of one direction that are unanswered, each with what the caller keeps of it.
#[derive(Debug)]
pub struct Pending<P> {
    asked: HashMap<IdKey, P>,
}

impl<P> Default for Pending<P> {
    fn default() -> Self {
        Self { asked: HashMap::new() }
    }
}

impl<P> Pending<P> {
    /// Remembers a request.
    ///
    /// # Errors
    /// Where its id is in use, or too many are unanswered.
    pub fn ask(&mut self, id: &Id, plan: P) -> Result<(), PendingError> {
        if self.asked.contains_key(id.key()) {
            return Err(PendingError::InUse);
        }
        if self.asked.len() >= PENDING_PER_SESSION_MAX {
            return Err(PendingError::Full);
        }
        self.asked.insert(id.key().clone(), plan);
        Ok(())
    }

    /// Finds a request without ending it.
    #[must_use]
    pub fn get(&self, id: &Id) -> Option<&P> {
        self.asked.get(id.key())
    }

    /// Ends a request; `None` where there was none.
    pub fn answer(&mut self, id: &Id) -> Option<P> {
        self.asked.remove(id.key())
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

/// One session.
#[derive(Debug)]
pub struct Session<O, P> {
    /// Who opened it; nobody else may use it.
    owner: O,
    /// The revision that initialize agreed on.
    pub revision: Revision,
    /// The client's requests.
    pub client: Pending<P>,
    /// The server's requests.
    pub server: Pending<()>,
    used: u64,
}

/// All sessions of a data plane, bounded. `O` tells callers apart, `P` is what is kept
/// of a request until its answer.
#[derive(Debug)]
pub struct Sessions<O, P> {
    sessions: HashMap<SessionKey, Session<O, P>>,
    /// Counts uses, so that the least recently used can be found without a clock.
    uses: u64,
    sessions_max: usize,
}

impl<O: PartialEq, P> Default for Sessions<O, P> {
    fn default() -> Self {
        Self::new(SESSIONS_MAX)
    }
}

impl<O: PartialEq, P> Sessions<O, P> {
    /// A table of at most `sessions_max` sessions.
    #[must_use]
    pub fn new(sessions_max: usize) -> Self {
        Self { sessions: HashMap::new(), uses: 0, sessions_max }
    }

    /// Enters a session that the server has just named. Returns whether it was: a server
    /// that hands out an id that another caller holds is not believed.
    #[must_use]
    pub fn open(&mut self, key: SessionKey, owner: O, revision: Revision) -> bool {
        if self.sessions.get(&key).is_some_and(|session| session.owner != owner) {
            return false;
        }
        if self.sessions.len() >= self.sessions_max && !self.sessions.contains_key(&key) {
            self.forget_oldest();
        }
        self.uses += 1;
        let session =
            Session { owner, revision, client: Pending::default(), server: Pending::default(), used: self.uses };
        self.sessions.insert(key, session);
        true
    }

    /// The caller's session; `None` where it does not exist or is another's, which the
    /// caller cannot tell apart.
    pub fn find(&mut self, key: &SessionKey, owner: &O) -> Option<&mut Session<O, P>> {
        self.uses += 1;
        let session = self.sessions.get_mut(key).filter(|session| session.owner == *owner)?;
        session.used = self.uses;
        Some(session)
    }

    /// Ends the caller's session.
    pub fn close(&mut self, key: &SessionKey, owner: &O) -> Option<Session<O, P>> {
        self.find(key, owner)?;
        self.sessions.remove(key)
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    fn forget_oldest(&mut self) {
        let oldest = self.sessions.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| key.clone());
        if let Some(key) = oldest {
            self.sessions.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
