//! The gate through which bytes of an operation leave: it takes the proof that policy
//! allowed exactly these bytes and the proof that their record is kept, and spends both.

use weir_audit::{Kind, Receipt};
use weir_facts::{Digest, FlowId, OperationRef, OperationSeq};
use weir_policy::Permit;

use crate::io::Piece;

/// A permit or a receipt names another operation than the one at the gate. That is a
/// broken invariant: the flow ends, closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proofs name another operation than the bytes at hand")]
pub(crate) struct Mismatch;

/// Proof that an operation's bytes may go on. Taken by value where they are queued.
#[must_use]
#[derive(Debug)]
pub(crate) struct Released {
    operation: OperationRef,
}

impl Released {
    /// Spends a permit and a receipt for one operation.
    ///
    /// # Errors
    /// [`Mismatch`] if either names another operation.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a proof is spent where it is used"
    )]
    pub(crate) fn new(
        operation: OperationRef,
        permit: Permit,
        receipt: Receipt,
    ) -> Result<Self, Mismatch> {
        let is_intent = receipt.kind() == Kind::Intent;
        if permit.operation() != operation || receipt.operation() != Some(operation) || !is_intent {
            return Err(Mismatch);
        }
        Ok(Self { operation })
    }

    /// Spends the proof on the bytes that it was made for.
    #[expect(clippy::unused_self, reason = "a proof is spent where it is used")]
    pub(crate) fn spend(self, bytes: Piece) -> Piece {
        bytes
    }

    /// The operation that may go on.
    pub(crate) const fn operation(&self) -> OperationRef {
        self.operation
    }
}

/// Numbers the operations of one flow.
#[derive(Debug)]
pub(crate) struct Counter {
    flow: FlowId,
    next: u32,
}

impl Counter {
    pub(crate) const fn new(flow: FlowId) -> Self {
        Self { flow, next: 1 }
    }

    /// The next operation, over bytes with this digest.
    pub(crate) const fn operation(&mut self, digest: Digest) -> OperationRef {
        let seq = OperationSeq(self.next);
        self.next = self.next.wrapping_add(1);
        OperationRef {
            flow: self.flow,
            seq,
            digest,
        }
    }
}
