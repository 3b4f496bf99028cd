//! Single cases that matter, told one by one.

use super::laws::started;
use super::{Tested, name, plan, select};
use crate::frame::{ClientTag, ServerTag};
use crate::limits;
use crate::rows::Formats;
use crate::session::{
    Admission, Disposal, Effect, Lookup, Name, NameError, Origin, Pins, RequestError, Violation,
    What,
};

fn feed(session: &mut Tested, tag: ServerTag, body: &[u8]) -> Result<(), Violation> {
    session.on_server(tag, body).map(drop)
}

#[test]
fn an_answer_that_nobody_asked_for_ends_the_flow() {
    for tag in [
        ServerTag::DataRow,
        ServerTag::ReadyForQuery,
        ServerTag::ParseComplete,
        ServerTag::CopyBothResponse,
    ] {
        assert_eq!(
            feed(&mut started(), tag, b"I"),
            Err(Violation::Unexpected(tag))
        );
    }
    assert!(started().on_bulk(ServerTag::DataRow, 1, 10).is_err());
}

#[test]
fn rows_without_a_description_end_the_flow() {
    let mut session = started();
    session.query(Origin::Client, &[select(1)]).unwrap();
    assert!(session.on_bulk(ServerTag::DataRow, 1, 10).is_err());
    assert!(feed(&mut session, ServerTag::DataRow, &[0, 0]).is_err());
}

#[test]
fn a_copy_that_no_statement_announced_ends_the_flow() {
    for (tag, effect) in [
        (ServerTag::CopyOutResponse, Effect::None),
        (ServerTag::CopyInResponse, Effect::None),
        (ServerTag::CopyInResponse, Effect::CopyOut),
        (ServerTag::CopyOutResponse, Effect::CopyIn),
    ] {
        let mut session = started();
        session.query(Origin::Client, &[plan(1, effect)]).unwrap();
        assert_eq!(
            feed(&mut session, tag, &[0, 0, 0]),
            Err(Violation::Unexpected(tag))
        );
    }
}

#[test]
fn a_parameter_that_decides_how_bytes_are_read_must_stay() {
    assert!(
        feed(
            &mut started(),
            ServerTag::ParameterStatus,
            b"client_encoding\0UTF8\0"
        )
        .is_ok()
    );
    assert!(
        feed(
            &mut started(),
            ServerTag::ParameterStatus,
            b"TimeZone\0UTC\0"
        )
        .is_ok()
    );
    for body in [
        b"client_encoding\0SJIS\0".as_slice(),
        b"standard_conforming_strings\0off\0",
    ] {
        assert!(matches!(
            feed(&mut started(), ServerTag::ParameterStatus, body),
            Err(Violation::Pinned { .. })
        ));
    }
}

#[test]
fn a_re_parse_across_a_sync_is_waited_for() {
    let mut session = started();
    session.parse(name("s"), select(1)).unwrap();
    assert!(
        matches!(session.statement("s"), Lookup::Found(found) if found.plan == 1),
        "in its own segment"
    );
    session.sync();
    assert!(matches!(session.statement("s"), Lookup::Wait));
    assert_eq!(
        session.bind(name(""), &name("s"), Formats::Text),
        Err(RequestError::NotYet)
    );
    feed(&mut session, ServerTag::ParseComplete, b"").unwrap();
    assert!(matches!(session.statement("s"), Lookup::Found(found) if found.plan == 1));
}

#[test]
fn what_is_sent_after_a_failure_is_dropped_up_to_sync() {
    let mut session = started();
    session.parse(name("s"), select(1)).unwrap();
    feed(
        &mut session,
        ServerTag::ErrorResponse,
        b"SERROR\0C42601\0\0",
    )
    .unwrap();
    assert!(session.is_skipping());
    for tag in [
        ClientTag::Parse,
        ClientTag::Bind,
        ClientTag::Query,
        ClientTag::FunctionCall,
        ClientTag::Flush,
    ] {
        assert_eq!(session.admit(tag), Ok(Admission::Drop), "{tag:?}");
    }
    assert_eq!(session.admit(ClientTag::Sync), Ok(Admission::Proceed));
    session.sync();
    assert_eq!(session.admit(ClientTag::Query), Ok(Admission::Proceed));
}

#[test]
fn nothing_but_copy_goes_into_a_copy() {
    let mut session = started();
    session
        .query(Origin::Client, &[plan(1, Effect::CopyIn)])
        .unwrap();
    assert_eq!(session.admit(ClientTag::CopyData), Ok(Admission::Wait));
    feed(&mut session, ServerTag::CopyInResponse, &[0, 0, 0]).unwrap();
    assert_eq!(session.admit(ClientTag::CopyData), Ok(Admission::Proceed));
    assert_eq!(session.admit(ClientTag::Sync), Ok(Admission::Drop));
    assert_eq!(session.admit(ClientTag::Query), Err(Violation::Client));
    session.end_copy_in().unwrap();
    assert_eq!(session.admit(ClientTag::Query), Ok(Admission::Proceed));
    assert_eq!(session.admit(ClientTag::CopyData), Ok(Admission::Drop));
}

#[test]
fn names_that_the_server_would_cut_are_refused() {
    assert!(Name::new(&"n".repeat(63)).is_ok());
    assert_eq!(Name::new(&"n".repeat(64)), Err(NameError::TooLong(64)));
    assert_eq!(Name::new("weir:refused"), Err(NameError::Reserved));
}

#[test]
fn names_and_requests_are_bounded() {
    let mut session = started();
    for index in 0..limits::STATEMENTS_MAX {
        session.parse(name(&index.to_string()), select(1)).unwrap();
        feed(&mut session, ServerTag::ParseComplete, b"").unwrap();
    }
    assert_eq!(
        session.parse(name("more"), select(1)),
        Err(RequestError::TooManyStatements)
    );
    assert!(session.parse(name(""), select(1)).is_ok());
    for _ in 1..limits::REQUESTS_MAX {
        session.close_portal(name(""));
    }
    assert_eq!(session.admit(ClientTag::Close), Ok(Admission::Wait));
}

#[test]
fn a_fatal_error_may_come_at_any_time_and_ends_the_session() {
    let mut session = started();
    let event = session
        .on_server(ServerTag::ErrorResponse, b"SFATAL\0VFATAL\0C57P01\0\0")
        .unwrap();
    assert!(matches!(
        event.what,
        What::Failed {
            fatal: true,
            code: "57P01",
            ..
        }
    ));
    assert_eq!(session.admit(ClientTag::Query), Err(Violation::Ended));
    assert!(feed(&mut session, ServerTag::ReadyForQuery, b"I").is_err());
    assert!(
        feed(
            &mut started(),
            ServerTag::ErrorResponse,
            b"SERROR\0C22012\0\0"
        )
        .is_err()
    );
}

#[test]
fn a_layout_stays_with_its_portal_and_goes_with_it() {
    let mut session = started();
    let bound = |session: &mut Tested| {
        session.parse(name(""), select(1)).unwrap();
        session.bind(name("p"), &name(""), Formats::Text).unwrap();
        session.describe_portal(Origin::Weir, &name("p")).unwrap();
        session.execute(&name("p")).unwrap();
        session.execute(&name("p")).unwrap();
        feed(session, ServerTag::ParseComplete, b"").unwrap();
        feed(session, ServerTag::BindComplete, b"").unwrap();
    };
    bound(&mut session);
    let event = session
        .on_server(ServerTag::RowDescription, &[0, 0])
        .unwrap();
    assert_eq!((&event.disposal, event.layout), (&Disposal::Swallow, None));
    session.lay_out("layout").unwrap();
    for tag in [ServerTag::PortalSuspended, ServerTag::PortalSuspended] {
        assert_eq!(session.head().unwrap().layout, Some(&"layout"));
        let event = session.on_server(ServerTag::DataRow, &[0, 0]).unwrap();
        assert_eq!(event.layout, Some(&"layout"));
        session.on_bulk(ServerTag::DataRow, 4, 44).unwrap();
        let event = session.on_server(tag, b"").unwrap();
        assert!(
            matches!(event.what, What::Suspended { tally } if tally.rows == 5 && tally.bytes == 51)
        );
    }
    bound(&mut session);
    assert_eq!(
        session.portals.confirmed("p").and_then(|slot| slot.layout),
        None
    );
    assert!(session.lay_out("too early").is_err());
}

#[test]
fn weir_asks_only_between_requests() {
    let mut session = started();
    session.parse(name(""), select(1)).unwrap();
    assert_eq!(
        session.query(Origin::Weir, &[select(2)]),
        Err(RequestError::NotBetweenRequests)
    );
    session.sync();
    assert!(session.query(Origin::Weir, &[select(2)]).is_ok());
}

fn unread(session: &mut Tested) {
    session
        .query(Origin::Client, &[plan(9, Effect::Unread)])
        .unwrap();
}

#[test]
fn an_unread_query_is_answered_by_any_number_of_statements() {
    let mut session = started();
    unread(&mut session);
    for (tag, body) in [
        (ServerTag::CommandComplete, b"SET\0".as_slice()),
        (ServerTag::RowDescription, &[0, 0]),
        (ServerTag::DataRow, &[0, 0]),
        (ServerTag::CommandComplete, b"SELECT 1\0"),
        (ServerTag::CopyOutResponse, &[0, 0, 0]),
        (ServerTag::CopyData, b"x\n"),
        (ServerTag::CopyDone, b""),
        (ServerTag::CommandComplete, b"COPY 1\0"),
        (ServerTag::CopyInResponse, &[0, 0, 0]),
    ] {
        assert_eq!(session.admit(ClientTag::Query), Ok(Admission::Wait));
        feed(&mut session, tag, body).unwrap();
    }
    assert_eq!(session.admit(ClientTag::CopyData), Ok(Admission::Proceed));
    session.end_copy_in().unwrap();
    feed(&mut session, ServerTag::CommandComplete, b"COPY 1\0").unwrap();
    feed(&mut session, ServerTag::ReadyForQuery, b"I").unwrap();
    assert!(session.is_quiet());
    assert_eq!(session.admit(ClientTag::Query), Ok(Admission::Proceed));
}

#[test]
fn an_unread_query_does_not_end_amid_a_copy_or_with_rows_nobody_described() {
    let mut session = started();
    unread(&mut session);
    assert!(feed(&mut session, ServerTag::DataRow, &[0, 0]).is_err());
    let mut session = started();
    unread(&mut session);
    feed(&mut session, ServerTag::CopyOutResponse, &[0, 0, 0]).unwrap();
    assert!(feed(&mut session, ServerTag::ReadyForQuery, b"I").is_err());
}

#[test]
fn no_name_is_believed_behind_what_was_not_read() {
    let ends: [&[(ServerTag, &[u8])]; 2] = [
        &[(ServerTag::CommandComplete, b"SET\0")],
        &[(ServerTag::ErrorResponse, b"SERROR\0VERROR\0C22012\0Mno\0\0")],
    ];
    for end in ends {
        let mut session = started();
        session.parse(name("s"), select(1)).unwrap();
        session.sync();
        feed(&mut session, ServerTag::ParseComplete, b"").unwrap();
        feed(&mut session, ServerTag::ReadyForQuery, b"I").unwrap();
        assert!(matches!(session.statement("s"), Lookup::Found(_)));
        unread(&mut session);
        assert!(matches!(session.statement("s"), Lookup::Wait));
        for (tag, body) in end {
            feed(&mut session, *tag, body).unwrap();
        }
        feed(&mut session, ServerTag::ReadyForQuery, b"I").unwrap();
        assert!(matches!(session.statement("s"), Lookup::Unknown));
        session
            .assume_statement(&name("s"), plan(2, Effect::Unread))
            .unwrap();
        let assumed = session.statement("s");
        assert!(matches!(assumed, Lookup::Found(found) if found.plan == 2));
        // What is believed is not replaced by what is assumed.
        assert!(
            session
                .assume_statement(&name("s"), plan(3, Effect::Unread))
                .is_err()
        );
    }
}

#[test]
fn a_copy_that_an_unread_execute_asks_for_ends_the_flow() {
    let mut session = started();
    session
        .assume_portal(&name("p"), plan(1, Effect::Unread))
        .unwrap();
    session.execute(&name("p")).unwrap();
    session.sync();
    assert_eq!(
        feed(&mut session, ServerTag::CopyInResponse, &[0, 0, 0]),
        Err(Violation::Unexpected(ServerTag::CopyInResponse))
    );
}

#[test]
fn a_function_call_is_answered_once() {
    let mut session = started();
    let value = [0, 0, 0, 1, 7];
    session
        .query(Origin::Client, &[plan(1, Effect::Call)])
        .unwrap();
    assert!(feed(&mut session, ServerTag::FunctionCallResponse, &value[..4]).is_err());
    feed(&mut session, ServerTag::FunctionCallResponse, &value).unwrap();
    assert!(feed(&mut session, ServerTag::FunctionCallResponse, &value).is_err());
    feed(&mut session, ServerTag::ReadyForQuery, b"I").unwrap();
    assert!(session.is_quiet());
    let mut session = started();
    session.query(Origin::Client, &[select(1)]).unwrap();
    assert!(feed(&mut session, ServerTag::FunctionCallResponse, &value).is_err());
}

#[test]
fn a_pinned_parameter_that_may_slip_is_noted_for_good() {
    let status = |session: &mut Tested, value: &str| {
        let body = format!("standard_conforming_strings\0{value}\0");
        feed(session, ServerTag::ParameterStatus, body.as_bytes())
    };
    let mut session = started();
    session.pin(Pins::Loose);
    status(&mut session, "on").unwrap();
    assert!(!session.has_slipped());
    status(&mut session, "off").unwrap();
    status(&mut session, "on").unwrap();
    assert!(session.has_slipped());
    session.pin(Pins::Held);
    assert!(status(&mut session, "off").is_err());
}

#[test]
fn weirs_own_sync_ends_a_preparation_and_nothing_else() {
    let refused = Err(RequestError::NotBetweenRequests);
    let mut session = started();
    assert_eq!(session.sync_preparation(), refused, "nothing to end");
    session.parse(name("s"), select(1)).unwrap();
    feed(&mut session, ServerTag::ParseComplete, b"").unwrap();
    session
        .describe_statement(Origin::Client, &name("s"))
        .unwrap();
    assert!(!session.is_syncing());
    session.sync_preparation().unwrap();
    assert!(session.is_syncing() && !session.is_quiet());
    assert_eq!(session.sync_preparation(), refused, "once");
    feed(&mut session, ServerTag::ParameterDescription, &[0, 0]).unwrap();
    feed(&mut session, ServerTag::NoData, b"").unwrap();
    let ready = session.on_server(ServerTag::ReadyForQuery, b"I").unwrap();
    assert_eq!(ready.disposal, Disposal::Swallow);
    assert!(session.is_quiet());
    // What was prepared is there, and a portal is a thing to be lost.
    session
        .bind(name(""), &name("s"), Formats::Text)
        .expect("prepared");
    assert_eq!(session.sync_preparation(), refused, "a portal");
    session.sync();
    session.parse(name("t"), select(2)).unwrap();
    assert_eq!(session.sync_preparation(), Err(RequestError::NotYet));
    feed(&mut session, ServerTag::BindComplete, b"").unwrap();
    feed(&mut session, ServerTag::ReadyForQuery, b"T").unwrap();
    assert_eq!(session.sync_preparation(), refused, "a transaction");
}

#[test]
fn a_failure_before_weirs_own_sync_is_skipped_to_the_clients() {
    let failure = b"SERROR\0C42601\0\0";
    let mut session = started();
    session.parse(name("s"), select(1)).unwrap();
    session.sync_preparation().unwrap();
    let failed = session.on_server(ServerTag::ErrorResponse, failure);
    assert_eq!(failed.unwrap().disposal, Disposal::Forward);
    assert!(session.is_skipping());
    let ready = session.on_server(ServerTag::ReadyForQuery, b"I").unwrap();
    assert_eq!(ready.disposal, Disposal::Swallow);
    assert_eq!(session.admit(ClientTag::Bind), Ok(Admission::Drop));
    session.sync();
    let ready = session.on_server(ServerTag::ReadyForQuery, b"I").unwrap();
    assert_eq!(ready.disposal, Disposal::Forward);
    // The Sync itself fails.
    session.parse(name("s"), select(1)).unwrap();
    session.sync_preparation().unwrap();
    feed(&mut session, ServerTag::ParseComplete, b"").unwrap();
    let failed = session.on_server(ServerTag::ErrorResponse, failure);
    assert_eq!(failed.unwrap().disposal, Disposal::Forward);
    feed(&mut session, ServerTag::ReadyForQuery, b"I").unwrap();
    assert!(session.is_skipping());
}

#[test]
fn settings_are_as_the_server_told_where_nothing_has_run_since() {
    let run = |session: &mut Tested| {
        session.bind(name(""), &name("s"), Formats::Text).unwrap();
        session.execute(&name("")).unwrap();
    };
    let mut session = started();
    session.parse(name("s"), select(1)).unwrap();
    assert!(session.is_settled(), "nothing runs yet");
    run(&mut session);
    assert!(!session.is_settled(), "it runs");
    feed(&mut session, ServerTag::ParseComplete, b"").unwrap();
    feed(&mut session, ServerTag::BindComplete, b"").unwrap();
    feed(&mut session, ServerTag::CommandComplete, b"SELECT 0\0").unwrap();
    assert!(!session.is_settled(), "what it has set is not told yet");
    session.sync();
    assert!(!session.is_settled());
    feed(&mut session, ServerTag::ReadyForQuery, b"T").unwrap();
    assert!(session.is_settled());
    session.query(Origin::Client, &[select(1)]).unwrap();
    assert!(!session.is_settled());
}
