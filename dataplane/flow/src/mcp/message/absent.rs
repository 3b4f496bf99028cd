//! How a server says that it does not have what was asked for: the words in which Weir denies it,
//! too.

use super::*;

/// A tool that the server does not have is answered as one that the caller may not call.
pub(super) fn absent(revision: Revision, id: &Id, name: &str) -> Ready {
    Ready {
        bytes: refuse::unknown_tool(revision, id, name),
        places: Vec::new(),
        verdict: "allow",
        reason: "the server has no such tool".to_owned(),
        outcome: format!("error {}", refuse::INVALID_PARAMS),
        rows: 0,
        is_own: true,
    }
}

pub(super) fn is_absent_result(result: &Value<'_>, name: &str) -> bool {
    let is_error = result
        .get("isError")
        .is_some_and(|value| value.kind() == JsonKind::True);
    let mut content = result
        .get("content")
        .map(|content| content.elements())
        .into_iter()
        .flatten();
    let (Some(first), None) = (content.next(), content.next()) else {
        return false;
    };
    let text = first.get("text").and_then(|text| text.text());
    is_error && text.is_some_and(|text| is_absent_text(&text, name))
}

/// The ways in which the reference SDKs say that there is no such tool, punctuation and
/// letter case aside.
pub(super) fn is_absent_text(text: &str, name: &str) -> bool {
    if text.len() > ABSENT_TEXT_BYTES_MAX {
        return false;
    }
    let plain = |text: &str| {
        let words: Vec<_> = text
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .collect();
        words.join(" ").to_lowercase()
    };
    let (text, name) = (plain(text), plain(name));
    let text = text
        .strip_prefix("mcp error ")
        .map_or(text.as_str(), |rest| {
            rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ')
        });
    [
        format!("unknown tool {name}"),
        format!("tool {name} not found"),
        format!("tool not found {name}"),
    ]
    .iter()
    .any(|said| said == text)
}
