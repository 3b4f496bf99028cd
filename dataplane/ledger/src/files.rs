//! Files that are either whole or not there.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use weir_audit::log;

use crate::layout::unfinished;
use crate::{Directory, OpenError};

/// Makes a directory's entries durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), OpenError> {
    let directory = File::open(path).map_err(OpenError::system("open", path))?;
    directory
        .sync_all()
        .map_err(OpenError::system("fsync", path))
}

/// Replaces a file as a whole, durably.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), OpenError> {
    let new = unfinished(path);
    let mut file = File::create(&new).map_err(OpenError::system("open", &new))?;
    file.write_all(bytes)
        .map_err(OpenError::system("write", &new))?;
    file.sync_all().map_err(OpenError::system("fsync", &new))?;
    fs::rename(&new, path).map_err(OpenError::system("rename", path))?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Writes files of the log, durably.
pub(crate) fn write_log(directory: &Path, files: &[log::File]) -> Result<(), OpenError> {
    let mut directories = BTreeSet::new();
    for file in files {
        let path = directory.join(file.tile.path());
        make_parents(directory, &path, &mut directories)
            .map_err(OpenError::system("mkdir", &path))?;
        // What a checkpoint refers to is never truncated: a power cut would lose it.
        let same = fs::read(&path).is_ok_and(|bytes| bytes == file.bytes);
        let mut out = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(!same)
            .open(&path)
            .map_err(OpenError::system("open", &path))?;
        if !same {
            out.write_all(&file.bytes)
                .map_err(OpenError::system("write", &path))?;
        }
        out.sync_data()
            .map_err(OpenError::system("fdatasync", &path))?;
    }
    directories
        .iter()
        .try_for_each(|directory| sync_directory(directory))
}

/// Makes the directories between `base` and `path`, and notes every one that gets a new
/// entry, so that its fsync makes the entry durable.
pub(crate) fn make_parents(
    base: &Path,
    path: &Path,
    touched: &mut BTreeSet<PathBuf>,
) -> io::Result<()> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    touched.insert(parent.to_owned());
    if parent.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(parent)?;
    for above in parent
        .ancestors()
        .skip(1)
        .take_while(|above| above.starts_with(base))
    {
        touched.insert(above.to_owned());
    }
    Ok(())
}

impl log::Files for Directory {
    fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match fs::read(self.path().join(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}
