//! Whom this host trusts: read once, before the process is confined and can read it no more.

use std::path::Path;
use std::sync::OnceLock;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::ca::PUBLIC_FILE;

static ROOTS: OnceLock<RootCertStore> = OnceLock::new();

/// Reads the host's trust; later calls change nothing. Weir's own CA, under `state`, is not part of
/// it: whatever it vouches for is for clients, and no server that Weir speaks to. Says how many
/// authorities there are.
pub fn trust_host(state: &Path) -> usize {
    let own = CertificateDer::from_pem_file(state.join(PUBLIC_FILE)).ok();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a part of this host's trust cannot be read");
    }
    let others = found
        .certs
        .into_iter()
        .filter(|certificate| Some(certificate) != own.as_ref());
    ROOTS.get_or_init(|| trusting(others)).len()
}

/// What was read; nothing before.
pub(super) fn host() -> RootCertStore {
    ROOTS.get().cloned().unwrap_or_else(RootCertStore::empty)
}

/// Authorities of which none need be usable: hosts have some that no verifier takes.
fn trusting(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates);
    store
}
