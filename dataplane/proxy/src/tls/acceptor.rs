//! The side towards clients: Weir's leaf.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{Error, RootCertStore, ServerConfig};
use time::OffsetDateTime;
use weir_facts::Digest;

use super::ca::{CaError, HostCa, Leaf};
use super::provider;

/// What is spoken inside: decides the ALPN name (RFC 7301) that both ends must agree on if the
/// client offers any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// `postgresql`, which direct TLS must offer (PostgreSQL 17, protocol flow, SSL session encryption).
    Postgres,
    /// `http/1.1`.
    Http,
}

impl Speaks {
    pub(super) fn alpn(self) -> Vec<Vec<u8>> {
        match self {
            Self::Postgres => vec![b"postgresql".to_vec()],
            Self::Http => vec![b"http/1.1".to_vec()],
        }
    }
}

/// Answers handshakes with one leaf. Immutable; renewed by replacing it.
pub struct Acceptor {
    postgres: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
    leaf: Leaf,
}

impl Acceptor {
    /// Answers with this leaf.
    ///
    /// # Errors
    /// The leaf's key is not of its certificate.
    pub fn new(leaf: Leaf) -> Result<Self, Error> {
        Ok(Self {
            postgres: config(&leaf, Speaks::Postgres, None)?,
            http: config(&leaf, Speaks::Http, None)?,
            leaf,
        })
    }

    /// A configuration that asks clients for a certificate of one of these CAs. A client without
    /// one is served; one with another CA's is not.
    ///
    /// # Errors
    /// `roots_pem` has none that can be used.
    pub(crate) fn asking(
        &self,
        speaks: Speaks,
        roots_pem: &str,
    ) -> Result<Arc<ServerConfig>, Error> {
        config(&self.leaf, speaks, Some(roots_pem))
    }

    pub(crate) fn config(&self, speaks: Speaks) -> Arc<ServerConfig> {
        match speaks {
            Speaks::Postgres => Arc::clone(&self.postgres),
            Speaks::Http => Arc::clone(&self.http),
        }
    }

    /// Whether half of its leaf's life is still to come.
    pub(crate) fn is_fresh(&self, now: OffsetDateTime) -> bool {
        now.unix_timestamp() < self.leaf.renew_at_s
    }

    pub(crate) const fn digest(&self) -> Digest {
        self.leaf.digest
    }
}

fn config(
    leaf: &Leaf,
    speaks: Speaks,
    client_roots_pem: Option<&str>,
) -> Result<Arc<ServerConfig>, Error> {
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match client_roots_pem {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for root in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                roots.add(root.map_err(|error| Error::General(error.to_string()))?)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
                .allow_unauthenticated()
                .build()
                .map_err(|error| Error::General(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(leaf.chain.clone(), leaf.key.clone_key())?;
    config.alpn_protocols = speaks.alpn();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The acceptor of the moment, shared by all workers and renewed by a control task.
pub struct AcceptorSource {
    ca: HostCa,
    names: Vec<String>,
    current: ArcSwap<Acceptor>,
}

impl AcceptorSource {
    /// Makes the first leaf, for `localhost`, 127.0.0.1, ::1 and `names`.
    ///
    /// # Errors
    /// A name that no certificate can carry.
    pub fn new(ca: HostCa, names: Vec<String>, now: OffsetDateTime) -> Result<Self, CaError> {
        let current = ArcSwap::from_pointee(Self::make(&ca, &names, now)?);
        Ok(Self { ca, names, current })
    }

    fn make(ca: &HostCa, names: &[String], now: OffsetDateTime) -> Result<Acceptor, CaError> {
        let leaf = ca.leaf(names, now)?;
        Ok(Acceptor::new(leaf).expect("the leaf was just signed for the key beside it"))
    }

    /// What answers now.
    #[must_use]
    pub fn current(&self) -> Arc<Acceptor> {
        self.current.load_full()
    }

    /// One that answers as a server of these names, which was verified.
    ///
    /// # Errors
    /// A name that no certificate can carry.
    pub fn answering_as(&self, names: &[String], now: OffsetDateTime) -> Result<Acceptor, CaError> {
        Self::make(&self.ca, names, now)
    }

    /// The CA behind it.
    #[must_use]
    pub const fn ca(&self) -> &HostCa {
        &self.ca
    }

    /// Replaces the leaf if half of its life is over; call it now and then. Says whether it did.
    ///
    /// # Errors
    /// The signer failed; the old leaf stays.
    pub fn renew(&self, now: OffsetDateTime) -> Result<bool, CaError> {
        if self.current.load().is_fresh(now) {
            return Ok(false);
        }
        self.current
            .store(Arc::new(Self::make(&self.ca, &self.names, now)?));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;

    #[test]
    fn the_leaf_is_renewed_at_half_of_its_life_and_not_before() {
        let state = tempfile::tempdir().expect("a directory");
        let now = OffsetDateTime::now_utc();
        let ca = HostCa::open(state.path(), now).expect("a CA");
        let source = AcceptorSource::new(ca, Vec::new(), now).expect("a leaf");
        let first = source.current().digest();
        assert!(
            !source
                .renew(now + Duration::days(14))
                .expect("nothing to do")
        );
        assert!(source.renew(now + Duration::days(16)).expect("a new leaf"));
        assert_ne!(source.current().digest(), first);
    }
}
