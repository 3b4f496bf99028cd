use std::path::PathBuf;

use anyhow::Context;
use reqwest::Method;
use weir_api::http::{IdentityProvider, IdentityProviderView};

use super::login::or_none;
use crate::arguments::{Idp, IdpAdd};
use crate::client::{Client, NOTHING};
use crate::output::{Output, when};

/// Issuers of tokens.
pub(crate) async fn run(client: &Client, out: Output, command: Idp) -> anyhow::Result<()> {
    match command {
        Idp::Add(add) => {
            let provider = provider(*add)?;
            let view: IdentityProviderView = client
                .ask(Method::PUT, &["idps"], &[], Some(&provider))
                .await?;
            let told = format!(
                "registered {} with {} keys; next: weir connection add … --login 'USER=token'\n",
                view.provider.issuer,
                view.keys.len()
            );
            out.text(&view, &told)
        }
        Idp::List => list(client, out).await,
        Idp::Remove { issuer } => {
            client
                .tell(Method::DELETE, &["idps"], &[("issuer", &issuer)], NOTHING)
                .await?;
            out.done(&format!(
                "removed {issuer}; open sessions of it stay until they end"
            ))
        }
        Idp::Refresh { issuer } => {
            let query = [("issuer", issuer.as_str())];
            let view: IdentityProviderView = client
                .ask(Method::POST, &["idps", "refresh"], &query, NOTHING)
                .await?;
            anyhow::ensure!(view.error.is_empty(), "{}", view.error);
            out.text(&view, &format!("keys: {}\n", or_none(&view.keys)))
        }
    }
}

fn provider(add: IdpAdd) -> anyhow::Result<IdentityProvider> {
    let read = |path: PathBuf| {
        std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    };
    Ok(IdentityProvider {
        issuer: add.issuer,
        audiences: add.audiences,
        jwks_url: add.jwks,
        algorithms: add.algorithms,
        subject_claim: add.subject_claim,
        groups_claim: add.groups_claim,
        group_prefix: add.group_prefix,
        scope: add.scope,
        ca_pem: add.ca.map(read).transpose()?,
    })
}

async fn list(client: &Client, out: Output) -> anyhow::Result<()> {
    let views: Vec<IdentityProviderView> = client.get(&["idps"]).await?;
    let rows = views.iter().map(|view| {
        let state = if view.error.is_empty() {
            view.fetched.map_or_else(|| "never".to_owned(), when)
        } else {
            format!("FAILED: {}", view.error)
        };
        [
            view.provider.issuer.clone(),
            view.provider.audiences.join(", "),
            or_none(&view.keys),
            state,
        ]
    });
    out.table(&views, ["ISSUER", "AUDIENCES", "KEYS", "FETCHED"], rows)
}
