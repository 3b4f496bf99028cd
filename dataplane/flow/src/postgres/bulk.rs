//! Rows on their way to the client, counted against the connection's thresholds before they
//! go: of a statement, and of everything that the principal has received lately.
//!
//! ```text
//!   Counted ─ next row would cross ─▶ end ───────────────────────────▶ Ending ─ ReadyForQuery ─▶
//!      ▲                        └───▶ ask ─▶ Paused ─ denied, expired, ─▲
//!      └───────── granted, spent ─────────────┘       cancelled
//! ```
//!
//! While it is paused nothing more is read from the server. While it is ending, what the server
//! still sends is swallowed, and the client gets the error where the answer would have ended.

use std::sync::Arc;

use bytes::Bytes;
use weir_audit::Kind;
use weir_facts::{Access, Action, ApprovalId, Digest, HoldTerms, PolicyId};
use weir_policy::{Amount, Bulk, Crossing};
use weir_postgres::frame::{HEADER_BYTES, ServerTag, Tag};
use weir_postgres::refuse::{Severity, SqlState};
use weir_postgres::session::Ticket;
use weir_sql::{CopyDirection, Statement, StatementKind};

use super::desk::{Bound, Desk, JudgedStatement, Running};
use super::end::End;
use super::notice;
use super::plan::Plan;
use super::refusal::Refusal;
use super::server::{Answer, Ended, Meaning, Understood};
use crate::io::{ApprovalRequest, Decision, Effect, Env, Piece};
use crate::meter::Who;

/// Bytes that are swallowed of a statement that has ended before the server is asked to cancel
/// it: more than both sockets' buffers hold. Where it completes nevertheless, the session is
/// closed, since a cancel that comes late would meet the next statement.
const SWALLOWED_BYTES_MAX: u64 = 16 << 20;

/// Stands for the thresholds where policies are named.
const POLICY: &str = "masks.toml:bulk";

/// What has gone to the client of one operation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gone {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// People have agreed to the rest.
    pub(crate) is_granted: bool,
}

/// An operation whose rows are counted.
pub(crate) struct Counted {
    limits: Arc<Bulk>,
    who: Who,
    pub(crate) plan: Arc<Plan>,
    bound: Option<Digest>,
    /// The portal that it runs, which is counted on when it is resumed.
    portal: Option<Portal>,
    /// What went before it was resumed is known.
    has_begun: bool,
    /// What had gone when it was begun, or resumed.
    before: Gone,
    pub(crate) gone: Gone,
}

/// A portal as it was when it was executed: of which Bind, and of which statement.
struct Portal {
    name: Box<str>,
    written: JudgedStatement,
    serial: Option<u64>,
}

impl Portal {
    fn is_of(&self, bound: &Bound, written: &JudgedStatement) -> bool {
        self.serial == Some(bound.serial) && Arc::ptr_eq(&self.written, written)
    }
}

impl Counted {
    /// Rows and bytes that have gone since it was begun, or resumed.
    pub(crate) fn since(&self) -> (u64, u64) {
        (
            self.gone.rows.saturating_sub(self.before.rows),
            self.gone.bytes.saturating_sub(self.before.bytes),
        )
    }
}

/// A statement that waits amid its rows.
pub(crate) struct Paused {
    ticket: Ticket,
    request: ApprovalId,
    digest: Digest,
    /// The approval that is being spent.
    spending: Option<ApprovalId>,
    deadline_ns: u64,
}

/// A statement that has ended for the client, and not yet for the server.
pub(crate) struct Ending {
    ticket: Ticket,
    is_query: bool,
    refusal: Refusal,
    swallowed: u64,
    /// It only reads.
    is_plain: bool,
    is_cancelled: bool,
    is_told: bool,
}

/// What the next bytes of the server's may be used for.
pub(crate) enum Room {
    /// All of them.
    All,
    /// So many: whole rows, perhaps the beginning of one.
    Until(usize),
    /// None: a header is incomplete.
    More,
    /// None: the statement waits, or begins to end.
    Stopped,
}

impl Ending {
    pub(crate) fn is_of(&self, ticket: Ticket) -> bool {
        self.ticket == ticket
    }
}

impl Desk {
    /// The counters of an operation that begins, where the connection has thresholds.
    pub(crate) fn counted(
        &self,
        plan: Arc<Plan>,
        portal: Option<(&str, &JudgedStatement)>,
    ) -> Option<Box<Counted>> {
        let limits = self.scope.bulk.clone()?;
        let bound = portal.and_then(|(name, _)| self.binds.get(name));
        let of = portal.map(|(name, written)| Portal {
            name: name.into(),
            written: written.clone(),
            serial: bound.map(|bound| bound.serial),
        });
        Some(Box::new(Counted {
            limits,
            who: Who::new(&self.context.principal, &self.context.connection.name),
            plan,
            bound: bound.map(|bound| bound.digest),
            portal: of,
            has_begun: false,
            before: Gone::default(),
            gone: Gone::default(),
        }))
    }

    /// Whether what the server sends is swallowed.
    pub(crate) const fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// How much of what the server sent may be read on. `rest` begins where the reader stands;
    /// `next` is the type of the frame that it stands in, if it does.
    pub(crate) fn room(
        &mut self,
        env: &mut Env<'_>,
        rest: &[u8],
        next: Option<ServerTag>,
    ) -> Result<Room, End> {
        if self.paused.is_some() {
            return Ok(Room::Stopped);
        }
        if self.ending.is_some() || self.counting().is_none() {
            self.row_left = 0;
            return Ok(Room::All);
        }
        if self.row_left > 0 {
            let now = self.row_left.min(rest.len());
            self.row_left -= now;
            return Ok(Room::Until(now));
        }
        if let Some(tag) = next {
            // A row that was begun before anything was counted: to its end, and no further.
            return Ok(if is_row(tag) {
                Room::Until(rest.len().min(1))
            } else {
                Room::All
            });
        }
        let (until, is_crossing) = self.admit_rows(env, rest);
        if until > 0 {
            self.row_left = until.saturating_sub(rest.len());
            return Ok(Room::Until(until.min(rest.len())));
        }
        if is_crossing {
            self.cross(env)?;
            return Ok(if self.paused.is_some() {
                Room::Stopped
            } else {
                Room::All
            });
        }
        Ok(match header(rest) {
            Some(_) => Room::All,
            None => Room::More,
        })
    }

    /// The operation at the head, if its rows are counted.
    fn counting(&mut self) -> Option<&mut Counted> {
        let ticket = self.session.head()?.ticket;
        let running = self.running.front_mut()?;
        let counted = running
            .counted
            .as_deref_mut()
            .filter(|_| running.ticket == ticket)?;
        // An Execute can be sent ahead of the end of the one that it resumes.
        if !std::mem::replace(&mut counted.has_begun, true)
            && let Some(portal) = &counted.portal
            && let Some(bound) = self.binds.get(&portal.name)
            && let Some((written, gone)) = &bound.gone
            && portal.is_of(bound, written)
        {
            (counted.before, counted.gone) = (*gone, *gone);
        }
        Some(counted)
    }

    /// Counts the rows at the beginning of `rest` that may go; says how far they reach, beyond the
    /// end for one that is cut, and whether the next one may not.
    fn admit_rows(&mut self, env: &Env<'_>, rest: &[u8]) -> (usize, bool) {
        let now_ns = env.now.mono_ns;
        let meters = env.meters;
        let Some(counted) = self.counting() else {
            return (rest.len(), false);
        };
        let Counted {
            limits, who, gone, ..
        } = counted;
        let unbounded = Amount {
            rows: None,
            bytes: None,
        };
        let statement = if gone.is_granted {
            unbounded
        } else {
            limits.statement
        };
        let window = match limits.window {
            Some((_, amount)) if !gone.is_granted => amount,
            Some(_) | None => unbounded,
        };
        let (mut until, mut is_crossing) = (0, false);
        let mut take = |had_rows: u64, had_bytes: u64| {
            let (mut rows, mut bytes) = (0_u64, 0_u64);
            while let Some(length) = row(rest.get(until..).unwrap_or_default()) {
                let (more, wide) = (rows + 1, bytes.saturating_add(length as u64));
                let fits = statement.holds(gone.rows + more, gone.bytes.saturating_add(wide))
                    && window.holds(
                        had_rows.saturating_add(more),
                        had_bytes.saturating_add(wide),
                    );
                if !fits {
                    is_crossing = true;
                    break;
                }
                (rows, bytes) = (more, wide);
                until += length;
            }
            gone.rows += rows;
            gone.bytes = gone.bytes.saturating_add(bytes);
            (rows, bytes)
        };
        let is_counted = match limits.window {
            Some((window_s, _)) => meters.take(who, window_s, now_ns, take),
            None => {
                let _ = take(0, 0);
                true
            }
        };
        (until, is_crossing || !is_counted)
    }

    /// The next row would cross a threshold.
    fn cross(&mut self, env: &mut Env<'_>) -> Result<(), End> {
        let Some(counted) = self.counting() else {
            return Ok(());
        };
        let (limits, plan, gone) = (counted.limits.clone(), counted.plan.clone(), counted.gone);
        let told = told(&limits, gone);
        match &limits.crossing {
            Crossing::End => {
                let refusal = Refusal::new(SqlState::TOO_MANY, &format!("weir: {told}")).hint(
                    "narrow the statement, or ask whoever keeps this connection's thresholds",
                );
                self.end_statement(env, refusal)
            }
            Crossing::Ask(terms) => {
                let terms = HoldTerms {
                    approvers: terms.approvers.clone(),
                    quorum: terms.quorum,
                    expires_s: terms.expires_s,
                    reason: told.into(),
                    policies: vec![PolicyId(POLICY.into())],
                };
                self.pause(env, &plan, terms);
                Ok(())
            }
        }
    }

    /// Asks people whether the rest may go.
    fn pause(&mut self, env: &mut Env<'_>, plan: &Plan, terms: HoldTerms) {
        let Some(running) = self.running.front() else {
            return;
        };
        let (ticket, operation) = (running.ticket, running.operation);
        let bound = running.counted.as_ref().and_then(|counted| counted.bound);
        let mut random = [0; 16];
        (env.random)(&mut random);
        let request = ApprovalId(u128::from_be_bytes(random));
        let digest = self.digest_of(b"weir.postgres.bulk.1", plan, bound);
        let record = weir_audit::Record {
            operation: Some(operation.seq),
            summary: &plan.summary,
            verdict: "hold",
            reason: &terms.reason,
            policies: &terms.policies,
            approval: Some(request),
            digest: Some(digest),
            ..self.context.record(Kind::Approval, env)
        };
        // It is paused whether or not this was kept.
        let _ = env.journal.append(None, &record);
        let asked = format!("weir: paused: {}; approval {request}", terms.reason);
        let accesses = plan.accesses.iter().map(Access::clone).collect();
        let operation = format!("{}\n-- the rest of its rows: {}", plan.text, terms.reason);
        let asking = ApprovalRequest {
            id: request,
            digest,
            cancel: None,
            definition: None,
            flow: self.context.id,
            connection: self.context.connection.name.clone(),
            principal: self.context.principal.clone(),
            source: self.context.source,
            operation,
            accesses,
            terms,
        };
        env.out
            .effects
            .push(Effect::RequestApproval(Box::new(asking)));
        env.out
            .to_client
            .push(Piece::Bytes(notice::notice(&asked).into()));
        let hold_ns = env.world.settings.postgres_hold_ns;
        self.paused = Some(Paused {
            ticket,
            request,
            digest,
            spending: None,
            deadline_ns: env.now.mono_ns.saturating_add(hold_ns),
        });
    }

    /// People decided about a paused statement. `false` if this is about something else.
    pub(crate) fn on_bulk_decision(
        &mut self,
        env: &mut Env<'_>,
        about: ApprovalId,
        approval: ApprovalId,
        decision: &Decision,
    ) -> Result<bool, End> {
        let Some(paused) = self
            .paused
            .as_mut()
            .filter(|paused| paused.request == about && paused.spending.is_none())
        else {
            return Ok(false);
        };
        let why = match decision {
            Decision::Approved { .. } => {
                paused.spending = Some(approval);
                paused.deadline_ns = env.now.mono_ns.saturating_add(super::hold::REDEEM_NS);
                env.out.effects.push(Effect::RedeemApproval {
                    id: approval,
                    digest: paused.digest,
                });
                return Ok(true);
            }
            Decision::Denied { reason } => format!("approval {approval} was denied: {reason}"),
            Decision::Expired => format!("approval {approval} expired"),
            Decision::Unavailable => "nobody can be asked now; try again later".to_owned(),
        };
        self.stop_paused(env, &why)?;
        Ok(true)
    }

    /// The approval of a paused statement was spent, or was not there. `false` if this is about
    /// something else.
    pub(crate) fn on_bulk_redeemed(
        &mut self,
        env: &mut Env<'_>,
        id: ApprovalId,
        granted: bool,
    ) -> Result<bool, End> {
        let Some(paused) = self.paused.take_if(|paused| paused.spending == Some(id)) else {
            return Ok(false);
        };
        if !granted {
            self.paused = Some(paused);
            let why = format!("approval {id} was used before, or can no longer be used");
            self.stop_paused(env, &why)?;
            return Ok(true);
        }
        let running = self.running.front_mut();
        if let Some(running) = running.filter(|running| running.ticket == paused.ticket)
            && let Some(counted) = &mut running.counted
        {
            counted.gone.is_granted = true;
            let record = weir_audit::Record {
                operation: Some(running.operation.seq),
                verdict: "approved",
                reason: "the rest of its rows",
                approval: Some(id),
                digest: Some(paused.digest),
                ..self.context.record(Kind::Approval, env)
            };
            let _ = env.journal.append(None, &record)?;
        }
        Ok(true)
    }

    /// Nobody has decided while the client could wait.
    pub(crate) fn on_bulk_deadline(&mut self, env: &mut Env<'_>) -> Result<(), End> {
        let now = env.now.mono_ns;
        let Some(paused) = self.paused.as_ref().filter(|it| it.deadline_ns <= now) else {
            return Ok(());
        };
        let why = format!(
            "nobody has decided about approval {} yet; run the statement again once it is granted",
            paused.request
        );
        self.stop_paused(env, &why)
    }

    /// The client gives a paused statement up. `false` if none is paused.
    pub(crate) fn cancel_paused(&mut self, env: &mut Env<'_>) -> Result<bool, End> {
        let Some(paused) = self.paused.take() else {
            return Ok(false);
        };
        if paused.spending.is_none() {
            env.out
                .effects
                .push(Effect::WithdrawApproval(paused.request));
        }
        let refusal = Refusal::new(
            SqlState::QUERY_CANCELED,
            "canceling statement due to user request",
        );
        self.end_statement(env, refusal)?;
        Ok(true)
    }

    /// Nobody waits for a paused statement any more.
    pub(crate) fn withdraw_paused(&mut self, env: &mut Env<'_>) {
        if let Some(paused) = self.paused.take()
            && paused.spending.is_none()
        {
            env.out
                .effects
                .push(Effect::WithdrawApproval(paused.request));
        }
    }

    /// When a paused statement has waited long enough.
    pub(crate) fn paused_deadline(&self) -> Option<u64> {
        self.paused.as_ref().map(|paused| paused.deadline_ns)
    }

    fn stop_paused(&mut self, env: &mut Env<'_>, why: &str) -> Result<(), End> {
        self.paused = None;
        let gone = self.counting().map(|counted| counted.gone);
        let rows = gone.unwrap_or_default().rows;
        let message = format!("weir: ended after {rows} rows: {why}");
        self.end_statement(
            env,
            Refusal::new(SqlState::INSUFFICIENT_PRIVILEGE, &message),
        )
    }

    /// Not one row more. The client is told where the answer would have ended.
    fn end_statement(&mut self, env: &mut Env<'_>, refusal: Refusal) -> Result<(), End> {
        let Some(running) = self.running.front_mut() else {
            return Err(End::Broken("a statement that ends without running"));
        };
        let (ticket, is_query) = (running.ticket, running.is_query);
        running.outcome = "ended by a threshold".to_owned();
        let is_plain = is_plain(running);
        let (seq, summary) = (
            running.operation.seq,
            running.counted.as_ref().map(|counted| counted.plan.clone()),
        );
        let record = weir_audit::Record {
            operation: Some(seq),
            summary: summary.as_ref().map_or("", |plan| &plan.summary),
            verdict: "deny",
            reason: &refusal.inside,
            policies: &[PolicyId(POLICY.into())],
            ..self.context.record(Kind::Refusal, env)
        };
        // It ends whether or not this was kept.
        let _ = env.journal.append(None, &record);
        self.ending = Some(Ending {
            ticket,
            is_query,
            refusal,
            swallowed: 0,
            is_plain,
            is_cancelled: false,
            is_told: false,
        });
        // What writes is better not done at all than done behind an error.
        if !is_plain {
            self.cancel_ending(env);
        }
        Ok(())
    }

    fn cancel_ending(&mut self, env: &mut Env<'_>) {
        let cancel = self.server_cancel();
        if let (Some(ending), Some(cancel)) = (&mut self.ending, cancel)
            && !ending.is_cancelled
        {
            ending.is_cancelled = true;
            env.out.effects.push(Effect::SendCancel(cancel));
        }
    }

    /// Rows that came for a statement that has ended.
    pub(crate) fn swallow(&mut self, env: &mut Env<'_>, bytes: usize) {
        let Some(ending) = &mut self.ending else {
            return;
        };
        ending.swallowed = ending.swallowed.saturating_add(bytes as u64);
        if ending.swallowed > SWALLOWED_BYTES_MAX {
            self.cancel_ending(env);
        }
    }

    /// What the client gets of a frame that the server sent for, or behind, a statement that has
    /// ended: the error once, then ReadyForQuery.
    pub(crate) fn while_ending(
        &mut self,
        tag: ServerTag,
        seen: &Understood,
        answer: Answer,
    ) -> Result<Answer, End> {
        let Some(ending) = &mut self.ending else {
            return Ok(answer);
        };
        let is_asynchronous = matches!(
            tag,
            ServerTag::NoticeResponse
                | ServerTag::ParameterStatus
                | ServerTag::NotificationResponse
        );
        if is_asynchronous {
            return Ok(answer);
        }
        let is_own = seen.ticket == Some(ending.ticket);
        match &seen.what {
            Meaning::Ended { kind, .. } if is_own && !ending.is_told => {
                ending.is_told = true;
                let is_clean = match kind {
                    Ended::Failed | Ended::Refused => true,
                    Ended::Completed => ending.is_plain && !ending.is_cancelled,
                };
                let (refusal, is_query) = (ending.refusal.clone(), ending.is_query);
                let behind = self.running.iter().skip(usize::from(is_query));
                // It was told to have failed, so nothing that it or what follows did may stay.
                let harmless = *kind != Ended::Completed || behind.into_iter().all(is_plain);
                if !(is_clean && harmless) {
                    return Err(refusal.into());
                }
                let frame = refusal.to_frame(Severity::Error);
                Ok(Answer::Instead(Bytes::from(frame)))
            }
            Meaning::Ready(_) => {
                let error = (!ending.is_told).then(|| ending.refusal.to_frame(Severity::Error));
                self.ending = None;
                match error {
                    None => Ok(answer),
                    Some(_) => Err(End::Broken("a statement that ended without a word")),
                }
            }
            Meaning::Ended { .. }
            | Meaning::Columns { .. }
            | Meaning::Row
            | Meaning::Planned
            | Meaning::CopyOut
            | Meaning::CopyData
            | Meaning::Text
            | Meaning::Parameter
            | Meaning::Notification
            | Meaning::CancelKey
            | Meaning::Other => Ok(Answer::Swallow),
        }
    }

    /// Whether a client's message stands behind a statement that has ended, where the server would
    /// have ignored it.
    pub(crate) fn is_behind_ending(&self) -> bool {
        let extended = self.ending.as_ref().is_some_and(|ending| !ending.is_query);
        extended && self.session.is_segment_open()
    }

    /// Keeps the count of a portal that may be resumed.
    pub(crate) fn keep_count(&mut self, counted: &Counted) {
        if let Some(portal) = &counted.portal
            && let Some(bound) = self.binds.get_mut(&portal.name)
            && portal.serial == Some(bound.serial)
        {
            bound.gone = Some((portal.written.clone(), counted.gone));
        }
    }
}

/// Whether an operation only reads: whether it completes behind an error matters to nobody.
fn is_plain(running: &Running) -> bool {
    let plan = running.counted.as_ref().map(|counted| &counted.plan);
    plan.is_some_and(|plan| plan.is_plain_read() || only_reads(plan))
}

fn only_reads(plan: &Plan) -> bool {
    let reads = |access: &Access| {
        matches!(
            access.action,
            Action::PgSelect | Action::PgCopyTo | Action::PgReadStatistics | Action::PgMatch
        )
    };
    let answers = |step: &Statement| {
        let to_client = matches!(
            step.kind,
            StatementKind::Copy {
                direction: CopyDirection::ToClient,
                ..
            }
        );
        let fetches = matches!(step.kind, StatementKind::Fetch { .. });
        step.is_plain_read || fetches || to_client
    };
    plan.accesses.iter().all(reads) && plan.steps.iter().all(answers)
}

fn told(limits: &Bulk, gone: Gone) -> String {
    let bounds = |amount: &Amount| {
        let rows = amount.rows.map(|rows| format!("{rows} rows"));
        let bytes = amount.bytes.map(|bytes| format!("{bytes} bytes"));
        let parts: Vec<_> = rows.into_iter().chain(bytes).collect();
        parts.join(" or ")
    };
    let mut parts = Vec::new();
    let statement = bounds(&limits.statement);
    if !statement.is_empty() {
        parts.push(format!("{statement} of one statement"));
    }
    if let Some((window_s, amount)) = &limits.window {
        parts.push(format!("{} within {window_s} s", bounds(amount)));
    }
    format!(
        "more than {} (this statement has had {} rows, {} bytes)",
        parts.join(", or "),
        gone.rows,
        gone.bytes
    )
}

fn is_row(tag: ServerTag) -> bool {
    matches!(tag, ServerTag::DataRow | ServerTag::CopyData)
}

/// Type and whole length of the frame at the beginning of some bytes, if its header is there.
fn header(bytes: &[u8]) -> Option<(Option<ServerTag>, usize)> {
    let [tag, a, b, c, d] = *bytes.first_chunk::<HEADER_BYTES>()?;
    let length = u32::from_be_bytes([a, b, c, d]);
    Some((
        ServerTag::from_byte(tag),
        usize::try_from(length)
            .unwrap_or(usize::MAX)
            .saturating_add(1),
    ))
}

/// The whole length of the row at the beginning of some bytes, if there is one.
fn row(bytes: &[u8]) -> Option<usize> {
    let (tag, length) = header(bytes)?;
    // A length that no reader takes is the reader's to refuse.
    (tag.is_some_and(is_row) && length >= HEADER_BYTES).then_some(length)
}
