use std::path::PathBuf;

use anyhow::{Context, bail};
use reqwest::Method;
use weir_api::http::{self, ConnectionReport, ConnectionView, Credential, Stdio, Tls, Unlabelled};

use super::login::{or_none, word};
use super::secret_from_input;
use crate::arguments::{Connection, ConnectionAdd, Format};
use crate::client::{Client, NOTHING};
use crate::output::Output;

/// Guarded servers.
pub(crate) async fn run(client: &Client, out: Output, command: Connection) -> anyhow::Result<()> {
    match command {
        Connection::Add(add) => {
            let spec = spec(*add)?;
            client
                .tell(Method::PUT, &["connections"], &[], Some(&spec))
                .await?;
            let name = &spec.name;
            out.done(&match spec.stdio {
                None => format!("registered {name}; next: weir connection credential {name}"),
                Some(_) => format!(
                    "registered {name}; next, for its clients: weir mcp run --connection {name} -- COMMAND"
                ),
            })
        }
        Connection::Credential {
            name,
            role,
            header,
            user,
            catalogue,
            certificate,
            key,
            no_password,
        } => {
            let credential = Credential {
                role: user.unwrap_or(role),
                header,
                secret: if no_password {
                    String::new()
                } else {
                    secret_from_input("secret")?
                },
                certificate_pem: certificate.map(read).transpose()?,
                key_pem: key.map(read).transpose()?,
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
        Connection::Check { name, json } => {
            let out = if json { Output(Format::Json) } else { out };
            check(client, out, &name).await
        }
    }
}

fn read(path: PathBuf) -> anyhow::Result<String> {
    std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

/// What may be started: any program, one, or one with its arguments.
fn stdio(add: &ConnectionAdd) -> Option<Stdio> {
    let mut command = add.command.iter().cloned();
    let named = command.next();
    add.stdio.then(|| Stdio {
        arguments: named.is_some().then(|| command.collect()),
        executable: named.or_else(|| add.program.clone()),
    })
}

fn spec(add: ConnectionAdd) -> anyhow::Result<http::Connection> {
    let stdio = stdio(&add);
    Ok(http::Connection {
        name: add.name,
        kind: add.kind,
        addresses: add.addresses,
        tls: if stdio.is_some() {
            Tls::Disable
        } else {
            add.tls
        },
        stdio,
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
        logins: add.logins,
        client_ca_pem: add.client_ca.map(read).transpose()?,
        unattributed: add.unattributed,
        tools_need_approval: add.tools_need_approval,
        resource: add.resource,
        authorization: add.authorization,
        opaque_tokens: add.opaque_tokens,
    })
}

async fn list(client: &Client, out: Output) -> anyhow::Result<()> {
    let views: Vec<ConnectionView> = client.get(&["connections"]).await?;
    let rows = views.iter().map(|view| {
        let spec = &view.connection;
        let roles: Vec<String> = view
            .credentials
            .iter()
            .map(
                |credential| match (&credential.header, credential.role.as_str()) {
                    (Some(header), _) => header.clone(),
                    (None, "") => "bearer".to_owned(),
                    (None, role) => role.to_owned(),
                },
            )
            .collect();
        [
            spec.name.clone(),
            word(&spec.kind),
            match &spec.stdio {
                None => spec.addresses.join(", "),
                Some(_) => "stdio".to_owned(),
            },
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

/// What the stored roles could do, and the statements that take it away. Exit code 1 if there is
/// anything but hints, or anything that could not be looked at.
async fn check(client: &Client, out: Output, name: &str) -> anyhow::Result<()> {
    let path = ["connections", name, "check"];
    let report: ConnectionReport = client.ask(Method::POST, &path, &[], NOTHING).await?;
    out.text(&report, &told(&report))?;
    let holes = report
        .roles
        .iter()
        .flat_map(|role| &role.findings)
        .filter(|finding| !finding.is_hint)
        .count();
    let errors = report.unreachable.len()
        + report
            .roles
            .iter()
            .filter(|role| !role.error.is_empty())
            .count();
    match (holes, errors) {
        (0, 0) => Ok(()),
        (holes, 0) => bail!("{holes} things that Weir's roles could do at {name} and need not"),
        (holes, errors) => {
            bail!("{holes} things that Weir's roles could do at {name}, and {errors} errors")
        }
    }
}

/// A report that can be pasted into psql: all but the statements is comment.
fn told(report: &ConnectionReport) -> String {
    let mut text = format!("-- {} as {} sees it\n", report.connection, report.node);
    for address in &report.unreachable {
        text.push_str(&format!("-- FAILED {address}\n"));
    }
    if report.roles.is_empty() && report.unreachable.is_empty() {
        text.push_str("-- its addresses answer; no role is stored for it\n");
    }
    for role in &report.roles {
        text.push_str(&format!(
            "\n-- role {} in database {}\n",
            role.role, role.database
        ));
        if !role.error.is_empty() {
            text.push_str(&format!("-- FAILED {}\n", role.error.replace('\n', " ")));
        } else if role.findings.is_empty() {
            text.push_str("-- nothing beside what Weir lets pass\n");
        }
        for finding in &role.findings {
            let (mark, fix) = if finding.is_hint {
                ("hint: ", format!("-- {}", finding.fix))
            } else {
                ("", finding.fix.clone())
            };
            text.push_str(&format!("-- {mark}{}\n{fix};\n", finding.what));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use weir_api::http::{RoleFinding, RoleReport};

    use super::*;

    #[test]
    fn a_report_is_sql_in_which_only_what_must_be_done_is_not_comment() {
        let finding = |what: &str, fix: &str, is_hint| RoleFinding {
            what: what.to_owned(),
            fix: fix.to_owned(),
            is_hint,
        };
        let role = |name: &str, findings, error: &str| RoleReport {
            role: name.to_owned(),
            database: "shop".to_owned(),
            findings,
            error: error.to_owned(),
        };
        let findings = vec![
            finding("owns table a.b", "ALTER TABLE a.b OWNER TO postgres", false),
            finding(
                "may run f",
                "REVOKE EXECUTE ON FUNCTION f() FROM PUBLIC",
                true,
            ),
        ];
        let report = ConnectionReport {
            connection: "prod".to_owned(),
            node: "gw1".to_owned(),
            unreachable: vec!["192.0.2.1:5432: refused".to_owned()],
            roles: vec![
                role("app", findings, ""),
                role("old", Vec::new(), "no\nway"),
            ],
        };
        let text = told(&report);
        let statements: Vec<_> = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("--"))
            .collect();
        assert_eq!(statements, ["ALTER TABLE a.b OWNER TO postgres;"]);
        assert!(text.contains("-- FAILED no way"));
        assert!(text.contains("-- hint: may run f\n-- REVOKE"));
    }
}
