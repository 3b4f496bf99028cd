//! Arguments that policies read, held against tools' definitions.

use anyhow::{Context, ensure};
use reqwest::Method;
use weir_api::http::{ToolDetail, ToolView};
use weir_mcp::json::{Document, Value};
use weir_mcp::schema::{Schema, TypeSet};
use weir_policy::{ArgumentMap, Bundle, ToolArguments};

use crate::client::{Client, NOTHING};
use crate::output::Output;

/// A tool with the schema of its arguments.
pub(super) struct Tool {
    connection: String,
    name: String,
    input: Schema,
}

impl ToolArguments for Tool {
    fn connection(&self) -> &str {
        &self.connection
    }

    fn tool(&self) -> &str {
        &self.name
    }

    fn declared(&self, path: &str) -> Option<Vec<ArgumentMap>> {
        let types = self.input.declared(path)?;
        let number = TypeSet::INTEGER.union(TypeSet::NUMBER);
        let maps = [
            (TypeSet::STRING, ArgumentMap::Strings),
            (number, ArgumentMap::Longs),
            (TypeSet::BOOLEAN, ArgumentMap::Bools),
        ];
        let fitting = maps.into_iter().filter(|(of, _)| types.any(*of));
        Some(fitting.map(|(_, map)| map).collect())
    }
}

impl Tool {
    fn read(connection: &str, tool: &Value<'_>) -> Option<Self> {
        Some(Self {
            connection: connection.to_owned(),
            name: tool.get("name")?.text()?.into_owned(),
            input: Schema::read(&tool.get("inputSchema")?),
        })
    }
}

/// `NAME=FILE`, each a result of tools/list or its list.
pub(super) fn of_files(files: &[String]) -> anyhow::Result<Vec<Tool>> {
    let mut tools = Vec::new();
    for file in files {
        let (connection, path) = file
            .split_once('=')
            .with_context(|| format!("--tools {file}: NAME=FILE is wanted"))?;
        let text = std::fs::read(path).with_context(|| format!("read {path}"))?;
        let document = Document::parse(&text).with_context(|| format!("{path} is no JSON"))?;
        let root = document.root();
        let result = root.get("result").unwrap_or(root);
        let list = result.get("tools").unwrap_or(result);
        let before = tools.len();
        tools.extend(
            list.elements()
                .filter_map(|tool| Tool::read(connection, &tool)),
        );
        ensure!(tools.len() > before, "{path} has no tools");
    }
    Ok(tools)
}

/// The definitions that may be used of a server's tools.
pub(super) async fn of_connection(
    client: &Client,
    connection: &str,
    tools: &mut Vec<Tool>,
) -> anyhow::Result<()> {
    let listed: Vec<ToolView> = client.get(&["connections", connection, "tools"]).await?;
    for tool in listed.iter().filter(|tool| tool.approved.is_some()) {
        let path = ["connections", connection, "tool"];
        let query = [("name", tool.name.as_str())];
        let detail: ToolDetail = client.ask(Method::GET, &path, &query, NOTHING).await?;
        // One with characters that are not shown is no JSON here, and says nothing.
        if let Ok(document) = Document::parse(detail.approved.as_bytes()) {
            tools.extend(Tool::read(connection, &document.root()));
        }
    }
    Ok(())
}

pub(super) fn check(out: Output, bundle: &Bundle, tools: &[Tool]) -> anyhow::Result<()> {
    ensure!(
        !tools.is_empty(),
        "no definitions to hold policies against: name servers with --connection, or files with --tools"
    );
    let known: Vec<&dyn ToolArguments> = tools.iter().map(|tool| tool as _).collect();
    let faults = bundle.check_arguments(&known);
    let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
    ensure!(faults.is_empty(), "{}", told.join("\n"));
    out.done(&format!(
        "bundle {}: its arguments are those of {} tools",
        bundle.id(),
        tools.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(policy: &str) -> Vec<String> {
        let files = [("p.cedar".to_owned(), policy.to_owned())];
        let bundle = Bundle::parse(&files).expect("a bundle");
        let definition = br#"{"name":"list_orders","inputSchema":{"type":"object","properties":{
            "limit":{"type":"integer"},"customer":{"type":"object","properties":{"name":{"type":"string"}}}}}}"#;
        let document = Document::parse(definition).expect("JSON");
        let tool = Tool::read("shop", &document.root()).expect("a tool");
        let faults = bundle.check_arguments(&[&tool]);
        faults.iter().map(ToString::to_string).collect()
    }

    fn rule(resource: &str, condition: &str) -> String {
        format!(
            "// a comment\n@id(\"r\") forbid(principal, action == Weir::Action::\"mcp.call_tool\", resource {resource})\nwhen {{ {condition} }};"
        )
    }

    #[test]
    fn an_argument_that_a_policy_mistypes_is_told_with_its_line() {
        let tool = "== Weir::Tool::\"shop/list_orders\"";
        let server = "in Weir::Connection::\"shop\"";
        for right in [
            "context.arguments.longs.hasTag(\"limit\") && context.arguments.longs.getTag(\"limit\") > 100",
            "context.arguments.strings.hasTag(\"customer/name\")",
            "context.arguments.names.contains(\"customer\")",
        ] {
            assert_eq!(faults(&rule(tool, right)), Vec::<String>::new(), "{right}");
            assert_eq!(
                faults(&rule(server, right)),
                Vec::<String>::new(),
                "{right}"
            );
        }
        for (wrong, told) in [
            (
                "context.arguments.strings.hasTag(\"limit\")",
                "p.cedar:2: policy r: the argument \"limit\" of list_orders never comes in strings: use context.arguments.longs",
            ),
            (
                "context.arguments.longs.hasTag(\"limits\")",
                "p.cedar:2: policy r: no argument \"limits\" is declared by list_orders",
            ),
            (
                "context.arguments.strings.hasTag(\"customer\")",
                "p.cedar:2: policy r: the argument \"customer\" of list_orders never comes in strings: use context.arguments.names, or the path of a value in it",
            ),
        ] {
            assert_eq!(faults(&rule(tool, wrong)), [told], "{wrong}");
        }
        let elsewhere = "in Weir::Connection::\"other\"";
        let wrong = "context.arguments.longs.hasTag(\"limits\")";
        assert_eq!(faults(&rule(elsewhere, wrong)), Vec::<String>::new());
    }
}
