//! sqlx: prepares and describes everything, caches statements, asks the catalogue for types.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions, PgRow, PgSslMode};
use sqlx::{AssertSqlSafe, Column, Connection, Executor, Row, TypeInfo};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::{HIDDEN, hex, story, tell, tell_masked, utc, variable};

/// Tells every story. Whether each ended well.
pub(crate) async fn tell_all() -> bool {
    let pool = match open("PGDATABASE").await {
        Ok(pool) => pool,
        Err(error) => return story("connect", async { Err(error) }).await,
    };
    let mut well = true;
    well &= story("connect", connect(&pool)).await;
    well &= story("types", types(&pool)).await;
    well &= story("prepared", prepared(&pool)).await;
    well &= story("transaction", transaction(&pool)).await;
    well &= story("copy", copy(&pool)).await;
    well &= story("notify", notify()).await;
    well &= story("migrate", migrate()).await;
    well &= story("cancel", cancel(&pool)).await;
    well &= story("large", large(&pool)).await;
    well & story("masked", hidden(&pool)).await
}

async fn open(database: &str) -> Result<PgPool> {
    let mut options = PgConnectOptions::new_without_pgpass()
        .database(&variable(database)?)
        .application_name("story")
        .options([("statement_timeout", "60s")]);
    if let Ok(file) = variable("PGSSLROOTCERT") {
        options = options.ssl_root_cert(file);
    }
    if variable("PGSSLMODE").is_ok_and(|mode| mode == "require") {
        options = options.ssl_mode(PgSslMode::Require);
    }
    let pool = PgPoolOptions::new().max_connections(4);
    Ok(pool.connect_with(options).await?)
}

fn code(error: &sqlx::Error) -> String {
    let told = |error: &(dyn sqlx::error::DatabaseError + 'static)| {
        format!(
            "{:?} {:?} {:?}",
            error.code(),
            error.kind(),
            error.constraint()
        )
    };
    error
        .as_database_error()
        .map_or_else(|| format!("{error:?}"), told)
}

async fn connect(pool: &PgPool) -> Result<()> {
    let mut connection = pool.acquire().await?;
    connection.ping().await?;
    let shown: String = sqlx::query_scalar("SHOW statement_timeout")
        .fetch_one(&mut *connection)
        .await?;
    tell(
        "connect",
        &[&shown, &connection.server_version_num().unwrap_or(0)],
    );
    connection.execute("SET TIME ZONE 'UTC'").await?;
    Ok(())
}

async fn types(pool: &PgPool) -> Result<()> {
    let rows = sqlx::query("SELECT * FROM drv_types ORDER BY id")
        .fetch_all(pool)
        .await?;
    for column in rows.first().context("no rows")?.columns() {
        tell(
            "types column",
            &[&column.name(), &column.type_info().name()],
        );
    }
    for row in &rows {
        let seen = format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            row.try_get::<Option<bool>, _>("b")?,
            row.try_get::<Option<i16>, _>("i2")?,
            row.try_get::<Option<i64>, _>("i8")?,
            row.try_get::<Option<f64>, _>("f8")?,
            row.try_get::<Option<String>, _>("t")?,
            row.try_get::<Option<Vec<u8>>, _>("by")?,
            row.try_get::<Option<OffsetDateTime>, _>("tz")?,
            row.try_get::<Option<Uuid>, _>("u")?,
            row.try_get::<Option<serde_json::Value>, _>("jb")?,
            row.try_get::<Option<Vec<Option<i32>>>, _>("ia")?,
            row.try_get::<Option<Vec<Option<String>>>, _>("ta")?,
        );
        tell("types binary", &[&seen]);
    }
    let raw = sqlx::raw_sql("SELECT id, n, d, iv FROM drv_types ORDER BY id")
        .fetch_all(pool)
        .await?;
    for row in raw {
        let shown = row.try_get_unchecked::<Option<String>, _>("n")?;
        tell("types text", &[&format!("{shown:?}")]);
    }
    let row = sqlx::query("SELECT $1::oid, $2::int8[], $3::jsonb, $4::date")
        .bind(Oid(23))
        .bind(vec![1_i64, 2])
        .bind(serde_json::json!({"n": [1]}))
        .bind(Date::from_calendar_date(1984, time::Month::February, 29)?)
        .fetch_one(pool)
        .await?;
    let seen = format!(
        "{:?} {:?} {} {}",
        row.get::<Oid, _>(0),
        row.get::<Vec<i64>, _>(1),
        row.get::<serde_json::Value, _>(2),
        row.get::<Date, _>(3)
    );
    tell("types round trip", &[&seen]);
    // The driver does not know these: it asks the catalogue what they are.
    let row = sqlx::query("SELECT NULL::information_schema.yes_or_no AS domain, i FROM drv_items i RIGHT JOIN (SELECT 1) one ON false").fetch_one(pool).await?;
    let kinds: Vec<_> = row
        .columns()
        .iter()
        .map(|column| column.type_info().name().to_owned())
        .collect();
    tell("types introspected", &[&kinds.join(",")]);
    // What the compile-time macros ask.
    let described = pool.describe(sqlx::SqlStr::from_static("SELECT c.id, c.name, p.cents FROM customers c LEFT JOIN payments p ON p.customer_id = c.id WHERE c.id = $1")).await?;
    let nullable: Vec<_> = (0..3).map(|at| described.nullable(at)).collect();
    tell("types described", &[&format!("{nullable:?}")]);
    Ok(())
}

async fn prepared(pool: &PgPool) -> Result<()> {
    for n in 0..20_i32 {
        let row: i32 = sqlx::query_scalar("SELECT $1::int + 1")
            .bind(n)
            .fetch_one(pool)
            .await?;
        tell("prepared", &[&row]);
    }
    // More than the driver's cache of 100 holds: statements are closed.
    let mut connection = pool.acquire().await?;
    for n in 0..150_i32 {
        let text = format!("SELECT $1::int * {n}");
        let _: i32 = sqlx::query_scalar(AssertSqlSafe(text))
            .bind(2_i32)
            .fetch_one(&mut *connection)
            .await?;
    }
    tell("prepared cache", &[&connection.cached_statements_size()]);
    connection.clear_cached_statements().await?;
    let once: i32 = sqlx::query_scalar("SELECT 7")
        .persistent(false)
        .fetch_one(&mut *connection)
        .await?;
    drop(connection);
    tell("unprepared", &[&once]);
    let asked = (0..40_i32).map(|n| {
        sqlx::query_scalar::<_, i32>("SELECT $1::int * 2")
            .bind(n)
            .fetch_one(pool)
    });
    let all = futures_util::future::try_join_all(asked).await?;
    tell("prepared pool", &[&all.iter().sum::<i32>()]);
    Ok(())
}

async fn transaction(pool: &PgPool) -> Result<()> {
    let mut outer = pool.begin().await?;
    sqlx::query("INSERT INTO drv_items(name, qty) VALUES ($1, $2)")
        .bind("kept")
        .bind(1)
        .execute(&mut *outer)
        .await?;
    let mut inner = outer.begin().await?;
    let failed = sqlx::query("INSERT INTO drv_items(name, qty) VALUES ($1, $2)")
        .bind("lost")
        .bind(-1)
        .execute(&mut *inner)
        .await;
    tell(
        "savepoint",
        &[&failed.err().as_ref().map(code).unwrap_or_default()],
    );
    inner.rollback().await?;
    outer.commit().await?;
    let many = sqlx::query(
        "INSERT INTO drv_items(name, qty) SELECT * FROM UNNEST($1::text[], $2::int[]) RETURNING id",
    )
    .bind((0..100).map(|n| format!("many {n}")).collect::<Vec<_>>())
    .bind((0..100).collect::<Vec<i32>>())
    .fetch_all(pool)
    .await?;
    tell("unnest", &[&many.len()]);
    {
        let mut dropped = pool.begin().await?;
        sqlx::query("UPDATE drv_items SET qty = 9 WHERE name = 'kept'")
            .execute(&mut *dropped)
            .await?;
    }
    let qty: i32 = sqlx::query_scalar("SELECT qty FROM drv_items WHERE name = 'kept'")
        .fetch_one(pool)
        .await?;
    tell("transaction", &[&qty]);
    for text in [
        "SELECT nothing",
        "SELECT 1 +",
        "SELECT 1/0",
        "SELECT * FROM nowhere",
    ] {
        tell(
            "error",
            &[&sqlx::query(text)
                .execute(pool)
                .await
                .err()
                .as_ref()
                .map(code)
                .unwrap_or_default()],
        );
    }
    let several = sqlx::raw_sql("SELECT 1; SELECT 2; UPDATE drv_items SET qty = 0 WHERE id = 0")
        .execute(pool)
        .await?;
    tell("script", &[&several.rows_affected()]);
    Ok(())
}

async fn copy(pool: &PgPool) -> Result<()> {
    let mut connection = pool.acquire().await?;
    let mut sink = connection
        .copy_in_raw("COPY drv_items(name, qty) FROM STDIN")
        .await?;
    for n in 0..1000 {
        sink.send(format!("copied {n}\t{n}\n").into_bytes()).await?;
    }
    tell("copy in", &[&sink.finish().await?]);
    let mut sink = connection
        .copy_in_raw("COPY drv_items(name, qty) FROM STDIN")
        .await?;
    sink.send(&b"a\tno number\n"[..]).await?;
    tell(
        "copy error",
        &[&sink
            .finish()
            .await
            .err()
            .as_ref()
            .map(code)
            .unwrap_or_default()],
    );
    let sink = connection
        .copy_in_raw("COPY drv_items(name, qty) FROM STDIN")
        .await?;
    sink.abort("changed my mind").await?;
    let mut size = Vec::new();
    let mut out = connection.copy_out_raw("COPY drv_types TO STDOUT").await?;
    while let Some(part) = out.try_next().await? {
        size.extend_from_slice(&part);
    }
    tell("copy out", &[&hex(&size)]);
    Ok(())
}

async fn notify() -> Result<()> {
    let pool = open("DRIVER_PLAIN_DATABASE").await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen_all(["story", "other"]).await?;
    sqlx::query("SELECT pg_notify('story', $1)")
        .bind("first")
        .execute(&pool)
        .await?;
    let heard = tokio::time::timeout(Duration::from_secs(30), listener.recv())
        .await
        .context("nothing was heard")??;
    tell("notify", &[&heard.channel(), &heard.payload()]);
    listener.unlisten_all().await?;
    Ok(())
}

async fn migrate() -> Result<()> {
    let pool = open("DRIVER_PLAIN_DATABASE").await?;
    let step = |kind, text: &'static str| {
        Migration::new(
            1,
            "things".into(),
            kind,
            sqlx::SqlStr::from_static(text),
            false,
        )
    };
    let migrator = Migrator::with_migrations(vec![
        step(
            MigrationType::ReversibleUp,
            "CREATE TABLE sqlx_things(id serial PRIMARY KEY, name text NOT NULL)",
        ),
        step(MigrationType::ReversibleDown, "DROP TABLE sqlx_things"),
    ]);
    migrator.run(&pool).await?;
    let row: i32 = sqlx::query_scalar("INSERT INTO sqlx_things(name) VALUES ('x') RETURNING id")
        .fetch_one(&pool)
        .await?;
    tell("migrate", &[&row]);
    migrator.undo(&pool, 0).await?;
    pool.execute("DROP TABLE _sqlx_migrations").await?;
    Ok(())
}

async fn cancel(pool: &PgPool) -> Result<()> {
    let mut connection = pool.acquire().await?;
    connection
        .execute("SET statement_timeout = '200ms'")
        .await?;
    let failed = sqlx::query("SELECT pg_sleep(60)")
        .execute(&mut *connection)
        .await;
    tell(
        "cancel",
        &[&failed.err().as_ref().map(code).unwrap_or_default()],
    );
    connection.execute("RESET statement_timeout").await?;
    Ok(())
}

async fn large(pool: &PgPool) -> Result<()> {
    let mut rows =
        sqlx::query("SELECT g, repeat('x', 200) FROM generate_series(1, 20000) g").fetch(pool);
    let (mut count, mut size) = (0, 0);
    while let Some(row) = rows.try_next().await? {
        count += 1;
        size += row.get::<&str, _>(1).len();
    }
    tell("large", &[&count, &size]);
    let value: String = sqlx::query_scalar("SELECT repeat('é', 3000000)")
        .fetch_one(pool)
        .await?;
    tell("large value", &[&value.len()]);
    let length: i32 = sqlx::query_scalar("SELECT length($1)")
        .bind("y".repeat(3_000_000))
        .fetch_one(pool)
        .await?;
    tell("large parameter", &[&length]);
    Ok(())
}

fn masked(row: &PgRow, balance: String) -> Result<()> {
    tell_masked([
        row.try_get("ssn")?,
        row.try_get::<Date, _>("born")?.to_string(),
        utc(row.try_get("seen")?),
        row.try_get::<i32, _>("visits")?.to_string(),
        row.try_get::<i64, _>("account")?.to_string(),
        balance,
        row.try_get::<f64, _>("score")?.to_string(),
        row.try_get::<bool, _>("insured")?.to_string(),
        row.try_get::<Uuid, _>("token")?.to_string(),
        row.try_get::<serde_json::Value, _>("chart")?.to_string(),
        hex(&row.try_get::<Vec<u8>, _>("scan")?),
    ]);
    Ok(())
}

async fn hidden(pool: &PgPool) -> Result<()> {
    // Without a feature of its own the driver decodes no numeric: it is read in text.
    let text = sqlx::raw_sql(AssertSqlSafe(format!("{HIDDEN}1")))
        .fetch_one(pool)
        .await?;
    let balance: String = text.try_get_unchecked("balance")?;
    tell("masked ssn", &[&text.try_get::<String, _>("ssn")?]);
    for _ in 0..2 {
        let row = sqlx::query(AssertSqlSafe(format!("{HIDDEN}$1")))
            .bind(1)
            .fetch_one(pool)
            .await?;
        masked(&row, balance.clone())?;
    }
    let rows: Vec<Option<String>> =
        sqlx::query_scalar(AssertSqlSafe("SELECT ssn FROM patients ORDER BY id"))
            .fetch_all(pool)
            .await?;
    tell(
        "masked nulls",
        &[&rows.iter().filter(|ssn| ssn.is_none()).count()],
    );
    Ok(())
}
