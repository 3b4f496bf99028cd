//! What a stage changed on the host, written down before it is done, so that it can be undone
//! by a later run as well, after whatever crash.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::process::{self, Identity, Stop};
use super::site::Site;
use super::user;

/// One change.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Change {
    /// A system user was made.
    User(String),
    /// A cgroup was made; whatever runs in it belongs to the stage.
    Cgroup(PathBuf),
    /// A BPF file system was mounted here, where there was none.
    BpfMount(PathBuf),
    /// Hooks may be pinned here.
    Pins(PathBuf),
    /// A process was started.
    Process(Identity, Stop),
}

/// The list, in a file of the stage's folder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    site: Site,
}

/// Held while something is changed and while all is undone, so that an interrupt never leaves
/// a change that is not written down.
static CHANGING: Mutex<()> = Mutex::new(());

/// How long a cgroup may stay busy after its processes were killed.
const EMPTY_MAX: Duration = Duration::from_secs(5);

impl Record {
    /// Begins the stage's folder and an empty list.
    ///
    /// # Errors
    /// The folder is there already, or cannot be made.
    pub(crate) fn begin(site: Site) -> Result<Self> {
        let folder = site.folder();
        DirBuilder::new()
            .mode(0o755)
            .create(&folder)
            .with_context(|| format!("mkdir {}", folder.display()))?;
        let record = Self { site };
        fs::write(record.path(), "")
            .with_context(|| format!("write {}", record.path().display()))?;
        Ok(record)
    }

    /// The list of a stage that was set up before, if there is one.
    pub(crate) fn find(site: Site) -> Result<Option<Self>> {
        let folder = site.folder();
        match fs::symlink_metadata(&folder) {
            Ok(about) if about.is_dir() && about.uid() == 0 => Ok(Some(Self { site })),
            Ok(_) => bail!(
                "{} is there, but is no directory of root's",
                folder.display()
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("stat {}", folder.display())),
        }
    }

    fn path(&self) -> PathBuf {
        self.site.folder().join("changes.json")
    }

    /// Writes a change down, then makes it.
    pub(crate) fn change<T>(&self, change: &Change, make: impl FnOnce() -> Result<T>) -> Result<T> {
        let _lock = CHANGING
            .lock()
            .expect("nobody panics while changing the host");
        self.add(change)?;
        make()
    }

    /// Starts a process and writes it down.
    pub(crate) fn start<T>(
        &self,
        stop: Stop,
        make: impl FnOnce() -> Result<(T, Identity)>,
    ) -> Result<T> {
        let _lock = CHANGING
            .lock()
            .expect("nobody panics while changing the host");
        let (made, identity) = make()?;
        self.add(&Change::Process(identity, stop))?;
        Ok(made)
    }

    fn add(&self, change: &Change) -> Result<()> {
        let path = self.path();
        let mut file = OpenOptions::new()
            .append(true)
            .open(&path)
            .with_context(|| format!("open {}", path.display()))?;
        let line = serde_json::to_string(change)? + "\n";
        file.write_all(line.as_bytes())
            .and_then(|()| file.sync_all())
            .with_context(|| format!("write {}", path.display()))
    }

    fn changes(&self) -> Result<Vec<Change>> {
        let text = match fs::read_to_string(self.path()) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("read {}", self.path().display()));
            }
        };
        // The last line can be torn: then its change was not made.
        Ok(text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }

    /// Undoes every change, the last first, and removes the stage's folder. Goes on past what
    /// cannot be undone, keeps the list then, and says what is left.
    pub(crate) fn undo(&self) -> Result<()> {
        let _lock = CHANGING.lock();
        let mut left = Vec::new();
        for change in self.changes()?.iter().rev() {
            if let Err(error) = undo(change) {
                left.push(format!("{error:#}"));
            }
        }
        if !left.is_empty() {
            bail!("could not be undone:\n  {}", left.join("\n  "));
        }
        let folder = self.site.folder();
        fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))
    }
}

fn undo(change: &Change) -> Result<()> {
    match change {
        Change::User(name) => user::remove(name),
        Change::Cgroup(path) => remove_cgroup(path),
        Change::BpfMount(path) => unmount(path),
        Change::Pins(path) => {
            absent(fs::remove_dir_all(path)).with_context(|| format!("remove {}", path.display()))
        }
        Change::Process(identity, stop) => process::end(identity, *stop),
    }
}

fn absent(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Ends everything in a cgroup and below it, and removes it.
fn remove_cgroup(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let children = fs::read_dir(path).with_context(|| format!("read {}", path.display()))?;
    for child in children.flatten().filter(|child| child.path().is_dir()) {
        remove_cgroup(&child.path())?;
    }
    let begun = Instant::now();
    loop {
        let inside = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
        inside
            .lines()
            .filter_map(|pid| pid.parse().ok())
            .for_each(process::kill);
        match absent(fs::remove_dir(path)) {
            Err(_) if begun.elapsed() < EMPTY_MAX => std::thread::sleep(Duration::from_millis(20)),
            other => return other.with_context(|| format!("rmdir {}", path.display())),
        }
    }
}

/// Unmounts, unless somebody else has come to use it.
fn unmount(path: &Path) -> Result<()> {
    let is_mounted = super::is_bpffs(path)?;
    let is_used = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    if !is_mounted || is_used {
        return Ok(());
    }
    crate::step::output("umount", std::process::Command::new("umount").arg(path)).map(|_| ())
}
