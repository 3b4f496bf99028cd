//! The client's proof, each kind of it, and each kind of refusal.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use weir_flow::{Algorithm, Authentication, IdentityProvider, KeySet, LoginMethod, LoginRule};

use super::bed::{Bed, NAME, Setting, account, until};
use super::cluster::{Authority, Cluster};
use super::talk::{Talk, V3_0, startup};

const ISSUER: &str = "https://idp.example";
const CONFIGURATION: &str = "https://idp.example/.well-known/openid-configuration";

/// An issuer's key, and the tokens that it makes.
struct Issuer(EcdsaKeyPair, &'static str);

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Issuer {
    fn new(kid: &'static str) -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        let key = EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).expect("a key");
        Self(key, kid)
    }

    fn provider(&self) -> IdentityProvider {
        let (point, kid) = (self.0.public_key().as_ref(), self.1);
        let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
        let jwks = format!(
            r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"{kid}","x":"{x}","y":"{y}"}}]}}"#
        );
        IdentityProvider {
            issuer: ISSUER.into(),
            audiences: vec!["urn:weir:{connection}".into()],
            algorithms: vec![Algorithm::Es256],
            keys: KeySet::parse(jwks.as_bytes()).expect("a key set"),
            subject_claim: "sub".into(),
            groups_claim: "groups".into(),
            group_prefix: "".into(),
            configuration: CONFIGURATION.into(),
            scope: "openid weir".into(),
        }
    }

    /// A token that lives a minute.
    fn token(&self, audience: &str, subject: &str) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_secs();
        let header = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, self.1);
        let claims = format!(
            r#"{{"iss":"{ISSUER}","aud":"{audience}","sub":"{subject}","exp":{}}}"#,
            now + 60
        );
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes());
        format!("{signed}.{}", encode(signature.expect("signed")))
    }

    fn good(&self, subject: &str) -> String {
        self.token(&format!("urn:weir:{NAME}"), subject)
    }
}

fn rule(user: &str, method: LoginMethod) -> LoginRule {
    LoginRule {
        user: (user != "*").then(|| user.into()),
        method,
    }
}

/// `robot` shows a token as its password, `human` by OAUTHBEARER, `local` is a process of a guarded
/// host, everybody else does as the accounts have it.
fn rules(setting: &mut Setting) {
    setting.connection.login.rules = vec![
        rule("robot", LoginMethod::Token),
        rule("human", LoginMethod::OauthBearer),
        rule("local", LoginMethod::Workload),
    ];
}

#[test]
fn secrets_and_channel_binding() {
    let cluster = Cluster::start();
    let bed = Bed::start(&cluster, |_| {});
    let full = format!(
        "sslmode=verify-full host=localhost hostaddr=127.0.0.1 sslrootcert={}",
        bed.ca.display()
    );
    for how in [
        "sslmode=disable",
        "sslmode=require channel_binding=require",
        &full,
    ] {
        let (out, error) = bed.psql("app", how, "SELECT 'in'");
        assert_eq!((out.trim(), &*error), ("in", ""), "{how}");
    }
    // Somebody in between who has a certificate of its own: the client's libpq notices.
    let between = super::intruder::start(bed.address);
    let how = format!("port={} sslmode=require", between.port());
    let (out, error) = bed.psql(
        "app",
        &format!("{how} channel_binding=require"),
        "SELECT 'in'",
    );
    assert_eq!(out, "", "{error}");
    bed.await_record("the refusal", |kept| {
        kept.reason.contains("channel binding does not agree")
    });
    known_and_unknown_users_are_asked_alike(&bed);
    certificates(&cluster);
}

/// What is asked of a user, without the salt.
fn asked(bed: &Bed, user: &str) -> Vec<u8> {
    let mut talk = Talk::secure(bed.address);
    talk.send(&startup(V3_0, &[("user", user)]));
    let (code, offered) = talk.asked();
    [code.to_be_bytes().to_vec(), offered].concat()
}

fn known_and_unknown_users_are_asked_alike(bed: &Bed) {
    assert_eq!(asked(bed, "app"), asked(bed, "nobody"));
    let wrong = |user: &str| {
        let (_, error) = bed.psql(user, "sslmode=disable password=wrong", "SELECT 1");
        error.replace(&format!("\"{user}\""), "")
    };
    let (known, unknown) = (wrong("app"), wrong("nobody"));
    assert!(known.contains("weir: authentication failed"), "{known}");
    assert_eq!(known, unknown);
}

fn certificates(cluster: &Cluster) {
    let (ours, strange) = (Authority::new("clients"), Authority::new("strangers"));
    let bed = Bed::start(cluster, |setting| {
        setting.connection.login.client_ca_pem = ours.pem().into();
        setting.connection.login.rules = vec![rule("certified_only", LoginMethod::Certificate)];
        let etl = account("etl");
        setting.authentication.certificates = [("cn:etl", &etl), ("dns:etl.corp", &etl)]
            .map(|(name, it)| (name.into(), Arc::clone(it)))
            .into();
    });
    let folder = tempfile::tempdir().expect("a folder");
    let show = |authority: &Authority, name: &str, dns: &[&str]| {
        let (certificate, key) = authority.issue(name, dns);
        write(folder.path(), "crt", &certificate.pem());
        write(folder.path(), "key", &key.serialize_pem());
        let path = folder.path().display();
        format!("sslmode=require sslcert={path}/crt sslkey={path}/key")
    };
    // The names count, not the start-up user; and no secret is asked for.
    for (name, dns) in [("etl", [].as_slice()), ("other", ["etl.corp"].as_slice())] {
        for user in ["certified_only", "anybody"] {
            let how = format!("{} password=wrong", show(&ours, name, dns));
            let (out, error) = bed.psql(user, &how, "SELECT 'in'");
            assert_eq!((out.trim(), &*error), ("in", ""), "{name} as {user}");
        }
    }
    bed.await_record("a session of etl", |kept| kept.subject == "etl");
    let unmapped = show(&ours, "mallory", &["mallory.corp"]);
    let (out, error) = bed.psql("certified_only", &unmapped, "SELECT 'in'");
    assert!(
        out.is_empty() && error.contains("client certificate"),
        "{error}"
    );
    bed.await_record("whose it was", |kept| {
        kept.reason.contains("cn:mallory, dns:mallory.corp")
    });
    // Without a rule the account of the user's name is asked as ever.
    let (out, _) = bed.psql("app", &unmapped, "SELECT 'in'");
    assert_eq!(out.trim(), "in");
    let (out, error) = bed.psql("certified_only", "sslmode=require", "SELECT 'in'");
    assert!(
        out.is_empty() && error.contains("client certificate"),
        "{error}"
    );
    let forged = show(&strange, "etl", &[]);
    for user in ["certified_only", "app"] {
        let (out, error) = bed.psql(user, &forged, "SELECT 'in'");
        assert!(out.is_empty() && !error.is_empty(), "{user}: {error}");
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
}

#[test]
fn tokens_as_passwords_and_by_oauthbearer() {
    let cluster = Cluster::start();
    let issuer = Issuer::new("k1");
    let bed = Bed::start(&cluster, |setting| {
        rules(setting);
        setting.authentication.providers = vec![issuer.provider()];
    });
    token_as_password(&bed, &issuer);
    oauthbearer(&bed, &issuer);
    rotation(&cluster, &bed);
    let without = Bed::start(&cluster, rules);
    let mut talk = Talk::secure(without.address);
    talk.send(&startup(V3_0, &[("user", "human")]));
    assert_eq!(talk.expect(b'E').field(b'C'), "28000");
    let (_, error) = bed.psql("local", "sslmode=require", "SELECT 1");
    assert!(error.contains("processes of guarded hosts"), "{error}");
}

fn token_as_password(bed: &Bed, issuer: &Issuer) {
    let tls = |token: &str| format!("sslmode=require password={token}");
    let (out, error) = bed.psql("robot", &tls(&issuer.good("ci")), "SELECT current_user");
    assert_eq!((out.trim(), &*error), ("app", ""));
    bed.await_record("a session of ci", |kept| kept.subject == "ci");
    for (wrong, why) in [
        (
            issuer.token("urn:weir:other-pg", "ci"),
            "the audience is another",
        ),
        (Issuer::new("k1").good("ci"), "the signature is wrong"),
        (format!("{}x", issuer.good("ci")), "base64url"),
        ("weir-secret".to_owned(), "not a token"),
    ] {
        let (out, error) = bed.psql("robot", &tls(&wrong), "SELECT 1");
        assert!(
            out.is_empty() && error.contains("weir: authentication failed"),
            "{error}"
        );
        assert!(!error.contains(why), "told: {error}");
        bed.await_record(why, |kept| kept.reason.contains(why));
    }
    let plain = tls(&issuer.good("ci")).replace("require", "disable");
    let (out, error) = bed.psql("robot", &plain, "SELECT 1");
    assert!(
        out.is_empty() && error.contains("inside TLS only"),
        "{error}"
    );
}

/// Chooses OAUTHBEARER, with a first message or without.
fn choose(bed: &Bed, message: Option<&str>) -> Talk {
    let mut talk = Talk::secure(bed.address);
    talk.send(&startup(
        V3_0,
        &[("user", "human"), ("database", "postgres")],
    ));
    assert_eq!(talk.asked(), (10, b"OAUTHBEARER\0\0".to_vec()));
    let data = match message {
        None => u32::MAX.to_be_bytes().to_vec(),
        Some(text) => {
            let length = u32::try_from(text.len()).expect("short").to_be_bytes();
            [length.as_slice(), text.as_bytes()].concat()
        }
    };
    talk.say(b'p', &[b"OAUTHBEARER\0".as_slice(), &data].concat());
    talk
}

fn bearer(token: &str) -> String {
    format!("n,,\u{1}auth=Bearer {token}\u{1}\u{1}")
}

fn oauthbearer(bed: &Bed, issuer: &Issuer) {
    let mut talk = choose(bed, Some(&bearer(&issuer.good("ada"))));
    assert_eq!(talk.asked().0, 0, "AuthenticationOk follows at once");
    talk.ready();
    assert_eq!(talk.query("SELECT current_user").expect("a row"), "app");
    bed.await_record("a session of ada", |kept| kept.subject == "ada");
    // The message may come later.
    let mut talk = choose(bed, None);
    assert_eq!(talk.asked(), (11, Vec::new()));
    talk.say(b'p', bearer(&issuer.good("ada")).as_bytes());
    assert_eq!(talk.asked().0, 0);
    talk.ready();
    // No token, and a bad one: the client is told where there are good ones.
    let discovery = "n,,\u{1}auth=\u{1}\u{1}".to_owned();
    for message in [
        discovery,
        bearer("nonsense"),
        bearer(&issuer.token("urn:other", "ada")),
    ] {
        let mut talk = choose(bed, Some(&message));
        let (code, json) = talk.asked();
        let expected = format!(
            r#"{{"status":"invalid_token","openid-configuration":"{CONFIGURATION}","scope":"openid weir"}}"#
        );
        assert_eq!(
            (code, String::from_utf8(json).expect("text")),
            (11, expected)
        );
        talk.say(b'p', b"\x01");
        let refusal = talk.expect(b'E');
        assert_eq!(refusal.field(b'C'), "28000");
        assert!(
            refusal
                .field(b'M')
                .contains("OAuth bearer authentication failed")
        );
        assert!(talk.hear().is_none());
    }
    // Another token after the failure is not looked at.
    let mut talk = choose(bed, Some(&bearer("nonsense")));
    assert_eq!(talk.asked().0, 11);
    talk.say(b'p', bearer(&issuer.good("ada")).as_bytes());
    assert_eq!(talk.expect(b'E').field(b'C'), "08P01");
    let mut talk = choose(bed, Some("n,a=root,\u{1}auth=Bearer t\u{1}\u{1}"));
    assert_eq!(talk.expect(b'E').field(b'C'), "08P01");
    // Outside TLS it is not even offered.
    let mut talk = Talk::to(bed.address);
    talk.send(&startup(V3_0, &[("user", "human")]));
    assert!(talk.expect(b'E').field(b'M').contains("inside TLS only"));
}

/// A token of a key that is not known yet waits for it.
fn rotation(cluster: &Cluster, bed: &Bed) {
    let rotated = Issuer::new("k2");
    let wanted = |count: usize| {
        until("keys are asked for", || {
            (bed.wanted.lock().expect("a lock").len() >= count).then_some(())
        });
    };
    let mut waiting = choose(bed, Some(&bearer(&rotated.good("eve"))));
    wanted(1);
    assert_eq!(*bed.wanted.lock().expect("a lock"), [ISSUER]);
    // Nobody had new keys: the client is told as of any other token.
    assert_eq!(waiting.asked().0, 11);
    let mut waiting = choose(bed, Some(&bearer(&rotated.good("eve"))));
    wanted(2);
    bed.push(
        |setting| {
            rules(setting);
            setting.authentication = Authentication {
                providers: vec![rotated.provider()],
                ..Authentication::local()
            };
        },
        cluster.address,
    );
    assert_eq!(waiting.asked().0, 0, "the new keys have it");
    waiting.ready();
    bed.await_record("a session of eve", |kept| kept.subject == "eve");
}
