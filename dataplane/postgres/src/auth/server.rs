use subtle::ConstantTimeEq as _;

use super::keys::{hash, hmac};
use super::scram::{self, Flag};
use super::{AuthError, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, Verifier};

/// The server's side before the client's first message.
///
/// ```text
///   ScramServer ── client-first ──▶ AwaitProof ── client-final ──▶ Proven
/// ```
#[derive(Debug)]
pub struct ScramServer {
    verifier: Verifier,
    end_point: Option<Vec<u8>>,
}

/// The server's side after its challenge.
#[derive(Debug)]
pub struct AwaitProof {
    verifier: Verifier,
    /// `c=` as the client has to send it: header and channel, in Base64.
    binding: String,
    nonce: String,
    /// client-first-bare, a comma, server-first.
    transcript: String,
}

/// The client knows the password.
#[derive(Debug)]
pub struct Proven {
    _private: (),
}

impl ScramServer {
    /// `end_point` is the hash of our own certificate (RFC 5929 §4.1) if the client is inside TLS.
    #[must_use]
    pub fn new(verifier: Verifier, end_point: Option<Vec<u8>>) -> Self {
        Self {
            verifier,
            end_point,
        }
    }

    /// What to offer in AuthenticationSASL.
    #[must_use]
    pub fn mechanisms(&self) -> &'static [&'static str] {
        match self.end_point {
            Some(_) => &[SCRAM_SHA_256_PLUS, SCRAM_SHA_256],
            None => &[SCRAM_SHA_256],
        }
    }

    /// Reads SASLInitialResponse; answers with the data of AuthenticationSASLContinue. `random` makes
    /// the nonce.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn on_client_first(
        self,
        mechanism: &str,
        data: &[u8],
        random: &[u8; 18],
    ) -> Result<(AwaitProof, Vec<u8>), AuthError> {
        let (flag, bare) = scram::split_flag(scram::text(data)?)?;
        let channel = self.check_flag(mechanism, flag)?;
        let mut rest = bare;
        // PostgreSQL's clients leave the name empty: the one that counts was in StartupMessage.
        scram::attribute(&mut rest, "n")?;
        let theirs = scram::attribute(&mut rest, "r")?;
        if !scram::is_nonce(theirs) || !rest.is_empty() || bare.ends_with(',') {
            return Err(AuthError::Malformed);
        }
        let nonce = format!("{theirs}{}", scram::encode(random));
        let challenge = format!(
            "r={nonce},s={},i={}",
            scram::encode(&self.verifier.salt),
            self.verifier.iterations
        );
        let binding = scram::encode(&[flag.header().as_bytes(), channel].concat());
        let transcript = format!("{bare},{challenge}");
        Ok((
            AwaitProof {
                verifier: self.verifier,
                binding,
                nonce,
                transcript,
            },
            challenge.into_bytes(),
        ))
    }

    /// The mechanism was offered, and the flag is an honest client's. Returns what to bind to.
    fn check_flag(&self, mechanism: &str, flag: Flag) -> Result<&[u8], AuthError> {
        let offered = self.end_point.as_deref();
        match (mechanism, flag, offered) {
            (SCRAM_SHA_256_PLUS, Flag::ServerEndPoint, Some(end_point)) => Ok(end_point),
            (SCRAM_SHA_256_PLUS, Flag::None | Flag::Unused, Some(_)) => Err(AuthError::Binding),
            (SCRAM_SHA_256, Flag::None, _) | (SCRAM_SHA_256, Flag::Unused, None) => Ok(&[]),
            (SCRAM_SHA_256, Flag::Unused | Flag::ServerEndPoint, _) => Err(AuthError::Binding),
            _ => Err(AuthError::Mechanism),
        }
    }
}

impl AwaitProof {
    /// Reads SASLResponse; answers with the data of AuthenticationSASLFinal.
    ///
    /// # Errors
    /// [`AuthError`]; [`AuthError::Rejected`] alike for a wrong password and for a mock.
    pub fn on_client_final(self, data: &[u8]) -> Result<(Proven, Vec<u8>), AuthError> {
        let message = scram::text(data)?;
        let (unproven, proof) = message.rsplit_once(",p=").ok_or(AuthError::Malformed)?;
        let mut rest = unproven;
        let binding = scram::attribute(&mut rest, "c")?;
        let nonce = scram::attribute(&mut rest, "r")?;
        if !rest.is_empty() || unproven.ends_with(',') {
            return Err(AuthError::Malformed);
        }
        if nonce != self.nonce {
            return Err(AuthError::Nonce);
        }
        if binding != self.binding {
            return Err(AuthError::Binding);
        }
        let proof = scram::decode_key(proof)?;
        let parts = [self.transcript.as_bytes(), b",", unproven.as_bytes()];
        let signature = hmac(&self.verifier.stored_key, &parts);
        let mut client_key = proof;
        client_key
            .iter_mut()
            .zip(signature)
            .for_each(|(byte, mask)| *byte ^= mask);
        let knows: bool = hash(&client_key).ct_eq(&self.verifier.stored_key).into();
        if !knows || self.verifier.is_mock {
            return Err(AuthError::Rejected);
        }
        let signature = hmac(&self.verifier.server_key, &parts);
        Ok((
            Proven { _private: () },
            format!("v={}", scram::encode(&signature)).into_bytes(),
        ))
    }
}
