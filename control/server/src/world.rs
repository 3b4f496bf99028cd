//! What a node is told: everything it needs to decide alone, and nothing of what it does
//! not serve.

use sha2::{Digest as _, Sha256};
use sqlx::SqliteConnection;
use weir_api::http;
use weir_api::v1;

use crate::approval::LOCAL_ISSUER;
use crate::clock::signed;
use crate::error::{Error, Result};
use crate::limits::{CLOCK_SKEW_S_MAX, DEFINITIONS_BYTES_MAX};
use crate::seal::Sealer;
use crate::store::{account, fleet, idp, policy, server, tool};

/// Seconds that an MCP call is held: TypeScript clients give up at 60, and some clients that wrap
/// them earlier.
const MCP_HOLD_S: u32 = 45;

/// Seconds that a Postgres statement is held: clients seldom have a shorter timeout of
/// their own, and whoever has is told the approval's id.
const POSTGRES_HOLD_S: u32 = 300;

/// Builds the world of a node. Equal states make equal worlds: everything is sorted.
pub(crate) async fn build(
    db: &mut SqliteConnection,
    sealer: &Sealer,
    node: &str,
    inbox: &str,
) -> Result<v1::World> {
    let serves = fleet::serves(&mut *db, node).await?;
    let is_served = |name: &str| {
        serves
            .as_ref()
            .is_none_or(|list| list.iter().any(|served| served == name))
    };
    let (bundle_id, bundle) = match policy::current(&mut *db).await? {
        Some((version, files)) => (version.id, files.into_iter().map(bundle_file).collect()),
        None => (String::new(), Vec::new()),
    };
    let mut connections = Vec::new();
    let mut room = DEFINITIONS_BYTES_MAX;
    for (spec, sealed) in server::connections(&mut *db).await? {
        if is_served(&spec.name) {
            let key = sealer.open(&server::mask_key_place(&spec.name), &sealed)?;
            let tools = tool::pins(&mut *db, &spec.name, &mut room).await?;
            connections.push(connection(spec, &key, tools));
        }
    }
    let kinds: Vec<(String, i32)> = connections
        .iter()
        .map(|c| (c.name.clone(), c.kind))
        .collect();
    let mut credentials = Vec::new();
    for sealed in server::credentials(&mut *db).await? {
        let kind = kinds
            .iter()
            .find(|(served, _)| *served == sealed.connection);
        if let Some((_, kind)) = kind {
            credentials.push(credential(sealer, sealed, *kind)?);
        }
    }
    let clock = match fleet::last_health(&mut *db, node).await? {
        Some(health) if health.clock_ahead_s.abs() > CLOCK_SKEW_S_MAX => v1::ClockTrust::Skewed,
        Some(_) | None => v1::ClockTrust::Trusted,
    };
    Ok(v1::World {
        bundle_id,
        bundle,
        connections,
        credentials,
        accounts: account::authenticables(&mut *db)
            .await?
            .into_iter()
            .map(authenticable)
            .collect(),
        workload_rules: server::workloads(&mut *db)
            .await?
            .into_iter()
            .map(workload_rule)
            .collect(),
        guards: server::guards(&mut *db)
            .await?
            .into_iter()
            .map(guard)
            .collect(),
        locks: locks(db).await?,
        settings: Some(settings(clock, inbox)),
        identity_providers: idp::list(&mut *db)
            .await?
            .into_iter()
            .map(identity_provider)
            .collect(),
    })
}

fn settings(clock: v1::ClockTrust, inbox: &str) -> v1::Settings {
    v1::Settings {
        stale: v1::Stale::Continue.into(),
        mcp_hold_s: MCP_HOLD_S,
        postgres_hold_s: POSTGRES_HOLD_S,
        durability: v1::Durability::SyncedExceptPlainReads.into(),
        application_name: true,
        clock: clock.into(),
        inbox: inbox.to_owned(),
    }
}

fn bundle_file(file: http::File) -> v1::BundleFile {
    v1::BundleFile {
        path: file.path,
        content: file.content,
    }
}

fn connection(spec: http::Connection, mask_key: &[u8], tools: Vec<v1::ToolPin>) -> v1::Connection {
    let kind = match spec.kind {
        http::Kind::Postgres => v1::ConnectionKind::Postgres,
        http::Kind::Mcp => v1::ConnectionKind::Mcp,
    };
    let tls = match spec.tls {
        http::Tls::Disable => v1::TlsMode::Disable,
        http::Tls::Prefer => v1::TlsMode::Prefer,
        http::Tls::Require => v1::TlsMode::Require,
        http::Tls::VerifyFull => v1::TlsMode::VerifyFull,
    };
    let unlabelled = match spec.unlabelled {
        http::Unlabelled::Clear => v1::Unlabelled::Clear,
        http::Unlabelled::Mask => v1::Unlabelled::Mask,
    };
    v1::Connection {
        name: spec.name,
        kind: kind.into(),
        addresses: spec.addresses,
        tls: tls.into(),
        ca_pem: spec.ca_pem.unwrap_or_default(),
        server_name: spec.server_name.unwrap_or_default(),
        env: spec.env,
        zone: spec.zone,
        unlabelled: unlabelled.into(),
        unlabelled_mask: spec.unlabelled_mask.unwrap_or_default(),
        mask_key: mask_key.to_vec(),
        database: spec.database,
        listen: spec.listen,
        client_tls_required: spec.client_tls_required,
        default_role: spec.default_role.unwrap_or_default(),
        logins: spec.logins.into_iter().map(login_rule).collect(),
        client_ca_pem: spec.client_ca_pem.unwrap_or_default(),
        unattributed: spec.unattributed,
        tools,
        tools_need_approval: spec.tools_need_approval,
        resource: spec.resource.unwrap_or_default(),
        authorization: match spec.authorization {
            http::Authorization::Weir => v1::McpAuthorization::Weir,
            http::Authorization::Server => v1::McpAuthorization::Server,
        }
        .into(),
        opaque_tokens: spec.opaque_tokens,
        stdio: spec.stdio.map(stdio),
    }
}

fn stdio(spec: http::Stdio) -> v1::Stdio {
    let digest = |arguments: Vec<String>| {
        let hash = arguments.iter().fold(Sha256::new(), |hash, argument| {
            hash.chain_update(argument).chain_update([0])
        });
        hash.finalize().to_vec()
    };
    v1::Stdio {
        executable: spec.executable.unwrap_or_default(),
        arguments_sha256: spec.arguments.map(digest).unwrap_or_default(),
    }
}

fn login_rule(rule: http::LoginRule) -> v1::LoginRule {
    let method = match rule.method {
        http::LoginMethod::Certificate => v1::LoginMethod::Certificate,
        http::LoginMethod::Secret => v1::LoginMethod::Secret,
        http::LoginMethod::Token => v1::LoginMethod::Token,
        http::LoginMethod::Oauthbearer => v1::LoginMethod::Oauthbearer,
        http::LoginMethod::Workload => v1::LoginMethod::Workload,
    };
    v1::LoginRule {
        user: if rule.user == "*" {
            String::new()
        } else {
            rule.user
        },
        method: method.into(),
    }
}

fn identity_provider(stored: idp::Stored) -> v1::IdentityProvider {
    let idp::Stored { provider, jwks, .. } = stored;
    v1::IdentityProvider {
        configuration: crate::idp::configuration(&provider.issuer),
        issuer: provider.issuer,
        audiences: provider.audiences,
        algorithms: provider.algorithms,
        jwks,
        subject_claim: provider.subject_claim,
        groups_claim: provider.groups_claim,
        group_prefix: provider.group_prefix,
        scope: provider.scope,
    }
}

fn credential(
    sealer: &Sealer,
    sealed: server::SealedCredential,
    kind: i32,
) -> Result<v1::Credential> {
    let server::SealedCredential {
        connection,
        role,
        secret,
        catalogue,
        certificate,
        header,
    } = sealed;
    let (certificate_pem, key_pem) = match certificate {
        None => Default::default(),
        Some(certificate) => {
            let place = server::certificate_place(&connection, &role);
            serde_json::from_slice(&sealer.open(&place, &certificate)?)?
        }
    };
    let secret = sealer.open(&server::credential_place(&connection, &role), &secret)?;
    let secret = std::str::from_utf8(&secret)
        .map_err(|_| {
            Error::Internal(anyhow::anyhow!(
                "the credential of {connection} is not text"
            ))
        })?
        .to_owned();
    let is_mcp = kind == i32::from(v1::ConnectionKind::Mcp);
    let is_bearer = is_mcp && role.is_empty() && header.is_none();
    let (password, bearer) = if is_bearer {
        (String::new(), secret)
    } else {
        (secret, String::new())
    };
    Ok(v1::Credential {
        connection,
        role,
        password,
        bearer,
        catalogue,
        certificate_pem,
        key_pem,
        field: header.unwrap_or_default(),
    })
}

fn authenticable(known: account::Authenticable) -> v1::Account {
    let tokens = known
        .tokens
        .into_iter()
        .map(|(sha256, expires)| v1::TokenHash { sha256, expires })
        .collect();
    v1::Account {
        identity: Some(identity(&known.account)),
        scram_verifier: known.scram_verifier,
        tokens,
        certificates: known.account.certificates,
        owner: known.account.owner.unwrap_or_default(),
    }
}

/// A local account as data planes know it.
pub(crate) fn identity(account: &http::Account) -> v1::Identity {
    v1::Identity {
        issuer: LOCAL_ISSUER.to_owned(),
        subject: account.name.clone(),
        is_service: account.is_service,
        groups: account.groups.clone(),
    }
}

fn workload_rule(rule: http::Workload) -> v1::WorkloadRule {
    v1::WorkloadRule {
        name: rule.name,
        uid: rule.uid,
        cgroup: rule.cgroup.unwrap_or_default(),
        executable: rule.executable.unwrap_or_default(),
        groups: rule.groups,
        owner: rule.owner.unwrap_or_default(),
    }
}

fn guard(guard: http::Guard) -> v1::Guard {
    let mode = match guard.mode {
        http::Mode::Observe => v1::GuardMode::Observe,
        http::Mode::Enforce => v1::GuardMode::Enforce,
    };
    v1::Guard {
        name: guard.cgroup.clone(),
        cgroup: guard.cgroup,
        mode: mode.into(),
    }
}

async fn locks(db: &mut SqliteConnection) -> Result<Vec<v1::Lock>> {
    let mut locks = Vec::new();
    for lock in server::locks(&mut *db).await? {
        locks.push(lock_message(&mut *db, &lock).await?);
    }
    Ok(locks)
}

/// A lock as nodes know it.
pub(crate) async fn lock_message(db: &mut SqliteConnection, lock: &http::Lock) -> Result<v1::Lock> {
    use v1::lock::Target;
    let target = match lock {
        http::Lock {
            flow: Some(flow), ..
        } => u64::from_str_radix(flow, 16).ok().map(Target::Flow),
        http::Lock {
            account: Some(name),
            ..
        } => account::find(db, name)
            .await?
            .map(|account| Target::Identity(identity(&account))),
        http::Lock {
            workload: Some(name),
            ..
        } => Some(Target::Workload(name.clone())),
        http::Lock {
            flow: None,
            account: None,
            workload: None,
            ..
        } => None,
    };
    Ok(v1::Lock {
        reason: lock.reason.clone(),
        target,
    })
}

/// Seconds that a node's clock is ahead of ours.
pub(crate) fn clock_ahead(node: u64, now: i64) -> i64 {
    signed(node).saturating_sub(now)
}
