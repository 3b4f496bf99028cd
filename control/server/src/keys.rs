//! The two keys of a control plane, in files that only it can read: one signs updates, one
//! seals secrets in the store.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, ensure};
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use crate::seal::Sealer;

const SIGNING: &str = "signing.key";
const SEALING: &str = "sealing.key";

/// The keys of one state directory.
pub(crate) struct Keys {
    pub(crate) signing: SigningKey,
    pub(crate) sealer: Sealer,
}

impl Keys {
    /// Makes both files; fails if either is there.
    pub(crate) fn create(state: &Path) -> anyhow::Result<()> {
        for name in [SIGNING, SEALING] {
            let path = state.join(name);
            let mut key = Zeroizing::new([0u8; 32]);
            getrandom::fill(&mut *key).map_err(|error| anyhow::anyhow!("getrandom: {error}"))?;
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .with_context(|| format!("create {}", path.display()))?;
            file.write_all(&*key)
                .with_context(|| format!("write {}", path.display()))?;
            file.sync_all()
                .with_context(|| format!("fsync {}", path.display()))?;
        }
        Ok(())
    }

    /// Reads both files; refuses files that others can read.
    pub(crate) fn open(state: &Path) -> anyhow::Result<Self> {
        let signing = SigningKey::from_bytes(&*read(&state.join(SIGNING))?);
        let sealer = Sealer::new(&*read(&state.join(SEALING))?);
        Ok(Self { signing, sealer })
    }
}

fn read(path: &Path) -> anyhow::Result<Zeroizing<[u8; 32]>> {
    let mut file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let mode = file
        .metadata()
        .with_context(|| format!("stat {}", path.display()))?
        .mode();
    ensure!(
        mode & 0o077 == 0,
        "{} can be read by others (mode {:o}); chmod 600 it",
        path.display(),
        mode & 0o777
    );
    let mut key = Zeroizing::new([0u8; 32]);
    file.read_exact(&mut *key)
        .with_context(|| format!("read 32 bytes of {}", path.display()))?;
    Ok(key)
}
