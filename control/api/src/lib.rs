//! What the two planes say to each other, and what people say to the control plane.
//!
//! [`v1`] is the gRPC conversation between a data plane and its control plane,
//! [`http`] the JSON that the command line and the web UI exchange with it. [`update`]
//! signs and checks what is pushed, [`join`] is the string by which a node learns where
//! its control plane is and which key to trust. This is the only crate that has serde on
//! a network boundary; both sides convert into their own checked types by hand.
//!
//! Nothing here opens a socket, reads a clock or makes randomness. Start with
//! [`v1::World`], which is everything a data plane needs to decide alone.

pub mod http;
pub mod join;
pub mod limits;
pub mod update;

/// The gRPC messages and service of `proto/weir/v1/dataplane.proto`.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    rustdoc::invalid_html_tags,
    clippy::allow_attributes_without_reason,
    reason = "generated from the .proto"
)]
pub mod v1 {
    tonic::include_proto!("weir.v1");
}

pub use join::{Join, JoinError};
pub use update::{Opened, UpdateError, accept, reopen, sign, statement};
