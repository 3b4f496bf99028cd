//! A pushed world, checked and compiled: the boundary where protobuf ends.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use weir_api::v1;
use weir_facts::{ConnectionName, Digest, Group, Identity};
use weir_flow::{
    Account, Attribution, Authentication, Carrier, Certificate, ClientTls, Connection, Connections,
    Credential, Durability, FirstSight, Lock, Locked, McpTarget, PostgresTarget, Settings, Stale,
    Target, Tls, TlsMode, Token, ToolPin, ToolPins, WorkloadRule, World,
};
use weir_mask::MaskKey;
use weir_policy::{Bundle, ClockTrust, ConnectionFacts, ConnectionKind, Directory, Snapshot};
use zeroize::Zeroizing;

use super::{login, mcp};

/// A Postgres statement waits this long for people where the control plane says nothing.
const POSTGRES_HOLD_S: u32 = 300;
/// Several MCP clients give up at 60 s; the answer must be there before.
const MCP_HOLD_S: u32 = 50;

/// What of an update is not in its payload.
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
    /// The version's number.
    pub version: u64,
    /// Unix seconds after which the world is stale.
    pub not_after: u64,
}

/// Compiles a world, or says what is wrong with it. `mock_key` makes the challenges of unknown users.
///
/// # Errors
/// The first thing in it that cannot be put in force, in words for the operator.
pub fn compile(envelope: Envelope, mock_key: [u8; 32], world: v1::World) -> Result<World> {
    let files: Vec<_> = world
        .bundle
        .into_iter()
        .map(|file| (file.path, file.content))
        .collect();
    let bundle = Bundle::parse(&files).context("policy bundle")?;
    let id: Arc<str> = bundle.id().to_string().into();
    let facts = world
        .connections
        .iter()
        .map(connection_facts)
        .collect::<Result<Vec<_>>>()?;
    let directory = directory(&world.accounts, &world.workload_rules);
    let snapshot = Snapshot::compile(Arc::new(bundle), &facts, directory);
    let mut credentials = credentials(world.credentials)?;
    let connections = world
        .connections
        .into_iter()
        .map(|connection| {
            let name = connection.name.clone();
            let own = credentials.remove(&name).unwrap_or_default();
            self::connection(connection, own).with_context(|| format!("connection {name}"))
        })
        .collect::<Result<Vec<_>>>()?;
    let (accounts, tokens, certificates) = accounts(world.accounts)?;
    let providers = login::providers(world.identity_providers)?;
    let clock = match world
        .settings
        .as_ref()
        .map_or(v1::ClockTrust::Unspecified, v1::Settings::clock)
    {
        v1::ClockTrust::Trusted => ClockTrust::Trusted,
        v1::ClockTrust::Unspecified | v1::ClockTrust::Skewed => ClockTrust::Skewed,
    };
    Ok(World {
        version: envelope.version,
        snapshot: Arc::new(snapshot),
        connections: Connections::new(connections),
        accounts,
        tokens,
        authentication: Authentication {
            providers,
            certificates,
        },
        workloads: world
            .workload_rules
            .into_iter()
            .map(workload_rule)
            .collect::<Result<_>>()?,
        mock_key,
        bundle: id,
        clock,
        locks: world.locks.into_iter().filter_map(lock).collect(),
        settings: settings(envelope, world.settings)?,
    })
}

fn settings(envelope: Envelope, settings: Option<v1::Settings>) -> Result<Settings> {
    let settings = settings.unwrap_or_default();
    let or = |value: u32, default: u32| {
        u64::from(if value == 0 { default } else { value }) * 1_000_000_000
    };
    Ok(Settings {
        durability: match settings.durability() {
            v1::Durability::Kept => Durability::Kept,
            v1::Durability::Unspecified | v1::Durability::SyncedExceptPlainReads => {
                Durability::SyncedExceptPlainReads
            }
        },
        attribution: if settings.application_name {
            Attribution::ApplicationName
        } else {
            Attribution::Off
        },
        postgres_hold_ns: or(settings.postgres_hold_s, POSTGRES_HOLD_S),
        mcp_hold_ns: or(settings.mcp_hold_s, MCP_HOLD_S),
        inbox: (!settings.inbox.is_empty()).then(|| settings.inbox.as_str().into()),
        not_after_us: envelope.not_after.saturating_mul(1_000_000),
        stale: match settings.stale() {
            v1::Stale::Unspecified | v1::Stale::DenyNew => Stale::DenyNew,
            v1::Stale::Continue => Stale::Continue,
            v1::Stale::DenyAll => Stale::DenyAll,
        },
    })
}

/// A lock of one flow is no part of a world: the flow was ended when it was made.
fn lock(lock: v1::Lock) -> Option<Lock> {
    let who = match lock.target? {
        v1::lock::Target::Flow(_) => return None,
        v1::lock::Target::Identity(who) => Locked::Identity(who.issuer.into(), who.subject.into()),
        v1::lock::Target::Workload(name) => Locked::Workload(name.into()),
    };
    Some(Lock {
        who,
        reason: lock.reason.into(),
    })
}

fn connection_facts(connection: &v1::Connection) -> Result<ConnectionFacts> {
    let kind = match connection.kind() {
        v1::ConnectionKind::Postgres => ConnectionKind::Postgres,
        v1::ConnectionKind::Mcp => ConnectionKind::Mcp,
        v1::ConnectionKind::Unspecified => bail!("connection {}: it has no kind", connection.name),
    };
    let zone = (!connection.zone.is_empty()).then_some(connection.zone.as_str());
    Ok(ConnectionFacts::new(
        ConnectionName::new(&connection.name),
        kind,
        &connection.env,
        zone,
    )?)
}

fn connection(connection: v1::Connection, credentials: Vec<v1::Credential>) -> Result<Connection> {
    let key: [u8; 32] = connection
        .mask_key
        .as_slice()
        .try_into()
        .map_err(|_| anyhow!("its mask key is not 32 bytes long"))?;
    let kind = connection.kind();
    let tls = match connection.tls() {
        v1::TlsMode::Disable => TlsMode::Disable,
        v1::TlsMode::Prefer | v1::TlsMode::Unspecified => TlsMode::Prefer,
        v1::TlsMode::Require => TlsMode::Require,
        v1::TlsMode::VerifyFull => TlsMode::VerifyFull,
    };
    let addresses = connection
        .addresses
        .iter()
        .map(|text| {
            text.parse::<SocketAddr>()
                .with_context(|| format!("{text:?} is not an address and a port"))
        })
        .collect::<Result<Vec<_>>>()?;
    ensure!(
        connection.stdio.is_none() || kind == v1::ConnectionKind::Mcp,
        "only MCP servers are started by their clients"
    );
    let target = match kind {
        v1::ConnectionKind::Mcp => Target::Mcp(McpTarget {
            carrier: carrier(&connection, &credentials)?,
            credential: mcp::credential(credentials),
            authorization: mcp::authorization(&connection)?,
            tools: tool_pins(connection.tools_need_approval, &connection.tools)?,
        }),
        v1::ConnectionKind::Postgres | v1::ConnectionKind::Unspecified => {
            Target::Postgres(postgres_target(&connection, credentials))
        }
    };
    Ok(Connection {
        name: ConnectionName::new(&connection.name),
        addresses,
        tls: Tls {
            mode: tls,
            ca_pem: connection.ca_pem.into(),
            server_name: (!connection.server_name.is_empty())
                .then(|| connection.server_name.into()),
        },
        client_tls: if connection.client_tls_required {
            ClientTls::Required
        } else {
            ClientTls::Optional
        },
        login: login::client_login(connection.logins, connection.client_ca_pem)?,
        attribution: if connection.unattributed {
            Attribution::Off
        } else {
            Attribution::ApplicationName
        },
        mask_key: MaskKey::new(key),
        target,
    })
}

fn postgres_target(
    connection: &v1::Connection,
    credentials: Vec<v1::Credential>,
) -> PostgresTarget {
    let text = |text: &str| (!text.is_empty()).then(|| Arc::<str>::from(text));
    PostgresTarget {
        default_role: text(&connection.default_role),
        catalog_role: credentials
            .iter()
            .find(|credential| credential.catalogue)
            .and_then(|found| text(&found.role)),
        database: text(&connection.database).unwrap_or_else(|| "postgres".into()),
        credentials: credentials
            .into_iter()
            .map(|found| Credential {
                role: found.role.into(),
                password: Zeroizing::new(found.password),
                derived: Arc::default(),
                certificate: (!found.certificate_pem.is_empty()).then(|| Certificate {
                    chain_pem: found.certificate_pem.into(),
                    key_pem: Zeroizing::new(found.key_pem),
                }),
            })
            .collect(),
    }
}

fn tool_pins(need_approval: bool, pins: &[v1::ToolPin]) -> Result<ToolPins> {
    let digest = |bytes: &[u8]| match <[u8; 32]>::try_from(bytes) {
        Ok(digest) => Ok(Some(Digest(digest))),
        Err(_) if bytes.is_empty() => Ok(None),
        Err(_) => bail!("the definition of a tool is not a SHA-256"),
    };
    let first_sight = if need_approval {
        FirstSight::Quarantined
    } else {
        FirstSight::Trusted
    };
    let definitions = pins.iter().map(|pin| pin.definition.as_str());
    let definitions: Vec<_> = definitions.filter(|text| !text.is_empty()).collect();
    let pins = pins
        .iter()
        .map(|pin| {
            let decided = ToolPin {
                approved: digest(&pin.approved)?,
                pending: digest(&pin.pending)?,
                decision: pin.decision,
            };
            Ok((pin.name.as_str().into(), decided))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(ToolPins::new(first_sight, pins).with_definitions(definitions))
}

/// How an MCP server is reached. One that its clients start has nothing that could be shown to
/// whatever they have started.
fn carrier(connection: &v1::Connection, credentials: &[v1::Credential]) -> Result<Carrier> {
    if connection.stdio.is_none() {
        return Ok(Carrier::Address);
    }
    ensure!(
        connection.addresses.is_empty() && connection.listen.is_empty(),
        "a server that its clients start has an address"
    );
    ensure!(
        credentials.is_empty(),
        "a server that its clients start has a credential"
    );
    ensure!(
        connection.tls() == v1::TlsMode::Disable && !connection.client_tls_required,
        "standard input and output have no TLS"
    );
    Ok(Carrier::Stdio)
}

fn credentials(all: Vec<v1::Credential>) -> Result<HashMap<String, Vec<v1::Credential>>> {
    let mut by_connection: HashMap<String, Vec<v1::Credential>> = HashMap::new();
    for credential in all {
        ensure!(
            !credential.connection.is_empty(),
            "a credential names no connection"
        );
        by_connection
            .entry(credential.connection.clone())
            .or_default()
            .push(credential);
    }
    Ok(by_connection)
}

type ByName = HashMap<Arc<str>, Arc<Account>>;

/// The accounts by name, their tokens, and the accounts by what their certificates name.
fn accounts(all: Vec<v1::Account>) -> Result<(ByName, HashMap<Digest, Token>, ByName)> {
    let (mut accounts, mut tokens) = (ByName::new(), HashMap::new());
    let mut certificates = ByName::new();
    for account in all {
        let identity = account
            .identity
            .ok_or_else(|| anyhow!("an account has no identity"))?;
        let identity = Arc::new(self::identity(identity));
        for token in &account.tokens {
            let sha256: [u8; 32] = token
                .sha256
                .as_slice()
                .try_into()
                .map_err(|_| anyhow!("a token of {} is not a SHA-256", identity.subject))?;
            let expires_us = token.expires.saturating_mul(1_000_000);
            tokens.insert(
                Digest(sha256),
                Token {
                    identity: identity.clone(),
                    expires_us,
                },
            );
        }
        let has_token = !account.tokens.is_empty();
        let scram_verifier =
            (!account.scram_verifier.is_empty()).then(|| account.scram_verifier.into());
        let known = Arc::new(Account {
            identity,
            scram_verifier,
            has_token,
        });
        for name in account.certificates {
            let before = certificates.insert(name.as_str().into(), known.clone());
            ensure!(
                before.is_none(),
                "two accounts claim certificates of {name}"
            );
        }
        accounts.insert(known.identity.subject.clone(), known);
    }
    Ok((accounts, tokens, certificates))
}

fn identity(identity: v1::Identity) -> Identity {
    Identity {
        issuer: identity.issuer.into(),
        subject: identity.subject.into(),
        is_service: identity.is_service,
        groups: groups(identity.groups),
    }
}

fn groups(names: Vec<String>) -> Vec<Group> {
    let mut groups: Vec<_> = names.into_iter().map(|name| Group(name.into())).collect();
    groups.sort();
    groups.dedup();
    groups
}

fn workload_rule(rule: v1::WorkloadRule) -> Result<WorkloadRule> {
    let text = |text: String| (!text.is_empty()).then(|| Arc::<str>::from(text));
    let rule = WorkloadRule {
        uid: rule.uid,
        cgroup: text(rule.cgroup),
        executable: text(rule.executable),
        name: rule.name.into(),
        groups: groups(rule.groups),
        owner: text(rule.owner),
    };
    ensure!(
        rule.uid.is_some() || rule.cgroup.is_some() || rule.executable.is_some(),
        "workload rule {} has no condition and would match every process",
        rule.name
    );
    Ok(rule)
}

fn directory(accounts: &[v1::Account], rules: &[v1::WorkloadRule]) -> Directory {
    let identities = || {
        accounts
            .iter()
            .filter_map(|account| account.identity.as_ref())
    };
    let named = |services: bool| {
        identities()
            .filter(|who| who.is_service == services)
            .map(|who| who.subject.as_str().into())
            .collect()
    };
    let mut groups: Vec<Group> = identities()
        .flat_map(|who| &who.groups)
        .chain(rules.iter().flat_map(|rule| &rule.groups))
        .map(|name| Group(name.as_str().into()))
        .collect();
    groups.sort();
    groups.dedup();
    Directory {
        groups: groups
            .into_iter()
            .map(|group| (group, Vec::new()))
            .collect(),
        users: named(false),
        services: named(true),
        workloads: rules.iter().map(|rule| rule.name.as_str().into()).collect(),
    }
}
