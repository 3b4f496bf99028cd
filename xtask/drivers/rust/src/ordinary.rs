//! A list of ordinary statements, each run in a transaction of its own that is rolled back:
//! which run, and what the others are told.

use std::error::Error;

use anyhow::{Context, Result};
use bytes::BytesMut;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Row};

use crate::tell;
use crate::tokio_postgres_::open;

/// A parameter in text format, of whatever type the server makes of it.
#[derive(Debug)]
struct Text<'a>(&'a str);

impl ToSql for Text<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// Runs the list in a file: a source, a statement and its parameters in each line.
pub(crate) async fn tell_all(file: &str) -> Result<()> {
    let list = std::fs::read_to_string(file).with_context(|| file.to_owned())?;
    let (client, _) = open("PGDATABASE").await?;
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('\t');
        let (source, text) = (fields.next().unwrap_or_default(), fields.next());
        let text = text.with_context(|| format!("no statement in {line:?}"))?;
        let parameters: Vec<_> = fields
            .next()
            .map_or_else(Vec::new, |all| all.split('|').map(Text).collect());
        client.batch_execute("BEGIN").await?;
        match ask(&client, text, &parameters).await {
            Ok(rows) => tell("ran", &[&source, &rows, &text]),
            Err(error) => tell("refused", &[&source, &said(&error), &text]),
        }
        client.batch_execute("ROLLBACK").await?;
    }
    Ok(())
}

async fn ask(
    client: &Client,
    text: &str,
    parameters: &[Text<'_>],
) -> Result<usize, tokio_postgres::Error> {
    if text.starts_with("COPY") {
        use futures_util::TryStreamExt;
        let parts: Vec<_> = client.copy_out(text).await?.try_collect().await?;
        return Ok(parts.len());
    }
    let parameters: Vec<_> = parameters
        .iter()
        .map(|parameter| parameter as &(dyn ToSql + Sync))
        .collect();
    let rows: Vec<Row> = client.query(text, &parameters).await?;
    Ok(rows.len())
}

fn said(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(
        || format!("{error:?}"),
        |error| format!("{} {}", error.code().code(), error.message()),
    )
}
