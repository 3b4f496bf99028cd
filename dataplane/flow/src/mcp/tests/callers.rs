//! Who asks, and in which form.

use std::sync::Arc;

use weir_audit::Kind;
use weir_facts::Side;

use super::bench::{ADA, Bench, EVE, post, sse};
use super::{CALL, text_result};
use crate::io::{Event, Piece};

#[test]
fn nobody_without_a_good_token_is_served() {
    for (token, status) in [
        ("", "401"),
        ("wrong", "401"),
        (super::bench::EXPIRED, "401"),
        (EVE, "403"),
    ] {
        let mut bench = Bench::new();
        let reply = bench.client(&post(token, "", CALL));
        assert!(
            reply.client.starts_with(&format!("HTTP/1.1 {status}")),
            "{token}: {}",
            reply.client
        );
        assert_eq!(reply.server, "", "{token}");
        assert_eq!(bench.last().kind, Kind::Refusal, "{token}");
    }
}

#[test]
fn an_attested_workload_is_a_caller_but_does_not_make_up_for_a_bad_token() {
    let mut bench = Bench::of_workload("reporter");
    assert!(
        bench
            .client(&post("", "", r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#))
            .server
            .contains("ping")
    );
    let mut bench = Bench::of_workload("reporter");
    assert!(
        bench
            .client(&post("wrong", "", CALL))
            .client
            .starts_with("HTTP/1.1 401")
    );
}

#[test]
fn what_cannot_be_read_in_one_way_reaches_nobody() {
    let bodies = [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{"name":"run_shell"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","METHOD":"tools/call","params":{"name":"run_shell"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","n\u0061me":"run_shell"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":1,"A":2}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":2,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        r#"[{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}]"#,
        "not json",
    ];
    for body in bodies {
        let mut bench = Bench::new();
        let reply = bench.client(&post(ADA, "", body));
        assert!(
            reply.client.starts_with("HTTP/1.1 400"),
            "{body}: {}",
            reply.client
        );
        assert_eq!(reply.server, "", "{body}");
        assert_eq!(bench.last().kind, Kind::Refusal, "{body}");
    }
}

#[test]
fn a_request_for_another_host_or_from_another_site_is_refused() {
    for (field, status) in [
        ("Host: evil.example\r\n", "403"),
        ("Host: localhost\r\nOrigin: http://evil.example\r\n", "403"),
        ("Host: localhost\r\nOrigin: null\r\n", "403"),
        (
            "Host: localhost:1234\r\nOrigin: http://localhost:6274\r\n",
            "200",
        ),
    ] {
        let mut bench = Bench::new();
        let request = post(ADA, "", CALL).replace("Host: localhost\r\n", field);
        let reply = bench.client(&request);
        match status {
            "200" => assert!(reply.server.contains("tools/call"), "{field}"),
            _ => assert!(
                reply.client.starts_with("HTTP/1.1 403") && reply.server.is_empty(),
                "{field}"
            ),
        }
    }
}

#[test]
fn a_client_that_expects_to_be_asked_is_asked() {
    let mut bench = Bench::new();
    let request = post(ADA, "Expect: 100-continue\r\n", CALL);
    let (head, body) = request.split_once("\r\n\r\n").expect("a body");
    assert_eq!(
        bench.client(&format!("{head}\r\n\r\n")).client,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    assert!(bench.client(body).server.ends_with(CALL));
}

#[test]
fn splitting_what_both_sides_send_changes_nothing() {
    let request = post(ADA, "", CALL);
    let answer = format!(
        "{}{}0\r\n\r\n",
        sse(),
        super::bench::chunk(&format!("id: 1\ndata: {}\n\n", text_result("123-45-6789")))
    );
    let mut whole = Bench::new();
    let sent = whole.client(&request).server;
    let shown = whole.server(&answer).client;
    for size in [1, 2, 3, 7, 64] {
        let mut split = Bench::new();
        let pieces = |text: &str| {
            text.as_bytes()
                .chunks(size)
                .map(|piece| String::from_utf8_lossy(piece).into_owned())
                .collect::<Vec<_>>()
        };
        let parts: String = pieces(&request)
            .iter()
            .map(|piece| split.client(piece).server)
            .collect();
        assert_eq!(parts, sent, "{size}");
        let parts: String = pieces(&answer)
            .iter()
            .map(|piece| split.server(piece).client)
            .collect();
        assert_eq!(parts, shown, "{size}");
        assert_eq!(split.kinds(), whole.kinds(), "{size}");
    }
}

#[test]
fn a_tls_hello_begins_tls_and_nothing_of_it_is_taken() {
    let mut bench = Bench::new();
    let reply = bench.client("\x16\x03\x01");
    assert_eq!(reply.pieces, [Piece::StartTls { role: None }]);
    assert_eq!(reply.taken, 0);
    bench.event(Event::TlsUp {
        side: Side::Client,
        channel_binding: None,
        names: Arc::from([]),
    });
    assert!(
        bench
            .client(&post(ADA, "", CALL))
            .server
            .contains("tools/call")
    );
}

#[test]
fn a_client_of_a_server_that_is_not_who_it_should_be_is_told_so_in_its_own_words() {
    for (first, told) in [
        ("\u{16}\u{3}\u{1}", "\u{15}\u{3}\u{3}\0\u{2}\u{2}P"),
        ("POST /mcp HTTP/1.1\r\n", "HTTP/1.1 502 Bad Gateway\r\n"),
    ] {
        let mut bench = Bench::securing();
        assert_eq!(bench.client(first).taken, 0, "nothing is read before");
        let reply = bench.event(Event::TlsFailed {
            side: Side::Server,
            reason: "UnknownIssuer".to_owned(),
        });
        assert_eq!(reply.client, "");
        assert_eq!(bench.last().kind, Kind::Refusal);
        let reply = bench.client(first);
        assert!(reply.client.starts_with(told), "{:?}", reply.client);
        assert_eq!(
            (reply.server.as_str(), &reply.pieces[..]),
            ("", &[Piece::Shutdown][..])
        );
    }
    let mut silent = Bench::securing();
    silent.event(Event::TlsFailed {
        side: Side::Server,
        reason: "UnknownIssuer".to_owned(),
    });
    silent.now.mono_ns = silent.flow.deadline().expect("it is not waited for ever");
    assert!(silent.timeout().pieces.contains(&Piece::Shutdown));
}
