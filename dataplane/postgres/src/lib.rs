//! PostgreSQL protocol 3, both sides of one connection, without a socket.
//!
//! Cuts bytes into frames, reads and writes messages, ends one authentication and begins another,
//! keeps the session state that the server has confirmed, edits rows and writes refusals. It does
//! no I/O, reads no clock, draws no random numbers and knows no policy: the caller attaches its plan
//! of an operation to a statement ([`session::Statement`]) and gets it back with each answer.
//!
//! Whatever it cannot parse is an error, and the caller refuses on it; bytes that nobody edits leave
//! as they came.
//!
//! Start with [`frame::FrameReader`], then [`session::Session`].

pub mod auth;
pub mod frame;
pub mod limits;
pub mod message;
pub mod refuse;
pub mod rows;
pub mod session;
pub mod startup;
