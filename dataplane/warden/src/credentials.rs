//! The proxy's user, and the directories that it may write to.

use std::ffi::CString;
use std::fs::DirBuilder;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::sys;

/// User and group id of a name, or of a number, which is both.
pub(crate) fn user(name: &str) -> Result<(u32, u32)> {
    let found = match name.parse::<u32>() {
        Ok(number) => (number, number),
        Err(_) => sys::user(&CString::new(name)?)
            .with_context(|| format!("look up user {name}"))?
            .with_context(|| {
                format!("there is no user {name}; make one (useradd --system {name}) or set `user`")
            })?,
    };
    ensure!(found.0 != 0, "the proxy must not run as root: set `user`");
    Ok(found)
}

/// Makes a directory that only its owner may enter, and gives it to the owner.
pub(crate) fn directory(path: &Path, mode: u32, owner: (u32, u32)) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .with_context(|| format!("mkdir {}", path.display()))?;
    sys::chown(
        &CString::new(path.as_os_str().as_bytes())?,
        owner.0,
        owner.1,
    )
    .with_context(|| format!("chown {}", path.display()))
}
