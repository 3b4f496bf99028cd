//! What a client hears while its call waits for people: an answer that has begun, as events.
//!
//! Some clients give up on a call that is silent for long, and some count only progress. A call
//! that waits begins its answer as a stream of events, and whatever becomes of the call ends it.

use weir_mcp::http::rewrite::{Answer, AnswerFraming, answer};
use weir_mcp::http::{Version, encode_chunk, last_chunk};
use weir_mcp::message::Id;
use weir_mcp::sse::{self, Event};

use super::exchange::Exchange;
use super::posted;
use super::sessions::Session;
use crate::io::{Env, Piece};

/// Tells a client that its call still waits; the first time, begins the answer.
pub(crate) fn beat(
    env: &mut Env<'_>,
    exchange: &mut Exchange,
    closes: bool,
    progress: Option<(&Id, u32)>,
) {
    let framing = match exchange.begun {
        Some(framing) => framing,
        None => begin(env, exchange, closes),
    };
    exchange.begun = Some(framing);
    let mut events = Vec::new();
    match progress {
        Some((token, beats)) => sse::encode(&message(waiting(token, beats)), &mut events),
        None => events.extend_from_slice(sse::KEEP_ALIVE),
    }
    send(env, framing, &events);
}

/// The same where the client's stream is another flow's. One that has not asked for progress hears
/// nothing: its message was answered, and the stream is kept alive by the server.
pub(crate) fn beat_on_stream(env: &mut Env<'_>, session: &Session, progress: Option<(&Id, u32)>) {
    if let Some((token, beats)) = progress {
        posted::tell(env, session, waiting(token, beats));
    }
}

fn begin(env: &mut Env<'_>, exchange: &Exchange, closes: bool) -> AnswerFraming {
    let framing = match exchange.head.version {
        Version::Http11 => AnswerFraming::Chunked,
        Version::Http10 => AnswerFraming::UntilClose,
    };
    let head = Answer {
        status: 200,
        content_type: Some("text/event-stream"),
        session: None,
        framing,
        closes,
        extra: &[],
    };
    env.out
        .to_client
        .push(Piece::Bytes(answer(&head, None).into()));
    framing
}

/// Progress must grow with every notification. In small steps, the server's own may follow.
fn waiting(token: &Id, beats: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    out.extend_from_slice(
        br#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"#,
    );
    out.extend_from_slice(token.raw());
    let step = f64::from(beats) / 1000.0;
    out.extend_from_slice(
        format!(r#","progress":{step:.3},"message":"waiting for approval"}}}}"#).as_bytes(),
    );
    out
}

/// Messages that are the last of an answer that has begun.
pub(crate) fn finish(env: &mut Env<'_>, framing: AnswerFraming, messages: Vec<Vec<u8>>) {
    let mut events = Vec::new();
    for bytes in messages {
        sse::encode(&message(bytes), &mut events);
    }
    send(env, framing, &events);
    if framing == AnswerFraming::Chunked {
        let mut end = Vec::new();
        last_chunk(&mut end);
        env.out.to_client.push(Piece::Bytes(end.into()));
    }
}

/// Messages of ours are valid UTF-8, and those of servers were read as JSON.
fn message(bytes: Vec<u8>) -> Event {
    let data = String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Event {
        data: Some(data),
        ..Event::default()
    }
}

fn send(env: &mut Env<'_>, framing: AnswerFraming, events: &[u8]) {
    if events.is_empty() {
        return;
    }
    let bytes = if framing == AnswerFraming::Chunked {
        let mut chunk = Vec::with_capacity(events.len() + 16);
        encode_chunk(events, &mut chunk);
        chunk
    } else {
        events.to_vec()
    };
    env.out.to_client.push(Piece::Bytes(bytes.into()));
}
