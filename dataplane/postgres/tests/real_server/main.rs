//! Against a real PostgreSQL: what the session believes of a server is what a server does.

#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

mod cluster;
mod peer;

use cluster::Cluster;
use peer::{Peer, name, plan, select};
use weir_postgres::auth::Verifier;
use weir_postgres::frame::ClientTag;
use weir_postgres::message::{
    Bind, Close, CopyFail, Describe, Execute, Parse, Query, Target, encode_empty,
};
use weir_postgres::rows::{Format, Formats};
use weir_postgres::session::{Admission, Effect, Lifetime, Lookup, Origin};
use weir_postgres::startup::Version;

const PASSWORD: &str = "correct horse ½";

/// What is sent, and reported to the session.
#[derive(Default)]
struct Pipeline(Vec<u8>);

impl Pipeline {
    fn parse(&mut self, peer: &mut Peer, to: &str, text: &str, as_plan: peer::Plan) -> &mut Self {
        Parse::new(to, text).encode(&mut self.0);
        peer.session.parse(name(to), as_plan).unwrap();
        self
    }

    fn bind(&mut self, peer: &mut Peer, portal: &str, statement: &str) -> &mut Self {
        Bind::encode_plain(portal, statement, Format::Text, &mut self.0);
        peer.session
            .bind(name(portal), &name(statement), Formats::All(Format::Text))
            .unwrap();
        self
    }

    fn describe_portal(&mut self, peer: &mut Peer, origin: Origin, portal: &str) -> &mut Self {
        Describe {
            target: Target::Portal,
            name: portal,
        }
        .encode(&mut self.0);
        peer.session.describe_portal(origin, &name(portal)).unwrap();
        self
    }

    fn execute(&mut self, peer: &mut Peer, portal: &str, rows_max: i32) -> &mut Self {
        Execute { portal, rows_max }.encode(&mut self.0);
        peer.session.execute(&name(portal)).unwrap();
        self
    }

    fn close(&mut self, peer: &mut Peer, statement: &str) -> &mut Self {
        Close {
            target: Target::Statement,
            name: statement,
        }
        .encode(&mut self.0);
        peer.session.close_statement(name(statement));
        self
    }

    fn sync(&mut self, peer: &mut Peer) -> &mut Self {
        encode_empty(ClientTag::Sync, &mut self.0);
        peer.session.sync();
        self
    }

    fn query(&mut self, peer: &mut Peer, text: &str, plans: &[peer::Plan]) -> &mut Self {
        Query { text }.encode(&mut self.0);
        peer.session.query(Origin::Client, plans).unwrap();
        self
    }

    fn refuse(&mut self, peer: &mut Peer) -> &mut Self {
        peer.session.refuse_extended(b"no".to_vec(), &mut self.0);
        self
    }

    fn refuse_query(&mut self, peer: &mut Peer) -> &mut Self {
        peer.session.refuse_query(b"no".to_vec(), &mut self.0);
        self
    }

    fn send(&mut self, peer: &mut Peer) {
        peer.send(&std::mem::take(&mut self.0));
    }
}

fn run(peer: &mut Peer, text: &str, plans: &[peer::Plan]) -> Vec<String> {
    Pipeline::default().query(peer, text, plans).send(peer);
    peer.until_ready(1)
}

/// One server for all: starting it is what costs.
#[test]
fn the_session_believes_what_a_real_server_does() {
    let cluster = Cluster::start();
    let verifier = Verifier::derive(PASSWORD, b"sixteen bytes of", 4_096);
    cluster.sql(&format!("create role app login password '{verifier}'"));
    cluster.sql("set password_encryption = md5; create role old login password 'md5 only'");
    cluster.sql("grant create on schema public to app");

    passwords(&cluster);
    versions(&cluster);
    let mut peer = Peer::connect(cluster.port, "app", PASSWORD).unwrap();
    let p = &mut peer;
    plain_queries(p);
    pipelines(p);
    failed_reparse(p);
    skipped_requests(p);
    query_amid_a_failed_pipeline(p);
    refusals(p);
    own_requests(p);
    cursors(p);
    suspended(p);
    sql_level_names(p);
    unnamed_statement_ends_with_a_query(p);
    long_names_collide(p);
    deferred_failure_at_sync(p);
    copies(p);
    copy_in_a_pipeline(p);
}

fn passwords(cluster: &Cluster) {
    let peer = Peer::connect(cluster.port, "app", PASSWORD).unwrap();
    assert_eq!(peer.asked, "scram");
    let again = Peer::connect_with(
        cluster.port,
        "app",
        "only the keys",
        Version::V3_0,
        peer.keys.as_ref(),
    )
    .unwrap();
    assert_eq!(again.asked, "scram");
    let wrong = Peer::connect(cluster.port, "app", "wrong")
        .map(drop)
        .unwrap_err();
    assert!(wrong.contains("28P01"), "{wrong}");
    assert_eq!(
        Peer::connect(cluster.port, "old", "md5 only")
            .unwrap()
            .asked,
        "md5"
    );
}

fn versions(cluster: &Cluster) {
    let newer = Peer::connect_with(cluster.port, "app", PASSWORD, Version::V3_2, None).unwrap();
    assert!(
        newer
            .negotiated
            .is_none_or(|version| version == Version::V3_0.code()),
        "{:?}",
        newer.negotiated
    );
}

fn plain_queries(p: &mut Peer) {
    assert_eq!(run(p, "", &[]), ["Empty", "Ready Idle"]);
    assert_eq!(
        run(
            p,
            "select 1; set lock_timeout = 0; select 2",
            &[select(1), select(2), select(3)]
        ),
        [
            "Query true of 1",
            "Row of 1",
            "Completed SELECT 1 of 1",
            "Completed SET of 2",
            "Query true of 3",
            "Row of 3",
            "Completed SELECT 1 of 3",
            "Ready Idle",
        ]
    );
    assert_eq!(
        run(
            p,
            "select 1; select 1/0; select 2",
            &[select(1), select(2), select(3)]
        ),
        [
            "Query true of 1",
            "Row of 1",
            "Completed SELECT 1 of 1",
            "Failed 22012 skips 0 of 2",
            "Ready Idle"
        ]
    );
}

fn pipelines(p: &mut Peer) {
    Pipeline::default()
        .parse(p, "s", "select 1", select(1))
        .bind(p, "", "s")
        .describe_portal(p, Origin::Client, "")
        .execute(p, "", 0)
        .close(p, "s")
        .parse(p, "s", "select 2", select(2))
        .bind(p, "", "s")
        .execute(p, "", 0)
        .sync(p)
        .send(p);
    assert_eq!(
        p.until_ready(1),
        [
            "Parsed of 1",
            "Bound of 1",
            "Portal true of 1",
            "Row of 1",
            "Completed SELECT 1 of 1",
            "Closed",
            "Parsed of 2",
            "Bound of 2",
            "Row of 2",
            "Completed SELECT 1 of 2",
            "Ready Idle",
        ]
    );
}

fn failed_reparse(p: &mut Peer) {
    Pipeline::default()
        .parse(p, "s", "select 3", select(3))
        .sync(p)
        .send(p);
    assert!(
        matches!(p.session.statement("s"), Lookup::Wait),
        "the re-Parse may fail"
    );
    assert_eq!(
        p.until_ready(1),
        ["Failed 42P05 skips 0 of 3", "Ready Idle"]
    );
    Pipeline::default()
        .bind(p, "", "s")
        .execute(p, "", 0)
        .sync(p)
        .send(p);
    assert_eq!(
        p.until_ready(1),
        [
            "Bound of 2",
            "Row of 2",
            "Completed SELECT 1 of 2",
            "Ready Idle"
        ]
    );
}

fn skipped_requests(p: &mut Peer) {
    Pipeline::default()
        .parse(p, "bad", "select", select(8))
        .parse(p, "bad2", "nonsense", select(9))
        .close(p, "s")
        .parse(p, "s", "select 4", select(4))
        .sync(p)
        .send(p);
    assert_eq!(
        p.until_ready(1),
        ["Parsed of 8", "Failed 42601 skips 2 of 9", "Ready Idle"]
    );
    Pipeline::default()
        .bind(p, "", "s")
        .execute(p, "", 0)
        .sync(p)
        .send(p);
    assert_eq!(
        p.until_ready(1),
        [
            "Bound of 2",
            "Row of 2",
            "Completed SELECT 1 of 2",
            "Ready Idle"
        ]
    );
}

fn query_amid_a_failed_pipeline(p: &mut Peer) {
    Pipeline::default()
        .parse(p, "bad3", "nonsense", select(9))
        .query(p, "select 5", &[select(5)])
        .parse(p, "after", "select 6", select(6))
        .sync(p)
        .query(p, "select 7", &[select(7)])
        .send(p);
    assert_eq!(
        p.until_ready(2),
        [
            "Failed 42601 skips 2 of 9",
            "Ready Idle",
            "Query true of 7",
            "Row of 7",
            "Completed SELECT 1 of 7",
            "Ready Idle"
        ]
    );
}

fn refusals(p: &mut Peer) {
    Pipeline::default().refuse_query(p).send(p);
    assert_eq!(p.until_ready(1), ["Refused skips 0 replaced", "Ready Idle"]);
    run(p, "begin", &[select(1)]);
    Pipeline::default()
        .parse(p, "", "select 1", select(1))
        .refuse(p)
        .bind(p, "", "")
        .execute(p, "", 0)
        .sync(p)
        .send(p);
    assert_eq!(
        p.until_ready(1),
        ["Parsed of 1", "Refused skips 2 replaced", "Ready Failed"]
    );
    Pipeline::default()
        .refuse(p)
        .sync(p)
        .refuse_query(p)
        .send(p);
    assert_eq!(
        p.until_ready(2),
        [
            "Refused skips 0 replaced",
            "Ready Failed",
            "Refused skips 0 replaced",
            "Ready Failed"
        ]
    );
    run(p, "rollback", &[select(1)]);
    Pipeline::default().refuse(p).send(p);
    assert_eq!(p.event(), "Refused skips 0 replaced");
    assert_eq!(p.session.admit(ClientTag::Query), Ok(Admission::Drop));
    Pipeline::default().sync(p).send(p);
    assert_eq!(p.until_ready(1), ["Ready Idle"]);
}

fn own_requests(p: &mut Peer) {
    let mut own = Vec::new();
    Query {
        text: "show search_path",
    }
    .encode(&mut own);
    p.session.query(Origin::Weir, &[select(70)]).unwrap();
    p.send(&own);
    Pipeline::default()
        .parse(p, "", "select 1", select(1))
        .bind(p, "", "")
        .describe_portal(p, Origin::Weir, "")
        .execute(p, "", 0)
        .sync(p)
        .send(p);
    assert_eq!(
        p.until_ready(2),
        [
            "Query true of 70 swallowed",
            "Row of 70 swallowed",
            "Completed SHOW of 70 swallowed",
            "Ready Idle swallowed",
            "Parsed of 1",
            "Bound of 1",
            "Portal true of 1 swallowed",
            "Row of 1",
            "Completed SELECT 1 of 1",
            "Ready Idle",
        ]
    );
}

fn cursors(p: &mut Peer) {
    let declare = |lifetime| {
        plan(
            20,
            Effect::Declare {
                name: name("c"),
                lifetime,
                statement: select(21),
            },
        )
    };
    let fetch = || plan(22, Effect::Fetch { name: name("c") });
    let told = run(
        p,
        "begin; declare c cursor for select 1 union all select 2; fetch c",
        &[select(1), declare(Lifetime::Transaction), fetch()],
    );
    assert_eq!(
        told[2..],
        [
            "Query true of 21",
            "Row of 21",
            "Completed FETCH 1 of 21",
            "Ready InTransaction"
        ]
    );
    Pipeline::default().execute(p, "c", 0).sync(p).send(p);
    assert_eq!(
        p.until_ready(1),
        [
            "Row of 21",
            "Completed SELECT 1 of 21",
            "Ready InTransaction"
        ]
    );
    run(p, "commit", &[select(1)]);
    assert!(matches!(p.session.portal("c"), Lookup::Unknown));
    run(
        p,
        "begin; declare c cursor with hold for select 1; commit",
        &[select(1), declare(Lifetime::Session), select(2)],
    );
    let told = run(
        p,
        "fetch c; close c",
        &[fetch(), plan(23, Effect::CloseCursor { name: name("c") })],
    );
    assert_eq!(told[..2], ["Query true of 21", "Row of 21"]);
    assert!(matches!(p.session.portal("c"), Lookup::Unknown));
}

fn suspended(p: &mut Peer) {
    let mut pipeline = Pipeline::default();
    pipeline
        .parse(p, "", "select generate_series(1, 3)", select(30))
        .bind(p, "q", "");
    pipeline
        .execute(p, "q", 2)
        .execute(p, "q", 2)
        .sync(p)
        .send(p);
    assert_eq!(
        p.until_ready(1),
        [
            "Parsed of 30",
            "Bound of 30",
            "Row of 30",
            "Row of 30",
            "Suspended after 2 of 30",
            "Row of 30",
            "Completed SELECT 1 of 30",
            "Ready Idle",
        ]
    );
}

fn sql_level_names(p: &mut Peer) {
    let prepare = plan(
        40,
        Effect::Prepare {
            name: name("sq"),
            statement: select(41),
        },
    );
    let execute = || plan(42, Effect::Execute { name: name("sq") });
    let told = run(
        p,
        "prepare sq as select 1; execute sq",
        &[prepare, execute()],
    );
    assert_eq!(told[1..3], ["Query true of 41", "Row of 41"]);
    Pipeline::default()
        .bind(p, "", "sq")
        .execute(p, "", 0)
        .sync(p)
        .send(p);
    assert_eq!(
        p.until_ready(1),
        [
            "Bound of 41",
            "Row of 41",
            "Completed SELECT 1 of 41",
            "Ready Idle"
        ]
    );
    Pipeline::default()
        .parse(p, "wire", "select 2", select(43))
        .sync(p)
        .send(p);
    p.until_ready(1);
    let told = run(
        p,
        "execute wire",
        &[plan(44, Effect::Execute { name: name("wire") })],
    );
    assert_eq!(told[..2], ["Query true of 43", "Row of 43"]);
    run(p, "discard all", &[plan(45, Effect::DiscardAll)]);
    assert!(matches!(p.session.statement("sq"), Lookup::Unknown));
    assert!(matches!(p.session.statement("wire"), Lookup::Unknown));
    let text = "execute wire";
    let mut out = Vec::new();
    Query { text }.encode(&mut out);
    p.session.query(Origin::Client, &[select(46)]).unwrap();
    p.send(&out);
    assert_eq!(
        p.until_ready(1),
        ["Failed 26000 skips 0 of 46", "Ready Idle"]
    );
}

fn unnamed_statement_ends_with_a_query(p: &mut Peer) {
    Pipeline::default()
        .parse(p, "", "select 1", select(50))
        .sync(p)
        .send(p);
    p.until_ready(1);
    run(p, "select 2", &[select(51)]);
    assert!(matches!(p.session.statement(""), Lookup::Unknown));
    let mut out = Vec::new();
    Bind::encode_plain("", "", Format::Text, &mut out);
    encode_empty(ClientTag::Sync, &mut out);
    p.session.close_portal(name(""));
    p.session.sync();
    p.send(&out);
    assert_eq!(p.until_ready(1), ["Failed 26000 skips 0", "Ready Idle"]);
}

/// Why longer names are refused: the server tells only 63 bytes apart.
fn long_names_collide(p: &mut Peer) {
    let stem = "n".repeat(63);
    assert!(weir_postgres::session::Name::new(&format!("{stem}1")).is_err());
    let mut out = Vec::new();
    Parse::new(&format!("{stem}1"), "select 1").encode(&mut out);
    Parse::new(&format!("{stem}2"), "select 2").encode(&mut out);
    encode_empty(ClientTag::Sync, &mut out);
    p.session.parse(name("x1"), select(52)).unwrap();
    p.session.parse(name("x2"), select(53)).unwrap();
    p.session.sync();
    p.send(&out);
    assert_eq!(
        p.until_ready(1),
        ["Parsed of 52", "Failed 42P05 skips 0 of 53", "Ready Idle"]
    );
}

fn deferred_failure_at_sync(p: &mut Peer) {
    let text = "create table parent (id int primary key); \
                create table child (id int references parent deferrable initially deferred)";
    run(p, text, &[select(1), select(2)]);
    Pipeline::default()
        .parse(p, "", "insert into child values (1)", select(60))
        .bind(p, "", "")
        .execute(p, "", 0)
        .sync(p)
        .send(p);
    assert_eq!(
        p.until_ready(1),
        [
            "Parsed of 60",
            "Bound of 60",
            "Completed INSERT 0 1 of 60",
            "Failed 23503 skips 0",
            "Ready Idle"
        ]
    );
}

fn copies(p: &mut Peer) {
    run(p, "create table t (x int)", &[select(1)]);
    let copy_in = || plan(80, Effect::CopyIn);
    Pipeline::default()
        .query(p, "copy t from stdin; select 1", &[copy_in(), select(81)])
        .send(p);
    assert_eq!(p.session.admit(ClientTag::CopyData), Ok(Admission::Wait));
    assert_eq!(p.event(), "CopyIn of 80");
    assert_eq!(p.session.admit(ClientTag::CopyData), Ok(Admission::Proceed));
    assert_eq!(p.session.admit(ClientTag::Sync), Ok(Admission::Drop));
    assert!(p.session.admit(ClientTag::Query).is_err());
    p.send(b"d\0\0\0\x061\nc\0\0\0\x04");
    p.session.end_copy_in().unwrap();
    assert_eq!(
        p.until_ready(1),
        [
            "Completed COPY 1 of 80",
            "Query true of 81",
            "Row of 81",
            "Completed SELECT 1 of 81",
            "Ready Idle"
        ]
    );
    assert_eq!(p.session.admit(ClientTag::CopyData), Ok(Admission::Drop));
    let told = run(p, "copy t to stdout", &[plan(82, Effect::CopyOut)]);
    assert_eq!(
        told,
        [
            "CopyOut of 82",
            "CopyData of 82",
            "CopyDone of 82",
            "Completed COPY 1 of 82",
            "Ready Idle"
        ]
    );
    Pipeline::default()
        .query(p, "copy t from stdin", &[copy_in()])
        .send(p);
    assert_eq!(p.event(), "CopyIn of 80");
    let mut out = Vec::new();
    CopyFail { reason: "enough" }.encode(&mut out);
    p.session.end_copy_in().unwrap();
    p.send(&out);
    assert_eq!(
        p.until_ready(1),
        ["Failed 57014 skips 0 of 80", "Ready Idle"]
    );
}

fn copy_in_a_pipeline(p: &mut Peer) {
    let begin = |p: &mut Peer| {
        Pipeline::default()
            .parse(p, "", "copy t from stdin", plan(90, Effect::CopyIn))
            .bind(p, "", "")
            .execute(p, "", 0)
            .send(p);
        // What follows Execute waits: whether the server ignores a Sync depends on when it reads it.
        assert_eq!(p.session.admit(ClientTag::Sync), Ok(Admission::Wait));
        let told = [p.event(), p.event(), p.event()];
        assert_eq!(told, ["Parsed of 90", "Bound of 90", "CopyIn of 90"]);
    };
    begin(p);
    p.send(b"d\0\0\0\x061\nc\0\0\0\x04");
    p.session.end_copy_in().unwrap();
    Pipeline::default().sync(p).send(p);
    assert_eq!(p.until_ready(1), ["Completed COPY 1 of 90", "Ready Idle"]);
    begin(p);
    p.send(b"d\0\0\0\x06x\nd\0\0\0\x061\n");
    assert_eq!(p.event(), "Failed 22P02 skips 0 of 90");
    assert_eq!(p.session.admit(ClientTag::CopyData), Ok(Admission::Drop));
    p.send(b"d\0\0\0\x061\n");
    Pipeline::default().sync(p).send(p);
    assert_eq!(p.until_ready(1), ["Ready Idle"]);
}
