use super::*;

const SALT: &[u8; 16] = b"sixteen bytes of";
const END_POINT: &[u8] = b"hash of the certificate";

fn verifier() -> Verifier {
    Verifier::derive("secret", SALT, 4_096)
}

/// A whole exchange; what both sides say of it.
fn exchange(
    server: ScramServer,
    binding: Binding<'_>,
    password: &str,
) -> Result<ClientKeys, AuthError> {
    let offered = server.mechanisms();
    let client = ScramClient::new(offered.iter().copied(), binding, &[1; 18])?;
    let (server, challenge) =
        server.on_client_first(client.mechanism(), client.first(), &[2; 18])?;
    let (client, proof) = client.on_server_first(&challenge, password, None)?;
    let (_proven, signature) = server.on_client_final(&proof)?;
    client.on_server_final(&signature)
}

#[test]
fn the_exchange_of_rfc_7677_is_reproduced() {
    // RFC 7677 §3; its salt and keys, with PostgreSQL's verifier of them.
    let salt = scram::decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let text = Verifier::derive("pencil", &salt, 4_096).to_string();
    assert!(text.starts_with(
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    ));
    assert_eq!(
        text.parse::<Verifier>().unwrap(),
        Verifier::derive("pencil", &salt, 4_096)
    );
}

#[test]
fn both_sides_prove_that_they_know() {
    exchange(ScramServer::new(verifier(), None), Binding::None, "secret").unwrap();
    exchange(
        ScramServer::new(verifier(), Some(END_POINT.to_vec())),
        Binding::Prefer(END_POINT),
        "secret",
    )
    .unwrap();
    exchange(
        ScramServer::new(verifier(), None),
        Binding::Prefer(END_POINT),
        "secret",
    )
    .unwrap();
}

#[test]
fn a_wrong_password_and_an_unknown_user_look_alike() {
    let wrong = exchange(ScramServer::new(verifier(), None), Binding::None, "Secret").unwrap_err();
    let mock = || Verifier::mock("nobody", &[3; 32]);
    let unknown = exchange(ScramServer::new(mock(), None), Binding::None, "secret").unwrap_err();
    assert_eq!((wrong, unknown), (AuthError::Rejected, AuthError::Rejected));
    assert_eq!(
        mock().to_string(),
        Verifier::mock("nobody", &[3; 32]).to_string()
    );
    assert_ne!(
        mock().to_string(),
        Verifier::mock("nobody else", &[3; 32]).to_string()
    );
    assert_eq!((mock().salt.len(), mock().iterations), (16, 4_096));
}

#[test]
fn a_struck_out_offer_of_channel_binding_is_noticed() {
    // The client has channel binding and was told of none: it says `y`.
    let client = ScramClient::new([SCRAM_SHA_256], Binding::Prefer(END_POINT), &[1; 18]).unwrap();
    let server = ScramServer::new(verifier(), Some(END_POINT.to_vec()));
    let outcome = server
        .on_client_first(client.mechanism(), client.first(), &[2; 18])
        .map(drop);
    assert_eq!(outcome, Err(AuthError::Binding));
    let required =
        ScramClient::new([SCRAM_SHA_256], Binding::Require(END_POINT), &[1; 18]).map(drop);
    assert_eq!(required, Err(AuthError::Binding));
}

#[test]
fn another_channel_is_refused() {
    let server = ScramServer::new(verifier(), Some(END_POINT.to_vec()));
    let outcome = exchange(server, Binding::Prefer(b"another certificate"), "secret").map(drop);
    assert_eq!(outcome, Err(AuthError::Binding));
}

#[test]
fn malformed_messages_of_a_client_are_refused() {
    for first in [
        "",
        "n,,",
        "n,,n=",
        "n,,n=,r=",
        "n,,n=,r=a b",
        "n,,n=,r=abc,",
        "n,,n=,r=abc,x=1",
        "n,,m=1,n=,r=abc",
        "n,a=other,n=,r=abc",
        "p=tls-unique,,n=,r=abc",
        "x,,n=,r=abc",
        "n,,r=abc,n=",
    ] {
        let outcome = ScramServer::new(verifier(), None).on_client_first(
            SCRAM_SHA_256,
            first.as_bytes(),
            &[2; 18],
        );
        assert!(outcome.is_err(), "{first:?}");
    }
    let plus = ScramServer::new(verifier(), None).on_client_first(
        SCRAM_SHA_256_PLUS,
        b"n,,n=,r=abc",
        &[2; 18],
    );
    assert_eq!(plus.map(drop), Err(AuthError::Mechanism));
}

#[test]
fn a_proof_with_anything_behind_or_before_it_is_refused() {
    let proof_of = |change: &dyn Fn(String) -> String| {
        let client = ScramClient::new([SCRAM_SHA_256], Binding::None, &[1; 18]).unwrap();
        let server = ScramServer::new(verifier(), None);
        let (server, challenge) = server
            .on_client_first(client.mechanism(), client.first(), &[2; 18])
            .unwrap();
        let (_, proof) = client.on_server_first(&challenge, "secret", None).unwrap();
        let proof = change(String::from_utf8(proof).unwrap());
        server.on_client_final(proof.as_bytes()).map(drop)
    };
    assert_eq!(proof_of(&|proof| proof), Ok(()));
    assert!(proof_of(&|proof| format!("{proof},x=1")).is_err());
    assert!(proof_of(&|proof| format!("{proof}AA")).is_err());
    assert!(proof_of(&|proof| format!("{proof}\0")).is_err());
    assert_eq!(
        proof_of(&|proof| proof.replace("r=", "r=x")),
        Err(AuthError::Nonce)
    );
    assert_eq!(
        proof_of(&|proof| proof.replace("c=biws", "c=eSws")),
        Err(AuthError::Binding)
    );
}

#[test]
fn a_server_that_does_not_know_the_password_is_refused() {
    let answer = |challenge: &str| {
        let client = ScramClient::new([SCRAM_SHA_256], Binding::None, &[1; 18]).unwrap();
        client.on_server_first(challenge.as_bytes(), "secret", None)
    };
    let nonce = scram::encode(&[1; 18]);
    let good = format!("r={nonce}abc,s=QUJD,i=4096");
    let (proven, _) = answer(&good).unwrap();
    let forged = format!("v={}", scram::encode(&[0; 32]));
    assert_eq!(
        proven.on_server_final(forged.as_bytes()).map(drop),
        Err(AuthError::ServerSignature)
    );
    assert_eq!(
        answer(&good)
            .unwrap()
            .0
            .on_server_final(b"e=other-error")
            .map(drop),
        Err(AuthError::Refused)
    );
    assert_eq!(
        answer("r=stolen,s=QUJD,i=4096").map(drop),
        Err(AuthError::Nonce)
    );
    assert_eq!(
        answer(&format!("r={nonce},s=QUJD,i=4096")).map(drop),
        Err(AuthError::Nonce)
    );
    for iterations in [0_u32, 1, 4_095, 100_001, u32::MAX] {
        let outcome = answer(&format!("r={nonce}abc,s=QUJD,i={iterations}")).map(drop);
        assert_eq!(outcome, Err(AuthError::Iterations(iterations)));
    }
}

#[test]
fn misspelled_verifiers_are_refused() {
    let good = verifier().to_string();
    assert!(good.parse::<Verifier>().is_ok());
    for bad in [
        String::new(),
        good.replace("256", "512"),
        good.replace("4096", "0"),
        good.replace("4096", "+4096"),
        good.replace(':', ";"),
        format!("{good}A"),
        good.replace('$', ":"),
        "md5abc".to_owned(),
    ] {
        assert!(bad.parse::<Verifier>().is_err(), "{bad}");
    }
}

#[test]
fn md5_answers_are_those_of_postgresql() {
    // md5(md5("secret" || "app") || salt), computed with coreutils.
    let expected = "md5911f527656472583a006e7727877b33e";
    assert_eq!(
        md5_response("app", "secret", [1, 2, 3, 4]).as_str(),
        expected
    );
}
