//! Flows of `weir mcp run`: both links made here, one end of each to the asker, the other to the
//! proxy.

use std::os::fd::{AsFd as _, OwnedFd};

use weir_handover::stdio::stream_pair;
use weir_handover::{Handed, ToProxy};

use super::Warden;
use crate::stdio::{self, Asked};

impl Warden {
    /// The asker's ends; none where it only wanted to know whether it may start its server.
    pub(super) fn hand(&self, asked: &Asked) -> Result<Vec<OwnedFd>, String> {
        let registered = self.held.as_ref().map_or(&[][..], |held| &held.stdio);
        stdio::check(registered, &asked.connection, asked.program.as_ref())?;
        let proxy = self
            .proxy
            .as_ref()
            .filter(|proxy| proxy.ready && self.stopping.is_none())
            .ok_or("the data plane is starting or stopping: try again in a moment")?;
        let Some(program) = &asked.program else {
            return Ok(Vec::new());
        };
        let pair = || stream_pair().map_err(|error| format!("socketpair: {error}"));
        let ((client, proxys_client), (server, proxys_server)) = (pair()?, pair()?);
        let handed = Handed {
            connection: asked.connection.clone(),
            caller: asked.caller.clone(),
            program: program.clone(),
        };
        proxy.send(
            &ToProxy::Hand(Box::new(handed)),
            &[proxys_client.as_fd(), proxys_server.as_fd()],
        );
        Ok(vec![client, server])
    }
}
