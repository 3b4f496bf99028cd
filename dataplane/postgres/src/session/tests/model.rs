//! A server, slow and obvious: it runs one message after the other and knows which plan each answer
//! is of. What PostgreSQL does, as far as names, errors, skipping and COPY go.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::Plan;
use crate::frame::ServerTag;
use crate::session::{Effect, Lifetime};

/// What goes to the server.
#[derive(Clone, Debug)]
pub(super) enum Message {
    Parse(&'static str, Plan),
    Bind(&'static str, &'static str),
    DescribeStatement(&'static str),
    DescribePortal(&'static str),
    CloseStatement(&'static str),
    ClosePortal(&'static str),
    Execute(&'static str),
    Sync,
    Flush,
    Query(Vec<Plan>),
    CopyData,
    CopyDone,
    CopyFail,
    RefuseExtended,
    RefuseQuery,
}

/// What comes back: a frame, and the plan that it is of.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) tag: ServerTag,
    pub(super) body: Vec<u8>,
    pub(super) truth: Option<u32>,
}

/// Plans with these numbers begin and end transactions.
pub(super) const BEGIN: u32 = 1;
pub(super) const COMMIT: u32 = 2;

#[derive(Clone, Debug)]
struct Portal {
    plan: Plan,
    lifetime: Lifetime,
    is_done: bool,
}

#[derive(Debug)]
enum Copying {
    Execute(Plan),
    Query(Vec<Plan>, usize),
}

#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) statements: BTreeMap<String, Plan>,
    portals: BTreeMap<String, Portal>,
    in_transaction: bool,
    is_failed: bool,
    pub(super) skipping: bool,
    copying: Option<Copying>,
    pub(super) answers: VecDeque<Answer>,
}

struct Failure;

impl Server {
    pub(super) fn portal(&self, name: &str) -> Option<&Plan> {
        self.portals.get(name).map(|portal| &portal.plan)
    }

    pub(super) fn portal_names(&self) -> impl Iterator<Item = &String> {
        self.portals.keys()
    }

    pub(super) fn is_copying(&self) -> bool {
        self.copying.is_some()
    }

    fn answer(&mut self, tag: ServerTag, body: &[u8], truth: Option<u32>) {
        self.answers.push_back(Answer {
            tag,
            body: body.to_vec(),
            truth,
        });
    }

    fn error(&mut self) {
        self.answer(
            ServerTag::ErrorResponse,
            b"SERROR\0VERROR\0C22012\0Mno\0\0",
            None,
        );
        if self.in_transaction {
            self.is_failed = true;
        }
    }

    fn ready(&mut self) {
        if !self.in_transaction {
            self.portals
                .retain(|_, portal| portal.lifetime == Lifetime::Session);
        }
        let status = match (self.in_transaction, self.is_failed) {
            (false, _) => b"I",
            (true, false) => b"T",
            (true, true) => b"E",
        };
        self.answer(ServerTag::ReadyForQuery, status, None);
    }

    /// Runs a message. `fails` makes it fail where it could.
    pub(super) fn run(&mut self, message: &Message, fails: bool) {
        if let Some(copying) = self.copying.take() {
            return self.run_copy(copying, message, fails);
        }
        if self.skipping && !matches!(message, Message::Sync) {
            return;
        }
        match message {
            Message::Sync => {
                self.skipping = false;
                if fails && !self.in_transaction {
                    self.error();
                }
                self.ready();
            }
            Message::Flush | Message::CopyData | Message::CopyDone | Message::CopyFail => {}
            Message::RefuseQuery => {
                self.begin_query();
                self.error();
                self.ready();
            }
            Message::Query(plans) => {
                self.begin_query();
                if plans.is_empty() {
                    self.answer(ServerTag::EmptyQueryResponse, b"", None);
                    self.ready();
                } else {
                    self.run_query(plans.clone(), 0, fails);
                }
            }
            _ => {
                if self.run_extended(message, fails).is_err() {
                    self.error();
                    self.skipping = true;
                }
            }
        }
    }

    fn begin_query(&mut self) {
        self.statements.remove("");
        self.portals.remove("");
    }

    fn run_query(&mut self, plans: Vec<Plan>, from: usize, fails: bool) {
        for (step, plan) in plans.iter().enumerate().skip(from) {
            let may_run = !self.is_failed || plan.plan == COMMIT;
            if !may_run || (fails && step + 1 == plans.len()) {
                self.error();
                return self.ready();
            }
            if matches!(plan.effect, Effect::CopyIn) {
                self.answer(ServerTag::CopyInResponse, &[0, 0, 0], Some(plan.plan));
                self.copying = Some(Copying::Query(plans.clone(), step));
                return;
            }
            if self.run_statement(plan, true).is_err() {
                self.error();
                return self.ready();
            }
        }
        self.ready();
    }

    fn run_copy(&mut self, copying: Copying, message: &Message, fails: bool) {
        let plan = match &copying {
            Copying::Execute(plan) => plan.plan,
            Copying::Query(plans, step) => plans[*step].plan,
        };
        match (message, fails) {
            (Message::CopyData, false) | (Message::Sync | Message::Flush, _) => {
                self.copying = Some(copying)
            }
            (Message::CopyDone, false) => {
                self.answer(ServerTag::CommandComplete, b"COPY 1\0", Some(plan));
                if let Copying::Query(plans, step) = copying {
                    self.run_query(plans, step + 1, false);
                }
            }
            (Message::CopyData | Message::CopyDone, true) | (Message::CopyFail, _) => {
                self.error();
                match copying {
                    Copying::Execute(_) => self.skipping = true,
                    Copying::Query(..) => self.ready(),
                }
            }
            (other, _) => panic!("{other:?} must not reach a server that reads CopyData"),
        }
    }

    fn run_extended(&mut self, message: &Message, fails: bool) -> Result<(), Failure> {
        match message {
            Message::Parse(name, plan) => {
                if name.is_empty() {
                    self.statements.remove("");
                }
                if fails
                    || self.statements.contains_key(*name)
                    || (self.is_failed && plan.plan != COMMIT)
                {
                    return Err(Failure);
                }
                self.statements.insert((*name).to_owned(), Arc::clone(plan));
                self.answer(ServerTag::ParseComplete, b"", Some(plan.plan));
            }
            Message::Bind(portal, statement) => {
                let plan = self.statements.get(*statement).cloned().ok_or(Failure)?;
                if portal.is_empty() {
                    self.portals.remove("");
                }
                if fails
                    || self.portals.contains_key(*portal)
                    || (self.is_failed && plan.plan != COMMIT)
                {
                    return Err(Failure);
                }
                self.answer(ServerTag::BindComplete, b"", Some(plan.plan));
                let portal_of = Portal {
                    plan,
                    lifetime: Lifetime::Transaction,
                    is_done: false,
                };
                self.portals.insert((*portal).to_owned(), portal_of);
            }
            Message::DescribeStatement(name) => {
                let plan = self.statements.get(*name).cloned().ok_or(Failure)?;
                if fails || self.is_failed {
                    return Err(Failure);
                }
                self.answer(ServerTag::ParameterDescription, &[0, 0], None);
                self.describe(&plan);
            }
            Message::DescribePortal(name) => {
                let plan = self.portal(name).cloned().ok_or(Failure)?;
                if fails || self.is_failed {
                    return Err(Failure);
                }
                self.describe(&plan);
            }
            Message::CloseStatement(name) => {
                self.statements.remove(*name);
                self.answer(ServerTag::CloseComplete, b"", None);
            }
            Message::ClosePortal(name) => {
                self.portals.remove(*name);
                self.answer(ServerTag::CloseComplete, b"", None);
            }
            Message::Execute(name) => {
                let portal = self.portals.get(*name).cloned().ok_or(Failure)?;
                let is_select = matches!(portal.plan.effect, Effect::None);
                if fails
                    || (portal.is_done && !is_select)
                    || (self.is_failed && portal.plan.plan != COMMIT)
                {
                    return Err(Failure);
                }
                if matches!(portal.plan.effect, Effect::CopyIn) {
                    self.answer(
                        ServerTag::CopyInResponse,
                        &[0, 0, 0],
                        Some(portal.plan.plan),
                    );
                    self.copying = Some(Copying::Execute(portal.plan));
                } else {
                    self.run_statement(&portal.plan, false)?;
                }
                if let Some(portal) = self.portals.get_mut(*name) {
                    portal.is_done = true;
                }
            }
            Message::RefuseExtended => return Err(Failure),
            Message::Sync
            | Message::Flush
            | Message::Query(_)
            | Message::CopyData
            | Message::CopyDone
            | Message::CopyFail
            | Message::RefuseQuery => unreachable!("handled before"),
        }
        Ok(())
    }

    fn describe(&mut self, plan: &Plan) {
        match plan.effect {
            Effect::None => self.answer(ServerTag::RowDescription, &[0, 0], Some(plan.plan)),
            _ => self.answer(ServerTag::NoData, b"", None),
        }
    }

    /// What EXECUTE and FETCH lead to, now.
    fn resolve(&self, plan: &Plan) -> Result<Plan, Failure> {
        let mut found = Arc::clone(plan);
        for _ in 0..4 {
            found = match &found.effect {
                Effect::Execute { name } => {
                    self.statements.get(name.as_str()).cloned().ok_or(Failure)?
                }
                Effect::Fetch { name } => self.portal(name.as_str()).cloned().ok_or(Failure)?,
                _ => return Ok(found),
            };
        }
        Err(Failure)
    }

    fn run_statement(&mut self, written: &Plan, describes: bool) -> Result<(), Failure> {
        let plan = self.resolve(written)?;
        let truth = Some(plan.plan);
        if matches!(written.effect, Effect::Fetch { .. }) && !matches!(plan.effect, Effect::None) {
            return Err(Failure);
        }
        match &plan.effect {
            Effect::None if plan.plan == BEGIN => self.in_transaction = true,
            Effect::None if plan.plan == COMMIT => {
                self.in_transaction = false;
                self.is_failed = false;
                self.portals
                    .retain(|_, portal| portal.lifetime == Lifetime::Session);
            }
            Effect::None => {
                if describes {
                    self.answer(ServerTag::RowDescription, &[0, 0], truth);
                }
                self.answer(ServerTag::DataRow, &[0, 0], truth);
                self.answer(ServerTag::DataRow, &[0, 0], truth);
            }
            Effect::Prepare { name, statement } => {
                if self.statements.contains_key(name.as_str()) {
                    return Err(Failure);
                }
                self.statements
                    .insert(name.as_str().to_owned(), Arc::clone(statement));
            }
            Effect::Deallocate { name } => {
                self.statements.remove(name.as_str()).ok_or(Failure)?;
            }
            Effect::DeallocateAll => self.statements.retain(|name, _| name.is_empty()),
            Effect::Declare {
                name,
                lifetime,
                statement,
            } => {
                if self.portals.contains_key(name.as_str()) {
                    return Err(Failure);
                }
                let portal = Portal {
                    plan: Arc::clone(statement),
                    lifetime: *lifetime,
                    is_done: false,
                };
                self.portals.insert(name.as_str().to_owned(), portal);
            }
            Effect::CloseCursor { name } => {
                self.portals.remove(name.as_str()).ok_or(Failure)?;
            }
            Effect::CloseAllCursors => self.portals.retain(|name, _| name.is_empty()),
            Effect::DiscardAll => {
                self.portals.retain(|name, _| name.is_empty());
                self.statements.retain(|name, _| name.is_empty());
            }
            Effect::CopyOut => {
                self.answer(ServerTag::CopyOutResponse, &[0, 0, 0], truth);
                self.answer(ServerTag::CopyData, b"x\n", truth);
                self.answer(ServerTag::CopyDone, b"", truth);
            }
            // COPY FROM STDIN behind EXECUTE: PREPARE takes no COPY.
            Effect::CopyIn => return Err(Failure),
            // Stories tell of these.
            Effect::Call | Effect::Unread => return Err(Failure),
            Effect::Execute { .. } | Effect::Fetch { .. } => unreachable!("resolved"),
        }
        self.answer(ServerTag::CommandComplete, b"DONE\0", truth);
        Ok(())
    }
}
