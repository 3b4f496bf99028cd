use super::{Parameter, Version};
use crate::message::put_string;

/// Settings that every session with a server has, whatever its client asked for: they decide how
/// statements and results are read.
pub const PINNED: [(&str, &str); 2] = [
    ("client_encoding", "UTF8"),
    ("standard_conforming_strings", "on"),
];

/// A value that cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A zero byte would end it early and begin another parameter.
    #[error("zero byte in a start-up parameter")]
    Nul,
    /// Longer than a server takes.
    #[error("start-up packet is too long")]
    TooLong,
}

/// Weir's own StartupMessage to the server.
#[derive(Clone, Copy, Debug)]
pub struct ServerStartup<'a> {
    /// The protocol version; the client's, so that cancel keys have the length that it expects.
    pub version: Version,
    /// The role whose credential Weir holds.
    pub user: &'a str,
    /// The database.
    pub database: &'a str,
    /// What of the client's parameters the caller lets pass.
    pub parameters: &'a [Parameter],
    /// `client_min_messages`, unless it is among the parameters.
    pub client_min_messages: Option<&'a str>,
}

impl ServerStartup<'_> {
    /// Writes the packet, with [`PINNED`] in it.
    ///
    /// # Errors
    /// [`BuildError`]; nothing is written.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), BuildError> {
        let mut body = Vec::with_capacity(256);
        body.extend_from_slice(&self.version.code().to_be_bytes());
        put(&mut body, "user", self.user)?;
        put(&mut body, "database", self.database)?;
        for (name, value) in PINNED {
            put(&mut body, name, value)?;
        }
        if let Some(level) = self.client_min_messages {
            put(&mut body, "client_min_messages", level)?;
        }
        for parameter in self.parameters {
            put(&mut body, parameter.setting.as_str(), &parameter.value)?;
        }
        body.push(0);
        let length = body.len() + 4;
        if length > crate::limits::STARTUP_PACKET_BYTES_MAX {
            return Err(BuildError::TooLong);
        }
        out.extend_from_slice(
            &u32::try_from(length)
                .map_err(|_| BuildError::TooLong)?
                .to_be_bytes(),
        );
        out.extend_from_slice(&body);
        Ok(())
    }
}

fn put(out: &mut Vec<u8>, name: &str, value: &str) -> Result<(), BuildError> {
    if value.contains('\0') {
        return Err(BuildError::Nul);
    }
    put_string(out, name);
    put_string(out, value);
    Ok(())
}

/// Writes SSLRequest. The server answers one byte, `S` or `N`.
pub fn encode_ssl_request(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0, 0, 8]);
    out.extend_from_slice(&80_877_103_u32.to_be_bytes());
}

/// Writes CancelRequest with a server's process and key.
///
/// # Errors
/// [`BuildError::TooLong`] for a key of more than 256 bytes.
pub fn encode_cancel(process: u32, key: &[u8], out: &mut Vec<u8>) -> Result<(), BuildError> {
    if key.len() > crate::limits::CANCEL_KEY_BYTES_MAX {
        return Err(BuildError::TooLong);
    }
    let length = u32::try_from(12 + key.len()).map_err(|_| BuildError::TooLong)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&80_877_102_u32.to_be_bytes());
    out.extend_from_slice(&process.to_be_bytes());
    out.extend_from_slice(key);
    Ok(())
}
