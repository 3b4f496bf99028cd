//! What masks leave of values.

use proptest::prelude::*;
use weir_facts::MaskRule;
use weir_mask::{MaskKey, Masked, binary, text, utf8};

const RULES: &[&str] = &[
    "keep_first:0",
    "keep_first:2",
    "keep_last:0",
    "keep_last:4",
    "redact",
    "null",
    "hash",
    "fixed:x",
    "fixed:7",
    "fixed:t",
    "fixed:2001-02-03",
    "partial_email",
    "date_year",
    "digits",
];

/// Types of all kinds, with the bytes of their binary format where that is fixed.
const TYPES: &[(u32, Option<usize>)] = &[
    (16, Some(1)),
    (17, None),
    (18, None),
    (19, None),
    (20, Some(8)),
    (21, Some(2)),
    (23, Some(4)),
    (25, None),
    (26, Some(4)),
    (114, None),
    (142, None),
    (700, Some(4)),
    (701, Some(8)),
    (790, Some(8)),
    (869, None),
    (1007, None),
    (1009, None),
    (1041, None),
    (3807, None),
    (1042, None),
    (1043, None),
    (1082, Some(4)),
    (1083, Some(8)),
    (1114, Some(8)),
    (1184, Some(8)),
    (1186, Some(16)),
    (1700, None),
    (2249, None),
    (2950, Some(16)),
    (3802, None),
    (99_999, None),
];

fn rule(text: &str) -> MaskRule {
    text.parse().expect("rule")
}

fn key() -> MaskKey {
    MaskKey::new([9; 32])
}

fn outcome(masked: Masked, buffer: Vec<u8>) -> Option<Vec<u8>> {
    match masked {
        Masked::InPlace => Some(buffer),
        Masked::Replaced(bytes) => Some(bytes),
        Masked::Null => None,
    }
}

fn as_text(wanted: &str, oid: u32, value: &str) -> Option<String> {
    let mut buffer = value.as_bytes().to_vec();
    let masked = text(&rule(wanted), &key(), oid, &mut buffer);
    outcome(masked, buffer).map(|bytes| String::from_utf8(bytes).expect("UTF-8"))
}

fn as_binary(wanted: &str, oid: u32, value: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = value.to_vec();
    let masked = binary(&rule(wanted), &key(), oid, &mut buffer);
    outcome(masked, buffer)
}

#[test]
fn each_rule_leaves_what_it_says() {
    for (wanted, oid, value, shown) in [
        ("keep_last:4", 25, "123-45-6789", Some("*******6789")),
        ("keep_first:2", 1043, "123-45-6789", Some("12*********")),
        ("redact", 1042, "ab c", Some("****")),
        ("redact", 25, "", Some("")),
        ("keep_last:4", 25, "6789", Some("****")),
        ("keep_last:4", 25, "89", Some("**")),
        ("keep_first:4", 25, "6789", Some("****")),
        ("keep_last:2", 25, "zoë🦀", Some("**ë🦀")),
        ("redact", 25, "zoë", Some("***")),
        ("keep_first:1", 25, "ëz", Some("ë*")),
        ("fixed:n/a", 25, "secret", Some("n/a")),
        ("null", 25, "secret", None),
        (
            "partial_email",
            25,
            "jane.doe@example.org",
            Some("j*******@example.org"),
        ),
        ("partial_email", 25, "j@example.org", Some("*@example.org")),
        (
            "partial_email",
            25,
            "ë.x@example.org",
            Some("ë**@example.org"),
        ),
        ("partial_email", 25, "123-45-6789", Some("***********")),
        ("partial_email", 25, "@example.org", Some("************")),
        (
            "partial_email",
            25,
            "jane@my ssn is 1",
            Some("****************"),
        ),
        ("date_year", 25, "1980-05-06", Some("1980-01-01")),
        ("date_year", 25, "05/06/1980", Some("**********")),
        (
            "date_year",
            25,
            "1980-05-06 secret",
            Some("*****************"),
        ),
        ("date_year", 1082, "1980-05-06", Some("1980-01-01")),
        ("date_year", 1082, "0044-03-15 BC", Some("0044-01-01 BC")),
        ("date_year", 1082, "06.05.1980", None),
        ("date_year", 1082, "infinity", None),
        (
            "date_year",
            1114,
            "1980-05-06 01:02:03.4",
            Some("1980-01-01 00:00:00"),
        ),
        (
            "date_year",
            1184,
            "1980-05-06 01:02:03.4+02",
            Some("1980-01-01 00:00:00+00"),
        ),
        ("date_year", 1083, "01:02:03", None),
        ("redact", 1082, "1980-05-06", None),
        ("redact", 23, "42", None),
        ("keep_last:4", 23, "42", None),
        ("fixed:0", 23, "42", Some("0")),
        ("fixed:70000", 21, "42", None),
        ("fixed:none", 23, "42", None),
        ("fixed:1.50", 1700, "42.00", Some("1.50")),
        ("fixed:t", 16, "f", Some("t")),
        ("redact", 16, "f", None),
        ("redact", 17, "\\x00ff", Some("\\x2a2a")),
        ("keep_last:1", 17, "\\x00ff", Some("\\x2aff")),
        ("keep_last:2", 17, "\\x00ff", Some("\\x2a2a")),
        ("redact", 17, "\\000a", None),
        ("redact", 114, "{\"a\":1}", None),
        ("fixed:a\"b", 114, "{\"a\":1}", Some("\"a\\\"b\"")),
        ("fixed:12:30:00", 1083, "01:02:03", Some("12:30:00")),
        ("fixed:24:00:00", 1083, "01:02:03", None),
        (
            "fixed:12:30:00+02",
            1266,
            "01:02:03+00",
            Some("12:30:00+02"),
        ),
        ("fixed:192.0.2.0/24", 869, "10.0.0.1", Some("192.0.2.0/24")),
        ("fixed:192.0.2.1/24", 650, "10.0.0.0/8", None),
        ("fixed:2001:db8::/32", 650, "::/0", Some("2001:db8::/32")),
        ("fixed:$0.00", 790, "$12,345.67", Some("$0.00")),
        ("fixed:0.0", 790, "$12,345.67", None),
        (
            "fixed:08:00:2b:01:02:03",
            829,
            "00:00:00:00:00:01",
            Some("08:00:2b:01:02:03"),
        ),
        ("fixed:0101", 1562, "111", Some("0101")),
        ("fixed:hidden", 142, "<a>secret</a>", Some("hidden")),
        ("fixed:<a>", 142, "<a>secret</a>", None),
        ("redact", 142, "<a>secret</a>", None),
        ("fixed:1 day", 1186, "2 days", None),
        ("fixed:x", 99_999, "happy", None),
    ] {
        assert_eq!(
            as_text(wanted, oid, value).as_deref(),
            shown,
            "{wanted} of {value:?} as {oid}"
        );
    }
}

#[test]
fn arrays_in_text_are_masked_element_by_element() {
    for (wanted, oid, value, shown) in [
        (
            "keep_last:4",
            1009,
            "{123-45-6789,NULL,null}",
            Some("{*******6789,NULL,NULL}"),
        ),
        ("redact", 1009, "{a,b}", Some("{*,*}")),
        ("redact", 1009, "{}", Some("{}")),
        (
            "redact",
            1015,
            r#"{"a b","","NULL","\"x\\"}"#,
            Some(r#"{***,"",****,***}"#),
        ),
        (
            "keep_first:1",
            1009,
            r#"{"\"secret",",,"}"#,
            Some(r#"{"\"******",",*"}"#),
        ),
        ("redact", 1009, "{{a,b},{c,NULL}}", Some("{{*,*},{*,NULL}}")),
        (
            "redact",
            1009,
            "[-1:0][2:3]={{a,b},{c,d}}",
            Some("[-1:0][2:3]={{*,*},{*,*}}"),
        ),
        ("redact", 1009, "{zoë}", Some("{***}")),
        ("fixed:n/a", 1009, "{a,NULL}", Some("{n/a,NULL}")),
        ("fixed:a b", 1009, "{a}", Some("{\"a b\"}")),
        ("fixed:NULL", 1009, "{a}", Some("{\"NULL\"}")),
        ("fixed:7", 1007, "{1,2}", Some("{7,7}")),
        ("redact", 1007, "{1,2}", Some("{NULL,NULL}")),
        ("fixed:t", 1000, "{f,t}", Some("{t,t}")),
        ("redact", 1001, r#"{"\\x00ff"}"#, Some(r#"{"\\x2a2a"}"#)),
        (
            "date_year",
            1182,
            "{1980-05-06,infinity}",
            Some("{1980-01-01,NULL}"),
        ),
        (
            "date_year",
            1115,
            r#"{"1980-05-06 01:02:03"}"#,
            Some(r#"{"1980-01-01 00:00:00"}"#),
        ),
        ("fixed:x", 3807, r#"{"{\"a\": 1}"}"#, Some(r#"{"\"x\""}"#)),
        ("fixed:192.0.2.1", 1041, "{10.0.0.1}", Some("{192.0.2.1}")),
        ("null", 1009, "{a,b}", None),
        // Points, intervals: nothing has a meaning, and how many there are is not told.
        ("fixed:1", 1017, "{\"(1,2)\"}", None),
        ("fixed:1 day", 1187, "{01:00:00}", None),
        // What is no array.
        ("redact", 1009, "", None),
        ("redact", 1009, "a", None),
        ("redact", 1009, "{a", None),
        ("redact", 1009, "{a}b", None),
        ("redact", 1009, "{a,}", None),
        ("redact", 1009, "{,a}", None),
        ("redact", 1009, "{a{b}}", None),
        ("redact", 1009, "{\"a}", None),
        ("redact", 1009, "{\"a\"b}", None),
        ("redact", 1009, "[secret]={a}", None),
        ("redact", 1009, "[1:1]", None),
        ("redact", 1009, "{{{{{{{a}}}}}}}", None),
    ] {
        assert_eq!(
            as_text(wanted, oid, value).as_deref(),
            shown,
            "{wanted} of {value:?} as {oid}"
        );
    }
}

/// `array_send`: (length, lower bound) of each dimension, then the elements.
fn array(of: u32, dimensions: &[(i32, i32)], elements: &[Option<&[u8]>]) -> Vec<u8> {
    let has_nulls = elements.iter().any(Option::is_none);
    let mut out = Vec::new();
    let mut word = |word: i32| out.extend_from_slice(&word.to_be_bytes());
    word(i32::try_from(dimensions.len()).expect("few"));
    word(i32::from(has_nulls));
    word(i32::try_from(of).expect("small"));
    for (length, lower) in dimensions {
        word(*length);
        word(*lower);
    }
    for element in elements {
        let length = element.map_or(-1, |element| i32::try_from(element.len()).expect("short"));
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(element.unwrap_or_default());
    }
    out
}

#[test]
fn arrays_in_binary_are_masked_element_by_element() {
    let texts = array(
        25,
        &[(2, 1), (2, 0)],
        &[Some(b"123-45-6789"), None, Some(b""), Some(b"ab")],
    );
    assert_eq!(
        as_binary("keep_last:4", 1009, &texts),
        Some(array(
            25,
            &[(2, 1), (2, 0)],
            &[Some(b"*******6789"), None, Some(b""), Some(b"**")]
        ))
    );
    let numbers = array(23, &[(2, 1)], &[Some(&[0, 0, 0, 9]), Some(&[0, 0, 0, 8])]);
    let sevens = array(23, &[(2, 1)], &[Some(&[0, 0, 0, 7]), Some(&[0, 0, 0, 7])]);
    assert_eq!(as_binary("fixed:7", 1007, &numbers), Some(sevens));
    let none = array(23, &[(2, 1)], &[None, None]);
    assert_eq!(
        as_binary("redact", 1007, &numbers),
        Some(none),
        "and says that it has nulls"
    );
    let empty = array(25, &[], &[]);
    assert_eq!(as_binary("redact", 1009, &empty), Some(empty.clone()));
    for wrong in [
        array(19, &[(1, 1)], &[Some(b"secret")]),
        array(25, &[(2, 1)], &[Some(b"secret")]),
        array(25, &[(1, 1)], &[Some(b"secret"), Some(b"more")]),
        array(25, &[(1, 1); 7], &[Some(b"secret")]),
        array(25, &[(i32::MAX, 1); 6], &[Some(b"secret")]),
        array(25, &[(-1, 1)], &[Some(b"secret")]),
        texts[..texts.len() - 1].to_vec(),
        [&texts[..], b"x"].concat(),
        b"secret".to_vec(),
    ] {
        assert_eq!(as_binary("redact", 1009, &wrong), None, "{wrong:?}");
    }
}

#[test]
fn constants_are_encoded_as_the_server_does() {
    for (wanted, oid, shown) in [
        ("fixed:00:00:01.5", 1083, &1_500_000_i64.to_be_bytes()[..]),
        (
            "fixed:00:00:01+02:30",
            1266,
            b"\0\0\0\0\0\x0f\x42\x40\xff\xff\xdc\xd8",
        ),
        ("fixed:192.0.2.1", 869, b"\x02\x20\0\x04\xc0\0\x02\x01"),
        ("fixed:192.0.2.0/24", 650, b"\x02\x18\x01\x04\xc0\0\x02\0"),
        (
            "fixed:::1",
            869,
            b"\x03\x80\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01",
        ),
        ("fixed:-1.05", 790, &(-105_i64).to_be_bytes()),
        ("fixed:01:02:03:04:05:06", 829, b"\x01\x02\x03\x04\x05\x06"),
        ("fixed:101000001", 1562, b"\0\0\0\x09\xa0\x80"),
    ] {
        assert_eq!(
            as_binary(wanted, oid, b"whatever").as_deref(),
            Some(shown),
            "{wanted}"
        );
    }
}

#[test]
fn binary_values_keep_their_type() {
    let days = |days: i32| days.to_be_bytes().to_vec();
    assert_eq!(
        as_binary("date_year", 1082, &days(8_825)),
        Some(days(8_766)),
        "2024-02-29"
    );
    assert_eq!(
        as_binary("date_year", 1082, &days(-1)),
        Some(days(-365)),
        "1999-12-31"
    );
    assert_eq!(
        as_binary("date_year", 1082, &days(i32::MAX)),
        None,
        "infinity"
    );
    let noon = (8_825_i64 * 86_400 + 43_200) * 1_000_000;
    let new_year = 8_766_i64 * 86_400 * 1_000_000;
    assert_eq!(
        as_binary("date_year", 1184, &noon.to_be_bytes()),
        Some(new_year.to_be_bytes().to_vec())
    );
    assert_eq!(
        as_binary("fixed:7", 23, &[0, 0, 0, 1]),
        Some(vec![0, 0, 0, 7])
    );
    assert_eq!(
        as_binary("fixed:7", 1700, &[0; 8]),
        Some(vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 7])
    );
    assert_eq!(as_binary("redact", 17, &[1, 2, 3]), Some(b"***".to_vec()));
    assert_eq!(as_binary("redact", 23, &[0, 0, 0, 1]), None);
    let uuid = as_binary("hash", 2950, &[5; 16]).expect("uuid");
    assert_eq!((uuid.len(), uuid[6] >> 4, uuid[8] >> 6), (16, 8, 2));
    assert_eq!(
        as_binary("fixed:x", 3802, b"\x01{}"),
        Some(b"\x01\"x\"".to_vec())
    );
}

#[test]
fn hashes_are_equal_for_equal_values_of_one_key_only() {
    let hash = |key: [u8; 32], value: &str| {
        utf8(&MaskRule::Hash, &MaskKey::new(key), value).expect("hash")
    };
    assert_eq!(hash([1; 32], "a"), hash([1; 32], "a"));
    assert_ne!(hash([1; 32], "a"), hash([1; 32], "b"));
    assert_ne!(hash([1; 32], "a"), hash([2; 32], "a"));
    assert_eq!(hash([1; 32], "a").len(), 32);
    let uuid = "0000ffff-1111-2222-3333-444455556666";
    assert_eq!(
        as_text("hash", 2950, uuid),
        as_text("hash", 2950, &uuid.to_uppercase())
    );
    assert_eq!(as_text("hash", 2950, uuid).expect("uuid").len(), 36);
}

#[test]
fn digits_keep_the_form_of_a_value() {
    let shown = as_text("digits", 25, "4111-1111 x").expect("text");
    let form = |text: &str| text.replace(|character: char| character.is_ascii_digit(), "0");
    assert_eq!(form(&shown), "0000-0000 x");
    assert_ne!(shown, "4111-1111 x");
    for card in [
        "4111 1111-1111 1111",
        "4111.1111.1111.1111",
        "3782 822463 10005",
    ] {
        let shown = as_text("digits", 25, card).expect("text");
        assert_eq!(form(&shown), form(card));
        assert_ne!(shown, card);
        let listed = as_text("digits", 1009, &format!("{{\"{card}\"}}")).expect("an array");
        assert_eq!(listed.trim_matches(['{', '}', '"']), shown);
    }
    let numeric = as_text("digits", 1700, "-1234.50").expect("numeric");
    assert_eq!(form(&numeric), "-0000.00");
    let greatest = as_text("digits", 23, "2147483647").expect("int4");
    assert!(greatest.parse::<i32>().is_ok() && greatest.len() == 10);
}

#[test]
fn a_value_that_is_no_utf8_is_hidden_whole() {
    let mut value = b"ab\xff\xfe1234".to_vec();
    assert_eq!(
        text(&rule("keep_last:4"), &key(), 25, &mut value),
        Masked::InPlace
    );
    assert_eq!(value, b"********");
}

proptest! {
    #[test]
    fn hidden_characters_do_not_leave(value in "\\PC{0,40}", count in 0_u8..10) {
        let characters: Vec<char> = value.chars().collect();
        let kept = usize::from(count);
        let kept = if kept < characters.len() { kept } else { 0 };
        let (hidden, tail) = characters.split_at(characters.len() - kept);
        let expected: String = hidden.iter().map(|_| '*').chain(tail.iter().copied()).collect();
        prop_assert_eq!(utf8(&MaskRule::KeepLast(count), &key(), &value), Some(expected));
        let (head, hidden) = characters.split_at(kept);
        let expected: String = head.iter().copied().chain(hidden.iter().map(|_| '*')).collect();
        prop_assert_eq!(utf8(&MaskRule::KeepFirst(count), &key(), &value), Some(expected));
        let stars = "*".repeat(characters.len());
        prop_assert_eq!(utf8(&MaskRule::Redact, &key(), &value), Some(stars));
    }

    #[test]
    fn ascii_is_masked_in_place(value in "[ -~]{0,60}", count: u8) {
        for wanted in [MaskRule::Redact, MaskRule::KeepFirst(count), MaskRule::KeepLast(count), MaskRule::PartialEmail] {
            let mut buffer = value.clone().into_bytes();
            prop_assert_eq!(text(&wanted, &key(), 25, &mut buffer), Masked::InPlace);
            prop_assert_eq!(buffer.len(), value.len());
        }
    }

    #[test]
    fn every_outcome_has_the_form_of_its_type(bytes: Vec<u8>) {
        for (oid, width) in TYPES {
            for wanted in RULES {
                let mut value = bytes.clone();
                if let Some(width) = width {
                    value.resize(*width, 0);
                }
                let shown = as_binary(wanted, *oid, &value);
                if let (Some(shown), Some(width)) = (&shown, width) {
                    prop_assert_eq!(shown.len(), *width, "{} of {}", wanted, oid);
                }
                let mut buffer = bytes.clone();
                let _ = text(&rule(wanted), &key(), *oid, &mut buffer);
                let mut buffer = bytes.clone();
                let _ = binary(&rule(wanted), &key(), *oid, &mut buffer);
            }
        }
    }

    #[test]
    fn numbers_stay_numbers_of_their_type(a: i16, b: i32, c: i64) {
        let read = |oid, value: String| as_text("digits", oid, &value).expect("number");
        prop_assert!(read(21, a.to_string()).parse::<i16>().is_ok());
        prop_assert!(read(23, b.to_string()).parse::<i32>().is_ok());
        prop_assert!(read(20, c.to_string()).parse::<i64>().is_ok());
    }
}
