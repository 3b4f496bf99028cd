//! A held call as one approver may see it: whoever may not see a value in a server's answers does
//! not see it among the arguments either.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::sync::Arc;

use sqlx::SqliteConnection;
use weir_api::http::{Account, Kind};
use weir_facts::{ConnectionName, Group, Identity, MaskRule, Now, Principal, Reveal};
use weir_mask::MaskKey;
use weir_mask::detect::{self, Class, ClassSet};
use weir_policy::{
    Bundle, ClockTrust, ConnectionFacts, ConnectionKind, Directory, JudgeContext, Snapshot,
};

use super::rules::LOCAL_ISSUER;
use crate::clock::unsigned;
use crate::error::Result;
use crate::seal::Sealer;
use crate::store::approval::Row;
use crate::store::{policy, server};

/// What is shown where it cannot be told what may be.
const NOTHING: &str = "[not shown: no policy says what you may see of it]";

/// What one person may see, by the active policy.
pub(crate) struct Sight {
    /// `None` where there is no policy that can be read.
    snapshot: Option<Snapshot>,
    keys: Vec<(String, [u8; 32])>,
    who: Principal,
    now: Now,
}

impl Sight {
    /// What an account may see now.
    pub(crate) async fn of(
        db: &mut SqliteConnection,
        sealer: &Sealer,
        account: &Account,
        now: i64,
    ) -> Result<Self> {
        let (mut facts, mut keys) = (Vec::new(), Vec::new());
        for (spec, sealed) in server::connections(&mut *db).await? {
            let kind = match spec.kind {
                Kind::Postgres => ConnectionKind::Postgres,
                Kind::Mcp => ConnectionKind::Mcp,
            };
            let name = ConnectionName::new(&spec.name);
            // Checked when it was registered.
            facts.extend(ConnectionFacts::new(
                name,
                kind,
                &spec.env,
                Some(&spec.zone),
            ));
            let key = sealer.open(&server::mask_key_place(&spec.name), &sealed)?;
            if let Ok(key) = <[u8; 32]>::try_from(key.as_slice()) {
                keys.push((spec.name, key));
            }
        }
        let bundle = policy::current(db).await?.and_then(|(_, files)| {
            let files: Vec<_> = files
                .into_iter()
                .map(|file| (file.path, file.content))
                .collect();
            Bundle::parse(&files).ok()
        });
        let compile = |bundle| Snapshot::compile(Arc::new(bundle), &facts, Directory::default());
        Ok(Self {
            snapshot: bundle.map(compile),
            keys,
            who: principal(account),
            now: Now {
                mono_ns: 0,
                unix_us: unsigned(now).saturating_mul(1_000_000),
            },
        })
    }

    /// The operation of a request. Statements are shown as they are: who decides about one must
    /// read it.
    pub(crate) fn operation(&self, row: &Row) -> String {
        let is_statement = row
            .accesses
            .iter()
            .all(|access| access.action.starts_with("pg."));
        if is_statement {
            return row.operation.clone();
        }
        let key = self.keys.iter().find(|(name, _)| *name == row.connection);
        match (key, &self.snapshot) {
            (Some((_, key)), Some(snapshot)) => self.masked(snapshot, row, *key),
            (None, _) | (Some(_), None) => NOTHING.to_owned(),
        }
    }

    fn masked(&self, snapshot: &Snapshot, row: &Row, key: [u8; 32]) -> String {
        let on = ConnectionName::new(&row.connection);
        let classes: ClassSet = snapshot
            .detectors(&on)
            .iter()
            .filter_map(|class| Class::parse(class))
            .collect();
        let mut found = Vec::new();
        detect::scan_through(&row.operation, classes, &mut found);
        let tool = tool(row);
        let context = JudgeContext {
            now: self.now,
            clock: ClockTrust::Trusted,
            // Nobody is there: a policy that asks from where hides.
            source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            approvals: &[],
            scopes: &[],
            in_transaction: false,
            has_where: false,
            database: "",
            role: "",
            arguments: None,
        };
        let reveal =
            |class: Class| snapshot.reveal_class(&self.who, &on, class.as_str(), tool, &context);
        replaced(&row.operation, &found, &MaskKey::new(key), reveal)
    }
}

/// The tool that a request calls, as policies know it; empty where it calls none.
fn tool(row: &Row) -> &str {
    let prefix = row.connection.as_str();
    let called = row
        .accesses
        .iter()
        .find(|access| access.action == "mcp.call_tool");
    called
        .and_then(|access| access.resource.strip_prefix(prefix)?.strip_prefix('/'))
        .unwrap_or_default()
}

fn principal(account: &Account) -> Principal {
    Principal {
        workload: None,
        identity: Some(Arc::new(Identity {
            issuer: LOCAL_ISSUER.into(),
            subject: account.name.as_str().into(),
            is_service: account.is_service,
            groups: account
                .groups
                .iter()
                .map(|group| Group(group.as_str().into()))
                .collect(),
        })),
        agent: None,
    }
}

/// Values that may not be seen, replaced.
fn replaced(
    text: &str,
    found: &[(Range<usize>, Class)],
    key: &MaskKey,
    reveal: impl Fn(Class) -> Reveal,
) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (span, class) in found {
        let (Some(before), Some(value)) = (text.get(at..span.start), text.get(span.clone())) else {
            return NOTHING.to_owned();
        };
        out.push_str(before);
        match reveal(*class) {
            Reveal::Clear => out.push_str(value),
            // What a mask leaves of escapes could say more than what it leaves of the value.
            Reveal::Mask(..) if value.contains('\\') => {
                out.push_str(&format!("[{class} withheld]"));
            }
            Reveal::Mask(rule, _) => out.push_str(&masked(&rule, key, value, *class)),
            Reveal::Deny(_) => out.push_str(&format!("[{class} withheld]")),
        }
        at = span.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

fn masked(rule: &MaskRule, key: &MaskKey, value: &str, class: Class) -> String {
    weir_mask::utf8(rule, key, value).map_or_else(
        || format!("[{class} withheld]"),
        |masked| masked.to_string(),
    )
}
