//! Random pipelines, answers as late as they please: what the session believes is what the model
//! server did.

use proptest::prelude::*;

use super::model::{BEGIN, COMMIT, Message, Server};
use super::{Plan, Tested, declare, name, plan, prepare, select};
use crate::frame::{ClientTag, ServerTag};
use crate::message::TransactionStatus;
use crate::rows::Formats;
use crate::session::{
    Admission, Disposal, Effect, Lifetime, Lookup, Origin, RequestError, Violation, What,
};

const NAMES: [&str; 3] = ["", "a", "b"];
const NAMED: [&str; 2] = ["a", "b"];

fn statement(number: u32) -> impl Strategy<Value = Plan> {
    let named = || (0..NAMED.len()).prop_map(|index| NAMED[index]);
    let inner = select(number + 500_000);
    let held = select(number + 500_000);
    prop_oneof![
        4 => Just(select(number)),
        1 => Just(select(BEGIN)),
        1 => Just(select(COMMIT)),
        2 => named().prop_map(move |to| prepare(number, to, &inner)),
        2 => named().prop_map(move |to| plan(number, Effect::Execute { name: name(to) })),
        1 => named().prop_map(move |to| plan(number, Effect::Deallocate { name: name(to) })),
        1 => Just(plan(number, Effect::DeallocateAll)),
        2 => (named(), any::<bool>()).prop_map(move |(to, hold)| if hold {
            let lifetime = Lifetime::Session;
            plan(number, Effect::Declare { name: name(to), lifetime, statement: held.clone() })
        } else {
            declare(number, to, &held)
        }),
        2 => named().prop_map(move |to| plan(number, Effect::Fetch { name: name(to) })),
        1 => named().prop_map(move |to| plan(number, Effect::CloseCursor { name: name(to) })),
        1 => Just(plan(number, Effect::CloseAllCursors)),
        1 => Just(plan(number, Effect::DiscardAll)),
        1 => Just(plan(number, Effect::CopyIn)),
        1 => Just(plan(number, Effect::CopyOut)),
    ]
}

fn message(number: u32) -> impl Strategy<Value = Message> {
    let any_name = || (0..NAMES.len()).prop_map(|index| NAMES[index]);
    prop_oneof![
        6 => (any_name(), statement(number)).prop_map(|(to, plan)| Message::Parse(to, plan)),
        6 => (any_name(), any_name()).prop_map(|(portal, to)| Message::Bind(portal, to)),
        2 => any_name().prop_map(Message::DescribeStatement),
        2 => any_name().prop_map(Message::DescribePortal),
        2 => any_name().prop_map(Message::CloseStatement),
        2 => any_name().prop_map(Message::ClosePortal),
        6 => any_name().prop_map(Message::Execute),
        5 => Just(Message::Sync),
        1 => Just(Message::Flush),
        4 => (statement(number), statement(number + 250_000), 0..3_usize).prop_map(|(one, two, count)| {
            Message::Query([one, two].into_iter().take(count).collect())
        }),
        2 => Just(Message::CopyData),
        1 => Just(Message::CopyDone),
        1 => Just(Message::CopyFail),
        1 => Just(Message::RefuseExtended),
        1 => Just(Message::RefuseQuery),
    ]
}

fn messages() -> impl Strategy<Value = Vec<(Message, bool, u8)>> {
    let numbers =
        proptest::collection::vec((any::<prop::sample::Index>(), 0..5_u8, 0..4_u8), 1..60);
    numbers.prop_flat_map(|drawn| {
        drawn
            .into_iter()
            .enumerate()
            .map(|(index, (_, fails, late))| {
                let number = 10 + u32::try_from(index).unwrap();
                message(number).prop_map(move |message| (message, fails == 0, late))
            })
            .collect::<Vec<_>>()
    })
}

fn tag(message: &Message) -> ClientTag {
    match message {
        Message::Parse(..) => ClientTag::Parse,
        Message::Bind(..) => ClientTag::Bind,
        Message::DescribeStatement(_) | Message::DescribePortal(_) | Message::RefuseExtended => {
            ClientTag::Describe
        }
        Message::CloseStatement(_) | Message::ClosePortal(_) => ClientTag::Close,
        Message::Execute(_) => ClientTag::Execute,
        Message::Sync => ClientTag::Sync,
        Message::Flush => ClientTag::Flush,
        Message::Query(_) | Message::RefuseQuery => ClientTag::Query,
        Message::CopyData => ClientTag::CopyData,
        Message::CopyDone => ClientTag::CopyDone,
        Message::CopyFail => ClientTag::CopyFail,
    }
}

/// Reports a message; what is not known is refused in its place, as a caller would.
fn report(session: &mut Tested, message: &Message) -> Result<Message, RequestError> {
    let mut out = Vec::new();
    let done = match message {
        Message::Parse(to, plan) => session.parse(name(to), plan.clone()).map(drop),
        Message::Bind(portal, to) => session
            .bind(name(portal), &name(to), Formats::Text)
            .map(drop),
        Message::DescribeStatement(of) => session
            .describe_statement(Origin::Client, &name(of))
            .map(drop),
        Message::DescribePortal(of) => session.describe_portal(Origin::Client, &name(of)).map(drop),
        Message::CloseStatement(of) => {
            session.close_statement(name(of));
            Ok(())
        }
        Message::ClosePortal(of) => {
            session.close_portal(name(of));
            Ok(())
        }
        Message::Execute(of) => session.execute(&name(of)).map(drop),
        Message::Sync => {
            session.sync();
            Ok(())
        }
        Message::Query(plans) => session.query(Origin::Client, plans).map(drop),
        Message::Flush | Message::CopyData => Ok(()),
        Message::CopyDone | Message::CopyFail => {
            session.end_copy_in().unwrap();
            Ok(())
        }
        Message::RefuseExtended => {
            session.refuse_extended(b"no".to_vec(), &mut out);
            Ok(())
        }
        Message::RefuseQuery => {
            session.refuse_query(b"no".to_vec(), &mut out);
            Ok(())
        }
    };
    match done {
        Ok(()) => Ok(message.clone()),
        Err(RequestError::NotYet) => Err(RequestError::NotYet),
        Err(_) if matches!(message, Message::Query(_)) => {
            session.refuse_query(b"no".to_vec(), &mut out);
            Ok(Message::RefuseQuery)
        }
        Err(_) => {
            session.refuse_extended(b"no".to_vec(), &mut out);
            Ok(Message::RefuseExtended)
        }
    }
}

fn deliver(session: &mut Tested, server: &mut Server) {
    let answer = server.answers.pop_front().unwrap();
    let event = session
        .on_server(answer.tag, &answer.body)
        .unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    if let Some(truth) = answer.truth {
        assert_eq!(
            event.statement.map(|statement| statement.plan),
            Some(truth),
            "{answer:?}"
        );
    }
    match (&event.what, &event.disposal) {
        (What::Refused { .. }, disposal) => {
            assert_eq!(*disposal, Disposal::Replace(b"no".to_vec()))
        }
        (_, disposal) => assert_eq!(*disposal, Disposal::Forward),
    }
}

/// Sends one message once the session lets it, with `late` answers still on their way where it can.
fn send(session: &mut Tested, server: &mut Server, message: &Message, fails: bool, late: u8) {
    while server.answers.len() > usize::from(late) * 3 {
        deliver(session, server);
    }
    loop {
        match session.admit(tag(message)) {
            Ok(Admission::Drop) | Err(Violation::Client) => return,
            Ok(Admission::Wait) => {}
            Ok(Admission::Proceed) => match report(session, message) {
                Ok(sent) => {
                    check_refused(server, message, &sent);
                    return server.run(&sent, fails);
                }
                Err(_not_yet) => {}
            },
            Err(other) => panic!("{other}"),
        }
        assert!(
            !server.answers.is_empty(),
            "waits for answers that will not come: {message:?}"
        );
        deliver(session, server);
    }
}

/// What the session does not know, the server does not know either (nothing was made unseen).
fn check_refused(server: &Server, asked: &Message, sent: &Message) {
    if server.skipping || !matches!(sent, Message::RefuseExtended) {
        return;
    }
    match asked {
        Message::Bind(_, to) => assert!(!server.statements.contains_key(*to), "{asked:?}"),
        Message::DescribeStatement(of) => {
            assert!(!server.statements.contains_key(*of), "{asked:?}")
        }
        Message::DescribePortal(of) => assert!(server.portal(of).is_none(), "{asked:?}"),
        _ => {}
    }
}

fn check_end(session: &Tested, server: &Server) {
    assert!(session.is_quiet());
    for of in NAMES {
        let known = server.statements.get(of).map(|plan| plan.plan);
        match session.statement(of) {
            Lookup::Found(believed) => {
                assert!(known.is_none_or(|known| known == believed.plan), "{of:?}")
            }
            Lookup::Unknown => assert_eq!(known, None, "{of:?}"),
            Lookup::Wait => panic!("nothing is under way"),
        }
        let known = server.portal(of).map(|plan| plan.plan);
        match session.portal(of) {
            Lookup::Found(believed) => assert!(
                known.is_none_or(|known| known == believed.statement.plan),
                "{of:?}"
            ),
            Lookup::Unknown => assert_eq!(known, None, "{of:?}"),
            Lookup::Wait => panic!("nothing is under way"),
        }
    }
    assert!(server.portal_names().all(|of| NAMES.contains(&of.as_str())));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn every_answer_is_of_the_plan_that_the_server_ran(messages in messages()) {
        let mut session = started();
        let mut server = Server::default();
        for (message, fails, late) in &messages {
            send(&mut session, &mut server, message, *fails, *late);
        }
        while !server.answers.is_empty() {
            deliver(&mut session, &mut server);
        }
        if server.is_copying() {
            send(&mut session, &mut server, &Message::CopyDone, false, 0);
        }
        for _ in 0..3 {
            while !server.answers.is_empty() {
                deliver(&mut session, &mut server);
            }
            if server.is_copying() {
                send(&mut session, &mut server, &Message::CopyFail, false, 0);
            } else {
                send(&mut session, &mut server, &Message::Sync, false, 0);
            }
        }
        while !server.answers.is_empty() {
            deliver(&mut session, &mut server);
        }
        check_end(&session, &server);
    }

    #[test]
    fn no_server_makes_it_panic(frames in proptest::collection::vec(
        (0..ServerTag::ALL.len(), proptest::collection::vec(any::<u8>(), 0..12)), 0..40
    ), messages in messages()) {
        let mut session = started();
        let mut messages = messages.iter();
        for (index, body) in frames {
            if let Some((message, ..)) = messages.next()
                && session.admit(tag(message)) == Ok(Admission::Proceed)
            {
                let _ = report(&mut session, message);
            }
            if session.on_server(ServerTag::ALL[index], &body).is_err() {
                break;
            }
        }
    }
}

pub(super) fn started() -> Tested {
    let mut session = Tested::new();
    session
        .on_server(ServerTag::BackendKeyData, &[0; 8])
        .unwrap();
    session.on_server(ServerTag::ReadyForQuery, b"I").unwrap();
    assert_eq!(session.status(), TransactionStatus::Idle);
    session
}
