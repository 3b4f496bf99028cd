//! One pass over a JSON-RPC message. Twins: serde_json's value, simd-json's borrowed value.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use weir_facts::Side;
use weir_mcp::json::Document;
use weir_mcp::message::{Body, Revision};
use weir_mcp::reveal::{Shown, reveal};

fn call(filler: usize) -> String {
    let text = "nothing of interest stands here ".repeat(filler / 32);
    format!(
        r#"{{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{{"name":"lookup_customer","arguments":{{"id":1,"note":"{text}"}}}}}}"#
    )
}

fn answer(rows: usize) -> String {
    let rows: Vec<_> = (0..rows)
        .map(|n| format!(r#"{{"id":{n},"name":"customer {n}","ssn":"123-45-6789"}}"#))
        .collect();
    format!(
        r#"{{"jsonrpc":"2.0","id":17,"result":{{"content":[],"structuredContent":{{"rows":[{}]}}}}}}"#,
        rows.join(",")
    )
}

fn messages(c: &mut Criterion) {
    let mut group = c.benchmark_group("mcp/message");
    for filler in [0, 4096, 262_144] {
        let text = call(filler);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_with_input(BenchmarkId::new("read", text.len()), &text, |b, text| {
            b.iter(|| {
                let document = Document::parse(black_box(text.as_bytes())).expect("fixed input");
                Body::read(&document, Side::Client, Revision::V2025_11_25)
                    .expect("fixed input")
                    .messages()
                    .len()
            });
        });
        group.bench_with_input(
            BenchmarkId::new("twin: serde_json", text.len()),
            &text,
            |b, text| {
                b.iter(|| {
                    serde_json::from_slice::<serde_json::Value>(black_box(text.as_bytes()))
                        .expect("fixed input")
                });
            },
        );
        group.bench_with_input(
            BenchmarkId::new("twin: simd-json", text.len()),
            &text,
            |b, text| {
                let mut buffer = Vec::new();
                b.iter(|| {
                    // It writes into its input.
                    buffer.clear();
                    buffer.extend_from_slice(black_box(text.as_bytes()));
                    black_box(simd_json::to_borrowed_value(&mut buffer).expect("fixed input"));
                });
            },
        );
    }
    group.finish();
}

fn answers(c: &mut Criterion) {
    let text = answer(200);
    let mut group = c.benchmark_group("mcp/reveal");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("200 rows, one text of three masked", |b| {
        b.iter(|| {
            let document = Document::parse(black_box(text.as_bytes())).expect("fixed input");
            let edits = reveal(&document, |offer| match offer.text().as_ref() {
                "123-45-6789" => Shown::Text("*******6789".to_owned()),
                _ => Shown::Same,
            });
            edits.apply(text.as_bytes())
        });
    });
    group.finish();
}

criterion_group!(benches, messages, answers);
criterion_main!(benches);
