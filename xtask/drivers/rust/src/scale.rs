//! Much of one thing: statements, rows, bytes, connections. Each prints what it did.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt, stream};

use crate::tell;
use crate::tokio_postgres_::open;

/// Named statements of one session, all open at once.
const STATEMENTS: i32 = 10_000;

/// Rows of one cursor, fetched in pieces.
const ROWS: i32 = 100_000;
const ROWS_PER_FETCH: i32 = 1_000;

/// Bytes of one COPY, each way.
const COPY_BYTES: u64 = 1 << 30;

/// One CopyData message of ours: what psql sends is of this order.
const CHUNK_BYTES: usize = 64 << 10;

/// Connections that are open at once, and each is asked something.
const CONNECTIONS: u32 = 1_000;

/// Connections that are made at once.
const OPENED_AT_ONCE: usize = 25;

/// Does one of them.
pub(crate) async fn tell_one(what: &str) -> Result<()> {
    let begun = Instant::now();
    match what {
        "statements" => statements().await?,
        "cursor" => cursor().await?,
        "copy-out" => copy_out().await?,
        "copy-in" => copy_in().await?,
        "connections" => connections().await?,
        other => anyhow::bail!("no such thing: {other}"),
    }
    tell(
        "seconds",
        &[&format!("{:.1}", begun.elapsed().as_secs_f64())],
    );
    Ok(())
}

async fn statements() -> Result<()> {
    let (client, _) = open("PGDATABASE").await?;
    let numbers: Vec<i32> = (0..STATEMENTS).collect();
    let mut kept = Vec::new();
    // Pipelined, as drivers that prepare whatever they are asked do.
    for part in numbers.chunks(100) {
        let texts: Vec<_> = part
            .iter()
            .map(|n| format!("SELECT name, $1::int + {n} AS n FROM customers WHERE id = 1"))
            .collect();
        let prepared = texts.iter().map(|text| client.prepare(text));
        kept.extend(futures_util::future::try_join_all(prepared).await?);
    }
    for (n, statement) in (0..STATEMENTS).zip(&kept).step_by(97) {
        let row = client.query_one(statement, &[&1_i32]).await?;
        ensure!(
            row.get::<_, i32>("n") == n + 1,
            "another statement's answer"
        );
    }
    tell("statements", &[&kept.len()]);
    Ok(())
}

async fn cursor() -> Result<()> {
    let (mut client, _) = open("PGDATABASE").await?;
    let transaction = client.transaction().await?;
    let text = "SELECT g.n, c.ssn FROM generate_series(1, $1::int) g(n) JOIN customers c ON c.id = 1 + g.n % 3";
    let portal = transaction.bind(text, &[&ROWS]).await?;
    let (mut rows, mut fetches) = (0, 0);
    loop {
        let part = transaction.query_portal(&portal, ROWS_PER_FETCH).await?;
        if part.is_empty() {
            break;
        }
        let is_masked = |ssn: &str| ssn.starts_with("*******");
        let all_masked = part.iter().all(|row| is_masked(row.get(1)));
        ensure!(
            all_masked || std::env::var_os("DRIVER_CLEAR").is_some(),
            "a clear value"
        );
        rows += part.len();
        fetches += 1;
    }
    tell("cursor", &[&rows, &fetches]);
    Ok(())
}

async fn copy_out() -> Result<()> {
    let (client, _) = open("PGDATABASE").await?;
    let line = "x".repeat(1_016);
    let rows = COPY_BYTES / 1_024;
    let text = format!(
        "COPY (SELECT lpad(g::text, 7, '0'), '{line}' FROM generate_series(0, {rows} - 1) g) TO STDOUT"
    );
    let parts = client.copy_out(&text).await?;
    let bytes = parts.try_fold(
        0_u64,
        |sum, part| async move { Ok(sum + part.len() as u64) },
    );
    let bytes = bytes.await?;
    ensure!(bytes == rows * (7 + 1 + 1_016 + 1), "{bytes} bytes came");
    tell("copy out", &[&bytes]);
    Ok(())
}

async fn copy_in() -> Result<()> {
    let (client, _) = open("PGDATABASE").await?;
    let line = format!("1\t{}\n", "y".repeat(1_021));
    let chunk = Bytes::from(line.repeat(CHUNK_BYTES / line.len()));
    let chunks = COPY_BYTES.div_ceil(chunk.len() as u64);
    client.batch_execute("BEGIN").await?;
    let sink = client.copy_in("COPY drv_bulk(id, body) FROM STDIN").await?;
    let mut sink = std::pin::pin!(sink);
    let mut all = stream::iter((0..chunks).map(|_| Ok(chunk.clone())));
    sink.send_all(&mut all).await?;
    let rows = sink.finish().await?;
    client.batch_execute("ROLLBACK").await?;
    tell("copy in", &[&(chunks * chunk.len() as u64), &rows]);
    Ok(())
}

async fn connections() -> Result<()> {
    let numbers = stream::iter((0..CONNECTIONS).map(Ok::<_, anyhow::Error>));
    let open_one = |n: u32| async move {
        let (client, beside) = open("PGDATABASE")
            .await
            .with_context(|| format!("connection {n}"))?;
        let row = client
            .query_one("SELECT ssn FROM customers WHERE id = 1", &[])
            .await?;
        ensure!(
            row.get::<_, &str>(0) == "*******6789",
            "connection {n} was answered otherwise"
        );
        Ok((client, beside))
    };
    use futures_util::StreamExt;
    let opened: Vec<_> = numbers
        .map_ok(open_one)
        .try_buffer_unordered(OPENED_AT_ONCE)
        .try_collect()
        .await?;
    tell("connections", &[&opened.len()]);
    // Whoever measures looks now; then each must still answer.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asked = stream::iter(&opened).map(|(client, _)| client.query_one("SELECT 1", &[]));
    let answers: Vec<_> = asked.buffer_unordered(OPENED_AT_ONCE).try_collect().await?;
    tell("answers", &[&answers.len()]);
    Ok(())
}
