//! Who is the process behind a flow: the kernel's facts of the connect, confirmed by a pidfd
//! and by `/proc` while that process still runs.
//!
//! The order makes it sound: the pidfd first, so that everything read afterwards is of one
//! process; then that it had started before the connect, so that it is the caller and not a
//! later process of the same number; then ids and cgroup, which must be what they were at
//! connect; and at last that it still runs, so that none of it was read of a successor. What
//! this cannot see is a program that connects and then executes another one: the start time
//! stays. (Its socket survives only if it was not closed on exec.)

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use weir_handover::limits::{LINEAGE_MAX, TEXT_BYTES_MAX};
use weir_handover::stdio::Peer;
use weir_handover::{Attest, ProcessFacts, ProgramFacts, WorkloadFacts};

use crate::Gone;
use crate::config::read_bounded;
use crate::limits::{ARGUMENT_BYTES_MAX, DIGESTS_MAX, EXECUTABLE_BYTES_MAX, PROC_BYTES_MAX};
use crate::sys;

const NO_START: &str = "/proc/PID/stat has no start time";

/// How often a lineage is read until it stays the same: parents end seldom, and one at a time.
const LINEAGE_TRIES: usize = 3;

/// Answers who callers are. Shared by the attesting threads.
pub(crate) struct Attestor {
    cgroup_root: PathBuf,
    gone: Gone,
    ticks_per_second: u64,
    /// Whether it matters from whom callers descend.
    tells_lineage: AtomicBool,
    digests: Mutex<HashMap<FileId, [u8; 32]>>,
}

/// What changes whenever a file's content could. The change time is the kernel's own; its
/// owner cannot set it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct FileId {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileId {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Attestor {
    pub(crate) fn new(cgroup_root: PathBuf, gone: Gone) -> Self {
        Self {
            cgroup_root,
            gone,
            ticks_per_second: sys::ticks_per_second(),
            tells_lineage: AtomicBool::new(false),
            digests: Mutex::new(HashMap::new()),
        }
    }

    /// Tells of each caller from whom it descends, from now on: a server that a client starts is
    /// known by that. It costs a few reads of `/proc` for each, so not where there is none.
    pub(crate) fn tell_lineage(&self, tells: bool) {
        self.tells_lineage.store(tells, Ordering::Relaxed);
    }

    /// The facts of a caller, or why there are none. Every error refuses the flow.
    pub(crate) fn attest(&self, asked: &Attest) -> Result<WorkloadFacts, String> {
        let pidfd = match sys::pidfd_open(asked.tgid) {
            Ok(pidfd) => pidfd,
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                return self.without_process(asked);
            }
            Err(error) => return Err(format!("pidfd_open: {error}")),
        };
        let facts = self.examine(asked);
        match sys::is_running(pidfd.as_fd()) {
            Ok(true) => facts,
            Ok(false) => self.without_process(asked),
            Err(error) => Err(format!("poll: {error}")),
        }
    }

    /// The process ended before it could be looked at.
    fn without_process(&self, asked: &Attest) -> Result<WorkloadFacts, String> {
        match self.gone {
            Gone::Refuse => Err(format!("process {} is gone", asked.tgid)),
            Gone::KernelFacts => Ok(WorkloadFacts {
                pid: asked.tgid,
                uid: asked.uid,
                gid: asked.gid,
                cgroup: self.cgroup_path(asked.cgroup_id)?,
                executable: String::new(),
                executable_sha256: None,
                lineage: Vec::new(),
            }),
        }
    }

    /// Who connected to a socket of the warden's. The pidfd is of the process that connected, and
    /// it is asked for last, so everything was read of that process.
    pub(crate) fn attest_peer(&self, peer: &Peer) -> Result<WorkloadFacts, String> {
        if peer.pid == 0 {
            return Err("a process that cannot be seen from this process namespace".to_owned());
        }
        let read = |name: &str| read_of(peer.pid, name);
        let status = read("status")?;
        check_ids(peer.pid, &status, peer.uid, peer.gid)?;
        let cgroup =
            cgroup2_path(&read("cgroup")?).ok_or("/proc/PID/cgroup has no cgroup2 line")?;
        let (executable, executable_sha256) = self.executable(peer.pid)?;
        must_run(peer.pid, peer.pidfd.as_fd())?;
        Ok(WorkloadFacts {
            pid: peer.pid,
            uid: peer.uid,
            gid: peer.gid,
            cgroup,
            executable,
            executable_sha256,
            lineage: Vec::new(),
        })
    }

    /// What a peer's child executes. Somebody else's child is not what the peer has started.
    pub(crate) fn attest_program(&self, peer: &Peer, pid: u32) -> Result<ProgramFacts, String> {
        let pidfd = sys::pidfd_open(pid).map_err(|error| format!("process {pid}: {error}"))?;
        let status = read_of(pid, "status")?;
        if first_number(&status, "PPid:") != Some(peer.pid) {
            return Err(format!("process {pid} is no child of process {}", peer.pid));
        }
        check_ids(pid, &status, peer.uid, peer.gid)?;
        let (executable, executable_sha256) = self.executable(pid)?;
        let arguments_sha256 = digest_of_arguments(pid)?;
        let started_ticks = start_ticks(&read_of(pid, "stat")?).ok_or(NO_START)?;
        must_run(pid, pidfd.as_fd())?;
        let started_by = started_by(peer);
        must_run(peer.pid, peer.pidfd.as_fd())?;
        Ok(ProgramFacts {
            process: ProcessFacts { pid, started_ticks },
            executable,
            executable_sha256,
            arguments_sha256,
            started_by,
        })
    }

    fn executable(&self, pid: u32) -> Result<(String, Option<[u8; 32]>), String> {
        let link = PathBuf::from(format!("/proc/{pid}/exe"));
        let executable =
            fs::read_link(&link).map_err(|error| format!("{}: {error}", link.display()))?;
        Ok((bounded_text(&executable)?, self.digest(&link, pid)?))
    }

    fn examine(&self, asked: &Attest) -> Result<WorkloadFacts, String> {
        let read = |name: &str| read_of(asked.tgid, name);
        let started = start_ticks(&read("stat")?).ok_or(NO_START)?;
        if !started_before(started, self.ticks_per_second, asked.connect_boottime_ns) {
            return Err(format!(
                "process {} started after the connect: its number was used again",
                asked.tgid
            ));
        }
        check_ids(asked.tgid, &read("status")?, asked.uid, asked.gid)?;
        let cgroup =
            cgroup2_path(&read("cgroup")?).ok_or("/proc/PID/cgroup has no cgroup2 line")?;
        self.confirm_cgroup(&cgroup, asked.cgroup_id)?;
        let (executable, executable_sha256) = self.executable(asked.tgid)?;
        Ok(WorkloadFacts {
            pid: asked.tgid,
            uid: asked.uid,
            gid: asked.gid,
            cgroup,
            executable,
            executable_sha256,
            lineage: self.lineage(asked.tgid),
        })
    }

    /// The caller and those that it descends from; nothing where that is not told.
    fn lineage(&self, pid: u32) -> Vec<ProcessFacts> {
        if !self.tells_lineage.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let same = |(first, second)| (first == second).then_some(second);
        let read = (0..LINEAGE_TRIES).find_map(|_| same((lineage(pid)?, lineage(pid)?)));
        read.unwrap_or_default()
    }

    fn confirm_cgroup(&self, path: &str, id_at_connect: u64) -> Result<(), String> {
        let directory = self.cgroup_root.join(path.trim_start_matches('/'));
        let id = fs::metadata(&directory)
            .map_err(|error| format!("{}: {error}", directory.display()))?
            .ino();
        if id == id_at_connect {
            return Ok(());
        }
        Err(format!(
            "the process has moved from cgroup {id_at_connect} to {path} since the connect"
        ))
    }

    /// The path of a cgroup by its id, found by walking.
    fn cgroup_path(&self, id: u64) -> Result<String, String> {
        let mut waiting = vec![self.cgroup_root.clone()];
        while let Some(directory) = waiting.pop() {
            if fs::metadata(&directory).is_ok_and(|metadata| metadata.ino() == id) {
                let below = directory
                    .strip_prefix(&self.cgroup_root)
                    .unwrap_or(&directory);
                return bounded_text(&Path::new("/").join(below));
            }
            let Ok(entries) = fs::read_dir(&directory) else {
                continue;
            };
            waiting.extend(
                entries
                    .flatten()
                    .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                    .map(|entry| entry.path()),
            );
        }
        Err(format!("there is no cgroup {id} any more"))
    }

    /// SHA-256 of the file that the process executes, whatever is at its path by now.
    fn digest(&self, exe: &Path, pid: u32) -> Result<Option<[u8; 32]>, String> {
        let wrong = |error: io::Error| format!("/proc/{pid}/exe: {error}");
        let file = File::open(exe).map_err(wrong)?;
        let before = FileId::of(&file.metadata().map_err(wrong)?);
        if before.size > EXECUTABLE_BYTES_MAX {
            return Ok(None);
        }
        if let Some(digest) = self
            .digests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&before)
        {
            return Ok(Some(*digest));
        }
        let digest = digest_of(&file).map_err(wrong)?;
        // A file that was written meanwhile has a digest of neither content.
        if FileId::of(&file.metadata().map_err(wrong)?) != before {
            return Err(format!("the executable of process {pid} is being written"));
        }
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        if digests.len() >= DIGESTS_MAX {
            digests.clear();
        }
        digests.insert(before, digest);
        Ok(Some(digest))
    }
}

fn read_of(pid: u32, name: &str) -> Result<String, String> {
    let path = PathBuf::from(format!("/proc/{pid}/{name}"));
    read_bounded(&path, PROC_BYTES_MAX).map_err(|error| format!("{}: {error}", path.display()))
}

fn check_ids(pid: u32, status: &str, uid: u32, gid: u32) -> Result<(), String> {
    for (key, at_connect) in [("Uid:", uid), ("Gid:", gid)] {
        let now = first_number(status, key).ok_or("/proc/PID/status has no ids")?;
        if now != at_connect {
            return Err(format!(
                "process {pid} changed its {key} from {at_connect} to {now} since the connect"
            ));
        }
    }
    Ok(())
}

fn must_run(pid: u32, pidfd: BorrowedFd<'_>) -> Result<(), String> {
    match sys::is_running(pidfd) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("process {pid} is gone")),
        Err(error) => Err(format!("poll: {error}")),
    }
}

/// SHA-256 over a process's arguments without its own name, each with a NUL behind it, as
/// `/proc/PID/cmdline` has them (proc(5)). A process can rewrite them later.
fn digest_of_arguments(pid: u32) -> Result<[u8; 32], String> {
    let path = format!("/proc/{pid}/cmdline");
    let wrong = |error: &dyn std::fmt::Display| format!("{path}: {error}");
    let mut bytes = Vec::new();
    File::open(&path)
        .and_then(|file| file.take(ARGUMENT_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| wrong(&error))?;
    if bytes.len() as u64 > ARGUMENT_BYTES_MAX {
        return Err(wrong(&format!("more than {ARGUMENT_BYTES_MAX} bytes")));
    }
    let name = bytes.iter().position(|byte| *byte == 0);
    let arguments = name
        .and_then(|end| bytes.get(end + 1..))
        .unwrap_or_default();
    Ok(Sha256::digest(arguments).into())
}

/// Executable of a peer's parent, for the record alone: it may be gone, or not ours to see.
fn started_by(peer: &Peer) -> String {
    let parent = read_of(peer.pid, "status")
        .ok()
        .and_then(|status| first_number(&status, "PPid:"));
    parent
        .and_then(|pid| fs::read_link(format!("/proc/{pid}/exe")).ok())
        .and_then(|path| bounded_text(&path).ok())
        .unwrap_or_default()
}

fn digest_of(mut file: &File) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            length => hash.update(buffer.get(..length).unwrap_or_default()),
        }
    }
}

fn bounded_text(path: &Path) -> Result<String, String> {
    match path.to_str() {
        Some(text) if text.len() <= TEXT_BYTES_MAX => Ok(text.to_owned()),
        Some(_) => Err("a path of more than PATH_MAX bytes".to_owned()),
        None => Err("a path that is not UTF-8".to_owned()),
    }
}

/// A process and those that it descends from, as they are read one after the other.
///
/// Read twice with the same outcome, and the process still runs, they are what they seem: a child
/// whose parent has ended gets another one at once, and never the old one's number back, so
/// whoever was the parent at both times lived all the while, and its line was its own.
fn lineage(pid: u32) -> Option<Vec<ProcessFacts>> {
    let mut line = Vec::new();
    let mut next = pid;
    // Process 1 is everybody's ancestor, and 0 is none that can be seen from here.
    while next > 1 && line.len() < LINEAGE_MAX {
        let stat = read_of(next, "stat").ok()?;
        line.push(ProcessFacts {
            pid: next,
            started_ticks: start_ticks(&stat)?,
        });
        next = parent(&stat)?;
    }
    Some(line)
}

/// Field 4 of `/proc/PID/stat`.
fn parent(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Field 22 of `/proc/PID/stat` (proc(5)). The second field, in parentheses, is the process's
/// own to choose, so counting begins behind the last parenthesis.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Whether a start in ticks lies before a connect in nanoseconds. The kernel rounds a start
/// down to its tick, so one in the tick of the connect counts as before.
fn started_before(started_ticks: u64, ticks_per_second: u64, connect_ns: u64) -> bool {
    let started_ns = u128::from(started_ticks) * 1_000_000_000 / u128::from(ticks_per_second);
    started_ns <= u128::from(connect_ns)
}

/// The first number of a line: of ids, the real one.
fn first_number(status: &str, key: &str) -> Option<u32> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(key))?
        .split_ascii_whitespace()
        .next()?
        .parse()
        .ok()
}

/// The line of hierarchy 0.
fn cgroup2_path(text: &str) -> Option<String> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    (path.starts_with('/') && path.len() <= TEXT_BYTES_MAX).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This process, as the kernel would have described it at a connect now.
    fn ourselves() -> Attest {
        let metadata = fs::metadata("/proc/self").unwrap();
        let cgroup = cgroup2_path(&fs::read_to_string("/proc/self/cgroup").unwrap()).unwrap();
        let root = weir_redirect::cgroup_root().unwrap();
        let uptime = fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        Attest {
            request: 1,
            tgid: std::process::id(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            cgroup_id: fs::metadata(root.join(cgroup.trim_start_matches('/')))
                .unwrap()
                .ino(),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "an uptime"
            )]
            connect_boottime_ns: (uptime * 1e9) as u64,
        }
    }

    fn attestor(gone: Gone) -> Attestor {
        Attestor::new(weir_redirect::cgroup_root().unwrap(), gone)
    }

    #[test]
    fn a_running_process_is_attested_with_its_executable() {
        let attestor = attestor(Gone::Refuse);
        let facts = attestor.attest(&ourselves()).unwrap();
        let own = fs::read_link("/proc/self/exe").unwrap();
        assert_eq!(facts.executable, own.to_str().unwrap());
        let digest: [u8; 32] = Sha256::digest(fs::read(own).unwrap()).into();
        assert_eq!(facts.executable_sha256, Some(digest));
        assert_eq!(
            attestor.attest(&ourselves()).unwrap(),
            facts,
            "from the cache as well"
        );
    }

    #[test]
    fn a_process_is_told_to_descend_from_its_parents_where_that_matters() {
        let attestor = attestor(Gone::Refuse);
        assert_eq!(attestor.attest(&ourselves()).unwrap().lineage, []);
        attestor.tell_lineage(true);
        let own = attestor.attest(&ourselves()).unwrap().lineage;
        let pids: Vec<_> = own.iter().map(|process| process.pid).collect();
        let parents = [std::process::id(), std::os::unix::process::parent_id()];
        let parents = parents.map(|pid| Some(pid).filter(|pid| *pid > 1));
        let parents: Vec<_> = parents.into_iter().flatten().collect();
        assert!(pids.starts_with(&parents), "{pids:?}");
        assert!(pids.len() <= LINEAGE_MAX && !pids.contains(&1), "{pids:?}");
        // A grandchild is known by the same facts as its parent's parent, which is this process.
        let mut shell = std::process::Command::new("sh")
            .args(["-c", "sleep 600 & echo $!; wait"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = String::new();
        let mut lines = io::BufReader::new(shell.stdout.take().unwrap());
        io::BufRead::read_line(&mut lines, &mut told).unwrap();
        let grandchild = lineage(told.trim().parse().unwrap()).unwrap();
        assert_eq!(grandchild[1].pid, shell.id());
        assert_eq!(grandchild[2..], own[..grandchild.len() - 2]);
        for process in &grandchild[..2] {
            sys_kill(process.pid);
        }
        shell.wait().unwrap();
    }

    fn sys_kill(pid: u32) {
        let killed = std::process::Command::new("kill")
            .arg("-9")
            .arg(pid.to_string())
            .status();
        assert!(killed.unwrap().success());
    }

    #[test]
    fn a_process_that_started_after_the_connect_is_not_the_caller() {
        let asked = Attest {
            connect_boottime_ns: 1,
            ..ourselves()
        };
        assert!(
            attestor(Gone::Refuse)
                .attest(&asked)
                .unwrap_err()
                .contains("started after")
        );
    }

    #[test]
    fn a_process_whose_facts_changed_is_refused() {
        let own = ourselves();
        for asked in [
            Attest {
                uid: own.uid + 1,
                ..own
            },
            Attest {
                gid: own.gid + 1,
                ..own
            },
            Attest {
                cgroup_id: own.cgroup_id + 1,
                ..own
            },
        ] {
            assert!(
                attestor(Gone::KernelFacts)
                    .attest(&asked)
                    .unwrap_err()
                    .contains("since the connect")
            );
        }
    }

    #[test]
    fn a_process_that_is_gone_is_refused_unless_the_kernels_facts_suffice() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let own = ourselves();
        let asked = Attest {
            tgid: child.id(),
            uid: 4321,
            ..own
        };
        child.wait().unwrap();
        assert!(
            attestor(Gone::Refuse)
                .attest(&asked)
                .unwrap_err()
                .contains("gone")
        );
        let facts = attestor(Gone::KernelFacts).attest(&asked).unwrap();
        assert_eq!(
            (
                facts.uid,
                facts.executable.as_str(),
                facts.executable_sha256
            ),
            (4321, "", None)
        );
        assert!(facts.cgroup.starts_with('/'));
    }

    #[test]
    fn a_process_cannot_move_its_start_time_by_its_name() {
        let stat = "7 (a) b) 1 (x) R 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 555 0 0";
        assert_eq!(start_ticks(stat), Some(555));
        assert_eq!(parent("7 (a) b) 1 (x) R 1 2) S 5 1 1"), Some(5));
        assert_eq!(start_ticks("7 (a"), None);
        assert_eq!(start_ticks(""), None);
    }

    #[test]
    fn a_start_within_the_tick_of_the_connect_counts_as_before() {
        assert!(started_before(100, 100, 1_000_000_000));
        assert!(!started_before(101, 100, 1_009_999_999));
        assert!(!started_before(u64::MAX, 1, u64::MAX));
    }
}
