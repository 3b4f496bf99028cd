//! Catalogues of the registered databases, read over Weir's own connections and kept
//! fresh: re-read when a flow asks for a newer one, and polled for changes by others.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use tokio::sync::Mutex;
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use weir_facts::ConnectionName;
use weir_flow::{CatalogCell, Connection, Target};
use weir_sql::{Catalog, Epoch};

use super::server_tls::ServerTls;

/// How often a database is asked whether its catalogue changed. A change by others is
/// believed late by at most this much; SECURITY.md says so.
const POLL: Duration = Duration::from_secs(1);

/// How long a catalogue is kept that no flow uses any more.
const UNUSED_MAX: Duration = Duration::from_secs(60);

/// How long one catalogue query may take before the flow that waits for it is refused.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// The name under which these sessions appear in the server's log and pg_stat_activity.
const APPLICATION_NAME: &str = "weir-catalog";

type Key = (ConnectionName, Arc<str>);

/// All catalogues of this process. Lives on the control thread.
pub(crate) struct Catalogs {
    databases: Mutex<HashMap<Key, Rc<Database>>>,
    tls: ServerTls,
}

/// One database: its session and its newest catalogue.
struct Database {
    session: Mutex<Option<Client>>,
    /// Locked while it is read, so that no older reading replaces a newer one.
    read: Mutex<Option<Reading>>,
}

/// The newest reading.
struct Reading {
    cell: Arc<CatalogCell>,
    begun: Instant,
}

impl Catalogs {
    /// No catalogue yet.
    pub(crate) fn new(tls: ServerTls) -> Rc<Self> {
        Rc::new(Self {
            databases: Mutex::new(HashMap::new()),
            tls,
        })
    }

    /// The catalogue of a database. Where `stale` says that the one at hand may be overtaken, a
    /// reading that began after this call; flows that ask together are answered by one.
    pub(crate) async fn cell(
        self: &Rc<Self>,
        connection: &Arc<Connection>,
        database: &Arc<str>,
        stale: Option<Epoch>,
    ) -> Result<Arc<CatalogCell>> {
        let entry = self.entry(connection, database).await;
        let asked = Instant::now();
        let mut newest = entry.read.lock().await;
        if let Some(reading) = &*newest
            && (stale.is_none() || reading.begun >= asked)
        {
            return Ok(reading.cell.clone());
        }
        let is_first = newest.is_none();
        let renewed = self.renew(&entry, &mut newest, connection, database).await;
        drop(newest);
        let cell = match renewed {
            // A client can name any database; one that was never read is not kept.
            Err(error) if is_first => {
                self.forget(&entry, connection, database).await;
                return Err(error);
            }
            renewed => renewed?,
        };
        if is_first {
            self.poll(entry, connection.clone(), database.clone());
        }
        Ok(cell)
    }

    async fn renew(
        &self,
        entry: &Database,
        newest: &mut Option<Reading>,
        connection: &Connection,
        database: &str,
    ) -> Result<Arc<CatalogCell>> {
        let begun = Instant::now();
        let changes = newest.as_ref().map_or(0, |reading| reading.cell.changes());
        let catalog = Arc::new(self.read(entry, connection, database).await?);
        let cell = match newest {
            Some(reading) => {
                reading.cell.store(catalog, changes);
                reading.cell.clone()
            }
            None => Arc::new(CatalogCell::new(catalog)),
        };
        *newest = Some(Reading {
            cell: cell.clone(),
            begun,
        });
        Ok(cell)
    }

    async fn entry(&self, connection: &Arc<Connection>, database: &Arc<str>) -> Rc<Database> {
        let key = (connection.name.clone(), database.clone());
        let mut databases = self.databases.lock().await;
        let fresh = || {
            Rc::new(Database {
                session: Mutex::new(None),
                read: Mutex::new(None),
            })
        };
        databases.entry(key).or_insert_with(fresh).clone()
    }

    /// Lets go of a database, unless another one of its name has come since.
    async fn forget(&self, entry: &Rc<Database>, connection: &Connection, database: &Arc<str>) {
        let key = (connection.name.clone(), database.clone());
        let mut databases = self.databases.lock().await;
        if databases
            .get(&key)
            .is_some_and(|known| Rc::ptr_eq(known, entry))
        {
            databases.remove(&key);
        }
    }

    /// Reads everything again, over the session at hand or a new one.
    async fn read(
        &self,
        entry: &Database,
        connection: &Connection,
        database: &str,
    ) -> Result<Catalog> {
        let mut session = entry.session.lock().await;
        if session.as_ref().is_none_or(Client::is_closed) {
            *session = Some(self.connect(connection, database).await?);
        }
        let client = session.as_ref().ok_or_else(|| anyhow!("no session"))?;
        match tokio::time::timeout(QUERY_TIMEOUT, read_all(client)).await {
            Ok(Ok(catalog)) => Ok(catalog),
            Ok(Err(error)) => {
                *session = None;
                Err(error)
            }
            Err(_) => {
                *session = None;
                Err(anyhow!(
                    "the catalogue of {database} did not answer within {} s",
                    QUERY_TIMEOUT.as_secs()
                ))
            }
        }
    }

    async fn connect(&self, connection: &Connection, database: &str) -> Result<Client> {
        let Target::Postgres(target) = &connection.target else {
            return Err(anyhow!("{} is not a Postgres server", connection.name));
        };
        let credential = target
            .catalog_credential()
            .with_context(|| format!("{} has no credential", connection.name))?;
        let mut config = Config::new();
        config
            .user(&*credential.role)
            .password(credential.password.as_bytes())
            .dbname(database)
            .application_name(APPLICATION_NAME)
            .options("-c search_path=pg_catalog -c default_transaction_read_only=on");
        self.tls.connect(connection, credential, &mut config).await
    }

    /// Watches for changes that did not come through Weir, while anybody uses the catalogue.
    fn poll(self: &Rc<Self>, entry: Rc<Database>, connection: Arc<Connection>, database: Arc<str>) {
        let catalogs = self.clone();
        tokio::task::spawn_local(async move {
            let mut used = Instant::now();
            loop {
                tokio::time::sleep(POLL).await;
                let newest = entry.read.lock().await;
                let known = newest.as_ref().map(|reading| reading.cell.epoch());
                // Every flow that uses it holds the cell.
                if newest
                    .as_ref()
                    .is_some_and(|reading| Arc::strong_count(&reading.cell) > 1)
                {
                    used = Instant::now();
                }
                drop(newest);
                if used.elapsed() > UNUSED_MAX {
                    catalogs.forget(&entry, &connection, &database).await;
                    return;
                }
                if known.is_some() && catalogs.epoch(&entry).await == known {
                    continue;
                }
                let mut newest = entry.read.lock().await;
                if let Err(error) = catalogs
                    .renew(&entry, &mut newest, &connection, &database)
                    .await
                {
                    tracing::warn!(connection = %connection.name, %database, %error, "catalogue not read");
                    if used.elapsed() > POLL {
                        drop(newest);
                        catalogs.forget(&entry, &connection, &database).await;
                        return;
                    }
                }
            }
        });
    }

    /// The epoch as the server has it now; `None` if it cannot be asked.
    async fn epoch(&self, entry: &Database) -> Option<Epoch> {
        let session = entry.session.lock().await;
        let client = session.as_ref()?;
        let answer = tokio::time::timeout(QUERY_TIMEOUT, fingerprint(client))
            .await
            .ok()?
            .ok()?;
        Some(Epoch::of(&answer))
    }
}

async fn read_all(client: &Client) -> Result<Catalog> {
    client
        .simple_query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await
        .context("catalogue transaction")?;
    let epoch = fingerprint(client).await?;
    let mut tables = Vec::with_capacity(Catalog::QUERIES.len());
    for (name, query) in Catalog::QUERIES {
        let answer = client
            .simple_query(query)
            .await
            .with_context(|| format!("catalogue query {name}"))?;
        tables.push(rows(&answer));
    }
    client
        .simple_query("COMMIT")
        .await
        .context("catalogue transaction")?;
    Ok(Catalog::from_rows(Epoch::of(&epoch), &tables)?)
}

async fn fingerprint(client: &Client) -> Result<String> {
    let answer = client
        .simple_query(Catalog::EPOCH_QUERY)
        .await
        .context("catalogue epoch")?;
    rows(&answer)
        .into_iter()
        .flatten()
        .flatten()
        .next()
        .context("the catalogue has no epoch")
}

fn rows(answer: &[SimpleQueryMessage]) -> Vec<Vec<Option<String>>> {
    answer
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|i| row.get(i).map(str::to_owned))
                    .collect(),
            ),
            _ => None,
        })
        .collect()
}
