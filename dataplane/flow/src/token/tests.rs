use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use weir_facts::Group;

use super::*;

const NOW: u64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://idp.example";

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An issuer's own half: signs with ES256 as `k1`.
pub(crate) struct Signer(EcdsaKeyPair);

impl Signer {
    pub(crate) fn new() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).unwrap())
    }

    pub(crate) fn jwk(&self, kid: &str) -> String {
        let point = self.0.public_key().as_ref();
        let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
        format!(r#"{{"kty":"EC","crv":"P-256","use":"sig","kid":"{kid}","x":"{x}","y":"{y}"}}"#)
    }

    pub(crate) fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self
            .0
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", encode(signature))
    }
}

pub(crate) fn provider(keys: &[String]) -> IdentityProvider {
    let jwks = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
    IdentityProvider {
        issuer: ISSUER.into(),
        audiences: vec!["urn:weir:{connection}".into()],
        algorithms: vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa],
        keys: KeySet::parse(jwks.as_bytes()).unwrap(),
        subject_claim: "sub".into(),
        groups_claim: "groups".into(),
        group_prefix: "corp:".into(),
        configuration: "https://idp.example/.well-known/openid-configuration".into(),
        scope: "openid".into(),
    }
}

fn verify(provider: &IdentityProvider, token: &str) -> Result<Bearer, TokenError> {
    let token = Unverified::parse(token)?;
    let audience = Audience {
        connection: Some(&ConnectionName::new("prod-pg")),
        resource: None,
    };
    provider.verify(&token, audience, NOW)
}

pub(crate) const HEADER: &str = r#"{"alg":"ES256","kid":"k1","typ":"at+jwt"}"#;

/// Good claims, with one changed or added.
fn claims(name: &str, value: &str) -> String {
    let mut claims = vec![
        ("iss", format!("\"{ISSUER}\"")),
        ("aud", "[\"other\",\"urn:weir:prod-pg\"]".to_owned()),
        ("sub", "\"alice\"".to_owned()),
        ("exp", (NOW + 60).to_string()),
        ("nbf", NOW.to_string()),
        ("groups", "[\"eng\",\"dba\",\"eng\"]".to_owned()),
    ];
    claims.retain(|(known, _)| *known != name);
    if !value.is_empty() {
        claims.push((name, value.to_owned()));
    }
    let members: Vec<_> = claims
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

#[test]
fn a_good_token_says_whose_it_is() {
    let signer = Signer::new();
    let provider = provider(&[signer.jwk("k1")]);
    let bearer = verify(&provider, &signer.sign(HEADER, &claims("", ""))).unwrap();
    let identity = Identity {
        issuer: ISSUER.into(),
        subject: "alice".into(),
        is_service: false,
        groups: vec![Group("corp:dba".into()), Group("corp:eng".into())],
    };
    assert_eq!(*bearer.identity, identity);
    assert_eq!(bearer.agent, None);
    let agent = signer.sign(
        HEADER,
        &claims("act", r#"{"sub":"agent-x","act":{"sub":"y"}}"#),
    );
    let bearer = verify(&provider, &agent).unwrap();
    assert_eq!(&*bearer.agent.unwrap().name, "agent-x");
    for claim in ["client_id", "azp"] {
        let service = signer.sign(HEADER, &claims(claim, "\"alice\""));
        assert!(verify(&provider, &service).unwrap().identity.is_service);
        let person = signer.sign(HEADER, &claims(claim, "\"psql\""));
        assert!(!verify(&provider, &person).unwrap().identity.is_service);
    }
}

#[test]
fn claims_that_do_not_fit_are_refused_each_for_its_own_reason() {
    let signer = Signer::new();
    let provider = provider(&[signer.jwk("k1")]);
    let said = |name: &str, value: &str| {
        verify(&provider, &signer.sign(HEADER, &claims(name, value))).unwrap_err()
    };
    assert_eq!(said("aud", "\"urn:weir:other-pg\""), TokenError::Audience);
    assert_eq!(said("aud", "[]"), TokenError::Audience);
    assert_eq!(said("aud", ""), TokenError::Audience);
    assert_eq!(
        said("iss", "\"https://evil.example\""),
        TokenError::Issuer("https://evil.example".to_owned())
    );
    assert_eq!(said("exp", &NOW.to_string()), TokenError::Expired(NOW));
    assert_eq!(said("exp", &format!("{NOW}.9")), TokenError::Expired(NOW));
    let later = NOW + NOT_BEFORE_SLACK_S + 1;
    assert_eq!(said("nbf", &later.to_string()), TokenError::NotYet(later));
    for (name, value) in [
        ("exp", ""),
        ("exp", "\"1900000000\""),
        ("exp", "-1"),
        ("exp", "1e10"),
        ("iss", ""),
        ("sub", ""),
        ("sub", "7"),
        ("sub", "\"\""),
        ("sub", "\"a\\u0000b\""),
        ("groups", "[[\"dba\"]]"),
        ("groups", "{\"dba\":true}"),
        ("aud", "[7]"),
        ("cnf", r#"{"jkt":"x"}"#),
        ("act", "{}"),
    ] {
        let error = said(name, value);
        assert!(
            matches!(error, TokenError::Malformed(_)),
            "{name} {value}: {error}"
        );
    }
    let twice = claims("", "").replace("\"sub\":", "\"sub\":\"root\",\"sub\":");
    let error = verify(&provider, &signer.sign(HEADER, &twice)).unwrap_err();
    assert_eq!(error, TokenError::Malformed("JSON"));
}

#[test]
fn scopes_are_read_in_both_spellings() {
    let signer = Signer::new();
    let provider = provider(&[signer.jwk("k1")]);
    let of = |name: &str, value: &str| {
        let token = signer.sign(HEADER, &claims(name, value));
        verify(&provider, &token).map(|bearer| bearer.scopes.join(" "))
    };
    let long = format!("{} x", "a ".repeat(90));
    for (name, value, scopes) in [
        ("scope", "\"b a  b\"", "a b"),
        ("scope", "\"\"", ""),
        ("scp", "[\"b\",\"a\"]", "a b"),
        ("scp", "\"a b\"", "a b"),
        ("other", "1", ""),
        ("scope", &format!("{long:?}"), "a x"),
    ] {
        assert_eq!(of(name, value).as_deref(), Ok(scopes), "{name} {value}");
    }
    for (name, value) in [
        ("scope", "7"),
        ("scope", "[\"a\"]"),
        ("scope", "\"a\\\"b\""),
        ("scope", "\"a\\u0007\""),
        ("scp", "{}"),
    ] {
        let error = of(name, value).unwrap_err();
        assert!(matches!(error, TokenError::Malformed(_)), "{name} {value}");
    }
}

#[test]
fn a_token_for_the_resource_itself_is_for_its_connection() {
    let signer = Signer::new();
    let provider = provider(&[signer.jwk("k1")]);
    let resource = ResourceUri::parse("https://mcp.example/mcp").unwrap();
    let connection = ConnectionName::new("prod-pg");
    let of = |aud: &str, connection: Option<&ConnectionName>, resource: Option<&ResourceUri>| {
        let text = signer.sign(HEADER, &claims("aud", aud));
        let token = Unverified::parse(&text)?;
        provider.verify(
            &token,
            Audience {
                connection,
                resource,
            },
            NOW,
        )
    };
    let (whole, name) = (Some(&resource), Some(&connection));
    for aud in [
        "\"https://mcp.example/mcp\"",
        "[\"x\",\"https://mcp.example/mcp/\"]",
    ] {
        assert!(of(aud, name, whole).is_ok(), "{aud}");
        assert_eq!(of(aud, name, None), Err(TokenError::Audience));
    }
    for aud in ["\"https://mcp.example\"", "\"https://mcp.example/mcp2\""] {
        assert_eq!(of(aud, name, whole), Err(TokenError::Audience), "{aud}");
    }
    // A token for Weir is none for the server.
    let ours = "\"urn:weir:prod-pg\"";
    assert!(of(ours, name, whole).is_ok());
    assert_eq!(of(ours, None, whole), Err(TokenError::Audience));
}

#[test]
fn a_token_that_somebody_else_signed_or_changed_is_refused() {
    let (signer, other) = (Signer::new(), Signer::new());
    let provider = provider(&[signer.jwk("k1")]);
    let forged = other.sign(HEADER, &claims("", ""));
    assert_eq!(verify(&provider, &forged), Err(TokenError::Signature));
    let good = signer.sign(HEADER, &claims("", ""));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, _) = signed.split_once('.').unwrap();
    let changed = format!("{header}.{}.{signature}", encode(claims("sub", "\"root\"")));
    assert_eq!(verify(&provider, &changed), Err(TokenError::Signature));
    for end in 0..good.len() {
        assert!(verify(&provider, &good[..end]).is_err(), "{end}");
    }
    for text in ["", ".", "..", "a.b.c", "no token", &format!("{good}.")] {
        assert!(verify(&provider, text).is_err(), "{text}");
    }
    assert!(verify(&provider, &format!("{good}=")).is_err());
}

#[test]
fn headers_that_choose_how_they_are_checked_are_refused() {
    let signer = Signer::new();
    let provider = provider(&[signer.jwk("k1")]);
    let said = |header: &str| verify(&provider, &signer.sign(header, &claims("", ""))).unwrap_err();
    for algorithm in ["none", "None", "HS256", "ES384", "RS512", ""] {
        let header = format!(r#"{{"alg":"{algorithm}","kid":"k1"}}"#);
        assert_eq!(said(&header), TokenError::Algorithm(algorithm.to_owned()));
    }
    // An algorithm of another kind of key is the wrong key.
    assert!(matches!(
        said(r#"{"alg":"RS256","kid":"k1"}"#),
        TokenError::Key { .. }
    ));
    let unsigned = format!(
        "{}.{}.",
        encode(r#"{"alg":"none"}"#),
        encode(claims("", ""))
    );
    assert!(verify(&provider, &unsigned).is_err());
    for header in [
        r#"{"kid":"k1"}"#,
        r#"{"alg":"ES256","kid":7}"#,
        r#"{"alg":"ES256","kid":"k1","crit":["b64"],"b64":false}"#,
        r#"{"alg":"ES256","kid":"k1","typ":"logout+jwt"}"#,
        r#"{"alg":"ES256","kid":"k1","typ":"dpop+jwt"}"#,
        r#"{"alg":"none","alg":"ES256","kid":"k1"}"#,
        "[]",
    ] {
        assert!(matches!(said(header), TokenError::Malformed(_)), "{header}");
    }
    // A key that the token brings along is not looked at.
    let other = Signer::new();
    let header = format!(r#"{{"alg":"ES256","kid":"k1","jwk":{}}}"#, other.jwk("k1"));
    let brought = other.sign(&header, &claims("", ""));
    assert_eq!(verify(&provider, &brought), Err(TokenError::Signature));
}

#[test]
fn keys_are_found_by_name_and_one_that_is_not_there_is_said_to_be_missing() {
    let (old, new) = (Signer::new(), Signer::new());
    let rotating = provider(&[old.jwk("k0"), new.jwk("k1")]);
    assert!(verify(&rotating, &new.sign(HEADER, &claims("", ""))).is_ok());
    let before = provider(&[old.jwk("k0")]);
    let missing = TokenError::Key {
        issuer: ISSUER.into(),
        kid: "k1".to_owned(),
    };
    assert_eq!(
        verify(&before, &new.sign(HEADER, &claims("", ""))),
        Err(missing)
    );
    // Without a name it can only be the one key that there is.
    let nameless = r#"{"alg":"ES256"}"#;
    assert!(verify(&before, &old.sign(nameless, &claims("", ""))).is_ok());
    let error = verify(&rotating, &old.sign(nameless, &claims("", "")));
    assert!(matches!(error, Err(TokenError::Key { .. })));
}

#[test]
fn eddsa_is_verified() {
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let x = encode(key.public_key().as_ref());
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"e","x":"{x}"}}"#);
    let provider = provider(&[jwk]);
    let signed = format!(
        "{}.{}",
        encode(r#"{"alg":"EdDSA","kid":"e"}"#),
        encode(claims("", ""))
    );
    let good = format!("{signed}.{}", encode(key.sign(signed.as_bytes())));
    assert!(verify(&provider, &good).is_ok());
    let bad = format!("{signed}.{}", encode([0; 64]));
    assert_eq!(verify(&provider, &bad), Err(TokenError::Signature));
}

/// RFC 7515 appendix A.2: its key, and its token, which has no audience.
#[test]
fn the_rs256_example_of_rfc_7515_is_verified() {
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let jwk = format!(r#"{{"kty":"RSA","n":"{n}","e":"AQAB"}}"#);
    let mut provider = provider(&[jwk]);
    provider.issuer = "joe".into();
    // Its signature holds: the audience is what is looked at next.
    assert_eq!(verify(&provider, token), Err(TokenError::Audience));
    let changed = token.replace("cC4hiUPoj9E", "cC4hiUPoj9F");
    assert_eq!(verify(&provider, &changed), Err(TokenError::Signature));
}

#[test]
fn key_sets_without_a_key_for_signatures_are_refused() {
    let signer = Signer::new();
    let jwk = signer.jwk("k1");
    for (wrong, error) in [
        ("not JSON".to_owned(), JwkError::Form),
        ("[]".to_owned(), JwkError::Form),
        (r#"{"keys":{}}"#.to_owned(), JwkError::Form),
        (r#"{"keys":[]}"#.to_owned(), JwkError::Empty),
        (
            format!(r#"{{"keys":[{}]}}"#, jwk.replace("\"sig\"", "\"enc\"")),
            JwkError::Empty,
        ),
        (
            r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#.to_owned(),
            JwkError::Empty,
        ),
        (
            r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#.to_owned(),
            JwkError::Empty,
        ),
        (
            format!(
                r#"{{"keys":[{}]}}"#,
                vec![jwk.as_str(); KEYS_OVER].join(",")
            ),
            JwkError::Form,
        ),
    ] {
        assert_eq!(
            KeySet::parse(wrong.as_bytes()).map(drop),
            Err(error),
            "{wrong}"
        );
    }
    // One that cannot be used does not make the others unusable.
    let mixed = format!(r#"{{"keys":[{{"kty":"oct","k":"AA"}},{{}},7,{jwk}]}}"#);
    assert!(KeySet::parse(mixed.as_bytes()).is_ok());
}

const KEYS_OVER: usize = 65;
