//! Where operations are recorded and released.

mod content;

use weir_audit::{Kind, Receipt, RecordSeq};
use weir_facts::OperationRef;
use weir_mcp::http::rewrite::{self, Onward};
use weir_policy::{Level, Permit};

use self::content::Content;
use super::authorization;
use super::context::Told;
use super::exchange::{Exchange, Plan, Running, What};
use super::hold::Grant;
use super::{Desk, End, oauth};
use crate::calls::{OpenCall, Owner, Place, Traces};
use crate::io::{Effect, Env, Piece};
use crate::release::Released;
use crate::trace::TraceId;
use crate::world::Durability;
use weir_mcp::http::{Method, RequestHead};
use weir_mcp::message::Id;
use weir_mcp::message::client::ClientMethod;

/// No record can be kept, so nothing goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unrecorded {
    #[error("the intent could not be recorded")]
    Journal,
    #[error("an operation without a permit was about to be admitted")]
    Permit,
}

/// Operations of one request with the proofs that they may go on.
#[derive(Debug)]
pub(crate) struct Admitted {
    plans: Vec<Plan>,
    proofs: Vec<(OperationRef, Permit, Receipt)>,
    content: Content,
    /// The record that must be on stable storage first.
    pub(crate) durable: Option<RecordSeq>,
}

impl Admitted {
    /// The ids of its requests.
    pub(crate) fn asked(&self) -> impl Iterator<Item = &Id> {
        self.plans.iter().filter_map(|plan| match &plan.what {
            What::Request { id, .. } => Some(id),
            What::Notification | What::Answer | What::Http => None,
        })
    }
}

/// Records every operation of a request, all of which policy allows.
pub(crate) fn admit(
    desk: &mut Desk,
    env: &mut Env<'_>,
    exchange: &Exchange,
    plans: Vec<Plan>,
    body: Vec<u8>,
    grant: Option<&Grant>,
) -> Result<Admitted, Unrecorded> {
    let content = Content::new(exchange, body);
    let mut proofs = Vec::with_capacity(plans.len());
    let mut durable = None;
    for plan in &plans {
        let operation = desk.context.counter.operation(content.digest());
        let permit = plan.judgement.permit(operation).ok_or(Unrecorded::Permit)?;
        let told = Told {
            summary: &plan.summary,
            accesses: &plan.accesses(),
            verdict: if grant.is_some() {
                "approved"
            } else {
                plan.verdict_word()
            },
            policies: &plan.judgement.policies,
            session: &exchange.session,
            approval: grant.map(|grant| grant.approval),
            approvers: grant.map_or(&[], |grant| &grant.approvers),
            ..Told::NOTHING
        };
        let receipt = desk.context.keep(
            env,
            Kind::Intent,
            Some(operation),
            Some(&exchange.caller),
            told,
        );
        let receipt = receipt.map_err(|_| Unrecorded::Journal)?;
        match env.world.settings.durability {
            Durability::SyncedExceptPlainReads if plan.level(grant) == Level::Synced => {
                durable = Some(receipt.seq());
            }
            Durability::SyncedExceptPlainReads | Durability::Kept => {}
        }
        proofs.push((operation, permit, receipt));
    }
    env.out.effects.extend(durable.map(Effect::Sync));
    Ok(Admitted {
        plans,
        proofs,
        content,
        durable,
    })
}

/// Records that operations whose intent was recorded were never sent.
pub(crate) fn abandon(
    desk: &Desk,
    env: &mut Env<'_>,
    exchange: &Exchange,
    admitted: &Admitted,
    why: &str,
) {
    let outcome = format!("not sent: {why}");
    for (plan, (operation, ..)) in admitted.plans.iter().zip(&admitted.proofs) {
        let told = Told {
            summary: &plan.summary,
            session: &exchange.session,
            outcome: &outcome,
            ..Told::NOTHING
        };
        // Nothing is sent whether or not this was kept.
        let _ = desk.context.keep(
            env,
            Kind::Outcome,
            Some(*operation),
            Some(&exchange.caller),
            told,
        );
    }
}

/// Spends the proofs and sends the request on.
pub(crate) fn release(
    desk: &Desk,
    env: &mut Env<'_>,
    exchange: &Exchange,
    admitted: Admitted,
) -> Result<Vec<(What, Running)>, End> {
    let Admitted {
        plans,
        proofs,
        content,
        ..
    } = admitted;
    if plans.is_empty() || plans.len() != proofs.len() {
        return Err(End::Broken(
            "a request without proofs was about to be released",
        ));
    }
    if !content.is_of(exchange) {
        return Err(End::Broken("proofs that name another request"));
    }
    let carried = carried(desk, exchange, &plans, env);
    let mut running = Vec::with_capacity(plans.len());
    let mut last = None;
    for (plan, (operation, permit, receipt)) in plans.into_iter().zip(proofs) {
        let released = Released::new(operation, permit, receipt)?;
        if released.operation().digest != content.digest() {
            return Err(End::Broken(
                "proofs that name other bytes than those at the gate",
            ));
        }
        last = Some(released);
        let call = matches!(plan.what, What::Request { .. }).then(|| {
            let own = plan.trace.as_deref().and_then(TraceId::of);
            env.calls.open(
                desk.context.place,
                Owner::of(&exchange.caller.principal),
                operation,
                Traces::of(own, carried.trace),
                env.now.mono_ns,
            )
        });
        running.push(begun(plan, operation, call, exchange.begun_ns));
    }
    let repeated: Vec<_> = running
        .iter()
        .filter_map(|(_, running)| running.stateless.as_ref())
        .flat_map(|known| known.fields.iter().cloned())
        .collect();
    let traceparent = carried.traceparent.as_deref();
    let body = content.body();
    let mut out = match exchange.oauth {
        Some(endpoint) => oauth::head(desk, exchange, endpoint, body.len()),
        None => head(
            desk,
            exchange,
            &exchange.head,
            body.len(),
            &repeated,
            traceparent,
        ),
    };
    out.extend_from_slice(body);
    let released = last.ok_or(End::Broken(
        "a request without proofs was about to be released",
    ))?;
    env.out
        .to_server
        .push(released.spend(Piece::Bytes(out.into())));
    Ok(running)
}

/// The trace context that a request goes on with.
struct Carried {
    /// The header, where it is not the client's own.
    traceparent: Option<Box<str>>,
    trace: Option<TraceId>,
}

/// The client's trace goes on as it came; where it has none, one is begun, so that a server that
/// passes contexts on tells which call its statements are for.
fn carried(desk: &Desk, exchange: &Exchange, plans: &[Plan], env: &mut Env<'_>) -> Carried {
    let own = exchange.head.fields.get("traceparent");
    if let Some(trace) = own.and_then(TraceId::of) {
        return Carried {
            traceparent: None,
            trace: Some(trace),
        };
    }
    let mut requests = plans
        .iter()
        .filter(|plan| matches!(plan.what, What::Request { .. }))
        .peekable();
    if requests.peek().is_none() {
        return Carried {
            traceparent: None,
            trace: None,
        };
    }
    let (trace, traceparent) = match requests.find_map(|plan| plan.trace.clone()) {
        Some(traceparent) => (TraceId::of(&traceparent), traceparent),
        None => match desk.context.place {
            Place::Address(_) => {
                let (trace, traceparent) = TraceId::begin(env.random);
                (Some(trace), traceparent.into())
            }
            // A server of standard input and output gets no head of a request.
            Place::Started(_) => {
                return Carried {
                    traceparent: None,
                    trace: None,
                };
            }
        },
    };
    Carried {
        traceparent: Some(traceparent),
        trace,
    }
}

fn begun(
    plan: Plan,
    operation: OperationRef,
    call: Option<OpenCall>,
    begun_ns: u64,
) -> (What, Running) {
    let subject = plan.subject().to_owned();
    let (method, name, progress) = match &plan.what {
        What::Request {
            method,
            name,
            progress,
            ..
        } => (*method, name.clone(), progress.clone()),
        What::Notification | What::Answer | What::Http => {
            (ClientMethod::Unknown, plan.summary.clone(), None)
        }
    };
    (
        plan.what,
        Running {
            operation,
            method,
            name,
            subject,
            progress,
            stateless: plan.stateless,
            client: plan.client,
            poll: plan.poll,
            call,
            begun_ns,
            onward: plan.onward,
        },
    )
}

/// The head of a request of this exchange's, or of Weir's own beside it.
pub(super) fn head(
    desk: &Desk,
    exchange: &Exchange,
    request: &RequestHead,
    body_bytes: usize,
    repeated: &[(String, String)],
    traceparent: Option<&str>,
) -> Vec<u8> {
    let target = desk.context.mcp();
    let token = authorization::onward(&desk.context, request);
    let own = target.and_then(|target| target.credential.as_ref());
    let own = own.map(|own| (&*own.field, own.value.as_str()));
    // Whose Authorization it is was decided: a client without a token does not get Weir's.
    let is_clients = desk.context.server_resource().is_some();
    let is_taken = |name: &str| is_clients && name.eq_ignore_ascii_case("authorization");
    let resumed = exchange.resumed.as_ref();
    let resumed = resumed.filter(|_| request.method == Method::Get);
    // In 2024-11-05, the target is the session's name.
    let names_session = !exchange.session.is_empty() && exchange.endpoint.is_none();
    let onward = Onward {
        host: &request.host,
        authorization: token.as_ref().map(|value| value.as_str()),
        credential: own.filter(|(name, _)| !is_taken(name)),
        revision: exchange.revision,
        session: names_session.then_some(&*exchange.session),
        last_event_id: resumed.map(|(id, _)| id.as_str()),
        traceparent,
        extra_fields: &[],
        repeated,
        body_bytes: (request.method == Method::Post).then_some(body_bytes),
    };
    rewrite::request(request, &onward)
}
