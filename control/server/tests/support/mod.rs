//! A real control plane in a process of its own, people with tokens, and a node.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::process::Stdio;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use weir_api::Join;
use weir_api::v1::data_plane_client::DataPlaneClient;
use weir_api::v1::from_data_plane::Message as From;
use weir_api::v1::to_data_plane::Message as To;
use weir_api::v1::{self, FromDataPlane, ToDataPlane};

const BINARY: &str = env!("CARGO_BIN_EXE_weir-control");

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A control plane.
pub(crate) struct Control {
    pub(crate) state: tempfile::TempDir,
    pub(crate) admin: String,
    pub(crate) http: String,
    pub(crate) grpc: String,
    child: Child,
}

impl Control {
    /// Makes one and starts it.
    pub(crate) async fn start() -> Self {
        let state = tempfile::tempdir().expect("tempdir");
        let made = Command::new(BINARY)
            .args(["init", "--state"])
            .arg(state.path().join("state"))
            .output()
            .await
            .expect("init");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let told = String::from_utf8(made.stdout).expect("text");
        let admin = told
            .lines()
            .find_map(|line| line.strip_prefix("token:"))
            .expect("token")
            .trim()
            .to_owned();
        let (child, http, grpc) = spawn(&state.path().join("state"), "127.0.0.1:0").await;
        Self {
            state,
            admin,
            http,
            grpc,
            child,
        }
    }

    /// Ends the process as an operator does.
    pub(crate) async fn stop(&mut self) {
        let pid = self.child.id().expect("runs").to_string();
        let sent = Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .await
            .expect("kill");
        assert!(sent.success());
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .expect("ends")
            .expect("waits");
        assert!(status.success(), "{status}");
    }

    /// Ends it, or kills it, and starts it again on the same gRPC port.
    pub(crate) async fn restart(&mut self, kill: bool) {
        if kill {
            self.child.kill().await.expect("kills");
        } else {
            self.stop().await;
        }
        let grpc = self.grpc.trim_start_matches("http://").to_owned();
        let (child, http, grpc) = spawn(&self.state.path().join("state"), &grpc).await;
        (self.child, self.http, self.grpc) = (child, http, grpc);
    }

    /// Asks as the bearer of a token.
    pub(crate) async fn ask(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        let client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("client");
        let mut request = client.request(method, format!("{}/api/v1{path}", self.http));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("answers");
        let status = answer.status();
        let text = answer.text().await.expect("text");
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    /// Asks as the admin; anything but success fails the test.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(&self.admin, method, path, body).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Value {
        let (status, answer) = self.ask(token, Method::GET, path, Value::Null).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// Adds a person and returns a token of theirs.
    pub(crate) async fn person(&self, name: &str, roles: &[&str], groups: &[&str]) -> String {
        self.account(json!({ "name": name, "roles": roles, "groups": groups }))
            .await
    }

    /// Adds an account and returns a token of its.
    pub(crate) async fn account(&self, new: Value) -> String {
        let name = new["name"].as_str().expect("name").to_owned();
        self.admin(Method::POST, "/accounts", new).await;
        self.token(&name, &["api"]).await
    }

    /// Makes a token.
    pub(crate) async fn token(&self, name: &str, scopes: &[&str]) -> String {
        let body = json!({ "label": "test", "scopes": scopes, "expires_in_s": 600 });
        let made = self
            .admin(Method::POST, &format!("/accounts/{name}/tokens"), body)
            .await;
        made["token"].as_str().expect("token").to_owned()
    }

    /// Registers a node.
    pub(crate) async fn node(&self, name: &str) -> Join {
        let made = self
            .admin(Method::POST, "/nodes", json!({ "name": name }))
            .await;
        Join::parse(made["join"].as_str().expect("join")).expect("join string")
    }

    /// Waits until an answer is as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.get(&self.admin, path).await;
            if wanted(&answer) {
                return answer;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{path} stayed {answer}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Control {
    /// Asks for something to be done until its answer is as wanted.
    pub(crate) async fn until_post(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let answer = self.admin(Method::POST, path, Value::Null).await;
            if wanted(&answer) {
                return answer;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{path} stayed {answer}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn spawn(state: &std::path::Path, grpc: &str) -> (Child, String, String) {
    let mut child = Command::new(BINARY)
        .args(["serve", "--http", "127.0.0.1:0", "--grpc", grpc, "--state"])
        .arg(state)
        .env("WEIR_LOG", "warn")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line())
        .await
        .expect("in time")
        .expect("reads");
    let told: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
    let url = |name: &str| told[name].as_str().expect("url").to_owned();
    (child, url("http"), url("grpc"))
}

/// A data plane that does what the test says.
pub(crate) struct Node {
    pub(crate) join: Join,
    out: mpsc::Sender<FromDataPlane>,
    inbound: Streaming<ToDataPlane>,
}

impl Node {
    /// Connects and says Hello.
    pub(crate) async fn connect(join: &Join, hello: v1::Hello) -> Result<Self, tonic::Status> {
        let mut client = DataPlaneClient::connect(join.url.clone())
            .await
            .expect("connects");
        let (out, outbound) = mpsc::channel(64);
        let hello = v1::Hello {
            node: join.node.clone(),
            token: join.token.clone(),
            build: "test".into(),
            ..hello
        };
        out.send(FromDataPlane {
            message: Some(From::Hello(hello)),
        })
        .await
        .expect("queued");
        let inbound = client
            .stream(ReceiverStream::new(outbound))
            .await?
            .into_inner();
        Ok(Self {
            join: join.clone(),
            out,
            inbound,
        })
    }

    /// Connects as a node that has nothing yet.
    pub(crate) async fn new(join: &Join) -> Self {
        Self::connect(join, v1::Hello::default())
            .await
            .expect("streams")
    }

    pub(crate) async fn say(&self, message: From) {
        self.out
            .send(FromDataPlane {
                message: Some(message),
            })
            .await
            .expect("queued");
    }

    /// The next message.
    pub(crate) async fn hear(&mut self) -> Result<To, tonic::Status> {
        let message = tokio::time::timeout(PATIENCE, self.inbound.message())
            .await
            .expect("in time")?;
        message
            .and_then(|message| message.message)
            .ok_or_else(|| tonic::Status::ok("ended"))
    }

    /// The next update, checked as a data plane checks it.
    pub(crate) async fn update(&mut self) -> (v1::Update, v1::World) {
        loop {
            if let To::Update(update) = self.hear().await.expect("update") {
                let opened = weir_api::reopen(&update, &self.join.node, &self.join.control_key)
                    .expect("signed");
                return (update, opened.into_world());
            }
        }
    }

    /// Puts an update in force.
    pub(crate) async fn ack(&self, update: &v1::Update) {
        let ack = v1::Ack {
            nonce: update.nonce.clone(),
            version: update.version.clone(),
        };
        self.say(From::Ack(ack)).await;
    }

    /// Asks for approval and returns the answer.
    pub(crate) async fn request(&mut self, request: v1::ApprovalRequest) -> v1::ApprovalOpened {
        self.say(From::ApprovalRequest(request)).await;
        loop {
            if let To::ApprovalOpened(opened) = self.hear().await.expect("opened") {
                return opened;
            }
        }
    }

    /// The next decision.
    pub(crate) async fn decision(&mut self) -> v1::ApprovalDecision {
        loop {
            if let To::ApprovalDecision(decision) = self.hear().await.expect("decision") {
                return decision;
            }
        }
    }

    /// Spends an approval and returns the answer.
    pub(crate) async fn redeem(&mut self, id: &str, digest: &[u8]) -> v1::RedeemResult {
        self.say(From::ApprovalRedeem(v1::ApprovalRedeem {
            id: id.into(),
            digest: digest.to_vec(),
        }))
        .await;
        loop {
            if let To::RedeemResult(result) = self.hear().await.expect("result") {
                return result;
            }
        }
    }

    /// Where the log is to go on.
    pub(crate) async fn leaves_ack(&mut self) -> u64 {
        loop {
            if let To::LeavesAck(ack) = self.hear().await.expect("ack") {
                return ack.next_index;
            }
        }
    }
}

/// A person's request, for one DBA.
pub(crate) fn request(id: u8, subject: &str) -> v1::ApprovalRequest {
    v1::ApprovalRequest {
        id: format!("{id:032x}"),
        digest: vec![id; 32],
        principal: Some(v1::Principal {
            identity: Some(v1::Identity {
                issuer: "weir".into(),
                subject: subject.into(),
                ..Default::default()
            }),
            workload: None,
            agent: String::new(),
        }),
        connection: "prod-pg".into(),
        operation: "DROP TABLE customers".into(),
        accesses: vec![v1::Access {
            action: "pg.drop_table".into(),
            resource: "prod-pg/public/customers".into(),
        }],
        approvers: vec!["dba".into()],
        quorum: 1,
        reason: "a table goes".into(),
        policies: vec!["drop-needs-dba".into()],
        expires_s: 600,
        flow: 1,
        source: "127.0.0.1:40000".into(),
        owner: String::new(),
        definition: Vec::new(),
    }
}

/// A policy that permits everything.
pub(crate) fn policy() -> Value {
    json!([{ "path": "a.cedar", "content": "@id(\"all\")\npermit(principal, action, resource);\n" }])
}
