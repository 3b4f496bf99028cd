use reqwest::Method;
use weir_api::http::{Caused, Event, Session, SessionDetail};

use crate::arguments::Sessions;
use crate::client::{Client, NOTHING};
use crate::output::{Output, one_line, when_us};

/// Pages fetched for one session at most: 50,000 records; more is asked for with JSON.
const PAGES_MAX: usize = 100;

/// Who did what.
pub(crate) async fn run(client: &Client, out: Output, command: Sessions) -> anyhow::Result<()> {
    match command {
        Sessions::List {
            who,
            connection,
            limit,
        } => list(client, out, &who, &connection, limit).await,
        Sessions::Show { id } => show(client, out, &id).await,
    }
}

async fn list(
    client: &Client,
    out: Output,
    who: &str,
    connection: &str,
    limit: u32,
) -> anyhow::Result<()> {
    let limit = limit.to_string();
    let query = [("who", who), ("connection", connection), ("limit", &limit)];
    let sessions: Vec<Session> = client
        .ask(Method::GET, &["sessions"], &query, NOTHING)
        .await?;
    let rows = sessions.iter().map(|session| {
        [
            session.id.clone(),
            when_us(session.started_us),
            person(session),
            session.connection.clone(),
            session.operations.to_string(),
            session.refused.to_string(),
            session.held.to_string(),
            session.masked.to_string(),
            session.rows.to_string(),
        ]
    });
    let heads = [
        "ID",
        "STARTED",
        "WHO",
        "CONNECTION",
        "OPERATIONS",
        "REFUSED",
        "HELD",
        "MASKED",
        "ROWS",
    ];
    out.table(&sessions, heads, rows)
}

fn person(session: &Session) -> String {
    who(&session.identity, &session.workload)
}

fn who(identity: &str, workload: &str) -> String {
    match (identity, workload) {
        ("", "") => "unknown".to_owned(),
        (identity, "") => identity.to_owned(),
        ("", workload) => format!("workload {workload}"),
        (identity, workload) => format!("{identity} by {workload}"),
    }
}

async fn show(client: &Client, out: Output, id: &str) -> anyhow::Result<()> {
    let mut detail: SessionDetail = client.get(&["sessions", id]).await?;
    for _ in 1..PAGES_MAX {
        let Some(next) = detail.next else { break };
        let from = next.to_string();
        let more: SessionDetail = client
            .ask(Method::GET, &["sessions", id], &[("from", &from)], NOTHING)
            .await?;
        detail.events.extend(more.events);
        detail.caused.extend(more.caused);
        detail.next = more.next;
    }
    let rows = tree(&detail);
    if detail.next.is_some() {
        eprintln!(
            "there is more; these are the first {} records",
            detail.events.len()
        );
    }
    out.table(
        &detail,
        ["LEAF", "WHEN", "KIND", "VERDICT", "TOLD", "OPERATION"],
        rows,
    )
}

/// Every record, and below the intent of a call what it caused in other sessions.
fn tree(detail: &SessionDetail) -> Vec<[String; 6]> {
    let mut rows = Vec::new();
    for event in &detail.events {
        rows.push(row(event, told(event), one_line(&event.summary)));
        if event.kind != "intent" {
            continue;
        }
        let caused: Vec<&Caused> = detail
            .caused
            .iter()
            .filter(|caused| caused.by == event.operation)
            .collect();
        for (position, below) in caused.iter().enumerate() {
            let branch = if position + 1 == caused.len() {
                "└─"
            } else {
                "├─"
            };
            let summary = one_line(&below.event.summary);
            rows.push(row(
                &below.event,
                told_of(below),
                format!("{branch} {summary}").trim_end().to_owned(),
            ));
        }
    }
    rows
}

fn row(event: &Event, told: String, operation: String) -> [String; 6] {
    [
        event.index.to_string(),
        when_us(event.at_us),
        event.kind.clone(),
        event.verdict.clone(),
        told,
        operation,
    ]
}

/// What a record of another session says: whose it is, where, and how it is known to be caused
/// by the call.
fn told_of(caused: &Caused) -> String {
    let who = who(&caused.identity, &caused.workload);
    let mut parts = vec![format!(
        "{who} on {} in {}",
        caused.connection, caused.session
    )];
    if let Some(link) = &caused.event.link {
        parts.push(format!("by {}", link.kind));
    }
    parts.extend(parts_of(&caused.event));
    parts.join("; ")
}

/// What a record says beside the operation.
fn told(event: &Event) -> String {
    let cause = event.link.as_ref().map(|link| match link.candidates {
        0 => format!(
            "caused by call {} of {} (by {})",
            link.operation, link.session, link.kind
        ),
        1 => "caused by a call that is not known for certain (ambiguous)".to_owned(),
        many => format!("caused by one of {many} calls (ambiguous)"),
    });
    let parts = parts_of(event).into_iter().chain(cause);
    parts.collect::<Vec<_>>().join("; ")
}

fn parts_of(event: &Event) -> Vec<String> {
    let masked: Vec<String> = event
        .masked
        .iter()
        .map(|masked| format!("{}={}", masked.what, masked.rule))
        .collect();
    let parts = [
        event.outcome.clone(),
        if event.rows > 0 {
            format!("{} rows", event.rows)
        } else {
            String::new()
        },
        if masked.is_empty() {
            String::new()
        } else {
            format!("masked {}", masked.join(" "))
        },
        if event.approvers.is_empty() {
            String::new()
        } else {
            format!("approved by {}", event.approvers.join(" "))
        },
        if event.approval.is_empty() {
            String::new()
        } else {
            format!("approval {}", event.approval)
        },
        event.reason.clone(),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_api::http::{Link, Masked};

    fn event(index: u64, kind: &str, operation: u64, summary: &str) -> Event {
        Event {
            index,
            kind: kind.into(),
            at_us: 0,
            operation,
            summary: summary.into(),
            verdict: "allow".into(),
            policies: Vec::new(),
            reason: String::new(),
            approval: String::new(),
            approvers: Vec::new(),
            link: None,
            masked: Vec::new(),
            rows: 0,
            outcome: String::new(),
            duration_us: 0,
        }
    }

    #[test]
    fn a_link_tells_how_it_is_known_and_an_ambiguous_one_that_it_is() {
        let of = |kind: &str, candidates| Event {
            link: Some(Link {
                kind: kind.into(),
                session: if candidates == 0 { "n1.07" } else { "" }.into(),
                operation: 4,
                candidates,
            }),
            ..event(1, "intent", 1, "SELECT 1")
        };
        for (event, expected) in [
            (of("trace", 0), "caused by call 4 of n1.07 (by trace)"),
            (of("process", 0), "caused by call 4 of n1.07 (by process)"),
            (of("ambiguous", 3), "caused by one of 3 calls (ambiguous)"),
            (
                of("ambiguous", 1),
                "caused by a call that is not known for certain (ambiguous)",
            ),
        ] {
            assert_eq!(told(&event), expected);
        }
    }

    #[test]
    fn what_a_call_caused_stands_below_its_intent() {
        let caused = |index, kind: &str, summary: &str| Caused {
            by: 1,
            session: "n1.0000000000000009".into(),
            identity: String::new(),
            workload: "toolbox".into(),
            connection: "prod-pg".into(),
            event: Event {
                link: Some(Link {
                    kind: "process".into(),
                    session: "n1.0000000000000007".into(),
                    operation: 1,
                    candidates: 0,
                }),
                masked: vec![Masked {
                    what: "prod-pg/public/customers/ssn".into(),
                    rule: "keep_last:4".into(),
                }],
                ..event(index, kind, 4, summary)
            },
        };
        let detail = SessionDetail {
            session: serde_json::from_value(serde_json::json!({
                "id": "n1.0000000000000007", "node": "n1", "flow": "0000000000000007",
                "started_us": 0, "last_us": 0, "closed": false, "identity": "ada", "workload": "",
                "connection": "tools", "protocol": "mcp", "source": "", "operations": 2,
                "refused": 0, "held": 0, "masked": 0, "rows": 0
            }))
            .expect("a session"),
            events: vec![
                event(0, "intent", 1, "tools/call lookup"),
                event(3, "outcome", 1, "tools/call lookup"),
                event(4, "intent", 2, "tools/call other"),
            ],
            caused: vec![
                caused(1, "intent", "SELECT ssn FROM customers"),
                caused(2, "outcome", ""),
            ],
            next: None,
        };
        let rows = tree(&detail);
        let shown: Vec<_> = rows.iter().map(|row| (&*row[0], &*row[5])).collect();
        let expected = [
            ("0", "tools/call lookup"),
            ("1", "├─ SELECT ssn FROM customers"),
            ("2", "└─"),
            ("3", "tools/call lookup"),
            ("4", "tools/call other"),
        ];
        assert_eq!(shown, expected);
        let told = &rows[1][4];
        for part in [
            "workload toolbox on prod-pg in n1.0000000000000009",
            "by process",
            "masked prod-pg/public/customers/ssn=keep_last:4",
        ] {
            assert!(told.contains(part), "{told}");
        }
    }
}
