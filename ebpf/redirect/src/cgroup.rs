use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use weir_ebpf_abi::limits::CGROUP_LEVELS_MAX;

use crate::Error;

/// The root's id, in every kernel since ids are inode numbers (5.5).
const ROOT_ID: u64 = 1;

/// Where the root of the cgroup2 tree is mounted. On hybrid hosts that is not
/// `/sys/fs/cgroup`; in a cgroup namespace it is not mounted at all, which is an error.
pub fn cgroup_root() -> Result<PathBuf, Error> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")
        .map_err(Error::system("read", "/proc/self/mountinfo"))?;
    let path = cgroup2_mount(&mounts).ok_or(Error::NoCgroup2)?;
    let id = fs::metadata(&path)
        .map_err(Error::system("stat", path.display()))?
        .ino();
    if id == ROOT_ID {
        Ok(path)
    } else {
        Err(Error::NotTheCgroupRoot { path, id })
    }
}

/// The first mount of type cgroup2 that shows the whole hierarchy (proc(5), mountinfo).
fn cgroup2_mount(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        (kind.split(' ').next()? == "cgroup2" && root == "/")
            .then(|| PathBuf::from(unescape(point)))
    })
}

/// Space, tab, newline and backslash are octal in mountinfo.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}

/// A cgroup of the cgroup2 tree, as the programs know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cgroup {
    id: u64,
}

impl Cgroup {
    /// The cgroup at `path` below `root`. Fails if the programs would not see it among a
    /// process's ancestors.
    pub fn at(root: &Path, path: &Path) -> Result<Self, Error> {
        let below = path.strip_prefix(root).unwrap_or(path);
        let level = u32::try_from(below.components().count()).unwrap_or(u32::MAX);
        if level >= CGROUP_LEVELS_MAX {
            return Err(Error::CgroupTooDeep {
                path: path.to_owned(),
                level,
                max: CGROUP_LEVELS_MAX,
            });
        }
        let id = File::open(path)
            .and_then(|directory| directory.metadata())
            .map_err(Error::system("stat", path.display()))?
            .ino();
        Ok(Self { id })
    }

    /// Its id: the inode number of its directory.
    #[must_use]
    pub const fn id(self) -> u64 {
        self.id
    }

    /// A cgroup known by id alone.
    #[must_use]
    pub const fn from_id(id: u64) -> Self {
        Self { id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_cgroup2_hierarchy_is_found_on_a_hybrid_host() {
        let mounts = "30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                      31 30 0:27 /part /mnt/a rw shared:4 - cgroup2 cgroup2 rw\n\
                      32 30 0:27 / /sys/fs/cgroup/uni\\040fied rw shared:4 - cgroup2 cgroup2 rw\n";
        assert_eq!(
            cgroup2_mount(mounts),
            Some(PathBuf::from("/sys/fs/cgroup/uni fied"))
        );
    }

    #[test]
    fn a_part_of_the_hierarchy_is_not_the_root() {
        assert_eq!(
            cgroup2_mount("31 30 0:27 /part /mnt/a rw - cgroup2 cgroup2 rw\n"),
            None
        );
        assert_eq!(cgroup2_mount("nonsense\n - cgroup2\n"), None);
    }
}
