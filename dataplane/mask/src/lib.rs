//! Detectors of sensitive values and the transforms that mask them.
//!
//! Nothing here knows a protocol's frames or a policy: a caller hands in one value and the
//! [`MaskRule`](weir_facts::MaskRule) that policy chose, and gets back what may be shown.
//! A value that a rule cannot be applied to in its type is never shown: it becomes NULL.
//!
//! Start with [`text`] and [`binary`] for a Postgres field, [`utf8`] for a JSON string,
//! [`detect::scan`] for text whose meaning nobody declared, and [`Net`] for Postgres fields of
//! such text.

pub mod detect;
mod key;
pub mod limits;
mod net;
mod transform;

pub use key::MaskKey;
pub use net::Net;
pub use transform::{Masked, binary, text, utf8};
