//! From an accepted socket to a flow that begins.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use weir_facts::{ConnectionName, FlowId, Side, Workload};
use weir_flow::{Arrival, Flow, Start};
use weir_redirect::FlowOrigin;

use super::super::limits::ATTEST_TIMEOUT;
use super::super::sys;
use super::flow::{End, FlowSlot, Reach, owner};
use super::{Both, Engine, ListenerKind, ToControl};
use crate::stages::Stage;

/// Where a connection came from and where it is bound for.
struct Bound {
    source: SocketAddr,
    target: SocketAddr,
    connection: Option<ConnectionName>,
    reach: Reach,
}

/// What stands for the addresses of a flow that has none: nobody listens at port 0, and the
/// client and its server are processes of this host.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl Engine {
    pub(super) fn on_accepted(&mut self, listener: u32, socket: OwnedFd) -> io::Result<()> {
        self.counters.accepted.add(1);
        let Some(kind) = self.kinds.get(listener as usize).cloned() else {
            return Ok(());
        };
        if kind == ListenerKind::Redirect {
            self.meter.accepted(self.desk.now.mono_ns);
        }
        if self.is_full() || self.drain_ends_ns.is_some() {
            self.counters.over_limit.add(1);
            refuse(socket);
            return Ok(());
        }
        // A peer that is gone before we look (ENOTCONN) leaves nothing to do.
        let ready = sys::peer_of(socket.as_fd())
            .and_then(|peer| sys::prepare_stream(socket.as_fd()).map(|()| peer));
        let Ok(source) = ready else {
            refuse(socket);
            return Ok(());
        };
        match kind {
            ListenerKind::Redirect => self.admit_redirected(socket, source),
            ListenerKind::Explicit(name) => self.admit_explicit(socket, source, name),
        }
    }

    fn admit_redirected(&mut self, socket: OwnedFd, source: SocketAddr) -> io::Result<()> {
        let Some(origin) = self.origin_of(&socket) else {
            self.counters.without_facts.add(1);
            refuse(socket);
            return Ok(());
        };
        let target = origin.destination;
        if self.is_own(target) {
            self.counters.loops.add(1);
            refuse(socket);
            return Ok(());
        }
        let connection = self.desk.world.connections.at(target).cloned();
        let slot = self.insert(
            socket,
            Bound {
                source,
                target,
                connection,
                reach: Reach::Dial,
            },
        )?;
        let Some(flow) = self.flows.get(slot).map(|flow| flow.id) else {
            return Ok(());
        };
        let limit = ATTEST_TIMEOUT.as_nanos() as u64;
        self.timers
            .add(self.desk.now.mono_ns + limit, slot as u32, flow.0);
        let request = ToControl::Attest {
            worker: self.index,
            flow,
            origin,
        };
        if self.shared.control.send(request).is_err() {
            return self.break_flow(slot, "the control tasks take no more requests");
        }
        Ok(())
    }

    /// Two links per flow, and as many again that linger after theirs.
    fn is_full(&self) -> bool {
        self.flows.len() >= self.flows_max || self.links.len() >= self.flows_max.saturating_mul(4)
    }

    fn origin_of(&self, socket: &OwnedFd) -> Option<FlowOrigin> {
        self.shared
            .origins
            .as_ref()?
            .origin(socket.as_fd())
            .ok()
            .flatten()
    }

    fn admit_explicit(
        &mut self,
        socket: OwnedFd,
        source: SocketAddr,
        name: ConnectionName,
    ) -> io::Result<()> {
        let registered = self
            .desk
            .world
            .connections
            .named(&name)
            .and_then(|server| server.addresses.first().copied());
        // A name that nobody registered yet: the flow refuses it, in a record.
        let local = || sys::local_of(socket.as_fd()).ok();
        let Some(target) = registered.or_else(local) else {
            refuse(socket);
            return Ok(());
        };
        if registered.is_some() && self.is_own(target) {
            self.counters.loops.add(1);
            refuse(socket);
            return Ok(());
        }
        let slot = self.insert(
            socket,
            Bound {
                source,
                target,
                connection: registered.map(|_| name),
                reach: Reach::Dial,
            },
        )?;
        self.begin(slot, None)
    }

    /// Both links are there and the caller is attested. What is not taken is closed.
    pub(super) fn on_handed(&mut self, both: Both) -> io::Result<()> {
        self.counters.accepted.add(1);
        if self.is_full() || self.drain_ends_ns.is_some() {
            self.counters.over_limit.add(1);
            return Ok(());
        }
        let slot = self.insert(
            both.client,
            Bound {
                source: NOWHERE,
                target: NOWHERE,
                connection: Some(both.connection),
                reach: Reach::Handed(Some(both.server), both.program),
            },
        )?;
        self.begin(slot, Some(both.caller))
    }

    fn insert(&mut self, socket: OwnedFd, bound: Bound) -> io::Result<usize> {
        self.quicken()?;
        self.next_flow += 1;
        let id = FlowId(self.next_flow);
        let entry = self.flows.vacant_entry();
        let slot = entry.key();
        let link = self.links.adopt(socket, owner(slot, id, Side::Client));
        entry.insert(FlowSlot {
            id,
            source: bound.source,
            target: bound.target,
            connection: bound.connection,
            reach: bound.reach,
            core: None,
            client: End {
                link: Some(link),
                ..End::default()
            },
            server: End::default(),
            events: VecDeque::new(),
            is_finished: false,
            armed_ns: u64::MAX,
            epoch: 0,
            mark: self.stopwatch.mark(),
            parked_bytes: 0,
        });
        self.by_id.insert(id, slot as u32);
        Ok(slot)
    }

    /// The caller is attested: the flow begins. Of one that is not, nothing was ever read.
    pub(super) fn on_attested(
        &mut self,
        flow: FlowId,
        caller: Result<Arc<Workload>, String>,
    ) -> io::Result<()> {
        let Some(slot) = self.by_id.get(&flow).map(|&slot| slot as usize) else {
            return Ok(());
        };
        let Some(waiting) = self.flows.get(slot).filter(|flow| flow.core.is_none()) else {
            return Ok(());
        };
        self.stages
            .record(Stage::Attest, self.stopwatch.nanos_since(waiting.mark));
        match caller {
            Ok(workload) => self.begin(slot, Some(workload)),
            Err(reason) => {
                tracing::warn!(%flow, reason, "the caller cannot be attested");
                self.refuse_unattested(slot)
            }
        }
    }

    pub(super) fn refuse_unattested(&mut self, slot: usize) -> io::Result<()> {
        self.counters.unattested.add(1);
        self.reset_flow(slot)
    }

    fn begin(&mut self, slot: usize, workload: Option<Arc<Workload>>) -> io::Result<()> {
        let Some(flow) = self.flows.get_mut(slot) else {
            return Ok(());
        };
        let start = Start {
            id: flow.id,
            arrival: Arrival {
                source: flow.source,
                target: flow.target,
                connection: flow.connection.clone(),
                workload,
                program: flow.reach.program(),
            },
            world: Arc::clone(&self.desk.world),
            now: self.desk.now,
        };
        let core = flow.core.insert(Box::new(Flow::new(start)));
        let result = self.desk.call(|env| core.begin(env));
        self.carry_out(slot, result.map(|()| None))
    }
}

/// Answers with RST: there is nothing that could be said in the client's protocol yet.
fn refuse(socket: OwnedFd) {
    sys::reset_on_close(socket.as_fd());
    drop(socket);
}
