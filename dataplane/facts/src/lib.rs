//! The words that every room of the data plane shares: who asks, for what, on which
//! resource, and what was decided.
//!
//! Nothing here reads a byte, decides anything or talks to anyone. Protocol cores turn
//! frames into these facts, `weir-policy` turns them into a [`Verdict`], `weir-audit`
//! records them. Start with [`Access`], the question, and [`Verdict`], the answer.

mod access;
mod clock;
mod column;
mod id;
mod link;
mod mask;
mod path;
mod principal;
mod side;
mod tool;
mod verdict;

pub use access::{Access, Action, Resource};
pub use clock::Now;
pub use column::{ColumnId, ColumnName, RelationName, RelationOid};
pub use id::{ApprovalId, ConnectionName, Digest, FlowId, OperationRef, OperationSeq};
pub use link::{CallRef, Link};
pub use mask::{MaskRule, MaskRuleError};
pub use path::{Along, JsonPath, JsonPathError, Step};
pub use principal::{Agent, Group, Identity, Principal, ProcessRef, Workload};
pub use side::Side;
pub use tool::{is_hidden, is_plain_name, name_skeleton};
pub use verdict::{Denial, HoldTerms, PolicyId, Reveal, Verdict};
