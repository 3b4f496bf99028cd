use super::*;

fn id(json: &str) -> Id {
    Id::read(&Document::parse(json.as_bytes()).expect(json).root()).expect(json)
}

#[test]
fn an_answer_finds_its_request_by_type_and_value_once() {
    let mut pending = Pending::default();
    pending.ask(id("1"), "number").expect("new");
    pending.ask(id(r#""1""#), "string").expect("new");
    pending.ask(id(r#""a""#), "letter").expect("new");
    assert_eq!(pending.ask(id("1"), "again"), Err(PendingError::InUse));
    assert_eq!(pending.answer(&id(r#""1""#)), Some("string"));
    assert_eq!(pending.answer(&id(r#""1""#)), None);
    assert_eq!(pending.answer(&id(r#""\u0061""#)), Some("letter"));
    assert_eq!(pending.answer(&id("2")), None);
    assert_eq!(pending.answer(&id("1")), Some("number"));
    assert!(pending.is_empty());
}

#[test]
fn unanswered_requests_are_bounded() {
    let mut pending = Pending::default();
    for n in 0..PENDING_PER_STREAM_MAX {
        pending.ask(id(&n.to_string()), ()).expect("room");
    }
    assert_eq!(pending.ask(id(r#""more""#), ()), Err(PendingError::Full));
}

const PLAIN: Client = Client { opens_urls: false };

#[test]
fn a_session_carries_what_its_client_declared() {
    let seal = Seal::new(&[7; 32]);
    let connection = ConnectionName::new("tickets");
    let holder = Holder {
        connection: &connection,
        caller: b"ann",
        session: "abc",
    };
    let opens = Client { opens_urls: true };
    let shown = seal.session(&holder, opens).expect("plain");
    let open = |shown: &str| seal.open_session(&connection, b"ann", shown);
    assert_eq!(open(&shown), Some(("abc".to_owned(), opens)));
    // Neither taken away nor put in by whoever carries it.
    assert_eq!(open(&shown.replace(".u", ".")), None);
    let plain = seal.session(&holder, PLAIN).expect("plain");
    assert_eq!(open(&plain.replace("abc.", "abc.u")), None);
}

#[test]
fn a_session_is_its_callers_alone() {
    let seal = Seal::new(&[7; 32]);
    let (tickets, wiki) = (ConnectionName::new("tickets"), ConnectionName::new("wiki"));
    let holder = Holder {
        connection: &tickets,
        caller: b"ann",
        session: "abc.def",
    };
    let shown = seal.session(&holder, PLAIN).expect("plain");
    let opened = seal.open_session(&tickets, b"ann", &shown);
    assert_eq!(opened, Some(("abc.def".to_owned(), PLAIN)));
    assert_eq!(seal.open_session(&tickets, b"bob", &shown), None);
    assert_eq!(seal.open_session(&wiki, b"ann", &shown), None);
    assert_eq!(seal.open_session(&tickets, b"ann", "abc.def"), None);
    assert_eq!(seal.open_session(&tickets, b"ann", ""), None);
    assert_eq!(
        Seal::new(&[8; 32]).open_session(&tickets, b"ann", &shown),
        None
    );
    for place in 0..shown.len() {
        let mut forged = shown.clone().into_bytes();
        forged[place] ^= 1;
        let forged = String::from_utf8(forged).expect("ASCII");
        assert_eq!(
            seal.open_session(&tickets, b"ann", &forged),
            None,
            "{forged}"
        );
    }
}

#[test]
fn a_concealed_session_shows_nothing_and_is_its_callers_alone() {
    let seal = Seal::new(&[7; 32]);
    let (tickets, wiki) = (ConnectionName::new("tickets"), ConnectionName::new("wiki"));
    let longest = "x".repeat(SESSION_ID_BYTES_MAX);
    for session in ["ann@example.com", "a.b", longest.as_str()] {
        let holder = Holder {
            connection: &tickets,
            caller: b"ann",
            session,
        };
        for client in [PLAIN, Client { opens_urls: true }] {
            let shown = seal.concealed_session(&holder, client).expect("short");
            let opened = seal.open_session(&tickets, b"ann", &shown);
            assert_eq!(opened, Some((session.to_owned(), client)));
        }
        let shown = seal.concealed_session(&holder, PLAIN).expect("short");
        assert!(!shown.contains('.') && !shown.contains("ann"), "{shown}");
        assert_eq!(seal.open_session(&tickets, b"bob", &shown), None);
        assert_eq!(seal.open_session(&wiki, b"ann", &shown), None);
        let event = seal.event(&holder, session, []).expect("short");
        assert_eq!(seal.open_session(&tickets, b"ann", &event), None);
    }
    let nothing = Holder {
        connection: &tickets,
        caller: b"ann",
        session: "",
    };
    assert_eq!(seal.concealed_session(&nothing, PLAIN), None);
}

#[test]
fn a_session_id_that_a_header_cannot_carry_is_not_passed_on() {
    let seal = Seal::new(&[7; 32]);
    let connection = ConnectionName::new("tickets");
    for session in [
        "",
        "a b",
        "a\r\nX: y",
        "é",
        &"x".repeat(SESSION_ID_BYTES_MAX + 1),
    ] {
        assert_eq!(
            seal.session(
                &Holder {
                    connection: &connection,
                    caller: b"",
                    session
                },
                PLAIN
            ),
            None,
            "{session:?}"
        );
    }
}

#[test]
fn a_resumed_stream_knows_what_it_may_still_answer() {
    let seal = Seal::new(&[7; 32]);
    let connection = ConnectionName::new("tickets");
    let holder = Holder {
        connection: &connection,
        caller: b"ann",
        session: "s1",
    };
    let asked = vec![
        Resumable {
            method: "tools/call".into(),
            subject: "run \"x\"".into(),
            id: id(r#""a-1""#),
        },
        Resumable {
            method: "tools/list".into(),
            subject: String::new(),
            id: id("7"),
        },
    ];
    let shown = seal.event(&holder, "e_1", &asked).expect("short");
    assert!(shown.bytes().all(|byte| byte.is_ascii_graphic()), "{shown}");
    assert_eq!(
        seal.open_event(&holder, &shown),
        Some(("e_1".into(), asked))
    );
    assert_eq!(
        seal.open_event(
            &Holder {
                session: "s2",
                ..holder
            },
            &shown
        ),
        None
    );
    assert_eq!(
        seal.open_event(
            &Holder {
                caller: b"bob",
                ..holder
            },
            &shown
        ),
        None
    );
    assert_eq!(seal.open_event(&holder, "e_1"), None);
    for place in 0..shown.len() {
        let mut forged = shown.clone().into_bytes();
        forged[place] ^= 1;
        let forged = String::from_utf8(forged).expect("ASCII");
        assert_eq!(seal.open_event(&holder, &forged), None, "{forged}");
    }
    let secret = seal.event(&holder, "123-45-6789", []).expect("short");
    assert!(!secret.contains("3132332d"), "{secret}");
    let long = "x".repeat(SEALED_EVENT_ID_BYTES_MAX);
    assert_eq!(seal.event(&holder, &long, []), None);
}

#[test]
fn a_clients_answer_names_a_request_that_the_server_made() {
    let seal = Seal::new(&[7; 32]);
    let connection = ConnectionName::new("tickets");
    let holder = Holder {
        connection: &connection,
        caller: b"ann",
        session: "s1",
    };
    for raw in ["0", "12", r#""a\"b""#, r#""""#] {
        let shown = seal.request(&holder, &id(raw));
        let shown = id(std::str::from_utf8(&shown).expect("ASCII"));
        assert_eq!(
            seal.open_request(&holder, &shown).as_deref(),
            Some(raw.as_bytes())
        );
        assert_eq!(
            seal.open_request(
                &Holder {
                    session: "s2",
                    ..holder
                },
                &shown
            ),
            None
        );
    }
    assert_eq!(seal.open_request(&holder, &id("0")), None);
    assert_eq!(seal.open_request(&holder, &id(r#""30.00""#)), None);
}

#[test]
fn a_name_of_one_use_is_none_of_another() {
    let seal = Seal::new(&[7; 32]);
    let connection = ConnectionName::new("tickets");
    let holder = Holder {
        connection: &connection,
        caller: b"ann",
        session: "s1",
    };
    let event = seal.event(&holder, "1", []).expect("short");
    let event = id(&format!("\"{event}\""));
    assert_eq!(seal.open_request(&holder, &event), None);
}

#[test]
fn a_task_is_its_callers_alone_and_shows_nothing() {
    let seal = Seal::new(&[7; 32]);
    let (tickets, wiki) = (ConnectionName::new("tickets"), ConnectionName::new("wiki"));
    let of = |connection, caller| Holder {
        connection,
        caller,
        session: "",
    };
    let ann = of(&tickets, b"ann".as_slice());
    let shown = seal
        .task(&ann, Origin::Server, "ssn-123-45-6789", "look\"up")
        .expect("short");
    assert!(
        shown
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    );
    let opened = Some((
        Origin::Server,
        "ssn-123-45-6789".to_owned(),
        "look\"up".to_owned(),
    ));
    assert_eq!(seal.open_task(&ann, &shown), opened);
    for other in [
        of(&wiki, b"ann".as_slice()),
        of(&tickets, b"bob".as_slice()),
    ] {
        assert_eq!(seal.open_task(&other, &shown), None);
    }
    assert_eq!(Seal::new(&[8; 32]).open_task(&ann, &shown), None);
    for at in 0..shown.len() {
        let mut bytes = shown.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let other = String::from_utf8(bytes).expect("ASCII");
        // The last character of Base64 may have bits that mean nothing; then it is refused.
        assert_eq!(seal.open_task(&ann, &other), None, "{at}");
    }
    for wrong in ["", "AAAA", "t.1", &shown[1..], &format!("{shown}AAAA")] {
        assert_eq!(seal.open_task(&ann, wrong), None, "{wrong}");
    }
    assert_eq!(seal.task(&ann, Origin::Server, &"x".repeat(6000), ""), None);
}

#[test]
fn a_state_comes_back_with_the_same_request_of_the_same_caller_in_time() {
    let seal = Seal::new(&[7; 32]);
    let tickets = ConnectionName::new("tickets");
    let of = |caller| Holder {
        connection: &tickets,
        caller,
        session: "",
    };
    let ann = of(b"ann".as_slice());
    let state = State {
        origin: Origin::Server,
        expires_s: 1000,
        content: "{\"row\":\"123-45-6789\"}",
    };
    let shown = seal.state(&ann, b"call 1", &state).expect("short");
    assert_eq!(
        seal.open_state(&ann, b"call 1", 999, &shown),
        Some((Origin::Server, state.content.to_owned()))
    );
    assert_eq!(
        seal.open_state(&ann, b"call 1", 1000, &shown),
        None,
        "expired"
    );
    assert_eq!(
        seal.open_state(&ann, b"call 2", 999, &shown),
        None,
        "another request"
    );
    assert_eq!(
        seal.open_state(&of(b"bob".as_slice()), b"call 1", 999, &shown),
        None
    );
    assert_eq!(
        seal.open_state(&ann, b"call 1", 999, state.content),
        None,
        "not sealed"
    );
    assert_eq!(seal.open_task(&ann, &shown), None, "no task");
    let own = State {
        origin: Origin::Weir,
        ..state
    };
    let own = seal.state(&ann, b"call 1", &own).expect("short");
    assert_eq!(
        seal.open_state(&ann, b"call 1", 0, &own)
            .map(|(origin, _)| origin),
        Some(Origin::Weir)
    );
    let long = "x".repeat(REQUEST_STATE_BYTES_MAX + 1);
    let long = State {
        content: &long,
        ..state
    };
    assert_eq!(seal.state(&ann, b"", &long), None);
}

#[test]
fn a_place_for_messages_is_opened_by_whom_it_was_given_to_only() {
    let seal = Seal::new(&[7; 32]);
    let (crm, erp) = (ConnectionName::new("crm"), ConnectionName::new("erp"));
    let holder = |connection, caller| Holder {
        connection,
        caller,
        session: "",
    };
    let ada = holder(&crm, b"ada");
    let shown = seal.endpoint(&ada, "/messages/?session_id=1");
    assert!(!shown.contains("session"), "it is not readable: {shown}");
    assert_eq!(
        seal.open_endpoint(&ada, &shown).as_deref(),
        Some("/messages/?session_id=1")
    );
    assert_eq!(seal.open_endpoint(&holder(&crm, b"eve"), &shown), None);
    assert_eq!(seal.open_endpoint(&holder(&erp, b"ada"), &shown), None);
    assert_eq!(Seal::new(&[8; 32]).open_endpoint(&ada, &shown), None);
    let task = seal.task(&ada, Origin::Server, "1", "t").expect("short");
    assert_eq!(seal.open_endpoint(&ada, &task), None);
    assert_eq!(seal.open_endpoint(&ada, ""), None);
}
