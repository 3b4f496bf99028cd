//! The warden's end of the world: attestation, guards, drain. A thread of its own reads its
//! messages, since its socket knows no executor.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use anyhow::{Context, Result};
use prost::Message;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use weir_api::v1::Update;
use weir_facts::{ConnectionName, Digest, ProcessRef, Workload};
use weir_flow::{Process, Program, Serving, World};
use weir_handover::{
    Attest, Handed, ProcessFacts, ProxyEnd, ProxyReport, ToProxy, ToWarden, WorkloadFacts,
};
use weir_redirect::FlowOrigin;

use super::place::Place;
use crate::relay::Both;

/// Attestations that may wait at the warden; it refuses to hold more.
const ATTESTS_OPEN_MAX: usize = weir_handover::limits::ATTESTS_OPEN_MAX;

/// What the warden says, with its descriptors.
pub(crate) type FromWarden = (ToProxy, Vec<OwnedFd>);

/// Asks the warden.
pub(crate) struct Warden {
    channel: ProxyEnd,
    asked: HashMap<u64, Place>,
    next: u64,
}

impl Warden {
    /// Begins to read what the warden says. The stream ends when the warden is gone.
    ///
    /// # Errors
    /// No thread or no descriptor.
    pub(crate) fn start(channel: ProxyEnd) -> Result<(Self, UnboundedReceiver<FromWarden>)> {
        let reader = channel.try_clone().context("dup of the warden's socket")?;
        let (sender, receiver) = unbounded_channel();
        std::thread::Builder::new()
            .name("warden".to_owned())
            .spawn(move || {
                while let Ok(Some(said)) = reader.receive() {
                    if sender.send(said).is_err() {
                        return;
                    }
                }
            })?;
        Ok((
            Self {
                channel,
                asked: HashMap::new(),
                next: 1,
            },
            receiver,
        ))
    }

    /// Asks who is behind a redirected connection. `None` if that can be asked; else why not.
    pub(crate) fn attest(&mut self, place: Place, origin: &FlowOrigin) -> Option<String> {
        if self.asked.len() >= ATTESTS_OPEN_MAX {
            return Some("too many callers wait for their attestation".to_owned());
        }
        let request = self.next;
        self.next += 1;
        let caller = &origin.caller;
        let attest = Attest {
            request,
            tgid: caller.tgid,
            uid: caller.uid,
            gid: caller.gid,
            cgroup_id: caller.cgroup_id,
            connect_boottime_ns: caller.connect_boottime_ns,
        };
        if let Err(error) = self.channel.send(&ToWarden::Attest(attest), &[]) {
            return Some(format!("the warden cannot be asked: {error}"));
        }
        self.asked.insert(request, place);
        None
    }

    /// Asks which processes serve an address. Without an answer it is not known.
    pub(crate) fn find_server(&self, target: SocketAddr) {
        if let Err(error) = self.channel.send(&ToWarden::FindServer { target }, &[]) {
            tracing::warn!(%error, "the warden cannot be asked for a server's processes");
        }
    }

    /// Whom an answer is for.
    pub(crate) fn attested(&mut self, request: u64) -> Option<Place> {
        self.asked.remove(&request)
    }

    /// Has the warden put a world's guards in force. It checks the signature itself.
    pub(crate) fn apply_guards(&mut self, update: &Update) -> Result<()> {
        let request = self.next;
        self.next += 1;
        let file = rustix::fs::memfd_create("weir-update", rustix::fs::MemfdFlags::CLOEXEC)
            .context("memfd_create")?;
        let mut file = File::from(file);
        file.write_all(&update.encode_to_vec()).context("write")?;
        self.channel
            .send(&ToWarden::ApplyGuards { request }, &[file.as_fd()])?;
        Ok(())
    }

    /// Says that this process lives.
    pub(crate) fn alive(&self, report: ProxyReport) -> Result<()> {
        Ok(self.channel.send(&ToWarden::Alive(report), &[])?)
    }

    /// Says that every worker serves.
    pub(crate) fn ready(&self) -> Result<()> {
        Ok(self.channel.send(&ToWarden::Ready, &[])?)
    }

    /// Says that nothing runs any more.
    pub(crate) fn drained(&self) -> Result<()> {
        Ok(self.channel.send(&ToWarden::Drained, &[])?)
    }
}

/// The warden's answer, as the table of open calls has it.
pub(crate) fn serving(told: weir_handover::Serving) -> Serving {
    match told {
        weir_handover::Serving::Processes(pids) => Serving::Processes(pids),
        weir_handover::Serving::Unknown => Serving::Unknown,
        weir_handover::Serving::Elsewhere => Serving::Elsewhere,
    }
}

/// A flow of `weir mcp run`, for a worker. `None` where its two links did not come with it.
pub(crate) fn handed(world: &World, handed: Handed, links: Vec<OwnedFd>) -> Option<Box<Both>> {
    let [client, server] = <[OwnedFd; 2]>::try_from(links).ok()?;
    let program = handed.program;
    Some(Box::new(Both {
        client,
        server,
        connection: ConnectionName::new(&handed.connection),
        caller: workload(world, handed.caller),
        program: Arc::new(Program {
            executable: program.executable.into(),
            executable_digest: program.executable_sha256.map(Digest),
            process: process(program.process),
            arguments_digest: Digest(program.arguments_sha256),
            started_by: program.started_by.into(),
        }),
    }))
}

/// Gives an attested process its name.
pub(crate) fn workload(world: &World, facts: WorkloadFacts) -> Arc<Workload> {
    Arc::new(world.workload(&Process {
        uid: facts.uid,
        gid: facts.gid,
        pid: facts.pid,
        cgroup: facts.cgroup.into(),
        executable: facts.executable.into(),
        executable_digest: facts.executable_sha256.map(Digest),
        lineage: facts.lineage.into_iter().map(process).collect(),
    }))
}

fn process(facts: ProcessFacts) -> ProcessRef {
    ProcessRef {
        pid: facts.pid,
        started_ticks: facts.started_ticks,
    }
}
