//! Every listening socket of the data plane. They belong to the warden and outlive proxies;
//! with systemd they outlive the warden as well.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use weir_handover::ListenerRole;

use crate::limits::{BACKLOG, EXPLICIT_MAX, PREDECESSOR_END, PREDECESSOR_POLL};
use crate::{sys, systemd};

/// Who asked for an explicit listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    /// The configuration, for as long as the warden runs; or the redirect.
    Configuration,
    /// The world in force.
    World,
}

/// One socket.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) role: ListenerRole,
    pub(crate) socket: TcpListener,
    asker: Asker,
}

/// What following a world changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) added: Vec<ListenerRole>,
    pub(crate) removed: Vec<ListenerRole>,
    pub(crate) failed: Vec<(SocketAddr, io::Error)>,
}

/// All sockets.
#[derive(Debug)]
pub(crate) struct Listeners {
    kept: HashMap<String, OwnedFd>,
    all: Vec<Listener>,
}

impl Listeners {
    /// Begins with what systemd kept.
    pub(crate) fn new(kept: HashMap<String, OwnedFd>) -> Self {
        Self {
            kept,
            all: Vec::new(),
        }
    }

    /// Every socket, in the order in which the proxy is told.
    pub(crate) fn all(&self) -> &[Listener] {
        &self.all
    }

    /// Ports besides the redirect's.
    pub(crate) fn explicit_ports(&self) -> Vec<u16> {
        let ports = self.all.iter().filter_map(|listener| match &listener.role {
            ListenerRole::Explicit { address, .. } => Some(address.port()),
            ListenerRole::Redirect { .. } => None,
        });
        ports.collect()
    }

    /// The redirect's listeners: both families for each worker.
    pub(crate) fn add_redirect(&mut self, base_port: u16, workers: u16) -> Result<()> {
        for worker in 0..workers {
            for ip in [
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ] {
                let address = SocketAddr::new(ip, base_port + worker);
                let role = ListenerRole::Redirect { worker };
                self.add(address, role, Asker::Configuration)
                    .with_context(|| format!("listen on {address} for worker {worker}"))?;
            }
        }
        Ok(())
    }

    /// A listener that the configuration asks for.
    pub(crate) fn add_configured(&mut self, address: SocketAddr, connection: &str) -> Result<()> {
        ensure!(address.port() != 0, "listener {address} has no port");
        let role = ListenerRole::Explicit {
            connection: connection.to_owned(),
            address,
        };
        self.add(address, role, Asker::Configuration)
            .with_context(|| format!("listen on {address}"))
    }

    /// Makes the world's listeners exactly these. What cannot be bound is told, not fatal: the
    /// world is right, this host is not.
    pub(crate) fn follow(&mut self, wanted: &[(SocketAddr, String)]) -> Changes {
        let mut changes = Changes::default();
        let role = |(address, connection): &(SocketAddr, String)| ListenerRole::Explicit {
            connection: connection.clone(),
            address: *address,
        };
        let (stay, go): (Vec<_>, Vec<_>) = self.all.drain(..).partition(|listener| {
            listener.asker == Asker::Configuration
                || wanted.iter().any(|wish| role(wish) == listener.role)
        });
        self.all = stay;
        for listener in go {
            if let ListenerRole::Explicit { address, .. } = &listener.role {
                tell(systemd::forget(&kept_name(*address)));
            }
            changes.removed.push(listener.role);
        }
        for wish in wanted {
            if self.all.iter().any(|listener| listener.role == role(wish)) {
                continue;
            }
            match self.add(wish.0, role(wish), Asker::World) {
                Ok(()) => changes.added.push(role(wish)),
                Err(error) => changes.failed.push((wish.0, error)),
            }
        }
        changes
    }

    /// The socket of a role.
    pub(crate) fn socket(&self, role: &ListenerRole) -> Option<&TcpListener> {
        self.all
            .iter()
            .find(|listener| listener.role == *role)
            .map(|listener| &listener.socket)
    }

    fn add(&mut self, address: SocketAddr, role: ListenerRole, asker: Asker) -> io::Result<()> {
        let explicit = self.explicit_ports().len();
        if matches!(role, ListenerRole::Explicit { .. }) && explicit >= EXPLICIT_MAX {
            return Err(io::Error::other(format!(
                "more than {EXPLICIT_MAX} listeners"
            )));
        }
        let name = kept_name(address);
        let kept = self.kept.remove(&name).map(TcpListener::from);
        // A name is only a name: the address is what counts.
        let kept = kept.filter(|socket| socket.local_addr().is_ok_and(|local| local == address));
        let socket = match kept {
            Some(socket) => socket,
            None => {
                let socket = match asker {
                    Asker::Configuration => bind_after_predecessor(address)?,
                    Asker::World => TcpListener::bind(address)?,
                };
                tell(systemd::keep(&name, socket.as_fd()));
                socket
            }
        };
        sys::listen(socket.as_fd(), BACKLOG)?;
        self.all.push(Listener {
            role,
            socket,
            asker,
        });
        Ok(())
    }
}

/// Binds an address that a proxy may still hold whose warden was killed: it ends as soon as it
/// has noticed, and nobody else may bind the port meanwhile.
fn bind_after_predecessor(address: SocketAddr) -> io::Result<TcpListener> {
    let begun = Instant::now();
    loop {
        match TcpListener::bind(address) {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && begun.elapsed() < PREDECESSOR_END =>
            {
                thread::sleep(PREDECESSOR_POLL);
            }
            bound => return bound,
        }
    }
}

/// A name that systemd takes: no colon.
fn kept_name(address: SocketAddr) -> String {
    format!(
        "weir-{}-{}",
        address.ip().to_string().replace(':', "_"),
        address.port()
    )
}

/// Without its store, systemd's restart loses the queue, nothing else.
fn tell(kept: io::Result<()>) {
    if let Err(error) = kept {
        tracing::warn!(%error, "systemd's descriptor store");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    }

    #[test]
    fn the_worlds_listeners_come_and_go_and_the_configured_stay() {
        let mut listeners = Listeners::new(HashMap::new());
        let (configured, one, two) = (
            free(),
            (free(), "one".to_owned()),
            (free(), "two".to_owned()),
        );
        listeners.add_configured(configured, "mine").unwrap();
        let changes = listeners.follow(&[one.clone(), two.clone()]);
        assert_eq!(
            (
                changes.added.len(),
                changes.removed.len(),
                changes.failed.len()
            ),
            (2, 0, 0)
        );
        let changes = listeners.follow(&[two]);
        assert_eq!((changes.added.len(), changes.removed.len()), (0, 1));
        assert_eq!(listeners.explicit_ports().len(), 2);
        TcpListener::bind(one.0).expect("the port is free again");
    }

    #[test]
    fn an_address_that_is_taken_is_told() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut listeners = Listeners::new(HashMap::new());
        let changes = listeners.follow(&[(taken.local_addr().unwrap(), "c".into())]);
        assert_eq!(changes.failed[0].1.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_kept_socket_is_taken_for_its_own_address_only() {
        let kept = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, other) = (kept.local_addr().unwrap(), free());
        let copy = || OwnedFd::from(kept.try_clone().unwrap());
        let names = HashMap::from([(kept_name(address), copy()), (kept_name(other), copy())]);
        let mut listeners = Listeners::new(names);
        listeners
            .add_configured(address, "a")
            .expect("it is bound already, so only the kept one can be it");
        listeners.add_configured(other, "b").unwrap();
        assert_eq!(listeners.all()[1].socket.local_addr().unwrap(), other);
    }
}
