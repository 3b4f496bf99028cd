//! The nodes whose streams are open, and the bell that rings when the world has changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};
use tonic::Status;
use weir_api::v1::{ToDataPlane, to_data_plane::Message};

/// What goes to a node.
pub(crate) type Outbound = mpsc::Sender<Result<ToDataPlane, Status>>;

/// Who is here.
pub(crate) struct Hub {
    attached: Mutex<HashMap<String, Attached>>,
    world: watch::Sender<u64>,
    stopping: watch::Sender<bool>,
}

struct Attached {
    session: u64,
    outbound: Outbound,
    // Dropped to end the session.
    _alive: watch::Sender<()>,
}

/// One open stream. Dropping it detaches the node, unless a newer stream has taken its place.
pub(crate) struct Seat {
    hub: Arc<Hub>,
    node: String,
    session: u64,
    /// Ends when a newer stream of the same node begins, or when the node falls behind.
    pub(crate) alive: watch::Receiver<()>,
    /// Rings when the world has changed.
    pub(crate) world: watch::Receiver<u64>,
    /// Rings once, when the control plane stops.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Hub {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            attached: Mutex::default(),
            world: watch::channel(0).0,
            stopping: watch::channel(false).0,
        })
    }

    /// A map stays whole if a holder of the lock panicked: every change of it is one call.
    fn attached(&self) -> MutexGuard<'_, HashMap<String, Attached>> {
        self.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that something a world is made of has changed.
    pub(crate) fn world_changed(&self) {
        self.world.send_modify(|generation| *generation += 1);
    }

    /// Ends every stream.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Whether the control plane stops; resolves when it does.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Attaches a node; a stream that it had before ends.
    pub(crate) fn attach(self: &Arc<Self>, node: &str, outbound: Outbound) -> Seat {
        let (alive_sender, alive) = watch::channel(());
        let mut attached = self.attached();
        let session = attached.get(node).map_or(0, |before| before.session + 1);
        attached.insert(
            node.to_owned(),
            Attached {
                session,
                outbound,
                _alive: alive_sender,
            },
        );
        Seat {
            hub: Arc::clone(self),
            node: node.to_owned(),
            session,
            alive,
            world: self.world.subscribe(),
            stopping: self.stopping.subscribe(),
        }
    }

    /// Whether a node's stream is open.
    pub(crate) fn is_attached(&self, node: &str) -> bool {
        self.attached().contains_key(node)
    }

    /// Nodes whose stream is open.
    pub(crate) fn count(&self) -> usize {
        self.attached().len()
    }

    /// Sends to a node if it is here. One that does not keep up is disconnected: it gets
    /// everything that counts when it is back.
    pub(crate) fn send(&self, node: &str, message: Message) {
        let mut attached = self.attached();
        let Some(seat) = attached.get(node) else {
            return;
        };
        if seat
            .outbound
            .try_send(Ok(ToDataPlane {
                message: Some(message),
            }))
            .is_err()
        {
            tracing::warn!(node, "does not read its stream; disconnected");
            attached.remove(node);
        }
    }

    /// Sends to every node that is here.
    pub(crate) fn broadcast(&self, message: &Message) {
        let nodes: Vec<String> = self.attached().keys().cloned().collect();
        for node in nodes {
            self.send(&node, message.clone());
        }
    }

    /// Ends a node's stream.
    pub(crate) fn detach(&self, node: &str) {
        self.attached().remove(node);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut attached = self.hub.attached();
        if attached
            .get(&self.node)
            .is_some_and(|now| now.session == self.session)
        {
            attached.remove(&self.node);
        }
    }
}
