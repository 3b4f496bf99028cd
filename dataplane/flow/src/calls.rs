//! The MCP calls that are open on this host, and which of them caused an operation of another
//! flow. Shared by every worker; the table holds names, numbers and times only.
//!
//! A call is open from before its first byte goes on until its answer was seen, so a statement
//! that arrives because of it finds it here. One whose answer is never seen stays for a while:
//! its server may still be at work.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_facts::{CallRef, Link, OperationRef};

use crate::mcp::{Authorities, Parked, Sessions};
use crate::tasks::Tasks;
use crate::trace::TraceId;
use crate::world::canonical;

/// Calls that are known at one time, those without an answer included: 128 bytes each. While
/// there are more, no call is named by process.
const CALLS_MAX: usize = 16 << 10;

/// How long a call that was never answered may still be the cause of something. Longer than
/// any client waits; a server that goes on for longer is rarely still asked for anything.
const UNANSWERED_NS: u64 = 600_000_000_000;

/// How long after its answer a call is still found by its trace: what a server does after it
/// has answered, it does soon.
const TRACEABLE_NS: u64 = 60_000_000_000;

/// How long an answer about a server's processes counts as new: a server that forks is seen
/// to have done so with the first connection after this.
const SERVING_NS: u64 = 5_000_000_000;

/// Servers whose processes are known. More than a host has.
const SERVERS_MAX: usize = 1024;

/// The open calls of one host.
#[derive(Default)]
pub struct Calls {
    /// The sessions whose answers come on another connection than their calls.
    pub(crate) sessions: Sessions,
    /// Where servers that are their own authorization servers have that.
    pub(crate) authorities: Authorities,
    /// How many calls there are to be found.
    count: AtomicUsize,
    table: Mutex<Table>,
    /// Calls that wait as tasks.
    pub(crate) tasks: Tasks<Parked>,
}

/// Which processes have a server's listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serving {
    /// These, by thread group id.
    Processes(Vec<u32>),
    /// Some on this host, but not known which.
    Unknown,
    /// None of this host.
    Elsewhere,
}

#[derive(Default)]
struct Table {
    servers: HashMap<SocketAddr, Server>,
    traces: HashMap<TraceId, Vec<Traced>>,
    /// Calls that are no longer waited for, oldest first.
    past: VecDeque<Past>,
    kept: usize,
    /// Open calls that did not fit.
    uncounted: usize,
    /// Until when one of those that did not fit may still be the cause of something.
    blind_until_ns: u64,
    /// The latest time that anybody told.
    now_ns: u64,
}

struct Server {
    serving: Serving,
    /// When its processes were asked for last.
    asked_ns: Option<u64>,
    /// Calls whose answer was not seen.
    open: HashMap<CallRef, Vec<TraceId>>,
    /// Answered calls that are still found by their traces.
    answered: HashMap<CallRef, Vec<TraceId>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Traced {
    target: SocketAddr,
    call: CallRef,
    answered: bool,
}

/// A call that is to be forgotten.
#[derive(Clone, Copy)]
struct Past {
    until_ns: u64,
    target: SocketAddr,
    call: CallRef,
}

/// A call that is open: who holds this tells when it is over. Dropped without that, its answer
/// was not seen.
pub(crate) struct OpenCall {
    calls: Arc<Calls>,
    target: SocketAddr,
    call: CallRef,
    held: Held,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    InTable,
    Uncounted,
    Over,
}

impl fmt::Debug for OpenCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenCall").field(&self.call).finish()
    }
}

impl Calls {
    /// A table in which no call is open.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it should be asked now which processes serve `target`.
    pub(crate) fn is_to_be_asked(&self, target: SocketAddr, now_ns: u64) -> bool {
        let mut table = self.table();
        let Some(server) = table.server(canonical(target)) else {
            return false;
        };
        let is_new = |asked: u64| now_ns.saturating_sub(asked) < SERVING_NS;
        if server.asked_ns.is_some_and(is_new) {
            return false;
        }
        server.asked_ns = Some(now_ns);
        true
    }

    /// Tells which processes serve `target`.
    pub fn served(&self, target: SocketAddr, serving: Serving) {
        if let Some(server) = self.table().server(canonical(target)) {
            server.serving = serving;
        }
    }

    /// A call goes on to the server at `target`, with these traces. Before its first byte does.
    pub(crate) fn open(
        self: &Arc<Self>,
        target: SocketAddr,
        operation: OperationRef,
        traces: Vec<TraceId>,
        now_ns: u64,
    ) -> OpenCall {
        let target = canonical(target);
        let call = CallRef {
            flow: operation.flow,
            operation: operation.seq,
        };
        let mut table = self.table();
        table.settle(now_ns);
        let held = table.open(target, call, traces);
        self.publish(&table);
        OpenCall {
            calls: Arc::clone(self),
            target,
            call,
            held,
        }
    }

    /// What caused an operation of the process `pid` with this text of SQL.
    pub(crate) fn link(&self, pid: Option<u32>, sql: &str, now_ns: u64) -> Option<Link> {
        // Whoever finds zero here was not caused by a call: that one was counted before its
        // bytes went through the kernel, and so did what it caused.
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let trace = TraceId::of_sql(sql);
        let mut table = self.table();
        table.settle(now_ns);
        self.publish(&table);
        trace
            .and_then(|trace| table.by_trace(trace, pid))
            .or_else(|| table.by_process(pid?))
    }

    fn publish(&self, table: &Table) {
        let blind = usize::from(table.blind_until_ns > table.now_ns);
        self.count
            .store(table.kept + table.uncounted + blind, Ordering::Release);
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Calls").field(&self.count).finish()
    }
}

impl Server {
    fn new() -> Self {
        Self {
            serving: Serving::Unknown,
            asked_ns: None,
            open: HashMap::new(),
            answered: HashMap::new(),
        }
    }

    fn is_served_by(&self, pid: u32) -> bool {
        matches!(&self.serving, Serving::Processes(pids) if pids.contains(&pid))
    }
}

impl Table {
    /// The server at an address; `None` if there is no room for another one.
    fn server(&mut self, target: SocketAddr) -> Option<&mut Server> {
        if self.servers.len() >= SERVERS_MAX && !self.servers.contains_key(&target) {
            self.servers
                .retain(|_, server| !server.open.is_empty() || !server.answered.is_empty());
            if self.servers.len() >= SERVERS_MAX {
                return None;
            }
        }
        Some(self.servers.entry(target).or_insert_with(Server::new))
    }

    fn open(&mut self, target: SocketAddr, call: CallRef, traces: Vec<TraceId>) -> Held {
        let is_full = self.kept >= CALLS_MAX;
        let Some(server) = self.server(target).filter(|_| !is_full) else {
            self.uncounted += 1;
            return Held::Uncounted;
        };
        server.open.insert(call, traces.clone());
        self.kept += 1;
        for trace in traces {
            self.traces.entry(trace).or_default().push(Traced {
                target,
                call,
                answered: false,
            });
        }
        Held::InTable
    }

    /// The answer to a call was seen: only its traces lead to it from now on.
    fn answered(&mut self, target: SocketAddr, call: CallRef) {
        let Some(server) = self.servers.get_mut(&target) else {
            return;
        };
        let Some(traces) = server.open.remove(&call) else {
            return;
        };
        if traces.is_empty() {
            self.kept -= 1;
            return;
        }
        for trace in &traces {
            let all = self.traces.get_mut(trace).into_iter().flatten();
            all.filter(|traced| traced.call == call)
                .for_each(|traced| traced.answered = true);
        }
        server.answered.insert(call, traces);
        self.forget_after(TRACEABLE_NS, target, call);
    }

    /// Kept in the order of their ends: those that were never answered wait longer, and are few.
    fn forget_after(&mut self, wait_ns: u64, target: SocketAddr, call: CallRef) {
        let past = Past {
            until_ns: self.now_ns.saturating_add(wait_ns),
            target,
            call,
        };
        let at = self
            .past
            .iter()
            .rposition(|other| other.until_ns <= past.until_ns)
            .map_or(0, |before| before + 1);
        self.past.insert(at, past);
    }

    /// Forgets what is over for long enough.
    fn settle(&mut self, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
        while let Some(past) = self.past.front().copied() {
            if past.until_ns > self.now_ns {
                return;
            }
            self.past.pop_front();
            let Some(server) = self.servers.get_mut(&past.target) else {
                continue;
            };
            let open = server.open.remove(&past.call);
            let Some(traces) = open.or_else(|| server.answered.remove(&past.call)) else {
                continue;
            };
            self.kept -= 1;
            for trace in traces {
                if let Some(traced) = self.traces.get_mut(&trace) {
                    traced.retain(|traced| traced.call != past.call);
                    if traced.is_empty() {
                        self.traces.remove(&trace);
                    }
                }
            }
        }
    }

    /// The call that went on with a trace: the one that is open, else the one that was. Calls of
    /// one trace are told apart by the process, where it serves the server of one of them only.
    fn by_trace(&self, trace: TraceId, pid: Option<u32>) -> Option<Link> {
        let all = self.traces.get(&trace)?;
        let open = all.iter().filter(|traced| !traced.answered).count();
        let of_interest = || all.iter().filter(|traced| traced.answered == (open == 0));
        let is_here = |traced: &&Traced| {
            let server = self.servers.get(&traced.target);
            server
                .zip(pid)
                .is_some_and(|(server, pid)| server.is_served_by(pid))
        };
        let only = only(of_interest()).or_else(|| only(of_interest().filter(is_here)));
        Some(match only {
            Some(traced) => Link::Trace(traced.call),
            None => Link::Ambiguous {
                candidates: count(of_interest().count()),
            },
        })
    }

    /// The only call that is open in a process. One whose server's processes are not known may
    /// be open in any.
    fn by_process(&self, pid: u32) -> Option<Link> {
        let here = || {
            self.servers
                .values()
                .filter(|server| server.is_served_by(pid))
                .flat_map(|server| server.open.keys())
        };
        let anywhere: usize = self
            .servers
            .values()
            .filter(|server| server.serving == Serving::Unknown)
            .map(|server| server.open.len())
            .sum();
        let blind = usize::from(self.blind_until_ns > self.now_ns);
        let candidates = here().count() + anywhere + self.uncounted + blind;
        match only(here()) {
            Some(call) if candidates == 1 => Some(Link::Process(*call)),
            Some(_) | None if candidates == 0 => None,
            Some(_) | None => Some(Link::Ambiguous {
                candidates: count(candidates),
            }),
        }
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

impl OpenCall {
    /// Its answer was seen.
    pub(crate) fn answered(mut self, now_ns: u64) {
        let mut table = self.calls.table();
        table.settle(now_ns);
        match std::mem::replace(&mut self.held, Held::Over) {
            Held::InTable => table.answered(self.target, self.call),
            Held::Uncounted => table.uncounted -= 1,
            Held::Over => {}
        }
        self.calls.publish(&table);
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        if self.held == Held::Over {
            return;
        }
        let mut table = self.calls.table();
        match self.held {
            Held::InTable => table.forget_after(UNANSWERED_NS, self.target, self.call),
            Held::Uncounted => {
                table.uncounted -= 1;
                table.blind_until_ns = table.now_ns.saturating_add(UNANSWERED_NS);
            }
            Held::Over => {}
        }
        self.calls.publish(&table);
    }
}

#[cfg(test)]
mod tests;
