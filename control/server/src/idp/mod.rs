//! Identity providers: where their keys come from, and how these are kept fresh.
//!
//! Keys are fetched when a provider is registered, every five minutes, and when a data plane meets
//! a key that it does not know. One fetch per issuer runs at a time; whoever comes meanwhile gets
//! its outcome, and for a while after it nobody fetches again.

mod fetch;
pub(crate) mod fetches;
pub(crate) mod jwks;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use weir_api::http::IdentityProvider;

use crate::app::App;
use crate::clock::now;
use crate::error::{Error, Result};
use crate::limits::TEXT_BYTES_MAX;
use crate::store::idp;

/// Between two fetches that nobody asked for. A key that was withdrawn is believed this long.
pub(crate) const REFRESH: Duration = Duration::from_secs(300);

/// Between two fetches of one issuer's keys, whoever asks.
const FETCH_INTERVAL: Duration = Duration::from_secs(5);

/// Where the metadata of an issuer is (OpenID Connect Discovery 1.0 §4).
const METADATA: &str = "/.well-known/openid-configuration";

/// What tokens may be signed with. Algorithms with a shared secret are not among them.
const ALGORITHMS: [&str; 7] = [
    "RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA",
];

/// Where the metadata of an issuer is.
pub(crate) fn configuration(issuer: &str) -> String {
    format!("{}{METADATA}", issuer.trim_end_matches('/'))
}

/// Checks what an operator typed.
pub(crate) fn check(provider: &IdentityProvider) -> Result<()> {
    let url = |url: &str| fetch::check_url(url).map_err(|error| Error::Invalid(format!("{error}")));
    let issuer = url(&provider.issuer)?;
    if issuer.query().is_some() || provider.issuer.contains('#') {
        return Err(Error::Invalid(
            "an issuer has neither query nor fragment".to_owned(),
        ));
    }
    provider
        .jwks_url
        .as_deref()
        .map_or(Ok(()), |text| url(text).map(drop))?;
    crate::check::bounded("audiences", provider.audiences.len())?;
    if provider.audiences.is_empty() || provider.audiences.iter().any(String::is_empty) {
        return Err(Error::Invalid(
            "give an audience, like urn:weir:{connection}: a token for anybody else must not be taken"
                .to_owned(),
        ));
    }
    if let Some(name) = provider
        .algorithms
        .iter()
        .find(|name| !ALGORITHMS.contains(&name.as_str()))
    {
        return Err(Error::Invalid(format!(
            "algorithm {name:?}: known are {}",
            ALGORITHMS.join(", ")
        )));
    }
    if provider.algorithms.is_empty() {
        return Err(Error::Invalid("give at least one algorithm".to_owned()));
    }
    let texts = [
        &provider.subject_claim,
        &provider.groups_claim,
        &provider.group_prefix,
        &provider.scope,
    ];
    for text in texts.into_iter().chain(&provider.audiences) {
        crate::check::text("a claim, prefix, scope or audience", text)?;
    }
    if provider.subject_claim.is_empty() || provider.groups_claim.is_empty() {
        return Err(Error::Invalid("a claim needs a name".to_owned()));
    }
    Ok(())
}

/// Fetches the keys of a provider: where it was told that they are, else where its metadata says.
pub(crate) async fn keys(provider: &IdentityProvider) -> anyhow::Result<String> {
    let ca = provider.ca_pem.as_deref();
    let url = match &provider.jwks_url {
        Some(url) => url.clone(),
        None => {
            let text = fetch::get(&configuration(&provider.issuer), ca).await?;
            let metadata: Value =
                serde_json::from_str(&text).context("its metadata is not JSON")?;
            // Whoever answers for another issuer is not this one (Discovery §4.3).
            ensure!(
                metadata["issuer"] == provider.issuer.as_str(),
                "its metadata is of issuer {}",
                metadata["issuer"]
            );
            let url = metadata["jwks_uri"].as_str();
            url.context("its metadata has no jwks_uri")?.to_owned()
        }
    };
    let keys = fetch::get(&url, ca).await?;
    jwks::check(&keys)?;
    Ok(keys)
}

/// Fetches an issuer's keys unless that was done a moment ago, and tells data planes if they are
/// new. What is wrong stays beside the provider, with the keys that it had.
pub(crate) async fn refresh(app: &App, issuer: &str) -> Result<()> {
    let provider = idp::find(&mut *app.store.reader().await?, issuer).await?;
    let fetch = app.fetches.of(issuer);
    let mut last = fetch.lock().await;
    if last.is_some_and(|last| last.elapsed() < FETCH_INTERVAL) {
        return Ok(());
    }
    let fetched = keys(&provider.provider).await;
    *last = Some(Instant::now());
    let mut tx = app.store.begin().await?;
    let is_new = match &fetched {
        Ok(jwks) => idp::fetched(&mut tx, issuer, jwks, now()).await?,
        Err(error) => {
            let error: String = format!("{error:#}").chars().take(TEXT_BYTES_MAX).collect();
            tracing::warn!(issuer, error, "keys not fetched");
            idp::failed(&mut tx, issuer, &error).await?;
            false
        }
    };
    tx.commit().await?;
    if is_new {
        tracing::info!(issuer, "new keys");
        app.hub.world_changed();
    }
    Ok(())
}

/// Fetches the keys of every provider, now and again.
pub(crate) async fn keep(app: Arc<App>) {
    let mut tick = tokio::time::interval(REFRESH);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = refresh_all(&app).await {
            tracing::error!(%error, "keys not refreshed");
        }
    }
}

async fn refresh_all(app: &App) -> Result<()> {
    let all = idp::list(&mut *app.store.reader().await?).await?;
    for stored in all {
        refresh(app, &stored.provider.issuer).await?;
    }
    Ok(())
}
