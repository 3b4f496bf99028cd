//! The store: SQLite in WAL mode, every commit synced. One connection writes, several read.
//!
//! Functions take the connection that they run on, so that a change and its entry in the
//! management log are one transaction.

pub(crate) mod account;
pub(crate) mod approval;
pub(crate) mod fleet;
pub(crate) mod idp;
pub(crate) mod leaf;
pub(crate) mod management;
pub(crate) mod policy;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod tool;

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};

use crate::error::Result;

const FILE: &str = "control.db";

/// Connections that read at once: more than the cores of a control plane that SQLite suits.
const READERS: u32 = 4;

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// The open store.
#[derive(Clone)]
pub(crate) struct Store {
    write: SqlitePool,
    read: SqlitePool,
}

/// A transaction that writes.
pub(crate) type Tx = Transaction<'static, Sqlite>;

impl Store {
    /// Opens the store of a state directory and brings its schema up to date.
    /// `create` makes the file; without it, a missing file is an error.
    pub(crate) async fn open(state: &Path, create: bool) -> anyhow::Result<Self> {
        let path = state.join(FILE);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(create)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10));
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await
            .with_context(|| format!("open {}", path.display()))?;
        MIGRATOR
            .run(&write)
            .await
            .context("bring the store's schema up to date")?;
        let read = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true))
            .await
            .with_context(|| format!("open {} for reading", path.display()))?;
        Ok(Self { write, read })
    }

    /// Begins to write. One writer at a time; the others wait.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        Ok(self.write.begin().await?)
    }

    /// Begins to read: everything read until it ends is of one moment.
    pub(crate) async fn begin_read(&self) -> Result<Tx> {
        Ok(self.read.begin().await?)
    }

    /// A connection to read with.
    pub(crate) async fn reader(&self) -> Result<PoolConnection<Sqlite>> {
        Ok(self.read.acquire().await?)
    }

    /// Finishes what is under way and closes the files.
    pub(crate) async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}
