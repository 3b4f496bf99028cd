use weir_api::http::Whoami;

use super::secret_from_input;
use crate::client::Client;
use crate::config::Config;
use crate::output::{Output, when};

/// Where a control plane serves if it was told nothing else.
const URL: &str = "http://127.0.0.1:7400";

/// Checks a token, then stores it.
pub(crate) async fn login(url: Option<String>, out: Output) -> anyhow::Result<()> {
    let url = url
        .or_else(|| std::env::var("WEIR_URL").ok())
        .unwrap_or_else(|| URL.to_owned());
    let config = Config {
        url,
        token: secret_from_input("token")?,
    };
    let me: Whoami = Client::new(&config)?.get(&["whoami"]).await?;
    let path = config.store()?;
    let text = format!(
        "logged in as {} at {}; stored in {}\n",
        me.account.name,
        config.url,
        path.display()
    );
    out.text(&me, &text)
}

/// Prints the account.
pub(crate) async fn whoami(client: &Client, out: Output) -> anyhow::Result<()> {
    let me: Whoami = client.get(&["whoami"]).await?;
    let roles: Vec<String> = me.account.roles.iter().map(word).collect();
    let scopes: Vec<String> = me.scopes.iter().map(word).collect();
    let text = format!(
        "account  {}\nroles    {}\ngroups   {}\nscopes   {}\ntoken    until {}\n",
        me.account.name,
        or_none(&roles),
        or_none(&me.account.groups),
        or_none(&scopes),
        when(me.token_expires),
    );
    out.text(&me, &text)
}

/// The word of an enum as JSON spells it.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// Words with commas, or `none`.
pub(crate) fn or_none(list: &[String]) -> String {
    if list.is_empty() {
        "none".to_owned()
    } else {
        list.join(", ")
    }
}
