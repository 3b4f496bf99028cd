use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::{Error, sys};

/// Makes sure that `path` is a mounted BPF file system, making the directory and the mount
/// where they are missing. Only root may enter a mount made here.
pub fn mount_bpffs(path: &Path) -> Result<(), Error> {
    if !path.exists() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(Error::system("mkdir", path.display()))?;
    }
    if sys::is_bpf_fs(path).map_err(Error::system("statfs", path.display()))? {
        return Ok(());
    }
    sys::mount_bpf(path).map_err(Error::system("mount", path.display()))
}

/// Makes the directory for pins, for root alone.
pub(crate) fn make_pin_dir(path: &Path) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::system("mkdir", path.display())(error)),
    }
}

/// Removes a pin; one that is not there is fine.
pub(crate) fn unpin(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::system("unlink", path.display())(error)),
    }
}
