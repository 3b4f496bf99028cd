//! tokio-postgres: pipelines whatever is polled together, prepares everything, binary.

use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::future::{join_all, try_join};
use futures_util::{SinkExt, StreamExt, TryStreamExt, stream};
use tokio_postgres::config::SslMode;
use tokio_postgres::error::DbError;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{
    AsyncMessage, CancelToken, Client, Config, IsolationLevel, NoTls, SimpleQueryMessage,
};
use uuid::Uuid;

use crate::{HIDDEN, hex, story, tell, tls, utc, variable};

const NOTHING: [&(dyn ToSql + Sync); 0] = [];

/// Tells every story. Whether each ended well.
pub(crate) async fn tell_all() -> bool {
    let connected = async {
        let (client, _) = open("PGDATABASE").await?;
        Ok::<_, anyhow::Error>(client)
    };
    let mut client = match connected.await {
        Ok(client) => client,
        Err(error) => return story("connect", async { Err(error) }).await,
    };
    let mut well = true;
    well &= story("connect", connect(&client)).await;
    well &= story("types", types(&client)).await;
    well &= story("prepared", prepared(&client)).await;
    well &= story("pipeline", pipeline(&client)).await;
    well &= story("transaction", transaction(&mut client)).await;
    well &= story("copy", copy(&client)).await;
    well &= story("notify", notify()).await;
    well &= story("cancel", cancel()).await;
    well &= story("large", large(&client)).await;
    well & story("masked", hidden(&mut client)).await
}

/// A session to the database that a variable names, and what came beside the answers.
pub(crate) async fn open(
    database: &str,
) -> Result<(Client, tokio::sync::mpsc::UnboundedReceiver<AsyncMessage>)> {
    let mut config = Config::new();
    config
        .host(variable("PGHOST")?)
        .port(variable("PGPORT")?.parse()?)
        .user(variable("PGUSER")?)
        .dbname(variable(database)?);
    if let Ok(password) = variable("PGPASSWORD") {
        config.password(password);
    }
    let (sender, beside) = tokio::sync::mpsc::unbounded_channel();
    macro_rules! drive {
        ($connection:expr) => {{
            let mut connection = $connection;
            tokio::spawn(async move {
                while let Some(message) =
                    std::future::poll_fn(|cx| connection.poll_message(cx)).await
                {
                    match message {
                        // Nobody may listen.
                        Ok(message) => drop(sender.send(message)),
                        Err(error) => return eprintln!("the session ended: {error:?}"),
                    }
                }
            });
        }};
    }
    let client = if let Some(tls) = tls::of_environment()? {
        config.ssl_mode(SslMode::Require);
        let (client, connection) = config.connect(tls).await?;
        drive!(connection);
        client
    } else {
        let (client, connection) = config.connect(NoTls).await?;
        drive!(connection);
        client
    };
    Ok((client, beside))
}

fn code(error: &tokio_postgres::Error) -> String {
    let told = |error: &DbError| {
        format!(
            "{} {} {:?}",
            error.code().code(),
            error.severity(),
            error.constraint()
        )
    };
    error
        .as_db_error()
        .map_or_else(|| format!("{error:?}"), told)
}

async fn connect(client: &Client) -> Result<()> {
    let row = client.query_one("SHOW server_version", &[]).await?;
    tell("connect", &[&row.get::<_, String>(0)]);
    client
        .batch_execute("SET TIME ZONE 'UTC'; SET statement_timeout = '60s'")
        .await?;
    let row = client.query_one("SHOW statement_timeout", &[]).await?;
    tell("connect set", &[&row.get::<_, String>(0)]);
    client.check_connection().await?;
    Ok(())
}

async fn types(client: &Client) -> Result<()> {
    let statement = client
        .prepare("SELECT * FROM drv_types ORDER BY id")
        .await?;
    for column in statement.columns() {
        tell(
            "types column",
            &[
                &column.name(),
                column.type_(),
                &column.column_id().unwrap_or(0),
            ],
        );
    }
    for row in client.query(&statement, &[]).await? {
        let seen = format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            row.get::<_, Option<bool>>("b"),
            row.get::<_, Option<i16>>("i2"),
            row.get::<_, Option<i64>>("i8"),
            row.get::<_, Option<f64>>("f8"),
            row.get::<_, Option<String>>("t"),
            row.get::<_, Option<Vec<u8>>>("by"),
            row.get::<_, Option<time::OffsetDateTime>>("tz"),
            row.get::<_, Option<Uuid>>("u"),
            row.get::<_, Option<serde_json::Value>>("jb"),
            row.get::<_, Option<Vec<Option<i32>>>>("ia"),
        );
        tell("types binary", &[&seen]);
    }
    for message in client
        .simple_query("SELECT * FROM drv_types ORDER BY id")
        .await?
    {
        if let SimpleQueryMessage::Row(row) = message {
            let cells: Vec<_> = (0..row.len())
                .map(|at| format!("{:?}", row.get(at)))
                .collect();
            tell("types text", &[&cells.join(",")]);
        }
    }
    // Types that the driver does not know are asked of the catalogue: an enum, a composite, a domain.
    let row = client
        .query_one("SELECT i, NULL::information_schema.yes_or_no FROM drv_items i RIGHT JOIN (SELECT 1) one ON false", &[])
        .await?;
    let kinds: Vec<_> = row
        .columns()
        .iter()
        .map(|column| format!("{:?}", column.type_().kind()))
        .collect();
    tell(
        "types introspected",
        &[
            &kinds.len(),
            &kinds.iter().any(|kind| kind.contains("Composite")),
        ],
    );
    let typed = client
        .prepare_typed("SELECT $1, $2", &[Type::INT8, Type::TEXT_ARRAY])
        .await?;
    let row = client
        .query_one(&typed, &[&i64::MIN, &vec!["a,b", "c\"d"]])
        .await?;
    tell(
        "types round trip",
        &[
            &row.get::<_, i64>(0),
            &row.get::<_, Vec<String>>(1).join("|"),
        ],
    );
    Ok(())
}

async fn prepared(client: &Client) -> Result<()> {
    let statement = client.prepare("SELECT $1::int + 1").await?;
    for n in 0..20_i32 {
        let row = client.query_one(&statement, &[&n]).await?;
        tell("prepared", &[&row.get::<_, i32>(0)]);
    }
    // Dropped statements are closed by the driver in between.
    for n in 0..50_i32 {
        let row = client
            .query_one(&format!("SELECT $1::int * {n}"), &[&2_i32])
            .await?;
        let _: i32 = row.get(0);
    }
    let rows = client
        .query_typed("SELECT $1::int + 1", &[(&7_i32, Type::INT4)])
        .await?;
    tell("prepared at once", &[&rows.len()]);
    Ok(())
}

async fn pipeline(client: &Client) -> Result<()> {
    let statement = client.prepare("SELECT $1::int * 2").await?;
    let asked = (0..200_i32).map(|n| {
        let statement = &statement;
        async move { client.query_one(statement, &[&n]).await }
    });
    let rows: Vec<_> = join_all(asked)
        .await
        .into_iter()
        .collect::<Result<_, _>>()?;
    tell(
        "pipeline",
        &[&rows.iter().map(|row| row.get::<_, i32>(0)).sum::<i32>()],
    );
    let (good, bad) = (
        client.query("SELECT 1", &[]),
        client.query("SELECT 1/0", &[]),
    );
    let (good, bad) = futures_util::join!(good, bad);
    tell(
        "pipeline error",
        &[
            &good?.len(),
            &bad.err().as_ref().map(code).unwrap_or_default(),
        ],
    );
    let (first, second) = try_join(
        client.prepare("SELECT 1"),
        client.prepare("SELECT ssn FROM customers"),
    )
    .await?;
    tell(
        "pipeline prepare",
        &[&first.columns().len(), &second.columns().len()],
    );
    Ok(())
}

async fn transaction(client: &mut Client) -> Result<()> {
    let mut outer = client
        .build_transaction()
        .isolation_level(IsolationLevel::Serializable)
        .start()
        .await?;
    outer
        .execute(
            "INSERT INTO drv_items(name, qty) VALUES ($1, $2)",
            &[&"kept", &1_i32],
        )
        .await?;
    let inner = outer.savepoint("one").await?;
    let failed = inner
        .execute(
            "INSERT INTO drv_items(name, qty) VALUES ($1, $2)",
            &[&"lost", &-1_i32],
        )
        .await;
    tell(
        "savepoint",
        &[&failed.err().as_ref().map(code).unwrap_or_default()],
    );
    inner.rollback().await?;
    let portal = outer
        .bind("SELECT g FROM generate_series(1, 1000) g", &NOTHING)
        .await?;
    let mut total = 0;
    loop {
        let rows = outer.query_portal(&portal, 100).await?;
        if rows.is_empty() {
            break;
        }
        total += rows.iter().map(|row| row.get::<_, i32>(0)).sum::<i32>();
    }
    tell("portal", &[&total]);
    outer.commit().await?;
    let row = client
        .query_one("SELECT qty FROM drv_items WHERE name = 'kept'", &[])
        .await?;
    tell("transaction", &[&row.get::<_, i32>(0)]);
    for text in [
        "SELECT nothing",
        "SELECT 1 +",
        "SELECT 1/0",
        "SELECT * FROM nowhere",
    ] {
        let failed = client.query(text, &[]).await;
        tell(
            "error",
            &[&failed.err().as_ref().map(code).unwrap_or_default()],
        );
    }
    Ok(())
}

async fn copy(client: &Client) -> Result<()> {
    let mut sink = pin!(
        client
            .copy_in("COPY drv_items(name, qty) FROM STDIN")
            .await?
    );
    let lines = (0..1000).map(|n| Ok(Bytes::from(format!("copied {n}\t{n}\n"))));
    sink.send_all(&mut stream::iter(lines)).await?;
    tell("copy in", &[&sink.finish().await?]);
    let mut sink = pin!(
        client
            .copy_in("COPY drv_items(name, qty) FROM STDIN")
            .await?
    );
    sink.send(Bytes::from_static(b"a\tno number\n")).await?;
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
    for how in ["", "(FORMAT csv, HEADER)", "(FORMAT binary)"] {
        let out = client
            .copy_out(&format!("COPY drv_types TO STDOUT {how}"))
            .await?;
        let parts: Vec<Bytes> = out.try_collect().await?;
        tell("copy out", &[&how, &hex(&parts.concat())]);
    }
    Ok(())
}

async fn notify() -> Result<()> {
    let (plain, mut beside) = open("DRIVER_PLAIN_DATABASE").await?;
    plain
        .batch_execute("LISTEN story; NOTIFY story, 'first'")
        .await?;
    let heard = tokio::time::timeout(Duration::from_secs(30), async {
        while let Some(message) = beside.recv().await {
            if let AsyncMessage::Notification(note) = message {
                return Ok(note);
            }
        }
        bail!("the session ended")
    });
    let note = heard.await.context("nothing was heard")??;
    tell("notify", &[&note.channel(), &note.payload()]);
    Ok(())
}

async fn cancel() -> Result<()> {
    // On a connection of its own: a cancel that is late must not hit another story.
    let (client, _beside) = open("PGDATABASE").await?;
    let token = client.cancel_token();
    let mut slow = pin!(client.batch_execute("SELECT pg_sleep(60)"));
    loop {
        tokio::select! {
            ended = &mut slow => {
                tell("cancel", &[&ended.err().as_ref().map(code).unwrap_or_default()]);
                break;
            }
            // Too early, and it hits nothing: ask again.
            () = tokio::time::sleep(Duration::from_millis(50)) => ask_to_cancel(&token).await?,
        }
    }
    Ok(())
}

async fn ask_to_cancel(token: &CancelToken) -> Result<()> {
    match tls::of_environment()? {
        Some(tls) => token.cancel_query(tls).await?,
        None => token.cancel_query(NoTls).await?,
    }
    Ok(())
}

async fn large(client: &Client) -> Result<()> {
    let rows = client
        .query_raw(
            "SELECT g, repeat('x', 200) FROM generate_series(1, 20000) g",
            NOTHING,
        )
        .await?;
    let counted = rows.try_fold((0_usize, 0_usize), |(count, size), row| async move {
        Ok((count + 1, size + row.get::<_, &str>(1).len()))
    });
    let (count, size) = counted.await?;
    tell("large", &[&count, &size]);
    let row = client.query_one("SELECT repeat('é', 3000000)", &[]).await?;
    tell("large value", &[&row.get::<_, &str>(0).len()]);
    let row = client
        .query_one("SELECT length($1::text)", &[&"y".repeat(3_000_000)])
        .await?;
    tell("large parameter", &[&row.get::<_, i32>(0)]);
    Ok(())
}

async fn hidden(client: &mut Client) -> Result<()> {
    // The driver decodes numeric with no feature of its own: as text.
    let text = HIDDEN.replace("balance", "balance::text AS balance");
    let refused = client.query(&format!("{text}1"), &[]).await;
    tell(
        "masked expression",
        &[&refused.err().as_ref().map(code).unwrap_or_default()],
    );
    for message in client.simple_query(&format!("{HIDDEN}1")).await? {
        if let SimpleQueryMessage::Row(row) = message {
            for at in 0..row.len() {
                let name = row.columns().get(at).map_or("", |column| column.name());
                let shown = row.get(at).unwrap_or("null");
                if matches!(
                    name,
                    "ssn" | "born" | "visits" | "account" | "balance" | "token"
                ) {
                    tell(&format!("masked {name}"), &[&shown]);
                }
            }
        }
    }
    let exact = HIDDEN.replace("balance, ", "");
    let statement = client.prepare(&format!("{exact}$1")).await?;
    for _ in 0..2 {
        let row = client.query_one(&statement, &[&1_i32]).await?;
        tell("masked ssn", &[&row.get::<_, String>("ssn")]);
        tell("masked born", &[&row.get::<_, time::Date>("born")]);
        tell("masked seen", &[&utc(row.get("seen"))]);
        tell("masked visits", &[&row.get::<_, i32>("visits")]);
        tell("masked account", &[&row.get::<_, i64>("account")]);
        tell("masked score", &[&row.get::<_, f64>("score")]);
        tell("masked insured", &[&row.get::<_, bool>("insured")]);
        tell("masked token", &[&row.get::<_, Uuid>("token")]);
        tell("masked chart", &[&row.get::<_, serde_json::Value>("chart")]);
        tell("masked scan", &[&hex(row.get("scan"))]);
    }
    let transaction = client.transaction().await?;
    let portal = transaction
        .bind("SELECT ssn FROM customers ORDER BY id", &NOTHING)
        .await?;
    let rows = transaction.query_portal_raw(&portal, 1).await?;
    let shown: Vec<_> = rows
        .map(|row| row.map(|row| row.get::<_, String>(0)))
        .try_collect()
        .await?;
    tell("masked rows", &[&shown.join(",")]);
    transaction.commit().await?;
    Ok(())
}
