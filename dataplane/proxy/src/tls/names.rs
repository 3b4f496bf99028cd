//! What a client's certificate names, in the words that accounts register: `cn:` the subject's
//! common name, and of the subject's alternative names (RFC 5280 §4.2.1.6) `dns:`, `email:`, `uri:`.

use std::sync::Arc;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Names that are looked at; certificates of people and services have one to three.
const NAMES_MAX: usize = 32;

/// The names of a certificate that was verified; none where it cannot be read.
pub(super) fn names(certificate: &[u8]) -> Arc<[Arc<str>]> {
    let Ok((rest, certificate)) = X509Certificate::from_der(certificate) else {
        return Arc::from([]);
    };
    if !rest.is_empty() {
        return Arc::from([]);
    }
    let common = certificate
        .subject()
        .iter_common_name()
        .filter_map(|name| name.as_str().ok())
        .map(|name| format!("cn:{name}"));
    let extension = certificate.subject_alternative_name().ok().flatten();
    let alternative = extension
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(format!("dns:{name}")),
            GeneralName::RFC822Name(name) => Some(format!("email:{name}")),
            GeneralName::URI(name) => Some(format!("uri:{name}")),
            _ => None,
        });
    // A control character could make two names look like one.
    common
        .chain(alternative)
        .filter(|name| !name.chars().any(char::is_control))
        .take(NAMES_MAX)
        .map(Arc::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn the_subject_and_its_alternatives_are_named() {
        let mut params =
            CertificateParams::new(vec!["ci.corp.example".to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, "alice");
        let text = |text: &str| text.try_into().expect("ASCII");
        params
            .subject_alt_names
            .push(SanType::Rfc822Name(text("alice@corp.example")));
        params
            .subject_alt_names
            .push(SanType::URI(text("spiffe://corp.example/ci")));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let found = names(certificate.der());
        let found: Vec<_> = found.iter().map(|name| &**name).collect();
        assert_eq!(
            found,
            [
                "cn:alice",
                "dns:ci.corp.example",
                "email:alice@corp.example",
                "uri:spiffe://corp.example/ci"
            ]
        );
    }

    #[test]
    fn bytes_that_are_no_certificate_name_nobody() {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["a".to_owned()]).expect("a name");
        let der = params
            .self_signed(&key)
            .expect("a certificate")
            .der()
            .to_vec();
        for end in 0..der.len() {
            assert!(names(&der[..end]).is_empty());
        }
        assert!(names(&[der.as_slice(), b"x"].concat()).is_empty());
    }
}
