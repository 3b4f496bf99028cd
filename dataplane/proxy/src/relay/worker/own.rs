//! Weir's own listeners: a flow bound for one of them would come back to us, and again.

use std::net::{SocketAddr, TcpListener};

use weir_flow::canonical;

/// The addresses that Weir listens at.
#[derive(Clone, Debug, Default)]
pub struct OwnAddresses(Vec<SocketAddr>);

impl OwnAddresses {
    /// Listeners as they were bound; an unspecified address stands for all of this host's.
    #[must_use]
    pub fn new(listeners: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self(listeners.into_iter().map(canonical).collect())
    }

    /// Whether a connect to `target` would reach one of them.
    #[must_use]
    pub fn contains(&self, target: SocketAddr) -> bool {
        let target = canonical(target);
        self.0.iter().any(|own| {
            let is_all = own.ip().is_unspecified() || target.ip().is_unspecified();
            own.port() == target.port() && (own.ip() == target.ip() || (is_all && is_local(target)))
        })
    }
}

/// Whether this host has the address: only then can a socket be bound to it.
fn is_local(address: SocketAddr) -> bool {
    TcpListener::bind((address.ip(), 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect(text)
    }

    #[test]
    fn our_own_listeners_are_known_in_every_spelling() {
        let own = OwnAddresses::new([at("127.0.0.1:15432"), at("[::1]:15432"), at("0.0.0.0:6543")]);
        for target in [
            "127.0.0.1:15432",
            "[::ffff:127.0.0.1]:15432",
            "[::1]:15432",
            "127.0.0.1:6543",
            "0.0.0.0:15432",
        ] {
            assert!(own.contains(at(target)), "{target}");
        }
    }

    #[test]
    fn other_ports_and_other_hosts_are_not_ours() {
        let own = OwnAddresses::new([at("127.0.0.1:15432"), at("0.0.0.0:6543")]);
        for target in ["127.0.0.1:15433", "192.0.2.7:15432", "192.0.2.7:6543"] {
            assert!(!own.contains(at(target)), "{target}");
        }
    }
}
