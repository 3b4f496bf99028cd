//! Which argument of a tool each `Mcp-Param-*` field repeats, by the tool's own schema
//! (2026-07-28, transports/streamable-http, "Custom Headers from Tool Parameters").

use crate::json::{Kind, Value};

/// Fields that one tool may name; its arguments are fewer.
const FIELDS_MAX: usize = 64;

/// The names and paths of one tool's fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParamFields(Vec<(String, Vec<String>)>);

impl ParamFields {
    /// Reads them from a tool's `inputSchema`. What stands where no call could have an argument, is
    /// no name of a field, or names one twice, names nothing: the same as in a schema without it.
    pub(crate) fn read(schema: &Value<'_>) -> Self {
        let mut found = Vec::new();
        collect(schema, &mut Vec::new(), &mut found);
        let is_only = |name: &str| found.iter().filter(|(other, _)| other == name).count() == 1;
        let unique = found.iter().filter(|(name, _)| is_only(name));
        Self(unique.cloned().collect())
    }

    /// The argument that a field repeats, by its name after `Mcp-Param-` in lower case. `None` for
    /// one that the tool does not name.
    pub(crate) fn path(&self, field: &str) -> Option<&[String]> {
        let found = self.0.iter().find(|(name, _)| name == field);
        found.map(|(_, path)| path.as_slice())
    }
}

/// Only what is reached by `properties` alone is an argument's place for certain.
fn collect(schema: &Value<'_>, path: &mut Vec<String>, found: &mut Vec<(String, Vec<String>)>) {
    let properties = schema
        .get("properties")
        .filter(|properties| properties.kind() == Kind::Object);
    for (key, property) in properties
        .iter()
        .flat_map(|properties| properties.members())
    {
        if property.kind() != Kind::Object || found.len() >= FIELDS_MAX {
            continue;
        }
        path.push(key.text().unwrap_or_default().into_owned());
        let name = property
            .get("x-mcp-header")
            .filter(|name| name.kind() == Kind::String)
            .and_then(|name| name.text());
        if let Some(name) = name.filter(|name| is_token(name)) {
            found.push((name.to_ascii_lowercase(), path.clone()));
        }
        collect(&property, path, found);
        path.pop();
    }
}

/// RFC 9110 §5.6.2.
fn is_token(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use crate::schema::ToolSchemas;

    #[test]
    fn fields_are_named_by_properties_alone_and_once() {
        let definition = br#"{"name":"t","inputSchema":{"type":"object","properties":{
            "region":{"type":"string","x-mcp-header":"Region"},
            "in":{"type":"object","properties":{"limit":{"type":"integer","x-mcp-header":"Limit"}}},
            "list":{"type":"array","items":{"type":"string","x-mcp-header":"Item"}},
            "bad":{"type":"string","x-mcp-header":"not a token"},
            "one":{"x-mcp-header":"Twice"},"two":{"x-mcp-header":"twice"}},
            "anyOf":[{"properties":{"x":{"x-mcp-header":"Any"}}}]}}"#;
        let fields = ToolSchemas::read(definition).fields;
        let path = |name: &str| fields.path(name).map(|path| path.join("."));
        assert_eq!(path("region").as_deref(), Some("region"));
        assert_eq!(path("limit").as_deref(), Some("in.limit"));
        for none in ["item", "not a token", "twice", "any", "Region", ""] {
            assert_eq!(path(none), None, "{none}");
        }
        for none in ["", "[]", r#"{"name":"t"}"#, r#"{"inputSchema":7}"#] {
            let fields = ToolSchemas::read(none.as_bytes()).fields;
            assert_eq!(fields.path("region"), None, "{none}");
        }
    }
}
