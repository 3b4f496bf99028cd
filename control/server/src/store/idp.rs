//! Identity providers and their keys.

use sqlx::SqliteConnection;
use weir_api::http::{IdentityProvider, IdentityProviderView};

use crate::clock::unsigned;
use crate::error::{Error, Result};

/// A provider as it is stored.
pub(crate) struct Stored {
    pub(crate) provider: IdentityProvider,
    pub(crate) jwks: String,
    pub(crate) fetched: Option<i64>,
    pub(crate) error: String,
}

type Row = (String, String, Option<i64>, String);

fn stored((spec, jwks, fetched, error): Row) -> Result<Stored> {
    Ok(Stored {
        provider: serde_json::from_str(&spec)?,
        jwks,
        fetched,
        error,
    })
}

impl Stored {
    /// As people see it.
    pub(crate) fn view(self) -> IdentityProviderView {
        IdentityProviderView {
            keys: crate::idp::jwks::names(&self.jwks),
            fetched: self.fetched.map(unsigned),
            error: self.error,
            provider: self.provider,
        }
    }
}

/// Adds a provider with its keys, or replaces one.
pub(crate) async fn put(
    tx: &mut SqliteConnection,
    provider: &IdentityProvider,
    jwks: &str,
    now: i64,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO identity_providers (issuer, spec, jwks, fetched) VALUES (?, ?, ?, ?) \
         ON CONFLICT (issuer) DO UPDATE SET spec = excluded.spec, jwks = excluded.jwks, \
         fetched = excluded.fetched, error = ''",
    )
    .bind(&provider.issuer)
    .bind(serde_json::to_string(provider)?)
    .bind(jwks)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

/// Keeps newly fetched keys. Whether they are others than before.
pub(crate) async fn fetched(
    tx: &mut SqliteConnection,
    issuer: &str,
    jwks: &str,
    now: i64,
) -> Result<bool> {
    let before: Option<String> =
        sqlx::query_scalar("SELECT jwks FROM identity_providers WHERE issuer = ?")
            .bind(issuer)
            .fetch_optional(&mut *tx)
            .await?;
    sqlx::query("UPDATE identity_providers SET jwks = ?, fetched = ?, error = '' WHERE issuer = ?")
        .bind(jwks)
        .bind(now)
        .bind(issuer)
        .execute(tx)
        .await?;
    Ok(before.is_some_and(|before| before != jwks))
}

/// Notes why keys could not be fetched; those at hand stay.
pub(crate) async fn failed(tx: &mut SqliteConnection, issuer: &str, error: &str) -> Result<()> {
    sqlx::query("UPDATE identity_providers SET error = ? WHERE issuer = ?")
        .bind(error)
        .bind(issuer)
        .execute(tx)
        .await?;
    Ok(())
}

/// Removes a provider. Whether there was one.
pub(crate) async fn remove(tx: &mut SqliteConnection, issuer: &str) -> Result<bool> {
    let done = sqlx::query("DELETE FROM identity_providers WHERE issuer = ?")
        .bind(issuer)
        .execute(tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// All providers, by issuer.
pub(crate) async fn list(db: &mut SqliteConnection) -> Result<Vec<Stored>> {
    let rows: Vec<Row> =
        sqlx::query_as("SELECT spec, jwks, fetched, error FROM identity_providers ORDER BY issuer")
            .fetch_all(db)
            .await?;
    rows.into_iter().map(stored).collect()
}

/// The provider of that issuer.
pub(crate) async fn find(db: &mut SqliteConnection, issuer: &str) -> Result<Stored> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT spec, jwks, fetched, error FROM identity_providers WHERE issuer = ?",
    )
    .bind(issuer)
    .fetch_optional(db)
    .await?;
    stored(row.ok_or_else(|| Error::NotFound(format!("no identity provider {issuer:?}")))?)
}
