//! `weir mcp run` between a client that speaks lines and a server that speaks lines. The data
//! plane is played by one that lets everything pass: what it judges is tested where it is.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};
use weir_handover::stdio::{Answer, Ask, Asker, Listener, stream_pair};

/// CI is slow; whoever waits this long waits forever.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server in `sh`: answers with the id and the method that it was asked, and plays the parts
/// that tests ask it for by name.
const SERVER: &str = r#"
echo "server: started" >&2
trap 'exit 9' TERM
say() { printf '%s\n' "$1"; }
own=0
while IFS= read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\("[^"]*"\|[0-9]*\).*/\1/p')
  case "$line" in
    *'"initialize"'*) say "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{}}}" ;;
    *'"notifications/initialized"'*) say '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}' ;;
    *'"silent"'*) ;;
    *'"progress"'*)
      say 'this is no message'
      say '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}}'
      say "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"done\":true}}" ;;
    *'"sampled"'*) asked=$id; say '{"jsonrpc":"2.0","id":"s1","method":"sampling/createMessage","params":{}}' ;;
    *'"result"'*) say "{\"jsonrpc\":\"2.0\",\"id\":$asked,\"result\":{\"heard\":$id}}" ;;
    *'"notifications/cancelled"'*) say '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"heard"}}' ;;
    *) say "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{}}" ;;
  esac
done
exit 7
"#;

/// A data plane that lets everything pass, but cuts a flow in which it sees `cut`.
struct Plane {
    folder: tempfile::TempDir,
    socket: PathBuf,
}

impl Plane {
    fn new(cut: Option<&'static str>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("stdio.sock");
        let listener = Listener::bind(&socket).expect("a socket");
        std::thread::spawn(move || {
            while let Ok(asker) = listener.accept() {
                serve(&asker, cut);
            }
        });
        Self { folder, socket }
    }
}

fn serve(asker: &Asker, cut: Option<&'static str>) {
    let ask = asker.receive(PATIENCE).expect("a question");
    let connection = match &ask {
        Ask::Open { connection } | Ask::Flow { connection, .. } => connection,
    };
    if connection != "files" {
        let reason = "ask whoever manages Weir".to_owned();
        let refused = Answer::Refused { reason };
        asker.answer(&refused, &[]).expect("told");
        return;
    }
    if matches!(ask, Ask::Open { .. }) {
        asker.answer(&Answer::Granted, &[]).expect("told");
        return;
    }
    let pair = || stream_pair().expect("two sockets");
    let ((client, ours), (server, theirs)) = (pair(), pair());
    asker
        .answer(&Answer::Granted, &[client, server])
        .expect("told");
    let (ours, theirs) = (UnixStream::from(ours), UnixStream::from(theirs));
    let copy = |stream: &UnixStream| stream.try_clone().expect("a copy");
    let (back_from, back_to) = (copy(&theirs), copy(&ours));
    std::thread::spawn(move || relay(ours, theirs, cut));
    std::thread::spawn(move || relay(back_from, back_to, None));
}

fn relay(mut from: UnixStream, mut to: UnixStream, cut: Option<&str>) {
    let (mut seen, mut chunk) = (Vec::new(), vec![0; 1 << 16]);
    while let Ok(read @ 1..) = from.read(&mut chunk) {
        seen.extend_from_slice(&chunk[..read]);
        let is_cut = cut.is_some_and(|cut| String::from_utf8_lossy(&seen).contains(cut));
        if is_cut || to.write_all(&chunk[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

/// A client: `weir mcp run` with a server behind it.
struct Client {
    weir: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
}

impl Client {
    fn new(socket: &Path, connection: &str, command: &[&str]) -> Self {
        let mut weir = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["mcp", "run", "--connection", connection, "--socket"])
            .arg(socket)
            .arg("--")
            .args(command)
            .env("WEIR_MCP_TOKEN", "canary")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("weir");
        let (sender, lines) = channel();
        let stdout = BufReader::new(weir.stdout.take().expect("a pipe"));
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).expect("a line of JSON");
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        Self {
            stdin: weir.stdin.take(),
            weir,
            lines,
        }
    }

    fn serving(plane: &Plane) -> Self {
        Self::new(&plane.socket, "files", &["sh", "-c", SERVER])
    }

    fn say(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("it is open");
        stdin.write_all(text.as_bytes()).expect("it reads");
        stdin.write_all(b"\n").expect("it reads");
        stdin.flush().expect("it reads");
    }

    fn ask(&mut self, id: &Value, method: &str) {
        let token = json!({ "_meta": { "progressToken": "t" } });
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": token });
        self.say(&message.to_string());
    }

    fn hear(&self) -> Value {
        self.lines.recv_timeout(PATIENCE).expect("a message")
    }

    fn initialize(&mut self) {
        self.ask(&json!(0), "initialize");
        assert_eq!(self.hear()["result"]["protocolVersion"], "2025-11-25");
    }

    /// Closes its input, and waits. The exit code, and standard error.
    fn end(mut self) -> (Option<i32>, String) {
        drop(self.stdin.take());
        let mut told = String::new();
        let mut stderr = self.weir.stderr.take().expect("a pipe");
        stderr.read_to_string(&mut told).expect("text");
        (self.weir.wait().expect("its end").code(), told)
    }
}

#[test]
fn messages_pass_in_order_and_the_server_ends_as_it_would_without() {
    let plane = Plane::new(None);
    let mut client = Client::serving(&plane);
    client.initialize();
    client.ask(&json!("one"), "progress");
    assert_eq!(client.hear()["params"]["progress"], 1);
    assert_eq!(
        client.hear(),
        json!({ "jsonrpc": "2.0", "id": "one", "result": { "done": true } })
    );
    client.ask(&json!(1), "tools/list");
    assert_eq!(client.hear()["id"], 1, "a number stays a number");
    client.ask(&json!("1"), "tools/list");
    assert_eq!(client.hear()["id"], "1");
    let (code, told) = client.end();
    assert_eq!(code, Some(7), "{told}");
    assert!(told.contains("server: started"), "{told}");
    assert!(told.contains("no JSON"), "the noise is told of: {told}");
}

#[test]
fn what_was_asked_before_the_end_of_input_still_reaches_the_server() {
    let plane = Plane::new(None);
    let mut client = Client::serving(&plane);
    for id in 0..20 {
        client.ask(&json!(id), "tools/list");
    }
    drop(client.stdin.take());
    let mut heard: Vec<_> = (0..20).map(|_| client.hear()["id"].as_u64()).collect();
    heard.sort_unstable();
    assert_eq!(heard, (0..20).map(Some).collect::<Vec<_>>());
    assert_eq!(client.end().0, Some(7));
}

#[test]
fn a_server_asks_its_client_in_the_middle_of_a_call() {
    let plane = Plane::new(None);
    let mut client = Client::serving(&plane);
    client.initialize();
    client.ask(&json!(5), "sampled");
    assert_eq!(client.hear()["method"], "sampling/createMessage");
    client.say(r#"{"jsonrpc":"2.0","id":"s1","result":{"role":"assistant"}}"#);
    assert_eq!(
        client.hear(),
        json!({ "jsonrpc": "2.0", "id": 5, "result": { "heard": "s1" } })
    );
    client.end();
}

#[test]
fn what_the_server_says_by_itself_arrives_without_a_call() {
    let plane = Plane::new(None);
    let mut client = Client::serving(&plane);
    client.initialize();
    client.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    assert_eq!(client.hear()["method"], "notifications/tools/list_changed");
    client.end();
}

#[test]
fn a_cancelled_call_is_not_answered_and_its_id_is_free_again() {
    let plane = Plane::new(None);
    let mut client = Client::serving(&plane);
    client.initialize();
    client.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    client.hear();
    client.ask(&json!(3), "silent");
    client.ask(&json!(3), "tools/list");
    let refused = client.hear();
    assert_eq!(refused["error"]["code"], -32000, "{refused}");
    client.ask(&json!(4), "tools/list");
    assert_eq!(client.hear()["id"], 4, "others go on meanwhile");
    client.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}"#);
    // The server hears of it, unless the call had not reached it: then it has nothing to give up.
    client.ask(&json!(5), "tools/list");
    let mut said = client.hear();
    if said["method"] == "notifications/message" {
        said = client.hear();
    }
    assert_eq!(said["id"], 5, "nothing is said of the cancelled call");
    client.end();
}

#[test]
fn batches_are_sent_on_one_by_one_and_what_is_no_json_is_answered() {
    let plane = Plane::new(None);
    let mut client = Client::serving(&plane);
    client.say(r#"[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","id":2,"method":"b"}]"#);
    let mut heard = [client.hear()["id"].clone(), client.hear()["id"].clone()];
    heard.sort_by_key(Value::as_u64);
    assert_eq!(heard, [json!(1), json!(2)]);
    client.say("{\"a\":");
    let refused = client.hear();
    assert_eq!(
        (&refused["id"], refused["error"]["code"].is_i64()),
        (&Value::Null, true)
    );
    client.end();
}

#[test]
fn a_flow_that_is_cut_fails_its_call_and_no_other() {
    let plane = Plane::new(Some("to-be-cut"));
    let mut client = Client::serving(&plane);
    client.initialize();
    client.ask(&json!(8), "to-be-cut");
    let failed = client.hear();
    assert_eq!(failed["id"], 8);
    let why = failed["error"]["message"].as_str().expect("a message");
    assert!(why.contains("Weir") && why.contains("log"), "{why}");
    client.ask(&json!(9), "tools/list");
    assert_eq!(client.hear()["id"], 9);
    client.end();
}

#[test]
fn without_a_data_plane_the_server_is_not_started_and_the_client_is_told_what_to_do() {
    let plane = Plane::new(None);
    let nobody = plane.folder.path().join("nobody.sock");
    let mark = plane.folder.path().join("started");
    let script = format!("touch {}", mark.display());
    for (socket, connection, advice, code) in [
        (&nobody, "files", "start weir-dataplane", 4),
        (&plane.socket, "other", "ask whoever manages Weir", 3),
    ] {
        let mut client = Client::new(socket, connection, &["sh", "-c", &script]);
        for id in [0, 1] {
            client.ask(&json!(id), "initialize");
            let refused = client.hear();
            let why = refused["error"]["message"].as_str().expect("a message");
            assert!(refused["id"] == id && why.contains(advice), "{refused}");
        }
        let (ended, told) = client.end();
        assert_eq!(ended, Some(code), "{told}");
        assert!(told.contains(advice), "{told}");
    }
    assert!(!mark.exists(), "the server was started");
}

#[test]
fn a_program_that_cannot_be_started_is_told_as_well() {
    let plane = Plane::new(None);
    let mut client = Client::new(&plane.socket, "files", &["/nowhere/server"]);
    client.ask(&json!(0), "initialize");
    let refused = client.hear();
    let why = refused["error"]["message"].as_str().expect("a message");
    assert!(why.contains("/nowhere/server"), "{refused}");
    assert_eq!(client.end().0, Some(1));
}

#[test]
fn signals_and_the_exit_code_pass_and_a_call_without_an_answer_is_answered() {
    let plane = Plane::new(None);
    let mut client = Client::serving(&plane);
    client.initialize();
    client.ask(&json!(1), "silent");
    client.ask(&json!(2), "tools/list");
    assert_eq!(client.hear()["id"], 2);
    let pid = client.weir.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(sent.expect("kill").success());
    let gone = client.hear();
    assert_eq!((&gone["id"], gone["error"].is_object()), (&json!(1), true));
    assert_eq!(client.end().0, Some(9));
}

#[test]
fn the_server_does_not_see_the_clients_token() {
    let plane = Plane::new(None);
    let script = r#"printf '{"jsonrpc":"2.0","id":0,"result":{"token":"%s"}}\n' "$WEIR_MCP_TOKEN"; cat > /dev/null"#;
    // The answer waits for its question.
    let script = format!("IFS= read -r line; {script}");
    let mut client = Client::new(&plane.socket, "files", &["sh", "-c", &script]);
    client.ask(&json!(0), "tools/list");
    assert_eq!(client.hear()["result"]["token"], "");
    client.end();
}
