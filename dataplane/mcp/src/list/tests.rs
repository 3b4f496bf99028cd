use super::*;
use crate::json::Document;

fn filtered(list: List, body: &str, keep: &[&str]) -> Result<(String, Vec<String>), ListError> {
    let document = Document::parse(body.as_bytes()).expect(body);
    let filtered = list.filter(&document.root(), |name| keep.contains(&name))?;
    Ok((
        String::from_utf8(filtered.edits.apply(body.as_bytes())).expect("UTF-8"),
        filtered.removed,
    ))
}

#[test]
fn only_allowed_elements_stay_and_the_rest_is_as_it_was() {
    let body = r#"{ "tools" : [ {"name":"a","inputSchema":{}} , {"name":"b"}, {"name":"c"} ] ,"nextCursor":"x"}"#;
    let cases: &[(&[&str], &str)] = &[
        (&["a", "b", "c"], body),
        (
            &["a", "c"],
            r#"{ "tools" : [{"name":"a","inputSchema":{}},{"name":"c"}] ,"nextCursor":"x"}"#,
        ),
        (&["b"], r#"{ "tools" : [{"name":"b"}] ,"nextCursor":"x"}"#),
        (&[], r#"{ "tools" : [] ,"nextCursor":"x"}"#),
    ];
    for (keep, expected) in cases {
        assert_eq!(
            filtered(List::Tools, body, keep).expect("a list").0,
            *expected,
            "{keep:?}"
        );
    }
}

#[test]
fn every_list_is_filtered_by_its_own_name() {
    let cases = [
        (List::Prompts, r#"{"prompts":[{"name":"a"},{"name":"b"}]}"#),
        (
            List::Resources,
            r#"{"resources":[{"uri":"a","name":"b"},{"uri":"b","name":"a"}]}"#,
        ),
        (
            List::ResourceTemplates,
            r#"{"resourceTemplates":[{"uriTemplate":"a"},{"uriTemplate":"b"}]}"#,
        ),
    ];
    for (list, body) in cases {
        assert_eq!(
            filtered(list, body, &["a"]).expect("a list").1,
            ["b"],
            "{list:?}"
        );
    }
}

#[test]
fn a_list_that_two_clients_could_see_differently_is_refused() {
    let cases = [
        (r"{}", ListError::Missing),
        (r#"{"tools":{}}"#, ListError::Missing),
        (
            r#"{"tools":[],"tools":[{"name":"a"}]}"#,
            ListError::Duplicate,
        ),
        (
            r#"{"tools":[],"Tools":[{"name":"a"}]}"#,
            ListError::Duplicate,
        ),
        (
            r#"{"tools":[{"name":"a","n\u0061me":"b"}]}"#,
            ListError::Duplicate,
        ),
        (
            r#"{"tools":[{"name":"a","NAME":"b"}]}"#,
            ListError::Duplicate,
        ),
        (r#"{"tools":[{"title":"a"}]}"#, ListError::Element),
        (r#"{"tools":[{"name":1}]}"#, ListError::Element),
        (r#"{"tools":["a"]}"#, ListError::Element),
        (r#"{"tools":[null]}"#, ListError::Element),
    ];
    for (body, error) in cases {
        assert_eq!(
            filtered(List::Tools, body, &["a", "b"]),
            Err(error),
            "{body}"
        );
    }
}
