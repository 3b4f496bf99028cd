//! What goes on, as the proofs name it: the method, the target and the body. The rest of the
//! head is Weir's own.

use sha2::{Digest as _, Sha256};
use weir_facts::Digest;
use weir_mcp::http::Method;

use super::super::exchange::Exchange;

/// A body with the digest that its proofs name. There is no way to change one of them, so what
/// was hashed when it was recorded is what is released.
#[derive(Debug)]
pub(super) struct Content {
    method: Method,
    target: String,
    body: Vec<u8>,
    digest: Digest,
}

impl Content {
    /// Takes the body that a request goes on with.
    pub(super) fn new(exchange: &Exchange, body: Vec<u8>) -> Self {
        let (method, target) = (exchange.head.method, exchange.head.target.clone());
        let digest = digest(method, &target, &body);
        Self {
            method,
            target,
            body,
            digest,
        }
    }

    /// Whether this is what that request asks.
    pub(super) fn is_of(&self, exchange: &Exchange) -> bool {
        self.method == exchange.head.method && *self.target == *exchange.head.target
    }

    /// What the proofs must name.
    pub(super) const fn digest(&self) -> Digest {
        self.digest
    }

    /// The bytes that were hashed.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }
}

fn digest(method: Method, target: &str, body: &[u8]) -> Digest {
    let method: &[u8] = match method {
        Method::Post => b"POST ",
        Method::Get => b"GET ",
        Method::Delete => b"DELETE ",
        Method::Options | Method::Other => b"",
    };
    let hash = Sha256::new().chain_update(method).chain_update(target);
    Digest(
        hash.chain_update(b"\n")
            .chain_update(body)
            .finalize()
            .into(),
    )
}
