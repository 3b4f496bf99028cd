use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::message::{ListenerRole, ToProxy, Welcome};
use crate::{HandoverError, ProxyEnd};

/// A listening socket and what it is for. Several redirect sockets belong to one worker: one
/// for each address family.
#[derive(Debug)]
pub struct Listening {
    /// What it is for.
    pub role: ListenerRole,
    /// The socket, bound and listening, blocking.
    pub socket: TcpListener,
}

/// The welcome with its descriptors in their places.
#[derive(Debug)]
pub struct Equipment {
    /// What was said.
    pub welcome: Welcome,
    /// Every listening socket.
    pub listeners: Vec<Listening>,
    /// For `weir_redirect::FlowStore`, if there is a redirect.
    pub flow_store: Option<OwnedFd>,
    /// For `weir_redirect::LoadBoard`, if there is a redirect.
    pub load_board: Option<OwnedFd>,
}

/// Why a proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EquipmentError {
    /// The channel.
    #[error(transparent)]
    Handover(#[from] HandoverError),
    /// The warden went away first.
    #[error("the warden closed the channel before it said welcome")]
    Gone,
    /// The first message was another one.
    #[error("the first message was not a welcome")]
    NotWelcome,
    /// The welcome announces other descriptors than came with it.
    #[error("{came} descriptors came with a welcome that announces {announced}")]
    Descriptors {
        /// How many came.
        came: usize,
        /// How many it announces.
        announced: usize,
    },
}

impl Equipment {
    /// Waits for the welcome: the first thing that a proxy does with its end.
    pub fn receive(channel: &ProxyEnd) -> Result<Self, EquipmentError> {
        let (message, descriptors) = channel.receive()?.ok_or(EquipmentError::Gone)?;
        match message {
            ToProxy::Welcome(welcome) => Self::new(*welcome, descriptors),
            ToProxy::Attested { .. }
            | ToProxy::Served { .. }
            | ToProxy::GuardsApplied { .. }
            | ToProxy::Listen { .. }
            | ToProxy::Unlisten { .. }
            | ToProxy::Hand(_)
            | ToProxy::Health(_)
            | ToProxy::Drain { .. } => Err(EquipmentError::NotWelcome),
        }
    }

    /// Puts descriptors in their places.
    pub fn new(welcome: Welcome, descriptors: Vec<OwnedFd>) -> Result<Self, EquipmentError> {
        let (came, announced) = (
            descriptors.len(),
            welcome.listeners.len() + if welcome.redirected.is_some() { 2 } else { 0 },
        );
        if came != announced {
            return Err(EquipmentError::Descriptors { came, announced });
        }
        let mut descriptors = descriptors.into_iter();
        let listeners = welcome
            .listeners
            .iter()
            .cloned()
            .zip(descriptors.by_ref())
            .map(|(role, socket)| Listening {
                role,
                socket: socket.into(),
            })
            .collect();
        Ok(Self {
            welcome,
            listeners,
            flow_store: descriptors.next(),
            load_board: descriptors.next(),
        })
    }

    /// The welcome and the descriptors, in the order in which [`Self::new`] takes them; what a
    /// warden sends.
    #[must_use]
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let listeners = self
            .listeners
            .iter()
            .map(|listening| listening.socket.as_fd());
        listeners
            .chain(
                self.flow_store
                    .iter()
                    .chain(&self.load_board)
                    .map(AsFd::as_fd),
            )
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Redirected;
    use crate::pair;

    fn welcome(redirected: Option<Redirected>) -> Welcome {
        Welcome {
            boot: 1,
            node: "node".into(),
            workers: 1,
            cpus: vec![0],
            listeners: vec![ListenerRole::Redirect { worker: 0 }],
            redirected,
            state_dir: "/s".into(),
            runtime_dir: "/r".into(),
            control: None,
            metrics: None,
        }
    }

    #[test]
    fn every_descriptor_finds_its_place() {
        let (warden, proxy) = pair().unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let (store, board) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let redirected = Some(Redirected {
            base_port: 1,
            heartbeat_ttl_ms: 1,
            canary_port: 2,
        });
        let message = ToProxy::Welcome(Box::new(welcome(redirected)));
        warden
            .send(&message, &[socket.as_fd(), store.as_fd(), board.as_fd()])
            .unwrap();
        let equipment = Equipment::receive(&proxy).unwrap();
        assert_eq!(
            equipment.listeners[0].socket.local_addr().unwrap(),
            socket.local_addr().unwrap()
        );
        assert!(equipment.flow_store.is_some() && equipment.load_board.is_some());
        assert_eq!(equipment.descriptors().len(), 3);
    }

    #[test]
    fn a_missing_descriptor_is_noticed() {
        let error = Equipment::new(welcome(None), Vec::new()).unwrap_err();
        assert!(matches!(
            error,
            EquipmentError::Descriptors {
                came: 0,
                announced: 1
            }
        ));
    }
}
