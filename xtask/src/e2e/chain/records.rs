//! What the audit log says of the statements, and what is true.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use crate::stage::{Stage, leaves, until};

/// Where a record of a call is: its flow and its position there.
type CallKey = (String, u64);

/// A statement's INTENT, with what it says and what is true.
pub(super) struct Linked {
    /// Empty where it has no link.
    pub(super) kind: String,
    /// The flow that it was sent on.
    pub(super) flow: String,
    /// The tool that it was sent for.
    tool: String,
    /// The number that its call was made with, where several calls are of one tool.
    number: Option<u64>,
    /// The call that it names.
    call: Option<CallKey>,
    /// The tool of that call.
    named: String,
    /// Whether it was sent while the call that it names was open, or soon after.
    in_time: bool,
}

/// How many name a call that is not theirs.
pub(super) fn wrong(links: &[Linked]) -> usize {
    let is_wrong =
        |link: &&Linked| link.call.is_some() && (link.named != link.tool || !link.in_time);
    links.iter().filter(is_wrong).count()
}

/// How many calls of one tool are confused, where client `c` has made its calls one after the
/// other, on a flow of its own, with the numbers from `c * calls` on: statements of one call that
/// name different ones or another's, or calls that are not in the order of their numbers.
pub(super) fn confused(links: &[Linked], calls: u64) -> usize {
    let mut of_number: BTreeMap<u64, HashSet<&CallKey>> = BTreeMap::new();
    for link in links {
        if let (Some(number), Some(call)) = (link.number, &link.call) {
            of_number.entry(number).or_default().insert(call);
        }
    }
    let mut seen = HashSet::new();
    let mut last: HashMap<u64, &CallKey> = HashMap::new();
    let mut owner: HashMap<&str, u64> = HashMap::new();
    let mut wrong = 0;
    for (number, named) in of_number {
        let client = number / calls;
        let call = named.iter().next().copied();
        let is_right = call.filter(|_| named.len() == 1).is_some_and(|call| {
            let before = last.insert(client, call);
            let follows = before.is_none_or(|last| last.0 == call.0 && last.1 < call.1);
            let is_own = *owner.entry(&call.0).or_insert(client) == client;
            seen.insert(call) && follows && is_own
        });
        wrong += usize::from(!is_right);
    }
    wrong
}

pub(super) fn count(links: &[Linked], kind: &str) -> usize {
    links.iter().filter(|link| link.kind == kind).count()
}

pub(super) fn tell(links: &[Linked]) -> String {
    let of = |kind| count(links, kind);
    format!(
        "{} statements: {} by trace, {} by process, {} ambiguous, {} without; {} wrong",
        links.len(),
        of("trace"),
        of("process"),
        of("ambiguous"),
        of(""),
        wrong(links)
    )
}

/// All records up to now.
pub(in crate::e2e) fn records(stage: &Stage) -> Result<Vec<Value>> {
    leaves::read(&stage.log())
}

/// The statements after the first `before` records, once there are as many as expected.
pub(super) fn settled(stage: &Stage, before: usize, expected: u64) -> Result<Vec<Linked>> {
    until("the records", Duration::from_secs(60), || {
        let all = records(stage)?;
        let links = links(&all, before);
        Ok((links.len() as u64 >= expected).then_some(links))
    })
}

fn key(leaf: &Value) -> Option<CallKey> {
    Some((
        leaf["flow"].as_str()?.to_owned(),
        leaf["operation"].as_u64()?,
    ))
}

fn links(all: &[Value], before: usize) -> Vec<Linked> {
    let mut calls: HashMap<CallKey, (String, u64)> = HashMap::new();
    for leaf in all {
        let summary = leaf["summary"].as_str().unwrap_or_default();
        let tool = summary.strip_prefix("tools/call ");
        if let (Some(tool), "intent", Some(key)) =
            (tool, leaf["kind"].as_str().unwrap_or_default(), key(leaf))
        {
            let at = leaf["time_us"].as_u64().unwrap_or_default();
            calls.insert(key, (tool.to_owned(), at));
        }
    }
    let statements = all.iter().skip(before);
    let statements = statements.filter(|leaf| leaf["kind"] == "intent");
    statements.filter_map(|leaf| linked(leaf, &calls)).collect()
}

/// A statement that the server has sent: it says for which tool, or for which call of `shared`.
fn linked(leaf: &Value, calls: &HashMap<CallKey, (String, u64)>) -> Option<Linked> {
    let (_, rest) = leaf["summary"].as_str()?.split_once(" AS tool_")?;
    let is_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    let name: String = rest.chars().take_while(is_name).collect();
    let (tool, number) = match name.strip_prefix("shared_") {
        Some(number) => ("shared".to_owned(), number.parse().ok()),
        None => (format!("t{name}"), None),
    };
    let link = &leaf["link"];
    let named = key(link);
    let call = named.as_ref().and_then(|named| calls.get(named));
    let at = leaf["time_us"].as_u64().unwrap_or_default();
    Some(Linked {
        kind: link["kind"].as_str().unwrap_or_default().to_owned(),
        flow: leaf["flow"].as_str().unwrap_or_default().to_owned(),
        tool,
        number,
        named: call.map(|(tool, _)| tool.clone()).unwrap_or_default(),
        in_time: call.is_some_and(|(_, since)| *since <= at),
        call: named,
    })
}
