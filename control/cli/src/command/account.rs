use reqwest::Method;
use weir_api::http::{self, AccountNew, Certificates, Groups, SecretMade, TokenMade, TokenNew};

use super::login::{or_none, word};
use crate::arguments::Account;
use crate::client::{Client, NOTHING};
use crate::output::{Output, when};

/// People and services.
pub(crate) async fn run(client: &Client, out: Output, command: Account) -> anyhow::Result<()> {
    match command {
        Account::Add {
            name,
            service,
            owner,
            person,
            roles,
            groups,
        } => {
            let new = AccountNew {
                name,
                is_service: service,
                person,
                owner,
                roles,
                groups,
            };
            let made: http::Account = client
                .ask(Method::POST, &["accounts"], &[], Some(&new))
                .await?;
            out.text(
                &made,
                &format!(
                    "added {}; next: weir account token {}\n",
                    made.name, made.name
                ),
            )
        }
        Account::List => list(client, out).await,
        Account::Groups { name, groups } => {
            let path = ["accounts", &name, "groups"];
            let made: http::Account = client
                .ask(Method::PUT, &path, &[], Some(&Groups { groups }))
                .await?;
            out.text(
                &made,
                &format!("{}: {}\n", made.name, or_none(&made.groups)),
            )
        }
        Account::Certificate { name, names } => {
            let path = ["accounts", &name, "certificates"];
            let made: http::Account = client
                .ask(Method::PUT, &path, &[], Some(&Certificates { names }))
                .await?;
            out.text(
                &made,
                &format!("{}: {}\n", made.name, or_none(&made.certificates)),
            )
        }
        Account::Disable { name } => {
            client
                .tell(Method::POST, &["accounts", &name, "disable"], &[], NOTHING)
                .await?;
            out.done(&format!("disabled {name}"))
        }
        Account::Token {
            name,
            scopes,
            expires,
            label,
        } => {
            let new = TokenNew {
                label,
                scopes,
                expires_in_s: expires,
            };
            let made: TokenMade = client
                .ask(
                    Method::POST,
                    &["accounts", &name, "tokens"],
                    &[],
                    Some(&new),
                )
                .await?;
            eprintln!("shown this once; ends {}", when(made.expires));
            out.text(&made, &format!("{}\n", made.token))
        }
        Account::Tokens { name } => tokens(client, out, &name).await,
        Account::Revoke { name, id } => {
            client
                .tell(
                    Method::DELETE,
                    &["accounts", &name, "tokens", &id],
                    &[],
                    NOTHING,
                )
                .await?;
            out.done(&format!("ended token {id}"))
        }
        Account::Secret { name } => {
            let made: SecretMade = client
                .ask(Method::POST, &["accounts", &name, "secret"], &[], NOTHING)
                .await?;
            eprintln!("shown this once; any earlier secret of {name} has ended");
            out.text(&made, &format!("{}\n", made.secret))
        }
    }
}

async fn list(client: &Client, out: Output) -> anyhow::Result<()> {
    let accounts: Vec<http::Account> = client.get(&["accounts"]).await?;
    let rows = accounts.iter().map(|account| {
        let kind = match (account.disabled, account.is_service) {
            (true, _) => "disabled".to_owned(),
            (false, true) => format!(
                "service of {}",
                account.owner.as_deref().unwrap_or("nobody")
            ),
            (false, false) if account.person == account.name => "person".to_owned(),
            (false, false) => format!("person ({})", account.person),
        };
        let roles: Vec<String> = account.roles.iter().map(word).collect();
        [
            account.name.clone(),
            kind,
            or_none(&roles),
            or_none(&account.groups),
        ]
    });
    out.table(&accounts, ["NAME", "KIND", "ROLES", "GROUPS"], rows)
}

async fn tokens(client: &Client, out: Output, name: &str) -> anyhow::Result<()> {
    let tokens: Vec<http::Token> = client.get(&["accounts", name, "tokens"]).await?;
    let rows = tokens.iter().map(|token| {
        let scopes: Vec<String> = token.scopes.iter().map(word).collect();
        let end = if token.revoked {
            "revoked".to_owned()
        } else {
            when(token.expires)
        };
        [
            token.id.clone(),
            or_none(&scopes),
            when(token.created),
            end,
            token.label.clone(),
        ]
    });
    out.table(&tokens, ["ID", "SCOPES", "MADE", "ENDS", "LABEL"], rows)
}
