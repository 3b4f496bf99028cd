//! Verdicts that are not cached, by the demo's bundle, alone and among a thousand policies of
//! other connections. Twin: a look-up in a hash map, which is what a cached verdict costs.

use std::collections::HashMap;
use std::fs;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use weir_facts::{
    Access, Action, ColumnName, ConnectionName, Group, Identity, Now, Principal, RelationName,
    Resource, Verdict,
};
use weir_policy::{
    Bundle, ClockTrust, ConnectionFacts, ConnectionKind, Directory, JudgeContext, Snapshot,
};

/// How many policies of other connections stand beside the demo's.
const OTHERS: usize = 1000;

fn files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/demo");
    let names = ["masks.toml", "mcp.cedar", "policies.cedar"];
    names
        .map(|name| {
            (
                name.to_owned(),
                fs::read_to_string(folder.join(name)).expect("fixed input"),
            )
        })
        .into()
}

fn others() -> String {
    let rule = |n| {
        format!(
            "@id(\"other-{n}\") permit(principal in Weir::Group::\"g{n}\", action in Weir::Action::\"pg.read\", resource in Weir::Connection::\"other-{n}\");\n"
        )
    };
    (0..OTHERS).map(rule).collect()
}

fn snapshot(files: &[(String, String)]) -> Snapshot {
    let bundle = Arc::new(Bundle::parse(files).expect("fixed input"));
    let facts = ConnectionFacts::new(
        ConnectionName::new("demo-pg"),
        ConnectionKind::Postgres,
        "demo",
        None,
    )
    .expect("fixed input");
    Snapshot::compile(bundle, &[facts], Directory::default())
}

fn engineer() -> Principal {
    let groups = vec![Group("engineering".into())];
    let identity = Identity {
        issuer: "weir".into(),
        subject: "alice".into(),
        is_service: false,
        groups,
    };
    Principal {
        workload: None,
        identity: Some(Arc::new(identity)),
        agent: None,
    }
}

fn verdicts(c: &mut Criterion) {
    let (who, on) = (engineer(), ConnectionName::new("demo-pg"));
    let relation = RelationName {
        schema: "public".into(),
        name: "customers".into(),
    };
    let column = ColumnName {
        relation: relation.clone(),
        column: "ssn".into(),
    };
    let accesses = [Access {
        action: Action::PgSelect,
        resource: Resource::Table(relation),
    }];
    let cx = JudgeContext {
        now: Now {
            mono_ns: 0,
            unix_us: 1_800_000_000_000_000,
        },
        clock: ClockTrust::Trusted,
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        approvals: &[],
        scopes: &[],
        in_transaction: false,
        has_where: true,
        database: "shop",
        role: "app",
        arguments: None,
    };
    let mut many = files();
    many.push(("others.cedar".to_owned(), others()));
    let mut group = c.benchmark_group("policy");
    for (name, files) in [("demo", files()), ("demo and 1,000 more", many)] {
        let snapshot = snapshot(&files);
        assert_eq!(
            snapshot.judge(&who, &on, &accesses, &cx).verdict,
            Verdict::Allow
        );
        group.bench_function(format!("judge, {name}"), |b| {
            b.iter(|| snapshot.judge(black_box(&who), &on, &accesses, &cx))
        });
        group.bench_function(format!("reveal, {name}"), |b| {
            b.iter(|| snapshot.reveal(black_box(&who), &on, &column, &cx))
        });
    }
    let cache = HashMap::from([((who.clone(), on.clone(), accesses.to_vec()), true)]);
    let key = (who, on, accesses.to_vec());
    group.bench_function("twin: a hash map of verdicts", |b| {
        b.iter(|| cache.get(black_box(&key)).copied())
    });
    group.finish();
}

criterion_group!(benches, verdicts);
criterion_main!(benches);
