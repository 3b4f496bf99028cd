use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::Method;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_api::http::{self, ConnectionView, Credential, Kind, Tls, Unlabelled};

use super::login::{or_none, word};
use super::secret_from_input;
use crate::arguments::{Connection, ConnectionAdd};
use crate::client::{Client, NOTHING};
use crate::output::Output;

/// How long a server may take to answer a check.
const CHECK_MAX: Duration = Duration::from_secs(5);

/// SSLRequest: length 8, code 80877103 (PostgreSQL documentation, "Message Formats").
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Guarded servers.
pub(crate) async fn run(client: &Client, out: Output, command: Connection) -> anyhow::Result<()> {
    match command {
        Connection::Add(add) => {
            let spec = spec(*add)?;
            client
                .tell(Method::PUT, &["connections"], &[], Some(&spec))
                .await?;
            out.done(&format!(
                "registered {}; next: weir connection credential {}",
                spec.name, spec.name
            ))
        }
        Connection::Credential {
            name,
            role,
            catalogue,
        } => {
            let credential = Credential {
                role,
                secret: secret_from_input("secret")?,
                catalogue,
            };
            client
                .tell(
                    Method::PUT,
                    &["connections", &name, "credentials"],
                    &[],
                    Some(&credential),
                )
                .await?;
            out.done(&format!("stored the credential of {name}, sealed"))
        }
        Connection::List => list(client, out).await,
        Connection::Remove { name } => {
            client
                .tell(Method::DELETE, &["connections", &name], &[], NOTHING)
                .await?;
            out.done(&format!("removed {name}"))
        }
        Connection::Check { name } => check(client, out, &name).await,
    }
}

fn spec(add: ConnectionAdd) -> anyhow::Result<http::Connection> {
    let read = |path: PathBuf| {
        std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    };
    Ok(http::Connection {
        name: add.name,
        kind: add.kind,
        addresses: add.addresses,
        tls: add.tls,
        ca_pem: add.ca.map(read).transpose()?,
        server_name: add.server_name,
        env: add.env,
        zone: add.zone,
        unlabelled: if add.mask_unlabelled.is_some() {
            Unlabelled::Mask
        } else {
            Unlabelled::Clear
        },
        unlabelled_mask: add.mask_unlabelled,
        database: add.database,
        listen: add.listen,
        client_tls_required: add.client_tls_required,
        default_role: add.default_role,
    })
}

async fn list(client: &Client, out: Output) -> anyhow::Result<()> {
    let views: Vec<ConnectionView> = client.get(&["connections"]).await?;
    let rows = views.iter().map(|view| {
        let spec = &view.connection;
        let roles: Vec<String> = view
            .credentials
            .iter()
            .map(|credential| {
                if credential.role.is_empty() {
                    "bearer".to_owned()
                } else {
                    credential.role.clone()
                }
            })
            .collect();
        [
            spec.name.clone(),
            word(&spec.kind),
            spec.addresses.join(", "),
            word(&spec.tls),
            spec.env.clone(),
            or_none(&roles),
        ]
    });
    out.table(
        &views,
        ["NAME", "KIND", "ADDRESSES", "TLS", "ENV", "CREDENTIALS"],
        rows,
    )
}

/// What a check saw at one address.
#[derive(Serialize)]
struct Seen {
    address: String,
    ok: bool,
    detail: String,
}

async fn check(client: &Client, out: Output, name: &str) -> anyhow::Result<()> {
    let views: Vec<ConnectionView> = client.get(&["connections"]).await?;
    let Some(view) = views.into_iter().find(|view| view.connection.name == name) else {
        bail!("no connection {name:?}");
    };
    let spec = &view.connection;
    let mut seen = Vec::new();
    for address in &spec.addresses {
        let looked = tokio::time::timeout(CHECK_MAX, look(address, spec)).await;
        let result =
            looked.unwrap_or_else(|_| Err(format!("no answer within {} s", CHECK_MAX.as_secs())));
        let (ok, detail) = match result {
            Ok(detail) => (true, detail),
            Err(detail) => (false, detail),
        };
        seen.push(Seen {
            address: address.clone(),
            ok,
            detail,
        });
    }
    if view.credentials.is_empty() {
        eprintln!("note: Weir has no credential for {name}; sessions will be refused");
    }
    let rows = seen.iter().map(|seen| {
        [
            seen.address.clone(),
            if seen.ok { "ok" } else { "FAILED" }.to_owned(),
            seen.detail.clone(),
        ]
    });
    out.table(&seen, ["ADDRESS", "STATE", "SEEN FROM THIS HOST"], rows)?;
    match seen.iter().filter(|seen| !seen.ok).count() {
        0 => Ok(()),
        failed => bail!("{failed} of {} addresses failed", seen.len()),
    }
}

async fn look(address: &str, spec: &http::Connection) -> Result<String, String> {
    let mut stream = TcpStream::connect(address)
        .await
        .map_err(|error| format!("connect: {error}"))?;
    match spec.kind {
        Kind::Mcp => Ok("accepts connections".to_owned()),
        Kind::Postgres => {
            stream
                .write_all(&SSL_REQUEST)
                .await
                .map_err(|error| format!("write: {error}"))?;
            let answer = stream
                .read_u8()
                .await
                .map_err(|error| format!("read: {error}"))?;
            match (answer, spec.tls) {
                (b'S', Tls::Disable) => {
                    Ok("speaks Postgres and offers TLS, which is disabled here".to_owned())
                }
                (b'S', Tls::Prefer | Tls::Require | Tls::VerifyFull) => {
                    Ok("speaks Postgres and offers TLS".to_owned())
                }
                (b'N', Tls::Disable | Tls::Prefer) => Ok("speaks Postgres without TLS".to_owned()),
                (b'N', Tls::Require | Tls::VerifyFull) => {
                    Err("offers no TLS, which is required here".to_owned())
                }
                (other, _) => Err(format!(
                    "answers SSLRequest with byte {other:#04x}: no Postgres server"
                )),
            }
        }
    }
}
