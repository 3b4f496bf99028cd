//! Key files: made once, readable by their owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use weir_audit::CommitmentKey;
use weir_audit::log::SigningKey;
use zeroize::Zeroizing;

use crate::OpenError;
use crate::files::sync_directory;

const SIGNING: &str = "signing.key";
const VERIFIER: &str = "log.vkey";

type Secret = Zeroizing<[u8; 32]>;

/// Makes the key that signs the log's checkpoints, if there is none: `signing.key` in
/// `keys`, mode 0600, and beside it `log.vkey`, which anybody may have. Returns the key.
///
/// # Errors
/// If the files cannot be made or read, or others may read the key.
pub fn signing_key(keys: &Path, origin: &str) -> Result<SigningKey, OpenError> {
    let path = keys.join(SIGNING);
    let secret = match read_secret(&path)? {
        Some(secret) => secret,
        None => make_secret(keys, &path)?,
    };
    let key = SigningKey::new(origin, &secret)?;
    let vkey = format!("{}\n", key.verifier());
    let public = keys.join(VERIFIER);
    let same = fs::read_to_string(&public).is_ok_and(|existing| existing == vkey);
    if !same {
        fs::write(&public, vkey).map_err(OpenError::system("write", &public))?;
    }
    Ok(key)
}

/// Makes this epoch's commitment key: `commitment-<id>.key`. Removing such a file erases
/// what the commitments of its epoch could tell.
pub(crate) fn commitment_key(keys: &Path) -> Result<CommitmentKey, OpenError> {
    let secret = random(keys)?;
    let key = CommitmentKey::new(&secret);
    let path = commitment_path(keys, key.id());
    write_secret(keys, &path, &secret)?;
    Ok(key)
}

/// Where the commitment key of this id lies.
#[must_use]
pub fn commitment_path(keys: &Path, id: &[u8; 8]) -> PathBuf {
    keys.join(format!("commitment-{:016x}.key", u64::from_be_bytes(*id)))
}

fn random(keys: &Path) -> Result<Secret, OpenError> {
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(secret.as_mut_slice()).map_err(|error| OpenError::Key {
        path: keys.to_owned(),
        what: format!("getrandom: {error}"),
    })?;
    Ok(secret)
}

fn make_secret(keys: &Path, path: &Path) -> Result<Secret, OpenError> {
    let secret = random(keys)?;
    write_secret(keys, path, &secret)?;
    Ok(secret)
}

fn write_secret(keys: &Path, path: &Path, secret: &Secret) -> Result<(), OpenError> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(OpenError::system("open", path))?;
    let mut hex = Zeroizing::new(String::with_capacity(65));
    for byte in secret.iter() {
        hex.push(nibble(byte >> 4));
        hex.push(nibble(byte & 15));
    }
    hex.push('\n');
    file.write_all(hex.as_bytes())
        .map_err(OpenError::system("write", path))?;
    file.sync_all().map_err(OpenError::system("fsync", path))?;
    sync_directory(keys)
}

fn nibble(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0')
}

/// The secret in `path`; `None` if there is no such file.
fn read_secret(path: &Path) -> Result<Option<Secret>, OpenError> {
    let wrong = |what: &str| OpenError::Key {
        path: path.to_owned(),
        what: what.to_owned(),
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OpenError::system("open", path)(error)),
    };
    let mode = file
        .metadata()
        .map_err(OpenError::system("fstat", path))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(wrong(
            "others may read this key; make it again, and treat the old one as stolen",
        ));
    }
    let mut hex = Zeroizing::new(String::new());
    file.take(66)
        .read_to_string(&mut hex)
        .map_err(OpenError::system("read", path))?;
    let digits = hex.strip_suffix('\n').unwrap_or(&hex);
    let mut secret = Zeroizing::new([0; 32]);
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return Err(wrong("a key is 64 hexadecimal digits"));
    }
    for (byte, pair) in secret.iter_mut().zip(pairs) {
        let digit = |at: u8| {
            char::from(at)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        let [high, low] = *pair;
        let (high, low) = digit(high)
            .zip(digit(low))
            .ok_or_else(|| wrong("a key is 64 hexadecimal digits"))?;
        *byte = high << 4 | low;
    }
    Ok(Some(secret))
}
