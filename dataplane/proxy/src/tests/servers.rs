//! Weir's own proof towards the server, whatever that asks for; and what it does not give.

use weir_flow::{Attribution, Certificate, Target, TlsMode};
use zeroize::Zeroizing;

use super::bed::{Bed, Setting};
use super::cluster::{Authority, Cluster};
use super::intruder;

const WHO: &str =
    "SELECT current_user || ' ' || (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())";

/// Encrypts the leg to the server.
fn encrypt(setting: &mut Setting, cluster: &Cluster, mode: TlsMode) {
    setting.connection.tls.mode = mode;
    if mode == TlsMode::VerifyFull {
        setting.connection.tls.ca_pem = cluster.authority.pem().into();
        setting.connection.tls.server_name = Some("db.internal".into());
    }
}

/// Gives the role `certified` a certificate for a common name.
fn certify(setting: &mut Setting, authority: &Authority, common_name: &str) {
    let (certificate, key) = authority.issue(common_name, &[]);
    let Target::Postgres(target) = &mut setting.connection.target else {
        panic!("a Postgres server");
    };
    let role = target
        .credentials
        .iter_mut()
        .find(|credential| &*credential.role == "certified")
        .expect("the role");
    role.certificate = Some(Certificate {
        chain_pem: certificate.pem().into(),
        key_pem: Zeroizing::new(key.serialize_pem()),
    });
}

/// Has another role read the catalogue.
fn read_as(setting: &mut Setting, role: &str) {
    if let Target::Postgres(target) = &mut setting.connection.target {
        target.catalog_role = Some(role.into());
    }
}

/// What a role reads of itself through Weir.
fn who(bed: &Bed, role: &str) -> Result<String, String> {
    let (out, error) = bed.psql(role, "sslmode=disable", WHO);
    if error.is_empty() {
        Ok(out.trim().to_owned())
    } else {
        Err(error)
    }
}

/// The server is not served, and the record says why. The client learns nothing of it.
fn unserved(bed: &Bed, role: &str, why: &str) {
    let error = who(bed, role).expect_err("refused");
    assert!(
        error.contains("the server did not accept the connection"),
        "{error}"
    );
    assert!(!error.contains(why), "{error}");
    bed.await_record(why, |kept| {
        kept.subject == role && kept.reason.contains(why)
    });
}

#[test]
fn a_server_gets_the_proof_that_it_asks_for_and_no_password_that_others_could_read() {
    let cluster = Cluster::start();
    for (mode, ssl) in [
        (TlsMode::Disable, "false"),
        (TlsMode::Prefer, "true"),
        (TlsMode::Require, "true"),
        (TlsMode::VerifyFull, "true"),
    ] {
        let bed = Bed::start(&cluster, |setting| encrypt(setting, &cluster, mode));
        assert_eq!(
            who(&bed, "app"),
            Ok(format!("app {ssl}")),
            "SCRAM, {mode:?}"
        );
        assert_eq!(who(&bed, "old"), Ok(format!("old {ssl}")), "md5, {mode:?}");
        if mode == TlsMode::VerifyFull {
            assert_eq!(who(&bed, "clear"), Ok("clear true".to_owned()));
        } else {
            unserved(&bed, "clear", "asks for a cleartext password");
        }
        if mode == TlsMode::Disable {
            unserved(&bed, "tls_only", "pg_hba.conf");
        } else {
            assert_eq!(who(&bed, "tls_only"), Ok("tls_only true".to_owned()));
        }
    }
    let log = cluster.log();
    for method in ["scram-sha-256", "md5", "password"] {
        assert!(
            log.contains(&format!("method={method}")),
            "{method} was never asked for"
        );
    }
    certificates(&cluster);
    bindings(&cluster);
    catalogues(&cluster);
    attribution(&cluster);
}

fn certificates(cluster: &Cluster) {
    let bed = Bed::start(cluster, |setting| {
        encrypt(setting, cluster, TlsMode::VerifyFull);
        certify(setting, &cluster.authority, "certified");
    });
    assert_eq!(who(&bed, "certified"), Ok("certified true".to_owned()));
    assert!(cluster.log().contains("method=cert"));
    // Other roles of the same server do not show it.
    assert_eq!(who(&bed, "app"), Ok("app true".to_owned()));
    let nothing = Bed::start(cluster, |setting| {
        encrypt(setting, cluster, TlsMode::VerifyFull);
    });
    unserved(&nothing, "certified", "certificate");
    let others = Bed::start(cluster, |setting| {
        encrypt(setting, cluster, TlsMode::VerifyFull);
        certify(setting, &cluster.authority, "app");
    });
    unserved(&others, "certified", "certificate authentication failed");
    let strange = Authority::new("another CA");
    let bed = Bed::start(cluster, |setting| {
        encrypt(setting, cluster, TlsMode::VerifyFull);
        certify(setting, &strange, "certified");
    });
    assert!(who(&bed, "certified").is_err());
}

/// With `require` anybody may pose as the server: channel binding is what notices.
fn bindings(cluster: &Cluster) {
    let between = intruder::start(cluster.address);
    let bed = Bed::at(between, |setting| {
        encrypt(setting, cluster, TlsMode::Require);
        read_as(setting, "old");
    });
    // md5 cannot notice: the intruder's relay works.
    assert_eq!(who(&bed, "old"), Ok("old true".to_owned()));
    let error = who(&bed, "app").expect_err("channel binding");
    assert!(error.contains("the server did not accept"), "{error}");
    assert!(
        cluster.log().contains("SCRAM channel binding check failed"),
        "the server did not see another certificate: {error}"
    );
}

/// The sessions that read the catalogue keep to the same rules.
fn catalogues(cluster: &Cluster) {
    let bed = Bed::start(cluster, |setting| read_as(setting, "clear"));
    let error = who(&bed, "app").expect_err("no catalogue");
    assert!(error.contains("the catalogue cannot be read"), "{error}");
    bed.await_record("why", |kept| {
        kept.reason.contains("asks for a cleartext password")
    });
    let bed = Bed::start(cluster, |setting| {
        encrypt(setting, cluster, TlsMode::VerifyFull);
        certify(setting, &cluster.authority, "certified");
        read_as(setting, "certified");
    });
    assert_eq!(who(&bed, "app"), Ok("app true".to_owned()));
    let between = intruder::start(cluster.address);
    let bed = Bed::at(between, |setting| {
        encrypt(setting, cluster, TlsMode::Require)
    });
    assert!(
        who(&bed, "old").is_err(),
        "its catalogue session is bound, too"
    );
}

fn attribution(cluster: &Cluster) {
    let bed = Bed::start(cluster, |_| {});
    let (out, error) = bed.psql(
        "old",
        "sslmode=disable application_name=nightly",
        "SELECT 'attributed statement'",
    );
    assert_eq!((out.trim(), &*error), ("attributed statement", ""));
    let line = |of: &str| {
        let log = cluster.log();
        let line = log.lines().find(|line| line.contains(of));
        line.unwrap_or_default().to_owned()
    };
    let said = line("'attributed statement'");
    assert!(said.contains("user=old app=[weir:old/nightly]"), "{said}");
    let bed = Bed::start(cluster, |setting| {
        setting.connection.attribution = Attribution::Off;
    });
    bed.psql(
        "old",
        "sslmode=disable application_name=nightly",
        "SELECT 'anonymous statement'",
    );
    let said = line("'anonymous statement'");
    assert!(said.contains("user=old app=[nightly]"), "{said}");
}
