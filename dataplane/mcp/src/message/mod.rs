//! JSON-RPC 2.0 as MCP uses it: what a body is, and what it asks.
//!
//! [`Body::read`] sorts a document into messages; [`client::Asked::read`] says what a
//! client's method asks of policy, [`server::ServerMethod`] what a server's does.

pub mod answered;
mod bound;
pub mod client;
mod id;
mod revision;
pub mod server;
pub mod stateless;

use std::borrow::Cow;

use thiserror::Error;

pub use bound::envelope;
pub use id::{Id, IdKey};
pub use revision::Revision;

use crate::json::{Document, JsonError, KeyEquality, Kind, Value};
use crate::limits::BATCH_MESSAGES_MAX;
use weir_facts::Side;

/// Why a document is no JSON-RPC message of this revision.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MessageError {
    /// The body is not JSON that everybody reads alike.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Neither an object nor, where the revision has batches, a filled array of them.
    #[error("body is no JSON-RPC message of this revision")]
    Shape,
    /// `jsonrpc` is not `"2.0"`, or the members make no request, notification or answer.
    #[error("members make no JSON-RPC message")]
    Envelope,
    /// A member's name that the envelope does not have, or that differs from one that
    /// policy reads in letter case only.
    #[error("member name {0:?} is not accepted")]
    Name(String),
    /// The id is neither a string nor a plain integer within 2⁵³, or too long.
    #[error("id is not accepted")]
    Id,
    /// `params` or one of its members has not the type that the method gives it.
    #[error("params of {0} are malformed")]
    Params(&'static str),
    /// More messages than one batch may have.
    #[error("batch is too large")]
    Batch,
}

/// The body of a POST, of a JSON answer or of one event.
#[derive(Debug)]
pub enum Body<'d> {
    /// One message.
    One(Message<'d>),
    /// A batch, not empty; revision 2025-03-26 only.
    Batch(Vec<Message<'d>>),
}

/// One message.
#[derive(Debug)]
pub struct Message<'d> {
    /// What kind of message.
    pub shape: Shape<'d>,
    /// The whole message.
    pub value: Value<'d>,
}

/// The kinds of messages (JSON-RPC 2.0 §4, §5).
#[derive(Debug)]
pub enum Shape<'d> {
    /// Wants an answer with this id.
    Request {
        /// Names the answer.
        id: Id,
        /// What is asked.
        method: Cow<'d, str>,
        /// An object, where there is one.
        params: Option<Value<'d>>,
    },
    /// Wants no answer.
    Notification {
        /// What is told.
        method: Cow<'d, str>,
        /// An object, where there is one.
        params: Option<Value<'d>>,
    },
    /// Answers with a result.
    Result {
        /// Names the request.
        id: Id,
        /// An object (MCP base protocol, "Responses").
        result: Value<'d>,
    },
    /// Answers with an error.
    Error {
        /// Names the request; `null` or absent where the request could not be read.
        id: Option<Id>,
        /// An object.
        error: Value<'d>,
    },
}

impl<'d> Body<'d> {
    /// Sorts a document that came from `side`.
    ///
    /// # Errors
    /// Whatever two receivers could take differently. Of a client's document every
    /// object must have unique keys, letter case aside; of a server's, the envelope:
    /// its results are data, and columns may well be named `id` and `ID`.
    pub fn read(
        document: &'d Document<'_>,
        side: Side,
        revision: Revision,
    ) -> Result<Self, MessageError> {
        match side {
            Side::Client => document.unique_keys_everywhere(KeyEquality::Folded)?,
            Side::Server => {}
        }
        let root = document.root();
        match root.kind() {
            Kind::Object => Message::read(root).map(Self::One),
            Kind::Array if revision.has_batches() => {
                let count = root.elements().count();
                match count {
                    0 => Err(MessageError::Shape),
                    1..=BATCH_MESSAGES_MAX => root
                        .elements()
                        .map(Message::read)
                        .collect::<Result<_, _>>()
                        .map(Self::Batch),
                    _ => Err(MessageError::Batch),
                }
            }
            Kind::Array
            | Kind::Key
            | Kind::String
            | Kind::Number
            | Kind::True
            | Kind::False
            | Kind::Null => Err(MessageError::Shape),
        }
    }

    /// The messages in order.
    #[must_use]
    pub fn messages(&self) -> &[Message<'d>] {
        match self {
            Self::One(message) => std::slice::from_ref(message),
            Self::Batch(messages) => messages,
        }
    }
}

/// The members of a message, as they stand.
#[derive(Default)]
struct Envelope<'d> {
    jsonrpc: Option<Value<'d>>,
    id: Option<Value<'d>>,
    method: Option<Value<'d>>,
    params: Option<Value<'d>>,
    result: Option<Value<'d>>,
    error: Option<Value<'d>>,
}

impl<'d> Message<'d> {
    fn read(value: Value<'d>) -> Result<Self, MessageError> {
        if value.kind() != Kind::Object {
            return Err(MessageError::Shape);
        }
        value.unique_keys(KeyEquality::Folded)?;
        let mut envelope = Envelope::default();
        for (key, member) in value.members() {
            let key = key.text().unwrap_or_default();
            let place = match &*key {
                "jsonrpc" => &mut envelope.jsonrpc,
                "id" => &mut envelope.id,
                "method" => &mut envelope.method,
                "params" => &mut envelope.params,
                "result" => &mut envelope.result,
                "error" => &mut envelope.error,
                _ => return Err(MessageError::Name(key.into_owned())),
            };
            *place = Some(member);
        }
        Ok(Self {
            shape: envelope.shape()?,
            value,
        })
    }
}

impl<'d> Envelope<'d> {
    fn shape(self) -> Result<Shape<'d>, MessageError> {
        if !self
            .jsonrpc
            .is_some_and(|version| version.kind() == Kind::String && version.is_text("2.0"))
        {
            return Err(MessageError::Envelope);
        }
        match (self.method, self.result, self.error) {
            (Some(method), None, None) => {
                let method = if method.kind() == Kind::String {
                    method.text()
                } else {
                    None
                };
                let method = method.ok_or(MessageError::Envelope)?;
                let params = object(self.params)?;
                Ok(match self.id {
                    Some(id) => Shape::Request {
                        id: Id::read(&id).ok_or(MessageError::Id)?,
                        method,
                        params,
                    },
                    None => Shape::Notification { method, params },
                })
            }
            (None, Some(result), None) if self.params.is_none() => {
                let id = self
                    .id
                    .and_then(|id| Id::read(&id))
                    .ok_or(MessageError::Id)?;
                let result = object(Some(result))?.ok_or(MessageError::Envelope)?;
                Ok(Shape::Result { id, result })
            }
            (None, None, Some(error)) if self.params.is_none() => {
                let error = object(Some(error))?.ok_or(MessageError::Envelope)?;
                let id = match self.id {
                    Some(id) if id.kind() != Kind::Null => {
                        Some(Id::read(&id).ok_or(MessageError::Id)?)
                    }
                    Some(_) | None => None,
                };
                Ok(Shape::Error { id, error })
            }
            (Some(_) | None, Some(_) | None, Some(_) | None) => Err(MessageError::Envelope),
        }
    }
}

fn object(value: Option<Value<'_>>) -> Result<Option<Value<'_>>, MessageError> {
    match value {
        Some(value) if value.kind() != Kind::Object => Err(MessageError::Envelope),
        Some(_) | None => Ok(value),
    }
}

/// Refuses a member whose name is one of `known` but for letter case: a server that
/// matches without case would read it, and policy would not.
fn exact_names(object: &Value<'_>, known: &[&str]) -> Result<(), MessageError> {
    for (key, _) in object.members() {
        if known.iter().any(|name| key.is_text_but_for_case(name)) {
            return Err(MessageError::Name(
                key.text().unwrap_or_default().into_owned(),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
