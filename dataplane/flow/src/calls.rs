//! The MCP calls that are open on this host, and which of them caused an operation of another
//! flow. Shared by every worker; the table holds names, numbers and times only.
//!
//! A call is open from before its first byte goes on until its answer was seen, so a statement
//! that arrives because of it finds it here. One whose answer is never seen stays for a while:
//! its server may still be at work.

mod share;
mod table;

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_facts::{CallRef, Link, OperationRef, ProcessRef, Workload};

use crate::mcp::{Authorities, Parked, Sessions};
use crate::tasks::Tasks;
use crate::trace::TraceId;
use crate::world::canonical;
pub(crate) use share::Owner;
use table::{Held, Opened, Table};

/// How long an answer about a server's processes counts as new: a server that forks is seen
/// to have done so with the first connection after this.
const SERVING_NS: u64 = 5_000_000_000;

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

/// Where a call is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// A server that listens.
    Address(SocketAddr),
    /// A server of standard input and output: the process that its client has started.
    Started(ProcessRef),
}

impl Place {
    /// The server at an address, however it is written.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self::Address(canonical(address))
    }
}

/// The traces that a call goes on with: its own, and that of the request that carries it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traces([Option<TraceId>; 2]);

impl Traces {
    pub(crate) fn of(own: Option<TraceId>, carried: Option<TraceId>) -> Self {
        Self([own, carried.filter(|_| carried != own)])
    }

    fn all(self) -> impl Iterator<Item = TraceId> {
        self.0.into_iter().flatten()
    }
}

/// What an operation says of its cause.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said<'a> {
    /// Its text.
    pub(crate) sql: &'a str,
    /// The trace in its session's name.
    pub(crate) session: Option<TraceId>,
}

/// A call that is open: who holds this tells when it is over. Dropped without that, its answer
/// was not seen.
pub(crate) struct OpenCall {
    calls: Arc<Calls>,
    call: CallRef,
    held: Held,
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
        self.table().is_to_be_asked(canonical(target), now_ns)
    }

    /// Tells which processes serve `target`.
    pub fn served(&self, target: SocketAddr, serving: Serving) {
        self.table().served(canonical(target), serving);
    }

    /// A call of this owner's goes on to the server at `place`, with these traces. Before its
    /// first byte does.
    pub(crate) fn open(
        self: &Arc<Self>,
        place: Place,
        owner: Owner,
        operation: OperationRef,
        traces: Traces,
        now_ns: u64,
    ) -> OpenCall {
        let call = CallRef {
            flow: operation.flow,
            operation: operation.seq,
        };
        let mut table = self.table();
        table.settle(now_ns);
        let held = table.open(call, Opened::new(place, owner, traces));
        self.publish(&table);
        OpenCall {
            calls: Arc::clone(self),
            call,
            held,
        }
    }

    /// What caused an operation that a process has sent.
    pub(crate) fn link(
        &self,
        process: Option<&Workload>,
        said: Said<'_>,
        now_ns: u64,
    ) -> Option<Link> {
        // Whoever finds zero here was not caused by a call: that one was counted before its
        // bytes went through the kernel, and so did what it caused.
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let comment = TraceId::of_sql(said.sql);
        let mut table = self.table();
        table.settle(now_ns);
        self.publish(&table);
        let by_trace = match comment {
            Some(trace) => table.by_trace(trace, process),
            None => said
                .session
                .and_then(|trace| table.by_session(trace, process)),
        };
        by_trace.or_else(|| table.by_process(process?))
    }

    fn publish(&self, table: &Table) {
        self.count.store(table.count(), Ordering::Release);
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Calls").field(&self.count).finish()
    }
}

impl OpenCall {
    /// Its answer was seen.
    pub(crate) fn answered(mut self, now_ns: u64) {
        let held = std::mem::replace(&mut self.held, Held::Over);
        let mut table = self.calls.table();
        table.settle(now_ns);
        table.answered(self.call, held);
        self.calls.publish(&table);
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        if self.held == Held::Over {
            return;
        }
        let held = std::mem::replace(&mut self.held, Held::Over);
        let mut table = self.calls.table();
        table.unanswered(self.call, held);
        self.calls.publish(&table);
    }
}

#[cfg(test)]
mod tests;
