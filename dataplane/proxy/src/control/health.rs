//! What this data plane knows of itself, as the control plane is told.

use weir_api::v1;
use weir_handover::{CanaryState, GuardState, HealthReport};

use crate::relay::Worker;

/// The report of this moment.
pub(crate) fn report(
    redirect: Option<&HealthReport>,
    workers: &[Worker],
    active_flows: u64,
    epoch: u64,
    log_size: u64,
) -> v1::Health {
    let mut counters: Vec<v1::Counter> = Vec::new();
    for (name, _, value) in workers.iter().flat_map(|worker| worker.counters.iter()) {
        match counters.iter_mut().find(|counter| counter.name == name) {
            Some(counter) => counter.value += value,
            None => counters.push(v1::Counter {
                name: name.to_owned(),
                value,
            }),
        }
    }
    if let Some(redirect) = redirect {
        counters.extend(redirect.counters.iter().map(|counter| v1::Counter {
            name: counter.name.clone(),
            value: counter.value,
        }));
    }
    v1::Health {
        guards: redirect.map(guards).unwrap_or_default(),
        canary: Some(canary(redirect)),
        counters,
        active_flows,
        epoch,
        log_size,
        at: super::unix_seconds(),
        kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")
            .unwrap_or_default()
            .trim()
            .to_owned(),
    }
}

fn guards(redirect: &HealthReport) -> Vec<v1::GuardHealth> {
    let guard = |guard: &weir_handover::GuardReport| {
        let mode = match guard.state {
            GuardState::Enforce => v1::GuardMode::Enforce,
            GuardState::Observe => v1::GuardMode::Observe,
        };
        v1::GuardHealth {
            name: guard.name.clone(),
            cgroup: guard.cgroup.clone(),
            mode: mode.into(),
            attached: guard.attached,
            detail: guard.detail.clone(),
        }
    };
    redirect.guards.iter().map(guard).collect()
}

fn canary(redirect: Option<&HealthReport>) -> v1::Canary {
    let Some(redirect) = redirect else {
        let state = v1::CanaryState::NotApplicable.into();
        return v1::Canary {
            state,
            at: 0,
            detail: "no redirect: explicit listeners only".to_owned(),
        };
    };
    let state = match redirect.canary.state {
        CanaryState::Passed => v1::CanaryState::Passed,
        CanaryState::Failed => v1::CanaryState::Failed,
        CanaryState::Pending => v1::CanaryState::Unspecified,
        CanaryState::NotApplicable => v1::CanaryState::NotApplicable,
    };
    v1::Canary {
        state: state.into(),
        at: redirect.canary.at,
        detail: redirect.canary.detail.clone(),
    }
}
