use subtle::ConstantTimeEq as _;

use super::keys::{ClientKeys, hash, hmac};
use super::scram::{self, Flag};
use super::{AuthError, SCRAM_SHA_256, SCRAM_SHA_256_PLUS};
use crate::limits;

/// What the client can bind to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding<'a> {
    /// Nothing: no TLS.
    None,
    /// The hash of the server's certificate (RFC 5929 §4.1); used if the server offers it.
    Prefer(&'a [u8]),
    /// The same; without it there is no authentication.
    Require(&'a [u8]),
}

/// The client's side after its first message.
///
/// ```text
///   ScramClient ── server-first ──▶ AwaitFinal ── server-final ──▶ ()
/// ```
#[derive(Debug)]
pub struct ScramClient {
    mechanism: &'static str,
    /// Header and channel, in Base64.
    binding: String,
    first: String,
    bare_at: usize,
    nonce: String,
}

/// The client's side after its proof.
#[derive(Debug)]
pub struct AwaitFinal {
    signature: [u8; 32],
    keys: ClientKeys,
}

impl ScramClient {
    /// Chooses among the mechanisms of AuthenticationSASL. `random` makes the nonce.
    ///
    /// # Errors
    /// [`AuthError::Mechanism`], [`AuthError::Binding`].
    pub fn new<'m>(
        offered: impl IntoIterator<Item = &'m str>,
        binding: Binding<'_>,
        random: &[u8; 18],
    ) -> Result<Self, AuthError> {
        let (mut plain, mut plus) = (false, false);
        for mechanism in offered {
            plain |= mechanism == SCRAM_SHA_256;
            plus |= mechanism == SCRAM_SHA_256_PLUS;
        }
        let (mechanism, flag, channel) = match binding {
            Binding::Prefer(end_point) | Binding::Require(end_point) if plus => {
                (SCRAM_SHA_256_PLUS, Flag::ServerEndPoint, end_point)
            }
            Binding::Require(_) => return Err(AuthError::Binding),
            Binding::Prefer(_) if plain => (SCRAM_SHA_256, Flag::Unused, [].as_slice()),
            Binding::None if plain => (SCRAM_SHA_256, Flag::None, [].as_slice()),
            Binding::Prefer(_) | Binding::None => return Err(AuthError::Mechanism),
        };
        let nonce = scram::encode(random);
        let first = format!("{}n=,r={nonce}", flag.header());
        let binding = scram::encode(&[flag.header().as_bytes(), channel].concat());
        Ok(Self {
            mechanism,
            binding,
            first,
            bare_at: flag.header().len(),
            nonce,
        })
    }

    /// The mechanism for SASLInitialResponse.
    #[must_use]
    pub fn mechanism(&self) -> &'static str {
        self.mechanism
    }

    /// The data for SASLInitialResponse.
    #[must_use]
    pub fn first(&self) -> &[u8] {
        self.first.as_bytes()
    }

    /// Reads AuthenticationSASLContinue; answers with the data of SASLResponse. Keys from an earlier
    /// login are used if salt and iterations are the same; deriving them anew costs about half a
    /// microsecond for each iteration.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn on_server_first(
        self,
        data: &[u8],
        password: &str,
        known: Option<&ClientKeys>,
    ) -> Result<(AwaitFinal, Vec<u8>), AuthError> {
        let challenge = scram::text(data)?;
        let mut rest = challenge;
        let nonce = scram::attribute(&mut rest, "r")?;
        let salt = scram::decode(scram::attribute(&mut rest, "s")?)?;
        let iterations = scram::attribute(&mut rest, "i")?
            .parse()
            .map_err(|_| AuthError::Malformed)?;
        if !rest.is_empty() || salt.is_empty() || challenge.ends_with(',') {
            return Err(AuthError::Malformed);
        }
        let added = nonce
            .strip_prefix(self.nonce.as_str())
            .ok_or(AuthError::Nonce)?;
        if !scram::is_nonce(added) {
            return Err(AuthError::Nonce);
        }
        if !(limits::SCRAM_ITERATIONS_MIN..=limits::SCRAM_ITERATIONS_MAX).contains(&iterations) {
            return Err(AuthError::Iterations(iterations));
        }
        let keys = known
            .filter(|keys| keys.fit(&salt, iterations))
            .cloned()
            .unwrap_or_else(|| ClientKeys::derive(password, &salt, iterations));
        let bare = self.first.get(self.bare_at..).unwrap_or_default();
        let unproven = format!("c={},r={nonce}", self.binding);
        let transcript = format!("{bare},{challenge},{unproven}");
        let mut proof = hmac(&hash(&keys.client), &[transcript.as_bytes()]);
        proof
            .iter_mut()
            .zip(keys.client)
            .for_each(|(byte, key)| *byte ^= key);
        let signature = hmac(&keys.server, &[transcript.as_bytes()]);
        let answer = format!("{unproven},p={}", scram::encode(&proof));
        Ok((AwaitFinal { signature, keys }, answer.into_bytes()))
    }
}

impl AwaitFinal {
    /// Reads AuthenticationSASLFinal: the server has to show that it knows the password, too. Returns
    /// the keys, for the next login.
    ///
    /// # Errors
    /// [`AuthError::ServerSignature`], [`AuthError::Refused`], [`AuthError::Malformed`].
    pub fn on_server_final(self, data: &[u8]) -> Result<ClientKeys, AuthError> {
        let message = scram::text(data)?;
        if message.starts_with("e=") {
            return Err(AuthError::Refused);
        }
        let signature = scram::decode_key(message.strip_prefix("v=").ok_or(AuthError::Malformed)?)?;
        let same: bool = signature.ct_eq(&self.signature).into();
        if same {
            Ok(self.keys)
        } else {
            Err(AuthError::ServerSignature)
        }
    }
}
