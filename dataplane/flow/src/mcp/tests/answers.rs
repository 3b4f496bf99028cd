//! What servers answer, and what of it clients see.

use weir_audit::Kind;
use weir_facts::Side;

use super::bench::{ADA, Bench, json, post, sse};
use super::{CALL, text_result};

#[test]
fn an_allowed_call_is_recorded_goes_on_with_the_servers_credential_and_comes_back_masked() {
    let mut bench = Bench::new();
    let sent = bench.client(&post(ADA, "", CALL)).server;
    assert!(sent.starts_with("POST /mcp HTTP/1.1\r\n"), "{sent}");
    assert!(
        sent.contains("\r\nAuthorization: Bearer stored-at-weir\r\n"),
        "{sent}"
    );
    assert!(!sent.contains(ADA), "{sent}");
    assert!(sent.ends_with(&format!("\r\n\r\n{CALL}")), "{sent}");
    assert_eq!(bench.kinds(), [Kind::Session, Kind::Intent]);
    let shown = bench
        .server(&json(&text_result("SSN 123-45-6789, ok")))
        .client;
    assert!(
        shown.contains("6789, ok") && !shown.contains("123-45-6789"),
        "{shown}"
    );
    assert_eq!(bench.kinds(), [Kind::Session, Kind::Intent, Kind::Outcome]);
    let outcome = bench.last();
    assert_eq!(
        (outcome.verdict.as_str(), outcome.outcome.as_str()),
        ("mask", "result")
    );
    assert_eq!(
        outcome.masked,
        [(
            "/result/content/0/text".to_owned(),
            "keep_last:4 (ssn)".to_owned()
        )]
    );
}

#[test]
fn what_needs_no_edit_is_passed_byte_for_byte() {
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", CALL));
    let body = r#" {"jsonrpc" : "2.0","id":1,"result":{"content":[],"n":1.50,"t":"\u0041"}} "#;
    let shown = bench.server(&json(body)).client;
    assert!(shown.ends_with(&format!("\r\n\r\n{body}")), "{shown}");
}

#[test]
fn a_value_is_masked_wherever_it_stands() {
    for place in [
        r#""result":{"content":[],"structuredContent":{"rows":[{"ssn":"123-45-6789"}]}}"#,
        r#""result":{"content":[{"type":"resource","resource":{"uri":"x","text":"123-45-6789"}}]}"#,
        r#""result":{"content":[],"structuredContent":{"123-45-6789":1}}"#,
        r#""result":{"content":[{"type":"text","text":"{\"ssn\":\"123-45-6789\"}"}]}"#,
        r#""result":{"content":[{"type":"text","text":"\u0031\u00323-45-6789"}]}"#,
        r#""error":{"code":-32000,"message":"no 123-45-6789","data":{"row":"123-45-6789"}}"#,
    ] {
        let mut bench = Bench::new();
        bench.client(&post(ADA, "", CALL));
        let shown = bench
            .server(&json(&format!(r#"{{"jsonrpc":"2.0","id":1,{place}}}"#)))
            .client;
        assert!(shown.starts_with("HTTP/1.1 200"), "{shown}");
        assert!(
            !shown.contains("123-45") && shown.contains("6789"),
            "{shown}"
        );
    }
}

#[test]
fn every_event_of_a_stream_is_masked_and_the_outcome_is_recorded_before_the_answer_leaves() {
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", CALL));
    let progress = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"123-45-6789"}}"#;
    let first = bench
        .server(&format!(
            "{}{}",
            sse(),
            super::bench::chunk(&format!("data: {progress}\n\n"))
        ))
        .client;
    assert!(
        first.contains("Transfer-Encoding: chunked") && first.contains("6789"),
        "{first}"
    );
    assert!(!first.contains("123-45"), "{first}");
    assert_eq!(bench.last().kind, Kind::Intent);
    let answer = super::bench::chunk(&format!(
        "event: message\ndata: {}\n\n",
        text_result("123-45-6789")
    ));
    let second = bench.server(&answer).client;
    assert!(
        !second.contains("123-45") && second.contains("6789"),
        "{second}"
    );
    assert_eq!(bench.last().kind, Kind::Outcome);
    let end = bench.server("0\r\n\r\n").client;
    assert_eq!(end, "0\r\n\r\n");
    let sent = bench.client(&post(ADA, "", CALL)).server;
    assert!(
        sent.starts_with("POST"),
        "the connection serves another request: {sent}"
    );
}

#[test]
fn an_answer_to_nothing_never_reaches_the_client() {
    for stray in [
        r#"{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"STRAY"}]}}"#,
        r#"{"jsonrpc":"2.0","id":"1","result":{"content":[{"type":"text","text":"STRAY"}]}}"#,
        r#"{"jsonrpc":"2.0","id":2,"error":{"code":1,"message":"STRAY"}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/STRAY","params":{}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":9,"progress":1,"message":"STRAY"}}"#,
        r#"{"jsonrpc":"2.0","id":5,"method":"STRAY"}"#,
        r#"{"STRAY":1}"#,
        "STRAY",
    ] {
        let mut bench = Bench::new();
        bench.client(&post(ADA, "", CALL));
        let events = format!(
            "data: {stray}\n\nevent: endpoint\ndata: STRAY\n\n: STRAY\n\ndata: {}\n\n",
            text_result("fine")
        );
        let shown = bench
            .server(&format!(
                "{}{}0\r\n\r\n",
                sse(),
                super::bench::chunk(&events)
            ))
            .client;
        assert!(
            shown.contains("fine") && !shown.contains("STRAY"),
            "{stray}: {shown}"
        );
        let mut bench = Bench::new();
        bench.client(&post(ADA, "", CALL));
        let shown = bench.server(&json(stray)).client;
        assert!(
            !shown.contains("STRAY") && shown.starts_with("HTTP/1.1 502"),
            "{stray}: {shown}"
        );
    }
}

#[test]
fn a_server_that_answers_nonsense_is_not_passed_on() {
    for nonsense in [
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nLEAKS",
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nLEAKS",
        "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/LEAKS\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer resource_metadata=\"LEAKS\"\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n\"LEAKS\"",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\nLEAKS",
        "HTTP/1.1 101 Switching\r\n\r\nLEAKS",
    ] {
        let mut bench = Bench::new();
        bench.client(&post(ADA, "", CALL));
        let shown = bench.server(nonsense).client;
        assert!(
            shown.starts_with("HTTP/1.1 502") && !shown.contains("LEAKS"),
            "{nonsense:?}: {shown}"
        );
        assert!(bench.kinds().contains(&Kind::Outcome), "{nonsense:?}");
    }
    let mut bench = Bench::new();
    bench.server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert!(
        matches!(bench.client(&post(ADA, "", CALL)).server.as_str(), ""),
        "an answer before any question ends the flow"
    );
}

#[test]
fn an_answer_without_end_is_not_held_without_bound() {
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", CALL));
    bench.server(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    let chunk = super::bench::chunk(&" ".repeat(1 << 20));
    let ended = (0..32)
        .map(|_| bench.server(&chunk))
        .find(|reply| !reply.client.is_empty());
    assert!(ended.expect("it ends").client.starts_with("HTTP/1.1 502"));
}

#[test]
fn a_body_that_the_server_cuts_short_is_not_shown() {
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", CALL));
    bench.server("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"jsonrpc\":\"2.0\",");
    let reply = bench.eof(Side::Server);
    assert!(reply.client.starts_with("HTTP/1.1 502"), "{}", reply.client);
}

/// What of a call's result the client sees, and what its record says was masked.
fn shown_of(result: &str) -> (String, Vec<(String, String)>) {
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", CALL));
    let answer = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
    let shown = bench.server(&json(&answer)).client;
    let (_, body) = shown.split_once("\r\n\r\n").expect("a head");
    (body.to_owned(), bench.last().masked)
}

#[test]
fn a_value_inside_of_json_in_a_text_is_masked_and_the_json_stays_json() {
    for inner in [
        r#"{"ssn":"123-45-6789","id":7}"#,
        r#"{"ssn":"123\u002d45\u002d6789","id":7}"#,
        r#"{"ssn":"\u0031\u0032\u0033-45-6789","id":7}"#,
        r#"[{"id":7,"deep":{"note":"call 123-45-6789 now"}}]"#,
        r#"{"123-45-6789":1,"id":7}"#,
        r#"{"card":4111111111111111,"id":7}"#,
    ] {
        let text = serde_json::Value::from(inner).to_string();
        let (body, masked) = shown_of(&format!(
            r#"{{"content":[{{"type":"text","text":{text}}}]}}"#
        ));
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let shown = body["result"]["content"][0]["text"].as_str().expect("text");
        let document: serde_json::Value = serde_json::from_str(shown).expect("JSON in the text");
        let meant = document.to_string();
        assert!(meant.contains("\"id\":7"), "{meant}");
        assert!(
            !meant.contains("123-45") && !meant.contains("41111111"),
            "{meant}"
        );
        assert!(meant.contains("6789") || meant.contains("1111"), "{meant}");
        assert_eq!(masked.len(), 1, "{masked:?}");
        assert!(
            masked[0].0.starts_with("/result/content/0/text#/"),
            "{masked:?}"
        );
    }
}

#[test]
fn a_value_behind_escapes_in_a_text_around_json_is_masked() {
    for text in [
        r#"row: {"ssn":"123\u002d45\u002d6789"}"#,
        "{\"ssn\":\"123\\u002d45\\u002d6789\"}\n{\"ssn\":\"1\"}",
    ] {
        let quoted = serde_json::Value::from(text).to_string();
        let (body, masked) = shown_of(&format!(
            r#"{{"content":[{{"type":"text","text":{quoted}}}]}}"#
        ));
        assert!(!body.contains("123") && body.contains("6789"), "{body}");
        assert_eq!(masked.len(), 1, "{masked:?}");
    }
}

#[test]
fn structured_content_keeps_the_types_of_what_is_masked() {
    let (body, masked) = shown_of(
        r#"{"content":[],"structuredContent":{"card":4111111111111111,"text":"4111111111111111"}}"#,
    );
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let shown = &body["result"]["structuredContent"];
    assert_eq!(shown["card"], 1111);
    assert_eq!(shown["text"], "************1111");
    assert_eq!(masked.len(), 2);
    assert_eq!(masked[0].1, "keep_last:4 (payment_card)");
}

#[test]
fn what_a_server_may_have_the_client_do_is_judged_action_by_action() {
    let asks =
        |method: &str| format!(r#"{{"jsonrpc":"2.0","id":5,"method":"{method}","params":{{}}}}"#);
    let methods = ["sampling/createMessage", "elicitation/create", "roots/list"];
    let actions = ["mcp.sampling", "mcp.elicitation", "mcp.roots"];
    let answers = [
        r#"{"role":"assistant","content":{"type":"text","text":"x"},"model":"m"}"#,
        r#"{"action":"accept","content":{}}"#,
        r#"{"roots":[]}"#,
    ];
    for (allowed, action) in actions.iter().enumerate() {
        for (asked, method) in methods.iter().enumerate() {
            let mut bench = Bench::also(&format!(
                "@id(\"act\") permit(principal, action == Weir::Action::\"{action}\", resource);"
            ));
            bench.client(&post(ADA, "", CALL));
            bench.server(sse());
            let event = super::bench::chunk(&format!("data: {}\n\n", asks(method)));
            let shown = bench.server(&event).client;
            assert_eq!(
                shown.contains(method),
                allowed == asked,
                "{action}: {shown}"
            );
            if allowed != asked {
                continue;
            }
            let (_, rest) = shown.split_once(r#""id":""#).expect("a sealed id");
            let (id, _) = rest.split_once('"').expect("a sealed id");
            bench.server(&super::bench::chunk(&format!(
                "data: {}\n\n0",
                text_result("x")
            )));
            for (given, answer) in answers.iter().enumerate() {
                let mut answering = Bench::also(&format!(
                    "@id(\"act\") permit(principal, action == Weir::Action::\"{action}\", resource);"
                ));
                let body = format!(r#"{{"jsonrpc":"2.0","id":"{id}","result":{answer}}}"#);
                let onward = answering.client(&post(ADA, "", &body));
                assert_eq!(
                    !onward.server.is_empty(),
                    given == allowed,
                    "{action}: {answer}"
                );
            }
        }
    }
}

#[test]
fn a_call_whose_server_asks_in_vain_is_answered_at_once() {
    let mut bench = Bench::new();
    bench.client(&post(ADA, "", CALL));
    bench.server(sse());
    let asks =
        r#"{"jsonrpc":"2.0","id":5,"method":"elicitation/create","params":{"message":"SECRET"}}"#;
    let event = super::bench::chunk(&format!("data: {asks}\n\n"));
    let shown = bench.server(&event).client;
    assert!(
        shown.contains("may not ask this client") && !shown.contains("SECRET"),
        "{shown}"
    );
    assert!(shown.contains(r#""id":1,"#), "{shown}");
    assert_eq!(
        (bench.last().kind, bench.last().outcome.as_str()),
        (Kind::Outcome, "withheld")
    );
    // What the server makes of it later answers nothing any more.
    let late = super::bench::chunk(&format!("data: {}\n\n", text_result("late")));
    assert!(!bench.server(&late).client.contains("late"));
}
