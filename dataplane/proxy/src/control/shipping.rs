//! Leaves and checkpoints on their way to the control plane: from the last acknowledged leaf
//! on, in order, without gaps. The log on this host stays the record; this is its copy.

use std::path::Path;

use anyhow::{Context, Result};
use weir_api::limits::{LEAVES_BYTES_MAX, LEAVES_COUNT_MAX};
use weir_api::v1;
use weir_api::v1::from_data_plane::Message as From;
use weir_audit::log::VerifierKey;
use weir_ledger::Reader;

use super::approvals::from;

/// Batches that may be under way without an acknowledgement.
const BATCHES_OPEN: u32 = 4;

/// The log's reader and how far it has come.
pub(crate) struct Shipping {
    reader: Reader,
    origin: String,
    /// Everything before this is stored at the control plane.
    acknowledged: Option<u64>,
    /// The next leaf to send.
    next: u64,
    open: u32,
    told: Option<u64>,
}

impl Shipping {
    /// Reads the log in this folder.
    pub(crate) fn new(log: &Path, vkey: &str) -> Result<Self> {
        let key = VerifierKey::parse(vkey).context("the log's key")?;
        let origin = key.name().to_owned();
        Ok(Self {
            reader: Reader::new(log, key),
            origin,
            acknowledged: None,
            next: 0,
            open: 0,
            told: None,
        })
    }

    /// A new stream: wait for the control plane to say where it stands.
    pub(crate) fn restart(&mut self) {
        self.next = self.acknowledged.unwrap_or(0);
        self.open = 0;
        self.told = None;
    }

    /// Everything below `next` is stored.
    pub(crate) fn acknowledged(&mut self, next: u64) {
        self.acknowledged = Some(next);
        self.next = self.next.max(next);
        self.open = self.open.saturating_sub(1);
    }

    /// Leaves in the log, as its checkpoint says.
    pub(crate) fn size(&mut self) -> u64 {
        self.reader
            .checkpoint()
            .map_or(0, |(checkpoint, _)| checkpoint.size)
    }

    /// The newest signed head.
    pub(crate) fn checkpoint(&self) -> Option<v1::Checkpoint> {
        None
    }

    /// What to send now: the newest checkpoint if it is news, and leaves that it covers.
    pub(crate) fn next(&mut self) -> Vec<v1::FromDataPlane> {
        let mut messages = Vec::new();
        while self.open < BATCHES_OPEN {
            let Ok(batch) = self.reader.leaves(self.next) else {
                return messages;
            };
            if self.told != Some(batch.checkpoint.size) {
                self.told = Some(batch.checkpoint.size);
                let checkpoint = v1::Checkpoint {
                    origin: self.origin.clone(),
                    note: batch.note,
                };
                messages.push(from(From::Checkpoint(checkpoint)));
            }
            let leaves = bounded(batch.leaves);
            if leaves.is_empty() {
                return messages;
            }
            let first_index = self.next;
            self.next += leaves.len() as u64;
            self.open += 1;
            messages.push(from(From::Leaves(v1::Leaves {
                first_index,
                leaf: leaves,
            })));
        }
        messages
    }
}

fn bounded(leaves: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut bytes = 0;
    leaves
        .into_iter()
        .take(LEAVES_COUNT_MAX)
        .take_while(|leaf| {
            bytes += leaf.len();
            bytes <= LEAVES_BYTES_MAX
        })
        .collect()
}
