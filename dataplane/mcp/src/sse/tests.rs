use proptest::prelude::*;

use super::*;

fn read(stream: &[u8], sizes: impl Iterator<Item = usize>) -> Result<Vec<Item>, SseError> {
    let mut parser = Parser::new(1024);
    let mut items = Vec::new();
    let mut rest = stream;
    for size in sizes.chain(std::iter::repeat(usize::MAX)) {
        if rest.is_empty() {
            break;
        }
        let (mut chunk, after) = rest.split_at(size.clamp(1, rest.len()));
        rest = after;
        while !chunk.is_empty() {
            let (taken, item) = parser.take(chunk)?;
            chunk = &chunk[taken..];
            items.extend(item);
        }
    }
    Ok(items)
}

fn whole(stream: &[u8]) -> Result<Vec<Item>, SseError> {
    read(stream, std::iter::empty())
}

fn data(text: &str) -> Item {
    Item::Event(Event {
        data: Some(text.into()),
        ..Event::default()
    })
}

#[test]
fn events_are_read_as_the_standard_says() {
    let cases: &[(&str, Vec<Item>)] = &[
        ("data: x\n\n", vec![data("x")]),
        ("data:x\r\rdata: y\r\n\r\n", vec![data("x"), data("y")]),
        ("data:  x\n\n", vec![data(" x")]),
        ("data: a\ndata: b\ndata\n\n", vec![data("a\nb\n")]),
        ("\u{feff}data: x\n\n", vec![data("x")]),
        ("data: x\n", vec![]),
        ("data: x", vec![]),
        ("\n\n\n", vec![]),
        (": hello\n\n", vec![Item::Comment]),
        ("nonsense\nother: x\n\n", vec![]),
        (
            "event: message\nid: 7\nretry: 500\ndata: {}\n\n",
            vec![Item::Event(Event {
                id: Some("7".into()),
                event: Some("message".into()),
                data: Some("{}".into()),
                retry: Some(500),
            })],
        ),
        (
            "id: p\ndata:\n\n",
            vec![Item::Event(Event {
                id: Some("p".into()),
                data: Some(String::new()),
                ..Event::default()
            })],
        ),
        ("id: a\0b\ndata: x\n\n", vec![data("x")]),
        ("retry: 5s\ndata: x\n\n", vec![data("x")]),
        (
            "retry: 4111111111111111\n\n",
            vec![Item::Event(Event {
                retry: Some(RETRY_MS_MAX),
                ..Event::default()
            })],
        ),
    ];
    for (stream, items) in cases {
        assert_eq!(whole(stream.as_bytes()).as_ref(), Ok(items), "{stream:?}");
    }
}

#[test]
fn a_value_cannot_begin_a_line() {
    let mut out = Vec::new();
    let event = Event {
        data: Some("{\"a\":\r\n\n1,\"b\":\"\u{2028}\"}".into()),
        ..Event::default()
    };
    encode(&event, &mut out);
    assert_eq!(out, "data: {\"a\":   1,\"b\":\"\u{2028}\"}\n\n".as_bytes());
    let event = Event {
        event: Some("message\ndata: injected".into()),
        ..Event::default()
    };
    out.clear();
    encode(&event, &mut out);
    assert_eq!(out, b"event: message data: injected\n\n");
}

#[test]
fn an_endless_event_is_refused() {
    assert_eq!(whole(&[b'x'; 1025]), Err(SseError::TooLarge));
    assert_eq!(
        whole(format!("data: {}\n\n", "x".repeat(2000)).as_bytes()),
        Err(SseError::TooLarge)
    );
    assert_eq!(
        whole("data:\n".repeat(300).as_bytes()),
        Err(SseError::TooLarge)
    );
    assert_eq!(
        whole(":\n".repeat(2000).as_bytes()).map(|items| items.len()),
        Err(SseError::TooLarge)
    );
}

#[test]
fn an_event_that_is_not_utf8_is_refused() {
    assert_eq!(whole(b"data: \xff\n\n"), Err(SseError::Utf8));
}

fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("data: "),
        Just("data"),
        Just("id: 1"),
        Just("event: message"),
        Just(":"),
        Just("\n"),
        Just("\r"),
        Just("\r\n"),
        Just("\n\n"),
        Just("x"),
        Just("é"),
        Just("retry: 3"),
        Just("\u{feff}"),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn splitting_anywhere_changes_nothing(stream in any_stream(), sizes in proptest::collection::vec(1usize..5, 0..100)) {
        prop_assert_eq!(whole(&stream), read(&stream, sizes.into_iter()));
    }

    #[test]
    fn an_event_written_reads_as_itself(id in "[!-~]{0,9}", text in "[^\r\n]{0,50}") {
        let event = Event { id: Some(id), event: None, data: Some(text), retry: None };
        let mut out = Vec::new();
        encode(&event, &mut out);
        prop_assert_eq!(whole(&out), Ok(vec![Item::Event(event)]));
    }

    #[test]
    fn no_bytes_make_it_panic(stream in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = whole(&stream);
    }
}
