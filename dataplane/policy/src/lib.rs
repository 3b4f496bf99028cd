//! Cedar bundles compiled to snapshots that judge.
//!
//! A [`Bundle`] is what people write: policies, labels, tests. Parsing it is the only door,
//! and it is strict: what Cedar's validator does not accept against our schema, and what our
//! annotations do not mean, is an error with a file and a line. A [`Snapshot`] is a bundle
//! compiled for the connections of one data plane; it answers [`Snapshot::judge`] for an
//! operation, [`Snapshot::reveal`] for a column and [`Snapshot::reveal_class`] for a value that
//! a detector found.
//!
//! Order of verdicts: deny, hold, mask, allow. What nothing permits is denied; what errors is
//! denied. Nothing here reads a clock, a file or a socket.

mod arguments;
mod bundle;
mod clock;
mod context;
mod entity;
mod explain;
mod judge;
mod level;
pub mod limits;
mod permit;
mod rate;
mod reads;
mod reveal;
mod snapshot;
mod strictness;
mod uses;

pub use arguments::Value;
pub use bundle::{
    Amount, ApproveTerms, BLOB_CLASS, Bulk, Bundle, BundleDiff, BundleError, BundleId, Change,
    Crossing, Effect, Fault, Harmless, Label, LabelledPlace, PolicyInfo, TestResult, ToolArguments,
    Unlabelled,
};
pub use clock::ClockTrust;
pub use explain::{Explanation, Part};
pub use judge::{JudgeContext, Judgement};
pub use level::Level;
pub use permit::Permit;
pub use rate::Rate;
pub use reads::Reads;
pub use snapshot::{
    ConnectionFacts, ConnectionFactsError, ConnectionKind, Directory, Snapshot, SnapshotId,
};
pub use uses::{ArgumentMap, ArgumentUse};
