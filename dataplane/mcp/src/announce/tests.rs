use super::*;
use crate::json::Document;

fn edited(text: &str, edit: impl FnOnce(&Value<'_>) -> Replacements) -> String {
    let document = Document::parse(text.as_bytes()).expect(text);
    let edits = Edits::sorted(edit(&document.root())).expect("apart");
    String::from_utf8(edits.apply(text.as_bytes())).expect("text")
}

#[test]
fn a_session_hears_of_weirs_tasks_instead_of_the_servers() {
    let told = |text: &str, has_tasks| edited(text, |result| session(result, has_tasks));
    let own = r#""tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}"#;
    for (text, with, without) in [
        (
            r#"{"capabilities":{"tools":{}}}"#,
            format!(r#"{{"capabilities":{{{own},"tools":{{}}}}}}"#),
            r#"{"capabilities":{"tools":{}}}"#,
        ),
        (
            r#"{"capabilities":{ "tasks":{"x":1}, "tools":{}}}"#,
            format!(r#"{{"capabilities":{{{own}, "tools":{{}}}}}}"#),
            r#"{"capabilities":{ "tools":{}}}"#,
        ),
        (
            r#"{"capabilities":{"tools":{},"tasks":{}}}"#,
            format!(r#"{{"capabilities":{{{own},"tools":{{}}}}}}"#),
            r#"{"capabilities":{"tools":{}}}"#,
        ),
        (
            r#"{"capabilities":{"Tasks":{}}}"#,
            r#"{"capabilities":{}}"#.to_owned(),
            r#"{"capabilities":{}}"#,
        ),
        (
            r#"{"capabilities":{}}"#,
            r#"{"capabilities":{}}"#.to_owned(),
            r#"{"capabilities":{}}"#,
        ),
        ("{}", "{}".to_owned(), "{}"),
    ] {
        // A member's white space goes with what it stood before.
        let plain = |text: String| text.replace(' ', "");
        assert_eq!(plain(told(text, true)), plain(with), "{text}");
        assert_eq!(
            plain(told(text, false)),
            plain(without.to_owned()),
            "{text}"
        );
    }
}

#[test]
fn a_discovery_names_the_extension_once() {
    let own = r#""io.modelcontextprotocol/tasks":{}"#;
    for (text, expected) in [
        (
            r#"{"capabilities":{"tools":{}}}"#,
            format!(r#"{{"capabilities":{{"extensions":{{{own}}},"tools":{{}}}}}}"#),
        ),
        (
            r#"{"capabilities":{"tools":{},"extensions":{}}}"#,
            format!(r#"{{"capabilities":{{"tools":{{}},"extensions":{{{own}}}}}}}"#),
        ),
        (
            r#"{"capabilities":{"tools":{},"extensions":{"a":{}}}}"#,
            format!(r#"{{"capabilities":{{"tools":{{}},"extensions":{{{own},"a":{{}}}}}}}}"#),
        ),
    ] {
        assert_eq!(edited(text, discovery), expected);
        assert_eq!(edited(&expected, discovery), expected, "it is there");
    }
    for same in [
        "{}",
        r#"{"capabilities":{}}"#,
        r#"{"capabilities":{"tools":{},"extensions":[]}}"#,
        r#"{"capabilities":{"tools":{},"Extensions":{}}}"#,
        r#"{"capabilities":{"tools":{},"extensions":{},"extensions":{}}}"#,
    ] {
        assert_eq!(edited(same, discovery), same);
    }
}

#[test]
fn a_tool_may_be_a_task_unless_its_server_has_said_how() {
    let told = |text: &str| {
        let document = Document::parse(text.as_bytes()).expect(text);
        let list = document.root();
        let element = list.elements().nth(1).expect("a second element");
        tool(&element).map(|bytes| String::from_utf8(bytes).expect("text"))
    };
    for (text, expected) in [
        (
            r#"{"name":"a"}"#,
            r#"{"execution":{"taskSupport":"optional"},"name":"a"}"#,
        ),
        (
            r#"{"name":"a","execution":{}}"#,
            r#"{"name":"a","execution":{"taskSupport":"optional"}}"#,
        ),
        (
            r#"{"execution":{"x":1,"taskSupport":"forbidden"},"name":"a"}"#,
            r#"{"execution":{"x":1,"taskSupport":"optional"},"name":"a"}"#,
        ),
    ] {
        assert_eq!(told(&format!("[0, {text}]")).as_deref(), Some(expected));
    }
    for same in [
        r#"{"name":"a","execution":{"taskSupport":"optional"}}"#,
        r#"{"name":"a","execution":{"taskSupport":"required"}}"#,
        r#"{"name":"a","execution":{"tasksupport":"forbidden"}}"#,
        r#"{"name":"a","Execution":{}}"#,
        r#"{"name":"a","execution":null}"#,
    ] {
        assert_eq!(told(&format!("[0,{same}]")), None, "{same}");
    }
}
