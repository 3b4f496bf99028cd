use reqwest::Method;
use weir_api::http::{Approval, ApprovalState, Decision, Requester};

use super::login::{or_none, word};
use crate::arguments::Approvals;
use crate::client::{Client, NOTHING};
use crate::output::{Output, lines, one_line, when};

/// What waits for people.
pub(crate) async fn run(client: &Client, out: Output, command: Approvals) -> anyhow::Result<()> {
    match command {
        Approvals::List { all } => list(client, out, all).await,
        Approvals::Show { id } => {
            let approval: Approval = client.get(&["approvals", &id]).await?;
            out.text(&approval, &full(&approval))
        }
        Approvals::Approve { id, reason } => decide(client, out, &id, "approve", reason).await,
        Approvals::Deny { id, reason } => decide(client, out, &id, "deny", reason).await,
    }
}

async fn list(client: &Client, out: Output, all: bool) -> anyhow::Result<()> {
    let pending = [("state", "pending")];
    let query: &[(&str, &str)] = if all { &[] } else { &pending };
    let approvals: Vec<Approval> = client
        .ask(Method::GET, &["approvals"], query, NOTHING)
        .await?;
    let rows = approvals.iter().map(|approval| {
        let mine = if approval.hindrance.is_none() {
            "you"
        } else {
            "others"
        };
        let decides = if approval.state == ApprovalState::Pending {
            mine
        } else {
            ""
        };
        [
            approval.id.clone(),
            word(&approval.state),
            who(&approval.requester),
            approval.connection.clone(),
            short(&approval.operation),
            when(approval.expires),
            decides.to_owned(),
        ]
    });
    out.table(
        &approvals,
        [
            "ID",
            "STATE",
            "WHO",
            "CONNECTION",
            "OPERATION",
            "UNTIL",
            "DECIDES",
        ],
        rows,
    )
}

async fn decide(
    client: &Client,
    out: Output,
    id: &str,
    verb: &str,
    reason: String,
) -> anyhow::Result<()> {
    let decision = Decision { reason };
    let approval: Approval = client
        .ask(Method::POST, &["approvals", id, verb], &[], Some(&decision))
        .await?;
    let text = match approval.state {
        ApprovalState::Pending => {
            format!(
                "recorded; it waits for more of {}\n",
                or_none(&approval.approvers)
            )
        }
        state => format!("{}: {}\n", word(&state), one_line(&approval.operation)),
    };
    out.text(&approval, &text)
}

fn who(requester: &Requester) -> String {
    let parts = [
        requester.subject.clone(),
        requester
            .agent
            .as_ref()
            .map(|agent| format!("agent {agent}")),
        requester
            .workload
            .as_ref()
            .map(|workload| format!("workload {workload}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn short(operation: &str) -> String {
    const WIDTH: usize = 60;
    let line = one_line(operation);
    if line.chars().count() <= WIDTH {
        line
    } else {
        line.chars().take(WIDTH - 1).chain(['…']).collect()
    }
}

fn full(approval: &Approval) -> String {
    let accesses: String = approval
        .accesses
        .iter()
        .map(|access| format!("           {} on {}\n", access.action, access.resource))
        .collect();
    let votes: String = approval
        .votes
        .iter()
        .map(|vote| {
            let said = if vote.approved { "approved" } else { "denied" };
            format!(
                "           {} {said} {} {}\n",
                vote.account,
                when(vote.at),
                one_line(&vote.reason)
            )
        })
        .collect();
    let definition = approval
        .definition
        .as_ref()
        .map_or_else(String::new, |digest| {
            let since = approval.definition_since.map_or_else(
                || "not in use any more".to_owned(),
                |at| format!("in use since {}", when(at)),
            );
            format!("definition {digest}, {since}\n")
        });
    format!(
        "id         {}\nstate      {}\nwho        {}\nowner      {}\nfrom       {} on {}\nconnection {}\n\
         asks for\n{accesses}because    {} ({})\napprovers  {} of each: {}\nasked      {}\nuntil      {}\n{definition}digest     {}\n\
         said\n{votes}you        {}\n\n{}\n",
        approval.id,
        word(&approval.state),
        who(&approval.requester),
        approval.owner.as_deref().unwrap_or("none"),
        approval.source,
        approval.node,
        approval.connection,
        one_line(&approval.reason),
        or_none(&approval.policies),
        approval.quorum,
        or_none(&approval.approvers),
        when(approval.created),
        when(approval.expires),
        approval.digest,
        approval.hindrance.as_deref().unwrap_or("may decide"),
        lines(&approval.operation),
    )
}
