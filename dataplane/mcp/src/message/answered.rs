//! What of a request stands beside its arguments, and is judged like them: what is to be completed,
//! and what the client answers to what the server has asked in a result.

use weir_facts::Access;

use super::client::{ClientMethod, text};
use super::server::answers;
use super::{MessageError, exact_names};
use crate::json::{Kind, Value};
use crate::limits::INPUT_REQUESTS_MAX;

/// What `completion/complete` asks about (server/utilities/completion, "Requesting Completions").
#[derive(Clone, Debug)]
pub struct Completion<'d> {
    /// The argument's name.
    pub name: Box<str>,
    /// What its user has entered so far, a string.
    pub value: Value<'d>,
    /// Arguments that were entered before, an object. Clients may name this one among them, with
    /// what it was before.
    pub context: Option<Value<'d>>,
}

impl<'d> Completion<'d> {
    /// Reads `argument` and `context`. `None` where nothing is to be completed.
    pub(super) fn read(
        method: ClientMethod,
        params: Option<Value<'d>>,
    ) -> Result<Option<Self>, MessageError> {
        let Some(params) = params.filter(|_| method == ClientMethod::CompletionComplete) else {
            return Ok(None);
        };
        let malformed = MessageError::Params(method.as_str());
        let argument = params
            .get("argument")
            .filter(|argument| argument.kind() == Kind::Object)
            .ok_or_else(|| malformed.clone())?;
        exact_names(&argument, &["name", "value"])?;
        let value = argument
            .get("value")
            .filter(|value| value.kind() == Kind::String)
            .ok_or_else(|| malformed.clone())?;
        let within = |object: Value<'d>, name| match object.get(name) {
            Some(member) if member.kind() != Kind::Object => Err(malformed.clone()),
            member => Ok(member),
        };
        let context = match within(params, "context")? {
            None => None,
            Some(context) => {
                exact_names(&context, &["arguments"])?;
                within(context, "arguments")?
            }
        };
        Ok(Some(Self {
            name: text(method, Some(argument), "name")?,
            value,
            context,
        }))
    }
}

/// The answers in `inputResponses`, each with what it must be allowed for
/// (2026-07-28, "Multi Round-Trip Requests"). What cannot be read is for nothing that a policy
/// names.
pub(super) fn responses<'d>(
    method: ClientMethod,
    params: Option<Value<'d>>,
) -> Result<Vec<(Value<'d>, Vec<Access>)>, MessageError> {
    let Some(given) = params.and_then(|params| params.get("inputResponses")) else {
        return Ok(Vec::new());
    };
    if given.kind() != Kind::Object {
        return Ok(vec![(given, answers(&given))]);
    }
    if given.members().count() > INPUT_REQUESTS_MAX {
        return Err(MessageError::Params(method.as_str()));
    }
    let read = |(_, response)| (response, answers(&response));
    Ok(given.members().map(read).collect())
}
