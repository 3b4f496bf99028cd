//! What stays the same for one Postgres session: who, where from, to which server.

use std::net::SocketAddr;
use std::sync::Arc;

use weir_audit::{JournalError, Kind, Protocol, Receipt, Record};
use weir_facts::{FlowId, Link, OperationRef, Principal};
use weir_policy::JudgeContext;

use super::client::Asked;
use super::named::SessionName;
use crate::calls::Said;
use crate::io::Env;
use crate::release::Counter;
use crate::world::{Connection, World, source_ip};

/// One session's facts.
pub(crate) struct Context {
    pub(crate) id: FlowId,
    pub(crate) source: SocketAddr,
    pub(crate) target: SocketAddr,
    pub(crate) connection: Arc<Connection>,
    /// What the session is named at the server.
    pub(crate) name: SessionName,
    pub(crate) principal: Principal,
    pub(crate) database: Arc<str>,
    /// The role at the server.
    pub(crate) role: Arc<str>,
    /// Length of the key that the client gets for its CancelRequests.
    pub(crate) cancel_key_bytes: usize,
    pub(crate) counter: Counter,
}

/// What became of a running operation, for its record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ending<'a> {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) duration_us: u64,
    pub(crate) outcome: &'a str,
    /// Where values of a class were found, and what became of them.
    pub(crate) masked: &'a [(&'a str, &'a str)],
}

impl Context {
    /// A judging context in which nothing was approved.
    pub(crate) fn judging<'a>(&'a self, env: &Env<'_>, world: &World) -> JudgeContext<'a> {
        JudgeContext {
            now: env.now,
            clock: world.clock,
            source: source_ip(self.source),
            approvals: &[],
            scopes: &[],
            in_transaction: false,
            has_where: false,
            database: &self.database,
            role: &self.role,
            arguments: None,
        }
    }

    /// A record of this session, to be filled in.
    pub(crate) fn record(&self, kind: Kind, env: &Env<'_>) -> Record<'_> {
        Record {
            flow: Some(self.id),
            principal: Some(&self.principal),
            source: Some(self.source),
            target: Some(self.target),
            connection: Some(&self.connection.name),
            database: &self.database,
            role: &self.role,
            protocol: Protocol::Postgres,
            ..Record::new(kind, env.now)
        }
    }

    /// The MCP call that caused an operation with this text; `is_settled` as the session says.
    fn link(&self, env: &Env<'_>, sql: &str, is_settled: bool) -> Option<Link> {
        let said = Said {
            sql,
            session: self.name.trace_of(sql, is_settled),
        };
        let process = self.principal.workload.as_deref();
        env.calls.link(process, said, env.now.mono_ns)
    }

    /// Keeps the intent of an operation.
    pub(crate) fn keep_intent(
        &self,
        env: &mut Env<'_>,
        asked: &Asked<'_>,
        note: &str,
        is_settled: bool,
    ) -> Result<Receipt, JournalError> {
        let (plan, judgement) = (asked.plan, asked.judgement);
        let plans = || std::iter::once(plan).chain(asked.behind.iter().map(|behind| &**behind));
        let accesses: Vec<_> = plans()
            .flat_map(|plan| &plan.access_ids)
            .map(|(action, id)| (*action, id.as_str()))
            .collect();
        let masked: Vec<_> = plans()
            .flat_map(|plan| &plan.masked)
            .map(|(column, rule)| (column.as_str(), rule.as_str()))
            .collect();
        let verdict = if asked.grant.is_some() {
            "approved"
        } else if masked.is_empty() {
            plan.verdict_word()
        } else {
            "mask"
        };
        let bundle = env.world.bundle.clone();
        let record = Record {
            operation: Some(asked.operation.seq),
            summary: &plan.summary,
            accesses: &accesses,
            verdict,
            policies: &judgement.policies,
            bundle: &bundle,
            masked: &masked,
            reason: note,
            approval: asked.grant.map(|grant| grant.approval),
            approvers: asked.grant.map_or(&[], |grant| &grant.approvers),
            link: self.link(env, &plan.text, is_settled),
            bytes: asked.bytes,
            ..self.record(Kind::Intent, env)
        };
        env.journal.append(Some(asked.operation), &record)
    }

    /// Keeps the outcome of an operation. It names the intent by flow and operation.
    pub(crate) fn keep_outcome(
        &self,
        env: &mut Env<'_>,
        operation: OperationRef,
        ending: Ending<'_>,
    ) -> Result<Receipt, JournalError> {
        let record = Record {
            operation: Some(operation.seq),
            rows: ending.rows,
            response_bytes: ending.bytes,
            duration_us: ending.duration_us,
            outcome: ending.outcome,
            masked: ending.masked,
            protocol: Protocol::Postgres,
            ..Record::new(Kind::Outcome, env.now)
        };
        env.journal.append(
            Some(operation),
            &Record {
                flow: Some(self.id),
                ..record
            },
        )
    }

    /// Keeps a refusal. The operation is refused whether or not this was kept.
    pub(crate) fn keep_refusal(
        &self,
        env: &mut Env<'_>,
        summary: &str,
        reason: &str,
        bytes: &[u8],
        is_settled: bool,
    ) {
        let record = Record {
            summary,
            reason,
            bytes,
            link: self.link(env, text_of(bytes), is_settled),
            verdict: "deny",
            ..self.record(Kind::Refusal, env)
        };
        let _ = env.journal.append(None, &record);
    }
}

/// The text of a Query frame; nothing of any other.
fn text_of(frame: &[u8]) -> &str {
    let text = frame.strip_prefix(b"Q").and_then(|rest| rest.get(4..));
    let text = text.and_then(|text| std::str::from_utf8(text).ok());
    text.map_or("", |text| text.trim_end_matches('\0'))
}
