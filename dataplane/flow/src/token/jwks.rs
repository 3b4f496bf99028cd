//! Keys of an issuer (RFC 7517, RFC 7518 §6, RFC 8037 §2).

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use weir_mcp::json::{Document, Kind, Value};

use super::{ALGORITHMS, Algorithm, base64url};

/// Largest key set that is read; a key with a chain of certificates has about 6 KiB.
const JWKS_BYTES_MAX: usize = 256 << 10;

/// Keys of one issuer; it needs two while it rotates them.
const KEYS_MAX: usize = 64;

/// A key set that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// Not a JSON object with `keys`, or longer than it can be.
    #[error(
        "not a JSON Web Key Set (RFC 7517), or a larger one than {JWKS_BYTES_MAX} bytes or {KEYS_MAX} keys"
    )]
    Form,
    /// None of its keys can verify a signature with an algorithm that is known here.
    #[error(
        "a JSON Web Key Set without any key that verifies RS256, RS384, RS512, PS256, ES256, ES384 or EdDSA"
    )]
    Empty,
}

/// Public keys of an issuer.
#[derive(Debug)]
pub struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    kid: Option<String>,
    /// The only algorithm that it is for, if it says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Rsa { .. } => "Rsa",
            Self::P256(_) => "P256",
            Self::P384(_) => "P384",
            Self::Ed25519(_) => "Ed25519",
        })
    }
}

/// A key and the algorithm that it is used with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verifier<'k> {
    material: &'k Material,
    algorithm: Algorithm,
}

impl KeySet {
    /// Reads a key set. Keys for other uses, of other kinds, and with parameters that cannot be read
    /// are left out (RFC 7517 §5).
    ///
    /// # Errors
    /// [`JwkError`].
    pub fn parse(json: &[u8]) -> Result<Self, JwkError> {
        if json.len() > JWKS_BYTES_MAX {
            return Err(JwkError::Form);
        }
        let document = Document::parse(json).map_err(|_| JwkError::Form)?;
        let list = document.root().get("keys").ok_or(JwkError::Form)?;
        if list.kind() != Kind::Array || list.elements().count() > KEYS_MAX {
            return Err(JwkError::Form);
        }
        let keys: Vec<_> = list.elements().filter_map(|jwk| key(&jwk)).collect();
        if keys.is_empty() {
            return Err(JwkError::Empty);
        }
        Ok(Self(keys))
    }

    /// The keys of that name that can verify with the algorithm. A token that names no key can only
    /// be of the one key that fits. `None` if there is no such key.
    pub(super) fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Option<impl Iterator<Item = Verifier<'_>>> {
        let fitting = move |key: &&Key| {
            key.fits(algorithm) && kid.is_none_or(|kid| key.kid.as_deref() == Some(kid))
        };
        let count = self.0.iter().filter(fitting).count();
        let is_clear = count == 1 || (count > 1 && kid.is_some());
        is_clear.then(|| {
            self.0.iter().filter(fitting).map(move |key| Verifier {
                material: &key.material,
                algorithm,
            })
        })
    }
}

impl Key {
    fn fits(&self, algorithm: Algorithm) -> bool {
        let of_kind = match self.material {
            Material::Rsa { .. } => matches!(
                algorithm,
                Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 | Algorithm::Ps256
            ),
            Material::P256(_) => algorithm == Algorithm::Es256,
            Material::P384(_) => algorithm == Algorithm::Es384,
            Material::Ed25519(_) => algorithm == Algorithm::EdDsa,
        };
        of_kind && self.algorithm.is_none_or(|only| only == algorithm)
    }
}

impl Verifier<'_> {
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let with = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key)
                .verify(message, signature)
                .is_ok()
        };
        match self.material {
            Material::Rsa { n, e } => {
                let parameters = rsa(self.algorithm);
                let components = RsaPublicKeyComponents { n, e };
                parameters.is_some_and(|parameters| {
                    components.verify(parameters, message, signature).is_ok()
                })
            }
            Material::P256(point) => with(&ECDSA_P256_SHA256_FIXED, point),
            Material::P384(point) => with(&ECDSA_P384_SHA384_FIXED, point),
            Material::Ed25519(point) => with(&ED25519, point),
        }
    }
}

fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => None,
    }
}

/// A key that is for signatures and can be read.
fn key(jwk: &Value<'_>) -> Option<Key> {
    let text = |name: &str| jwk.get(name).and_then(|value| value.text());
    if jwk.get("use").is_some() && text("use").as_deref() != Some("sig") {
        return None;
    }
    if let Some(operations) = jwk.get("key_ops")
        && !operations.elements().any(|each| each.is_text("verify"))
    {
        return None;
    }
    let bytes = |name: &str| base64url::decode(text(name)?.as_ref()).ok();
    let point = |length: usize| {
        let coordinate = |name| bytes(name).filter(|bytes| bytes.len() == length);
        // Uncompressed (SEC 1 §2.3.3).
        Some([vec![4], coordinate("x")?, coordinate("y")?].concat())
    };
    let curve = text("crv");
    let material = match (text("kty")?.as_ref(), curve.as_deref()) {
        ("RSA", _) => Material::Rsa {
            n: bytes("n")?,
            e: bytes("e")?,
        },
        ("EC", Some("P-256")) => Material::P256(point(32)?),
        ("EC", Some("P-384")) => Material::P384(point(48)?),
        ("OKP", Some("Ed25519")) => Material::Ed25519(bytes("x").filter(|x| x.len() == 32)?),
        _ => return None,
    };
    let algorithm = match text("alg") {
        None => None,
        Some(name) => Some(Algorithm::from_name(&name)?),
    };
    let key = Key {
        kid: text("kid").map(Into::into),
        algorithm,
        material,
    };
    ALGORITHMS
        .iter()
        .any(|(_, algorithm)| key.fits(*algorithm))
        .then_some(key)
}
