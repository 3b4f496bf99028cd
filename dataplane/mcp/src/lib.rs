//! MCP over HTTP, as pure functions and small state machines over bytes.
//!
//! [`http`] frames requests and answers strictly, [`sse`] frames events, [`json`] reads a
//! body in one pass, [`message`] says what a JSON-RPC message asks as
//! [`weir_facts::Access`] pairs, [`list`] and [`reveal`] rewrite answers, [`definition`]
//! says what a tool is, [`schema`] what its arguments and results may be, [`session`] matches
//! answers to requests, [`endpoint`] reads where messages of 2024-11-05 are POSTed,
//! [`authorization`] has challenges and metadata, [`oauth`] the messages of a server that is its
//! own authorization server, [`refuse`] says no in the protocol's own words, [`carrier`] says
//! "not yet", and [`announce`] says beforehand that it may.
//!
//! Nothing here opens a socket, reads a clock, decides a verdict or keeps a byte that it
//! was not asked to keep. What two parsers could read differently is an error, and every
//! error is meant to be refused on. Start with [`http::Reader`] and
//! [`message::Message::read`].

pub mod announce;
pub mod authorization;
pub mod cache;
pub mod carrier;
pub mod definition;
pub mod endpoint;
pub mod http;
pub mod json;
pub mod limits;
pub mod list;
pub mod message;
pub mod oauth;
pub mod refuse;
pub mod reveal;
pub mod schema;
pub mod session;
pub mod sse;
