use std::path::{Path, PathBuf};

use weir_audit::WorkerId;

/// Where things lie below the ledger's directory.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(crate) fn marks(&self) -> PathBuf {
        self.root.join("marks")
    }

    pub(crate) fn reserve(&self) -> PathBuf {
        self.root.join("reserve")
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.root.join("segments")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    pub(crate) fn segment(&self, worker: WorkerId, ordinal: u64) -> PathBuf {
        self.segments()
            .join(format!("w{:05}-{ordinal:016}.seg", worker.0))
    }

    /// Worker and ordinal of a segment's file name.
    pub(crate) fn parse_segment(name: &str) -> Option<(WorkerId, u64)> {
        let (worker, ordinal) = name
            .strip_prefix('w')?
            .strip_suffix(".seg")?
            .split_once('-')?;
        let digits = |text: &str, count| {
            text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(worker, 5) || !digits(ordinal, 16) {
            return None;
        }
        Some((WorkerId(worker.parse().ok()?), ordinal.parse().ok()?))
    }
}

/// The name under which a file is written before it is renamed into place.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}
