use std::io::IoSlice;

use bytes::BytesMut;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use weir_facts::Digest;

use super::super::{Acceptor, AcceptorSource, Connector, HostCa, Speaks, Verify};
use super::{Alpn, Fed, Session};

struct Host {
    ca: HostCa,
    acceptor: Acceptor,
}

impl Host {
    fn accept(&self, alpn: Alpn) -> Result<Session, rustls::Error> {
        let config = self.acceptor.config(Speaks::Postgres);
        Session::accept(&self.acceptor, config, alpn)
    }
}

fn host(names: &[&str]) -> Host {
    let state = tempfile::tempdir().expect("a directory");
    let now = OffsetDateTime::now_utc();
    let ca = HostCa::open(state.path(), now).expect("a CA");
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let acceptor = Acceptor::new(ca.leaf(&names, now).expect("a leaf")).expect("an acceptor");
    Host { ca, acceptor }
}

/// Carries flights back and forth until both are up, or one refuses.
fn handshake(
    client: &mut Session,
    server: &mut Session,
) -> Result<[Option<Digest>; 2], rustls::Error> {
    let mut bindings = [None, None];
    for _ in 0..8 {
        for side in 0..2 {
            let (from, to) = if side == 0 {
                (&mut *client, &mut *server)
            } else {
                (&mut *server, &mut *client)
            };
            let Some(flight) = from.take_ciphertext().expect("memory") else {
                continue;
            };
            let (mut rest, mut plaintext) = (&flight[..], BytesMut::new());
            while let Fed::Up {
                channel_binding, ..
            } = to.feed(&mut rest, &mut plaintext)?
            {
                bindings[1 - side] = channel_binding;
            }
            assert!(plaintext.is_empty());
        }
    }
    Ok(bindings)
}

fn pair(host: &Host, name: &str, verify: Verify) -> (Session, Session) {
    let roots = host.ca.certificate_pem();
    let connector = Connector::new(name, &roots, Speaks::Postgres, None).expect("a connector");
    let client = Session::connect(&connector, verify).expect("a client");
    let server = host.accept(Alpn::Required).expect("a server");
    (client, server)
}

fn carry(from: &mut Session, to: &mut Session, plaintext: &mut BytesMut) -> Fed {
    let flight = from.take_ciphertext().expect("memory").unwrap_or_default();
    to.feed(&mut &flight[..], plaintext).expect("valid records")
}

#[test]
fn both_ends_come_up_and_agree_on_the_channel_binding_of_the_leaf() {
    for name in ["localhost", "127.0.0.1", "::1", "db.internal", "10.1.2.3"] {
        let host = host(&["db.internal", "10.1.2.3"]);
        let (mut client, mut server) = pair(&host, name, Verify::Full);
        let [ours, theirs] = handshake(&mut client, &mut server).expect(name);
        assert_eq!(ours, Some(host.acceptor.digest()));
        assert_eq!(ours, theirs);
        let presented = client
            .connection
            .peer_certificates()
            .expect("a certificate")[0]
            .clone();
        assert_eq!(ours, Some(Digest(Sha256::digest(&presented).into())));
    }
}

#[test]
fn a_wrong_name_is_refused_only_when_the_name_matters() {
    let host = host(&["db.internal"]);
    let (mut client, mut server) = pair(&host, "other.internal", Verify::Full);
    let refused = handshake(&mut client, &mut server).expect_err("the name differs");
    assert!(
        matches!(refused, rustls::Error::InvalidCertificate(_)),
        "{refused}"
    );
    let (mut client, mut server) = pair(&host, "other.internal", Verify::Nothing);
    handshake(&mut client, &mut server).expect("nobody asked for the name");
}

#[test]
fn a_certificate_of_another_host_is_refused_only_when_the_chain_matters() {
    let (mine, theirs) = (host(&[]), host(&[]));
    let roots = mine.ca.certificate_pem();
    let connector =
        Connector::new("localhost", &roots, Speaks::Postgres, None).expect("a connector");
    for (verify, goes_well) in [(Verify::Full, false), (Verify::Nothing, true)] {
        let mut client = Session::connect(&connector, verify).expect("a client");
        let mut server = theirs.accept(Alpn::Optional).expect("a server");
        assert_eq!(
            handshake(&mut client, &mut server).is_ok(),
            goes_well,
            "{verify:?}"
        );
    }
}

#[test]
fn another_protocol_than_the_one_spoken_is_refused() {
    let host = host(&[]);
    let connector = Connector::new("localhost", "", Speaks::Http, None).expect("a connector");
    let mut client = Session::connect(&connector, Verify::Nothing).expect("a client");
    let mut server = host.accept(Alpn::Optional).expect("a server");
    assert!(handshake(&mut client, &mut server).is_err());
}

#[test]
fn plaintext_arrives_unchanged_however_the_ciphertext_is_cut() {
    let host = host(&[]);
    let text: Vec<u8> = (0..100_000u32).map(|n| (n * 7) as u8).collect();
    for step in [1, 5, 16, 1_000, 16_384, 200_000] {
        let (mut client, mut server) = pair(&host, "localhost", Verify::Full);
        handshake(&mut client, &mut server).expect("a handshake");
        let (head, tail) = text.split_at(40_000);
        client
            .seal(&[IoSlice::new(head), IoSlice::new(tail)])
            .expect("sealed");
        client.close();
        let ciphertext = client
            .take_ciphertext()
            .expect("memory")
            .expect("something");
        assert!(!ciphertext.windows(16).any(|window| window == &text[..16]));
        let mut plaintext = BytesMut::new();
        let mut last = Fed::Open;
        for mut part in ciphertext.chunks(step) {
            last = server
                .feed(&mut part, &mut plaintext)
                .expect("valid records");
        }
        assert_eq!(last, Fed::Closed);
        assert_eq!(plaintext, text);
    }
}

#[test]
fn a_flipped_bit_ends_the_session_with_an_alert() {
    let host = host(&[]);
    let (mut client, mut server) = pair(&host, "localhost", Verify::Full);
    handshake(&mut client, &mut server).expect("a handshake");
    client.seal(&[IoSlice::new(b"secret")]).expect("sealed");
    let mut ciphertext = client
        .take_ciphertext()
        .expect("memory")
        .expect("something")
        .to_vec();
    *ciphertext.last_mut().expect("bytes") ^= 1;
    let mut plaintext = BytesMut::new();
    assert!(server.feed(&mut &ciphertext[..], &mut plaintext).is_err());
    assert!(plaintext.is_empty());
    assert!(
        server.take_ciphertext().expect("memory").is_some(),
        "the peer is told"
    );
}

#[test]
fn bytes_that_are_no_tls_are_refused() {
    let host = host(&[]);
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16; 64], &[0xff; 6000]] {
        let mut server = host.accept(Alpn::Optional).expect("a server");
        assert!(
            server
                .feed(&mut &garbage[..], &mut BytesMut::new())
                .is_err()
        );
    }
}

#[test]
fn both_directions_work_after_the_handshake() {
    let host = host(&[]);
    let (mut client, mut server) = pair(&host, "localhost", Verify::Full);
    handshake(&mut client, &mut server).expect("a handshake");
    let mut plaintext = BytesMut::new();
    client.seal(&[IoSlice::new(b"ping")]).expect("sealed");
    assert_eq!(carry(&mut client, &mut server, &mut plaintext), Fed::Open);
    server.seal(&[IoSlice::new(b"pong")]).expect("sealed");
    assert_eq!(carry(&mut server, &mut client, &mut plaintext), Fed::Open);
    assert_eq!(&plaintext[..], b"pingpong");
}

#[test]
fn a_leaf_of_a_server_that_was_verified_has_its_name_and_no_other() {
    let state = tempfile::tempdir().expect("a directory");
    let now = OffsetDateTime::now_utc();
    let ca = HostCa::open(state.path(), now).expect("a CA");
    let roots = ca.certificate_pem();
    let source = AcceptorSource::new(ca, Vec::new(), now).expect("a leaf");
    let ask = |acceptor: &Acceptor, name: &str| {
        let connector = Connector::new(name, &roots, Speaks::Http, None).expect("a connector");
        let mut client = Session::connect(&connector, Verify::Full).expect("a client");
        let config = acceptor.config(Speaks::Http);
        let mut server = Session::accept(acceptor, config, Alpn::Optional).expect("a server");
        let up = handshake(&mut client, &mut server).map(drop);
        (up, client.connection.alpn_protocol().map(<[u8]>::to_vec))
    };
    let names = ["mcp.corp.example".to_owned(), "10.1.2.3".to_owned()];
    let named = source.answering_as(&names, now).expect("a leaf");
    for name in ["mcp.corp.example", "10.1.2.3", "localhost"] {
        let (up, alpn) = ask(&named, name);
        assert_eq!((up, alpn), (Ok(()), Some(b"http/1.1".to_vec())), "{name}");
    }
    assert!(ask(&named, "other.corp.example").0.is_err());
    // Weir's own leaf vouches for no server's name.
    assert!(ask(&source.current(), "mcp.corp.example").0.is_err());
}
