//! How a call is answered that waits for people, in the forms that clients of each
//! revision know: a task, a request for input, a URL to open. The plain result that every
//! client reads is [`crate::refuse::pending`].
//!
//! | form | revision | what the client must have declared |
//! |---|---|---|
//! | [`Task::created`] | 2026-07-28 | the extension `io.modelcontextprotocol/tasks` |
//! | [`Task::created`] | 2025-11-25 | `params.task` in the call itself |
//! | [`input_required`] | 2026-07-28 | `elicitation`, with `url` for a URL |
//! | [`url_required`] | 2025-11-25 | `elicitation.url` |

use crate::json::{Document, Kind, Value, quote};
use crate::message::{Id, Revision};

/// `-32042`: the client must open a URL first (2025-11-25, "Elicitation", error handling).
pub const URL_ELICITATION_REQUIRED: i32 = -32042;

/// A question to the person at the client. It never carries the decision itself: an
/// "accept" that a client reports proves nothing about a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask<'a> {
    /// Open this page (`mode: "url"`).
    Url {
        /// What the person is told.
        message: &'a str,
        /// Where the decision is made.
        url: &'a str,
    },
    /// Acknowledge this (`mode: "form"` without fields).
    Form {
        /// What the person is told.
        message: &'a str,
    },
}

/// The answer of 2026-07-28 to a call that needs input first (patterns, "Multi Round-Trip
/// Requests"): `asks` by their keys, and the state that the client brings back with its
/// retry, sealed by the caller. One of both must be there.
#[must_use]
pub fn input_required(id: &Id, asks: &[(&str, Ask<'_>)], state: Option<&str>) -> Vec<u8> {
    let mut out = begin(id);
    out.extend_from_slice(br#","result":{"resultType":"input_required""#);
    for (index, (key, ask)) in asks.iter().enumerate() {
        out.extend_from_slice(if index == 0 {
            br#","inputRequests":{"#
        } else {
            b","
        });
        quote(key, &mut out);
        out.extend_from_slice(br#":{"method":"elicitation/create","params":"#);
        ask_params(ask, None, &mut out);
        out.push(b'}');
    }
    if !asks.is_empty() {
        out.push(b'}');
    }
    if let Some(state) = state {
        out.extend_from_slice(br#","requestState":"#);
        quote(state, &mut out);
    }
    out.extend_from_slice(b"}}");
    out
}

/// The error of 2025-11-25 that asks a client to open a URL and to call again
/// (`URLElicitationRequiredError`). `elicitation` names it, unique at this server.
#[must_use]
pub fn url_required(id: &Id, message: &str, elicitation: &str, url: &str) -> Vec<u8> {
    let mut out = begin(id);
    out.extend_from_slice(
        format!(r#","error":{{"code":{URL_ELICITATION_REQUIRED},"message":"#).as_bytes(),
    );
    quote(message, &mut out);
    out.extend_from_slice(br#","data":{"elicitations":["#);
    ask_params(&Ask::Url { message, url }, Some(elicitation), &mut out);
    out.extend_from_slice(b"]}}}");
    out
}

fn begin(id: &Id) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    out.extend_from_slice(id.raw());
    out
}

fn ask_params(ask: &Ask<'_>, elicitation: Option<&str>, out: &mut Vec<u8>) {
    match ask {
        Ask::Url { message, url } => {
            out.extend_from_slice(br#"{"mode":"url","message":"#);
            quote(message, out);
            if let Some(elicitation) = elicitation {
                out.extend_from_slice(br#","elicitationId":"#);
                quote(elicitation, out);
            }
            out.extend_from_slice(br#","url":"#);
            quote(url, out);
        }
        Ask::Form { message } => {
            out.extend_from_slice(br#"{"mode":"form","message":"#);
            quote(message, out);
            out.extend_from_slice(br#","requestedSchema":{"type":"object","properties":{}}"#);
        }
    }
    out.push(b'}');
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStatus<'a> {
    /// It waits, or runs.
    Working,
    /// It is over: the result of the call, an object as JSON.
    Completed(&'a [u8]),
    /// It could not be executed: the JSON-RPC error, an object as JSON.
    Failed(&'a [u8]),
    /// The client gave it up.
    Cancelled,
}

impl TaskStatus<'_> {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Completed(_) => "completed",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A task of Weir's own: a call that waits for people.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// Its id, sealed to whoever may ask for it.
    pub id: &'a str,
    /// How far it is.
    pub status: TaskStatus<'a>,
    /// What a person may be told of that; may be empty.
    pub message: &'a str,
    /// When the call was made, in microseconds since 1970.
    pub created_us: u64,
    /// When the status was last another one, in microseconds since 1970.
    pub updated_us: u64,
    /// How long after `created_us` it can be asked for, in milliseconds.
    pub ttl_ms: u64,
    /// How often the client should ask, in milliseconds.
    pub poll_ms: u64,
}

impl Task<'_> {
    /// The answer to the call: a task instead of a result.
    #[must_use]
    pub fn created(&self, id: &Id, revision: Revision) -> Vec<u8> {
        let mut out = begin(id);
        if revision.is_stateless() {
            out.extend_from_slice(br#","result":{"resultType":"task","#);
            self.members(revision, &mut out);
        } else {
            out.extend_from_slice(br#","result":{"task":{"#);
            self.members(revision, &mut out);
            out.push(b'}');
        }
        out.extend_from_slice(b"}}");
        out
    }

    /// The answer to `tasks/get`. In 2026-07-28 it has the result or error in it; in
    /// 2025-11-25 these are asked for by `tasks/result`.
    #[must_use]
    pub fn shown(&self, id: &Id, revision: Revision) -> Vec<u8> {
        let mut out = begin(id);
        out.extend_from_slice(br#","result":{"#);
        if revision.is_stateless() {
            out.extend_from_slice(br#""resultType":"complete","#);
        }
        self.members(revision, &mut out);
        if revision.is_stateless() {
            let inline: Option<(&[u8], &[u8])> = match &self.status {
                TaskStatus::Completed(result) => Some((br#","result":"#, result)),
                TaskStatus::Failed(error) => Some((br#","error":"#, error)),
                TaskStatus::Working | TaskStatus::Cancelled => None,
            };
            if let Some((name, value)) = inline {
                out.extend_from_slice(name);
                out.extend_from_slice(value);
            }
        }
        out.extend_from_slice(b"}}");
        out
    }

    /// The task as an element of a list (2025-11-25).
    #[must_use]
    pub fn listed(&self, revision: Revision) -> Vec<u8> {
        let mut out = vec![b'{'];
        self.members(revision, &mut out);
        out.push(b'}');
        out
    }

    fn members(&self, revision: Revision, out: &mut Vec<u8>) {
        out.extend_from_slice(br#""taskId":"#);
        quote(self.id, out);
        out.extend_from_slice(format!(r#","status":"{}""#, self.status.as_str()).as_bytes());
        if !self.message.is_empty() {
            out.extend_from_slice(br#","statusMessage":"#);
            quote(self.message, out);
        }
        let (ttl, poll) = if revision.is_stateless() {
            ("ttlMs", "pollIntervalMs")
        } else {
            ("ttl", "pollInterval")
        };
        let rest = format!(
            r#","createdAt":"{}","lastUpdatedAt":"{}","{ttl}":{},"{poll}":{}"#,
            timestamp(self.created_us),
            timestamp(self.updated_us),
            self.ttl_ms,
            self.poll_ms
        );
        out.extend_from_slice(rest.as_bytes());
    }
}

/// The answer to `tasks/list` (2025-11-25): every one of them, each as [`Task::listed`].
#[must_use]
pub fn task_list(id: &Id, tasks: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let tasks: Vec<_> = tasks.into_iter().collect();
    let mut out = begin(id);
    out.extend_from_slice(br#","result":{"tasks":["#);
    out.extend_from_slice(&tasks.join(&b','));
    out.extend_from_slice(b"]}}");
    out
}

/// The answer to `tasks/result` (2025-11-25): what the call would have been answered with, and
/// whose result it is. `None` where `result` is no object.
#[must_use]
pub fn task_result(id: &Id, task: &str, result: &[u8]) -> Option<Vec<u8>> {
    let document = Document::parse(result).ok()?;
    let root = document.root();
    if root.kind() != Kind::Object {
        return None;
    }
    let mut out = begin(id);
    out.extend_from_slice(
        br#","result":{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"#,
    );
    quote(task, &mut out);
    out.push(b'}');
    let meta = root.get("_meta").filter(|meta| meta.kind() == Kind::Object);
    let related = |key: &Value<'_>| key.is_text("io.modelcontextprotocol/related-task");
    for (key, value) in meta.iter().flat_map(|meta| meta.members()) {
        if !related(&key) {
            member(&key, &value, &mut out);
        }
    }
    out.push(b'}');
    for (key, value) in root.members() {
        if !key.is_text("_meta") {
            member(&key, &value, &mut out);
        }
    }
    out.extend_from_slice(b"}}");
    Some(out)
}

fn member(key: &Value<'_>, value: &Value<'_>, out: &mut Vec<u8>) {
    out.push(b',');
    out.extend_from_slice(key.raw());
    out.push(b':');
    out.extend_from_slice(value.raw());
}

/// The answer to `tasks/result` of a call that failed with this error, an object as JSON.
#[must_use]
pub fn task_error(id: &Id, error: &[u8]) -> Vec<u8> {
    let mut out = begin(id);
    out.extend_from_slice(br#","error":"#);
    out.extend_from_slice(error);
    out.push(b'}');
    out
}

/// The empty result of 2026-07-28 that acknowledges `tasks/update` and `tasks/cancel`.
#[must_use]
pub fn acknowledged(id: &Id) -> Vec<u8> {
    let mut out = begin(id);
    out.extend_from_slice(br#","result":{"resultType":"complete"}}"#);
    out
}

/// A moment as ISO 8601 wants it, in UTC and to the second (civil calendar by Howard
/// Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
fn timestamp(unix_us: u64) -> String {
    let seconds = unix_us / 1_000_000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests;
