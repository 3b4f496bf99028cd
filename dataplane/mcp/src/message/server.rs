//! What a server's message asks: its requests to the client, and what it tells it.

use weir_facts::{Access, Action, Resource};

use crate::json::{Kind, Value};

/// How a server's message may pass to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passage {
    /// With the session: it carries nothing but values, which are masked.
    WithSession,
    /// Where policy allows this too.
    Judged(Access),
    /// Not at all: a method that Weir does not know.
    Never,
}

/// The two kinds of streams that 2026-07-28 has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatelessStream {
    /// The answer to an ordinary request.
    Request,
    /// The answer to `subscriptions/listen`.
    Subscription,
}

/// A method that servers send, of the revisions that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerMethod {
    /// `ping`
    Ping,
    /// `sampling/createMessage`: the server uses the client's model.
    SamplingCreateMessage,
    /// `elicitation/create`: the server asks the person.
    ElicitationCreate,
    /// `roots/list`: the server asks which files the client works on.
    RootsList,
    /// `notifications/message`: a log line.
    NotificationsMessage,
    /// `notifications/progress`
    NotificationsProgress,
    /// `notifications/cancelled`
    NotificationsCancelled,
    /// `notifications/tools/list_changed`
    NotificationsToolsListChanged,
    /// `notifications/prompts/list_changed`
    NotificationsPromptsListChanged,
    /// `notifications/resources/list_changed`
    NotificationsResourcesListChanged,
    /// `notifications/resources/updated`
    NotificationsResourcesUpdated,
    /// `notifications/elicitation/complete`
    NotificationsElicitationComplete,
    /// `notifications/subscriptions/acknowledged` (2026-07-28)
    NotificationsSubscriptionsAcknowledged,
    /// `notifications/tasks` (the extension of 2026-07-28)
    NotificationsTasks,
    /// Any other.
    Unknown,
}

impl ServerMethod {
    /// Reads a method's name.
    #[must_use]
    pub fn read(method: &str) -> Self {
        match method {
            "ping" => Self::Ping,
            "sampling/createMessage" => Self::SamplingCreateMessage,
            "elicitation/create" => Self::ElicitationCreate,
            "roots/list" => Self::RootsList,
            "notifications/message" => Self::NotificationsMessage,
            "notifications/progress" => Self::NotificationsProgress,
            "notifications/cancelled" => Self::NotificationsCancelled,
            "notifications/tools/list_changed" => Self::NotificationsToolsListChanged,
            "notifications/prompts/list_changed" => Self::NotificationsPromptsListChanged,
            "notifications/resources/list_changed" => Self::NotificationsResourcesListChanged,
            "notifications/resources/updated" => Self::NotificationsResourcesUpdated,
            "notifications/elicitation/complete" => Self::NotificationsElicitationComplete,
            "notifications/subscriptions/acknowledged" => {
                Self::NotificationsSubscriptionsAcknowledged
            }
            "notifications/tasks" => Self::NotificationsTasks,
            _ => Self::Unknown,
        }
    }

    /// Whether it is a request, which the client answers.
    #[must_use]
    pub const fn is_request(self) -> bool {
        match self {
            Self::Ping
            | Self::SamplingCreateMessage
            | Self::ElicitationCreate
            | Self::RootsList => true,
            Self::NotificationsMessage
            | Self::NotificationsProgress
            | Self::NotificationsCancelled
            | Self::NotificationsToolsListChanged
            | Self::NotificationsPromptsListChanged
            | Self::NotificationsResourcesListChanged
            | Self::NotificationsResourcesUpdated
            | Self::NotificationsElicitationComplete
            | Self::NotificationsSubscriptionsAcknowledged
            | Self::NotificationsTasks
            | Self::Unknown => false,
        }
    }

    /// Whether a stream of 2026-07-28 may carry it as a notification: a subscription's
    /// stream what was subscribed to, any other what belongs to its request
    /// (transports/streamable-http, "Receiving Messages").
    #[must_use]
    pub const fn is_on(self, stream: StatelessStream) -> bool {
        match (self, stream) {
            (
                Self::NotificationsMessage | Self::NotificationsProgress,
                StatelessStream::Request,
            )
            | (
                Self::NotificationsCancelled
                | Self::NotificationsToolsListChanged
                | Self::NotificationsPromptsListChanged
                | Self::NotificationsResourcesListChanged
                | Self::NotificationsResourcesUpdated
                | Self::NotificationsSubscriptionsAcknowledged
                | Self::NotificationsTasks,
                StatelessStream::Subscription,
            ) => true,
            (
                Self::Ping
                | Self::SamplingCreateMessage
                | Self::ElicitationCreate
                | Self::RootsList
                | Self::NotificationsMessage
                | Self::NotificationsProgress
                | Self::NotificationsCancelled
                | Self::NotificationsToolsListChanged
                | Self::NotificationsPromptsListChanged
                | Self::NotificationsResourcesListChanged
                | Self::NotificationsResourcesUpdated
                | Self::NotificationsElicitationComplete
                | Self::NotificationsSubscriptionsAcknowledged
                | Self::NotificationsTasks
                | Self::Unknown,
                StatelessStream::Request | StatelessStream::Subscription,
            ) => false,
        }
    }

    /// How it may pass. Sampling, elicitation and roots make the client act for the
    /// server (run a model, ask a person, tell its files), so policy must name them.
    #[must_use]
    pub const fn passage(self) -> Passage {
        match self {
            Self::Ping
            | Self::NotificationsMessage
            | Self::NotificationsProgress
            | Self::NotificationsCancelled
            | Self::NotificationsToolsListChanged
            | Self::NotificationsPromptsListChanged
            | Self::NotificationsResourcesListChanged
            | Self::NotificationsResourcesUpdated
            | Self::NotificationsElicitationComplete
            | Self::NotificationsSubscriptionsAcknowledged
            | Self::NotificationsTasks => Passage::WithSession,
            Self::SamplingCreateMessage => Passage::Judged(of(Action::McpSampling)),
            Self::ElicitationCreate => Passage::Judged(of(Action::McpElicitation)),
            Self::RootsList => Passage::Judged(of(Action::McpRoots)),
            Self::Unknown => Passage::Never,
        }
    }
}

const fn of(action: Action) -> Access {
    Access {
        action,
        resource: Resource::Connection,
    }
}

/// What a client's answer to a request of the server's must be allowed for. Which request it was
/// is told by what the answer has: each kind requires a member that no other one has. One that
/// looks like several must be allowed for all of them, one without a member answers a ping, and
/// one of no known kind is for nothing that a policy names.
#[must_use]
pub fn answers(result: &Value<'_>) -> Vec<Access> {
    const KINDS: &[(&str, Action)] = &[
        ("model", Action::McpSampling),
        ("role", Action::McpSampling),
        ("action", Action::McpElicitation),
        ("roots", Action::McpRoots),
    ];
    let mut keys = result
        .members()
        .map(|(key, _)| key)
        .filter(|key| !key.is_text("_meta"))
        .peekable();
    if result.kind() == Kind::Object && keys.peek().is_none() {
        return vec![of(Action::McpConnect)];
    }
    let mut accesses = Vec::with_capacity(1);
    for key in keys {
        let kind = KINDS
            .iter()
            .find(|(name, _)| key.is_text(name) || key.is_text_but_for_case(name));
        accesses.extend(kind.map(|(_, action)| of(*action)));
    }
    accesses.dedup();
    if accesses.is_empty() {
        accesses.push(of(Action::McpUnknown));
    }
    accesses
}
