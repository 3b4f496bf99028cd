//! Identity providers, certificates, and what nodes are told of them. The issuer is a small server
//! of the test's own, whose keys change when the test says so.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Control, Node};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use weir_api::v1::{self, from_data_plane::Message as From, to_data_plane::Message as To};

/// An issuer.
#[derive(Clone)]
struct Issuer {
    url: String,
    kid: Arc<Mutex<String>>,
    fetched: Arc<AtomicUsize>,
    /// Who it says it is.
    claims: Arc<Mutex<String>>,
}

impl Issuer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let issuer = Self {
            kid: Arc::new(Mutex::new("k1".to_owned())),
            fetched: Arc::default(),
            claims: Arc::new(Mutex::new(url.clone())),
            url,
        };
        let serving = issuer.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                let (status, body) = serving.answer(&String::from_utf8_lossy(&head));
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                // A client that left needs no answer.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        issuer
    }

    fn answer(&self, head: &str) -> (&'static str, String) {
        let path = head.split(' ').nth(1).unwrap_or_default();
        match path {
            "/.well-known/openid-configuration" => {
                let issuer = self.claims.lock().expect("a lock").clone();
                let jwks = format!("{}/keys", self.url);
                (
                    "200 OK",
                    json!({ "issuer": issuer, "jwks_uri": jwks }).to_string(),
                )
            }
            "/keys" => {
                self.fetched.fetch_add(1, Ordering::SeqCst);
                let kid = self.kid.lock().expect("a lock").clone();
                match kid.as_str() {
                    "down" => ("503 Service Unavailable", String::new()),
                    "private" => (
                        "200 OK",
                        json!({ "keys": [{ "kty": "EC", "d": "x" }] }).to_string(),
                    ),
                    kid => (
                        "200 OK",
                        json!({ "keys": [{ "kty": "EC", "kid": kid, "use": "sig" }] }).to_string(),
                    ),
                }
            }
            _ => ("404 Not Found", String::new()),
        }
    }

    fn rotate(&self, kid: &str) {
        *self.kid.lock().expect("a lock") = kid.to_owned();
    }
}

fn keys(world: &v1::World) -> Vec<String> {
    let keys = world.identity_providers.iter().map(|it| it.jwks.clone());
    keys.collect()
}

async fn put(control: &Control, more: Value) -> (StatusCode, Value) {
    let mut provider = json!({ "audiences": ["urn:weir:{connection}"] });
    let more = more.as_object().expect("an object").clone();
    provider.as_object_mut().expect("an object").extend(more);
    control
        .ask(&control.admin, Method::PUT, "/idps", provider)
        .await
}

#[tokio::test]
async fn keys_are_fetched_pushed_and_rotated_and_one_fetch_serves_all_who_ask() {
    let (control, issuer) = (Control::start().await, Issuer::start().await);
    let mut node = Node::new(&control.node("n1").await).await;
    node.update().await;
    let (status, view) = put(&control, json!({ "issuer": issuer.url })).await;
    assert_eq!(
        (status, &view["keys"]),
        (StatusCode::OK, &json!(["k1"])),
        "{view}"
    );
    let (_, world) = node.update().await;
    let [provider] = &world.identity_providers[..] else {
        panic!("one provider: {world:?}");
    };
    assert_eq!(provider.issuer, issuer.url);
    assert_eq!(provider.algorithms, ["RS256", "ES256", "EdDSA"]);
    assert_eq!(
        provider.configuration,
        format!("{}/.well-known/openid-configuration", issuer.url)
    );
    assert!(provider.jwks.contains("\"k1\""));

    issuer.rotate("k2");
    let wanted = || {
        From::KeysWanted(v1::KeysWanted {
            issuer: issuer.url.clone(),
        })
    };
    for _ in 0..20 {
        node.say(wanted()).await;
    }
    let (_, world) = node.update().await;
    assert!(keys(&world)[0].contains("\"k2\""));
    // Once when it was registered, and once for all who asked within some seconds.
    node.say(From::KeysWanted(v1::KeysWanted {
        issuer: "https://nobody.example".into(),
    }))
    .await;
    assert!(
        issuer.fetched.load(Ordering::SeqCst) < 10,
        "each of them fetched"
    );

    // One that is down, or publishes what it must not, keeps its keys, and people are told.
    for (kid, why) in [("down", "503"), ("private", "private keys")] {
        issuer.rotate(kid);
        let path = format!("/idps/refresh?issuer={}", issuer.url);
        let view = control
            .until_post(&path, |view| {
                view["error"]
                    .as_str()
                    .is_some_and(|error| error.contains(why))
            })
            .await;
        assert_eq!(view["keys"], json!(["k2"]));
    }
    let path = format!("/idps?issuer={}", issuer.url);
    control.admin(Method::DELETE, &path, Value::Null).await;
    let (_, world) = node.update().await;
    assert!(world.identity_providers.is_empty());
}

#[tokio::test]
async fn an_issuer_that_cannot_be_believed_is_not_registered() {
    let (control, issuer) = (Control::start().await, Issuer::start().await);
    for (wrong, why) in [
        (json!({ "issuer": "http://idp.example" }), "not https"),
        (json!({ "issuer": format!("{}?a=b", issuer.url) }), "query"),
        (json!({ "issuer": issuer.url, "audiences": [] }), "audience"),
        (
            json!({ "issuer": issuer.url, "audiences": [""] }),
            "audience",
        ),
        (
            json!({ "issuer": issuer.url, "algorithms": ["HS256"] }),
            "HS256",
        ),
        (
            json!({ "issuer": issuer.url, "algorithms": [] }),
            "algorithm",
        ),
        (
            json!({ "issuer": issuer.url, "algorithms": ["none"] }),
            "none",
        ),
        (
            json!({ "issuer": issuer.url, "jwks_url": "http://10.0.0.1/keys" }),
            "not https",
        ),
        (
            json!({ "issuer": issuer.url, "jwks_url": format!("{}/nothing", issuer.url) }),
            "404",
        ),
        (json!({ "issuer": format!("{}/other", issuer.url) }), "404"),
        (
            json!({ "issuer": issuer.url, "subject_claim": "" }),
            "claim",
        ),
    ] {
        let (status, answer) = put(&control, wrong.clone()).await;
        assert_eq!(
            status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{wrong}: {answer}"
        );
        assert!(answer.to_string().contains(why), "{wrong}: {answer}");
    }
    *issuer.claims.lock().expect("a lock") = "https://somebody.else".to_owned();
    let (_, answer) = put(&control, json!({ "issuer": issuer.url })).await;
    assert!(answer.to_string().contains("somebody.else"), "{answer}");
    issuer.rotate("private");
    let jwks = json!({ "issuer": issuer.url, "jwks_url": format!("{}/keys", issuer.url) });
    let (_, answer) = put(&control, jwks).await;
    assert!(answer.to_string().contains("private keys"), "{answer}");
    let viewer = control.person("vi", &["operator"], &[]).await;
    let body = json!({ "issuer": issuer.url, "audiences": ["a"] });
    let (status, _) = control.ask(&viewer, Method::PUT, "/idps", body).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(control.get(&control.admin, "/idps").await, json!([]));
}

#[tokio::test]
async fn certificates_name_one_account_and_keys_are_stored_sealed() {
    let control = Control::start().await;
    let mut node = Node::new(&control.node("n1").await).await;
    node.update().await;
    for name in ["ada", "bob"] {
        control.person(name, &[], &[]).await;
    }
    let set = async |name: &str, names: Value| {
        let path = format!("/accounts/{name}/certificates");
        control
            .ask(
                &control.admin,
                Method::PUT,
                &path,
                json!({ "names": names }),
            )
            .await
    };
    let (status, view) = set("ada", json!(["dns:a.corp", "cn:ada", "cn:ada"])).await;
    assert_eq!(
        (status, &view["certificates"]),
        (StatusCode::OK, &json!(["cn:ada", "dns:a.corp"]))
    );
    let (status, _) = set("bob", json!(["cn:bob", "cn:ada"])).await;
    assert_eq!(status, StatusCode::CONFLICT);
    for wrong in ["ada", "cn:", "ip:10.0.0.1", "cn:a\nb"] {
        let (status, _) = set("bob", json!([wrong])).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong:?}");
    }
    let names = |world: &v1::World| -> Vec<String> {
        let all = world
            .accounts
            .iter()
            .flat_map(|account| &account.certificates);
        all.cloned().collect()
    };
    let world = until(&mut node, |world| !names(world).is_empty()).await;
    assert_eq!(names(&world), ["cn:ada", "dns:a.corp"]);
    control
        .admin(Method::POST, "/accounts/ada/disable", Value::Null)
        .await;
    until(&mut node, |world| names(world).is_empty()).await;
    let (status, _) = set("bob", json!(["cn:ada"])).await;
    assert_eq!(
        status,
        StatusCode::OK,
        "a disabled account has no certificates"
    );

    let server = json!({ "name": "prod-pg", "kind": "postgres", "addresses": ["127.0.0.1:5432"], "tls": "disable",
        "unlabelled": "clear", "logins": [{ "user": "robot", "method": "token" }, { "user": "*", "method": "oauthbearer" }] });
    control
        .admin(Method::PUT, "/connections", server.clone())
        .await;
    let credential = json!({ "role": "app", "secret": "", "certificate_pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        "key_pem": "-----BEGIN PRIVATE KEY-----\ncanary-2718281\n-----END PRIVATE KEY-----" });
    let path = "/connections/prod-pg/credentials";
    control.admin(Method::PUT, path, credential.clone()).await;
    let world = until(&mut node, |world| !world.credentials.is_empty()).await;
    assert!(world.credentials[0].key_pem.contains("canary-2718281"));
    assert_eq!(world.connections[0].logins.len(), 2);
    assert_eq!(world.connections[0].logins[1].user, "");
    for file in std::fs::read_dir(control.state.path().join("state")).expect("a directory") {
        let content = std::fs::read(file.expect("an entry").path()).unwrap_or_default();
        let canary = b"canary-2718281";
        assert!(
            !content.windows(canary.len()).any(|at| at == canary),
            "a key in the open"
        );
    }
    let view = control.get(&control.admin, "/connections").await;
    assert_eq!(view[0]["credentials"][0]["has_certificate"], json!(true));
    assert!(!view.to_string().contains("canary-2718281"));
    for (field, value) in [
        ("key_pem", Value::Null),
        ("certificate_pem", json!("no PEM")),
        ("key_pem", json!("-----BEGIN ENCRYPTED PRIVATE KEY-----")),
    ] {
        let mut wrong = credential.clone();
        wrong[field] = value;
        let (status, _) = control.ask(&control.admin, Method::PUT, path, wrong).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{field}");
    }
    for logins in [
        json!([{ "user": "*", "method": "token" }, { "user": "a", "method": "secret" }]),
        json!([{ "user": "a", "method": "token" }, { "user": "a", "method": "secret" }]),
        json!([{ "user": "a", "method": "certificate" }]),
        json!([{ "user": "", "method": "token" }]),
    ] {
        let mut wrong = server.clone();
        wrong["logins"] = logins.clone();
        let (status, _) = control
            .ask(&control.admin, Method::PUT, "/connections", wrong)
            .await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{logins}");
    }
}

#[tokio::test]
async fn a_node_that_serves_the_connection_looks_at_its_roles() {
    let control = Control::start().await;
    let server = json!({ "name": "prod-pg", "kind": "postgres", "addresses": ["127.0.0.1:5432"], "tls": "disable", "unlabelled": "clear" });
    control.admin(Method::PUT, "/connections", server).await;
    let ask = || {
        control.ask(
            &control.admin,
            Method::POST,
            "/connections/prod-pg/check",
            Value::Null,
        )
    };
    let (status, answer) = ask().await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(answer.to_string().contains("no data plane"), "{answer}");
    let mut node = Node::new(&control.node("n1").await).await;
    node.update().await;
    let looked = async {
        loop {
            if let To::ConnectionCheck(asked) = node.hear().await.expect("a question") {
                assert_eq!(asked.connection, "prod-pg");
                // An answer to another question does not count.
                let wrong = v1::ConnectionChecked {
                    id: "other".into(),
                    unknown: true,
                    ..Default::default()
                };
                node.say(From::ConnectionChecked(wrong)).await;
                let finding = v1::Finding {
                    what: "owns table a.b".into(),
                    fix: "ALTER TABLE a.b OWNER TO c".into(),
                    is_hint: false,
                };
                let role = v1::RoleChecked {
                    role: "app".into(),
                    database: "shop".into(),
                    findings: vec![finding],
                    error: String::new(),
                };
                let answer = v1::ConnectionChecked {
                    id: asked.id,
                    roles: vec![role],
                    ..Default::default()
                };
                node.say(From::ConnectionChecked(answer)).await;
                return;
            }
        }
    };
    let ((status, report), ()) = tokio::join!(ask(), looked);
    assert_eq!(status, StatusCode::OK, "{report}");
    assert_eq!(report["node"], "n1");
    assert_eq!(
        report["roles"][0]["findings"][0]["fix"],
        "ALTER TABLE a.b OWNER TO c"
    );
    let (status, _) = control
        .ask(
            &control.admin,
            Method::POST,
            "/connections/other/check",
            Value::Null,
        )
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let viewer = control.person("vi", &["viewer"], &[]).await;
    let (status, _) = control
        .ask(
            &viewer,
            Method::POST,
            "/connections/prod-pg/check",
            Value::Null,
        )
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

async fn until(node: &mut Node, is_it: impl Fn(&v1::World) -> bool) -> v1::World {
    loop {
        let (_, world) = node.update().await;
        if is_it(&world) {
            return world;
        }
    }
}
