//! The server's end: speaks Streamable HTTP for a process that speaks lines.
//!
//! A request waits for the line with its id. What the server sends before that, about that
//! request or while it is the only one, goes out in its answer, which is a stream of events
//! then; everything else goes out in the stream that GET opens.

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use weir_mcp::limits::REQUEST_BODY_BYTES_MAX;
use weir_mcp::message::{Id, IdKey};

use super::limits::WAITING_MESSAGES_MAX;
use super::lines::on_one_line;
use super::message::{self, Seen, cancellation, split};

/// What goes to the process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToServer {
    /// A message.
    Line(Vec<u8>),
    /// No more will come.
    End,
}

/// What goes to one request.
enum ToAsker {
    /// Something that comes before its answer.
    Before(Vec<u8>),
    /// Its answer.
    Answer(Vec<u8>),
}

struct Asking {
    /// Which of those that have had this id.
    serial: u64,
    to: mpsc::Sender<ToAsker>,
    progress: Option<IdKey>,
    /// `subscriptions/listen` and the like: they wait for no answer, so what the server says
    /// meanwhile is not about them.
    is_stream: bool,
}

/// The server's own messages, for whoever opens the stream.
#[derive(Default)]
struct Own {
    waiting: VecDeque<Vec<u8>>,
    waker: Option<Waker>,
}

#[derive(Default)]
struct State {
    asking: HashMap<IdKey, Asking>,
    serial: u64,
    own: Own,
    is_gone: bool,
}

/// The server's end.
pub(crate) struct Back {
    to_server: mpsc::Sender<ToServer>,
    /// Sent with every answer, so that a client which has lost it has it again.
    session: String,
    /// Requests that have reached the process.
    delivered: Mutex<HashSet<IdKey>>,
    state: Mutex<State>,
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

impl Back {
    pub(crate) fn new(session: String, to_server: mpsc::Sender<ToServer>) -> Arc<Self> {
        Arc::new(Self {
            to_server,
            session,
            delivered: Mutex::default(),
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request has reached the process.
    pub(crate) fn is_delivered(&self, id: &IdKey) -> bool {
        self.delivered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(id)
    }

    /// Forgets that it has: its client has had the answer.
    pub(crate) fn forget(&self, id: &IdKey) {
        self.delivered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }

    /// Serves one flow until its end.
    pub(crate) async fn serve(self: Arc<Self>, link: UnixStream) {
        let service = hyper::service::service_fn(|request| {
            let back = Arc::clone(&self);
            async move { Ok::<_, Infallible>(back.answer(request).await) }
        });
        // However it ends, what was asked in it is told by the client's end.
        let _ = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(link), service)
            .await;
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        if request.method() == Method::GET {
            return self.with_session(events(OwnEvents(Arc::clone(&self))));
        }
        if request.method() != Method::POST {
            let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED);
            let allowed = hyper::header::HeaderValue::from_static("GET, POST");
            refused.headers_mut().insert(ALLOW, allowed);
            return refused;
        }
        let body = Limited::new(request.into_body(), REQUEST_BODY_BYTES_MAX);
        let Ok(body) = body.collect().await else {
            return plain(StatusCode::PAYLOAD_TOO_LARGE);
        };
        let body = body.to_bytes().to_vec();
        let mut messages = split(&body).unwrap_or_default();
        let (Some((_, seen)), true) = (messages.pop(), messages.is_empty()) else {
            return refusal(StatusCode::BAD_REQUEST, None, "one message at a time");
        };
        match seen {
            Seen::Request(asked) => self.ask(asked, body).await,
            Seen::Notification(_) | Seen::Answer { .. } | Seen::Unclear => self.tell(body).await,
        }
    }

    async fn tell(self: Arc<Self>, body: Vec<u8>) -> Answer {
        let line = ToServer::Line(on_one_line(body));
        match self.to_server.send(line).await {
            Ok(()) => self.with_session(plain(StatusCode::ACCEPTED)),
            Err(_) => refusal(StatusCode::BAD_GATEWAY, None, SERVER_GONE),
        }
    }

    async fn ask(self: Arc<Self>, asked: message::Request, body: Vec<u8>) -> Answer {
        let (to, mut from) = mpsc::channel(WAITING_MESSAGES_MAX);
        let place = match self.enter(&asked, to) {
            Ok(place) => place,
            Err(why) => return refusal(StatusCode::OK, Some(&asked.id), why),
        };
        let line = ToServer::Line(on_one_line(body));
        if self.to_server.send(line).await.is_err() {
            return refusal(StatusCode::OK, Some(&asked.id), SERVER_GONE);
        }
        self.delivered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(asked.id.key().clone());
        let answer = match from.recv().await {
            Some(ToAsker::Answer(answer)) => {
                let mut answer = Response::new(Full::from(answer).boxed());
                let json = hyper::header::HeaderValue::from_static("application/json");
                answer.headers_mut().insert(CONTENT_TYPE, json);
                answer
            }
            Some(ToAsker::Before(first)) => events(AskedEvents {
                first: Some(first),
                from,
                place,
                is_over: false,
            }),
            // Cancelled: nothing more is said of it.
            None if !self.state().is_gone => events(NoEvents),
            None => return refusal(StatusCode::OK, Some(&asked.id), SERVER_GONE),
        };
        self.with_session(answer)
    }

    fn enter(
        self: &Arc<Self>,
        asked: &message::Request,
        to: mpsc::Sender<ToAsker>,
    ) -> Result<Place, &'static str> {
        let mut state = self.state();
        if state.is_gone {
            return Err(SERVER_GONE);
        }
        if state.asking.contains_key(asked.id.key()) {
            return Err("a request with this id is unanswered");
        }
        state.serial += 1;
        let asking = Asking {
            serial: state.serial,
            to,
            progress: asked.progress.clone(),
            is_stream: asked.method == "subscriptions/listen",
        };
        let serial = state.serial;
        state.asking.insert(asked.id.key().clone(), asking);
        Ok(Place {
            back: Arc::clone(self),
            id: asked.id.clone(),
            serial,
            // Until 2025-11-25 a client that leaves has cancelled nothing (transports).
            cancels: asked.revision.is_some(),
        })
    }

    fn with_session(&self, mut answer: Answer) -> Answer {
        if let Ok(session) = self.session.parse() {
            answer.headers_mut().insert("mcp-session-id", session);
        }
        answer
    }

    /// A line of the process. Says what was wrong with one that is no message.
    pub(crate) async fn take(&self, line: &[u8]) -> Result<(), &'static str> {
        let Some(messages) = split(line) else {
            return Err("a line that is no JSON");
        };
        for (bytes, seen) in messages {
            let bytes = on_one_line(bytes);
            let (to, said) = match self.route(&seen)? {
                Route::Answer(to) => (to, ToAsker::Answer(bytes)),
                Route::Before(to) => (to, ToAsker::Before(bytes)),
                Route::Nobody => continue,
                Route::Own => {
                    self.own(bytes)?;
                    continue;
                }
            };
            // An asker that is gone wants nothing more.
            let _ = to.send(said).await;
        }
        Ok(())
    }

    fn route(&self, seen: &Seen) -> Result<Route, &'static str> {
        let mut state = self.state();
        let (progress, subscription) = match seen {
            Seen::Answer { id, .. } => {
                let asked = state.asking.remove(id.key());
                return Ok(asked.map_or(Route::Nobody, |asked| Route::Answer(asked.to)));
            }
            Seen::Notification(told) => (told.progress.as_ref(), told.subscription.as_ref()),
            Seen::Request(_) => (None, None),
            Seen::Unclear => return Err("a line that is no message"),
        };
        let named = subscription
            .and_then(|id| state.asking.get(id))
            .or_else(|| {
                let token = progress?;
                let mut all = state.asking.values();
                all.find(|asking| asking.progress.as_ref() == Some(token))
            });
        let mut calls = state.asking.values().filter(|asking| !asking.is_stream);
        let only = match (calls.next(), calls.next()) {
            (Some(only), None) => Some(only),
            (Some(_) | None, _) => None,
        };
        Ok(named
            .or(only)
            .map_or(Route::Own, |asking| Route::Before(asking.to.clone())))
    }

    fn own(&self, message: Vec<u8>) -> Result<(), &'static str> {
        let mut state = self.state();
        if state.own.waiting.len() >= WAITING_MESSAGES_MAX {
            return Err("a message that nobody takes: too many wait already");
        }
        state.own.waiting.push_back(message);
        if let Some(waker) = state.own.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    /// A client's request is cancelled: nobody waits for its answer any more.
    pub(crate) fn cancelled(&self, id: &IdKey) {
        self.state().asking.remove(id);
    }

    /// The process has ended.
    pub(crate) fn gone(&self) {
        let mut state = self.state();
        state.is_gone = true;
        state.asking.clear();
    }
}

enum Route {
    Answer(mpsc::Sender<ToAsker>),
    Before(mpsc::Sender<ToAsker>),
    Own,
    Nobody,
}

const SERVER_GONE: &str = "the server has ended";

/// A request's place among those that wait; left when the request is over, however it ends.
struct Place {
    back: Arc<Back>,
    id: Id,
    serial: u64,
    cancels: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.back.state();
        let waits = state
            .asking
            .get(self.id.key())
            .is_some_and(|asking| asking.serial == self.serial);
        if !waits {
            return;
        }
        state.asking.remove(self.id.key());
        if self.cancels && !state.is_gone {
            // A full queue is a server that does not read: it is not told of this either.
            let _ = self
                .back
                .to_server
                .try_send(ToServer::Line(cancellation(&self.id)));
        }
    }
}

/// The answer to a request that is more than its answer.
struct AskedEvents {
    first: Option<Vec<u8>>,
    from: mpsc::Receiver<ToAsker>,
    #[expect(dead_code, reason = "leaves its place when the answer is over")]
    place: Place,
    is_over: bool,
}

impl Body for AskedEvents {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(first) = self.first.take() {
            return event(&first);
        }
        if self.is_over {
            return Poll::Ready(None);
        }
        match self.from.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(ToAsker::Before(message))) => event(&message),
            Poll::Ready(Some(ToAsker::Answer(message))) => {
                self.is_over = true;
                event(&message)
            }
        }
    }
}

/// The server's own messages.
struct OwnEvents(Arc<Back>);

impl Body for OwnEvents {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut state = self.0.state();
        match state.own.waiting.pop_front() {
            Some(message) => event(&message),
            None if state.is_gone => Poll::Ready(None),
            None => {
                state.own.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// A stream that says nothing.
struct NoEvents;

impl Body for NoEvents {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}

fn event(message: &[u8]) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
    let event = [b"data: ", message, b"\n\n"].concat();
    Poll::Ready(Some(Ok(Frame::data(event.into()))))
}

fn events(body: impl Body<Data = Bytes, Error = Infallible> + Send + Sync + 'static) -> Answer {
    let mut answer = Response::new(body.boxed());
    let kind = hyper::header::HeaderValue::from_static("text/event-stream");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

fn plain(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default().boxed());
    *answer.status_mut() = status;
    answer
}

fn refusal(status: StatusCode, id: Option<&Id>, text: &str) -> Answer {
    let mut answer = Response::new(Full::from(message::error(id, text)).boxed());
    let json = hyper::header::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    *answer.status_mut() = status;
    answer
}
