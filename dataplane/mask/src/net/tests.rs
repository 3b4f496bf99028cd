use proptest::prelude::*;

use super::*;

const SSN: &str = "123-45-6789";
const CARD: &str = "4111111111111111";
const MAIL: &str = "jane.doe@example.org";

fn net(rules: &[(Class, Option<&str>)]) -> Net {
    Net::new(rules.iter().map(|(class, rule)| {
        let rule = rule.map(|rule| rule.parse().expect("a rule"));
        (*class, rule)
    }))
}

fn usual() -> Net {
    net(&[
        (Class::Ssn, Some("keep_last:4")),
        (Class::PaymentCard, Some("fixed:<card>")),
        (Class::Email, Some("partial_email")),
        (Class::ApiKey, None),
    ])
}

fn shown(masked: Masked, buffer: Vec<u8>) -> Option<Vec<u8>> {
    match masked {
        Masked::InPlace => Some(buffer),
        Masked::Replaced(shown) => Some(shown),
        Masked::Null => None,
    }
}

fn as_text(net: &Net, oid: u32, value: &str) -> Option<String> {
    let mut buffer = value.as_bytes().to_vec();
    let masked = net.text(&MaskKey::new([3; 32]), oid, &mut buffer);
    shown(masked, buffer).map(|shown| String::from_utf8(shown).expect("UTF-8"))
}

fn as_binary(net: &Net, oid: u32, value: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = value.to_vec();
    let masked = net.binary(&MaskKey::new([3; 32]), oid, &mut buffer);
    shown(masked, buffer)
}

#[test]
fn what_is_found_is_masked_and_the_rest_stays() {
    let key = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";
    for (oid, value, wanted) in [
        (25, "nothing here", Some("nothing here".to_owned())),
        (25, SSN, Some("*******6789".to_owned())),
        (
            1043,
            &format!("a {SSN} b {MAIL}"),
            Some("a *******6789 b j*******@example.org".to_owned()),
        ),
        (
            25,
            &format!("{CARD}, {SSN}"),
            Some("<card>, *******6789".to_owned()),
        ),
        (25, key, None),
        (25, &format!("{SSN} {key}"), None),
        (
            142,
            &format!("<a>{CARD}</a>"),
            Some("<a>****************</a>".to_owned()),
        ),
        (
            1009,
            &format!("{{\"a {SSN}\",NULL,b}}"),
            Some("{\"a *******6789\",NULL,b}".to_owned()),
        ),
        (1015, &format!("{{{CARD}}}"), Some("{<card>}".to_owned())),
        (1009, "{ not an array", Some("{ not an array".to_owned())),
        (1009, &format!("{{ {SSN}"), Some("{ *******6789".to_owned())),
        // A record, a user's type, an expression in COPY: nothing around the value moves.
        (
            2249,
            &format!("(1,{CARD})"),
            Some("(1,****************)".to_owned()),
        ),
        (16_500, SSN, Some("*******6789".to_owned())),
        (0, MAIL, Some("j*******@example.org".to_owned())),
        // Of these no value is expected.
        (20, CARD, Some(CARD.to_owned())),
        (17, SSN, Some(SSN.to_owned())),
        (1007, "{1,2}", Some("{1,2}".to_owned())),
    ] {
        assert_eq!(as_text(&usual(), oid, value), wanted, "{value} as {oid}");
    }
}

#[test]
fn json_stays_json() {
    for (value, wanted) in [
        (
            format!(r#"{{"a": "{SSN}", "b": [1, "x"]}}"#),
            Some(r#"{"a": "*******6789", "b": [1, "x"]}"#),
        ),
        (
            format!(r#"{{"{SSN}" : 1}}"#),
            Some(r#"{"*******6789" : 1}"#),
        ),
        (
            format!("[{CARD}, 1.5e-3, -7]"),
            Some(r#"["<card>", 1.5e-3, -7]"#),
        ),
        (
            r#"["123\u002d45-6789 \"q\" \\"]"#.to_owned(),
            Some(r#"["*******6789 \"q\" \\"]"#),
        ),
        (
            r#"["\ud83e\udd80 \n", "kept\/as it was"]"#.to_owned(),
            Some(r#"["\ud83e\udd80 \n", "kept\/as it was"]"#),
        ),
        (format!(r#""{SSN}""#), Some(r#""*******6789""#)),
        (
            r#"{"k": "ghp_abcdefghijklmnopqrstuvwxyz0123456789"}"#.to_owned(),
            None,
        ),
        (
            format!(r#"{{"a": 1, "a": "{SSN}"}}"#),
            Some(r#"{"a": 1, "a": "*******6789"}"#),
        ),
    ] {
        for oid in [114, 3802] {
            assert_eq!(as_text(&usual(), oid, &value).as_deref(), wanted, "{value}");
        }
        let binary = [b"\x01", value.as_bytes()].concat();
        let wanted = wanted.map(|wanted| [b"\x01", wanted.as_bytes()].concat());
        assert_eq!(as_binary(&usual(), 3802, &binary), wanted, "{value}");
    }
    let hidden = net(&[
        (Class::Ssn, Some("null")),
        (Class::PaymentCard, Some("digits")),
    ]);
    assert_eq!(
        as_text(
            &hidden,
            114,
            &format!(r#"{{"{SSN}": "{SSN}", "b": "x {SSN}"}}"#)
        )
        .as_deref(),
        Some(r#"{"": null, "b": "x "}"#)
    );
    let digits = as_text(&hidden, 114, &format!("[{CARD}]")).expect("shown");
    assert!(
        !digits.contains(CARD) && digits.len() == CARD.len() + 2,
        "{digits}"
    );
}

#[test]
fn binary_arrays_and_foreign_types_are_searched_too() {
    let array = |elements: &[&str]| {
        let mut out = Vec::new();
        for word in [1, 0, 25, i32::try_from(elements.len()).expect("few"), 1] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        for element in elements {
            out.extend_from_slice(&i32::try_from(element.len()).expect("short").to_be_bytes());
            out.extend_from_slice(element.as_bytes());
        }
        out
    };
    // 48 is the digit 0: a length must not pass for a part of the value behind it.
    let long = format!("{SSN}{}", " ".repeat(48 - SSN.len()));
    let masked = format!("*******6789{}", " ".repeat(48 - SSN.len()));
    assert_eq!(
        as_binary(&usual(), 1009, &array(&["a", &long, CARD])),
        Some(array(&["a", &masked, "<card>"]))
    );
    let record = [b"\0\0\0\x01\0\0\0\x19\0\0\0\x10", CARD.as_bytes()].concat();
    let hidden = [&record[..12], &[b'*'; 16]].concat();
    assert_eq!(as_binary(&usual(), 2249, &record), Some(hidden));
}

fn json_text() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec![
        SSN, CARD, MAIL, "a", "", " ", "12", "\\\\", "\\\"", "\\n", "-",
    ]);
    let text =
        prop::collection::vec(value, 0..3).prop_map(|parts| format!("\"{}\"", parts.concat()));
    let number = prop::sample::select(vec![CARD, "1", "-2.5", "41"]).prop_map(str::to_owned);
    prop_oneof![text, number].prop_recursive(3, 16, 3, |inner| {
        let name = prop::sample::select(vec![SSN, "k", MAIL]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3)
                .prop_map(|all| format!("[{}]", all.join(", "))),
            prop::collection::vec((name, inner), 0..3).prop_map(|all| {
                let all: Vec<_> = all
                    .iter()
                    .map(|(name, value)| format!("\"{name}\":{value}"))
                    .collect();
                format!("{{{}}}", all.join(","))
            }),
        ]
    })
}

/// Every string and number is searched, whether or not anything was found in the whole.
fn slowly(net: &Net, text: &str) -> bool {
    let escaped = text.to_owned() + "\\";
    as_text(net, 114, &escaped).as_deref() == Some(&escaped)
}

proptest! {
    #[test]
    fn no_value_is_in_a_token_and_not_in_the_whole(text in json_text()) {
        let net = net(&[(Class::Ssn, Some("redact")), (Class::PaymentCard, Some("redact")), (Class::Email, Some("redact"))]);
        let quickly = as_text(&net, 114, &text).as_deref() == Some(&text);
        prop_assert_eq!(quickly, slowly(&net, &text), "{}", text);
    }

    #[test]
    fn no_found_value_leaves(parts in prop::collection::vec(prop::sample::select(vec![
        SSN, CARD, MAIL, "x", " ", "{", "}", ",", "\"", "\\", ":", "[", "NULL", "<", "=", "\u{e9}"
    ]), 0..12), oid in prop::sample::select(vec![25_u32, 142, 1009, 2249, 0, 17_000])) {
        let net = net(&[(Class::Ssn, Some("redact")), (Class::PaymentCard, Some("hash")), (Class::Email, Some("null"))]);
        let value = parts.join(" ");
        if let Some(shown) = as_text(&net, oid, &value) {
            let mut again = Vec::new();
            detect::scan(shown.as_bytes(), net.wanted, &mut again);
            let before = { let mut found = Vec::new(); detect::scan(value.as_bytes(), net.wanted, &mut found); found };
            let left = again.iter().any(|(span, _)| before.iter().any(|(known, _)| value[known.clone()] == shown[span.clone()]));
            prop_assert!(!left, "{} became {}", value, shown);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, oid in prop::sample::select(vec![25_u32, 114, 142, 1009, 3802, 199, 2249, 0])) {
        let _ = as_binary(&usual(), oid, &bytes);
        let mut buffer = bytes;
        let _ = usual().text(&MaskKey::new([3; 32]), oid, &mut buffer);
    }
}

#[test]
fn what_was_found_is_told_once_by_class() {
    let key = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";
    let net = usual();
    assert_eq!(net.take_seen(), ClassSet::NONE);
    for (oid, value, class) in [
        (25, SSN.to_owned(), Class::Ssn),
        (114, format!(r#"{{"m":"{MAIL}"}}"#), Class::Email),
        (25, key.to_owned(), Class::ApiKey),
        (114, format!(r#"["{key}"]"#), Class::ApiKey),
    ] {
        let _ = as_text(&net, oid, &value);
        assert_eq!(net.take_seen(), ClassSet::NONE.with(class), "{value}");
        assert_eq!(net.take_seen(), ClassSet::NONE);
    }
    let _ = as_text(&net, 25, "nothing here");
    assert_eq!(net.take_seen(), ClassSet::NONE);
    assert_eq!(
        net.rule(Class::Ssn).map(ToString::to_string).as_deref(),
        Some("keep_last:4")
    );
    assert_eq!(net.rule(Class::ApiKey), None);
}
