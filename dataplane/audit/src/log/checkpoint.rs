use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weir_facts::Digest;

use super::note::{NoteError, SigningKey, VerifierKey};

/// Why a note is not a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note is not believed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text is not origin, size and root.
    #[error("the note is not a checkpoint")]
    Form,
    /// The checkpoint is of another log.
    #[error("the checkpoint is of another log")]
    Origin,
}

/// A log at one size (C2SP tlog-checkpoint).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: also the name of the key that signs it.
    pub origin: String,
    /// Its leaves.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

impl Checkpoint {
    /// The signed note.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> String {
        key.sign(&format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            STANDARD.encode(self.root.0)
        ))
    }

    /// Reads a signed note of the log whose origin is the key's name.
    ///
    /// # Errors
    /// If the note is not signed by `key`, or is not a checkpoint of that log.
    pub fn open(note: &[u8], key: &VerifierKey) -> Result<Self, CheckpointError> {
        let checkpoint = Self::parse(key.open(note)?).ok_or(CheckpointError::Form)?;
        if checkpoint.origin == key.name() {
            Ok(checkpoint)
        } else {
            Err(CheckpointError::Origin)
        }
    }

    fn parse(text: &str) -> Option<Self> {
        // Lines after the third are extensions, which a reader passes over.
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let canonical = size == "0" || !size.starts_with('0');
        if origin.is_empty() || !canonical || !size.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let root: [u8; 32] = STANDARD.decode(root).ok()?.try_into().ok()?;
        if lines.any(str::is_empty) {
            return None;
        }
        Some(Self {
            origin: origin.to_owned(),
            size: size.parse().ok()?,
            root: Digest(root),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> (String, VerifierKey) {
        let key = SigningKey::new("gw.example/audit", &[7; 32]).expect("a name");
        let checkpoint = Checkpoint {
            origin: "gw.example/audit".into(),
            size: 12,
            root: Digest([3; 32]),
        };
        (checkpoint.sign(&key), key.verifier())
    }

    #[test]
    fn a_checkpoint_reads_back() {
        let (note, key) = signed();
        let read = Checkpoint::open(note.as_bytes(), &key).expect("opens");
        assert_eq!((read.size, read.root), (12, Digest([3; 32])));
    }

    #[test]
    fn every_flipped_bit_of_a_checkpoint_is_refused() {
        let (note, key) = signed();
        for at in 0..note.len() {
            for bit in 0..8 {
                let mut flipped = note.clone().into_bytes();
                flipped[at] ^= 1 << bit;
                assert!(
                    Checkpoint::open(&flipped, &key).is_err(),
                    "byte {at} bit {bit}"
                );
            }
        }
    }

    #[test]
    fn a_signed_note_that_is_no_checkpoint_is_refused() {
        let key = SigningKey::new("log", &[7; 32]).expect("a name");
        let root = STANDARD.encode([0; 32]);
        for text in [
            "log\n12\n".to_owned(),
            format!("log\n012\n{root}\n"),
            format!("log\n+12\n{root}\n"),
            format!("log\n-1\n{root}\n"),
            format!("log\n99999999999999999999\n{root}\n"),
            format!("log\n12\n{root}AA\n"),
            format!("other\n12\n{root}\n"),
            format!("\n12\n{root}\n"),
        ] {
            assert!(
                Checkpoint::open(key.sign(&text).as_bytes(), &key.verifier()).is_err(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_note_of_another_key_of_the_same_name_is_refused() {
        let (note, _) = signed();
        let other = SigningKey::new("gw.example/audit", &[8; 32])
            .expect("a name")
            .verifier();
        assert_eq!(
            Checkpoint::open(note.as_bytes(), &other),
            Err(CheckpointError::Note(NoteError::OtherKey))
        );
    }

    #[test]
    fn a_vkey_reads_back_and_a_wrong_one_is_refused() {
        let (_, key) = signed();
        let vkey = key.to_string();
        assert_eq!(VerifierKey::parse(&vkey), Ok(key));
        for wrong in [
            "",
            "a",
            "a+b",
            "+00000000+AQ==",
            &vkey.replace("gw", "gx"),
            &vkey[..vkey.len() - 4],
        ] {
            assert!(VerifierKey::parse(wrong).is_err(), "{wrong}");
        }
    }
}
