//! Tokens, Postgres secrets and their verifiers.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::limits::SCRAM_ITERATIONS;

/// Randomness could not be had.
#[derive(Debug, thiserror::Error)]
#[error("getrandom: {0}")]
pub(crate) struct RandomError(getrandom::Error);

/// `N` random bytes.
pub(crate) fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, RandomError> {
    let mut bytes = Zeroizing::new([0u8; N]);
    getrandom::fill(&mut *bytes).map_err(RandomError)?;
    Ok(bytes)
}

/// Random text behind a prefix that scanners for leaked secrets can find.
pub(crate) fn token(prefix: &str) -> Result<Zeroizing<String>, RandomError> {
    Ok(Zeroizing::new(format!(
        "{prefix}{}",
        URL_SAFE_NO_PAD.encode(*random::<32>()?)
    )))
}

/// A short random name: 16 hexadecimal digits.
pub(crate) fn id() -> Result<String, RandomError> {
    Ok(hex(&*random::<8>()?))
}

/// SHA-256 of a token's text: what is stored. Tokens have 256 random bits, so there is
/// nothing to stretch.
pub(crate) fn token_hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A Postgres secret: letters and digits only, so that it survives every connection string.
pub(crate) fn postgres_secret() -> Result<Zeroizing<String>, RandomError> {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let bytes = random::<32>()?;
    let letters = bytes
        .iter()
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)));
    Ok(Zeroizing::new(
        letters.map(|letter| char::from(*letter)).collect(),
    ))
}

/// `SCRAM-SHA-256$<i>:<salt>$<StoredKey>:<ServerKey>` (RFC 5803, as PostgreSQL writes it).
/// The secret is ASCII, so SASLprep changes nothing.
pub(crate) fn scram_verifier(secret: &str, salt: &[u8; 16]) -> String {
    let mut salted = Zeroizing::new([0u8; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(secret.as_bytes(), salt, SCRAM_ITERATIONS, &mut *salted);
    let client_key = Zeroizing::new(mac(&salted, b"Client Key"));
    let stored_key = Sha256::digest(*client_key);
    let server_key = mac(&salted, b"Server Key");
    format!(
        "SCRAM-SHA-256${SCRAM_ITERATIONS}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored_key),
        STANDARD.encode(server_key)
    )
}

fn mac(key: &[u8; 32], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifier_is_the_one_of_rfc_7677() {
        // RFC 7677 §3: user "user", password "pencil", salt W22ZaJ0SNY7soEsUEjb6gQ==, i=4096.
        // ClientProof and ServerSignature there follow from these two keys.
        let salt: [u8; 16] = STANDARD
            .decode("W22ZaJ0SNY7soEsUEjb6gQ==")
            .expect("base64")
            .try_into()
            .expect("16");
        let verifier = scram_verifier("pencil", &salt);
        let keys = verifier.rsplit('$').next().expect("keys");
        let (stored, server) = keys.split_once(':').expect("two keys");
        let auth = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let server: [u8; 32] = STANDARD
            .decode(server)
            .expect("base64")
            .try_into()
            .expect("32");
        assert_eq!(
            STANDARD.encode(mac(&server, auth.as_bytes())),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
        let stored: [u8; 32] = STANDARD
            .decode(stored)
            .expect("base64")
            .try_into()
            .expect("32");
        let proof = STANDARD
            .decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
            .expect("base64");
        let signature = mac(&stored, auth.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        assert_eq!(Sha256::digest(client_key).as_slice(), stored);
    }

    #[test]
    fn secrets_differ_and_need_no_quoting() {
        let (a, b) = (
            postgres_secret().expect("random"),
            postgres_secret().expect("random"),
        );
        assert_ne!(a, b);
        assert_eq!(a.len(), 32);
        assert!(a.chars().all(|c| c.is_ascii_alphanumeric()));
    }
}
