//! What of a request an approval is bound to.

use std::borrow::Cow;

use super::client::{Asked, ClientMethod};
use super::stateless::{CLIENT_CAPABILITIES, PROTOCOL_VERSION};
use crate::json::{Value, canonical, canonical_members, quote};
use crate::limits::ATTEMPT_BYTES_MAX;

/// Keys of `_meta` that name the attempt and differ with each, so that a retry could never meet its
/// approval: progress and traces (basic, "_meta"), the task that a message is about (2025-11-25),
/// and what Claude Code and Visual Studio Code number their own calls by.
const OF_ATTEMPT: &[&str] = &[
    "progressToken",
    "traceparent",
    "tracestate",
    "io.modelcontextprotocol/related-task",
    "claudecode/toolUseId",
    "vscode.requestId",
];

/// Keys of `_meta` that say how the client speaks, and nothing of what it asks.
const ENVELOPE: &[&str] = &[
    PROTOCOL_VERSION,
    CLIENT_CAPABILITIES,
    "io.modelcontextprotocol/logLevel",
];

/// Whether a member of `_meta` may differ between the attempts of one call. A long value under such
/// a key could be anything.
fn is_of_attempt(key: &Value<'_>, value: &Value<'_>) -> bool {
    value.raw().len() <= ATTEMPT_BYTES_MAX && OF_ATTEMPT.iter().any(|name| key.is_text(name))
}

fn is_envelope(key: &Value<'_>) -> bool {
    ENVELOPE.iter().any(|name| key.is_text(name))
}

/// Members of `_meta` that are the same with every attempt.
fn lasting<'d>(
    params: Option<Value<'d>>,
) -> impl Iterator<Item = (Value<'d>, Value<'d>)> + use<'d> {
    let meta = params.and_then(|params| params.get("_meta"));
    let members = meta.into_iter().flat_map(|meta| {
        let members: Vec<_> = meta.members().collect();
        members
    });
    members.filter(|(key, value)| !is_of_attempt(key, value))
}

/// What `_meta` says of how the client speaks, in canonical form: bound, and not shown to people.
#[must_use]
pub fn envelope(params: Option<Value<'_>>) -> Vec<u8> {
    let mut out = Vec::new();
    canonical_members(
        lasting(params).filter(|(key, _)| is_envelope(key)),
        &mut out,
    );
    out
}

impl Asked<'_> {
    /// The bytes that an approval of this is bound to: method and subject, then the
    /// arguments in canonical form. White space and the order of members do not count;
    /// everything that a server could tell apart does.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let mut out = self.summary.clone().into_bytes();
        out.push(0);
        match &self.arguments {
            Some(arguments) => canonical(arguments, &mut out),
            None => out.extend_from_slice(b"{}"),
        }
        out
    }

    /// [`Self::canonical`], and what else of `params` goes on to the server: members beside
    /// subject and arguments, but for those of `left_out`; of `_meta` what neither names the attempt
    /// nor is [`envelope`].
    #[must_use]
    pub fn canonical_with(&self, params: Option<Value<'_>>, left_out: &[&str]) -> Vec<u8> {
        let read = ["_meta", "arguments", subject(self.method)];
        let mut members: Vec<(Cow<'_, str>, Vec<u8>)> = params
            .iter()
            .flat_map(Value::members)
            .filter_map(|(key, value)| Some((key.text()?, value)))
            .filter(|(key, _)| !read.contains(&&**key) && !left_out.contains(&&**key))
            .map(|(key, value)| {
                let mut out = Vec::new();
                canonical(&value, &mut out);
                (key, out)
            })
            .collect();
        let mut shown = lasting(params)
            .filter(|(key, _)| !is_envelope(key))
            .peekable();
        if shown.peek().is_some() {
            let mut out = Vec::new();
            canonical_members(shown, &mut out);
            members.push(("_meta".into(), out));
        }
        members.sort_by(|one, other| one.0.cmp(&other.0));
        let mut out = self.canonical();
        for (index, (key, value)) in members.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b"\0{" } else { b"," });
            quote(key, &mut out);
            out.push(b':');
            out.extend_from_slice(value);
        }
        if !members.is_empty() {
            out.push(b'}');
        }
        out
    }
}

/// The member that [`Asked::canonical`] begins with.
const fn subject(method: ClientMethod) -> &'static str {
    use ClientMethod as M;
    match method {
        M::ToolsCall | M::PromptsGet => "name",
        M::ResourcesRead | M::ResourcesSubscribe | M::ResourcesUnsubscribe => "uri",
        M::Initialize
        | M::Ping
        | M::ToolsList
        | M::ResourcesList
        | M::ResourcesTemplatesList
        | M::PromptsList
        | M::CompletionComplete
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
        | M::NotificationsRootsListChanged
        | M::Unknown => "arguments",
    }
}
