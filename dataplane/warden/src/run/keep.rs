//! Keeping a proxy running.

use std::time::Instant;

use anyhow::Result;
use weir_handover::{Control, Equipment, Listening, Redirected, Welcome};

use super::Warden;
use crate::child::Proxy;
use crate::limits::{BACKOFF_MAX, BACKOFF_MIN};

impl Warden {
    pub(super) fn look_after_proxy(&mut self, now: Instant) {
        match &self.proxy {
            Some(proxy) => {
                if let Some(why) = proxy.overdue(now) {
                    self.end_proxy(why);
                }
            }
            None if now >= self.start_at => {
                if let Err(error) = self.start_proxy() {
                    tracing::error!("the proxy cannot be started: {error:#}");
                    self.delay();
                }
            }
            None => {}
        }
    }

    pub(super) fn start_proxy(&mut self) -> Result<()> {
        let equipment = self.equipment()?;
        let proxy = Proxy::start(&self.launch, &equipment, &self.events, &self.jobs)?;
        tracing::info!(boot = proxy.boot, pid = proxy.pid(), "started the proxy");
        self.proxy = Some(proxy);
        Ok(())
    }

    pub(super) fn equipment(&self) -> Result<Equipment> {
        let listeners = self.listeners.all().iter();
        let listeners = listeners.map(|listener| {
            Ok(Listening {
                role: listener.role.clone(),
                socket: listener.socket.try_clone()?,
            })
        });
        let listeners = listeners.collect::<Result<Vec<_>>>()?;
        let (flow_store, load_board) = match &self.hooks {
            Some((hooks, _, _)) => hooks
                .descriptors()
                .map(|(store, board)| (Some(store), Some(board)))?,
            None => (None, None),
        };
        let redirected = self.hooks.as_ref().map(|(_, _, canary_port)| Redirected {
            base_port: self.config.base_port,
            heartbeat_ttl_ms: u64::try_from(self.config.heartbeat_ttl.as_millis())
                .unwrap_or(u64::MAX),
            canary_port: *canary_port,
        });
        let control = self.config.join.as_ref().map(|join| Control {
            url: join.url.clone(),
            token: join.token.clone(),
            control_key: join.control_key.to_bytes(),
            ca_pem: join.ca_pem.clone(),
        });
        let welcome = Welcome {
            boot: self.state.next_boot()?,
            node: self.config.node.clone(),
            workers: u16::try_from(self.config.cpus.len())?,
            cpus: self.config.cpus.clone(),
            listeners: listeners
                .iter()
                .map(|listening| listening.role.clone())
                .collect(),
            redirected,
            state_dir: self.config.state_dir.join("proxy"),
            runtime_dir: self.config.runtime_dir.join("proxy"),
            control,
            metrics: self.config.metrics,
        };
        Ok(Equipment {
            welcome,
            listeners,
            flow_store,
            load_board,
        })
    }

    /// Ends the proxy, if there is one, and plans the next.
    pub(super) fn end_proxy(&mut self, why: &str) {
        let Some(proxy) = self.proxy.take() else {
            return;
        };
        let (boot, healthy) = (proxy.boot, proxy.was_healthy());
        let status = proxy.end();
        if self.stopping.is_some() {
            tracing::info!(boot, status, "the proxy has ended: {why}");
            return;
        }
        tracing::error!(boot, status, "the proxy is gone: {why}");
        self.restarts += 1;
        if healthy {
            self.backoff = BACKOFF_MIN;
        }
        self.delay();
    }

    pub(super) fn delay(&mut self) {
        self.start_at = Instant::now() + self.backoff;
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
    }
}
