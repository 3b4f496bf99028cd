//! The last world that was put in force, kept on disk as it was signed: the data plane
//! starts and enforces without its control plane.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use prost::Message;
use weir_api::v1::Update;

const FILE: &str = "world.update";

/// The file of the last known good world.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    folder: PathBuf,
}

impl Keeper {
    /// Keeps it in this folder, which exists.
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// What was kept, if anything was. Its signature is checked by the caller, as on arrival.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub(crate) fn load(&self) -> Result<Option<Update>> {
        let path = self.folder.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        Update::decode(bytes.as_slice())
            .map(Some)
            .with_context(|| format!("{} is not an update", path.display()))
    }

    /// Replaces what is kept, durably, before the world is put in force. It holds credentials: mode 0600.
    ///
    /// # Errors
    /// The system call that failed; the old world is still kept.
    pub(crate) fn store(&self, update: &Update) -> Result<()> {
        let (path, fresh) = (
            self.folder.join(FILE),
            self.folder.join(format!("{FILE}.new")),
        );
        let _ = fs::remove_file(&fresh);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)
            .with_context(|| format!("cannot create {}", fresh.display()))?;
        file.write_all(&update.encode_to_vec()).context("write")?;
        file.sync_all().context("fsync")?;
        fs::rename(&fresh, &path)
            .with_context(|| format!("cannot rename to {}", path.display()))?;
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .context("fsync of the folder")
    }
}
