//! Worlds: what is in them, who gets them, and what becomes of a refusal.

mod support;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Control, Node, policy};
use weir_api::v1::{self, from_data_plane::Message as From};

fn postgres(name: &str, port: u16) -> Value {
    json!({
        "name": name, "kind": "postgres", "addresses": [format!("127.0.0.1:{port}")], "tls": "disable",
        "unlabelled": "clear", "env": "prod", "database": "app", "default_role": "app",
    })
}

async fn push(control: &Control, files: Value, message: &str) -> Value {
    control
        .admin(
            Method::POST,
            "/policy/push",
            json!({ "files": files, "message": message }),
        )
        .await
}

#[tokio::test]
async fn a_node_gets_its_world_and_each_change_at_once() {
    let control = Control::start().await;
    let mut node = Node::new(&control.node("n1").await).await;
    let (empty, world) = node.update().await;
    assert!(world.bundle.is_empty() && world.connections.is_empty());
    // Where agents send people whose call is held.
    let settings = world.settings.expect("settings");
    assert_eq!(settings.inbox, control.http);
    node.ack(&empty).await;
    control
        .until("/nodes", |nodes| nodes[0]["push"] == "applied")
        .await;

    push(&control, policy(), "first").await;
    let (update, world) = node.update().await;
    assert_eq!((world.bundle.len(), world.bundle_id.len()), (1, 64));
    let (old, new) = (
        empty.version.expect("version"),
        update.version.clone().expect("version"),
    );
    assert!(new.number > old.number);
    node.ack(&update).await;

    control
        .admin(Method::PUT, "/connections", postgres("prod-pg", 5432))
        .await;
    let (_, world) = node.update().await;
    let key = world.connections[0].mask_key.clone();
    assert_eq!(
        (world.connections[0].name.as_str(), key.len()),
        ("prod-pg", 32)
    );
    let credential = json!({ "role": "app", "secret": "hunter2-canary", "catalogue": true });
    control
        .admin(Method::PUT, "/connections/prod-pg/credentials", credential)
        .await;
    let (_, world) = node.update().await;
    assert_eq!(
        (
            world.credentials[0].password.as_str(),
            world.credentials[0].catalogue
        ),
        ("hunter2-canary", true)
    );

    control.admin(Method::PUT, "/connections", json!({ "env": "staging", "name": "prod-pg", "kind": "postgres",
        "addresses": ["127.0.0.1:5433"], "tls": "prefer", "unlabelled": "mask", "unlabelled_mask": "redact" })).await;
    let (_, world) = node.update().await;
    assert_eq!(
        world.connections[0].mask_key, key,
        "a change of the connection keeps equal values equal"
    );
    control
        .admin(
            Method::PUT,
            "/guards",
            json!({ "cgroup": "unit:app.service", "mode": "observe" }),
        )
        .await;
    let (_, world) = node.update().await;
    assert_eq!(
        (world.guards[0].cgroup.as_str(), world.guards[0].mode()),
        ("unit:app.service", v1::GuardMode::Observe)
    );

    control
        .admin(
            Method::POST,
            "/accounts",
            json!({ "name": "alice", "groups": ["pii-readers"] }),
        )
        .await;
    let (_, world) = node.update().await;
    let alice = world
        .accounts
        .iter()
        .find(|a| a.identity.as_ref().expect("identity").subject == "alice")
        .expect("alice");
    assert_eq!(
        alice.identity.as_ref().expect("identity").groups,
        ["pii-readers"]
    );
    let token = control.token("alice", &["connect"]).await;
    let (_, world) = node.update().await;
    let hash: [u8; 32] = weir_api::update::hash(token.as_bytes());
    assert!(
        world
            .accounts
            .iter()
            .any(|account| account.tokens.iter().any(|known| known.sha256 == hash))
    );
    control
        .admin(Method::POST, "/accounts/alice/secret", Value::Null)
        .await;
    let (_, world) = node.update().await;
    assert!(
        world
            .accounts
            .iter()
            .any(|account| account.scram_verifier.starts_with("SCRAM-SHA-256$4096:"))
    );
}

#[tokio::test]
async fn secrets_are_not_in_the_files_of_the_store() {
    let mut control = Control::start().await;
    control
        .admin(Method::PUT, "/connections", postgres("prod-pg", 5432))
        .await;
    control
        .admin(
            Method::PUT,
            "/connections/prod-pg/credentials",
            json!({ "role": "app", "secret": "canary-3141592" }),
        )
        .await;
    control.person("alice", &[], &[]).await;
    let secret = control
        .admin(Method::POST, "/accounts/alice/secret", Value::Null)
        .await;
    let log = control
        .get(&control.admin, "/management-log")
        .await
        .to_string();
    control.stop().await;
    let canaries = [
        "canary-3141592",
        secret["secret"].as_str().expect("secret"),
        &control.admin,
    ];
    for entry in std::fs::read_dir(control.state.path().join("state")).expect("state") {
        let path = entry.expect("entry").path();
        let bytes = std::fs::read(&path).expect("reads");
        for canary in canaries {
            assert!(
                !bytes
                    .windows(canary.len())
                    .any(|at| at == canary.as_bytes()),
                "{canary} in {}",
                path.display()
            );
            assert!(!log.contains(canary), "{canary} in the management log");
        }
    }
}

#[tokio::test]
async fn a_refused_world_stays_refused_until_it_changes() {
    let control = Control::start().await;
    let mut node = Node::new(&control.node("n1").await).await;
    let (first, _) = node.update().await;
    node.ack(&first).await;
    push(&control, policy(), "first").await;
    let (second, _) = node.update().await;
    let nack = v1::Nack {
        nonce: second.nonce.clone(),
        version: second.version.clone(),
        error: "cannot compile".into(),
    };
    node.say(From::Nack(nack)).await;
    let nodes = control
        .until("/nodes", |nodes| nodes[0]["push"] == "rejected")
        .await;
    assert_eq!(nodes[0]["error"], "cannot compile");
    assert!(
        nodes[0]["applied"].as_u64() < nodes[0]["wanted"].as_u64(),
        "it keeps what it had: {nodes}"
    );

    push(&control, json!([{ "path": "a.cedar", "content": "@id(\"b\")\nforbid(principal, action, resource);\n" }]), "other").await;
    let (third, _) = node.update().await;
    assert!(
        third.version.as_ref().expect("version").number
            > second.version.as_ref().expect("version").number
    );
    node.ack(&third).await;
    control
        .until("/nodes", |nodes| {
            nodes[0]["push"] == "applied" && nodes[0]["error"] == ""
        })
        .await;
}

#[tokio::test]
async fn a_rollback_is_a_new_version_with_the_old_content() {
    let control = Control::start().await;
    let mut node = Node::new(&control.node("n1").await).await;
    node.update().await;
    let first = push(&control, policy(), "first").await;
    let (update_1, _) = node.update().await;
    push(&control, json!([{ "path": "b.cedar", "content": "@id(\"b\")\nforbid(principal, action, resource);\n" }]), "second").await;
    node.update().await;
    let back = control
        .admin(
            Method::POST,
            "/policy/rollback",
            json!({ "to": first["number"], "message": "oops" }),
        )
        .await;
    assert_eq!(back["id"], first["id"]);
    let (update_3, world) = node.update().await;
    assert_eq!(world.bundle_id, first["id"].as_str().expect("id"));
    let (one, three) = (
        update_1.version.expect("version"),
        update_3.version.expect("version"),
    );
    assert!(
        three.number > one.number,
        "a data plane would refuse an older number"
    );
    assert_eq!(three.hash, one.hash);
    let versions = control.get(&control.admin, "/policy/versions").await;
    assert_eq!(
        (
            versions[0]["number"].as_u64(),
            versions[0]["parent"].as_u64()
        ),
        (Some(3), Some(2))
    );
    assert_eq!(
        (&versions[0]["active"], &versions[1]["active"]),
        (&json!(true), &json!(false))
    );
    let diff = control
        .get(&control.admin, "/policy/diff?from=2&to=3")
        .await;
    assert_eq!(
        (diff[0]["path"].as_str(), diff[0]["change"].as_str()),
        (Some("a.cedar"), Some("added")),
        "{diff}"
    );
}

#[tokio::test]
async fn a_bad_bundle_is_refused_with_file_and_line() {
    let control = Control::start().await;
    let bad = json!([{ "path": "a.cedar", "content": "@id(\"x\")\npermit(principal, action == Weir::Action::\"pg.slect\", resource);\n" }]);
    let body = json!({ "files": bad, "message": "typo" });
    let (status, told) = control
        .ask(&control.admin, Method::POST, "/policy/push", body)
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        told["message"]
            .as_str()
            .is_some_and(|m| m.starts_with("a.cedar:")),
        "{told}"
    );
    push(&control, policy(), "first").await;
    let stale = json!({ "files": policy(), "message": "stale", "parent": 7 });
    assert_eq!(
        control
            .ask(&control.admin, Method::POST, "/policy/push", stale)
            .await
            .0,
        StatusCode::CONFLICT
    );
    let dry = control
        .admin(
            Method::POST,
            "/policy/push",
            json!({ "files": policy(), "message": "", "dry_run": true }),
        )
        .await;
    assert_eq!(dry["number"], Value::Null);
}

#[tokio::test]
async fn only_registered_nodes_get_a_world() {
    let control = Control::start().await;
    let join = control.node("n1").await;
    for wrong in [
        weir_api::Join {
            token: "wrong".into(),
            ..join.clone()
        },
        weir_api::Join {
            node: "n2".into(),
            ..join.clone()
        },
    ] {
        let mut node = Node::new(&wrong).await;
        assert_eq!(
            node.hear().await.expect_err("refused").code(),
            tonic::Code::Unauthenticated
        );
    }
    let mut node = Node::new(&join).await;
    node.update().await;
    control
        .admin(Method::DELETE, "/nodes/n1", Value::Null)
        .await;
    loop {
        if let Err(status) = node.hear().await {
            assert_eq!(status.code(), tonic::Code::Aborted);
            break;
        }
    }
    let mut node = Node::new(&join).await;
    assert_eq!(
        node.hear().await.expect_err("removed").code(),
        tonic::Code::Unauthenticated
    );
}

#[tokio::test]
async fn a_node_gets_only_what_it_serves() {
    let control = Control::start().await;
    for (name, port) in [("a", 5001), ("b", 5002)] {
        control
            .admin(Method::PUT, "/connections", postgres(name, port))
            .await;
        let path = format!("/connections/{name}/credentials");
        control
            .admin(Method::PUT, &path, json!({ "role": "app", "secret": name }))
            .await;
    }
    let made = control
        .admin(
            Method::POST,
            "/nodes",
            json!({ "name": "n1", "serves": ["b"] }),
        )
        .await;
    let join = weir_api::Join::parse(made["join"].as_str().expect("join")).expect("join");
    let (_, world) = Node::new(&join).await.update().await;
    let names: Vec<_> = world.connections.iter().map(|c| c.name.as_str()).collect();
    let secrets: Vec<_> = world
        .credentials
        .iter()
        .map(|c| c.password.as_str())
        .collect();
    assert_eq!((names, secrets), (vec!["b"], vec!["b"]));
}

#[tokio::test]
async fn a_node_that_holds_a_higher_number_is_offered_a_higher_one_still() {
    let control = Control::start().await;
    let join = control.node("n1").await;
    let applied = Some(v1::Version {
        number: 1000,
        hash: vec![9; 32],
    });
    let mut node = Node::connect(
        &join,
        v1::Hello {
            applied: applied.clone(),
            ..Default::default()
        },
    )
    .await
    .expect("streams");
    let (update, _) = node.update().await;
    let version = update.version.clone().expect("version");
    assert_eq!(version.number, 1001);
    weir_api::accept(&update, "n1", &join.control_key, applied.as_ref(), 0)
        .expect("a data plane takes it");
    node.ack(&update).await;
    control
        .until("/nodes", |nodes| nodes[0]["push"] == "applied")
        .await;
    drop(node);
    let hello = v1::Hello {
        applied: Some(version.clone()),
        ..Default::default()
    };
    let (again, _) = Node::connect(&join, hello)
        .await
        .expect("streams")
        .update()
        .await;
    assert_eq!(
        again.version,
        Some(version),
        "nothing changed, so nothing is numbered anew"
    );
}

#[tokio::test]
async fn a_lock_reaches_open_streams_and_later_worlds() {
    let control = Control::start().await;
    control.person("alice", &[], &[]).await;
    let mut node = Node::new(&control.node("n1").await).await;
    node.update().await;
    control
        .admin(
            Method::POST,
            "/locks",
            json!({ "account": "alice", "reason": "stolen laptop" }),
        )
        .await;
    let (mut locked, mut in_world) = (false, false);
    while !(locked && in_world) {
        match node.hear().await.expect("message") {
            v1::to_data_plane::Message::Lock(lock) => locked = lock.reason == "stolen laptop",
            v1::to_data_plane::Message::Update(update) => {
                let world = weir_api::reopen(&update, "n1", &node.join.control_key)
                    .expect("signed")
                    .into_world();
                in_world = world.locks.len() == 1;
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn health_is_shown_and_a_skewed_clock_is_told_back() {
    let control = Control::start().await;
    let mut node = Node::new(&control.node("n1").await).await;
    let (_, world) = node.update().await;
    assert_eq!(
        world.settings.expect("settings").clock(),
        v1::ClockTrust::Trusted
    );
    let canary = v1::Canary {
        state: v1::CanaryState::Failed.into(),
        at: 1,
        detail: "no redirect".into(),
    };
    node.say(From::Health(v1::Health {
        canary: Some(canary),
        at: 5,
        ..Default::default()
    }))
    .await;
    let (_, world) = node.update().await;
    assert_eq!(
        world.settings.expect("settings").clock(),
        v1::ClockTrust::Skewed
    );
    let nodes = control
        .until("/nodes", |nodes| nodes[0]["health"]["canary"] == "failed")
        .await;
    assert_eq!(nodes[0]["health"]["canary_detail"], "no redirect");
}
