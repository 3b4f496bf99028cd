//! Start-up, over real sockets.

use super::bed::Bed;
use super::cluster::Cluster;
use super::talk::{GSS, SSL, Talk, V3_0, V3_2, V3_9999, enter, startup, tls};

/// The FATAL that refuses these first bytes: its SQLSTATE and message.
fn refused(bed: &Bed, bytes: &[u8]) -> (String, String) {
    let mut talk = Talk::to(bed.address);
    talk.send(bytes);
    let heard = talk.hear().expect("a refusal");
    assert!(talk.hear().is_none(), "the connection goes on");
    (heard.field(b'C'), heard.field(b'M'))
}

fn with(name: &str, value: &str) -> Vec<u8> {
    startup(V3_0, &[("user", "app"), (name, value)])
}

#[test]
fn sessions_open_as_the_protocol_says_and_in_no_other_way() {
    let cluster = Cluster::start();
    let bed = Bed::start(&cluster, |_| {});
    versions(&bed);
    cancel(&bed);
    encryption_is_asked_for_once_and_first(&bed);
    direct_tls_needs_its_name(&bed);
    one_session_for_one_connection(&bed);
    parameters(&bed);
}

fn versions(bed: &Bed) {
    let (mut talk, negotiated, key) = enter(bed, V3_0, &[]);
    assert!(negotiated.is_none());
    assert_eq!(key.len(), 8, "3.0: process and 4 bytes");
    assert_eq!(talk.query("SELECT 7").expect("a row"), "7");
    // The server speaks 3.0 only; that is between it and Weir.
    let (mut talk, negotiated, key) = enter(bed, V3_2, &[]);
    assert!(negotiated.is_none());
    assert_eq!(key.len(), 36, "3.2: process and 32 bytes");
    assert_eq!(talk.query("SELECT 8").expect("a row"), "8");
    let grease = ("_pq_.test_protocol_negotiation", "");
    let (mut talk, negotiated, _) = enter(bed, V3_9999, &[grease]);
    let negotiated = negotiated.expect("NegotiateProtocolVersion").body;
    let option = [grease.0.as_bytes(), b"\0"].concat();
    let expected = [V3_2.to_be_bytes().as_slice(), &[0, 0, 0, 1], &option].concat();
    assert_eq!(negotiated, expected);
    assert_eq!(talk.query("SELECT 9").expect("a row"), "9");
    for version in [2 << 16, 4 << 16, 0] {
        let (code, _) = refused(bed, &startup(version, &[("user", "app")]));
        assert_eq!(code, "0A000");
    }
}

fn cancel(bed: &Bed) {
    for version in [V3_0, V3_2] {
        let (mut talk, _, key) = enter(bed, version, &[]);
        let running = std::thread::spawn(move || talk.query("SELECT pg_sleep(600)"));
        // The statement may not run yet when a request comes: ask until it has ended.
        while !running.is_finished() {
            let length = u32::try_from(8 + key.len()).expect("short");
            let code = 80_877_102_u32.to_be_bytes();
            let mut request = Talk::to(bed.address);
            request.send(&[length.to_be_bytes().as_slice(), &code, &key].concat());
            assert!(request.byte().is_none(), "a cancel request is not answered");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let error = running.join().expect("no panic").expect_err("cancelled");
        assert_eq!(error.field(b'C'), "57014");
    }
}

fn encryption_is_asked_for_once_and_first(bed: &Bed) {
    let mut talk = Talk::to(bed.address);
    talk.send(&GSS);
    assert_eq!(talk.byte(), Some(b'N'));
    talk.send(&SSL);
    assert_eq!(talk.byte(), Some(b'S'));
    let mut talk = talk.encrypt(tls(&[])).expect("TLS after GSSENCRequest");
    talk.send(&startup(V3_0, &[("user", "app")]));
    let (code, _) = talk.asked();
    assert_eq!(code, 10);
    // The other order: inside TLS nothing more is negotiated.
    let mut talk = Talk::secure(bed.address);
    talk.send(&GSS);
    assert_eq!(talk.expect(b'E').field(b'C'), "08P01");
    let mut talk = Talk::secure(bed.address);
    talk.send(&SSL);
    assert_eq!(talk.expect(b'E').field(b'C'), "08P01");
    let mut talk = Talk::to(bed.address);
    talk.send(&GSS);
    assert_eq!(talk.byte(), Some(b'N'));
    talk.send(&GSS);
    assert_eq!(talk.expect(b'E').field(b'C'), "08P01");
    // CVE-2021-23214: what comes with the request was not said inside TLS.
    for request in [SSL, GSS] {
        let stuffed = [request.as_slice(), &startup(V3_0, &[("user", "app")])].concat();
        let (code, message) = refused(bed, &stuffed);
        assert_eq!(code, "08P01");
        assert!(message.contains("received data behind"), "{message}");
    }
}

fn direct_tls_needs_its_name(bed: &Bed) {
    let mut talk = Talk::to(bed.address)
        .encrypt(tls(&[b"postgresql"]))
        .expect("direct TLS");
    talk.send(&startup(V3_0, &[("user", "app"), ("database", "postgres")]));
    let (code, offered) = talk.asked();
    assert_eq!(code, 10);
    talk.prove(&offered);
    talk.ready();
    assert_eq!(talk.query("SELECT 3").expect("a row"), "3");
    for other in [[].as_slice(), &[b"http/1.1".as_slice()]] {
        let talk = Talk::to(bed.address).encrypt(tls(other));
        // TLS 1.3: the client's side of the handshake may end before the refusal arrives.
        let mut talk = match talk {
            Err(_) => continue,
            Ok(talk) => talk,
        };
        assert!(talk.byte().is_none(), "served without ALPN");
    }
}

fn one_session_for_one_connection(bed: &Bed) {
    let mut talk = Talk::to(bed.address);
    talk.send(&startup(V3_0, &[("user", "app")]));
    assert_eq!(talk.asked().0, 10);
    // Another user in the middle of the proof (CVE-2026-107350 of a pooler).
    talk.send(&startup(V3_0, &[("user", "postgres")]));
    assert_eq!(talk.expect(b'E').field(b'C'), "08P01");
    assert!(talk.hear().is_none());
}

fn parameters(bed: &Bed) {
    let settings = [
        (
            "options",
            "-c search_path=pg_catalog --statement-timeout=12345",
        ),
        ("DateStyle", "German"),
        ("client_encoding", "'utf-8'"),
    ];
    let (mut talk, _, _) = enter(bed, V3_0, &settings);
    let asked = "SELECT current_setting('statement_timeout') || ' ' || current_setting('search_path') || ' ' || current_setting('DateStyle')";
    assert_eq!(
        talk.query(asked).expect("a row"),
        "12345ms pg_catalog German, DMY"
    );
    for (name, value) in [
        ("replication", "true"),
        ("replication", "database"),
        ("role", "postgres"),
        ("session_authorization", "postgres"),
        ("session_preload_libraries", "evil"),
        ("client_encoding", "LATIN1"),
        ("standard_conforming_strings", "off"),
        ("options", "-c role=postgres"),
        ("options", "--session-preload-libraries=evil"),
        ("options", "-c standard_conforming_strings=off"),
        ("options", "-W 60"),
        ("options", "-c"),
        ("user", "postgres"),
        ("DATABASE", "other"),
    ] {
        let (code, message) = refused(bed, &with(name, value));
        assert!(
            ["22023", "08P01", "42704"].contains(&&*code),
            "{name}={value}: {code} {message}"
        );
    }
    let (code, _) = refused(bed, &startup(V3_0, &[("database", "postgres")]));
    assert_eq!(code, "28000");
    for bytes in [
        [0, 0, 0, 7].as_slice(),
        &[0, 0, 0x27, 0x11],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff],
    ] {
        assert_eq!(refused(bed, bytes).0, "08P01");
    }
}
