//! What a request of 2026-07-28 says of itself: its `_meta` (basic, "Per-request protocol
//! fields") and the header fields that repeat its body (transports/streamable-http,
//! "Request Metadata").
//!
//! Fields and body must agree, and the fields that go on are written anew from the body:
//! whoever reads either of them reads what was judged.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::client::ClientMethod;
use super::{MessageError, exact_names};
use crate::http::Fields;
use crate::json::{Kind, Value};
use crate::limits::SUBSCRIBED_MAX;
use crate::schema::ParamFields;

/// `_meta` key of the revision.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// `_meta` key of what the client can do.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// `_meta` key that names a subscription.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
/// The extension of tasks.
pub const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// `_meta` keys that the specification gives a meaning in requests.
const META: &[&str] = &[
    "progressToken",
    PROTOCOL_VERSION,
    CLIENT_CAPABILITIES,
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/logLevel",
];

const PARAM_PREFIX: &str = "mcp-param-";

/// Why a request cannot be served as one of 2026-07-28.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StatelessError {
    /// A field of `_meta` that every request must have is missing or no object or string.
    #[error("params._meta: {0} is missing or malformed")]
    Meta(&'static str),
    /// A header field and the body disagree.
    #[error("Header mismatch: {0}")]
    Header(String),
    /// The revision that it names is not served.
    #[error("Unsupported protocol version")]
    Unsupported(String),
}

/// What a request says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'d> {
    /// What the client can do, an object.
    pub capabilities: Value<'d>,
}

/// The revision that a message names in its `_meta`, where it names one: only requests of
/// 2026-07-28 and later do.
#[must_use]
pub fn told_revision<'d>(params: Option<Value<'d>>) -> Option<Value<'d>> {
    params?.get("_meta")?.get(PROTOCOL_VERSION)
}

impl<'d> Envelope<'d> {
    /// Reads `_meta` of a request.
    ///
    /// # Errors
    /// Where a required field is missing, or one is spelled in another letter case.
    pub fn read(params: Option<Value<'d>>) -> Result<(Self, Value<'d>), StatelessError> {
        let meta = params
            .and_then(|params| params.get("_meta"))
            .filter(|meta| meta.kind() == Kind::Object)
            .ok_or(StatelessError::Meta("_meta"))?;
        exact_names(&meta, META).map_err(|_| StatelessError::Meta("a reserved key"))?;
        let version = meta
            .get(PROTOCOL_VERSION)
            .filter(|version| version.kind() == Kind::String)
            .ok_or(StatelessError::Meta(PROTOCOL_VERSION))?;
        let capabilities = meta
            .get(CLIENT_CAPABILITIES)
            .filter(|capabilities| capabilities.kind() == Kind::Object)
            .ok_or(StatelessError::Meta(CLIENT_CAPABILITIES))?;
        Ok((Self { capabilities }, version))
    }

    /// Whether the client declares an extension.
    #[must_use]
    pub fn has_extension(&self, name: &str) -> bool {
        self.capabilities
            .get("extensions")
            .and_then(|extensions| extensions.get(name))
            .is_some_and(|settings| settings.kind() == Kind::Object)
    }

    /// Whether the client can be asked to open a URL, and whether to fill in a form. An
    /// empty `elicitation` means forms (client/elicitation, "Capabilities").
    #[must_use]
    pub fn elicitation(&self) -> Elicitation {
        elicitation(&self.capabilities)
    }
}

/// What a subscription asks for (patterns/subscriptions, "Notification Filter").
#[derive(Clone, Copy, Debug)]
pub struct Filter<'d> {
    /// Changes of the list of tools.
    pub tools: bool,
    /// Changes of the list of prompts.
    pub prompts: bool,
    /// Changes of the list of resources.
    pub resources: bool,
    /// Changes of these resources, an array of strings.
    pub uris: Option<Value<'d>>,
    /// Changes of these tasks, an array of strings (the extension of tasks).
    pub tasks: Option<Value<'d>>,
}

impl<'d> Filter<'d> {
    /// Reads `notifications`, of a request or of its acknowledgement. A member that has
    /// not the type that the specification gives it is an error.
    ///
    /// # Errors
    /// [`MessageError::Params`] or [`MessageError::Name`].
    pub fn read(params: Option<Value<'d>>) -> Result<Self, MessageError> {
        const MALFORMED: MessageError =
            MessageError::Params(ClientMethod::SubscriptionsListen.as_str());
        let filter = params
            .and_then(|params| params.get("notifications"))
            .filter(|filter| filter.kind() == Kind::Object)
            .ok_or(MALFORMED)?;
        exact_names(
            &filter,
            &[
                "toolsListChanged",
                "promptsListChanged",
                "resourcesListChanged",
                "resourceSubscriptions",
                "taskIds",
            ],
        )?;
        let flag = |name| match filter.get(name).map(|value| value.kind()) {
            None | Some(Kind::False) => Ok(false),
            Some(Kind::True) => Ok(true),
            Some(_) => Err(MALFORMED),
        };
        let strings = |name| {
            let Some(list) = filter.get(name) else {
                return Ok(None);
            };
            let is_proper = list.kind() == Kind::Array
                && list
                    .elements()
                    .all(|element| element.kind() == Kind::String)
                && list.elements().count() <= SUBSCRIBED_MAX;
            if is_proper {
                Ok(Some(list))
            } else {
                Err(MALFORMED)
            }
        };
        Ok(Self {
            tools: flag("toolsListChanged")?,
            prompts: flag("promptsListChanged")?,
            resources: flag("resourcesListChanged")?,
            uris: strings("resourceSubscriptions")?,
            tasks: strings("taskIds")?,
        })
    }
}

/// How a client can ask its person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Elicitation {
    /// By opening a URL.
    pub url: bool,
    /// By a form.
    pub form: bool,
}

/// Reads `elicitation` of a client's capabilities, of any revision.
#[must_use]
pub fn elicitation(capabilities: &Value<'_>) -> Elicitation {
    let Some(declared) = capabilities
        .get("elicitation")
        .filter(|declared| declared.kind() == Kind::Object)
    else {
        return Elicitation::default();
    };
    let url = declared.get("url").is_some();
    Elicitation {
        url,
        form: declared.get("form").is_some() || !url,
    }
}

/// The member of `params` that `Mcp-Name` repeats.
#[must_use]
pub const fn named_by(method: ClientMethod) -> Option<&'static str> {
    use ClientMethod as M;
    match method {
        M::ToolsCall | M::PromptsGet => Some("name"),
        M::ResourcesRead => Some("uri"),
        M::TasksGet | M::TasksUpdate | M::TasksCancel | M::TasksResult => Some("taskId"),
        M::Initialize
        | M::Ping
        | M::ToolsList
        | M::ResourcesList
        | M::ResourcesTemplatesList
        | M::ResourcesSubscribe
        | M::ResourcesUnsubscribe
        | M::PromptsList
        | M::CompletionComplete
        | M::LoggingSetLevel
        | M::ServerDiscover
        | M::SubscriptionsListen
        | M::TasksList
        | M::NotificationsInitialized
        | M::NotificationsCancelled
        | M::NotificationsProgress
        | M::NotificationsRootsListChanged
        | M::Unknown => None,
    }
}

/// Whether there are fields that repeat a call's arguments.
#[must_use]
pub fn repeats_arguments(fields: &Fields) -> bool {
    fields
        .iter()
        .any(|(name, _)| name.starts_with(PARAM_PREFIX))
}

/// Checks the header fields that repeat a request's body, and returns `Mcp-Param-*` as
/// they go on, with the values that they stand for.
///
/// Which argument a tool's `Mcp-Param-*` repeats is told by its schema alone. One that the
/// schema names must repeat exactly that. Where the schema is not `known`, or does not name it,
/// Weir asks for what holds under every schema: that it repeats some string, integer or boolean
/// of the arguments. That none is missing is the server's to check.
///
/// # Errors
/// [`StatelessError::Header`], in words that name the field.
pub fn check_fields(
    fields: &Fields,
    version: &Value<'_>,
    method_name: &str,
    params: Option<Value<'_>>,
    known: Option<&ParamFields>,
) -> Result<Vec<(String, String)>, StatelessError> {
    let mismatch = |text: String| Err(StatelessError::Header(text));
    let told = |name: &str| fields.get(name);
    match told("mcp-protocol-version") {
        None => return mismatch("MCP-Protocol-Version header is missing".to_owned()),
        Some(value) if !version.is_text(value) => {
            return mismatch(
                "MCP-Protocol-Version header does not match _meta of the body".to_owned(),
            );
        }
        Some(_) => {}
    }
    match told("mcp-method") {
        None => return mismatch("Mcp-Method header is missing".to_owned()),
        Some(value) if value != method_name => {
            return mismatch("Mcp-Method header does not match the method of the body".to_owned());
        }
        Some(_) => {}
    }
    let method = ClientMethod::read(super::Revision::V2026_07_28, method_name);
    if let Some(member) = named_by(method) {
        let named = params
            .and_then(|params| params.get(member))
            .filter(|named| named.kind() == Kind::String);
        match (told("mcp-name"), named) {
            (None, _) => return mismatch("Mcp-Name header is missing".to_owned()),
            (Some(value), Some(named))
                if decode(value).is_some_and(|value| named.is_text(&value)) => {}
            (Some(_), _) => {
                return mismatch(format!("Mcp-Name header does not match params.{member}"));
            }
        }
    }
    if method == ClientMethod::ToolsCall {
        check_params(fields, params, known)
    } else {
        Ok(Vec::new())
    }
}

fn check_params(
    fields: &Fields,
    params: Option<Value<'_>>,
    known: Option<&ParamFields>,
) -> Result<Vec<(String, String)>, StatelessError> {
    let mut onward = Vec::new();
    let arguments = params.and_then(|params| params.get("arguments"));
    for (name, value) in fields.iter() {
        let Some(rest) = name.strip_prefix(PARAM_PREFIX) else {
            continue;
        };
        let decoded = decode(value).filter(|decoded| {
            let path = known.and_then(|known| known.path(rest));
            arguments.as_ref().is_some_and(|arguments| match path {
                Some(path) => repeats_at(arguments, path, decoded),
                None => repeats_some(arguments, decoded),
            })
        });
        match decoded {
            Some(decoded) if !rest.is_empty() => onward.push((name.to_owned(), encode(&decoded))),
            Some(_) | None => {
                return Err(StatelessError::Header(format!(
                    "Mcp-Param-{rest} header does not match the arguments"
                )));
            }
        }
    }
    Ok(onward)
}

/// Whether `text` is a string, integer or boolean that stands in `arguments` under names
/// alone: a schema's chain of `properties` never leads through an array.
fn repeats_some(arguments: &Value<'_>, text: &str) -> bool {
    arguments.members().any(|(_, value)| {
        if value.kind() == Kind::Object {
            repeats_some(&value, text)
        } else {
            repeats(&value, text)
        }
    })
}

/// Whether `text` is what stands in `arguments` at a path of names.
fn repeats_at(arguments: &Value<'_>, path: &[String], text: &str) -> bool {
    let value = path
        .iter()
        .try_fold(*arguments, |value, name| value.get(name));
    value.is_some_and(|value| repeats(&value, text))
}

/// Whether `text` is this string, integer or boolean.
fn repeats(value: &Value<'_>, text: &str) -> bool {
    match value.kind() {
        Kind::String => value.is_text(text),
        Kind::True => text == "true",
        Kind::False => text == "false",
        Kind::Number => value
            .number()
            .is_some_and(|number| number == text || is_same_integer(number, text)),
        Kind::Array | Kind::Key | Kind::Null | Kind::Object => false,
    }
}

/// `42.0` and `42` are equal ("Server Validation").
fn is_same_integer(number: &str, text: &str) -> bool {
    let whole = |text: &str| -> Option<i64> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_whole = fraction.bytes().all(|digit| digit == b'0');
        whole.parse().ok().filter(|_| is_whole)
    };
    whole(number).is_some_and(|number| whole(text) == Some(number))
}

const SENTINEL: (&str, &str) = ("=?base64?", "?=");

/// The text that a field's value stands for ("Value Encoding"). `None` where it has the
/// form of Base64 and is none, or no UTF-8.
#[must_use]
pub fn decode(value: &str) -> Option<String> {
    let encoded = value
        .strip_prefix(SENTINEL.0)
        .and_then(|rest| rest.strip_suffix(SENTINEL.1));
    match encoded {
        None => Some(value.to_owned()),
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
    }
}

/// The value of a field that stands for `text`.
#[must_use]
pub fn encode(text: &str) -> String {
    let is_plain = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte))
        && text.trim_matches([' ', '\t']) == text
        && !(text.starts_with(SENTINEL.0) && text.ends_with(SENTINEL.1));
    if is_plain {
        text.to_owned()
    } else {
        format!("{}{}{}", SENTINEL.0, STANDARD.encode(text), SENTINEL.1)
    }
}

#[cfg(test)]
mod tests;
