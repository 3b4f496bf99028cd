//! The client's end: speaks Streamable HTTP for a client that speaks lines.
//!
//! Every request has a flow of its own while it is unanswered. Notifications and answers go
//! through before the next line is read, so that they stay in order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use weir_mcp::message::IdKey;
use weir_mcp::sse::{Item, Parser};

use super::back::Back;
use super::gate::{Closed, Gate};
use super::limits::{ANSWER_BYTES_MAX, IDLE_FLOWS_MAX, REOPEN_MAX, REOPEN_MIN, REQUESTS_MAX};
use super::lines::{Line, on_one_line};
use super::message::{self, Notification, Seen, error, error_for, header_value, split};

/// Why an exchange did not end.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Closed(#[from] Closed),
    /// It is not known whether the server was asked.
    #[error(
        "the data plane ended the flow before the answer was there; whether the server was asked \
         is in Weir's log"
    )]
    Broken,
}

/// Who is told what came of a message.
#[derive(Clone, Copy)]
enum Teller<'a> {
    /// The request with this id.
    Request(&'a message::Request),
    /// Nobody: it was a notification or an answer.
    Nobody,
    /// The client, without an id: what it sent could not be read.
    Unread,
}

/// The first revision that HTTP requests name in a header.
const FIRST_NAMED: &str = "2025-06-18";

type Flow = SendRequest<Full<Bytes>>;

#[derive(Default)]
struct State {
    idle: Vec<Flow>,
    /// As Weir names it.
    session: Option<HeaderValue>,
    /// What `initialize` has settled on.
    revision: Option<String>,
    open: HashMap<IdKey, Open>,
    is_listening: bool,
}

/// A request without an answer.
#[derive(Default)]
struct Open {
    task: Option<AbortHandle>,
    is_cancelled: bool,
    /// A stream that only ends when its client does.
    is_stream: bool,
}

/// The client's end.
pub(crate) struct Front {
    gate: Gate,
    back: Arc<Back>,
    /// `None` once nothing more is said.
    to_client: Mutex<Option<mpsc::Sender<Vec<u8>>>>,
    authorization: Option<HeaderValue>,
    state: Mutex<State>,
}

impl Front {
    pub(crate) fn new(
        gate: Gate,
        back: Arc<Back>,
        to_client: mpsc::Sender<Vec<u8>>,
        authorization: Option<HeaderValue>,
    ) -> Arc<Self> {
        Arc::new(Self {
            gate,
            back,
            to_client: Mutex::new(Some(to_client)),
            authorization,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests, except streams, that have no answer yet; with `true`, only those that have not
    /// even reached the server.
    pub(crate) fn unanswered(&self, only_undelivered: bool) -> usize {
        let state = self.state();
        let counts = |(id, open): &(&IdKey, &Open)| {
            let is_through = only_undelivered && self.back.is_delivered(id);
            !open.is_stream && !is_through
        };
        state.open.iter().filter(counts).count()
    }

    /// A line of the client.
    pub(crate) async fn take(self: &Arc<Self>, line: Line) {
        let (bytes, messages) = match line {
            Line::TooLong(bytes) => (bytes, None),
            Line::Whole(bytes) => {
                let messages = split(&bytes);
                (bytes, messages)
            }
        };
        match messages {
            // What it cannot read the data plane refuses, in its words and its log.
            None => self.tell(bytes, None, Teller::Unread).await,
            Some(messages) => {
                for (bytes, seen) in messages {
                    self.take_message(bytes, seen).await;
                }
                true
            }
        };
    }

    async fn take_message(self: &Arc<Self>, bytes: Vec<u8>, seen: Seen) {
        match seen {
            Seen::Request(asked) => self.begin(asked, bytes).await,
            Seen::Notification(told) => self.notify(&told, bytes).await,
            Seen::Answer { .. } => {
                self.tell(bytes, None, Teller::Nobody).await;
            }
            Seen::Unclear => {
                self.tell(bytes, None, Teller::Unread).await;
            }
        }
    }

    async fn notify(self: &Arc<Self>, told: &Notification, bytes: Vec<u8>) {
        if let Some(id) = &told.cancels
            && self.give_up(id, told.revision.is_some())
        {
            return;
        }
        let went = self
            .tell(bytes, told.revision.as_deref(), Teller::Nobody)
            .await;
        if let Some(id) = told.cancels.as_ref().filter(|_| went) {
            self.back.cancelled(id);
        }
        if went && told.method == "notifications/initialized" {
            self.listen();
        }
    }

    /// Ends a request by leaving it, which is how one is cancelled that has not reached the
    /// server, and every one of 2026-07-28. Otherwise its answer is no longer missed, and the
    /// notification goes on.
    fn give_up(&self, id: &IdKey, by_leaving: bool) -> bool {
        let mut state = self.state();
        let Some(open) = state.open.get_mut(id) else {
            return false;
        };
        if !by_leaving && self.back.is_delivered(id) {
            open.is_cancelled = true;
            return false;
        }
        if let Some(task) = &open.task {
            task.abort();
        }
        state.open.remove(id);
        drop(state);
        self.back.forget(id);
        true
    }

    async fn begin(self: &Arc<Self>, asked: message::Request, bytes: Vec<u8>) {
        let id = asked.id.clone();
        let refused = {
            let mut state = self.state();
            if state.open.contains_key(id.key()) {
                Some("a request with this id is unanswered")
            } else if state.open.len() >= REQUESTS_MAX {
                Some("too many requests are unanswered: wait for some")
            } else {
                let open = Open {
                    is_stream: asked.method == "subscriptions/listen",
                    ..Open::default()
                };
                state.open.insert(id.key().clone(), open);
                None
            }
        };
        if let Some(refused) = refused {
            return self.say(error(Some(&id), refused)).await;
        }
        let front = Arc::clone(self);
        let task = tokio::spawn(async move { front.request(&asked, bytes).await });
        if let Some(open) = self.state().open.get_mut(id.key()) {
            open.task = Some(task.abort_handle());
        }
    }

    async fn request(self: &Arc<Self>, asked: &message::Request, bytes: Vec<u8>) {
        let revision = asked.revision.as_deref();
        let outcome = self.exchange(bytes, revision, Teller::Request(asked)).await;
        let closed = self.state().open.remove(asked.id.key());
        self.back.forget(asked.id.key());
        let trouble = match outcome {
            Ok(true) => return,
            Ok(false) => Trouble::Broken,
            Err(trouble) => trouble,
        };
        if closed.is_some_and(|open| !open.is_cancelled) {
            self.say(error(Some(&asked.id), &format!("Weir: {trouble}")))
                .await;
        }
    }

    /// Sends what wants no answer. Whether it went.
    async fn tell(
        self: &Arc<Self>,
        bytes: Vec<u8>,
        revision: Option<&str>,
        teller: Teller<'_>,
    ) -> bool {
        match self.exchange(bytes, revision, teller).await {
            Ok(went) => went,
            Err(trouble) => {
                match teller {
                    Teller::Unread => self.say(error(None, &format!("Weir: {trouble}"))).await,
                    Teller::Request(_) | Teller::Nobody => eprintln!("weir: {trouble}"),
                }
                false
            }
        }
    }

    /// Sends a message and passes on what comes of it. Whether the request was answered, or
    /// what wants no answer was taken.
    async fn exchange(
        self: &Arc<Self>,
        bytes: Vec<u8>,
        revision: Option<&str>,
        teller: Teller<'_>,
    ) -> Result<bool, Trouble> {
        let body = Bytes::from(bytes);
        loop {
            let session = revision
                .is_none()
                .then(|| self.state().session.clone())
                .flatten();
            let mut request = Request::new(Full::new(body.clone()));
            *request.method_mut() = Method::POST;
            self.head(request.headers_mut(), revision, session.as_ref());
            if let (Teller::Request(asked), true) = (teller, revision.is_some()) {
                name(request.headers_mut(), asked);
            }
            let (response, flow) = self.send(request).await?;
            // The data plane was started anew and does not know its names for sessions any more;
            // nothing was sent on.
            if response.status() == StatusCode::NOT_FOUND && session.is_some() {
                self.state().session = None;
                continue;
            }
            return self.pass(teller, response, flow).await;
        }
    }

    fn head(&self, head: &mut HeaderMap, revision: Option<&str>, session: Option<&HeaderValue>) {
        head.insert(HOST, HeaderValue::from_static("localhost"));
        head.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        head.insert(
            ACCEPT,
            HeaderValue::from_static("application/json, text/event-stream"),
        );
        let settled = self.state().revision.clone();
        let revision = revision.or(settled.as_deref()).map(HeaderValue::from_str);
        if let Some(Ok(revision)) = revision {
            head.insert("mcp-protocol-version", revision);
        }
        if let Some(session) = session {
            head.insert("mcp-session-id", session.clone());
        }
        if let Some(authorization) = &self.authorization {
            head.insert(AUTHORIZATION, authorization.clone());
        }
    }

    /// Sends a request over a flow that is free, or a new one.
    async fn send(
        self: &Arc<Self>,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Flow), Trouble> {
        *request.uri_mut() = hyper::Uri::from_static("/mcp");
        loop {
            let idle = self.state().idle.pop();
            let Some(mut flow) = idle else { break };
            if flow.ready().await.is_err() {
                continue;
            }
            match flow.try_send_request(request).await {
                Ok(response) => return Ok((response, flow)),
                // One that was given back was never sent.
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(Trouble::Broken),
                },
            }
        }
        let (client, server) = self.gate.flow().await?;
        tokio::spawn(Arc::clone(&self.back).serve(server));
        let (mut flow, link) = handshake(TokioIo::new(client))
            .await
            .map_err(|_| Trouble::Broken)?;
        tokio::spawn(link);
        let response = flow.send_request(request).await;
        Ok((response.map_err(|_| Trouble::Broken)?, flow))
    }

    fn keep(&self, flow: Flow) {
        let mut state = self.state();
        if !flow.is_closed() && state.idle.len() < IDLE_FLOWS_MAX {
            state.idle.push(flow);
        }
    }

    async fn pass(
        &self,
        teller: Teller<'_>,
        response: Response<Incoming>,
        flow: Flow,
    ) -> Result<bool, Trouble> {
        if let Some(session) = response.headers().get("mcp-session-id") {
            self.state().session = Some(session.clone());
        }
        let status = response.status();
        let answered = if is_stream(&response) {
            self.pass_events(teller, response.into_body()).await?
        } else {
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
            let body = body.collect().await.map_err(|_| Trouble::Broken)?;
            self.pass_body(teller, status, body.to_bytes().to_vec())
                .await
        };
        self.keep(flow);
        Ok(answered)
    }

    async fn pass_body(&self, teller: Teller<'_>, status: StatusCode, body: Vec<u8>) -> bool {
        if status.is_success() {
            let is_empty = body.is_empty();
            if !is_empty {
                self.deliver(teller, body).await;
            }
            return matches!(teller, Teller::Nobody) || !is_empty;
        }
        let id = match teller {
            Teller::Request(asked) => Some(&asked.id),
            Teller::Unread => None,
            Teller::Nobody => {
                let text = String::from_utf8_lossy(&body);
                eprintln!("weir: a message was refused ({status}): {text}");
                return false;
            }
        };
        let told = error_for(id, &body)
            .unwrap_or_else(|| error(id, &format!("Weir refused this ({status})")));
        self.say(told).await;
        true
    }

    async fn pass_events(&self, teller: Teller<'_>, mut body: Incoming) -> Result<bool, Trouble> {
        let (mut parser, mut answered) = (Parser::new(ANSWER_BYTES_MAX), false);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Trouble::Broken)?.into_data() else {
                continue;
            };
            let mut rest = &data[..];
            while !rest.is_empty() {
                let (taken, item) = parser.take(rest).map_err(|_| Trouble::Broken)?;
                rest = rest.get(taken..).unwrap_or_default();
                if let Some(Item::Event(event)) = item
                    && let Some(data) = event.data.filter(|data| !data.is_empty())
                {
                    answered |= self.deliver(teller, data.into_bytes()).await;
                }
            }
        }
        Ok(answered)
    }

    /// Gives a message to the client. Whether it answers the request.
    async fn deliver(&self, teller: Teller<'_>, message: Vec<u8>) -> bool {
        let mut answers = false;
        if let Teller::Request(asked) = teller {
            for (_, seen) in split(&message).unwrap_or_default() {
                let Seen::Answer { id, revision } = seen else {
                    continue;
                };
                answers |= id == asked.id;
                // Before it had a header, nobody sent it (2025-06-18, "Key Changes").
                if let (Some(revision), "initialize") = (revision, asked.method.as_str()) {
                    self.state().revision = Some(revision).filter(|named| &**named >= FIRST_NAMED);
                }
            }
        }
        self.say(message).await;
        answers
    }

    async fn say(&self, message: Vec<u8>) {
        let to_client = self
            .to_client
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(to_client) = to_client {
            // A client that reads no more is told nothing more.
            let _ = to_client.send(on_one_line(message)).await;
        }
    }

    /// Says nothing more: what was said is written to its end then.
    pub(crate) fn hang_up(&self) {
        let mut to_client = self
            .to_client
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *to_client = None;
    }

    /// Opens the stream of the server's own messages, and opens it again when it ends.
    fn listen(self: &Arc<Self>) {
        if std::mem::replace(&mut self.state().is_listening, true) {
            return;
        }
        let front = Arc::clone(self);
        tokio::spawn(async move {
            let mut pause = REOPEN_MIN;
            loop {
                match front.listen_once().await {
                    Ok(true) => pause = REOPEN_MIN,
                    Ok(false) => return,
                    Err(_) => pause = (pause * 2).min(REOPEN_MAX),
                }
                tokio::time::sleep(pause).await;
            }
        });
    }

    /// Until the stream ends; `false` where there is none to be had.
    async fn listen_once(self: &Arc<Self>) -> Result<bool, Trouble> {
        let session = self.state().session.clone();
        let mut request = Request::new(Full::default());
        self.head(request.headers_mut(), None, session.as_ref());
        request.headers_mut().remove(CONTENT_TYPE);
        request
            .headers_mut()
            .insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        let (response, flow) = self.send(request).await?;
        if is_stream(&response) {
            self.pass_events(Teller::Nobody, response.into_body())
                .await?;
            self.keep(flow);
            return Ok(true);
        }
        match response.status() {
            StatusCode::NOT_FOUND if session.is_some() => {
                self.state().session = None;
                Ok(true)
            }
            StatusCode::METHOD_NOT_ALLOWED => Ok(false),
            status => {
                eprintln!("weir: the server's own messages are refused ({status})");
                Ok(false)
            }
        }
    }
}

fn is_stream(response: &Response<Incoming>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    response.status().is_success()
        && kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// The headers of 2026-07-28 that repeat the body.
fn name(head: &mut HeaderMap, asked: &message::Request) {
    let value = |text: &str| HeaderValue::from_str(&header_value(text)).ok();
    if let Some(method) = value(&asked.method) {
        head.insert("mcp-method", method);
    }
    if let Some(name) = asked.name.as_deref().and_then(value) {
        head.insert("mcp-name", name);
    }
}
