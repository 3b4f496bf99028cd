//! Transforms of one value, and the detectors over a megabyte. Twin of the detectors: a scan
//! for `@` by memchr, the least that reading every byte costs.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use weir_facts::MaskRule;
use weir_mask::detect::{Class, ClassSet, scan};
use weir_mask::{MaskKey, text};

/// `pg_type.oid` of text.
const TEXT: u32 = 25;

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

criterion_group!(benches, transforms, detectors);
criterion_main!(benches);
