//! `tls-server-end-point` (RFC 5929 §4.1): the hash of the server's certificate, by the hash of
//! the algorithm that it is signed with, where MD5 and SHA-1 count as SHA-256.

use sha2::{Digest as _, Sha256};
use weir_facts::Digest;

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// Signature algorithms (contents of the OBJECT IDENTIFIER) whose binding is SHA-256.
const SHA256_ALGORITHMS: [&[u8]; 7] = [
    // ecdsa-with-SHA256, ecdsa-with-SHA1
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01],
    // sha256WithRSAEncryption, sha1WithRSAEncryption, md5WithRSAEncryption
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04],
    // dsa-with-sha256, dsa-with-sha1
    &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x02],
    &[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x03],
];

/// The channel binding of a DER certificate; `None` where it is undefined (Ed25519) or longer
/// than 32 bytes (SHA-384, SHA-512): then nobody binds.
pub(crate) fn server_end_point(certificate: &[u8]) -> Option<Digest> {
    let algorithm = signature_algorithm(certificate)?;
    SHA256_ALGORITHMS
        .contains(&algorithm)
        .then(|| Digest(Sha256::digest(certificate).into()))
}

/// `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OID, … }, … }`
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let (body, _) = element(certificate, SEQUENCE)?;
    let (_, after_tbs) = element(body, SEQUENCE)?;
    let (algorithm, _) = element(after_tbs, SEQUENCE)?;
    let (identifier, _) = element(algorithm, OBJECT_IDENTIFIER)?;
    Some(identifier)
}

/// Splits one DER element (X.690 §8.1) of the given tag into its contents and what follows.
fn element(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = input.split_first()?;
    let (&short, rest) = rest.split_first()?;
    if first != tag {
        return None;
    }
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            (
                digits
                    .iter()
                    .fold(0, |length, &digit| length << 8 | usize::from(digit)),
                rest,
            )
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{
        CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    };

    fn certificate(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<u8> {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let params = CertificateParams::new(vec!["db.internal".to_owned()]).expect("a name");
        params
            .self_signed(&key)
            .expect("a certificate")
            .der()
            .to_vec()
    }

    #[test]
    fn a_certificate_signed_with_sha256_binds_with_sha256() {
        let der = certificate(&PKCS_ECDSA_P256_SHA256);
        assert_eq!(
            server_end_point(&der),
            Some(Digest(Sha256::digest(&der).into()))
        );
    }

    #[test]
    fn a_certificate_signed_otherwise_binds_with_nothing() {
        assert_eq!(
            server_end_point(&certificate(&PKCS_ECDSA_P384_SHA384)),
            None
        );
        assert_eq!(server_end_point(&certificate(&PKCS_ED25519)), None);
    }

    #[test]
    fn bytes_that_are_no_certificate_bind_with_nothing_wherever_they_are_cut() {
        let der = certificate(&PKCS_ECDSA_P256_SHA256);
        for end in 0..der.len() {
            assert_eq!(server_end_point(&der[..end]), None);
        }
        assert_eq!(server_end_point(&[0x30, 0x84, 1, 1, 1, 1]), None);
    }
}
