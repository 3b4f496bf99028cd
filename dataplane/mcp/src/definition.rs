//! What a tool is, in one spelling: what people approve and what calls are bound to.

use weir_facts::is_hidden;

use crate::json::{Kind, Value, canonical, quote};
use crate::limits::{DEFINITION_BYTES_MAX, NAME_BYTES_MAX};

/// Members of a tool that say nothing of what it does: names of pictures, and what is between the
/// server and one client. A model is shown neither.
const APART: &[&str] = &["_meta", "icons"];

/// One element of a list of tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The tool's name.
    pub name: String,
    /// Every member but `_meta` and `icons`, canonical: name, title, description, input and
    /// output schema, annotations, and whatever a later revision adds.
    pub canonical: Vec<u8>,
}

impl Definition {
    /// Reads an element of `tools`. `None` for one without a usable name, which no list shows.
    #[must_use]
    pub fn read(tool: &Value<'_>) -> Option<Self> {
        let name = tool
            .get("name")
            .filter(|name| name.kind() == Kind::String)
            .and_then(|name| name.text())
            .filter(|name| name.len() <= NAME_BYTES_MAX)?
            .into_owned();
        let mut members: Vec<_> = tool
            .members()
            .filter_map(|(key, value)| Some((key.text()?, value)))
            .filter(|(key, _)| !APART.contains(&key.as_ref()))
            .collect();
        members.sort_by(|one, other| one.0.cmp(&other.0));
        let mut out = vec![b'{'];
        for (key, value) in &members {
            if out.len() > 1 {
                out.push(b',');
            }
            quote(key, &mut out);
            out.push(b':');
            canonical(value, &mut out);
        }
        out.push(b'}');
        Some(Self {
            name,
            canonical: out,
        })
    }

    /// Whether it holds characters that a person who reads it would not see.
    #[must_use]
    pub fn has_hidden_text(&self) -> bool {
        let text = String::from_utf8_lossy(&self.canonical);
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            // Canonical JSON escapes controls, and nothing else but quotes and backslashes.
            let hidden = if c == '\\' {
                chars.next() == Some('u')
            } else {
                is_hidden(c)
            };
            if hidden {
                return true;
            }
        }
        false
    }

    /// Whether a person can be shown it whole.
    #[must_use]
    pub fn is_showable(&self) -> bool {
        self.canonical.len() <= DEFINITION_BYTES_MAX
    }
}

/// The tools of a result of tools/list.
pub fn definitions(result: &Value<'_>) -> impl Iterator<Item = Definition> {
    let tools = result
        .get("tools")
        .filter(|tools| tools.kind() == Kind::Array);
    tools
        .into_iter()
        .flat_map(|tools| tools.elements())
        .filter_map(|tool| Definition::read(&tool))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Document;

    fn read(tool: &str) -> Option<Definition> {
        Definition::read(&Document::parse(tool.as_bytes()).expect("JSON").root())
    }

    #[test]
    fn a_definition_is_the_same_in_any_spelling_and_another_with_any_other_word() {
        let one =
            read(r#"{"name":"a","description":"b","inputSchema":{"x":1,"y":[]},"_meta":{"t":1}}"#)
                .expect("a tool");
        let same = read(
            r#"{ "inputSchema":{"y":[ ],"x":1},"icons":[],"description":"\u0062","name":"a"}"#,
        );
        assert_eq!(Some(&one), same.as_ref());
        assert_eq!(
            String::from_utf8_lossy(&one.canonical),
            r#"{"description":"b","inputSchema":{"x":1,"y":[]},"name":"a"}"#
        );
        for other in [
            r#"{"name":"a","description":"b ","inputSchema":{"x":1,"y":[]}}"#,
            r#"{"name":"a","description":"b","inputSchema":{"x":1,"y":[0]}}"#,
            r#"{"name":"a","title":"A","description":"b","inputSchema":{"x":1,"y":[]}}"#,
            r#"{"name":"a","description":"b","inputSchema":{"x":1,"y":[]},"outputSchema":{}}"#,
            r#"{"name":"a","description":"b","inputSchema":{"x":1,"y":[]},"annotations":{"readOnlyHint":true}}"#,
            r#"{"name":"a","description":"b","inputSchema":{"x":1,"y":[]},"later":1}"#,
        ] {
            assert_ne!(
                read(other).expect("a tool").canonical,
                one.canonical,
                "{other}"
            );
        }
    }

    #[test]
    fn text_that_nobody_sees_is_found_however_it_is_written() {
        let hidden = |text: &str| {
            let tool = format!(r#"{{"name":"a","inputSchema":{{"d":"{text}"}}}}"#);
            read(&tool).expect("a tool").has_hidden_text()
        };
        for text in [
            r"\u001b[2J",
            r"\b",
            r"\u202e",
            "\u{e0041}",
            r"\u0000",
            "a\u{200b}b",
        ] {
            assert!(hidden(text), "{text:?}");
        }
        for text in [r"a\n\t\r", r#"\"q\""#, r"C:\\users\\bob", "Käse"] {
            assert!(!hidden(text), "{text:?}");
        }
    }

    #[test]
    fn what_has_no_name_is_no_tool() {
        for tool in ["{}", r#"{"name":1}"#, "7", "[]"] {
            assert_eq!(read(tool), None, "{tool}");
        }
    }
}
