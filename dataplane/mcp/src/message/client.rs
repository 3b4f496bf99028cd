//! What a client's message asks of policy.

use weir_facts::{Access, Action, Resource};

use super::answered::{Completion, responses};
use super::{Id, MessageError, Revision, exact_names};
use crate::json::{Kind, Value};
use crate::limits::{METHOD_BYTES_MAX, NAME_BYTES_MAX};

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// A method that clients send, of the revisions that are served.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ClientMethod {
            $($(#[$doc])* $name,)+
            /// Any other.
            Unknown,
        }

        impl ClientMethod {
            /// Reads a method's name; exact, as servers compare it. One that the revision
            /// does not have is as unknown as one that none has.
            #[must_use]
            pub fn read(revision: Revision, method: &str) -> Self {
                let method = Self::of_any(method);
                if method.is_of(revision) {
                    method
                } else {
                    Self::Unknown
                }
            }

            fn of_any(method: &str) -> Self {
                match method {
                    $($text => Self::$name,)+
                    _ => Self::Unknown,
                }
            }

            /// The name, or `unknown`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                    Self::Unknown => "unknown",
                }
            }
        }
    };
}

methods! {
    /// Opens a session.
    Initialize = "initialize",
    /// Is the other side there.
    Ping = "ping",
    /// Lists tools; the answer is filtered.
    ToolsList = "tools/list",
    /// Calls a tool.
    ToolsCall = "tools/call",
    /// Lists resources; the answer is filtered.
    ResourcesList = "resources/list",
    /// Lists templates of resources; the answer is filtered.
    ResourcesTemplatesList = "resources/templates/list",
    /// Reads a resource.
    ResourcesRead = "resources/read",
    /// Wants to be told of a resource's changes.
    ResourcesSubscribe = "resources/subscribe",
    /// Wants no longer to be told.
    ResourcesUnsubscribe = "resources/unsubscribe",
    /// Lists prompts; the answer is filtered.
    PromptsList = "prompts/list",
    /// Gets a prompt.
    PromptsGet = "prompts/get",
    /// Completes an argument.
    CompletionComplete = "completion/complete",
    /// How much the server shall log to the client.
    LoggingSetLevel = "logging/setLevel",
    /// Tells revisions, capabilities and identity (2026-07-28).
    ServerDiscover = "server/discover",
    /// Opens a stream of changes (2026-07-28).
    SubscriptionsListen = "subscriptions/listen",
    /// Asks how far a task is (the extension of 2026-07-28; 2025-11-25).
    TasksGet = "tasks/get",
    /// Gives a task the input that it asks for (the extension of 2026-07-28).
    TasksUpdate = "tasks/update",
    /// Gives a task up (the extension of 2026-07-28; 2025-11-25).
    TasksCancel = "tasks/cancel",
    /// Asks for what came of a task, and waits (2025-11-25).
    TasksResult = "tasks/result",
    /// Asks which tasks there are (2025-11-25).
    TasksList = "tasks/list",
    /// The session is open.
    NotificationsInitialized = "notifications/initialized",
    /// A request is no longer wanted.
    NotificationsCancelled = "notifications/cancelled",
    /// How far the client is with the server's request.
    NotificationsProgress = "notifications/progress",
    /// The client's roots are others now.
    NotificationsRootsListChanged = "notifications/roots/list_changed",
}

impl ClientMethod {
    /// Whether it is a notification's name; a request of that name, or a notification of
    /// another, is malformed.
    #[must_use]
    pub fn is_notification(self) -> bool {
        self.as_str().starts_with("notifications/")
    }

    /// Whether a revision has it. 2026-07-28 has neither sessions nor what belongs to
    /// them, and over HTTP no notifications of clients; 2025-11-25 has tasks as an
    /// experiment.
    const fn is_of(self, revision: Revision) -> bool {
        match self {
            Self::Initialize
            | Self::Ping
            | Self::ResourcesSubscribe
            | Self::ResourcesUnsubscribe
            | Self::LoggingSetLevel
            | Self::NotificationsInitialized
            | Self::NotificationsCancelled
            | Self::NotificationsProgress
            | Self::NotificationsRootsListChanged => !revision.is_stateless(),
            Self::ServerDiscover | Self::SubscriptionsListen | Self::TasksUpdate => {
                revision.is_stateless()
            }
            Self::TasksGet | Self::TasksCancel => revision.has_tasks(),
            Self::TasksResult | Self::TasksList => revision.has_tasks() && !revision.is_stateless(),
            Self::ToolsList
            | Self::ToolsCall
            | Self::ResourcesList
            | Self::ResourcesTemplatesList
            | Self::ResourcesRead
            | Self::PromptsList
            | Self::PromptsGet
            | Self::CompletionComplete
            | Self::Unknown => true,
        }
    }

    /// Whether it is about one task that a call has made.
    #[must_use]
    pub const fn is_of_task(self) -> bool {
        matches!(
            self,
            Self::TasksGet | Self::TasksUpdate | Self::TasksCancel | Self::TasksResult
        )
    }

    /// Whether it may be answered with a request for input (2026-07-28, "Multi Round-Trip
    /// Requests", supported requests).
    #[must_use]
    pub const fn may_ask_for_input(self) -> bool {
        matches!(
            self,
            Self::ToolsCall | Self::PromptsGet | Self::ResourcesRead
        )
    }
}

/// The members of `params` that policy or Weir reads in any method.
const PARAMS: &[&str] = &[
    "name",
    "arguments",
    "uri",
    "ref",
    "argument",
    "context",
    "cursor",
    "_meta",
    "protocolVersion",
    "capabilities",
    "clientInfo",
    "level",
    "requestId",
    "reason",
    "progressToken",
    "progress",
    "total",
    "message",
    "task",
    "taskId",
    "inputResponses",
    "requestState",
    "notifications",
];

/// What a message asks.
#[derive(Debug)]
pub struct Asked<'d> {
    /// By which method.
    pub method: ClientMethod,
    /// Every pair that policy must allow. Never empty.
    pub accesses: Vec<Access>,
    /// Method and subject, for records: `tools/call run_query`.
    pub summary: String,
    /// The arguments of a tool or prompt, an object.
    pub arguments: Option<Value<'d>>,
    /// What progress of this request will be named by.
    pub progress_token: Option<Id>,
    /// Whether a call asks to be run as a task, the experiment of 2025-11-25.
    pub is_task_augmented: bool,
    /// What is to be completed.
    pub completion: Option<Completion<'d>>,
    /// Answers to what a server has asked in a result: each with what it must be allowed for.
    pub responses: Vec<(Value<'d>, Vec<Access>)>,
}

impl<'d> Asked<'d> {
    /// Reads what a request or notification asks.
    ///
    /// # Errors
    /// [`MessageError::Params`] where a member that policy needs is missing or has
    /// another type, [`MessageError::Name`] where one is spelled in another letter case, or the
    /// method's name is none that people could be shown whole.
    pub fn read(
        revision: Revision,
        method_name: &str,
        params: Option<Value<'d>>,
    ) -> Result<Self, MessageError> {
        if !is_name(method_name) {
            return Err(MessageError::Name(
                method_name.chars().take(METHOD_BYTES_MAX).collect(),
            ));
        }
        let method = ClientMethod::read(revision, method_name);
        if let Some(params) = &params {
            exact_names(params, PARAMS)?;
        }
        let meta = meta(method, params)?;
        let mut asked = Self {
            method,
            accesses: Vec::with_capacity(1),
            summary: method_name.to_owned(),
            arguments: arguments(method, params)?,
            progress_token: progress_token(method, meta)?,
            is_task_augmented: method == ClientMethod::ToolsCall
                && !revision.is_stateless()
                && params.is_some_and(|params| params.get("task").is_some()),
            completion: Completion::read(method, params)?,
            responses: responses(method, params)?,
        };
        let access = access(method, params)?;
        if let Some(subject) = subject(&access.resource) {
            asked.summary.push(' ');
            asked.summary.push_str(subject);
        }
        asked.accesses.push(access);
        Ok(asked)
    }
}

/// Whether a method's name is a word. It stands in records, before what it names, and approvals are
/// bound to both: with a blank in it, or cut short, one could be taken for another.
fn is_name(method: &str) -> bool {
    method.len() <= METHOD_BYTES_MAX && method.bytes().all(|byte| byte.is_ascii_graphic())
}

fn subject(resource: &Resource) -> Option<&str> {
    match resource {
        Resource::Tool(name) | Resource::McpResource(name) | Resource::Prompt(name) => Some(name),
        Resource::Connection
        | Resource::Table(_)
        | Resource::Column(_)
        | Resource::Function(_)
        | Resource::Parameter(_)
        | Resource::DataClass(_) => None,
    }
}

fn access(method: ClientMethod, params: Option<Value<'_>>) -> Result<Access, MessageError> {
    use ClientMethod as M;
    let text = |name| text(method, params, name);
    let (action, resource) = match method {
        M::ToolsCall => (Action::McpCallTool, Resource::Tool(text("name")?)),
        M::ResourcesRead | M::ResourcesSubscribe | M::ResourcesUnsubscribe => {
            (Action::McpReadResource, Resource::McpResource(text("uri")?))
        }
        M::PromptsGet => (Action::McpGetPrompt, Resource::Prompt(text("name")?)),
        M::CompletionComplete => (Action::McpComplete, reference(params)?),
        M::Initialize
        | M::Ping
        | M::ToolsList
        | M::ResourcesList
        | M::ResourcesTemplatesList
        | M::PromptsList
        | M::LoggingSetLevel
        | M::ServerDiscover
        | M::SubscriptionsListen
        | M::TasksGet
        | M::TasksUpdate
        | M::TasksCancel
        | M::TasksResult
        | M::TasksList
        | M::NotificationsInitialized
        | M::NotificationsCancelled
        | M::NotificationsProgress
        | M::NotificationsRootsListChanged => (Action::McpConnect, Resource::Connection),
        M::Unknown => (Action::McpUnknown, Resource::Connection),
    };
    Ok(Access { action, resource })
}

/// `ref` of completion/complete names a prompt or a resource template.
fn reference(params: Option<Value<'_>>) -> Result<Resource, MessageError> {
    const METHOD: ClientMethod = ClientMethod::CompletionComplete;
    let malformed = MessageError::Params(METHOD.as_str());
    let reference = params
        .and_then(|params| params.get("ref"))
        .ok_or_else(|| malformed.clone())?;
    exact_names(&reference, &["type", "name", "uri", "title"])?;
    let kind = reference
        .get("type")
        .and_then(|kind| kind.text())
        .ok_or_else(|| malformed.clone())?;
    match &*kind {
        "ref/prompt" => Ok(Resource::Prompt(text(METHOD, Some(reference), "name")?)),
        "ref/resource" => Ok(Resource::McpResource(text(METHOD, Some(reference), "uri")?)),
        _ => Err(malformed),
    }
}

pub(super) fn text(
    method: ClientMethod,
    object: Option<Value<'_>>,
    name: &str,
) -> Result<Box<str>, MessageError> {
    let value = object
        .and_then(|object| object.get(name))
        .filter(|value| value.kind() == Kind::String);
    let text = value
        .and_then(|value| value.text())
        .filter(|text| !text.is_empty() && text.len() <= NAME_BYTES_MAX);
    text.map(Into::into)
        .ok_or(MessageError::Params(method.as_str()))
}

fn arguments<'d>(
    method: ClientMethod,
    params: Option<Value<'d>>,
) -> Result<Option<Value<'d>>, MessageError> {
    let arguments = params.and_then(|params| params.get("arguments"));
    match arguments {
        Some(value) if value.kind() != Kind::Object => Err(MessageError::Params(method.as_str())),
        Some(_) | None => Ok(arguments),
    }
}

fn meta<'d>(
    method: ClientMethod,
    params: Option<Value<'d>>,
) -> Result<Option<Value<'d>>, MessageError> {
    let Some(meta) = params.and_then(|params| params.get("_meta")) else {
        return Ok(None);
    };
    if meta.kind() != Kind::Object {
        return Err(MessageError::Params(method.as_str()));
    }
    exact_names(&meta, &["progressToken"])?;
    Ok(Some(meta))
}

fn progress_token(
    method: ClientMethod,
    meta: Option<Value<'_>>,
) -> Result<Option<Id>, MessageError> {
    match meta.and_then(|meta| meta.get("progressToken")) {
        None => Ok(None),
        Some(token) => Id::read(&token)
            .map(Some)
            .ok_or(MessageError::Params(method.as_str())),
    }
}
