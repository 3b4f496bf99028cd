//! Transforms of one value, the detectors over a megabyte, and the net over fields as rows have
//! them. Twin of the detectors: a scan for `@` by memchr, the least that reading every byte costs.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use weir_facts::MaskRule;
use weir_mask::detect::{Class, ClassSet, scan};
use weir_mask::{MaskKey, Masked, Net, text};

/// `pg_type.oid` of text, jsonb and text[].
const TEXT: u32 = 25;
const JSONB: u32 = 3802;
const TEXTS: u32 = 1009;

fn transforms(c: &mut Criterion) {
    let key = MaskKey::new([7; 32]);
    let mut group = c.benchmark_group("mask/text");
    for spelled in ["keep_last:4", "redact", "null", "hash", "digits"] {
        let rule: MaskRule = spelled.parse().expect("fixed input");
        group.bench_function(spelled, |b| {
            b.iter(|| {
                let mut value = *b"123-45-6789";
                text(&rule, &key, TEXT, black_box(&mut value))
            });
        });
    }
    group.bench_function("twin: fill", |b| {
        b.iter(|| {
            let mut value = *b"123-45-6789";
            black_box(&mut value)
                .iter_mut()
                .take(7)
                .for_each(|byte| *byte = b'*');
            value
        });
    });
    group.finish();
}

fn detectors(c: &mut Criterion) {
    let all = Class::ALL
        .iter()
        .fold(ClassSet::NONE, |all, class| all.with(*class));
    let plain =
        "The quick brown fox jumps over the lazy dog; order 17 was sent on day 4. ".repeat(14_000);
    let mut dense = plain.clone();
    let mut at = 0;
    while let Some(next) = dense
        .get(at + 1024..)
        .and_then(|rest| rest.find("quick brown"))
    {
        at += 1024 + next;
        dense.replace_range(at..at + 11, "123-45-6789");
    }
    let mut group = c.benchmark_group("mask/detect");
    group.throughput(Throughput::Bytes(plain.len() as u64));
    for (name, text) in [("nothing to find", &plain), ("one in a KiB", &dense)] {
        group.bench_function(name, |b| {
            let mut found = Vec::new();
            b.iter(|| {
                found.clear();
                scan(black_box(text.as_bytes()), all, &mut found);
                found.len()
            });
        });
    }
    group.bench_function("twin: memchr", |b| {
        b.iter(|| memchr::memchr(b'@', black_box(plain.as_bytes())))
    });
    group.finish();
}

/// A KiB of fields, of which none holds a value.
fn net(c: &mut Criterion) {
    let key = MaskKey::new([7; 32]);
    let rule = |rule: &str| Some(rule.parse().expect("fixed input"));
    let net = Net::new(Class::ALL.iter().map(|class| (*class, rule("keep_last:4"))));
    let long =
        "The quick brown fox jumps over the lazy dog; order 17 was sent on day 4. ".repeat(14);
    let short = "customer number 4711, city 17";
    let document = format!(
        "{{{}}}",
        vec![r#""name": "the quick brown fox", "n": 17"#; 27].join(", ")
    );
    let list = format!(
        "{{{}}}",
        vec![r#""the quick brown fox",plain"#; 37].join(",")
    );
    let mut group = c.benchmark_group("mask/net");
    group.throughput(Throughput::Bytes(1024));
    for (name, oid, field, times) in [
        ("text, one field", TEXT, long.as_str(), 1),
        ("text, 35 fields", TEXT, short, 35),
        ("jsonb", JSONB, document.as_str(), 1),
        ("text[]", TEXTS, list.as_str(), 1),
    ] {
        let mut value = field.as_bytes().to_vec();
        group.bench_function(name, |b| {
            b.iter(|| {
                for _ in 0..times {
                    let masked = net.text(&key, oid, black_box(&mut value));
                    assert_eq!(masked, Masked::InPlace);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, transforms, detectors, net);
criterion_main!(benches);
