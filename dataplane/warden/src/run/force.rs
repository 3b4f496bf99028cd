//! Putting a world's guards, addresses and listeners in force.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use anyhow::{Context as _, Result};
use weir_handover::{ListenerRole, ToProxy};

use super::Warden;
use crate::guards;
use crate::state::Held;

impl Warden {
    pub(super) fn apply_guards(&mut self, request: u64, descriptors: Vec<OwnedFd>) {
        let outcome = self
            .accept(descriptors)
            .map_err(|error| format!("{error:#}"));
        match &outcome {
            Ok(version) => tracing::info!(version, "guards are in force"),
            Err(error) => tracing::warn!(error, "guards are refused"),
        }
        if let Some(proxy) = &self.proxy {
            proxy.send(&ToProxy::GuardsApplied { request, outcome }, &[]);
        }
        self.health_at = Instant::now();
    }

    pub(super) fn accept(&mut self, descriptors: Vec<OwnedFd>) -> Result<u64> {
        let update = descriptors
            .into_iter()
            .next()
            .context("no descriptor came with the guards")?;
        let held = guards::check(&self.config, self.held.as_ref(), update)?;
        let version = held.number;
        // Before it is in force: after a crash it cannot be undone by an older one.
        self.state.hold(&held)?;
        self.put_in_force(held)?;
        Ok(version)
    }

    pub(super) fn put_in_force(&mut self, held: Held) -> Result<()> {
        let changes = self.listeners.follow(&held.listen);
        for (address, error) in &changes.failed {
            tracing::error!(%address, %error, "cannot listen");
        }
        self.reserve_ports()?;
        if let Some((hooks, cgroups, _)) = &self.hooks {
            let resolved = guards::resolve(&cgroups.root, &held.guards);
            hooks.guard(resolved.all, &resolved.cgroups)?;
            hooks.govern(&guards::selectors(&held))?;
            self.resolved = resolved;
        }
        self.attestor.tell_lineage(!held.stdio.is_empty());
        self.held = Some(held);
        self.tell_listeners(changes.added, changes.removed);
        Ok(())
    }

    pub(super) fn reserve_ports(&self) -> Result<()> {
        self.hooks.as_ref().map_or(Ok(()), |(hooks, _, _)| {
            hooks.reserve(&self.listeners.explicit_ports())
        })
    }

    pub(super) fn tell_listeners(&self, added: Vec<ListenerRole>, removed: Vec<ListenerRole>) {
        let Some(proxy) = &self.proxy else { return };
        for role in removed {
            proxy.send(&ToProxy::Unlisten { role }, &[]);
        }
        for role in added {
            if let Some(socket) = self.listeners.socket(&role) {
                proxy.send(&ToProxy::Listen { role }, &[socket.as_fd()]);
            }
        }
    }

    /// Units come and go; their cgroups have new ids then.
    pub(super) fn rescan(&mut self) {
        let (Some((hooks, cgroups, _)), Some(held)) = (&self.hooks, &self.held) else {
            return;
        };
        let resolved = guards::resolve(&cgroups.root, &held.guards);
        if resolved == self.resolved {
            return;
        }
        match hooks.guard(resolved.all, &resolved.cgroups) {
            Ok(()) => {
                self.resolved = resolved;
                self.health_at = Instant::now();
            }
            Err(error) => tracing::error!(%error, "guards cannot be changed"),
        }
    }
}
