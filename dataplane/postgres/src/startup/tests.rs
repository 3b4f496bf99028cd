use proptest::prelude::*;

use super::*;

fn packet(code: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).unwrap();
    [&length.to_be_bytes()[..], &code.to_be_bytes()[..], body].concat()
}

fn read(bytes: &[u8]) -> Result<Option<Packet>, StartupError> {
    PacketReader::new().next(bytes, &mut 0)
}

fn startup(code: u32, body: &[u8]) -> Result<StartupMessage, StartupError> {
    match read(&packet(code, body))? {
        Some(Packet::Startup(message)) => Ok(message),
        other => panic!("{other:?}"),
    }
}

const V3_0: u32 = 0x0003_0000;

#[test]
fn a_usual_start_is_taken() {
    let body = b"user\0app\0database\0db\0application_name\0psql\0client_encoding\0'utf-8'\0datestyle\0ISO\0\0";
    let message = startup(V3_0, body).unwrap();
    assert_eq!(
        (message.user.as_str(), message.database.as_str()),
        ("app", "db")
    );
    let settings: Vec<_> = message
        .parameters
        .iter()
        .map(|parameter| parameter.setting)
        .collect();
    assert_eq!(settings, [Setting::ApplicationName, Setting::DateStyle]);
    let mut answer = Vec::new();
    message.negotiate(&mut answer);
    assert!(answer.is_empty());
    assert_eq!(startup(V3_0, b"user\0app\0\0").unwrap().database, "app");
}

#[test]
fn what_could_change_the_meaning_of_bytes_is_refused() {
    for body in [
        b"user\0a\0replication\0database\0\0".as_slice(),
        b"user\0a\0client_encoding\0SJIS\0\0",
        b"user\0a\0standard_conforming_strings\0off\0\0",
        b"user\0a\0role\0b\0\0",
        b"user\0a\0options\0-c role=b\0\0",
        b"user\0a\0options\0-crole=b\0\0",
        b"user\0a\0options\0--role=b\0\0",
        b"user\0a\0options\0-c session-replication-role=replica\0\0",
        b"user\0a\0options\0-d 5\0\0",
        b"user\0a\0options\0-c\0\0",
        b"user\0a\0options\0-c client_encoding=SJIS\0\0",
        b"user\0a\0options\0-c\\ role=b\0\0",
        b"user\0a\0user\0b\0\0",
        b"user\0a\0TimeZone\0x\0timezone\0y\0\0",
        b"user\0a\0options\0-c lock_timeout=1 -c lock_timeout=2\0\0",
        b"database\0a\0\0",
        b"user\0\0\0",
        b"user\0a\0",
        b"user\0a\0\0\0",
        b"user\0a",
        b"user\0\xff\0\0",
        b"USER\0a\0\0",
    ] {
        assert!(
            startup(V3_0, body).is_err(),
            "{:?}",
            String::from_utf8_lossy(body)
        );
    }
}

#[test]
fn allowed_settings_pass_inside_options() {
    let body =
        b"user\0a\0options\0-c lock_timeout=5s  --statement-timeout=1\\ min -cTimeZone=UTC\0\0";
    let message = startup(V3_0, body).unwrap();
    let told: Vec<_> = message
        .parameters
        .iter()
        .map(|parameter| (parameter.setting.as_str(), parameter.value.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("lock_timeout", "5s"),
            ("statement_timeout", "1 min"),
            ("TimeZone", "UTC")
        ]
    );
}

#[test]
fn versions_are_negotiated_down() {
    for (asked, spoken, answers) in [
        (V3_0, Version::V3_0, false),
        (0x0003_0001, Version::V3_0, true),
        (0x0003_0002, Version::V3_2, false),
        (0x0003_270f, Version::V3_2, true),
    ] {
        let message = startup(asked, b"user\0a\0\0").unwrap();
        let mut answer = Vec::new();
        message.negotiate(&mut answer);
        assert_eq!(
            (message.version, !answer.is_empty()),
            (spoken, answers),
            "{asked:#x}"
        );
    }
    let greased = startup(
        0x0003_270f,
        b"user\0a\0_pq_.test_protocol_negotiation\0x\0\0",
    )
    .unwrap();
    let mut answer = Vec::new();
    greased.negotiate(&mut answer);
    let told = crate::message::NegotiateProtocolVersion::parse(&answer[5..]).unwrap();
    assert_eq!(told.version, 0x0003_0002);
    assert_eq!(
        told.options().collect::<Vec<_>>(),
        [b"_pq_.test_protocol_negotiation"]
    );
    for major in [0x0002_0000, 0x0004_0000] {
        assert!(matches!(
            startup(major, b"user\0a\0\0"),
            Err(StartupError::Version(..))
        ));
    }
}

#[test]
fn bytes_behind_a_request_for_encryption_are_refused() {
    for code in [80_877_103, 80_877_104] {
        assert!(read(&packet(code, b"")).unwrap().is_some());
        let injected = [packet(code, b""), packet(V3_0, b"user\0a\0\0")].concat();
        assert_eq!(read(&injected), Err(StartupError::Premature));
    }
}

#[test]
fn encryption_is_asked_for_once() {
    let mut reader = PacketReader::new();
    assert_eq!(
        reader.next(&packet(80_877_104, b""), &mut 0),
        Ok(Some(Packet::GssEncRequest))
    );
    assert_eq!(
        reader.next(&packet(80_877_103, b""), &mut 0),
        Ok(Some(Packet::SslRequest))
    );
    assert_eq!(
        reader.next(&packet(80_877_103, b""), &mut 0),
        Err(StartupError::AskedTwice)
    );
    let mut inside = PacketReader::new();
    inside.encrypted();
    assert_eq!(
        inside.next(&packet(80_877_103, b""), &mut 0),
        Err(StartupError::AskedTwice)
    );
}

#[test]
fn a_tls_handshake_is_seen_and_left() {
    let mut at = 0;
    assert_eq!(
        PacketReader::new().next(&[0x16, 3, 1], &mut at),
        Ok(Some(Packet::DirectTls))
    );
    assert_eq!(at, 0);
}

#[test]
fn cancel_keys_have_4_to_256_bytes() {
    for (length, is_taken) in [(3, false), (4, true), (256, true), (257, false)] {
        let mut bytes = Vec::new();
        let written = encode_cancel(9, &vec![1; length], &mut bytes);
        assert_eq!(
            written.is_ok() && read(&bytes).is_ok(),
            is_taken,
            "{length}"
        );
    }
}

#[test]
fn impossible_lengths_are_refused() {
    for length in [0_u32, 3, 4, 7, 10_001, 0x7fff_ffff, 0xffff_ffff] {
        assert_eq!(
            read(&length.to_be_bytes()),
            Err(StartupError::Layout),
            "{length}"
        );
    }
}

#[test]
fn the_own_start_up_has_the_pinned_settings_and_no_hidden_ones() {
    let parameters = [Parameter {
        setting: Setting::TimeZone,
        value: "UTC".to_owned(),
    }];
    let mut own = ServerStartup {
        version: Version::V3_0,
        user: "app",
        database: "db",
        parameters: &parameters,
        client_min_messages: Some("warning"),
    };
    let mut out = Vec::new();
    own.encode(&mut out).unwrap();
    for part in [
        "client_encoding\0UTF8\0",
        "standard_conforming_strings\0on\0",
        "TimeZone\0UTC\0",
    ] {
        assert!(
            out.windows(part.len())
                .any(|window| window == part.as_bytes()),
            "{part}"
        );
    }
    own.user = "app\0replication\0true";
    assert_eq!(own.encode(&mut Vec::new()), Err(BuildError::Nul));
}

proptest! {
    #[test]
    fn splitting_anywhere_changes_nothing(name in "[a-z_ ]{0,9}", value in "[ -~]{0,12}", cut in any::<prop::sample::Index>()) {
        let body = format!("user\0a\0options\0{value}\0{name}\0{value}\0\0");
        let bytes = packet(V3_0, body.as_bytes());
        let (one, two) = bytes.split_at(cut.index(bytes.len() + 1));
        let mut reader = PacketReader::new();
        let split = match reader.next(one, &mut 0) {
            Ok(None) => reader.next(two, &mut 0),
            other => other,
        };
        prop_assert_eq!(split, read(&bytes));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), code in 0..3_u32) {
        let _ = read(&bytes);
        let _ = read(&packet(80_877_102 + code, &bytes));
        let _ = read(&packet(V3_0, &bytes));
    }
}
