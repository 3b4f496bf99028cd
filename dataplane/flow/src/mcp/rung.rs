//! How a client is answered whose call waits for people: in the best form that it has declared.
//!
//! ```text
//!   2026-07-28, the tasks extension; 2025-11-25, `task` in the call
//!                                 a task, to ask for its result later ([`super::task`])
//!   2026-07-28, elicitation.url   input_required: a page to open, and a state to bring back
//!   2025-11-25, elicitation.url   the error -32042: a page to open; then the same call again
//!   any other                     held, then a plain result: "pending, id …, retry"
//! ```
//!
//! None of them carries the decision. The page is the inbox, where people are who they are; a
//! client that says that its person has accepted has said that it comes back, and nothing else.

use weir_facts::{ApprovalId, Verdict};
use weir_mcp::carrier::{Ask, input_required, url_required};
use weir_mcp::limits::REQUEST_STATE_LIFE_S;
use weir_mcp::message::client::ClientMethod;
use weir_mcp::message::{Id, Revision};
use weir_mcp::refuse;
use weir_mcp::session::{Origin, State};

use super::Desk;
use super::exchange::{Exchange, Plan, What};
use super::hold::{Asking, refused};
use super::task;
use crate::io::Env;

/// The key of what Weir asks among `inputRequests`.
pub(crate) const APPROVAL_INPUT: &str = "weir_approval";

/// A form of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rung {
    /// A plain result, after the call was held.
    Result,
    /// The error that asks to open a page (2025-11-25).
    Url,
    /// A request for input that asks to open a page (2026-07-28).
    Input,
    /// A task.
    Task,
}

impl Rung {
    /// The best form for a call.
    pub(crate) fn of(env: &Env<'_>, exchange: &Exchange, plan: &Plan) -> Self {
        if task::is_wanted(exchange, plan) {
            return Self::Task;
        }
        Self::without_tasks(env, exchange, plan)
    }

    /// The best form but for tasks.
    pub(crate) fn without_tasks(env: &Env<'_>, exchange: &Exchange, plan: &Plan) -> Self {
        let What::Request { method, .. } = &plan.what else {
            return Self::Result;
        };
        if !plan.client.opens_urls || env.world.settings.inbox.is_none() {
            return Self::Result;
        }
        match exchange.revision() {
            Revision::V2026_07_28 if method.may_ask_for_input() => Self::Input,
            Revision::V2025_11_25 => Self::Url,
            Revision::V2024_11_05
            | Revision::V2025_03_26
            | Revision::V2025_06_18
            | Revision::V2026_07_28 => Self::Result,
        }
    }

    /// For the record.
    pub(crate) const fn told(self) -> &'static str {
        match self {
            Self::Result => "answered: pending, call again",
            Self::Url => "answered: a URL to open, call again",
            Self::Input => "answered: input required, a URL to open",
            Self::Task => "answered: a task",
        }
    }

    /// Whether the client is answered as soon as people are asked: it has a page to show, and
    /// comes back. Who comes back waits: for an approval that was asked for before.
    pub(crate) fn is_answered_at_once(self, asking: &Asking, approval: ApprovalId) -> bool {
        match self {
            Self::Result | Self::Task => false,
            Self::Url => approval == asking.request,
            Self::Input => asking.brought().is_none(),
        }
    }
}

/// How a call is answered that still waits when its client no longer can.
pub(crate) fn pending(
    desk: &Desk,
    env: &Env<'_>,
    exchange: &Exchange,
    asking: &Asking,
) -> Option<Vec<u8>> {
    let What::Request { id, method, .. } = &asking.plan.what else {
        return None;
    };
    let page = page(env, asking.name());
    let revision = exchange.revision();
    let reason = reason(asking);
    Some(match (asking.rung, page) {
        (Rung::Input, Some(page)) => {
            let message = message(&asking.plan, &reason);
            let ask = Ask::Url {
                message: &message,
                url: &page,
            };
            let state = state(desk, env, exchange, asking)?;
            input_required(id, &[(APPROVAL_INPUT, ask)], Some(&state))
        }
        (Rung::Url, Some(page)) => {
            let message = message(&asking.plan, &reason);
            url_required(id, &message, &asking.name().to_string(), &page)
        }
        (Rung::Result | Rung::Url | Rung::Input | Rung::Task, page) => {
            let at = page.map_or_else(String::new, |page| format!("; at {page}"));
            plain(revision, id, *method, asking, &format!("{reason}{at}"))
        }
    })
}

fn plain(
    revision: Revision,
    id: &Id,
    method: ClientMethod,
    asking: &Asking,
    reason: &str,
) -> Vec<u8> {
    if method == ClientMethod::ToolsCall {
        return refuse::pending(revision, id, asking.name(), reason);
    }
    let text = format!(
        "Approval pending, id {} ({reason}). Retry the same request once it is approved.",
        asking.name()
    );
    refused(revision, id, method, &text)
}

/// Why people are asked, and who.
fn reason(asking: &Asking) -> String {
    let terms = match &asking.plan.judgement.verdict {
        Verdict::Hold(terms) => terms,
        Verdict::Allow | Verdict::Deny(_) => return String::new(),
    };
    let asked: Vec<_> = terms.approvers.iter().map(ToString::to_string).collect();
    let asked = format!("asked: {}", asked.join(", "));
    if terms.reason.is_empty() {
        asked
    } else {
        format!("{}; {asked}", terms.reason)
    }
}

fn message(plan: &Plan, reason: &str) -> String {
    format!(
        "{} needs approval ({reason}). Nothing was executed. Open the page to see how it stands, \
         then go on.",
        plan.subject()
    )
}

/// Where people decide.
fn page(env: &Env<'_>, approval: ApprovalId) -> Option<String> {
    let inbox = env.world.settings.inbox.as_ref()?;
    Some(format!("{inbox}/#/approvals/{approval}"))
}

/// What the client brings back: the approval's name, for this caller and this call.
fn state(desk: &Desk, env: &Env<'_>, exchange: &Exchange, asking: &Asking) -> Option<String> {
    let held = asking.plan.held.as_ref()?;
    let state = State {
        origin: Origin::Weir,
        expires_s: env.now.unix_us / 1_000_000 + REQUEST_STATE_LIFE_S,
        content: &asking.name().to_string(),
    };
    let holder = desk.context.holder(&exchange.caller, "");
    desk.context.seal.state(&holder, &held.bound, &state)
}
