//! The control plane's own log: who changed what. Each entry carries the hash of the one
//! before, and is written in the transaction of the change that it tells of.

use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::{Row, SqliteConnection};
use weir_api::http::ManagementEntry;

use crate::clock::{signed, unsigned};
use crate::error::Result;
use crate::secret::hex;

const DOMAIN: &[u8] = b"weir.management-log.v1\0";

/// Adds an entry. `detail` must hold no secret.
pub(crate) async fn append(
    tx: &mut SqliteConnection,
    now: i64,
    actor: &str,
    action: &str,
    subject: &str,
    detail: Value,
) -> Result<()> {
    let last: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT seq, hash FROM management_log ORDER BY seq DESC LIMIT 1")
            .fetch_optional(&mut *tx)
            .await?;
    let (seq, prev) = last.map_or((1, Vec::new()), |(seq, hash)| (seq + 1, hash));
    let detail = detail.to_string();
    let entry = Hashed {
        seq,
        now,
        actor,
        action,
        subject,
        detail: &detail,
    };
    sqlx::query("INSERT INTO management_log (seq, at, actor, action, subject, detail, hash) VALUES (?, ?, ?, ?, ?, ?, ?)")
        .bind(seq)
        .bind(now)
        .bind(actor)
        .bind(action)
        .bind(subject)
        .bind(&detail)
        .bind(entry.hash(&prev).as_slice())
        .execute(tx)
        .await?;
    Ok(())
}

struct Hashed<'a> {
    seq: i64,
    now: i64,
    actor: &'a str,
    action: &'a str,
    subject: &'a str,
    detail: &'a str,
}

impl Hashed<'_> {
    /// Each field stands behind its length, so that no two entries hash the same bytes.
    fn hash(&self, prev: &[u8]) -> [u8; 32] {
        let mut hasher = Sha256::new_with_prefix(DOMAIN);
        let numbers = [self.seq.to_be_bytes(), self.now.to_be_bytes()];
        let texts = [self.actor, self.action, self.subject, self.detail].map(str::as_bytes);
        for part in numbers
            .iter()
            .map(<[u8; 8]>::as_slice)
            .chain(texts)
            .chain([prev])
        {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hasher.finalize().into()
    }
}

/// Entries after a position, in order.
pub(crate) async fn list(
    db: &mut SqliteConnection,
    after: u64,
    limit: u32,
) -> Result<Vec<ManagementEntry>> {
    let sql = "SELECT seq, at, actor, action, subject, detail, hash FROM management_log WHERE seq > ? ORDER BY seq LIMIT ?";
    let rows = sqlx::query(sql)
        .bind(signed(after))
        .bind(limit)
        .fetch_all(db)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(ManagementEntry {
                seq: unsigned(row.try_get("seq")?),
                at: unsigned(row.try_get("at")?),
                actor: row.try_get("actor")?,
                action: row.try_get("action")?,
                subject: row.try_get("subject")?,
                detail: serde_json::from_str(row.try_get("detail")?)?,
                hash: hex(&row.try_get::<Vec<u8>, _>("hash")?),
            })
        })
        .collect()
}

/// seq, at, actor, action, subject, detail, hash.
type Stored = (i64, i64, String, String, String, String, Vec<u8>);

/// The first entry that does not follow from the one before; `None` if all do.
pub(crate) async fn first_break(db: &mut SqliteConnection) -> Result<Option<i64>> {
    let mut prev = Vec::new();
    let mut expected = 1;
    loop {
        let sql = "SELECT seq, at, actor, action, subject, detail, hash FROM management_log WHERE seq >= ? ORDER BY seq LIMIT 1000";
        let rows: Vec<Stored> = sqlx::query_as(sql)
            .bind(expected)
            .fetch_all(&mut *db)
            .await?;
        if rows.is_empty() {
            return Ok(None);
        }
        for (seq, now, actor, action, subject, detail, hash) in &rows {
            let entry = Hashed {
                seq: *seq,
                now: *now,
                actor,
                action,
                subject,
                detail,
            };
            if *seq != expected || entry.hash(&prev).as_slice() != hash {
                return Ok(Some(expected));
            }
            expected += 1;
            prev.clone_from(hash);
        }
    }
}
