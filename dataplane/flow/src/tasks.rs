//! Calls that were answered with a task, until somebody has seen what came of them. Shared by
//! every worker of the host: a client asks on whatever connection it has.
//!
//! ```text
//!   Parked ⇄ Busy ── approved ─▶ Running ─▶ Over: the call's masked result, or why there is none
//!      └───────────── denied, expired, given up ──▲
//! ```
//!
//! A task is its owner's alone: the caller at one server, in one session. It does nothing by itself:
//! its call runs when its owner asks how far it is and people have agreed, so that whoever it runs
//! for is there, and is judged and named anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_facts::{ApprovalId, Digest};

/// Tasks of a host. Each waits for people, of whom there are few.
const TASKS_MAX: usize = 1024;

/// Tasks of one owner, so that none fills the table for others.
const OWNED_MAX: usize = 64;

/// Bytes of calls and results: a host has them to spare.
const BYTES_MAX: usize = 64 << 20;

/// Bytes of one result. What a model reads is far smaller.
pub(crate) const RESULT_BYTES_MAX: usize = 4 << 20;

/// What came of a call whose result there is no room for.
const NO_ROOM: &[u8] = br#"{"code":-32603,"message":"The call was made, and there is no room for its result. Ask without a task."}"#;

/// By which a task is found: whose it is, and what people are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TaskKey {
    /// Of caller, server and session.
    pub(crate) owner: Digest,
    pub(crate) approval: ApprovalId,
}

/// When a task was what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) created_us: u64,
    pub(crate) updated_us: u64,
    pub(crate) ttl_ms: u64,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its result, an object as JSON.
    Result {
        json: Arc<[u8]>,
        /// The tool says that it failed.
        is_error: bool,
    },
    /// Its error, an object as JSON.
    Error(Arc<[u8]>),
    /// Its owner gave it up.
    Cancelled,
}

impl Outcome {
    fn bytes(&self) -> usize {
        match self {
            Self::Result { json, .. } | Self::Error(json) => json.len(),
            Self::Cancelled => 0,
        }
    }
}

/// How far a task is.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// It waits for people, or runs.
    Working,
    Over(Outcome),
}

/// One task, as its owner may see it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) approval: ApprovalId,
    pub(crate) tool: Arc<str>,
    pub(crate) times: Times,
    pub(crate) stage: Stage,
}

/// The tasks of one host, each with the call that waits.
pub(crate) struct Tasks<P> {
    table: Mutex<Table<P>>,
}

struct Table<P> {
    entries: HashMap<TaskKey, Entry<P>>,
    bytes: usize,
}

struct Entry<P> {
    tool: Arc<str>,
    times: Times,
    expires_ns: u64,
    bytes: usize,
    state: State<P>,
}

enum State<P> {
    Parked(P),
    /// A flow has taken its call, to ask or to run it.
    Busy,
    Over(Outcome),
}

impl<P> Default for Tasks<P> {
    fn default() -> Self {
        Self {
            table: Mutex::new(Table {
                entries: HashMap::new(),
                bytes: 0,
            }),
        }
    }
}

/// A call that becomes a task.
pub(crate) struct NewTask<P> {
    pub(crate) tool: Arc<str>,
    pub(crate) times: Times,
    /// Bytes that it takes.
    pub(crate) bytes: usize,
    pub(crate) call: P,
}

impl<P> Tasks<P> {
    fn table(&self) -> MutexGuard<'_, Table<P>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call of so many bytes can be kept, or is.
    pub(crate) fn has_room(&self, key: TaskKey, bytes: usize, now_ns: u64) -> bool {
        let mut table = self.table();
        table.forget(now_ns);
        table.entries.contains_key(&key) || table.has_room(key, bytes)
    }

    /// Keeps the name of a call that runs. Whether there was room.
    pub(crate) fn run(&self, key: TaskKey, new: NewTask<()>, now_ns: u64) -> bool {
        let mut table = self.table();
        table.forget(now_ns);
        if table.entries.contains_key(&key) || !table.has_room(key, new.bytes) {
            return false;
        }
        table.insert(key, new, State::Busy, now_ns);
        true
    }

    /// Keeps a call. One that is there already is not replaced, and its times are told. Gives the
    /// call back where there is no room.
    pub(crate) fn keep(&self, key: TaskKey, new: NewTask<P>, now_ns: u64) -> Result<Times, P> {
        let mut table = self.table();
        table.forget(now_ns);
        if let Some(there) = table.entries.get(&key) {
            return Ok(there.times);
        }
        if !table.has_room(key, new.bytes) {
            return Err(new.call);
        }
        let NewTask {
            tool,
            times,
            bytes,
            call,
        } = new;
        let new = NewTask {
            tool,
            times,
            bytes,
            call: (),
        };
        table.insert(key, new, State::Parked(call), now_ns);
        Ok(times)
    }

    /// How far a task is.
    pub(crate) fn see(&self, key: TaskKey, now_ns: u64) -> Option<Seen> {
        let mut table = self.table();
        table.forget(now_ns);
        table.entries.get(&key).map(|entry| entry.seen(key))
    }

    /// Everything of an owner's, oldest first.
    pub(crate) fn of(&self, owner: Digest, now_ns: u64) -> Vec<Seen> {
        let mut table = self.table();
        table.forget(now_ns);
        let own = table.entries.iter().filter(|(key, _)| key.owner == owner);
        let mut own: Vec<_> = own.map(|(key, entry)| entry.seen(*key)).collect();
        own.sort_by_key(|seen| (seen.times.created_us, seen.approval.0));
        own
    }

    /// Takes the call of a task that waits. Nobody else does until it is put back.
    pub(crate) fn take(&self, key: TaskKey, now_ns: u64) -> Option<P> {
        let mut table = self.table();
        table.forget(now_ns);
        let entry = table.entries.get_mut(&key)?;
        match std::mem::replace(&mut entry.state, State::Busy) {
            State::Parked(call) => Some(call),
            other @ (State::Busy | State::Over(_)) => {
                entry.state = other;
                None
            }
        }
    }

    /// Puts a call back that still waits.
    pub(crate) fn put_back(&self, key: TaskKey, call: P) {
        let mut table = self.table();
        if let Some(entry) = table.entries.get_mut(&key)
            && matches!(entry.state, State::Busy)
        {
            entry.state = State::Parked(call);
        }
    }

    /// What came of it. The first word counts: a task that was given up stays so, whatever its
    /// server still says.
    pub(crate) fn finish(&self, key: TaskKey, outcome: Outcome, now_us: u64) -> bool {
        let mut table = self.table();
        let Table { entries, bytes } = &mut *table;
        let Some(entry) = entries.get_mut(&key) else {
            return false;
        };
        if matches!(entry.state, State::Over(_)) {
            return false;
        }
        let others = *bytes - entry.bytes;
        let outcome = match others.saturating_add(outcome.bytes()) <= BYTES_MAX {
            true => outcome,
            false => Outcome::Error(NO_ROOM.into()),
        };
        *bytes = others + outcome.bytes();
        entry.bytes = outcome.bytes();
        entry.times.updated_us = now_us;
        entry.state = State::Over(outcome);
        true
    }
}

impl<P> Table<P> {
    fn insert(&mut self, key: TaskKey, new: NewTask<()>, state: State<P>, now_ns: u64) {
        let life_ns = new.times.ttl_ms.saturating_mul(1_000_000);
        self.bytes += new.bytes;
        let entry = Entry {
            tool: new.tool,
            times: new.times,
            expires_ns: now_ns.saturating_add(life_ns),
            bytes: new.bytes,
            state,
        };
        self.entries.insert(key, entry);
    }

    fn has_room(&self, key: TaskKey, bytes: usize) -> bool {
        let owned = self.entries.keys().filter(|other| other.owner == key.owner);
        owned.count() < OWNED_MAX
            && self.entries.len() < TASKS_MAX
            && self.bytes.saturating_add(bytes) <= BYTES_MAX
    }

    fn forget(&mut self, now_ns: u64) {
        let Self { entries, bytes } = self;
        entries.retain(|_, entry| {
            let stays = now_ns < entry.expires_ns;
            if !stays {
                *bytes -= entry.bytes;
            }
            stays
        });
    }
}

impl<P> Entry<P> {
    fn seen(&self, key: TaskKey) -> Seen {
        Seen {
            approval: key.approval,
            tool: self.tool.clone(),
            times: self.times,
            stage: match &self.state {
                State::Parked(_) | State::Busy => Stage::Working,
                State::Over(outcome) => Stage::Over(outcome.clone()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn key(owner: u8, approval: u128) -> TaskKey {
        TaskKey {
            owner: Digest([owner; 32]),
            approval: ApprovalId(approval),
        }
    }

    fn new(bytes: usize) -> NewTask<&'static str> {
        NewTask {
            tool: "refund".into(),
            times: Times {
                created_us: 1,
                updated_us: 1,
                ttl_ms: 60_000,
            },
            bytes,
            call: "call",
        }
    }

    fn result(text: &str) -> Outcome {
        Outcome::Result {
            json: text.as_bytes().into(),
            is_error: false,
        }
    }

    #[test]
    fn a_call_is_taken_by_one_and_ends_once() {
        let tasks = Tasks::default();
        assert!(tasks.keep(key(1, 1), new(4), 0).is_ok());
        assert_eq!(tasks.take(key(2, 1), 1), None, "another owner's");
        assert_eq!(tasks.take(key(1, 1), 1), Some("call"));
        assert_eq!(tasks.take(key(1, 1), 1), None, "somebody has it");
        tasks.put_back(key(1, 1), "call");
        assert_eq!(tasks.take(key(1, 1), 1), Some("call"));
        assert!(tasks.finish(key(1, 1), Outcome::Cancelled, 2));
        assert!(!tasks.finish(key(1, 1), result("{}"), 3));
        tasks.put_back(key(1, 1), "call");
        assert_eq!(tasks.take(key(1, 1), 1), None);
        let seen = tasks.see(key(1, 1), 1).expect("there");
        assert!(matches!(seen.stage, Stage::Over(Outcome::Cancelled)));
        assert_eq!(seen.times.updated_us, 2);
        assert!(tasks.of(Digest([2; 32]), 1).is_empty());
        assert_eq!(tasks.of(Digest([1; 32]), 1).len(), 1);
    }

    #[test]
    fn there_is_room_for_so_many_and_again_once_they_are_over() {
        let tasks = Tasks::default();
        for number in 0..OWNED_MAX as u128 {
            assert!(tasks.keep(key(1, number), new(1), 0).is_ok());
        }
        assert!(tasks.keep(key(1, 1000), new(1), 0).is_err());
        assert!(tasks.keep(key(1, 0), new(1), 0).is_ok(), "it is there");
        assert!(tasks.keep(key(2, 1000), new(1), 0).is_ok());
        assert!(tasks.keep(key(3, 1), new(BYTES_MAX), 0).is_err());
        let later = 60 * SECOND_NS;
        assert!(tasks.see(key(1, 1), later).is_none());
        assert!(tasks.keep(key(3, 1), new(BYTES_MAX), later).is_ok());
        assert!(tasks.finish(key(3, 1), result("{}"), 1));
        assert_eq!(tasks.table().bytes, 2);
    }

    #[test]
    fn results_that_there_is_no_room_for_are_not_kept() {
        let tasks: Tasks<()> = Tasks::default();
        let running = |bytes| NewTask {
            tool: "refund".into(),
            times: new(0).times,
            bytes,
            call: (),
        };
        assert!(tasks.run(key(1, 1), running(1), 0));
        assert!(!tasks.run(key(1, 1), running(1), 0), "it is there");
        assert!(tasks.run(key(2, 1), running(BYTES_MAX - 1), 0));
        assert!(!tasks.run(key(3, 1), running(1), 0));
        assert!(tasks.take(key(1, 1), 0).is_none(), "it runs");
        assert!(tasks.finish(key(1, 1), result("{...}"), 1));
        let seen = tasks.see(key(1, 1), 0).expect("there");
        assert!(matches!(seen.stage, Stage::Over(Outcome::Error(_))));
        assert!(tasks.table().bytes <= BYTES_MAX + NO_ROOM.len());
    }
}
