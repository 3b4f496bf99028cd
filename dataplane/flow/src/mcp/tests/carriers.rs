//! A server that clients start is never dialled, and no other is handed over.

use std::sync::Arc;

use weir_audit::Kind;
use weir_facts::{Digest, ProcessRef};

use super::bench::{ADA, Bench, json, post};
use crate::io::{Effect, Piece, Program};
use crate::world::Carrier;

fn program() -> Arc<Program> {
    Arc::new(Program {
        executable: "/usr/bin/node".into(),
        executable_digest: Some(Digest([1; 32])),
        process: ProcessRef {
            pid: 700,
            started_ticks: 9,
        },
        arguments_digest: Digest([2; 32]),
        started_by: "/usr/bin/agent".into(),
    })
}

#[test]
fn a_flow_must_have_come_the_way_that_its_server_is_registered_for() {
    for (carrier, program, passes) in [
        (Carrier::Address, None, true),
        (Carrier::Stdio, Some(program()), true),
        // Its credential would go to whatever the client has started.
        (Carrier::Address, Some(program()), false),
        (Carrier::Stdio, None, false),
    ] {
        let (kept, out) = Bench::carried(carrier, program);
        let dials = out
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Dial { .. }));
        let resets = out.to_client.contains(&Piece::Reset);
        let refused = kept.iter().any(|record| record.kind == Kind::Refusal);
        assert_eq!(
            (dials, resets, refused),
            (passes, !passes, !passes),
            "{carrier:?}"
        );
    }
}

#[test]
fn a_program_is_told_by_digests_and_not_by_its_arguments() {
    let told = program().to_string();
    let expected = format!(
        "stdio server /usr/bin/node (sha256 {}), arguments sha256 {}, started by /usr/bin/agent",
        Digest([1; 32]),
        Digest([2; 32])
    );
    assert_eq!(told, expected);
}

#[test]
fn an_old_server_without_a_port_is_served_and_its_session_names_it() {
    let mut bench = Bench::started(program());
    let ask = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
    let sent = bench.client(&post(ADA, "", ask)).server;
    assert!(sent.contains("2024-11-05"), "{sent}");
    let shown = bench.server(&json(
        r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2024-11-05","capabilities":{}}}"#,
    ));
    assert!(shown.client.contains("2024-11-05"), "{}", shown.client);
    let sessions = bench.of_kind(Kind::Session);
    assert_eq!(sessions[0].summary, program().to_string());
}
