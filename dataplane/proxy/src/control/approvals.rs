//! Which flow waits for which approval, between the flows' events and the control plane's
//! messages. Decisions live in the control plane; this only remembers whom to tell.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use weir_api::v1;
use weir_facts::{ApprovalId, ConnectionName, Digest, Group, Principal};
use weir_flow::{ApprovalRequest, Decision, Event};

use super::place::{Notice, Place};

/// Everything that flows wait for.
#[derive(Default)]
pub(crate) struct Approvals {
    /// Requests, by the id that the flow gave them.
    waiting: HashMap<ApprovalId, Waiting>,
    /// Approvals being spent.
    /// The control plane answers in the order of asking, and grants one of them at most.
    redeeming: HashMap<ApprovalId, VecDeque<Place>>,
}

struct Waiting {
    place: Place,
    request: ApprovalRequest,
    /// The id that counts at the control plane, once it has answered.
    approval: Option<ApprovalId>,
}

impl Approvals {
    /// A flow asks. The message goes to the control plane.
    pub(crate) fn request(&mut self, place: Place, request: ApprovalRequest) -> v1::FromDataPlane {
        let message = request_message(&request);
        self.waiting.insert(
            request.id,
            Waiting {
                place,
                request,
                approval: None,
            },
        );
        message
    }

    /// Every request that waits, to be sent again on a new stream.
    pub(crate) fn again(&self) -> Vec<v1::FromDataPlane> {
        self.waiting
            .values()
            .map(|waiting| request_message(&waiting.request))
            .collect()
    }

    /// The flow no longer wants it. `id` is the flow's own, or that of an approval for which no
    /// flow waits. Where another one waits for the same, it stays open.
    pub(crate) fn withdraw(&mut self, id: ApprovalId) -> Option<v1::FromDataPlane> {
        let gone = self.waiting.remove(&id);
        let approval = gone.as_ref().and_then(|gone| gone.approval).unwrap_or(id);
        let is_same = |other: &Waiting| match &gone {
            Some(gone) => {
                other.request.digest == gone.request.digest && other.approval == gone.approval
            }
            None => other.approval == Some(approval),
        };
        if self.waiting.values().any(is_same) {
            return None;
        }
        let message = v1::ApprovalWithdraw {
            id: approval.to_string(),
        };
        Some(from(v1::from_data_plane::Message::ApprovalWithdraw(
            message,
        )))
    }

    /// The flow waits no longer; the request stays open, and the same operation, asked again, meets
    /// it. `id` is the flow's own.
    pub(crate) fn leave(&mut self, id: ApprovalId) {
        self.waiting.remove(&id);
    }

    /// The caller of the request that has this key wants it no more. Nobody is told where two have
    /// it: which of them was meant cannot be known.
    pub(crate) fn cancel(&self, key: Digest) -> Option<Notice> {
        let mut meant = self
            .waiting
            .values()
            .filter(|waiting| waiting.request.cancel == Some(key));
        match (meant.next(), meant.next()) {
            (Some(waiting), None) => Some((waiting.place, Event::CancelRequested { asker: None })),
            (Some(_) | None, _) => None,
        }
    }

    /// The control plane stored a request, or knew it already.
    pub(crate) fn opened(&mut self, opened: &v1::ApprovalOpened) -> Option<Notice> {
        let requested = ApprovalId::parse(&opened.requested)?;
        if !opened.error.is_empty() {
            let waiting = self.waiting.remove(&requested)?;
            let decision = Decision::Denied {
                reason: opened.error.as_str().into(),
            };
            return Some((
                waiting.place,
                Event::Approval {
                    request: requested,
                    approval: requested,
                    decision,
                },
            ));
        }
        let approval = ApprovalId::parse(&opened.id)?;
        let waiting = self.waiting.get_mut(&requested)?;
        waiting.approval = Some(approval);
        let place = waiting.place;
        (opened.state() == v1::ApprovalState::Pending).then_some((
            place,
            Event::ApprovalOpened {
                request: requested,
                approval,
            },
        ))
    }

    /// People decided, or time did. One decision may answer several flows that ask the same.
    pub(crate) fn decided(&mut self, decided: &v1::ApprovalDecision) -> Vec<Notice> {
        let Some(approval) = ApprovalId::parse(&decided.id) else {
            return Vec::new();
        };
        let Some(decision) = decision(decided) else {
            return Vec::new();
        };
        let about = |waiting: &Waiting, id: ApprovalId| {
            waiting.approval.unwrap_or(id) == approval
                && waiting.request.digest.0.as_slice() == decided.digest
        };
        let requests: Vec<_> = self
            .waiting
            .iter()
            .filter(|(id, waiting)| about(waiting, **id))
            .map(|(id, _)| *id)
            .collect();
        let mut notices = Vec::with_capacity(requests.len());
        for request in requests {
            if let Some(waiting) = self.waiting.remove(&request) {
                let decision = decision.clone();
                notices.push((
                    waiting.place,
                    Event::Approval {
                        request,
                        approval,
                        decision,
                    },
                ));
            }
        }
        notices
    }

    /// A flow spends an approval.
    pub(crate) fn redeem(
        &mut self,
        place: Place,
        id: ApprovalId,
        digest: Digest,
    ) -> v1::FromDataPlane {
        self.redeeming.entry(id).or_default().push_back(place);
        let message = v1::ApprovalRedeem {
            id: id.to_string(),
            digest: digest.0.to_vec(),
        };
        from(v1::from_data_plane::Message::ApprovalRedeem(message))
    }

    /// The control plane says whether it was there to be spent.
    pub(crate) fn redeemed(&mut self, result: &v1::RedeemResult) -> Option<Notice> {
        let id = ApprovalId::parse(&result.id)?;
        let asked = self.redeeming.get_mut(&id)?;
        let place = asked.pop_front()?;
        if asked.is_empty() {
            self.redeeming.remove(&id);
        }
        Some((
            place,
            Event::Redeemed {
                id,
                granted: result.ok,
            },
        ))
    }

    /// The stream broke. Whether a redeem in flight won cannot be known, so it did not;
    /// requests wait for the next stream.
    pub(crate) fn disconnected(&mut self) -> Vec<Notice> {
        let refused = |id| move |place| (place, Event::Redeemed { id, granted: false });
        let lost = std::mem::take(&mut self.redeeming);
        lost.into_iter()
            .flat_map(|(id, places)| places.into_iter().map(refused(id)))
            .collect()
    }

    /// Tells a flow that nobody can be asked.
    pub(crate) fn unavailable(place: Place, request: ApprovalId) -> Notice {
        (
            place,
            Event::Approval {
                request,
                approval: request,
                decision: Decision::Unavailable,
            },
        )
    }

    /// A flow is over: nobody waits there any more.
    pub(crate) fn forget(&mut self, place: Place) -> Vec<v1::FromDataPlane> {
        let gone: Vec<_> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.place == place)
            .map(|(id, _)| *id)
            .collect();
        gone.into_iter()
            .filter_map(|id| self.withdraw(id))
            .collect()
    }
}

fn decision(decided: &v1::ApprovalDecision) -> Option<Decision> {
    match decided.state() {
        v1::ApprovalState::Approved => Some(Decision::Approved {
            approvers: decided
                .approvers
                .iter()
                .map(|name| Arc::from(name.as_str()))
                .collect(),
            groups: decided
                .groups
                .iter()
                .map(|name| Group(name.as_str().into()))
                .collect(),
        }),
        v1::ApprovalState::Denied | v1::ApprovalState::Withdrawn | v1::ApprovalState::Spent => {
            Some(Decision::Denied {
                reason: decided.reason.as_str().into(),
            })
        }
        v1::ApprovalState::Expired => Some(Decision::Expired),
        v1::ApprovalState::Pending | v1::ApprovalState::Unspecified => None,
    }
}

fn request_message(request: &ApprovalRequest) -> v1::FromDataPlane {
    let ApprovalRequest {
        id,
        digest,
        cancel: _,
        definition,
        flow,
        connection,
        principal,
        source,
        operation,
        accesses,
        terms,
    } = request;
    let owner = principal
        .workload
        .as_ref()
        .and_then(|workload| workload.owner.as_deref())
        .unwrap_or_default();
    let message = v1::ApprovalRequest {
        id: id.to_string(),
        digest: digest.0.to_vec(),
        principal: Some(principal_message(principal)),
        owner: owner.to_owned(),
        connection: connection.to_string(),
        operation: operation.clone(),
        accesses: accesses
            .iter()
            .map(|access| access_message(access, connection))
            .collect(),
        approvers: terms.approvers.iter().map(ToString::to_string).collect(),
        quorum: u32::from(terms.quorum),
        reason: terms.reason.to_string(),
        policies: terms
            .policies
            .iter()
            .map(|policy| policy.0.to_string())
            .collect(),
        expires_s: terms.expires_s,
        flow: flow.0,
        source: source.to_string(),
        definition: definition
            .map(|digest| digest.0.to_vec())
            .unwrap_or_default(),
    };
    from(v1::from_data_plane::Message::ApprovalRequest(message))
}

fn access_message(access: &weir_facts::Access, connection: &ConnectionName) -> v1::Access {
    v1::Access {
        action: access.action.as_str().to_owned(),
        resource: access.resource_id(connection),
    }
}

fn principal_message(principal: &Principal) -> v1::Principal {
    v1::Principal {
        workload: principal.workload.as_ref().map(|workload| v1::Workload {
            name: workload.name.to_string(),
            owner: workload.owner.as_deref().unwrap_or_default().to_owned(),
            uid: workload.uid,
            pid: workload.pid,
            cgroup: workload.cgroup.to_string(),
            executable: workload.executable.to_string(),
        }),
        identity: principal.identity.as_ref().map(|identity| v1::Identity {
            issuer: identity.issuer.to_string(),
            subject: identity.subject.to_string(),
            is_service: identity.is_service,
            groups: identity.groups.iter().map(ToString::to_string).collect(),
        }),
        agent: principal
            .agent
            .as_ref()
            .map(|agent| agent.name.to_string())
            .unwrap_or_default(),
    }
}

/// Wraps a message for the stream.
pub(crate) const fn from(message: v1::from_data_plane::Message) -> v1::FromDataPlane {
    v1::FromDataPlane {
        message: Some(message),
    }
}

#[cfg(test)]
mod tests {
    use weir_facts::{FlowId, HoldTerms};

    use super::*;

    fn request(id: u128, cancel: u8) -> ApprovalRequest {
        ApprovalRequest {
            id: ApprovalId(id),
            digest: Digest([1; 32]),
            cancel: Some(Digest([cancel; 32])),
            definition: None,
            flow: FlowId(1),
            connection: ConnectionName::new("crm"),
            principal: Principal {
                workload: None,
                identity: None,
                agent: None,
            },
            source: ([127, 0, 0, 1], 1).into(),
            operation: String::new(),
            accesses: Vec::new(),
            terms: HoldTerms {
                approvers: Vec::new(),
                quorum: 1,
                expires_s: 60,
                reason: "".into(),
                policies: Vec::new(),
            },
        }
    }

    fn place(flow: u64) -> Place {
        Place {
            worker: 0,
            flow: FlowId(flow),
        }
    }

    #[test]
    fn a_flow_that_leaves_ends_nothing_and_one_that_dies_withdraws() {
        let mut approvals = Approvals::default();
        approvals.request(place(1), request(1, 1));
        approvals.request(place(2), request(2, 2));
        approvals.leave(ApprovalId(1));
        assert!(approvals.forget(place(1)).is_empty());
        assert_eq!(approvals.again().len(), 1);
        assert_eq!(approvals.forget(place(2)).len(), 1);
    }

    #[test]
    fn one_of_two_who_ask_the_same_does_not_withdraw_it_from_the_other() {
        let mut approvals = Approvals::default();
        for (flow, id) in [(1, 1), (2, 2)] {
            approvals.request(place(flow), request(id, 1));
            let opened = v1::ApprovalOpened {
                requested: ApprovalId(id).to_string(),
                id: ApprovalId(1).to_string(),
                state: v1::ApprovalState::Pending.into(),
                error: String::new(),
            };
            approvals.opened(&opened);
        }
        assert!(approvals.withdraw(ApprovalId(1)).is_none());
        assert!(approvals.withdraw(ApprovalId(2)).is_some());
    }

    #[test]
    fn a_cancellation_reaches_the_one_flow_that_it_names() {
        let mut approvals = Approvals::default();
        approvals.request(place(1), request(1, 1));
        approvals.request(place(2), request(2, 2));
        approvals.request(place(3), request(3, 2));
        let told = |key: u8| {
            approvals
                .cancel(Digest([key; 32]))
                .map(|(place, _)| place.flow)
        };
        assert_eq!(told(1), Some(FlowId(1)));
        assert_eq!(told(2), None, "two could be meant");
        assert_eq!(told(3), None);
    }
}
