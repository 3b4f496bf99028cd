use weir_facts::{OperationRef, Verdict};

use crate::Judgement;

/// Proof that policy allowed exactly one operation. It is spent where the operation's bytes
/// are released, is not `Clone`, and comes from nowhere but [`Judgement::permit`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit is spent by releasing its operation"]
pub struct Permit {
    operation: OperationRef,
}

impl Permit {
    /// The operation that it is good for.
    #[must_use]
    pub const fn operation(&self) -> OperationRef {
        self.operation
    }
}

impl Judgement {
    /// The proof for one operation, if the verdict is [`Verdict::Allow`]. A verdict from a
    /// cache serves many operations; each gets a permit of its own.
    pub fn permit(&self, operation: OperationRef) -> Option<Permit> {
        match self.verdict {
            Verdict::Allow => Some(Permit { operation }),
            Verdict::Hold(_) | Verdict::Deny(_) => None,
        }
    }
}
