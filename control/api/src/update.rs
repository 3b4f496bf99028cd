//! Signing and checking what a control plane pushes.
//!
//! The statement that is signed (Ed25519, RFC 8032) is
//!
//! ```text
//! "weir.v1.Update" 0x00 | len(node) u32 BE | node | version u64 BE | not_after u64 BE | SHA-256(payload)
//! ```
//!
//! so an update cannot be replayed to another node, cannot be given another number or a
//! longer life, and a signature over anything else that the key signs is never one.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::v1::{Update, Version, World};

const DOMAIN: &[u8] = b"weir.v1.Update\0";

/// Why an update is not put in force.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UpdateError {
    /// The message has no version, or its hash or signature has the wrong length.
    #[error("malformed update: {0}")]
    Malformed(&'static str),
    /// The pinned key did not sign this for this node.
    #[error("the signature is not the control plane's for this node")]
    Signature,
    /// The payload is not what the version names.
    #[error("the payload does not have the hash that its version names")]
    Hash,
    /// The payload is not a world.
    #[error("the payload does not decode: {0}")]
    Decode(String),
    /// It was valid once.
    #[error("expired at {not_after} (unix seconds), now {now}")]
    Expired {
        /// Unix seconds until which it was fresh.
        not_after: u64,
        /// Unix seconds of the caller's clock.
        now: u64,
    },
    /// It is older than what is in force, or is another content under the same number.
    #[error("version {offered} does not follow version {held}, which is in force")]
    Rollback {
        /// The number in force.
        held: u64,
        /// The number offered.
        offered: u64,
    },
}

/// An update whose signature, hash and encoding were checked. Only [`accept`] and
/// [`reopen`] make one.
#[derive(Debug)]
pub struct Opened {
    world: World,
    version: Version,
    not_after: u64,
}

impl Opened {
    /// What it says.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// What it says, by value.
    #[must_use]
    pub fn into_world(self) -> World {
        self.world
    }

    /// Which content it is.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Unix seconds after which it is stale.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.not_after
    }
}

/// SHA-256 of a payload: the hash of its version.
#[must_use]
pub fn hash(payload: &[u8]) -> [u8; 32] {
    Sha256::digest(payload).into()
}

/// The bytes that are signed. `payload_hash` is SHA-256 of the payload, times are unix seconds.
#[must_use]
pub fn statement(node: &str, number: u64, not_after: u64, payload_hash: &[u8; 32]) -> Vec<u8> {
    let length = u32::try_from(node.len()).unwrap_or(u32::MAX);
    [
        DOMAIN,
        &length.to_be_bytes(),
        node.as_bytes(),
        &number.to_be_bytes(),
        &not_after.to_be_bytes(),
        payload_hash,
    ]
    .concat()
}

/// Makes a signed update of an encoded world. `not_after` is in unix seconds.
#[must_use]
pub fn sign(
    key: &SigningKey,
    node: &str,
    number: u64,
    not_after: u64,
    nonce: String,
    payload: Vec<u8>,
) -> Update {
    let digest = hash(&payload);
    let signature = key.sign(&statement(node, number, not_after, &digest));
    Update {
        version: Some(Version {
            number,
            hash: digest.to_vec(),
        }),
        nonce,
        payload,
        signature: signature.to_bytes().to_vec(),
        not_after,
    }
}

/// Checks an update from the stream: signature, hash, encoding, freshness at `now`
/// (unix seconds), and that it does not go back behind `held`, the version in force.
///
/// The same version again is accepted: it is how freshness is renewed.
///
/// # Errors
/// As [`UpdateError`]; the caller keeps what it has and says so in a Nack.
pub fn accept(
    update: &Update,
    node: &str,
    key: &VerifyingKey,
    held: Option<&Version>,
    now: u64,
) -> Result<Opened, UpdateError> {
    let opened = reopen(update, node, key)?;
    if opened.not_after < now {
        return Err(UpdateError::Expired {
            not_after: opened.not_after,
            now,
        });
    }
    match held {
        Some(held) if !follows(&opened.version, held) => Err(UpdateError::Rollback {
            held: held.number,
            offered: opened.version.number,
        }),
        Some(_) | None => Ok(opened),
    }
}

/// Checks an update that this node had accepted before and kept on disk. Freshness is
/// left to the caller, who acts on it as the settings say.
///
/// # Errors
/// As [`UpdateError`], without `Expired` and `Rollback`.
pub fn reopen(update: &Update, node: &str, key: &VerifyingKey) -> Result<Opened, UpdateError> {
    let version = update
        .version
        .clone()
        .ok_or(UpdateError::Malformed("no version"))?;
    let named: [u8; 32] = version
        .hash
        .as_slice()
        .try_into()
        .map_err(|_| UpdateError::Malformed("hash is not 32 bytes"))?;
    let signature = Signature::from_slice(&update.signature)
        .map_err(|_| UpdateError::Malformed("signature is not 64 bytes"))?;
    key.verify_strict(
        &statement(node, version.number, update.not_after, &named),
        &signature,
    )
    .map_err(|_| UpdateError::Signature)?;
    if hash(&update.payload) != named {
        return Err(UpdateError::Hash);
    }
    let world = World::decode(update.payload.as_slice())
        .map_err(|error| UpdateError::Decode(error.to_string()))?;
    Ok(Opened {
        world,
        version,
        not_after: update.not_after,
    })
}

fn follows(offered: &Version, held: &Version) -> bool {
    offered.number > held.number || (offered.number == held.number && offered.hash == held.hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_000;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn update() -> Update {
        let world = World {
            bundle_id: "b".into(),
            ..World::default()
        };
        sign(
            &key(),
            "node-a",
            5,
            NOW + 10,
            "n1".into(),
            world.encode_to_vec(),
        )
    }

    fn check(update: &Update) -> Result<Opened, UpdateError> {
        accept(update, "node-a", &key().verifying_key(), None, NOW)
    }

    #[test]
    fn what_was_signed_is_accepted() {
        let opened = check(&update()).expect("accepted");
        assert_eq!(opened.world().bundle_id, "b");
        assert_eq!(opened.version().number, 5);
    }

    #[test]
    fn an_update_for_another_node_is_refused() {
        let error =
            accept(&update(), "node-b", &key().verifying_key(), None, NOW).expect_err("other node");
        assert_eq!(error, UpdateError::Signature);
    }

    #[test]
    fn an_update_signed_by_another_key_is_refused() {
        let other = SigningKey::from_bytes(&[8; 32]).verifying_key();
        let error = accept(&update(), "node-a", &other, None, NOW).expect_err("other key");
        assert_eq!(error, UpdateError::Signature);
    }

    #[test]
    fn a_changed_number_or_life_or_payload_is_refused() {
        let mut number = update();
        number.version.as_mut().expect("version").number += 1;
        assert_eq!(check(&number).expect_err("number"), UpdateError::Signature);
        let mut life = update();
        life.not_after += 1;
        assert_eq!(check(&life).expect_err("life"), UpdateError::Signature);
        let mut payload = update();
        payload.payload = World {
            bundle_id: "c".into(),
            ..World::default()
        }
        .encode_to_vec();
        assert_eq!(check(&payload).expect_err("payload"), UpdateError::Hash);
    }

    #[test]
    fn a_fresh_update_that_expires_is_refused_and_still_reopens() {
        let verifying = key().verifying_key();
        assert!(accept(&update(), "node-a", &verifying, None, NOW + 10).is_ok());
        let late = accept(&update(), "node-a", &verifying, None, NOW + 11).expect_err("late");
        assert_eq!(
            late,
            UpdateError::Expired {
                not_after: NOW + 10,
                now: NOW + 11
            }
        );
        assert!(reopen(&update(), "node-a", &verifying).is_ok());
    }

    #[test]
    fn an_older_version_is_refused_and_the_same_is_not() {
        let verifying = key().verifying_key();
        let offered = update().version.expect("version");
        let newer = Version {
            number: 6,
            hash: offered.hash.clone(),
        };
        let other = Version {
            number: 5,
            hash: vec![0; 32],
        };
        for held in [&newer, &other] {
            let error =
                accept(&update(), "node-a", &verifying, Some(held), NOW).expect_err("rollback");
            assert_eq!(
                error,
                UpdateError::Rollback {
                    held: held.number,
                    offered: 5
                }
            );
        }
        assert!(accept(&update(), "node-a", &verifying, Some(&offered), NOW).is_ok());
    }

    proptest! {
        #[test]
        fn any_flipped_byte_of_an_update_is_refused(position in 0usize..4096, flip in 1u8..=255) {
            let mut bytes = Update { nonce: String::new(), ..update() }.encode_to_vec();
            let at = position % bytes.len();
            bytes[at] ^= flip;
            if let Ok(changed) = Update::decode(bytes.as_slice()) {
                let original = Update { nonce: String::new(), ..update() };
                let same = Update { nonce: String::new(), ..changed.clone() } == original;
                prop_assert!(same || check(&changed).is_err());
            }
        }

        #[test]
        fn statements_of_different_inputs_differ(a in "[a-z]{0,9}", b in "[a-z]{0,9}", n: u64, m: u64, t: u64, u: u64) {
            prop_assume!((&a, n, t) != (&b, m, u));
            prop_assert_ne!(statement(&a, n, t, &[0; 32]), statement(&b, m, u, &[0; 32]));
        }
    }
}
