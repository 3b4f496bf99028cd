//! Definitions of tools on their way to the control plane: kept on disk until it has stored them,
//! so that neither its absence nor a restart forgets that a definition was seen first, or changed.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use prost::Message;
use weir_api::limits::TOOLS_PER_REPORT_MAX;
use weir_api::v1;
use weir_api::v1::from_data_plane::Message as From;
use weir_facts::{ConnectionName, Digest};
use weir_flow::{SeenTool, SeenTools, Target, ToolsSeen, World};

use super::approvals::from;

const FILE: &str = "tools.seen";

/// Bytes of reports that wait for the control plane: a few hundred servers with large definitions.
/// What is beyond is quarantined or trusted here like the rest, but forgotten by a restart; the
/// audit log has it.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// How long a stored definition is not told again: the world that has it is on its way. Flows tell
/// with every list until then.
const SETTLE: Duration = Duration::from_secs(10);

/// One definition of one tool.
type Key = (String, String, Digest);

/// What waits, and the file that has the same.
pub(super) struct ToolReports {
    path: PathBuf,
    /// By number, in the order of seeing.
    waiting: BTreeMap<u64, v1::ToolsSeen>,
    waiting_bytes: usize,
    next: u64,
    /// When each was stored; `None` while it waits.
    told: HashMap<Key, Option<Instant>>,
}

impl ToolReports {
    /// Reads what was not stored when the proxy ended. A report that was cut short in the middle
    /// was never synced; it ends the file.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let mut reports = Self {
            path,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            next: 0,
            told: HashMap::new(),
        };
        let mut rest = bytes.as_slice();
        let mut whole = 0;
        while let Ok(report) = v1::ToolsSeen::decode_length_delimited(&mut rest) {
            if report.tools.is_empty() {
                break;
            }
            whole = bytes.len() - rest.len();
            reports.wait(report);
        }
        if whole < bytes.len() {
            let file = OpenOptions::new().write(true).open(&reports.path);
            file.and_then(|file| file.set_len(whole as u64))
                .with_context(|| format!("cannot shorten {}", reports.path.display()))?;
        }
        Ok(reports)
    }

    /// Tells flows what was seen before the restart.
    pub(super) fn restore(&self, seen: &SeenTools, world: &World) {
        for report in self.waiting.values() {
            let name = ConnectionName::new(&report.connection);
            let Some(connection) = world.connections.named(&name) else {
                continue;
            };
            let Target::Mcp(target) = &connection.target else {
                continue;
            };
            let tools = seen.of(&name);
            for tool in &report.tools {
                if let Some(digest) = digest(tool) {
                    let tool = SeenTool {
                        name: tool.name.clone(),
                        digest,
                        definition: tool.definition.clone(),
                    };
                    tools.restore(&target.tools, &tool);
                }
            }
        }
    }

    /// A list showed these. What is not on its way already is kept, and returned to be sent.
    pub(super) fn report(&mut self, seen: &ToolsSeen, now: Instant) -> Vec<v1::FromDataPlane> {
        self.told
            .retain(|_, stored| stored.is_none_or(|at| now.saturating_duration_since(at) < SETTLE));
        let connection = seen.connection.as_str();
        let news: Vec<_> = seen
            .tools
            .iter()
            .filter(|tool| {
                let key = (connection.to_owned(), tool.name.clone(), tool.digest);
                !self.told.contains_key(&key)
            })
            .map(|tool| v1::ToolSeen {
                name: tool.name.clone(),
                sha256: tool.digest.0.to_vec(),
                definition: tool.definition.clone(),
            })
            .collect();
        let mut messages = Vec::new();
        for tools in news.chunks(TOOLS_PER_REPORT_MAX) {
            let report = v1::ToolsSeen {
                report: 0,
                connection: connection.to_owned(),
                tools: tools.to_vec(),
            };
            if self.waiting_bytes + report.encoded_len() > WAITING_BYTES_MAX {
                tracing::error!(
                    connection,
                    "too many definitions of tools wait for the control plane"
                );
                break;
            }
            if let Err(error) = self.append(&report) {
                tracing::error!(error = %format!("{error:#}"), "definitions of tools are not kept");
            }
            messages.push(from(From::ToolsSeen(self.wait(report))));
        }
        messages
    }

    /// Another world is in force: what it lacks is told again, however lately it was stored. A
    /// definition may have been decided against and come back.
    pub(super) fn world_changed(&mut self) {
        self.told.retain(|_, stored| stored.is_none());
    }

    /// Everything that was not stored, to be sent again on a new stream.
    pub(super) fn again(&self) -> Vec<v1::FromDataPlane> {
        let reports = self.waiting.values().cloned();
        reports
            .map(|report| from(From::ToolsSeen(report)))
            .collect()
    }

    /// The control plane has a report.
    pub(super) fn stored(&mut self, report: u64, now: Instant) {
        let Some(report) = self.waiting.remove(&report) else {
            return;
        };
        self.waiting_bytes = self.waiting_bytes.saturating_sub(report.encoded_len());
        for tool in &report.tools {
            if let Some(key) = key(&report.connection, tool) {
                self.told.insert(key, Some(now));
            }
        }
        if self.waiting.is_empty()
            && let Err(error) = fs::remove_file(&self.path)
            && error.kind() != ErrorKind::NotFound
        {
            // It is sent once more after a restart, which changes nothing.
            tracing::warn!(%error, "the file of definitions of tools stays");
        }
    }

    fn wait(&mut self, mut report: v1::ToolsSeen) -> v1::ToolsSeen {
        self.next += 1;
        report.report = self.next;
        for tool in &report.tools {
            self.told
                .extend(key(&report.connection, tool).map(|key| (key, None)));
        }
        self.waiting_bytes += report.encoded_len();
        self.waiting.insert(self.next, report.clone());
        report
    }

    fn append(&self, report: &v1::ToolsSeen) -> Result<()> {
        let is_new = !self.path.exists();
        let mut file: File = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)
            .with_context(|| format!("cannot open {}", self.path.display()))?;
        file.write_all(&report.encode_length_delimited_to_vec())
            .context("write")?;
        file.sync_all().context("fsync")?;
        if is_new && let Some(folder) = self.path.parent() {
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .context("fsync of the folder")?;
        }
        Ok(())
    }
}

fn digest(tool: &v1::ToolSeen) -> Option<Digest> {
    <[u8; 32]>::try_from(tool.sha256.as_slice())
        .ok()
        .map(Digest)
}

fn key(connection: &str, tool: &v1::ToolSeen) -> Option<Key> {
    Some((connection.to_owned(), tool.name.clone(), digest(tool)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str, byte: u8) -> ToolsSeen {
        ToolsSeen {
            connection: ConnectionName::new("crm"),
            tools: vec![SeenTool {
                name: name.to_owned(),
                digest: Digest([byte; 32]),
                definition: "{}".to_owned(),
            }],
        }
    }

    fn names(messages: &[v1::FromDataPlane]) -> Vec<(u64, String)> {
        messages
            .iter()
            .filter_map(|message| match &message.message {
                Some(From::ToolsSeen(report)) => {
                    Some((report.report, report.tools.first()?.name.clone()))
                }
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_definition_is_sent_once_and_again_after_a_restart_until_it_is_stored() {
        let folder = tempfile::tempdir().expect("a folder");
        let begun = Instant::now();
        let mut reports = ToolReports::open(folder.path()).expect("opens");
        assert_eq!(
            names(&reports.report(&seen("a", 1), begun)),
            [(1, "a".to_owned())]
        );
        assert!(
            reports.report(&seen("a", 1), begun).is_empty(),
            "on its way"
        );
        assert_eq!(
            names(&reports.report(&seen("a", 2), begun)),
            [(2, "a".to_owned())]
        );
        drop(reports);

        let mut reports = ToolReports::open(folder.path()).expect("opens");
        let again = names(&reports.again());
        assert_eq!(again, [(1, "a".to_owned()), (2, "a".to_owned())]);
        assert!(reports.report(&seen("a", 2), begun).is_empty());
        reports.stored(1, begun);
        reports.stored(2, begun);
        assert!(reports.again().is_empty());
        drop(reports);
        assert!(
            ToolReports::open(folder.path())
                .expect("opens")
                .again()
                .is_empty()
        );
    }

    #[test]
    fn what_the_world_still_lacks_after_a_while_is_told_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let begun = Instant::now();
        let mut reports = ToolReports::open(folder.path()).expect("opens");
        reports.report(&seen("a", 1), begun);
        reports.stored(1, begun);
        assert!(reports.report(&seen("a", 1), begun + SETTLE / 2).is_empty());
        assert_eq!(reports.report(&seen("a", 1), begun + SETTLE).len(), 1);
    }

    #[test]
    fn what_another_world_lacks_is_told_again_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let now = Instant::now();
        let mut reports = ToolReports::open(folder.path()).expect("opens");
        reports.report(&seen("a", 1), now);
        reports.report(&seen("b", 1), now);
        reports.stored(1, now);
        reports.world_changed();
        assert_eq!(reports.report(&seen("a", 1), now).len(), 1);
        assert!(reports.report(&seen("b", 1), now).is_empty(), "on its way");
    }

    #[test]
    fn a_file_that_was_cut_short_gives_what_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut reports = ToolReports::open(folder.path()).expect("opens");
        let now = Instant::now();
        reports.report(&seen("a", 1), now);
        reports.report(&seen("b", 1), now);
        drop(reports);
        let path = folder.path().join(FILE);
        let bytes = fs::read(&path).expect("reads");
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).expect("writes");
            let mut reports = ToolReports::open(folder.path()).expect("opens");
            let kept = reports.again().len();
            assert!(kept < 2, "{length}");
            reports.report(&seen("c", 1), now);
            drop(reports);
            let reports = ToolReports::open(folder.path()).expect("opens");
            assert_eq!(reports.again().len(), kept + 1, "{length}");
        }
    }
}
