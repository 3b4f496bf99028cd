use proptest::prelude::*;

use super::*;

fn all() -> ClassSet {
    Class::ALL.iter().copied().collect()
}

fn found(text: &str) -> Vec<(&str, Class)> {
    let mut ranges = Vec::new();
    scan(text.as_bytes(), all(), &mut ranges);
    ranges
        .into_iter()
        .map(|(range, class)| (&text[range], class))
        .collect()
}

/// Every position is a candidate.
fn naive(text: &[u8], wanted: ClassSet) -> Vec<(Range<usize>, Class)> {
    let mut found = Vec::new();
    for at in 0..text.len() {
        // The one thing that the candidate pass decides alone: a number starts a run of digits.
        let within = text[at].is_ascii_digit() && at > 0 && text[at - 1].is_ascii_digit();
        if !within {
            add(text, at, wanted, 0, &mut found);
        }
    }
    found
}

const JWT: &str =
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";

#[test]
fn values_are_found_whole() {
    let key = "sk-abcdefghijklmnopqrst";
    let token = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";
    for (value, class) in [
        ("123-45-6789", Class::Ssn),
        ("123 45 6789", Class::Ssn),
        ("4111 1111 1111 1111", Class::PaymentCard),
        ("4111-1111-1111-1111", Class::PaymentCard),
        ("4111111111111111", Class::PaymentCard),
        ("378282246310005", Class::PaymentCard),
        ("6011000990139424", Class::PaymentCard),
        ("DE89370400440532013000", Class::Iban),
        ("DE89 3704 0044 0532 0130 00", Class::Iban),
        ("GB82 WEST 1234 5698 7654 32", Class::Iban),
        ("NO9386011117947", Class::Iban),
        ("jane.doe@example.org", Class::Email),
        ("jane+tag@mail.example.co", Class::Email),
        ("zoë@example.org", Class::Email),
        ("+49 30 901820", Class::Phone),
        ("+1 (555) 234-5678", Class::Phone),
        ("555-234-5678", Class::Phone),
        ("(555) 234-5678", Class::Phone),
        (JWT, Class::Jwt),
        ("AKIAABCDEFGHIJKLMNOP", Class::ApiKey),
        (key, Class::ApiKey),
        (token, Class::ApiKey),
        ("xoxb-1234567890-abcdef", Class::ApiKey),
    ] {
        for around in ["{}", "it is {}.", "\"{}\"", "a,{},b", "\n{}\n", "={} "] {
            let text = around.replace("{}", value);
            assert_eq!(found(&text), [(value, class)], "{text:?}");
        }
    }
}

#[test]
fn what_only_looks_like_a_value_is_left_alone() {
    for text in [
        "2026-11-20 10:00:00",
        "2026-11-20T10:00:00.123456Z",
        "000-12-3456",
        "123-45-67890",
        "1123-45-6789",
        "4111 1111 1111 1112",
        "1700000000000",
        "DE88370400440532013000",
        "XDE89370400440532013000",
        "a@b",
        "@example.org",
        "jane@",
        "jane@.org",
        "jane@example..org",
        "192.168.100.200",
        "+1",
        "3.14159265358979",
        "eyJhbGciOiJIUzI1NiJ9",
        "AKIAABC",
        "ask-me-anything-about-this-thing",
        "0123456789",
        "",
    ] {
        assert_eq!(found(text), [], "{text:?}");
    }
}

#[test]
fn several_values_are_found_in_order_and_apart() {
    let text = format!(
        "ssn 123-45-6789, card 4111 1111 1111 1111 12/26; mail 555-234-5678@example.org {JWT}"
    );
    assert_eq!(
        found(&text),
        [
            ("123-45-6789", Class::Ssn),
            ("4111 1111 1111 1111", Class::PaymentCard),
            ("555-234-5678@example.org", Class::Email),
            (JWT, Class::Jwt),
        ]
    );
}

#[test]
fn only_wanted_classes_are_found() {
    let text = b"123-45-6789 jane@example.org";
    let mut ranges = vec![(0..1, Class::Iban)];
    scan(text, ClassSet::NONE.with(Class::Email), &mut ranges);
    assert_eq!(ranges, [(0..1, Class::Iban), (12..28, Class::Email)]);
    scan(text, ClassSet::NONE, &mut ranges);
    assert_eq!(ranges.len(), 2);
}

/// Ends within the patience of any test run if time is linear in the text; quadratic time would
/// take hours.
#[test]
fn hostile_text_does_not_take_quadratic_time() {
    for pattern in [
        "eyJ", "eyJ.", "@", "a@", "1-", "111-", "+1", "DE89 ", "sk-", "AK", "4111 ",
    ] {
        let _ = found(&pattern.repeat((1 << 20) / pattern.len()));
    }
}

/// Text made of pieces of values, so that edges of blocks and of values meet.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("123-45-6789".to_owned()),
        Just("4111 1111 1111 1111".to_owned()),
        Just("DE89 3704 0044 0532 0130 00".to_owned()),
        Just("jane@example.org".to_owned()),
        Just("+49 30 901820".to_owned()),
        Just("(555) 234-5678".to_owned()),
        Just(JWT.to_owned()),
        Just("AKIAABCDEFGHIJKLMNOP".to_owned()),
        Just("github_pat_abcdefghijklmnopqrstuv".to_owned()),
        "[ -.@+0-9a-zA-Z]{0,12}",
        "\\PC{0,6}",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_fast_pass_finds_what_the_slow_one_finds(text in pieces()) {
        let mut fast = Vec::new();
        scan(text.as_bytes(), all(), &mut fast);
        prop_assert_eq!(fast, naive(text.as_bytes(), all()));
    }

    #[test]
    fn findings_are_apart_in_order_and_on_boundaries(text in pieces()) {
        let mut ranges = Vec::new();
        scan(text.as_bytes(), all(), &mut ranges);
        let mut end = 0;
        for (range, _) in ranges {
            prop_assert!(range.start >= end && range.start < range.end);
            prop_assert!(text.get(range.clone()).is_some());
            end = range.end;
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        scan(&bytes, all(), &mut Vec::new());
    }
}
