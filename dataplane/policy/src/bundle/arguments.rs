//! Policies held against what tools declare of their arguments.

use std::collections::BTreeSet;

use weir_facts::Action;

use super::{Bundle, Fault, Written};
use crate::uses::{ArgumentMap, ArgumentUse};

/// What is known of a tool's arguments.
pub trait ToolArguments {
    /// The server's name.
    fn connection(&self) -> &str;
    /// The tool's name.
    fn tool(&self) -> &str;
    /// As what an argument can come, by its path; `None` where the tool does not declare it.
    fn declared(&self, path: &str) -> Option<Vec<ArgumentMap>>;
}

impl Bundle {
    /// Arguments that policies read and that no tool has, or has with another type. A policy that
    /// names tools is held against those, any other against all tools of the servers that it can
    /// meet; one that meets none of `tools` is not held against anything.
    #[must_use]
    pub fn check_arguments(&self, tools: &[&dyn ToolArguments]) -> Vec<Fault> {
        let mut faults = Vec::new();
        // What else has arguments has no definition to be held against.
        let of_calls = |written: &&Written| written.actions.contains(&Action::McpCallTool);
        let reads = |written: &&Written| !written.uses.is_empty();
        for written in self.written().filter(of_calls).filter(reads) {
            let met = met(written, tools);
            if met.is_empty() {
                continue;
            }
            for used in &written.uses {
                faults.extend(wrong(used, &met).map(|message| Fault {
                    file: written.info.file.to_string(),
                    line: written.info.line,
                    message: format!("policy {}: {message}", written.info.id.0),
                }));
            }
        }
        faults.sort();
        faults
    }
}

fn met<'t>(written: &Written, tools: &[&'t dyn ToolArguments]) -> Vec<&'t dyn ToolArguments> {
    let literals = written.policy.entity_literals();
    let of_kind = |kind: &str| -> BTreeSet<String> {
        let uids = literals
            .iter()
            .filter(|uid| uid.type_name().basename() == kind);
        uids.map(|uid| uid.id().unescaped().to_owned()).collect()
    };
    let named = of_kind("Tool");
    let servers: BTreeSet<_> = of_kind("Connection")
        .into_iter()
        .chain(of_kind("McpServer"))
        .collect();
    let is_met = |tool: &&&dyn ToolArguments| {
        if named.is_empty() {
            servers.is_empty() || servers.contains(tool.connection())
        } else {
            named.contains(&format!("{}/{}", tool.connection(), tool.tool()))
        }
    };
    tools.iter().filter(is_met).copied().collect()
}

fn wrong(used: &ArgumentUse, met: &[&dyn ToolArguments]) -> Option<String> {
    let ArgumentUse { path, map } = used;
    let declared: Vec<_> = met
        .iter()
        .filter_map(|tool| Some((tool.tool(), tool.declared(path)?)))
        .collect();
    let listed = |names: &[&str]| names.join(", ");
    let Some((first, maps)) = declared.first() else {
        let tools: Vec<_> = met.iter().map(|tool| tool.tool()).collect();
        return Some(format!(
            "no argument {path:?} is declared by {}",
            listed(&tools)
        ));
    };
    let fits =
        |(_, maps): &(&str, Vec<ArgumentMap>)| *map == ArgumentMap::Names || maps.contains(map);
    if declared.iter().any(fits) {
        return None;
    }
    let names: Vec<_> = maps.iter().map(|map| map.as_str()).collect();
    let instead = match names.as_slice() {
        [] => "context.arguments.names, or the path of a value in it".to_owned(),
        some => format!("context.arguments.{}", listed(some)),
    };
    Some(format!(
        "the argument {path:?} of {first} never comes in {}: use {instead}",
        map.as_str()
    ))
}
