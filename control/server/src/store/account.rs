//! Accounts, their groups, tokens and verifiers.

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};
use weir_api::http::{Account, AccountNew, Role, Scope, Token};

use crate::clock::{signed, unsigned};
use crate::error::{Error, Result};

/// Who presented a token.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) account: Account,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) token_expires: u64,
}

/// An account as data planes need it.
pub(crate) struct Authenticable {
    pub(crate) account: Account,
    pub(crate) scram_verifier: String,
    /// SHA-256 and end of the tokens that may be presented to a data plane.
    pub(crate) tokens: Vec<(Vec<u8>, u64)>,
}

const SELECT: &str = "SELECT name, is_service, person, owner, roles, scram_verifier, disabled, created, \
    (SELECT json_group_array(grp) FROM (SELECT grp FROM memberships WHERE account = name ORDER BY grp)) AS grps, \
    (SELECT json_group_array(named) FROM (SELECT c.name AS named FROM certificate_names c WHERE c.account = accounts.name ORDER BY c.name)) AS certificates \
    FROM accounts";

fn account(row: &SqliteRow) -> Result<Account> {
    let roles: Vec<Role> = serde_json::from_str(row.try_get("roles")?)?;
    let groups: Vec<String> = serde_json::from_str(row.try_get("grps")?)?;
    let certificates: Vec<String> = serde_json::from_str(row.try_get("certificates")?)?;
    Ok(Account {
        name: row.try_get("name")?,
        is_service: row.try_get("is_service")?,
        person: row.try_get("person")?,
        owner: row.try_get("owner")?,
        roles,
        groups,
        certificates,
        has_secret: row
            .try_get::<Option<String>, _>("scram_verifier")?
            .is_some(),
        disabled: row.try_get("disabled")?,
        created: unsigned(row.try_get("created")?),
    })
}

/// Adds an account whose fields were checked.
pub(crate) async fn insert(tx: &mut SqliteConnection, new: &AccountNew, now: i64) -> Result<()> {
    sqlx::query("INSERT INTO accounts (name, is_service, person, owner, roles, created) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(&new.name)
        .bind(new.is_service)
        .bind(new.person.as_ref().unwrap_or(&new.name))
        .bind(&new.owner)
        .bind(serde_json::to_string(&new.roles)?)
        .bind(now)
        .execute(&mut *tx)
        .await?;
    set_groups(tx, &new.name, &new.groups, now).await
}

/// The account of that name.
pub(crate) async fn find(db: &mut SqliteConnection, name: &str) -> Result<Option<Account>> {
    let sql = sqlx::AssertSqlSafe(format!("{SELECT} WHERE name = ?"));
    sqlx::query(sql)
        .bind(name)
        .fetch_optional(db)
        .await?
        .as_ref()
        .map(account)
        .transpose()
}

/// As [`find`]; an account that is not there is an error.
pub(crate) async fn get(db: &mut SqliteConnection, name: &str) -> Result<Account> {
    find(db, name)
        .await?
        .ok_or_else(|| Error::NotFound(format!("no account {name:?}")))
}

/// All accounts, by name.
pub(crate) async fn list(db: &mut SqliteConnection) -> Result<Vec<Account>> {
    let sql = sqlx::AssertSqlSafe(format!("{SELECT} ORDER BY name"));
    sqlx::query(sql)
        .fetch_all(db)
        .await?
        .iter()
        .map(account)
        .collect()
}

/// Replaces an account's groups. A group that stays keeps its age.
pub(crate) async fn set_groups(
    tx: &mut SqliteConnection,
    name: &str,
    groups: &[String],
    now: i64,
) -> Result<()> {
    let kept = serde_json::to_string(groups)?;
    sqlx::query(
        "DELETE FROM memberships WHERE account = ? AND grp NOT IN (SELECT value FROM json_each(?))",
    )
    .bind(name)
    .bind(&kept)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO memberships (account, grp, since) SELECT ?, value, ? FROM json_each(?) \
         WHERE true ON CONFLICT DO NOTHING",
    )
    .bind(name)
    .bind(now)
    .bind(&kept)
    .execute(tx)
    .await?;
    Ok(())
}

/// The groups that an account has had since before a time, that included.
pub(crate) async fn groups_since(
    db: &mut SqliteConnection,
    name: &str,
    time: i64,
) -> Result<Vec<String>> {
    let sql = "SELECT grp FROM memberships WHERE account = ? AND since <= ? ORDER BY grp";
    Ok(sqlx::query_scalar(sql)
        .bind(name)
        .bind(time)
        .fetch_all(db)
        .await?)
}

/// Replaces what certificates of an account name. A name of another account's is a conflict.
pub(crate) async fn set_certificates(
    tx: &mut SqliteConnection,
    account: &str,
    names: &[String],
) -> Result<()> {
    sqlx::query("DELETE FROM certificate_names WHERE account = ?")
        .bind(account)
        .execute(&mut *tx)
        .await?;
    for name in names {
        let sql = "INSERT INTO certificate_names (name, account) VALUES (?, ?) \
            ON CONFLICT (name) DO NOTHING";
        let done = sqlx::query(sql)
            .bind(name)
            .bind(account)
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 0 {
            return Err(Error::Conflict(format!(
                "certificates of {name} are another account's"
            )));
        }
    }
    Ok(())
}

/// Takes everything from an account but its name.
pub(crate) async fn disable(tx: &mut SqliteConnection, name: &str) -> Result<()> {
    sqlx::query("UPDATE accounts SET disabled = 1, scram_verifier = NULL WHERE name = ?")
        .bind(name)
        .execute(&mut *tx)
        .await?;
    sqlx::query("UPDATE tokens SET revoked = 1 WHERE account = ?")
        .bind(name)
        .execute(&mut *tx)
        .await?;
    set_certificates(tx, name, &[]).await
}

/// Accounts with the admin role that are not disabled.
pub(crate) async fn admins(db: &mut SqliteConnection) -> Result<i64> {
    let sql = "SELECT count(*) FROM accounts WHERE disabled = 0 \
        AND EXISTS (SELECT 1 FROM json_each(roles) WHERE value = 'admin')";
    Ok(sqlx::query_scalar(sql).fetch_one(db).await?)
}

/// Sets an account's SCRAM verifier.
pub(crate) async fn set_verifier(
    tx: &mut SqliteConnection,
    name: &str,
    verifier: &str,
) -> Result<()> {
    sqlx::query("UPDATE accounts SET scram_verifier = ? WHERE name = ?")
        .bind(verifier)
        .bind(name)
        .execute(tx)
        .await?;
    Ok(())
}

/// Adds a token by its hash.
pub(crate) async fn token_insert(
    tx: &mut SqliteConnection,
    account: &str,
    token: &Token,
    sha256: &[u8; 32],
) -> Result<()> {
    sqlx::query("INSERT INTO tokens (id, account, sha256, label, scopes, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?)")
        .bind(&token.id)
        .bind(account)
        .bind(sha256.as_slice())
        .bind(&token.label)
        .bind(serde_json::to_string(&token.scopes)?)
        .bind(signed(token.created))
        .bind(signed(token.expires))
        .execute(tx)
        .await?;
    Ok(())
}

/// An account's tokens, newest first.
pub(crate) async fn tokens(db: &mut SqliteConnection, account: &str) -> Result<Vec<Token>> {
    let sql = "SELECT id, label, scopes, created, expires, revoked FROM tokens WHERE account = ? ORDER BY created DESC, id";
    let rows = sqlx::query(sql).bind(account).fetch_all(db).await?;
    rows.iter()
        .map(|row| {
            Ok(Token {
                id: row.try_get("id")?,
                label: row.try_get("label")?,
                scopes: serde_json::from_str(row.try_get("scopes")?)?,
                created: unsigned(row.try_get("created")?),
                expires: unsigned(row.try_get("expires")?),
                revoked: row.try_get("revoked")?,
            })
        })
        .collect()
}

/// Ends a token. Whether there was one.
pub(crate) async fn token_revoke(
    tx: &mut SqliteConnection,
    account: &str,
    id: &str,
) -> Result<bool> {
    let sql = "UPDATE tokens SET revoked = 1 WHERE account = ? AND id = ? AND revoked = 0";
    Ok(sqlx::query(sql)
        .bind(account)
        .bind(id)
        .execute(tx)
        .await?
        .rows_affected()
        == 1)
}

/// Who presents a token of that hash now; `None` if it is unknown, over, revoked, or its
/// account disabled.
pub(crate) async fn caller(
    db: &mut SqliteConnection,
    sha256: &[u8; 32],
    now: i64,
) -> Result<Option<Caller>> {
    let sql = "SELECT account, scopes, expires FROM tokens WHERE sha256 = ? AND revoked = 0 AND expires > ?";
    let Some(row) = sqlx::query(sql)
        .bind(sha256.as_slice())
        .bind(now)
        .fetch_optional(&mut *db)
        .await?
    else {
        return Ok(None);
    };
    let scopes: Vec<Scope> = serde_json::from_str(row.try_get("scopes")?)?;
    let token_expires = unsigned(row.try_get("expires")?);
    let account = find(db, row.try_get("account")?).await?;
    Ok(account
        .filter(|account| !account.disabled)
        .map(|account| Caller {
            account,
            scopes,
            token_expires,
        }))
}

/// The accounts that data planes can authenticate, by name. Tokens that are over are left
/// out when something else changes; data planes check the end themselves.
pub(crate) async fn authenticables(db: &mut SqliteConnection) -> Result<Vec<Authenticable>> {
    let sql = sqlx::AssertSqlSafe(format!("{SELECT} WHERE disabled = 0 ORDER BY name"));
    let rows = sqlx::query(sql).fetch_all(&mut *db).await?;
    let sql = "SELECT sha256, expires FROM tokens WHERE account = ? AND revoked = 0 \
        AND EXISTS (SELECT 1 FROM json_each(scopes) WHERE value = 'connect') ORDER BY sha256";
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        let account = account(row)?;
        let tokens: Vec<(Vec<u8>, i64)> = sqlx::query_as(sql)
            .bind(&account.name)
            .fetch_all(&mut *db)
            .await?;
        let tokens = tokens
            .into_iter()
            .map(|(hash, expires)| (hash, unsigned(expires)))
            .collect();
        let scram_verifier = row
            .try_get::<Option<String>, _>("scram_verifier")?
            .unwrap_or_default();
        all.push(Authenticable {
            account,
            scram_verifier,
            tokens,
        });
    }
    Ok(all)
}
