use crate::{FlowId, OperationSeq};

/// The MCP call that caused an operation, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// The operation carries the trace context that the call went on with.
    Trace(CallRef),
    /// The operation's process serves the call's server, and this was the only call open in it.
    Process(CallRef),
    /// Any of several open calls can be the cause, or the only one is open in a process that is
    /// not known yet: none is named.
    Ambiguous {
        /// How many.
        candidates: u32,
    },
}

/// One call: where its INTENT record is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallRef {
    /// The flow that the call arrived on.
    pub flow: FlowId,
    /// Its position there.
    pub operation: OperationSeq,
}

impl Link {
    /// How it is known, as records say it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Trace(_) => "trace",
            Self::Process(_) => "process",
            Self::Ambiguous { .. } => "ambiguous",
        }
    }

    /// The call, where one is named.
    #[must_use]
    pub const fn call(&self) -> Option<CallRef> {
        match self {
            Self::Trace(call) | Self::Process(call) => Some(*call),
            Self::Ambiguous { .. } => None,
        }
    }
}
