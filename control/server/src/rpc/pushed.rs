//! Which worlds went out on a stream, and what the node said of them.

use std::collections::VecDeque;

use weir_api::v1::Version;

/// Deliveries of which an answer is still taken: a node answers in order, and is never
/// this far behind.
const SENT_MAX: usize = 64;

/// What was sent on this stream.
#[derive(Default)]
pub(crate) struct Pushed {
    sent: VecDeque<(String, Version)>,
    last_hash: Option<[u8; 32]>,
    is_rejected: bool,
}

impl Pushed {
    /// The delivery of that nonce, if the node names the version that it carried.
    pub(crate) fn answered(&mut self, nonce: &str, version: Option<&Version>) -> Option<Version> {
        let (_, sent) = self.sent.iter().find(|(sent, _)| sent == nonce)?;
        (Some(sent) == version).then(|| sent.clone())
    }

    /// The node refused a version: it is not sent again on this stream.
    pub(crate) fn rejected(&mut self, version: &Version) {
        if self
            .last_hash
            .as_ref()
            .is_some_and(|hash| hash.as_slice() == version.hash)
        {
            self.is_rejected = true;
        }
    }

    /// Whether that world was the last one sent.
    pub(crate) fn is_last(&self, hash: &[u8; 32]) -> bool {
        self.last_hash.as_ref() == Some(hash)
    }

    /// Whether the node refused the last one.
    pub(crate) const fn is_rejected(&self) -> bool {
        self.is_rejected
    }

    /// Another world goes: what was refused does not count any more.
    pub(crate) const fn retry(&mut self) {
        self.is_rejected = false;
    }

    /// Notes a delivery.
    pub(crate) fn sent(&mut self, nonce: String, number: u64, hash: [u8; 32]) {
        if self.sent.len() >= SENT_MAX {
            self.sent.pop_front();
        }
        let version = Version {
            number,
            hash: hash.to_vec(),
        };
        self.sent.push_back((nonce, version));
        self.last_hash = Some(hash);
    }
}
