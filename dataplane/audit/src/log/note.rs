use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _};
use sha2::{Digest as _, Sha256};

use crate::limits::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX};

/// Signature type of Ed25519 (C2SP signed-note §Signatures).
const ED25519: u8 = 1;

/// What begins a signature line: an em dash and a space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// Why a note is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than any note that is looked at.
    #[error("the note is too long")]
    TooLong,
    /// Not text, or with control characters.
    #[error("the note is not text")]
    NotText,
    /// No empty line and signatures after it.
    #[error("the note has no signatures")]
    NoSignatures,
    /// A signature line is not one.
    #[error("the note has a malformed signature line")]
    SignatureLine,
    /// No signature by the key that was asked for.
    #[error("the note is not signed by this key")]
    OtherKey,
    /// The signature does not fit the text.
    #[error("the note's signature does not verify")]
    BadSignature,
}

/// Why a vkey is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifierKeyError {
    /// A key's name is not empty and has no white space and no plus.
    #[error("the key's name is empty, or has white space or a plus in it")]
    Name,
    /// Not `name+hash+key`.
    #[error("a verifier key is name+hash+key, the hash in hexadecimal, the key in base64")]
    Form,
    /// The hash is not that of name and key.
    #[error("the verifier key's hash does not fit its name and key")]
    Hash,
    /// Not a public key of Ed25519.
    #[error("the verifier key is not an Ed25519 key")]
    Key,
}

/// Four bytes that help a reader find the signature that it can check.
fn key_id(name: &str, key: &ed25519_dalek::VerifyingKey) -> [u8; 4] {
    let hash = Sha256::new()
        .chain_update(name)
        .chain_update(b"\n")
        .chain_update([ED25519])
        .chain_update(key.as_bytes())
        .finalize();
    let mut id = [0; 4];
    id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    id
}

fn check_name(name: &str) -> Result<(), VerifierKeyError> {
    let wrong =
        |character: char| character.is_whitespace() || character.is_control() || character == '+';
    if name.is_empty() || name.contains(wrong) {
        Err(VerifierKeyError::Name)
    } else {
        Ok(())
    }
}

/// A key that notes are checked against, spelled `name+hash+key` (C2SP signed-note §Verifier keys).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key: ed25519_dalek::VerifyingKey,
}

impl VerifierKey {
    /// Reads a vkey.
    ///
    /// # Errors
    /// If it is malformed, contradicts itself, or is not of Ed25519.
    pub fn parse(vkey: &str) -> Result<Self, VerifierKeyError> {
        let mut parts = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VerifierKeyError::Form);
        };
        check_name(name)?;
        let bytes = STANDARD.decode(key).map_err(|_| VerifierKeyError::Form)?;
        let (kind, key) = bytes.split_first().ok_or(VerifierKeyError::Form)?;
        let key: &[u8; 32] = key.try_into().map_err(|_| VerifierKeyError::Key)?;
        if *kind != ED25519 {
            return Err(VerifierKeyError::Key);
        }
        let key =
            ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_| VerifierKeyError::Key)?;
        if hex4(key_id(name, &key)) != id {
            return Err(VerifierKeyError::Hash);
        }
        Ok(Self {
            name: name.to_owned(),
            key,
        })
    }

    /// The key's name; for a log, its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks a note's form and this key's signature on it; returns the text that was
    /// signed, with its last newline. Signatures of other keys are passed over.
    ///
    /// # Errors
    /// If the note is malformed or this key did not sign it.
    pub fn open<'n>(&self, note: &'n [u8]) -> Result<&'n str, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong);
        }
        let note = std::str::from_utf8(note).map_err(|_| NoteError::NotText)?;
        if note
            .chars()
            .any(|character| character < ' ' && character != '\n')
        {
            return Err(NoteError::NotText);
        }
        let split = note.rfind("\n\n").ok_or(NoteError::NoSignatures)?;
        let (text, signatures) = note
            .split_at_checked(split + 1)
            .ok_or(NoteError::NoSignatures)?;
        let signatures = signatures
            .strip_prefix('\n')
            .ok_or(NoteError::NoSignatures)?;
        let signatures = signatures
            .strip_suffix('\n')
            .ok_or(NoteError::NoSignatures)?;
        self.find(text, signatures).map(|()| text)
    }

    fn find(&self, text: &str, signatures: &str) -> Result<(), NoteError> {
        let id = key_id(&self.name, &self.key);
        let mut found = Err(NoteError::OtherKey);
        for (count, line) in signatures.split('\n').enumerate() {
            let (name, bytes) = signature_line(line)
                .filter(|_| count < NOTE_SIGNATURES_MAX)
                .ok_or(NoteError::SignatureLine)?;
            let (line_id, signature) = bytes
                .split_first_chunk::<4>()
                .ok_or(NoteError::SignatureLine)?;
            if name != self.name || *line_id != id {
                continue;
            }
            // A note with two signatures by one key is malformed (C2SP signed-note).
            if found.is_ok() {
                return Err(NoteError::SignatureLine);
            }
            let signature =
                Signature::from_slice(signature).map_err(|_| NoteError::BadSignature)?;
            self.key
                .verify_strict(text.as_bytes(), &signature)
                .map_err(|_| NoteError::BadSignature)?;
            found = Ok(());
        }
        found
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [ED25519; 33];
        bytes
            .iter_mut()
            .skip(1)
            .zip(self.key.as_bytes())
            .for_each(|(to, from)| *to = *from);
        write!(
            f,
            "{}+{}+{}",
            self.name,
            hex4(key_id(&self.name, &self.key)),
            STANDARD.encode(bytes)
        )
    }
}

fn hex4(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

fn signature_line(line: &str) -> Option<(&str, Vec<u8>)> {
    let (name, signature) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
    check_name(name).ok()?;
    Some((name, STANDARD.decode(signature).ok()?))
}

/// A key that signs notes.
pub struct SigningKey {
    name: String,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// Takes the key's name (for a log, its origin) and its 32 secret bytes.
    ///
    /// # Errors
    /// If the name is not one.
    pub fn new(name: &str, secret: &[u8; 32]) -> Result<Self, VerifierKeyError> {
        check_name(name)?;
        Ok(Self {
            name: name.to_owned(),
            key: ed25519_dalek::SigningKey::from_bytes(secret),
        })
    }

    /// What others check this key's notes against.
    #[must_use]
    pub fn verifier(&self) -> VerifierKey {
        VerifierKey {
            name: self.name.clone(),
            key: self.key.verifying_key(),
        }
    }

    /// A note of `text` with this key's signature (C2SP signed-note). The text gets the
    /// newline at its end that it may lack.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = format!("{text}\n");
        let mut bytes = key_id(&self.name, &self.key.verifying_key()).to_vec();
        bytes.extend_from_slice(&self.key.sign(text.as_bytes()).to_bytes());
        format!(
            "{text}\n{SIGNATURE_PREFIX}{} {}\n",
            self.name,
            STANDARD.encode(bytes)
        )
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, ..)", self.name)
    }
}
