//! The host's own certificate authority: made once, kept under the state directory with mode
//! 0600, never leaves the host. One CA for many hosts would let each impersonate the others.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};
use weir_facts::Digest;
use zeroize::Zeroizing;

/// Certificate and key of the CA in one file, so that there are never two that disagree.
const SECRET_FILE: &str = "ca.pem";
/// The certificate alone, for clients' trust.
pub(super) const PUBLIC_FILE: &str = "ca.crt";
/// Longer than hosts live; replacing it means touching every client's trust.
const CA_VALIDITY: Duration = Duration::days(3650);
/// Short, because its key is only in memory and a new one costs nothing.
const LEAF_VALIDITY: Duration = Duration::days(30);
/// Half of that, so that a renewal that fails leaves two weeks to notice.
const LEAF_RENEWAL: Duration = Duration::days(15);
/// Clocks of clients may be behind by this much.
const CLOCK_SKEW: Duration = Duration::hours(1);
/// Names that every leaf has: what a redirected or local client may have asked for.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Why there is no CA or no leaf.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others than its owner may read the key.
    #[error("{path} has mode {mode:o}; it holds the host CA's key and must be 600")]
    Mode {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds no certificate and key.
    #[error("{path}: {reason}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A name that no certificate can carry, or a failure of the signer.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// The CA of this host.
pub struct HostCa {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate for clients to verify, with its key.
pub struct Leaf {
    /// The leaf, then the CA.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key; PKCS #8.
    pub key: PrivateKeyDer<'static>,
    /// SHA-256 of the leaf: `tls-server-end-point` (RFC 5929 §4), since it is signed with SHA-256.
    pub digest: Digest,
    /// When to make the next one: half of its life, in seconds since the Unix epoch.
    pub renew_at_s: i64,
}

impl HostCa {
    /// Reads the CA under `state`, or makes it if there is none.
    ///
    /// # Errors
    /// It cannot be read or made, or is not protected: then clients get no TLS.
    pub fn open(state: &Path, now: OffsetDateTime) -> Result<Self, CaError> {
        let path = state.join(SECRET_FILE);
        match File::open(&path) {
            Ok(file) => Self::read(&path, &file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::create(state, &path, now)
            }
            Err(error) => Err(CaError::File { path, error }),
        }
    }

    fn read(path: &Path, file: &File) -> Result<Self, CaError> {
        let failed = |error| CaError::File {
            path: path.to_owned(),
            error,
        };
        let wrong = |reason: String| CaError::Content {
            path: path.to_owned(),
            reason,
        };
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(CaError::Mode {
                path: path.to_owned(),
                mode,
            });
        }
        let text = Zeroizing::new(io::read_to_string(file).map_err(failed)?);
        let certificate = CertificateDer::from_pem_slice(text.as_bytes())
            .map_err(|error| wrong(error.to_string()))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes())
            .map_err(|error| wrong(error.to_string()))?;
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256)?;
        // The certificate must be of this key: it carries the key's bits as they are.
        let bits = key.public_key_raw();
        if !certificate.windows(bits.len()).any(|window| window == bits) {
            return Err(wrong(
                "the certificate is not of the key beside it".to_owned(),
            ));
        }
        let params = ca_params(&key, OffsetDateTime::UNIX_EPOCH);
        Ok(Self {
            certificate,
            issuer: Issuer::new(params, key),
        })
    }

    fn create(state: &Path, path: &Path, now: OffsetDateTime) -> Result<Self, CaError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let params = ca_params(&key, now);
        let certificate: Certificate = params.self_signed(&key)?;
        let pem = certificate.pem();
        let secret = Zeroizing::new(format!("{pem}{}", key.serialize_pem()));
        write_new(path, secret.as_bytes(), 0o600)?;
        write_new(&state.join(PUBLIC_FILE), pem.as_bytes(), 0o644)?;
        Ok(Self {
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        })
    }

    /// The CA's certificate, DER.
    #[must_use]
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The CA's certificate, PEM: what clients put into their trust.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        let lines = BASE64.encode(&self.certificate);
        let lines = lines
            .as_bytes()
            .chunks(64)
            .map(String::from_utf8_lossy)
            .collect::<Vec<_>>()
            .join("\n");
        format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
    }

    /// A leaf for this host's names and addresses, with a key of its own.
    ///
    /// # Errors
    /// A name that no certificate can carry.
    pub fn leaf(&self, names: &[String], now: OffsetDateTime) -> Result<Leaf, CaError> {
        let mut all: Vec<String> = LOCAL_NAMES.iter().map(|&name| name.to_owned()).collect();
        all.extend(
            names
                .iter()
                .filter(|name| !LOCAL_NAMES.contains(&name.as_str()))
                .cloned(),
        );
        let mut params = CertificateParams::new(all)?;
        params.distinguished_name = named("Weir");
        params.not_before = now - CLOCK_SKEW;
        params.not_after = now + LEAF_VALIDITY;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let leaf = params.signed_by(&key, &self.issuer)?.der().clone();
        Ok(Leaf {
            digest: Digest(Sha256::digest(&leaf).into()),
            chain: vec![leaf, self.certificate.clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            renew_at_s: now.saturating_add(LEAF_RENEWAL).unix_timestamp(),
        })
    }
}

/// The CA's parameters follow from its key alone, so that they need not be parsed back.
fn ca_params(key: &KeyPair, now: OffsetDateTime) -> CertificateParams {
    let fingerprint: [u8; 32] = Sha256::digest(key.public_key_raw()).into();
    let short: String = fingerprint
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mut params = CertificateParams::default();
    params.distinguished_name = named(&format!("Weir host CA {short}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + CA_VALIDITY;
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// Writes a file that did not exist: whole, synced, then renamed into place.
fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), CaError> {
    let failed = |error| CaError::File {
        path: path.to_owned(),
        error,
    };
    let draft = path.with_extension("new");
    let _ = fs::remove_file(&draft);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&draft)
        .map_err(failed)?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    fs::rename(&draft, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    #[test]
    fn the_ca_is_made_once_and_read_back() {
        let state = tempfile::tempdir().expect("a directory");
        let made = HostCa::open(state.path(), now()).expect("a CA");
        let read = HostCa::open(state.path(), now()).expect("the same CA");
        assert_eq!(made.certificate(), read.certificate());
        let public = fs::read_to_string(state.path().join(PUBLIC_FILE)).expect("a file");
        let parsed =
            |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
        assert_eq!(parsed(&read.certificate_pem()), parsed(&public));
        let mode = fs::metadata(state.path().join(SECRET_FILE))
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(
            !fs::read_to_string(state.path().join(PUBLIC_FILE))
                .expect("a file")
                .contains("PRIVATE")
        );
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let state = tempfile::tempdir().expect("a directory");
        HostCa::open(state.path(), now()).expect("a CA");
        let path = state.path().join(SECRET_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("chmod");
        assert!(matches!(
            HostCa::open(state.path(), now()),
            Err(CaError::Mode { mode: 0o640, .. })
        ));
    }

    #[test]
    fn a_damaged_or_mixed_up_file_is_refused() {
        let (one, other) = (
            tempfile::tempdir().expect("a directory"),
            tempfile::tempdir().expect("a directory"),
        );
        HostCa::open(one.path(), now()).expect("a CA");
        HostCa::open(other.path(), now()).expect("a CA");
        let path = one.path().join(SECRET_FILE);
        let mine = fs::read_to_string(&path).expect("a file");
        let theirs = fs::read_to_string(other.path().join(SECRET_FILE)).expect("a file");
        let key_at = |text: &str| text.find("-----BEGIN PRIVATE").expect("a key");
        let mixed = format!("{}{}", &mine[..key_at(&mine)], &theirs[key_at(&theirs)..]);
        for content in [
            mixed.as_str(),
            &mine[..key_at(&mine)],
            "",
            "-----BEGIN CERTIFICATE-----\n",
        ] {
            fs::write(&path, content).expect("write");
            assert!(
                matches!(
                    HostCa::open(one.path(), now()),
                    Err(CaError::Content { .. })
                ),
                "{content:.40}"
            );
        }
    }

    #[test]
    fn a_name_that_no_certificate_carries_is_refused() {
        let state = tempfile::tempdir().expect("a directory");
        let ca = HostCa::open(state.path(), now()).expect("a CA");
        assert!(ca.leaf(&["bücher".to_owned()], now()).is_err());
    }
}
