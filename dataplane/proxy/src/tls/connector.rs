//! The side towards servers: what is trusted, and how much is verified, per connection.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WantsClientCert};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use weir_flow::Certificate;

use super::acceptor::Speaks;
use super::{provider, roots};

/// How much of the server's certificate is verified; the words of libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Nothing (`prefer`, `require`): only that the server has the certificate's key.
    Nothing,
    /// Chain and name (`verify-full`).
    Full,
}

/// Why a registered server's TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// Neither a DNS name nor an address.
    #[error("{0:?} is no server name")]
    Name(String),
    /// A root that is no certificate.
    #[error("root certificate: {0}")]
    Root(Error),
    /// A certificate of ours that is none, or not that of its key.
    #[error("our certificate: {0}")]
    Own(Error),
}

/// TLS towards one registered server.
pub struct Connector {
    name: ServerName<'static>,
    unverified: Arc<ClientConfig>,
    verified: Option<Arc<ClientConfig>>,
}

impl Connector {
    /// A connector that sends and expects `server_name` (a DNS name or an address), and trusts the
    /// certificates in `roots_pem`, or whom this host trusts where there are none. Without either,
    /// [`Verify::Full`] fails. A server that asks for a
    /// certificate is shown `own`.
    ///
    /// # Errors
    /// A name, a root or a certificate of ours that is none.
    pub fn new(
        server_name: &str,
        roots_pem: &str,
        speaks: Speaks,
        own: Option<&Certificate>,
    ) -> Result<Self, ConnectorError> {
        let name = ServerName::try_from(server_name.to_owned())
            .map_err(|_| ConnectorError::Name(server_name.into()))?;
        let mut store = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(roots_pem.as_bytes()) {
            let root =
                root.map_err(|error| ConnectorError::Root(Error::General(error.to_string())))?;
            store.add(root).map_err(ConnectorError::Root)?;
        }
        if roots_pem.is_empty() {
            store = roots::host();
        }
        let builder = || {
            ClientConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()
                .expect("ring supports TLS 1.2 and 1.3")
        };
        let verified = match store.is_empty() {
            true => None,
            false => Some(show(builder().with_root_certificates(store), own, speaks)?),
        };
        let anything = Arc::new(Unverified(provider()));
        let unverified = builder()
            .dangerous()
            .with_custom_certificate_verifier(anything);
        Ok(Self {
            name,
            unverified: show(unverified, own, speaks)?,
            verified,
        })
    }

    pub(crate) fn config(&self, verify: Verify) -> Option<Arc<ClientConfig>> {
        match verify {
            Verify::Nothing => Some(Arc::clone(&self.unverified)),
            Verify::Full => self.verified.clone(),
        }
    }

    pub(crate) fn name(&self) -> ServerName<'static> {
        self.name.clone()
    }
}

/// Ends a configuration with our own certificate, if there is one.
fn show(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    own: Option<&Certificate>,
    speaks: Speaks,
) -> Result<Arc<ClientConfig>, ConnectorError> {
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let general =
                |error: pem::Error| ConnectorError::Own(Error::General(error.to_string()));
            let chain = CertificateDer::pem_slice_iter(own.chain_pem.as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .map_err(general)?;
            let key = PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes()).map_err(general)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(ConnectorError::Own)?
        }
    };
    config.alpn_protocols = speaks.alpn();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Accepts any certificate, but only from whoever has its key.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_verification_without_roots_has_no_configuration() {
        let connector =
            Connector::new("db.internal", "", Speaks::Postgres, None).expect("a connector");
        assert!(connector.config(Verify::Full).is_none());
        assert!(connector.config(Verify::Nothing).is_some());
    }

    #[test]
    fn names_and_roots_that_are_none_are_refused() {
        assert!(matches!(
            Connector::new("no name", "", Speaks::Postgres, None),
            Err(ConnectorError::Name(_))
        ));
        let root = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
        assert!(matches!(
            Connector::new("10.0.0.1", root, Speaks::Http, None),
            Err(ConnectorError::Root(_))
        ));
    }
}
