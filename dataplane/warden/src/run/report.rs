//! What the warden tells about itself.

use std::time::Instant;

use weir_handover::{HealthReport, ListenerRole, ToProxy};

use super::Warden;
use crate::limits::CANARY_EVERY;
use crate::listeners::Listener;
use crate::status::{ProxyStatus, Status};

impl Warden {
    pub(super) fn health(&self) -> HealthReport {
        let (hooks, counters) = match &self.hooks {
            Some((hooks, _, _)) => (hooks.report(), hooks.counters()),
            None => (Ok(Vec::new()), Ok(Vec::new())),
        };
        if let Some(error) = hooks.as_ref().err().or(counters.as_ref().err()) {
            tracing::error!("the hooks cannot be read: {error:#}");
        }
        HealthReport {
            version: self.held.as_ref().map_or(0, |held| held.number),
            guards: self.resolved.reports.clone(),
            // What cannot be read is not attached.
            hooks: hooks.unwrap_or_default(),
            canary: self.canary.clone(),
            counters: counters.unwrap_or_default(),
        }
    }

    pub(super) fn tell_health(&mut self) {
        self.health_at = Instant::now() + CANARY_EVERY;
        if let Some(proxy) = self.proxy.as_ref().filter(|proxy| proxy.ready) {
            proxy.send(&ToProxy::Health(self.health()), &[]);
        }
    }

    pub(super) fn status(&self) -> Status {
        let proxy = self.proxy.as_ref().map(|proxy| ProxyStatus {
            pid: proxy.pid(),
            boot: proxy.boot,
            ready: proxy.ready,
            report: proxy.report.clone(),
        });
        let glass = self
            .hooks
            .as_ref()
            .map(|(hooks, _, _)| hooks.glass_is_broken());
        Status {
            node: self.config.node.clone(),
            pid: std::process::id(),
            proxy,
            restarts: self.restarts,
            redirect: self.hooks.is_some(),
            glass_broken: glass.is_some_and(|glass| glass.unwrap_or(true)),
            listeners: self.listeners.all().iter().map(describe).collect(),
            health: self.health(),
        }
    }
}

fn describe(listener: &Listener) -> String {
    let address = listener
        .socket
        .local_addr()
        .map_or_else(|error| error.to_string(), |address| address.to_string());
    match &listener.role {
        ListenerRole::Redirect { worker } => format!("{address} (redirect, worker {worker})"),
        ListenerRole::Explicit { connection, .. } => format!("{address} ({connection})"),
    }
}
