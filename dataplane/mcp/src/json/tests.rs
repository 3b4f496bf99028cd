use proptest::prelude::*;

use super::*;
use crate::limits;

mod twin;

/// Bodies that parsers read differently, or that no parser should take, and why.
const REFUSED: &[(&str, &[u8])] = &[
    ("nothing", b""),
    ("only white space", b" \n"),
    ("a second document", br#"{"a":1}{"b":2}"#),
    ("a trailing word", br#"{"a":1} x"#),
    ("a byte order mark", b"\xEF\xBB\xBF{}"),
    ("UTF-16", b"{\0}\0"),
    ("a byte that is not UTF-8", b"{\"a\":\"\xff\"}"),
    ("an overlong encoding", b"\"\xc0\xaf\""),
    ("an encoded surrogate", b"\"\xed\xa0\x80\""),
    ("a cut character before a quote", b"\"\xe2\x82\""),
    ("a lone high surrogate", br#""\ud800""#),
    ("a lone low surrogate", br#""\udc00""#),
    ("two high surrogates", br#""\ud800\ud800""#),
    ("a high surrogate and a letter", br#""\ud800a""#),
    ("a raw newline in a string", b"\"a\nb\""),
    ("a raw NUL in a string", b"\"a\0b\""),
    ("an unknown escape", br#""\x41""#),
    ("a short escape", br#""\u12""#),
    ("an escape with a sign", br#""\u+123""#),
    ("an open string", br#""abc"#),
    ("an open object", br#"{"a":1"#),
    ("an open array", br"[1,2"),
    ("a trailing comma in an object", br#"{"a":1,}"#),
    ("a trailing comma in an array", b"[1,]"),
    ("a leading comma", b"[,1]"),
    ("a missing comma", b"[1 2]"),
    ("a missing colon", br#"{"a" 1}"#),
    ("a key without quotes", b"{a:1}"),
    ("a number as key", b"{1:1}"),
    ("single quotes", b"{'a':1}"),
    ("a comment", b"{}//x"),
    ("NaN", b"NaN"),
    ("Infinity", b"[Infinity]"),
    ("a leading zero", b"01"),
    ("a leading plus", b"+1"),
    ("a bare minus", b"-"),
    ("a bare point", b"1."),
    ("a leading point", b".5"),
    ("a bare exponent", b"1e"),
    ("a number beyond a double", b"1e400"),
    ("a number beyond a double without exponent", &[b'9'; 310]),
    ("hexadecimal", b"0x10"),
    ("a mismatched bracket", b"[}"),
    ("a capital word", b"True"),
    ("half a word", b"tru"),
    ("a form feed as white space", b"\x0c{}"),
    ("a no-break space", b"\xc2\xa0{}"),
];

#[test]
fn a_body_that_parsers_could_read_differently_is_refused() {
    for (what, body) in REFUSED {
        assert!(Document::parse(body).is_err(), "{what}");
    }
}

#[test]
fn every_prefix_of_a_document_is_refused() {
    let whole = br#"{"a":[1,-2.5e3,"x\u00e9\ud83d\ude00",true,null,{}],"b":"\u20ac"}"#;
    assert!(Document::parse(whole).is_ok());
    for end in 0..whole.len() {
        assert!(Document::parse(&whole[..end]).is_err(), "{end}");
    }
}

#[test]
fn nesting_is_read_up_to_the_cap_and_refused_beyond() {
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    assert!(Document::parse(&nested(limits::JSON_DEPTH_MAX)).is_ok());
    for depth in [limits::JSON_DEPTH_MAX + 1, 5_000, 200_000] {
        assert!(
            matches!(Document::parse(&nested(depth)), Err(JsonError::Deep(_))),
            "{depth}"
        );
    }
}

#[test]
fn members_are_found_by_their_meaning_not_their_spelling() {
    let body = br#"{"m\u0065thod":"tools\/call","n":{"deep":[1,{"x":2}]},"last":3}"#;
    let document = Document::parse(body).expect("valid");
    let root = document.root();
    assert_eq!(
        root.get("method").and_then(|v| v.text()).as_deref(),
        Some("tools/call")
    );
    assert_eq!(root.get("last").and_then(|v| v.number()), Some("3"));
    assert_eq!(
        root.get("n").map(|v| v.raw()),
        Some(&br#"{"deep":[1,{"x":2}]}"#[..])
    );
    assert_eq!(root.get("deep").map(|v| v.kind()), None);
    assert_eq!(root.members().count(), 3);
}

#[test]
fn keys_that_any_parser_takes_for_one_are_duplicates() {
    let cases: &[(&str, bool, bool)] = &[
        (r#"{"a":1,"b":2}"#, false, false),
        (r#"{"method":1,"method":2}"#, true, true),
        (r#"{"method":1,"m\u0065thod":2}"#, true, true),
        (r#"{"method":1,"METHOD":2}"#, false, true),
        (r#"{"params":1,"param\u017f":2}"#, false, true),
        (r#"{"params":1,"paramſ":2}"#, false, true),
        (r#"{"token":1,"to\u212aen":2}"#, false, true),
        (r#"{"é":1,"É":2}"#, false, true),
        (r#"{"ς":1,"σ":2}"#, false, true),
        (r#"{"o":{"x":1,"x":2}}"#, true, true),
        (r#"[{"x":1},{"x":2}]"#, false, false),
        (
            r#"{"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"a":0,"A":0}"#,
            false,
            true,
        ),
        (
            r#"{"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"a":0,"a":0}"#,
            true,
            true,
        ),
    ];
    for (body, exact, folded) in cases {
        let document = Document::parse(body.as_bytes()).expect(body);
        assert_eq!(
            document.unique_keys_everywhere(KeyEquality::Exact).is_err(),
            *exact,
            "{body}"
        );
        assert_eq!(
            document
                .unique_keys_everywhere(KeyEquality::Folded)
                .is_err(),
            *folded,
            "{body}"
        );
    }
}

#[test]
fn values_that_mean_the_same_have_one_canonical_form() {
    let form = |body: &str| {
        let mut out = Vec::new();
        canonical(
            &Document::parse(body.as_bytes()).expect(body).root(),
            &mut out,
        );
        String::from_utf8(out).expect("canonical form is UTF-8")
    };
    assert_eq!(
        form(r#" { "b" : [ 1 , "\u0041\/" ] , "a" : { } } "#),
        r#"{"a":{},"b":[1,"A/"]}"#
    );
    assert_ne!(form(r#"{"a":1}"#), form(r#"{"a":1.0}"#));
    assert_ne!(form(r#"{"a":1}"#), form(r#"{"a":"1"}"#));
    assert_ne!(form(r"[1,2]"), form(r"[2,1]"));
}

/// Any JSON value, written in the ways that JSON leaves open.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<i32>().prop_map(|quarters| (f64::from(quarters) / 4.0).into()),
        ".*".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            proptest::collection::hash_map(".{0,12}", inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The same value by our tape, as a slow reference reads it.
fn as_serde(value: &Value<'_>) -> serde_json::Value {
    match value.kind() {
        Kind::Object => serde_json::Value::Object(
            value
                .members()
                .map(|(key, value)| (key.text().unwrap().into_owned(), as_serde(&value)))
                .collect(),
        ),
        Kind::Array => value.elements().map(|element| as_serde(&element)).collect(),
        Kind::String | Kind::Key => value.text().unwrap().into_owned().into(),
        Kind::Number => serde_json::from_str(value.number().unwrap()).unwrap(),
        Kind::True => true.into(),
        Kind::False => false.into(),
        Kind::Null => serde_json::Value::Null,
    }
}

proptest! {
    #[test]
    fn what_serde_json_writes_is_read_alike(value in any_json(), pretty in any::<bool>()) {
        let body = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
        let document = Document::parse(&body).unwrap();
        prop_assert_eq!(as_serde(&document.root()), value);
    }

    #[test]
    fn what_is_accepted_serde_json_and_simd_json_accept_alike(
        value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut body = serde_json::to_vec(&value).unwrap();
        let at = at.index(body.len());
        if cut { body.remove(at); } else { body[at] = byte; }
        if let Ok(document) = Document::parse(&body) {
            let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
            prop_assert_eq!(as_serde(&document.root()), read);
            prop_assert!(
                simd_json::to_tape(&mut body.clone()).is_ok() || has_integer_beyond_64_bits(&body)
            );
        } else if let Ok(read) = serde_json::from_slice::<serde_json::Value>(&body) {
            prop_assert!(false, "serde_json reads what is refused: {:?}", read);
        }
    }

    #[test]
    fn text_is_quoted_as_byte_by_byte(text in "([ -~]{0,70}|[\u{0}-\u{1f}\"\\\\\u{7f}é😀]){0,8}") {
        let mut quoted = Vec::new();
        quote(&text, &mut quoted);
        let mut slow = vec![b'"'];
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => slow.extend([b'\\', byte]),
                b'\n' => slow.extend(b"\\n"),
                b'\r' => slow.extend(b"\\r"),
                b'\t' => slow.extend(b"\\t"),
                0..0x20 | 0x7f => slow.extend(format!("\\u{byte:04x}").bytes()),
                _ => slow.push(byte),
            }
        }
        slow.push(b'"');
        prop_assert_eq!(quoted, slow);
    }

    #[test]
    fn text_survives_being_quoted(text in ".*") {
        let mut body = Vec::new();
        quote(&text, &mut body);
        let document = Document::parse(&body).unwrap();
        let root = document.root();
        prop_assert_eq!(root.text().unwrap().into_owned(), text);
    }

    #[test]
    fn the_canonical_form_reads_as_the_same_value(value in any_json()) {
        let body = serde_json::to_vec_pretty(&value).unwrap();
        let mut form = Vec::new();
        canonical(&Document::parse(&body).unwrap().root(), &mut form);
        prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&form).unwrap(), value);
    }

    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Document::parse(&body);
    }
}

/// simd-json refuses integers that 64 bits do not hold, where serde_json makes floats of
/// them.
fn has_integer_beyond_64_bits(body: &[u8]) -> bool {
    body.split(|byte| !matches!(byte, b'0'..=b'9' | b'-'))
        .filter_map(|run| std::str::from_utf8(run).ok())
        .any(|run| run.len() > 18 && run.parse::<i64>().is_err() && run.parse::<u64>().is_err())
}

#[test]
fn members_are_removed_with_their_commas() {
    for (object, without) in [
        (r#"{"a":1,"b":2,"c":3}"#, r#"{"b":2,"c":3}"#),
        (r#"{"b":2,"a":1,"c":3}"#, r#"{"b":2,"c":3}"#),
        (r#"{ "b" : 2 , "a" : 1 }"#, r#"{ "b" : 2 }"#),
        (r#"{"a":1,"d":{"a":1},"b":2}"#, r#"{"b":2}"#),
        (r#"{"b":2,"a":1,"d":4}"#, r#"{"b":2}"#),
        (
            r#"{"a":1,"b":2,"d":4,"c":3,"a2":0}"#,
            r#"{"b":2,"c":3,"a2":0}"#,
        ),
        (r#"{"a":1, "d":4}"#, "{}"),
        ("{}", "{}"),
        (r#"{"b":2}"#, r#"{"b":2}"#),
    ] {
        let document = Document::parse(object.as_bytes()).expect(object);
        let spans = removed_members(&document.root(), |key| key.is_text("a") || key.is_text("d"));
        let edits = Edits::sorted(spans.into_iter().map(|span| (span, Vec::new())).collect());
        let text = edits.expect("no overlap").apply(object.as_bytes());
        assert_eq!(String::from_utf8(text).expect("UTF-8"), without, "{object}");
        Document::parse(without.as_bytes()).expect(without);
    }
}

#[test]
fn edits_in_any_order_are_applied_in_the_bodys_and_never_overlap() {
    let edits = Edits::sorted(vec![(4..5, b"E".to_vec()), (0..1, b"A".to_vec())]);
    assert_eq!(edits.expect("apart").apply(b"abcdef"), b"AbcdEf");
    assert!(Edits::sorted(vec![(0..3, Vec::new()), (2..4, Vec::new())]).is_err());
}

/// What the walker says of a body, as its twin puts it.
fn walked(body: &[u8]) -> Result<Vec<twin::Token>, JsonError> {
    let document = Document::parse(body)?;
    let token = |node: &Node| twin::Token {
        kind: node.kind,
        escaped: node.escaped,
        ascii: node.ascii,
        start: node.start as usize,
        end: node.end as usize,
        next: node.next as usize,
    };
    Ok(document.nodes.iter().map(token).collect())
}

fn agrees(body: &[u8]) {
    let (walked, read) = (walked(body), twin::read(body));
    assert_eq!(walked, read, "{:?}", String::from_utf8_lossy(body));
}

#[test]
fn the_twin_says_the_same_of_every_short_body() {
    const BYTES: &[u8] = b"{}[]\",:\\u1 -e\xe9t";
    let mut bodies = vec![Vec::new()];
    for _ in 0..4 {
        bodies = bodies
            .iter()
            .flat_map(|body| {
                BYTES
                    .iter()
                    .map(move |byte| [body.as_slice(), &[*byte]].concat())
            })
            .collect();
        bodies.iter().for_each(|body| agrees(body));
    }
}

#[test]
fn the_twin_says_the_same_of_every_refused_body_and_of_every_prefix() {
    for (_, body) in REFUSED {
        (0..=body.len()).for_each(|end| agrees(&body[..end]));
    }
    let deep = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    agrees(&deep(limits::JSON_DEPTH_MAX));
    agrees(&deep(limits::JSON_DEPTH_MAX + 1));
    for digits in [
        299,
        300,
        301,
        308,
        309,
        310,
        limits::JSON_NUMBER_BYTES_MAX + 1,
    ] {
        agrees(&vec![b'9'; digits]);
        agrees(&[b"0.".as_slice(), &vec![b'1'; digits]].concat());
        agrees(&[b"0.".as_slice(), &vec![b'0'; digits], b"1e2"].concat());
    }
}

/// Pieces of JSON in any order: most bodies are wrong somewhere, after much that is right.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&[u8]] = &[
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b" ",
        b"\n",
        b"\t\r",
        b"\"",
        b"\"\"",
        b"\"a\":",
        b"null",
        b"true",
        b"fals",
        b"-0",
        b"1.5e-7",
        b"1e999",
        b"01",
        b"\\",
        b"\\n",
        b"\\u00e9",
        b"\\ud83d\\ude00",
        b"\\ud83d",
        b"\\udc00",
        b"\\u12",
        b"\xc3\xa9",
        b"\xe2\x82\xac",
        b"\xf0\x9f\x98\x80",
        b"\xe2\x82",
        b"\xff",
        b"\xed\xa0\x80",
        b"\x00",
        b"\x1f",
        b"\x7f",
    ];
    let long = (0usize..100, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]);
    let plain = (0usize..100).prop_map(|length| vec![b'x'; length]);
    let piece = prop_oneof![
        8 => prop::sample::select(PIECES).prop_map(<[u8]>::to_vec),
        2 => plain,
        1 => long,
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// A document with one string of any length, in which one byte, anywhere, is any other.
fn nearly_a_document() -> impl Strategy<Value = Vec<u8>> {
    let byte = (any::<prop::sample::Index>(), any::<u8>());
    (any_json(), "[ -~é€😀]{0,120}", byte, any::<bool>()).prop_map(
        |(value, text, (at, byte), is_changed)| {
            let all = serde_json::json!([text, value, text]);
            let mut body = serde_json::to_vec(&all).unwrap();
            let at = at.index(body.len());
            if is_changed {
                body[at] = byte;
            }
            body
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn the_twin_says_the_same_of_pieces_in_any_order(body in pieces()) {
        prop_assert_eq!(walked(&body), twin::read(&body));
    }

    #[test]
    fn the_twin_says_the_same_of_documents_and_of_what_nearly_are(body in nearly_a_document()) {
        prop_assert_eq!(walked(&body), twin::read(&body));
    }
}

#[test]
fn the_first_of_several_documents_ends_where_it_ends() {
    for (text, end) in [
        (r#"{"a":[1]} {"b":2}"#, 9),
        ("[][]", 2),
        ("[1] prose", 3),
        (r#""a"b"#, 3),
        ("12,", 2),
    ] {
        let (document, taken) = Document::parse_first(text.as_bytes()).expect(text);
        assert_eq!(
            (taken, document.bytes()),
            (end, &text.as_bytes()[..end]),
            "{text}"
        );
        let alone = Document::parse(document.bytes()).expect(text);
        assert_eq!(alone.values().count(), document.values().count(), "{text}");
    }
    for text in ["", " ", "{", "[1,]", "prose"] {
        assert!(Document::parse_first(text.as_bytes()).is_err(), "{text}");
    }
}
