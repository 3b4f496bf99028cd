//! Frames and rows: 64 KiB of DataRows of ten columns, as a server sends them.
//!
//! Twins: pgwire's decoder, which builds a message from each frame, and a copy of the buffer,
//! the least that touching every byte costs.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pgwire::messages::{DecodeContext, PgWireBackendMessage, ProtocolVersion};
use weir_postgres::frame::{ServerReader, ServerTag, Step, Streamed};
use weir_postgres::rows::{Edit, edit};

const BUFFER_BYTES: usize = 64 * 1024;

fn row() -> Vec<u8> {
    let values = [
        "4711",
        "customer number 4711",
        "123-45-6789",
        "city 17",
        "3",
        "aaaaaaaaaaaaaaaa",
        "bbbbbbbbbbbb",
        "c",
        "d41d8cd98f00",
        "80087",
    ];
    let mut body = 10u16.to_be_bytes().to_vec();
    for value in values {
        body.extend_from_slice(
            &u32::try_from(value.len())
                .expect("fixed input")
                .to_be_bytes(),
        );
        body.extend_from_slice(value.as_bytes());
    }
    let length = u32::try_from(body.len() + 4)
        .expect("fixed input")
        .to_be_bytes();
    [b"D".as_slice(), &length, &body].concat()
}

fn chunk() -> Vec<u8> {
    let row = row();
    row.repeat(BUFFER_BYTES / row.len())
}

fn walk(chunk: &mut [u8], mut each: impl FnMut(&mut [u8])) -> usize {
    let (mut reader, mut at, mut count) = (ServerReader::new(), 0, 0);
    while let Some(step) = reader
        .next(chunk, &mut at, Streamed::NONE)
        .expect("fixed input")
    {
        let Step::Frame(mut frame) = step else {
            continue;
        };
        assert_eq!(frame.tag, ServerTag::DataRow);
        each(frame.body_mut());
        count += 1;
    }
    count
}

fn rows(c: &mut Criterion) {
    let mut chunk = chunk();
    let mut group = c.benchmark_group("postgres/rows");
    group.throughput(Throughput::Bytes(chunk.len() as u64));
    group.bench_function("frames", |b| b.iter(|| walk(black_box(&mut chunk), |_| {})));
    group.bench_function("edit one column in place", |b| {
        let mut out = Vec::new();
        b.iter(|| {
            walk(black_box(&mut chunk), |body| {
                let change = |_: usize, value: &mut [u8]| {
                    value.iter_mut().take(7).for_each(|byte| *byte = b'*');
                    Edit::InPlace
                };
                edit(body, 10, [2], change, &mut out).expect("fixed input");
            })
        });
    });
    group.bench_function("replace one column", |b| {
        let mut out = Vec::with_capacity(2 * BUFFER_BYTES);
        b.iter(|| {
            out.clear();
            walk(black_box(&mut chunk), |body| {
                edit(
                    body,
                    10,
                    [2],
                    |_, _| Edit::Replace(b"gone".to_vec()),
                    &mut out,
                )
                .expect("fixed input");
            })
        });
    });
    group.bench_function("twin: pgwire decodes", |b| {
        let mut context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
        context.awaiting_frontend_ssl = false;
        context.awaiting_frontend_startup = false;
        b.iter(|| {
            let (mut buffer, mut count) = (bytes::BytesMut::from(chunk.as_slice()), 0);
            while let Some(message) =
                PgWireBackendMessage::decode(&mut buffer, &context).expect("fixed input")
            {
                black_box(message);
                count += 1;
            }
            count
        });
    });
    group.bench_function("twin: copy", |b| {
        b.iter(|| black_box(chunk.as_slice()).to_vec())
    });
    group.finish();
}

criterion_group!(benches, rows);
criterion_main!(benches);
