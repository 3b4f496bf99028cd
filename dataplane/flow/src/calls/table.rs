//! The table behind [`Calls`](super::Calls): who has which calls open, where, and until when.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::net::SocketAddr;

use weir_facts::{CallRef, Link, ProcessRef, Workload};

use super::share::Shares;
use super::{Owner, Place, SERVING_NS, Serving, Traces};
use crate::trace::TraceId;

/// Calls that are known at one time, of all callers: about 300 bytes each, and as much as 16
/// callers may have. A call that does not fit makes links by process to its server ambiguous.
pub(super) const CALLS_MAX: usize = 32 << 10;

/// How long a call that was never answered may still be the cause of something. Longer than
/// any client waits; a server that goes on for longer is rarely still asked for anything.
pub(super) const UNANSWERED_NS: u64 = 600_000_000_000;

/// How long after its answer a call is still found by its trace: what a server does after it
/// has answered, it does soon.
pub(super) const TRACEABLE_NS: u64 = 60_000_000_000;

/// Servers that are remembered before those without a call are forgotten. More than a host has.
const SERVERS_MAX: usize = 1024;

/// Servers that clients have started and that are remembered for calls that did not fit. Of one
/// beyond these, such calls are not told.
const STARTED_MAX: usize = CALLS_MAX;

/// Ends that were overtaken and still stand in line, beyond as many as there are calls.
const STALE_MAX: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Table {
    calls: HashMap<CallRef, Opened>,
    servers: Servers<SocketAddr, Server>,
    started: Servers<ProcessRef, OpenHere>,
    traces: HashMap<TraceId, Carriers>,
    shares: Shares,
    /// Calls whose answer was seen, and when they are forgotten; oldest first.
    answered: VecDeque<(u64, CallRef)>,
    /// Calls that nobody waits for any more, likewise.
    unanswered: VecDeque<(u64, CallRef)>,
    /// Open calls that did not fit.
    beyond: usize,
    /// Until when one of those that did not fit may still be the cause of something.
    blind_until_ns: u64,
    /// The latest time that anybody told.
    now_ns: u64,
}

/// A call that is known.
#[derive(Debug)]
pub(super) struct Opened {
    place: Place,
    owner: Owner,
    traces: Traces,
    is_answered: bool,
}

impl Opened {
    pub(super) const fn new(place: Place, owner: Owner, traces: Traces) -> Self {
        Self {
            place,
            owner,
            traces,
            is_answered: false,
        }
    }
}

/// Where whoever waits for a call finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    InTable,
    /// It did not fit.
    Beyond(Place),
    Over,
}

/// The calls that went on with a trace: one but for nested or repeated ones.
#[derive(Debug)]
enum Carriers {
    One(CallRef),
    Several(Vec<CallRef>),
}

impl Carriers {
    fn all(&self) -> &[CallRef] {
        match self {
            Self::One(call) => std::slice::from_ref(call),
            Self::Several(calls) => calls,
        }
    }

    fn add(&mut self, call: CallRef) {
        match self {
            Self::One(first) => *self = Self::Several(vec![*first, call]),
            Self::Several(calls) => calls.push(call),
        }
    }

    /// Whether any is left.
    fn remove(&mut self, call: CallRef) -> bool {
        match self {
            Self::One(only) => *only != call,
            Self::Several(calls) => {
                calls.retain(|other| *other != call);
                !calls.is_empty()
            }
        }
    }
}

/// Servers by what tells them apart.
#[derive(Debug)]
struct Servers<K, S> {
    all: HashMap<K, S>,
    /// From how many on it is worth looking for those without a call.
    crowd: usize,
}

impl<K, S> Default for Servers<K, S> {
    fn default() -> Self {
        Self {
            all: HashMap::new(),
            crowd: SERVERS_MAX,
        }
    }
}

impl<K: Eq + Hash, S: Default> Servers<K, S> {
    /// The server, which is new if need be. Those of which nothing `is_told` make room.
    fn entry(&mut self, key: K, is_told: impl Fn(&S) -> bool) -> &mut S {
        if self.all.len() >= self.crowd && !self.all.contains_key(&key) {
            self.all.retain(|_, server| is_told(server));
            self.crowd = SERVERS_MAX.max(2 * self.all.len());
        }
        self.all.entry(key).or_default()
    }
}

/// What is open at one server.
#[derive(Debug, Default)]
struct OpenHere {
    /// Calls whose answer was not seen.
    calls: HashSet<CallRef>,
    /// How many more there are that did not fit.
    beyond: usize,
    /// Until when one of those may still be the cause of something.
    blind_until_ns: u64,
}

impl OpenHere {
    fn candidates(&self, now_ns: u64) -> usize {
        let blind = usize::from(self.blind_until_ns > now_ns);
        self.calls.len() + self.beyond + blind
    }
}

#[derive(Debug)]
struct Server {
    serving: Serving,
    /// When its processes were asked for last.
    asked_ns: Option<u64>,
    open: OpenHere,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            serving: Serving::Unknown,
            asked_ns: None,
            open: OpenHere::default(),
        }
    }
}

impl Server {
    fn is_served_by(&self, pid: u32) -> bool {
        matches!(&self.serving, Serving::Processes(pids) if pids.contains(&pid))
    }
}

impl Table {
    /// How many calls there are to be found, or may be.
    pub(super) fn count(&self) -> usize {
        let blind = usize::from(self.blind_until_ns > self.now_ns);
        self.calls.len() + self.beyond + blind
    }

    fn server(&mut self, target: SocketAddr) -> &mut Server {
        let now_ns = self.now_ns;
        let is_told = |server: &Server| server.open.candidates(now_ns) > 0;
        self.servers.entry(target, is_told)
    }

    fn open_at(&mut self, place: Place) -> &mut OpenHere {
        let now_ns = self.now_ns;
        match place {
            Place::Address(target) => &mut self.server(target).open,
            Place::Started(process) => {
                let is_told = |open: &OpenHere| open.candidates(now_ns) > 0;
                self.started.entry(process, is_told)
            }
        }
    }

    /// The same for a call that does not fit: addresses are as many as are registered, but
    /// everybody may start servers.
    fn beyond_at(&mut self, place: Place) -> Option<&mut OpenHere> {
        let fits = match &place {
            Place::Address(_) => true,
            Place::Started(process) => {
                let started = &self.started.all;
                started.len() < STARTED_MAX || started.contains_key(process)
            }
        };
        fits.then(|| self.open_at(place))
    }

    pub(super) fn is_to_be_asked(&mut self, target: SocketAddr, now_ns: u64) -> bool {
        let server = self.server(target);
        let is_new = |asked: u64| now_ns.saturating_sub(asked) < SERVING_NS;
        if server.asked_ns.is_some_and(is_new) {
            return false;
        }
        server.asked_ns = Some(now_ns);
        true
    }

    pub(super) fn served(&mut self, target: SocketAddr, serving: Serving) {
        self.server(target).serving = serving;
    }

    pub(super) fn open(&mut self, call: CallRef, opened: Opened) -> Held {
        if !self.has_room(&opened.owner) {
            self.beyond += 1;
            if let Some(open) = self.beyond_at(opened.place) {
                open.beyond += 1;
            }
            return Held::Beyond(opened.place);
        }
        self.open_at(opened.place).calls.insert(call);
        self.shares.add(&opened.owner);
        for trace in opened.traces.all() {
            self.traces
                .entry(trace)
                .and_modify(|carriers| carriers.add(call))
                .or_insert(Carriers::One(call));
        }
        self.calls.insert(call, opened);
        Held::InTable
    }

    /// Whether a call of this caller's fits: perhaps in the place of an answered one of its own.
    fn has_room(&mut self, owner: &Owner) -> bool {
        if self.calls.len() < CALLS_MAX && !self.shares.is_used_up(owner) {
            return true;
        }
        match self.shares.oldest_answered(owner) {
            Some(oldest) => {
                self.forget(oldest);
                true
            }
            None => false,
        }
    }

    /// The answer to a call was seen: only its traces lead to it from now on.
    pub(super) fn answered(&mut self, call: CallRef, held: Held) {
        match held {
            Held::InTable => {}
            Held::Beyond(place) => return self.leave_beyond(place),
            Held::Over => return,
        }
        let Some(opened) = self.calls.get_mut(&call) else {
            return;
        };
        opened.is_answered = true;
        let (place, has_traces) = (opened.place, opened.traces != Traces::default());
        self.open_at(place).calls.remove(&call);
        if !has_traces {
            return self.forget(call);
        }
        if let Some(opened) = self.calls.get(&call) {
            self.shares.answered(&opened.owner, call);
        }
        let until_ns = self.now_ns.saturating_add(TRACEABLE_NS);
        // Those whose place a later call has taken are still in line.
        if self.answered.len() >= 2 * self.calls.len() + STALE_MAX {
            let calls = &self.calls;
            self.answered.retain(|(_, call)| calls.contains_key(call));
        }
        self.answered.push_back((until_ns, call));
    }

    /// Nobody waits for a call's answer any more.
    pub(super) fn unanswered(&mut self, call: CallRef, held: Held) {
        let until_ns = self.now_ns.saturating_add(UNANSWERED_NS);
        match held {
            Held::InTable => self.unanswered.push_back((until_ns, call)),
            Held::Beyond(place) => {
                self.leave_beyond(place);
                self.blind_until_ns = until_ns;
                if let Some(open) = self.beyond_at(place) {
                    open.blind_until_ns = until_ns;
                }
            }
            Held::Over => {}
        }
    }

    fn leave_beyond(&mut self, place: Place) {
        self.beyond = self.beyond.saturating_sub(1);
        if let Some(open) = self.beyond_at(place) {
            open.beyond = open.beyond.saturating_sub(1);
        }
    }

    /// Forgets what is over for long enough.
    pub(super) fn settle(&mut self, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
        while let Some((until_ns, call)) = self.answered.front().copied()
            && until_ns <= self.now_ns
        {
            self.answered.pop_front();
            self.forget(call);
        }
        while let Some((until_ns, call)) = self.unanswered.front().copied()
            && until_ns <= self.now_ns
        {
            self.unanswered.pop_front();
            self.forget(call);
        }
    }

    fn forget(&mut self, call: CallRef) {
        let Some(opened) = self.calls.remove(&call) else {
            return;
        };
        self.shares.remove(&opened.owner, call);
        if !opened.is_answered {
            self.open_at(opened.place).calls.remove(&call);
        }
        for trace in opened.traces.all() {
            if let Some(carriers) = self.traces.get_mut(&trace)
                && !carriers.remove(call)
            {
                self.traces.remove(&trace);
            }
        }
    }

    /// The call that went on with a trace: the one that is open, else the one that was. Calls of
    /// one trace are told apart by the process, where it serves the server of one of them only.
    pub(super) fn by_trace(&self, trace: TraceId, process: Option<&Workload>) -> Option<Link> {
        let all = self.traces.get(&trace)?.all();
        let is_open = |call: &&CallRef| self.calls.get(call).is_some_and(|it| !it.is_answered);
        let any_open = all.iter().any(|call| is_open(&call));
        let of_interest = || all.iter().filter(|call| is_open(call) == any_open);
        let is_here = |call: &&CallRef| {
            let place = self.calls.get(call).map(|opened| opened.place);
            place
                .zip(process)
                .is_some_and(|(place, process)| self.is_at(place, process))
        };
        let only = only(of_interest()).or_else(|| only(of_interest().filter(is_here)));
        Some(match only {
            Some(call) => Link::Trace(*call),
            None => Link::Ambiguous {
                candidates: count(of_interest().count()),
            },
        })
    }

    /// The same for a trace in the session's name. That stays until somebody writes another one:
    /// it names calls that are open, and of others it is not known whether they are meant still.
    pub(super) fn by_session(&self, trace: TraceId, process: Option<&Workload>) -> Option<Link> {
        let all = self.traces.get(&trace)?.all();
        let is_open = |call: &CallRef| self.calls.get(call).is_some_and(|it| !it.is_answered);
        if all.iter().any(is_open) {
            return self.by_trace(trace, process);
        }
        let here = match process.and_then(|process| self.by_process(process)) {
            None => 0,
            Some(Link::Trace(_) | Link::Process(_)) => 1,
            Some(Link::Ambiguous { candidates }) => candidates,
        };
        Some(Link::Ambiguous {
            candidates: count(all.len()).saturating_add(here),
        })
    }

    fn is_at(&self, place: Place, process: &Workload) -> bool {
        match place {
            Place::Address(target) => {
                let server = self.servers.all.get(&target);
                server.is_some_and(|server| server.is_served_by(process.pid))
            }
            Place::Started(server) => process.lineage.contains(&server),
        }
    }

    /// The only call that is open in a process. One whose server's processes are not known may
    /// be open in any.
    pub(super) fn by_process(&self, process: &Workload) -> Option<Link> {
        let is_here = |server: &&Server| match &server.serving {
            Serving::Processes(pids) => pids.contains(&process.pid),
            Serving::Unknown => true,
            Serving::Elsewhere => false,
        };
        let servers = self.servers.all.values().filter(is_here);
        let is_known = servers
            .clone()
            .all(|server| server.is_served_by(process.pid) || self.is_quiet(&server.open));
        let here = servers
            .map(|server| &server.open)
            .chain(self.nearest_started(process));
        let candidates = here.clone().map(|open| open.candidates(self.now_ns)).sum();
        let call = only(here.flat_map(|open| &open.calls));
        match (call, candidates) {
            (_, 0) => None,
            (Some(call), 1) if is_known => Some(Link::Process(*call)),
            (Some(_) | None, _) => Some(Link::Ambiguous {
                candidates: count(candidates),
            }),
        }
    }

    fn is_quiet(&self, open: &OpenHere) -> bool {
        open.candidates(self.now_ns) == 0
    }

    /// What is open at the server that a client has started as this process or as one of those
    /// that it descends from: the nearest one that has anything open, since what that does for a
    /// call of its own is what the others' calls are about.
    fn nearest_started(&self, process: &Workload) -> Option<&OpenHere> {
        let servers = process.lineage.iter();
        servers
            .filter_map(|server| self.started.all.get(server))
            .find(|open| !self.is_quiet(open))
    }
}

/// The item of an iterator that has exactly one.
fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}

fn count(calls: usize) -> u32 {
    u32::try_from(calls).unwrap_or(u32::MAX)
}
