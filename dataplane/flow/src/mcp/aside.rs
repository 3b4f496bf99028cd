//! What Weir itself tells a server: that a request of its own will not be answered by its client.
//!
//! A server that waits for a client which was never asked lets its calls wait, too, and which of
//! them is not always known: several may be open on a stream, or none where it asks on a stream of
//! its own. Told no, it ends the right one by itself.

use weir_mcp::http::{Method, RequestHead};
use weir_mcp::message::Id;
use weir_mcp::refuse;

use super::context::Told;
use super::exchange::Exchange;
use super::{Desk, gate};
use crate::io::{Effect, Env, ServerMessage};
use crate::world::TlsMode;

/// Answers a request of the server's as a client does that cannot what it is asked for. Only a
/// server with an address that is spoken to in the clear: there is no flow for it, and so nothing
/// that could verify it.
pub(super) fn decline(desk: &Desk, env: &mut Env<'_>, exchange: &Exchange, id: &Id) {
    let context = &desk.context;
    match context.connection.tls.mode {
        TlsMode::Disable | TlsMode::Prefer if context.program.is_empty() => {}
        TlsMode::Disable | TlsMode::Prefer | TlsMode::Require | TlsMode::VerifyFull => return,
    }
    let text = "The client does not do this";
    let body = refuse::error(Some(id), refuse::METHOD_NOT_FOUND, text);
    let place = exchange.endpoint.as_ref().map(|session| &session.target);
    let head = RequestHead {
        method: Method::Post,
        target: place.unwrap_or(&exchange.head.target).clone(),
        ..exchange.head.clone()
    };
    let told = Told {
        summary: "answer to the server",
        reason: "Weir answers for the client, which is not asked",
        session: &exchange.session,
        bytes: &body,
        ..Told::NOTHING
    };
    context.keep_refusal(env, Some(&exchange.caller), told);
    let closes = [("Connection".to_owned(), "close".to_owned())];
    let mut request = gate::head(desk, exchange, &head, body.len(), &closes, None);
    request.extend_from_slice(&body);
    env.out.effects.push(Effect::SendAside(ServerMessage {
        target: context.target,
        request: request.into(),
    }));
}
