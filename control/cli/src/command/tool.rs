use reqwest::Method;
use weir_api::http::{ToolApproval, ToolChoice, ToolDetail, ToolView};

use super::login::or_none;
use crate::arguments::Tools;
use crate::client::{Client, NOTHING};
use crate::output::{Output, lines, one_line, when};

/// Digits of a definition that are shown: enough to name it.
const DIGITS: usize = 16;

/// Definitions of tools.
pub(crate) async fn run(client: &Client, out: Output, command: Tools) -> anyhow::Result<()> {
    match command {
        Tools::List { connection } => list(client, out, &connection).await,
        Tools::Show { connection, tool } => {
            let path = ["connections", &connection, "tool"];
            let detail: ToolDetail = client
                .ask(Method::GET, &path, &[("name", &tool)], NOTHING)
                .await?;
            out.text(&detail, &full(&connection, &detail))
        }
        Tools::Approve {
            connection,
            tools,
            reason,
        } => approve(client, out, &connection, tools, reason).await,
    }
}

async fn list(client: &Client, out: Output, connection: &str) -> anyhow::Result<()> {
    let tools: Vec<ToolView> = client.get(&["connections", connection, "tools"]).await?;
    let rows = tools.iter().map(|tool| {
        [
            tool.name.clone(),
            state(tool).to_owned(),
            short(tool.approved.as_deref()),
            short(tool.pending.as_deref()),
            when(tool.first_seen),
            tool.decided_by.clone().unwrap_or_default(),
            tool.doubt.clone(),
        ]
    });
    let heads = [
        "TOOL",
        "STATE",
        "IN USE",
        "WAITS",
        "FIRST SEEN",
        "APPROVED BY",
        "WHY",
    ];
    out.table(&tools, heads, rows)
}

async fn approve(
    client: &Client,
    out: Output,
    connection: &str,
    tools: Vec<(String, String)>,
    reason: String,
) -> anyhow::Result<()> {
    let choices = tools
        .into_iter()
        .map(|(name, definition)| ToolChoice { name, definition });
    let approval = ToolApproval {
        tools: choices.collect(),
        reason,
    };
    let path = ["connections", connection, "tools", "approve"];
    let approved: Vec<ToolView> = client
        .ask(Method::POST, &path, &[], Some(&approval))
        .await?;
    let names: Vec<String> = approved.into_iter().map(|tool| tool.name).collect();
    out.done(&format!("approved {}", one_line(&or_none(&names))))
}

fn state(tool: &ToolView) -> &'static str {
    match (tool.quarantined, &tool.decided) {
        (true, _) => "quarantined",
        (false, Some(_)) => "approved",
        (false, None) => "first sight",
    }
}

fn short(digest: Option<&str>) -> String {
    digest.unwrap_or_default().chars().take(DIGITS).collect()
}

fn full(connection: &str, detail: &ToolDetail) -> String {
    let tool = &detail.tool;
    let mut text = format!(
        "tool        {} of {connection}\nstate       {}\n",
        one_line(&tool.name),
        state(tool)
    );
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            text.push_str(&format!("{name:<12}{}\n", one_line(&value)));
        }
    };
    line("why", Some(tool.doubt.clone()));
    line("first seen", Some(when(tool.first_seen)));
    line("seen by", Some(tool.node.clone()));
    line("in use", tool.approved.clone());
    line("approved", tool.decided.map(when));
    line("by", tool.decided_by.clone());
    line("reason", Some(tool.reason.clone()));
    line("waits", tool.pending.clone());
    line("since", tool.changed.map(when));
    text.push('\n');
    let Some(pending) = &tool.pending else {
        return text + &lines(&detail.approved) + "\n";
    };
    for line in &detail.diff {
        text.push_str(&lines(line));
        text.push('\n');
    }
    if detail.pending.is_empty() {
        text.push_str(
            "The definition that waits is too large to be shown, and cannot be approved.\n",
        );
        return text;
    }
    let name = shell(&tool.name);
    let approve = |digest: &str| {
        format!(
            "  weir tools approve {connection} {name}@{} --reason …\n",
            short(Some(digest))
        )
    };
    text.push_str(&format!(
        "\nTo use the new definition:\n{}",
        approve(pending)
    ));
    if let Some(approved) = &tool.approved {
        text.push_str(&format!("To keep the old one:\n{}", approve(approved)));
    }
    text
}

/// A name as a shell takes it.
fn shell(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    if name.chars().all(is_plain) {
        name.to_owned()
    } else {
        format!("'{}'", lines(name).replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_shown_with_the_command_that_decides() {
        let detail = ToolDetail {
            tool: ToolView {
                name: "it's".to_owned(),
                quarantined: true,
                doubt: "its definition has changed".to_owned(),
                approved: Some("a".repeat(64)),
                pending: Some("b".repeat(64)),
                node: "gw1".to_owned(),
                first_seen: 0,
                changed: Some(1),
                decided: None,
                decided_by: None,
                reason: String::new(),
            },
            approved: "old".to_owned(),
            pending: "new\u{1b}".to_owned(),
            diff: vec!["-old".to_owned(), "+new\u{1b}[8m".to_owned()],
        };
        let text = full("crm", &detail);
        assert!(text.contains("-old\n+new\u{fffd}[8m\n"), "{text}");
        assert!(
            text.contains(r"weir tools approve crm 'it'\''s'@bbbbbbbbbbbbbbbb --reason"),
            "{text}"
        );
        assert!(text.contains("@aaaaaaaaaaaaaaaa --reason"), "{text}");
    }
}
