//! The first run.

use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde_json::json;
use weir_api::http::{AccountNew, Role, Scope, TokenNew};

use crate::clock::now;
use crate::keys::Keys;
use crate::limits::TOKEN_LIFE_S_FIRST;
use crate::store::{Store, account, management};

/// Who acts when nobody is logged in.
const SELF: &str = "weir-control";

/// Makes a state directory and prints the first admin's token.
pub(crate) async fn init(state: &Path, admin: &str) -> anyhow::Result<()> {
    let mut new = AccountNew {
        name: admin.to_owned(),
        is_service: false,
        person: None,
        owner: None,
        roles: vec![Role::Admin],
        groups: Vec::new(),
    };
    crate::http::check_new(&mut new)?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state)
        .with_context(|| format!("make {}", state.display()))?;
    let mode = std::fs::metadata(state)
        .with_context(|| format!("stat {}", state.display()))?
        .mode();
    ensure!(
        mode & 0o077 == 0,
        "{} can be read by others (mode {:o}); chmod 700 it",
        state.display(),
        mode & 0o777
    );
    Keys::create(state).context("is this directory in use already?")?;
    let keys = Keys::open(state)?;
    let store = Store::open(state, true).await?;
    let mut tx = store.begin().await?;
    account::insert(&mut tx, &new, now()).await?;
    let token = TokenNew {
        label: "made by init".to_owned(),
        scopes: vec![Scope::Api],
        expires_in_s: TOKEN_LIFE_S_FIRST,
    };
    let made = crate::http::insert_token(&mut tx, admin, &token).await?;
    management::append(
        &mut tx,
        now(),
        SELF,
        "control.init",
        admin,
        json!({ "token": made.id }),
    )
    .await?;
    tx.commit().await?;
    store.close().await;
    println!("account:     {admin}");
    println!("token:       {}", made.token);
    println!(
        "control key: {}",
        weir_api::join::key_encode(&keys.signing.verifying_key())
    );
    eprintln!(
        "The token is shown this once and ends in 7 days. Next: weir-control serve, then weir login."
    );
    Ok(())
}

/// Checks the management log.
pub(crate) async fn check_log(state: &Path) -> anyhow::Result<()> {
    let store = Store::open(state, false).await?;
    let broken = management::first_break(&mut *store.reader().await?).await?;
    store.close().await;
    match broken {
        None => {
            println!("the management log has no break");
            Ok(())
        }
        Some(seq) => bail!(
            "the management log breaks at entry {seq}: it was changed, or entries are missing"
        ),
    }
}
