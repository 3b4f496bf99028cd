//! A flow that speaks MCP over HTTP/1.1.

use std::sync::Arc;

use weir_facts::Side;

use crate::io::{Effect, Env, Event, Piece, Start};
use crate::world::Connection;

/// An MCP flow.
pub(crate) struct McpFlow;

impl McpFlow {
    /// Refuses: nothing is judged here yet.
    pub(crate) fn begin(_start: &Start, _connection: Arc<Connection>, env: &mut Env<'_>) -> Self {
        env.out.to_client.push(Piece::Reset);
        env.out.effects.push(Effect::Finished);
        Self
    }

    pub(crate) fn handle_bytes(&mut self, _env: &mut Env<'_>, _side: Side, input: &mut [u8]) -> usize {
        input.len()
    }

    pub(crate) fn handle_eof(&mut self, _env: &mut Env<'_>, _side: Side) {}

    pub(crate) fn handle_event(&mut self, _env: &mut Env<'_>, _event: Event) {}

    pub(crate) fn handle_timeout(&mut self, _env: &mut Env<'_>) {}

    pub(crate) fn deadline(&self) -> Option<u64> {
        None
    }
}
