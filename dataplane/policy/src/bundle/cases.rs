//! `tests/*.toml`: what people expect of their policies.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde::Deserialize;
use weir_facts::{
    Access, Action, Agent, ConnectionName, Group, Identity, Now, PolicyId, Principal, Resource,
    Reveal, Verdict, Workload,
};

use super::Bundle;
use super::fault::{Faults, line_of};
use super::masks::{column_name, relation_name};
use super::schema::action_named;
use crate::{
    ClockTrust, ConnectionFacts, ConnectionKind, Directory, JudgeContext, Snapshot, Value,
};

/// What became of one test of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    /// The file that it stands in.
    pub file: String,
    /// Its line, from 1.
    pub line: u32,
    /// Its name.
    pub name: String,
    /// What it expects.
    pub expected: String,
    /// What policy says.
    pub got: String,
    /// Whether both are the same.
    pub passed: bool,
}

/// One test, read.
#[derive(Clone, Debug)]
pub(super) struct Case {
    file: String,
    line: u32,
    name: String,
    who: Principal,
    on: ConnectionName,
    access: Access,
    tool: String,
    circumstances: Circumstances,
    expect: String,
    policies: Option<Vec<PolicyId>>,
    reason: Option<String>,
}

#[derive(Clone, Debug)]
struct Circumstances {
    unix_us: u64,
    source: IpAddr,
    approvals: Vec<Group>,
    scopes: Vec<Arc<str>>,
    in_transaction: bool,
    has_where: bool,
    database: String,
    role: String,
    arguments: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    test: Vec<toml::Spanned<Written>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    principal: WrittenPrincipal,
    connection: String,
    action: String,
    /// `connection`, or a kind and a name: `table:public.customers`.
    resource: String,
    #[serde(default)]
    context: WrittenContext,
    /// `allow`, `hold`, `step_up`, `deny`, `clear` or `mask:RULE`.
    expect: String,
    policies: Option<Vec<String>>,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPrincipal {
    user: Option<String>,
    service: Option<String>,
    issuer: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    workload: Option<WrittenWorkload>,
    agent: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenWorkload {
    name: String,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
    #[serde(default)]
    cgroup: String,
    #[serde(default)]
    executable: String,
    owner: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenContext {
    at: Option<String>,
    source_ip: Option<IpAddr>,
    #[serde(default)]
    approvals: Vec<String>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    in_transaction: bool,
    has_where: Option<bool>,
    #[serde(default)]
    database: String,
    #[serde(default)]
    role: String,
    arguments: Option<toml::Table>,
    #[serde(default)]
    tool: String,
}

impl Case {
    pub(super) fn policies(&self) -> &[PolicyId] {
        self.policies.as_deref().unwrap_or_default()
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }

    pub(super) const fn line(&self) -> u32 {
        self.line
    }
}

/// A Monday at noon, UTC: where a test does not say when.
const AT_DEFAULT: &str = "2026-11-16T12:00:00Z";

pub(super) fn parse(path: &str, text: &str, faults: &mut Faults) -> Vec<Case> {
    let file: File = match toml::from_str(text) {
        Ok(file) => file,
        Err(error) => {
            let line = error.span().map_or(0, |span| line_of(text, span.start));
            faults.add(path, line, error.message());
            return Vec::new();
        }
    };
    let mut cases = Vec::new();
    for written in file.test {
        let line = line_of(text, written.span().start);
        match case(path, line, written.into_inner()) {
            Ok(case) => cases.push(case),
            Err(message) => faults.add(path, line, message),
        }
    }
    cases
}

fn case(file: &str, line: u32, written: Written) -> Result<Case, String> {
    let action =
        action_named(&written.action).ok_or_else(|| format!("no action {:?}", written.action))?;
    let resource = resource(&written.resource)?;
    let expect = written.expect;
    if !matches!(
        expect.as_str(),
        "allow" | "hold" | "step_up" | "deny" | "clear"
    ) {
        let rule = expect
            .strip_prefix("mask:")
            .ok_or("expect must be allow, hold, step_up, deny, clear or mask:RULE")?;
        rule.parse::<weir_facts::MaskRule>()
            .map_err(|error| error.to_string())?;
    }
    let mut policies: Option<Vec<PolicyId>> = written
        .policies
        .map(|ids| ids.iter().map(|id| PolicyId(id.as_str().into())).collect());
    policies.iter_mut().for_each(|ids| ids.sort_unstable());
    let cx = written.context;
    let at = cx.at.as_deref().unwrap_or(AT_DEFAULT);
    let at: jiff::Timestamp = at
        .parse()
        .map_err(|error| format!("at = {at:?}: {error}"))?;
    Ok(Case {
        file: file.to_owned(),
        line,
        name: written.name,
        who: principal(written.principal)?,
        on: ConnectionName::new(&written.connection),
        access: Access { action, resource },
        tool: cx.tool,
        circumstances: Circumstances {
            unix_us: u64::try_from(at.as_microsecond()).map_err(|_| "at is before 1970")?,
            source: cx.source_ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            approvals: groups(&cx.approvals),
            scopes: cx.scopes.into_iter().map(Arc::from).collect(),
            in_transaction: cx.in_transaction,
            has_where: cx.has_where.unwrap_or(true),
            database: cx.database,
            role: cx.role,
            arguments: cx.arguments.map(|table| object(&table)).transpose()?,
        },
        expect,
        policies,
        reason: written.reason,
    })
}

fn groups(names: &[String]) -> Vec<Group> {
    names
        .iter()
        .map(|name| Group(name.as_str().into()))
        .collect()
}

fn principal(written: WrittenPrincipal) -> Result<Principal, String> {
    let (subject, is_service) = match (written.user, written.service) {
        (Some(_), Some(_)) => return Err("a principal is a user or a service, not both".to_owned()),
        (Some(user), None) => (Some(user), false),
        (None, service) => (service, true),
    };
    if subject.is_none() && !written.groups.is_empty() {
        return Err("groups belong to a user or a service; a workload has its own".to_owned());
    }
    let issuer = written.issuer.unwrap_or_else(|| "weir".to_owned());
    let identity = subject.map(|subject| {
        let (issuer, subject) = (issuer.into(), subject.into());
        Arc::new(Identity {
            issuer,
            subject,
            is_service,
            groups: groups(&written.groups),
        })
    });
    let workload = written.workload.map(|workload| {
        Arc::new(Workload {
            name: workload.name.into(),
            groups: groups(&workload.groups),
            owner: workload.owner.map(Arc::from),
            uid: workload.uid,
            gid: workload.gid,
            pid: 1,
            cgroup: workload.cgroup.into(),
            executable: workload.executable.into(),
            executable_digest: None,
            lineage: Arc::default(),
        })
    });
    let agent = written
        .agent
        .map(|name| Arc::new(Agent { name: name.into() }));
    Ok(Principal {
        workload,
        identity,
        agent,
    })
}

fn resource(text: &str) -> Result<Resource, String> {
    if text == "connection" {
        return Ok(Resource::Connection);
    }
    let kinds =
        "connection, table:, column:, function:, parameter:, tool:, uri:, prompt: or class:";
    let (kind, name) = text
        .split_once(':')
        .ok_or_else(|| format!("resource {text:?} must be {kinds}"))?;
    let relation = || relation_name(name).ok_or_else(|| format!("{name:?} is not schema.name"));
    match kind {
        "table" => Ok(Resource::Table(relation()?)),
        "function" => Ok(Resource::Function(relation()?)),
        "column" => column_name(name)
            .map(Resource::Column)
            .ok_or_else(|| format!("{name:?} is not schema.table.column")),
        "parameter" => Ok(Resource::Parameter(name.into())),
        "tool" => Ok(Resource::Tool(name.into())),
        "uri" => Ok(Resource::McpResource(name.into())),
        "prompt" => Ok(Resource::Prompt(name.into())),
        "class" => Ok(Resource::DataClass(name.into())),
        _ => Err(format!("resource {text:?} must be {kinds}")),
    }
}

fn object(table: &toml::Table) -> Result<Value, String> {
    let members = table
        .iter()
        .map(|(name, value)| Ok((name.as_str().into(), self::value(value)?)));
    Ok(Value::Object(members.collect::<Result<_, String>>()?))
}

fn value(written: &toml::Value) -> Result<Value, String> {
    Ok(match written {
        toml::Value::String(text) => Value::String(text.as_str().into()),
        toml::Value::Integer(number) => Value::Long(*number),
        toml::Value::Float(number) => Value::Number(number.to_string().into()),
        toml::Value::Boolean(truth) => Value::Bool(*truth),
        toml::Value::Array(items) => {
            Value::Array(items.iter().map(value).collect::<Result<_, _>>()?)
        }
        toml::Value::Table(table) => object(table)?,
        toml::Value::Datetime(_) => return Err("JSON has no date; write a string".to_owned()),
    })
}

/// Runs every test against the bundle compiled for the connections that tests name.
pub(super) fn run(bundle: &Bundle) -> Vec<TestResult> {
    let mut connections: BTreeMap<&ConnectionName, ConnectionKind> = BTreeMap::new();
    for case in &bundle.cases {
        let mcp = case.access.action.as_str().starts_with("mcp.");
        let kind = if mcp {
            ConnectionKind::Mcp
        } else {
            ConnectionKind::Postgres
        };
        connections.entry(&case.on).or_insert(kind);
    }
    let facts: Vec<ConnectionFacts> = connections
        .into_iter()
        .filter_map(|(name, kind)| {
            let env = bundle
                .masks
                .connections
                .get(name)
                .and_then(|masks| masks.env.as_deref())
                .unwrap_or_default();
            ConnectionFacts::new(name.clone(), kind, env, None).ok()
        })
        .collect();
    let snapshot = Snapshot::compile(Arc::new(bundle.clone()), &facts, Directory::default());
    bundle
        .cases
        .iter()
        .map(|case| run_one(&snapshot, case))
        .collect()
}

fn run_one(snapshot: &Snapshot, case: &Case) -> TestResult {
    let told = &case.circumstances;
    let cx = JudgeContext {
        now: Now {
            mono_ns: 0,
            unix_us: told.unix_us,
        },
        clock: ClockTrust::Trusted,
        source: told.source,
        approvals: &told.approvals,
        scopes: &told.scopes,
        in_transaction: told.in_transaction,
        has_where: told.has_where,
        database: &told.database,
        role: &told.role,
        arguments: told.arguments.as_ref(),
    };
    let (verdict, policies, reason) = match (&case.access.action, &case.access.resource) {
        (Action::PgReveal, Resource::Column(column)) => {
            revealed(snapshot.reveal(&case.who, &case.on, column, &cx))
        }
        (Action::PgReveal, Resource::DataClass(class)) => {
            revealed(snapshot.reveal_detected(&case.who, &case.on, class, &cx))
        }
        (Action::McpReveal, Resource::DataClass(class)) => {
            revealed(snapshot.reveal_class(&case.who, &case.on, class, &case.tool, &cx))
        }
        _ => judged(snapshot.judge(&case.who, &case.on, std::slice::from_ref(&case.access), &cx)),
    };
    let same_policies = case
        .policies
        .as_ref()
        .is_none_or(|expected| *expected == policies);
    let same_reason = case
        .reason
        .as_ref()
        .is_none_or(|expected| reason.as_ref() == Some(expected));
    let passed = case.expect == verdict && same_policies && same_reason;
    let list = |ids: &[PolicyId]| ids.iter().map(|id| &*id.0).collect::<Vec<_>>().join(", ");
    let mut expected = case.expect.clone();
    if let Some(policies) = &case.policies {
        expected.push_str(&format!(" by [{}]", list(policies)));
    }
    if let Some(reason) = &case.reason {
        expected.push_str(&format!(": {reason}"));
    }
    let mut got = format!("{verdict} by [{}]", list(&policies));
    if let Some(reason) = reason {
        got.push_str(&format!(": {reason}"));
    }
    TestResult {
        file: case.file.clone(),
        line: case.line,
        name: case.name.clone(),
        expected,
        got,
        passed,
    }
}

type Told = (String, Vec<PolicyId>, Option<String>);

fn revealed(reveal: Reveal) -> Told {
    match reveal {
        Reveal::Clear => ("clear".to_owned(), Vec::new(), None),
        Reveal::Mask(rule, by) => (format!("mask:{rule}"), vec![by], None),
        Reveal::Deny(denial) => (
            "deny".to_owned(),
            denial.policies,
            Some(denial.outside.to_string()),
        ),
    }
}

fn judged(judgement: crate::Judgement) -> Told {
    match judgement.verdict {
        Verdict::Allow => ("allow".to_owned(), judgement.policies, None),
        Verdict::Hold(terms) => (
            "hold".to_owned(),
            judgement.policies,
            Some(terms.reason.to_string()),
        ),
        Verdict::Deny(denial) => (
            if denial.scopes.is_empty() {
                "deny".to_owned()
            } else {
                "step_up".to_owned()
            },
            judgement.policies,
            Some(denial.outside.to_string()),
        ),
    }
}
