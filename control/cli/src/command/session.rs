use reqwest::Method;
use weir_api::http::{Event, Session, SessionDetail};

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
    match (session.identity.as_str(), session.workload.as_str()) {
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
        detail.next = more.next;
    }
    let rows = detail.events.iter().map(|event| {
        [
            event.index.to_string(),
            when_us(event.at_us),
            event.kind.clone(),
            event.verdict.clone(),
            told(event),
            one_line(&event.summary),
        ]
    });
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

/// What a record says beside the operation.
fn told(event: &Event) -> String {
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
        event.reason.clone(),
    ];
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}
