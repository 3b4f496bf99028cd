//! The sessions of 2024-11-05's transport that are open on this host, shared by every worker: the
//! messages of one come on any connection, and the answers to all of them on its one stream.
//!
//! ```text
//!   POST ── judged ── asked here, under a name of Weir's own ──▶ server
//!   GET's stream ◀── the caller's id ── found here by that name ◀── server
//! ```
//!
//! A request goes on under an id that Weir draws: an answer to anything that was not judged here,
//! by whatever way it reached the server, finds nothing and is dropped.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_facts::{ConnectionName, Digest, FlowId};
use weir_mcp::json::{Document, Edits, Kind, Value};
use weir_mcp::message::{Id, IdKey};
use weir_mcp::session::{Pending, PendingError};

use super::exchange::Running;
use super::limits::SESSIONS_MAX;
use crate::calls::Calls;

/// Every session that is open.
#[derive(Default)]
pub(crate) struct Sessions {
    /// How many there are: most hosts have none, and their calls ask no lock.
    count: AtomicUsize,
    table: Mutex<HashMap<Place, Arc<Session>>>,
}

/// Where a server wants the messages of a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    connection: ConnectionName,
    target: String,
}

/// One session, for as long as its stream is open.
pub(crate) struct Session {
    /// Where its messages go.
    pub(crate) target: String,
    /// The flow of its stream.
    pub(crate) stream: FlowId,
    /// Whose it is.
    pub(crate) caller: Arc<[u8]>,
    state: Mutex<State>,
}

struct State {
    /// The stream is over: nothing is asked any more.
    closed: bool,
    /// What its stream may answer, by the caller's ids.
    pending: Pending<Running>,
    /// The caller's ids, by those that went on.
    names: HashMap<Box<str>, Id>,
}

/// Why a request cannot be asked in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unaskable {
    /// Its stream is over.
    #[error("the stream that would answer is over")]
    Closed,
    /// Its id is in use, or too many wait.
    #[error(transparent)]
    Pending(#[from] PendingError),
}

impl Sessions {
    fn table(&self) -> MutexGuard<'_, HashMap<Place, Arc<Session>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session whose messages go there.
    pub(crate) fn find(&self, connection: &ConnectionName, target: &str) -> Option<Arc<Session>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let place = Place {
            connection: connection.clone(),
            target: target.to_owned(),
        };
        self.table().get(&place).cloned()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session").field(&self.stream).finish()
    }
}

/// A session as its stream has it: with this it ends.
pub(crate) struct Listening {
    pub(crate) session: Arc<Session>,
    calls: Arc<Calls>,
    place: Place,
}

impl Listening {
    /// Opens a session. `None` where its place is another one's, or there are too many.
    pub(crate) fn open(
        calls: &Arc<Calls>,
        connection: &ConnectionName,
        target: String,
        stream: FlowId,
        caller: Arc<[u8]>,
    ) -> Option<Self> {
        let place = Place {
            connection: connection.clone(),
            target: target.clone(),
        };
        let session = Arc::new(Session {
            target,
            stream,
            caller,
            state: Mutex::new(State {
                closed: false,
                pending: Pending::of_session(),
                names: HashMap::new(),
            }),
        });
        let sessions = &calls.sessions;
        let mut table = sessions.table();
        if table.len() >= SESSIONS_MAX || table.contains_key(&place) {
            return None;
        }
        table.insert(place.clone(), Arc::clone(&session));
        sessions.count.store(table.len(), Ordering::Release);
        drop(table);
        Some(Self {
            session,
            calls: Arc::clone(calls),
            place,
        })
    }

    /// Nothing is asked any more. What nobody has answered.
    pub(crate) fn close(&self) -> Vec<(Id, Running)> {
        let mut state = self.session.state();
        state.closed = true;
        state.names.clear();
        state.pending.drain().collect()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let sessions = &self.calls.sessions;
        let mut table = sessions.table();
        table.remove(&self.place);
        sessions.count.store(table.len(), Ordering::Release);
        drop(table);
        // Whoever has found it before asks nothing that nobody would answer.
        drop(self.close());
    }
}

impl Session {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request with this id could be asked now.
    pub(crate) fn may_ask(&self, id: &Id) -> Result<(), Unaskable> {
        let state = self.state();
        if state.closed {
            return Err(Unaskable::Closed);
        }
        Ok(state.pending.may_ask(id)?)
    }

    /// A request goes on under this name; where it cannot be asked any more, it comes back.
    pub(crate) fn ask(&self, id: Id, name: Box<str>, running: Running) -> Result<(), Box<Running>> {
        let mut state = self.state();
        if state.closed || state.pending.may_ask(&id).is_err() {
            return Err(Box::new(running));
        }
        state.names.insert(name, id.clone());
        let _ = state.pending.ask(id, running);
        Ok(())
    }

    /// Takes a request back that is not waited for any more.
    pub(crate) fn take(&self, id: &Id) -> Option<Running> {
        let mut state = self.state();
        state.names.retain(|_, known| known != id);
        state.pending.answer(id)
    }

    /// The name under which an unanswered request went on.
    pub(crate) fn name_of(&self, id: &Id) -> Option<Box<str>> {
        let state = self.state();
        let found = state.names.iter().find(|(_, known)| *known == id);
        found.map(|(name, _)| name.clone())
    }

    /// Looks at a message of the stream's: an answer gets its caller's id back. `None` for what is
    /// no message, and for an answer to nothing that was asked here. `act` sees the message and what is unanswered.
    pub(crate) fn on_message<R>(
        &self,
        body: &[u8],
        act: impl FnOnce(&[u8], &mut Pending<Running>) -> R,
    ) -> Option<R> {
        let mut state = self.state();
        let document = Document::parse(body).ok()?;
        // A batch could answer by ids of its own, and this transport has none.
        let root = Some(document.root()).filter(|root| root.kind() == Kind::Object)?;
        let answered = root.get("id").filter(|id| id.kind() != Kind::Null);
        let restored = match answered.filter(|_| root.get("method").is_none()) {
            // A request, a notification, or an error that names nothing: as it is.
            None => None,
            Some(id) => Some(state.restore(body, &id)?),
        };
        let acted = act(restored.as_deref().unwrap_or(body), &mut state.pending);
        state.settle();
        Some(acted)
    }
}

impl State {
    fn restore(&mut self, body: &[u8], id: &Value<'_>) -> Option<Vec<u8>> {
        let named = Id::read(id)?;
        let IdKey::String(name) = named.key() else {
            return None;
        };
        let asked = self.names.remove(name)?;
        let mut edits = Edits::new();
        edits.push(id.span(), asked.raw().to_vec()).ok()?;
        Some(edits.apply(body))
    }

    /// Forgets names of what Weir itself has answered.
    fn settle(&mut self) {
        if self.names.len() > self.pending.len() {
            let pending = &self.pending;
            self.names.retain(|_, id| pending.get(id).is_some());
        }
    }
}

/// The id that a request goes on with: nobody else can name it.
pub(crate) fn draw(random: &mut dyn FnMut(&mut [u8])) -> Box<str> {
    let mut bytes = [0; 32];
    random(&mut bytes);
    Digest(bytes).to_string().into()
}
