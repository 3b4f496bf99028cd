//! The privileged process of a data plane, `weir-dataplane`: it loads and pins the kernel's
//! hooks, owns the listening sockets, says who a caller is, and starts the proxy without any
//! privilege.
//!
//! It never reads a byte that a client sent, and links nothing that could parse one. What the
//! proxy tells it is bounded; guards change only by bytes that the control plane signed. When
//! it goes, the hooks stay and refuse.
//!
//! Start with [`Config`] and [`run()`].

mod attest;
mod canary;
mod child;
mod config;
mod credentials;
mod guards;
mod hooks;
pub mod limits;
mod listeners;
mod run;
mod serving;
mod state;
mod status;
mod stdio;
mod sys;
mod systemd;

pub use canary::{Flight, fly as fly_canary};
pub use config::{Config, ConfigError, Gone};
pub use hooks::{detach, set_glass};
pub use run::run;
pub use status::{Status, ask as ask_status, is_healthy};
pub use weir_redirect::Glass;
