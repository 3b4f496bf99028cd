#![no_main]
//! What a client and a server may send: framing of HTTP and of events, JSON, messages, lists,
//! sealed names, metadata. The first byte says where the rest is cut.

use libfuzzer_sys::fuzz_target;
use weir_facts::{ConnectionName, Side};
use weir_mcp::authorization::{shown_challenge, shown_metadata};
use weir_mcp::cache;
use weir_mcp::definition::definitions;
use weir_mcp::http::rewrite::{Onward, request};
use weir_mcp::http::{Part, Reader, RequestHead, ResponseHead, encode_chunk, last_chunk};
use weir_mcp::json::{Document, Edits, KeyEquality, Value, canonical, removed_members};
use weir_mcp::list::List;
use weir_mcp::message::client::{Asked, ClientMethod};
use weir_mcp::message::server::answers;
use weir_mcp::message::stateless::{Envelope, Filter, check_fields, decode, encode};
use weir_mcp::message::{Body, Id, Revision, Shape};
use weir_mcp::reveal::{Shown, reveal, reveal_inner};
use weir_mcp::session::{Client, Holder, Origin, Seal, State};
use weir_mcp::sse::{self, Item, Parser};

fuzz_target!(|data: &[u8]| {
    let Some((cut, data)) = data.split_first() else {
        return;
    };
    let size = usize::from(*cut).max(1);
    http(size, data);
    events(size, data);
    if let Ok(document) = Document::parse(data) {
        assert!(std::str::from_utf8(data).is_ok(), "accepted, and no UTF-8");
        json(&document);
        messages(&document);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        names(text);
    }
});

/// What is said of a stream, whatever its cuts.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Head(String),
    Content(Vec<u8>),
    End,
    Wrong(String),
}

trait Told {
    fn told(&self) -> String;
}

impl Told for RequestHead {
    fn told(&self) -> String {
        // What goes on is one head that reads as what was judged.
        let onward = Onward {
            host: &self.host,
            authorization: None,
            credential: Some(("Authorization", "Bearer ours")),
            revision: None,
            session: None,
            last_event_id: None,
            traceparent: None,
            extra_fields: &[],
            repeated: &[],
            body_bytes: Some(7),
        };
        let out = request(self, &onward);
        let again = RequestHead::read(&out);
        if let Ok(again) = &again {
            assert_eq!((&again.target, &again.host), (&self.target, &self.host));
            assert_eq!(again.fields.all("authorization").count(), 1);
            assert!(again.fields.get("cookie").is_none());
        }
        format!("{:?} {}", self.method, self.target)
    }
}

impl Told for ResponseHead {
    fn told(&self) -> String {
        self.status.to_string()
    }
}

macro_rules! reader {
    ($name:ident, $head:ty) => {
        fn $name(size: usize, data: &[u8]) -> Vec<Said> {
            let mut reader = Reader::new(1 << 20);
            let mut said = Vec::new();
            for chunk in data.chunks(size) {
                let mut at = 0;
                loop {
                    let rest = chunk.get(at..).unwrap_or_default();
                    match reader.take::<$head>(rest) {
                        Ok((0, None)) => break,
                        Ok((taken, part)) => {
                            match part {
                                None => {}
                                Some(Part::Head(head)) => said.push(Said::Head(head.told())),
                                Some(Part::Content(span)) => {
                                    let content = &rest[span];
                                    match said.last_mut() {
                                        Some(Said::Content(all)) => all.extend_from_slice(content),
                                        _ => said.push(Said::Content(content.to_vec())),
                                    }
                                }
                                Some(Part::End) => said.push(Said::End),
                            }
                            at += taken;
                        }
                        Err(error) => {
                            said.push(Said::Wrong(error.to_string()));
                            return said;
                        }
                    }
                }
            }
            said
        }
    };
}

reader!(requests, RequestHead);
reader!(answered, ResponseHead);

/// A chunk that is too long is refused when its size is read, before content that is already here.
fn sure(mut said: Vec<Said>) -> Vec<Said> {
    if let Some(Said::Wrong(_)) = said.last() {
        said.pop();
        if let Some(Said::Content(_)) = said.last() {
            said.pop();
        }
        said.push(Said::Wrong(String::new()));
    }
    said
}

fn http(size: usize, data: &[u8]) {
    assert_eq!(sure(requests(size, data)), sure(requests(usize::MAX, data)));
    assert_eq!(sure(answered(size, data)), sure(answered(usize::MAX, data)));
    let mut stream = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    data.chunks(size)
        .for_each(|piece| encode_chunk(piece, &mut stream));
    last_chunk(&mut stream);
    let content = match answered(size, &stream).get(1) {
        Some(Said::Content(content)) => content.clone(),
        _ => Vec::new(),
    };
    assert_eq!(content, data);
}

fn items(size: usize, data: &[u8]) -> (Vec<Item>, bool) {
    let mut parser = Parser::new(1 << 16);
    let mut items = Vec::new();
    for chunk in data.chunks(size) {
        let mut at = 0;
        while at < chunk.len() {
            match parser.take(&chunk[at..]) {
                Ok((taken, item)) => {
                    assert!(taken > 0, "no progress");
                    at += taken;
                    items.extend(item);
                }
                Err(_) => return (items, true),
            }
        }
    }
    (items, false)
}

fn events(size: usize, data: &[u8]) {
    let whole = items(usize::MAX, data);
    assert_eq!(items(size, data), whole);
    for item in whole.0 {
        let Item::Event(event) = item else { continue };
        let mut out = Vec::new();
        sse::encode(&event, &mut out);
        let (again, _) = items(size, &out);
        let [Item::Event(again)] = again.as_slice() else {
            panic!("one event became {again:?}");
        };
        let one_line = |text: &String| text.replace(['\r', '\n'], " ");
        assert_eq!(again.data, event.data.as_ref().map(one_line));
        assert_eq!((&again.id, again.retry), (&event.id, event.retry));
        assert!(
            again
                .retry
                .is_none_or(|retry| retry <= weir_mcp::limits::RETRY_MS_MAX)
        );
    }
}

fn spelled(value: &Value<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    canonical(value, &mut out);
    out
}

fn json(document: &Document<'_>) {
    let once = spelled(&document.root());
    let again = Document::parse(&once).expect("canonical JSON is JSON");
    if document.unique_keys_everywhere(KeyEquality::Exact).is_ok() {
        assert_eq!(spelled(&again.root()), once);
    }
    // Everything that is offered can be hidden, and what is left is JSON.
    for hide in [Shown::Null, Shown::Text("\"\\\u{1}x".into())] {
        let edits = reveal(document, |_| hide.clone());
        Document::parse(&edits.apply(document.bytes())).expect("masked JSON is JSON");
        let edits = reveal_inner(document, |_| hide.clone());
        Document::parse(&edits.apply(document.bytes())).expect("masked JSON is JSON");
    }
    let root = document.root();
    let spans = removed_members(&root, |key| key.raw().len() % 2 == 0);
    let removed = spans.into_iter().map(|span| (span, Vec::new())).collect();
    let out = Edits::sorted(removed)
        .expect("apart")
        .apply(document.bytes());
    let left = Document::parse(&out).expect("what is left is JSON");
    assert!(
        left.root()
            .members()
            .all(|(key, _)| key.raw().len() % 2 == 1)
    );
    let bounded = Edits::sorted(cache::bounded(&root));
    if root.unique_keys(KeyEquality::Folded).is_ok() && !root.raw().is_empty() {
        let out = bounded.expect("apart").apply(document.bytes());
        if root.members().next().is_some() {
            let out = Document::parse(&out).expect("a bounded result is JSON");
            let scope = out.root().get("cacheScope").expect("a scope");
            assert!(scope.is_text("private"));
        }
    }
    for tool in definitions(&root) {
        let _ = (tool.has_hidden_text(), tool.is_showable());
        Document::parse(&tool.canonical).expect("a definition is JSON");
    }
    let _ = answers(&root);
    let _ = Filter::read(Some(root));
    for list in [
        List::Tools,
        List::Prompts,
        List::Resources,
        List::ResourceTemplates,
    ] {
        let Ok(filtered) = list.filter(&root, |name| name.len() % 2 == 0) else {
            continue;
        };
        let out = filtered.edits.apply(document.bytes());
        let out = Document::parse(&out).expect("a filtered list is JSON");
        let kept = list.filter(&out.root(), |_| true).expect("a list").kept;
        assert_eq!(kept, filtered.kept);
        assert!(kept.iter().all(|name| name.len() % 2 == 0));
    }
}

fn messages(document: &Document<'_>) {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: a\r\nMcp-Param-a: 1\r\n\r\n";
    let head = RequestHead::read(head).expect("proper");
    for revision in Revision::ALL.iter().copied() {
        let _ = Body::read(document, Side::Server, revision);
        let Ok(body) = Body::read(document, Side::Client, revision) else {
            continue;
        };
        for message in body.messages() {
            let (Shape::Request { method, params, .. } | Shape::Notification { method, params }) =
                &message.shape
            else {
                continue;
            };
            if let Ok((_, version)) = Envelope::read(*params) {
                let _ = check_fields(&head.fields, &version, method, *params, None);
            }
            let Ok(asked) = Asked::read(revision, method, *params) else {
                continue;
            };
            assert_eq!(asked.accesses.len(), 1);
            assert_eq!(asked.method, ClientMethod::read(revision, method));
            let all = asked.canonical_with(*params, &[]);
            assert!(all.starts_with(&asked.canonical()));
        }
    }
}

fn names(text: &str) {
    assert_eq!(decode(&encode(text)).as_deref(), Some(text));
    let _ = decode(text);
    if let Some(shown) = shown_challenge(text, "https://a") {
        assert!(
            shown.starts_with("Bearer") && shown.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        );
        assert!(shown_challenge(&shown, "https://a").is_some(), "{shown}");
    }
    if let Some(shown) = shown_metadata(text.as_bytes()) {
        Document::parse(&shown).expect("metadata is JSON");
    }
    let seal = Seal::new(&[7; 32]);
    let connection = ConnectionName::new("c");
    let holder = Holder {
        connection: &connection,
        caller: b"ann",
        session: text,
    };
    let client = Client {
        opens_urls: text.len() % 2 == 1,
    };
    let whole = Some((text.to_owned(), client));
    if let Some(shown) = seal.session(&holder, client) {
        assert_eq!(seal.open_session(&connection, b"ann", &shown), whole);
        assert_eq!(seal.open_session(&connection, b"bob", &shown), None);
    }
    if let Some(shown) = seal.concealed_session(&holder, client) {
        assert_eq!(seal.open_session(&connection, b"ann", &shown), whole);
    }
    assert_eq!(seal.open_session(&connection, b"ann", text), None);
    assert_eq!(seal.open_task(&holder, text), None);
    assert_eq!(seal.open_event(&holder, text), None);
    let state = State {
        origin: Origin::Server,
        expires_s: 9,
        content: text,
    };
    if let Some(shown) = seal.state(&holder, b"b", &state) {
        let opened = seal.open_state(&holder, b"b", 1, &shown);
        assert_eq!(opened, Some((Origin::Server, text.to_owned())));
        assert_eq!(seal.open_state(&holder, b"c", 1, &shown), None);
    }
    let quoted = Document::parse(text.as_bytes()).ok();
    if let Some(id) = quoted.and_then(|document| Id::read(&document.root())) {
        let shown = seal.request(&holder, &id);
        let shown = Document::parse(&shown).expect("an id is JSON");
        if let Some(shown) = Id::read(&shown.root()) {
            assert_eq!(
                seal.open_request(&holder, &shown).as_deref(),
                Some(id.raw())
            );
        }
    }
}
