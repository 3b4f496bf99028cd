//! Who may call what.

mod support;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::Control;

#[tokio::test]
async fn nothing_is_told_without_a_token() {
    let control = Control::start().await;
    let paths = [
        "/whoami",
        "/status",
        "/accounts",
        "/workloads",
        "/connections",
        "/guards",
        "/locks",
        "/nodes",
        "/policy",
        "/policy/versions",
        "/approvals",
        "/sessions",
        "/alerts",
        "/management-log",
        "/no-such-route",
    ];
    for path in paths {
        for token in ["", "weir_wrong", "Bearer"] {
            let (status, told) = control.ask(token, Method::GET, path, Value::Null).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path} {token:?}: {told}");
        }
    }
}

#[tokio::test]
async fn each_role_does_its_part_and_no_more() {
    let control = Control::start().await;
    let roles = ["policy-author", "auditor", "operator", "viewer"];
    let mut tokens = Vec::new();
    for role in roles {
        tokens.push((role, control.person(role, &[role], &[]).await));
    }
    tokens.push(("none", control.person("none", &[], &[]).await));
    let guard = json!({ "cgroup": "all", "mode": "enforce" });
    let push = json!({ "files": support::policy(), "message": "x", "dry_run": true });
    let cases = [
        (
            Method::GET,
            "/nodes",
            Value::Null,
            &["policy-author", "auditor", "operator", "viewer"][..],
        ),
        (Method::GET, "/sessions", Value::Null, &["auditor"]),
        (Method::GET, "/management-log", Value::Null, &["auditor"]),
        (Method::PUT, "/guards", guard, &["operator"]),
        (Method::POST, "/policy/push", push, &["policy-author"]),
        (Method::POST, "/accounts", json!({ "name": "x" }), &[]),
        (Method::POST, "/nodes", json!({ "name": "x" }), &[]),
        (
            Method::PUT,
            "/workloads",
            json!({ "name": "x", "uid": 1 }),
            &[],
        ),
        (
            Method::POST,
            "/accounts/admin/tokens",
            json!({ "label": "", "scopes": ["api"], "expires_in_s": 60 }),
            &[],
        ),
        (Method::POST, "/accounts/admin/secret", Value::Null, &[]),
        (Method::POST, "/accounts/admin/disable", Value::Null, &[]),
        (Method::GET, "/accounts/admin/tokens", Value::Null, &[]),
    ];
    for (method, path, body, allowed) in cases {
        for (role, token) in &tokens {
            let (status, told) = control.ask(token, method.clone(), path, body.clone()).await;
            let expected = allowed.contains(role);
            assert_eq!(
                status.is_success(),
                expected,
                "{role} {method} {path}: {status} {told}"
            );
            assert!(
                expected || status == StatusCode::FORBIDDEN,
                "{role} {method} {path}: {status} {told}"
            );
        }
    }
}

#[tokio::test]
async fn a_token_is_good_for_its_scopes_and_its_time() {
    let control = Control::start().await;
    control.person("alice", &["operator"], &[]).await;
    let guard = || json!({ "cgroup": "all", "mode": "enforce" });
    let (read, connect) = (
        control.token("alice", &["read"]).await,
        control.token("alice", &["connect"]).await,
    );
    assert_eq!(
        control
            .ask(&read, Method::GET, "/guards", Value::Null)
            .await
            .0,
        StatusCode::OK
    );
    assert_eq!(
        control.ask(&read, Method::PUT, "/guards", guard()).await.0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        control
            .ask(&connect, Method::GET, "/guards", Value::Null)
            .await
            .0,
        StatusCode::FORBIDDEN
    );

    let body = json!({ "label": "", "scopes": ["api"], "expires_in_s": 1 });
    let short = control
        .admin(Method::POST, "/accounts/alice/tokens", body)
        .await;
    let short = short["token"].as_str().expect("token");
    assert_eq!(
        control
            .ask(short, Method::GET, "/guards", Value::Null)
            .await
            .0,
        StatusCode::OK
    );
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    assert_eq!(
        control
            .ask(short, Method::GET, "/guards", Value::Null)
            .await
            .0,
        StatusCode::UNAUTHORIZED
    );

    let made = control
        .admin(
            Method::POST,
            "/accounts/alice/tokens",
            json!({ "label": "", "scopes": ["api"], "expires_in_s": 60 }),
        )
        .await;
    let (id, token) = (
        made["id"].as_str().expect("id"),
        made["token"].as_str().expect("token"),
    );
    control
        .admin(
            Method::DELETE,
            &format!("/accounts/alice/tokens/{id}"),
            Value::Null,
        )
        .await;
    assert_eq!(
        control
            .ask(token, Method::GET, "/guards", Value::Null)
            .await
            .0,
        StatusCode::UNAUTHORIZED
    );
    control
        .admin(Method::POST, "/accounts/alice/disable", Value::Null)
        .await;
    assert_eq!(
        control
            .ask(&read, Method::GET, "/guards", Value::Null)
            .await
            .0,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let control = Control::start().await;
    let postgres = |change: Value| {
        let mut spec = json!({ "name": "a", "kind": "postgres", "addresses": ["127.0.0.1:5432"], "tls": "disable", "unlabelled": "clear" });
        spec.as_object_mut()
            .expect("object")
            .extend(change.as_object().expect("object").clone());
        spec
    };
    let cases = [
        ("/connections", postgres(json!({ "addresses": [] }))),
        (
            "/connections",
            postgres(json!({ "addresses": ["db.internal:5432"] })),
        ),
        ("/connections", postgres(json!({ "name": "A/B" }))),
        ("/connections", postgres(json!({ "zone": "Mars/Olympus" }))),
        ("/connections", postgres(json!({ "tls": "verify-full" }))),
        ("/connections", postgres(json!({ "unlabelled": "mask" }))),
        (
            "/connections",
            postgres(json!({ "unlabelled": "mask", "unlabelled_mask": "blur" })),
        ),
        (
            "/connections",
            postgres(json!({ "adresses": ["127.0.0.1:1"] })),
        ),
        (
            "/connections",
            postgres(json!({ "stdio": {}, "addresses": [] })),
        ),
        (
            "/connections",
            postgres(json!({ "kind": "mcp", "stdio": {} })),
        ),
        (
            "/connections",
            postgres(json!({ "kind": "mcp", "addresses": [], "stdio": {}, "tls": "require" })),
        ),
        (
            "/connections",
            postgres(json!({ "kind": "mcp", "addresses": [], "stdio": { "executable": "node" } })),
        ),
        (
            "/connections",
            postgres(json!({ "kind": "mcp", "addresses": [], "stdio": { "arguments": [] } })),
        ),
        ("/guards", json!({ "cgroup": "../x", "mode": "enforce" })),
        (
            "/guards",
            json!({ "cgroup": "unit:a/b", "mode": "enforce" }),
        ),
        ("/workloads", json!({ "name": "all" })),
        ("/workloads", json!({ "name": "x", "executable": "python" })),
    ];
    for (path, body) in cases {
        let (status, told) = control
            .ask(&control.admin, Method::PUT, path, body.clone())
            .await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {told}");
    }
    let service = json!({ "name": "svc", "is_service": true });
    assert_eq!(
        control
            .ask(&control.admin, Method::POST, "/accounts", service)
            .await
            .0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let last = control
        .ask(
            &control.admin,
            Method::POST,
            "/accounts/admin/disable",
            Value::Null,
        )
        .await;
    assert_eq!(
        last.0,
        StatusCode::CONFLICT,
        "the last admin stays: {}",
        last.1
    );
    assert_eq!(
        control
            .ask(&control.admin, Method::GET, "/whoami", Value::Null)
            .await
            .0,
        StatusCode::OK
    );

    control
        .admin(Method::PUT, "/connections", postgres(json!({})))
        .await;
    let taken = control
        .ask(
            &control.admin,
            Method::PUT,
            "/connections",
            postgres(json!({ "name": "b" })),
        )
        .await;
    assert_eq!(
        taken.0,
        StatusCode::CONFLICT,
        "two servers at one address: {}",
        taken.1
    );
}

#[tokio::test]
async fn every_change_is_in_the_management_log_and_a_changed_log_is_noticed() {
    let mut control = Control::start().await;
    control.person("alice", &[], &["dba"]).await;
    control
        .admin(
            Method::PUT,
            "/guards",
            json!({ "cgroup": "all", "mode": "observe" }),
        )
        .await;
    let log = control.get(&control.admin, "/management-log").await;
    let actions: Vec<_> = log
        .as_array()
        .expect("list")
        .iter()
        .map(|entry| entry["action"].as_str().expect("action"))
        .collect();
    assert_eq!(
        actions,
        ["control.init", "account.add", "account.token", "guard.put"]
    );
    assert_eq!(log[1]["actor"], "admin");
    control.stop().await;
    let check = || {
        let state = control.state.path().join("state");
        std::process::Command::new(env!("CARGO_BIN_EXE_weir-control"))
            .args(["check-log", "--state"])
            .arg(state)
            .output()
    };
    assert!(check().expect("runs").status.success());
    let path = control.state.path().join("state/control.db");
    let mut bytes = std::fs::read(&path).expect("reads");
    let at = bytes
        .windows(9)
        .position(|at| at == b"guard.put")
        .expect("the entry");
    bytes[at..at + 9].copy_from_slice(b"guard.pot");
    std::fs::write(&path, bytes).expect("writes");
    let checked = check().expect("runs");
    assert!(!checked.status.success());
    assert!(
        String::from_utf8_lossy(&checked.stderr).contains("entry 4"),
        "{checked:?}"
    );
}

#[tokio::test]
async fn health_pages_and_metrics_are_served_with_a_strict_policy() {
    let control = Control::start().await;
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("client");
    let get = async |path: &str| {
        client
            .get(format!("{}{path}", control.http))
            .send()
            .await
            .expect("answers")
    };
    assert_eq!(get("/healthz").await.status(), StatusCode::OK);
    assert_eq!(get("/readyz").await.status(), StatusCode::OK);
    let metrics = get("/metrics").await.text().await.expect("text");
    assert!(
        metrics.contains("weir_control_nodes_connected 0\n"),
        "{metrics}"
    );
    for path in ["/", "/app.js", "/app.css", "/icon.svg"] {
        let answer = get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let policy = answer.headers()["content-security-policy"]
            .to_str()
            .expect("text")
            .to_owned();
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert!(
            answer.text().await.expect("text").len() > 100,
            "{path} is not empty"
        );
    }
    let page = get("/").await.text().await.expect("text");
    assert!(
        !page.contains("style=") && !page.contains("onclick"),
        "nothing inline"
    );
}

#[test]
fn it_refuses_to_serve_others_without_tls_and_keys_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("tempdir");
    let state = directory.path().join("state");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_weir-control"));
        command
            .args(arguments)
            .arg("--state")
            .arg(&state)
            .output()
            .expect("runs")
    };
    assert!(run(&["init"]).status.success());
    assert!(
        !run(&["init"]).status.success(),
        "a second init would replace the keys"
    );
    for listener in ["--http", "--grpc"] {
        let refused = run(&["serve", listener, "0.0.0.0:0"]);
        assert!(
            String::from_utf8_lossy(&refused.stderr).contains("loopback"),
            "{refused:?}"
        );
    }
    let refused = run(&["serve", "--inbox", "weir.corp.example"]);
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("must begin with https://"),
        "{refused:?}"
    );
    let key = state.join("signing.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).expect("chmod");
    let refused = run(&["serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]);
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("can be read by others"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_server_that_its_clients_start_never_has_a_credential() {
    let control = Control::start().await;
    let put = async |spec: Value| {
        control
            .ask(&control.admin, Method::PUT, "/connections", spec)
            .await
    };
    let http = json!({ "name": "files", "kind": "mcp", "addresses": ["127.0.0.1:9"], "tls": "disable", "unlabelled": "clear" });
    let stdio = json!({ "name": "files", "kind": "mcp", "addresses": [], "tls": "disable", "unlabelled": "clear",
        "stdio": { "executable": "/usr/bin/node", "arguments": ["a", "b"] } });
    let bearer = async || {
        let body = json!({ "secret": "canary" });
        control
            .ask(
                &control.admin,
                Method::PUT,
                "/connections/files/credentials",
                body,
            )
            .await
            .0
    };
    assert_eq!(put(http).await.0, StatusCode::CREATED);
    assert_eq!(bearer().await, StatusCode::NO_CONTENT);
    let (status, told) = put(stdio.clone()).await;
    assert_eq!(status, StatusCode::CONFLICT, "{told}");
    control
        .admin(Method::DELETE, "/connections/files", Value::Null)
        .await;
    assert_eq!(put(stdio).await.0, StatusCode::CREATED);
    assert_eq!(bearer().await, StatusCode::UNPROCESSABLE_ENTITY);
    let mut node = support::Node::new(&control.node("n").await).await;
    let (_, world) = node.update().await;
    let stdio = world.connections[0].stdio.as_ref().expect("it is stdio");
    assert_eq!(stdio.executable, "/usr/bin/node");
    assert_eq!(
        stdio.arguments_sha256,
        weir_api::update::hash(b"a\0b\0"),
        "as the kernel tells arguments"
    );
}
