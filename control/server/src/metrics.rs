//! Numbers for `/metrics`, in the Prometheus text format (version 0.0.4).

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what happens. Nothing here names a person or an operation.
#[derive(Default)]
pub(crate) struct Metrics {
    pub(crate) updates: AtomicU64,
    pub(crate) acks: AtomicU64,
    pub(crate) nacks: AtomicU64,
    pub(crate) approvals_opened: AtomicU64,
    pub(crate) approvals_refused: AtomicU64,
    pub(crate) redeems_won: AtomicU64,
    pub(crate) redeems_lost: AtomicU64,
    pub(crate) leaves: AtomicU64,
    pub(crate) alerts: AtomicU64,
    pub(crate) logins_refused: AtomicU64,
}

/// What is asked of the store and the hub when the numbers are read.
pub(crate) struct Gauges {
    pub(crate) nodes: u64,
    pub(crate) nodes_connected: u64,
    pub(crate) nodes_rejecting: u64,
    pub(crate) approvals_pending: u64,
}

impl Metrics {
    /// One more.
    pub(crate) fn count(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    /// All numbers as text.
    pub(crate) fn render(&self, gauges: &Gauges) -> String {
        let mut text = String::new();
        let counters = [
            (
                "weir_control_updates_total",
                "Worlds sent to data planes.",
                &self.updates,
            ),
            (
                "weir_control_acks_total",
                "Worlds that data planes put in force.",
                &self.acks,
            ),
            (
                "weir_control_nacks_total",
                "Worlds that data planes refused.",
                &self.nacks,
            ),
            (
                "weir_control_approvals_opened_total",
                "Requests for approval stored.",
                &self.approvals_opened,
            ),
            (
                "weir_control_approvals_refused_total",
                "Requests for approval refused.",
                &self.approvals_refused,
            ),
            (
                "weir_control_redeems_won_total",
                "Approvals spent.",
                &self.redeems_won,
            ),
            (
                "weir_control_redeems_lost_total",
                "Redeems refused.",
                &self.redeems_lost,
            ),
            (
                "weir_control_leaves_total",
                "Audit leaves stored.",
                &self.leaves,
            ),
            (
                "weir_control_alerts_total",
                "Contradictions in shipped audit logs.",
                &self.alerts,
            ),
            (
                "weir_control_logins_refused_total",
                "Requests and streams without a valid token.",
                &self.logins_refused,
            ),
        ];
        for (name, help, counter) in counters {
            line(
                &mut text,
                name,
                help,
                "counter",
                counter.load(Ordering::Relaxed),
            );
        }
        let gauges = [
            ("weir_control_nodes", "Nodes registered.", gauges.nodes),
            (
                "weir_control_nodes_connected",
                "Nodes whose stream is open.",
                gauges.nodes_connected,
            ),
            (
                "weir_control_nodes_rejecting",
                "Nodes that refused the newest world.",
                gauges.nodes_rejecting,
            ),
            (
                "weir_control_approvals_pending",
                "Requests that wait for people.",
                gauges.approvals_pending,
            ),
        ];
        for (name, help, value) in gauges {
            line(&mut text, name, help, "gauge", value);
        }
        text
    }
}

fn line(text: &mut String, name: &str, help: &str, kind: &str, value: u64) {
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
    );
}
