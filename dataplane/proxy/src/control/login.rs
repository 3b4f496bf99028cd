//! How clients prove themselves, as the control plane pushed it.

use anyhow::{Context, Result, anyhow, bail, ensure};
use weir_api::v1;
use weir_flow::{Algorithm, ClientLogin, IdentityProvider, KeySet, LoginMethod, LoginRule};

/// The issuers whose keys are known by now.
pub(super) fn providers(all: Vec<v1::IdentityProvider>) -> Result<Vec<IdentityProvider>> {
    all.into_iter()
        .filter(|provider| !provider.jwks.is_empty())
        .map(|provider| {
            let issuer = provider.issuer.clone();
            self::provider(provider).with_context(|| format!("identity provider {issuer}"))
        })
        .collect()
}

fn provider(provider: v1::IdentityProvider) -> Result<IdentityProvider> {
    ensure!(
        !provider.audiences.is_empty(),
        "it has no audience, so tokens for anybody else would be taken"
    );
    let algorithms = provider
        .algorithms
        .iter()
        .map(|name| Algorithm::from_name(name).ok_or_else(|| anyhow!("algorithm {name:?}")))
        .collect::<Result<_>>()?;
    let or = |text: String, default: &str| {
        if text.is_empty() {
            default.into()
        } else {
            text.into()
        }
    };
    Ok(IdentityProvider {
        issuer: provider.issuer.into(),
        audiences: provider.audiences.into_iter().map(Into::into).collect(),
        algorithms,
        keys: KeySet::parse(provider.jwks.as_bytes())?,
        subject_claim: or(provider.subject_claim, "sub"),
        groups_claim: or(provider.groups_claim, "groups"),
        group_prefix: provider.group_prefix.into(),
        configuration: provider.configuration.into(),
        scope: provider.scope.into(),
    })
}

/// The rules of a connection.
pub(super) fn client_login(
    rules: Vec<v1::LoginRule>,
    client_ca_pem: String,
) -> Result<ClientLogin> {
    let rules = rules
        .into_iter()
        .map(|rule| {
            Ok(LoginRule {
                method: method(rule.method())?,
                user: (!rule.user.is_empty()).then(|| rule.user.into()),
            })
        })
        .collect::<Result<_>>()?;
    Ok(ClientLogin {
        rules,
        client_ca_pem: client_ca_pem.into(),
    })
}

fn method(method: v1::LoginMethod) -> Result<LoginMethod> {
    Ok(match method {
        v1::LoginMethod::Certificate => LoginMethod::Certificate,
        v1::LoginMethod::Secret => LoginMethod::Secret,
        v1::LoginMethod::Token => LoginMethod::Token,
        v1::LoginMethod::Oauthbearer => LoginMethod::OauthBearer,
        v1::LoginMethod::Workload => LoginMethod::Workload,
        // A newer control plane's method must not become an older one's.
        v1::LoginMethod::Unspecified => bail!("a login method that this version does not know"),
    })
}
