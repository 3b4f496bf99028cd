//! A connected client, what its server told it meanwhile, and how both are told.

use std::future::Future;
use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, ClientRequest, ElicitRequestParams,
    ElicitResult, ElicitationAction, ElicitationCapability, ErrorData, Implementation,
    LoggingMessageNotificationParam, ProgressNotificationParam, ProgressToken, ProtocolVersion,
    Request,
};
use rmcp::service::{
    NotificationContext, PeerRequestOptions, RequestContext, RequestHandle, RunningService,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt, RoleClient, ServiceError};
use serde_json::{Value, json};
use tokio::sync::watch;

/// Whatever ends a story early.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a server sends beside an answer may be handled after it; so late at the most.
const HEARD_MAX: Duration = Duration::from_secs(20);

/// What the server said by itself, in order.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Its log.
    pub log: Vec<Value>,
    /// What it asked of the user.
    pub asked: Vec<String>,
    /// The progress of every call.
    pub progress: Vec<ProgressNotificationParam>,
}

impl Heard {
    /// The progress of one call.
    pub(crate) fn progress_of(&self, token: &ProgressToken) -> Vec<Value> {
        let own = |at: &&ProgressNotificationParam| at.progress_token == *token;
        let told = |at: &ProgressNotificationParam| json!([at.progress, at.total, at.message]);
        self.progress.iter().filter(own).map(told).collect()
    }
}

/// Collects it.
#[derive(Clone, Default)]
pub(crate) struct Ears(watch::Sender<Heard>);

impl Ears {
    /// Waits until this was heard, for a while; what was heard by then.
    pub(crate) async fn until<T>(
        &self,
        heard: impl Fn(&Heard) -> bool,
        told: impl Fn(&Heard) -> T,
    ) -> T {
        let mut news = self.0.subscribe();
        // Who waited in vain tells what is there.
        let _ = tokio::time::timeout(HEARD_MAX, news.wait_for(heard)).await;
        told(&news.borrow())
    }
}

impl ClientHandler for Ears {
    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let ElicitRequestParams::FormElicitationParams { message, .. } = request else {
            return Ok(ElicitResult::new(ElicitationAction::Decline));
        };
        self.0.send_modify(|heard| heard.asked.push(message));
        let answer = ElicitResult::new(ElicitationAction::Accept);
        Ok(answer.with_content(json!({ "colour": "blue" })))
    }

    async fn on_progress(
        &self,
        at: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.0.send_modify(|heard| heard.progress.push(at));
    }

    async fn on_logging_message(
        &self,
        message: LoggingMessageNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.0.send_modify(|heard| heard.log.push(message.data));
    }

    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.elicitation = Some(ElicitationCapability::default());
        ClientConfig::new(capabilities, Implementation::new("story-rmcp", "1.0.0"))
    }
}

/// The connected client.
pub(crate) type Client = RunningService<RoleClient, Ears>;

/// Connects with `initialize`, or with `discover` as of 2026-07-28.
pub(crate) async fn connect(url: &str, lifecycle: &str) -> Result<Client, Failure> {
    let mode = match lifecycle {
        "initialize" => ClientLifecycleMode::Initialize,
        "discover" => ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        },
        other => return Err(format!("no lifecycle {other}").into()),
    };
    let transport = StreamableHttpClientTransport::from_uri(url);
    Ok(Ears::default()
        .serve_with_lifecycle(transport, mode)
        .await?)
}

/// A call of a tool.
pub(crate) fn call(name: &str, inputs: Value) -> CallToolRequestParams {
    let params = CallToolRequestParams::new(name.to_owned());
    match inputs {
        Value::Object(inputs) => params.with_arguments(inputs),
        _ => params,
    }
}

/// Sends a call without waiting for its answer.
pub(crate) async fn begin(
    client: &Client,
    params: CallToolRequestParams,
) -> Result<RequestHandle<RoleClient>, ServiceError> {
    let request = ClientRequest::CallToolRequest(Request::new(params));
    let options = PeerRequestOptions::no_options();
    client.send_cancellable_request(request, options).await
}

/// Prints one line.
pub(crate) fn tell(step: &str, seen: &Value) {
    match seen {
        Value::String(text) => println!("{step}\t{text}"),
        seen => println!("{step}\t{seen}"),
    }
}

/// Awaits a step; the error that it ends in is what it saw.
pub(crate) async fn step<T: serde::Serialize>(
    name: &str,
    run: impl Future<Output = Result<T, ServiceError>>,
) {
    let seen = match run.await {
        Ok(seen) => serde_json::to_value(seen).unwrap_or_else(|error| json!(error.to_string())),
        Err(ServiceError::McpError(error)) => {
            json!(format!("RAISED {} {}", error.message, json!(error.data)))
        }
        Err(error) => json!(format!("RAISED {error}")),
    };
    tell(name, &seen);
}
