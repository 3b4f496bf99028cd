use proptest::prelude::*;

use super::*;

const SECRET: &str = "123-45-6789";

fn masked(body: &str) -> String {
    let document = Document::parse(body.as_bytes()).expect(body);
    let edits = reveal(&document, |offer| {
        let text = offer.text();
        if text.contains(SECRET) {
            Shown::Text(text.replace(SECRET, "***"))
        } else {
            Shown::Same
        }
    });
    String::from_utf8(edits.apply(body.as_bytes())).expect("UTF-8")
}

/// Everywhere a value can be, in a body of each kind.
const PLACES: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"SSN 123-45-6789."}]}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":{"rows":[{"ssn":"123-45-6789"}]}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"123-45-6789":true}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"{\"ssn\":\"123-45-6789\"}"}]}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"\u0031\u00323-45-6789"}]}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"contents":[{"uri":"x:123-45-6789","text":"a"}]}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"messages":[{"role":"user","content":{"type":"text","text":"123-45-6789"}}]}}"#,
    r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no 123-45-6789","data":["123-45-6789"]}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1,"message":"123-45-6789"}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":{"row":"123-45-6789"}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"message":"Is 123-45-6789 you?","requestedSchema":{}}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"t","description":"as 123-45-6789"}],"nextCursor":"123-45-6789"}}"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"_meta":{"x":"123-45-6789"}}}"#,
    r#"[{"jsonrpc":"2.0","id":1,"result":{"a":"123-45-6789"}},{"jsonrpc":"2.0","id":2,"result":{"a":["123-45-6789"]}}]"#,
];

#[test]
fn a_value_leaves_by_no_place_of_an_answer() {
    for body in PLACES {
        let shown = masked(body);
        assert!(!shown.contains("6789"), "{shown}");
        assert!(shown.contains("***"), "{shown}");
        assert!(Document::parse(shown.as_bytes()).is_ok(), "{shown}");
    }
}

#[test]
fn what_is_not_replaced_stays_byte_for_byte() {
    let body =
        r#" { "jsonrpc":"2.0" , "id":1 ,"result":{"a" : "\u0041\/","b":1.50,"c":"123-45-6789"}}"#;
    assert_eq!(masked(body), body.replace(SECRET, "***"));
}

#[test]
fn ids_and_methods_are_not_offered() {
    let body = r#"{"jsonrpc":"2.0","id":"123-45-6789","method":"123-45-6789","params":{}}"#;
    assert_eq!(masked(body), body);
    let token = r#"{"jsonrpc":"2.0","method":"x","params":{"progressToken":"123-45-6789"}}"#;
    assert_ne!(
        masked(token),
        token,
        "whose word it is, only the caller knows"
    );
}

#[test]
fn a_number_stays_a_number_where_its_mask_is_one() {
    let body = br#"{"result":{"card":4111111111111111,"n":1,"s":2}}"#;
    let document = Document::parse(body).expect("valid");
    let edits = reveal(&document, |offer| match &*offer.text() {
        "4111111111111111" => Shown::Text("5222222222222222".into()),
        "1" => Shown::Text("*".into()),
        "2" => Shown::Null,
        _ => Shown::Same,
    });
    assert_eq!(
        edits.apply(body),
        br#"{"result":{"card":5222222222222222,"n":"*","s":null}}"#
    );
}

#[test]
fn an_offer_says_where_it_stands_and_repeats_no_key() {
    let body = br#"{"result":{"a/b":[{"x~y":"v"},{"ssn":1}]}}"#;
    let document = Document::parse(body).expect("valid");
    let mut pointers = Vec::new();
    reveal(&document, |offer| {
        pointers.push(offer.pointer());
        Shown::Same
    });
    assert_eq!(
        pointers,
        [
            "/result/*",
            "/result/a~1b/0/*",
            "/result/a~1b/0/x~0y",
            "/result/a~1b/1/*",
            "/result/a~1b/1/ssn",
        ]
    );
}

proptest! {
    #[test]
    fn whatever_is_shown_the_body_stays_valid(texts in proptest::collection::vec(".*", 1..5), shown in ".*") {
        let value = serde_json::json!({"jsonrpc": "2.0", "id": 1, "result": {"texts": texts, "n": 5}});
        let body = serde_json::to_vec(&value).unwrap();
        let document = Document::parse(&body).unwrap();
        let out = reveal(&document, |_| Shown::Text(shown.clone())).apply(&body);
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
        let same = reveal(&document, |_| Shown::Same);
        prop_assert!(same.is_empty());
        prop_assert_eq!(same.apply(&body), body);
    }
}

#[test]
fn what_weir_has_sealed_is_not_offered() {
    let body = br#"{"jsonrpc":"2.0","id":1,"result":{"taskId":"sealed","list":["sealed","sealed"],"text":"shown","deep":{"taskId":"shown"}}}"#;
    let document = Document::parse(body).expect("JSON");
    let mut offered = Vec::new();
    let _ = reveal_except(
        &document,
        &[&["result", "taskId"], &["result", "list"], &["no"]],
        |offer| {
            if offer.kind == Offered::Text {
                offered.push(offer.text().into_owned());
            }
            Shown::Same
        },
    );
    assert_eq!(offered, ["shown", "shown"]);
}
