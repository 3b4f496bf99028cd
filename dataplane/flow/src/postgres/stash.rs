//! A pipeline that is kept back for the Execute that people must approve.

use std::sync::Arc;

use bytes::Bytes;
use weir_postgres::frame::{ClientTag, Tag};
use weir_postgres::message::{self, MessageError, TransactionStatus};
use weir_postgres::session::{Effect as SessionEffect, Lookup, Name, RequestError, Statement};

use super::client::Act;
use super::desk::{Deferred, Desk, Judged};
use super::end::End;
use super::extended::{check_settings, parameter_types};
use super::plan::Plan;
use super::stop::{Stop, unexecuted, unknown_portal, unknown_statement, unsettled};
use crate::io::{Env, Piece};

/// Pipelined messages that are kept back for the Execute that people must approve. A
/// statement with its parameters fits; a bulk load does not, and is refused.
const STASH_BYTES_MAX: usize = 1 << 20;

impl Desk {
    /// Keeps a message back for the Execute behind it, where people must approve that. Only
    /// where nothing runs yet: a statement that waits must not hold locks.
    pub(crate) fn stash_for_approval(&mut self, frame: &[u8]) -> bool {
        if !self.session.is_quiet() || self.session.status() != TransactionStatus::Idle {
            return false;
        }
        self.stash.push(Bytes::copy_from_slice(frame));
        true
    }

    /// Some drivers flush their Parse and read what it says before they bind. The transaction that
    /// this began must not wait for people: it is ended, and what is then bound is kept back.
    pub(crate) fn ends_preparation(&mut self, env: &mut Env<'_>) -> bool {
        if self.session.is_syncing() {
            return true;
        }
        if let Err(error) = self.session.sync_preparation() {
            return error == RequestError::NotYet;
        }
        self.note_commit();
        let mut sync = Vec::new();
        message::encode_empty(ClientTag::Sync, &mut sync);
        env.out.to_server.push(Piece::Bytes(sync.into()));
        true
    }

    /// One statement waits at a time: its Parse, its Bind, the Execute of that portal. Whatever
    /// else comes is not what people would be shown, so nothing waits then.
    pub(crate) fn on_stashing(
        &mut self,
        env: &mut Env<'_>,
        tag: ClientTag,
        frame: &[u8],
    ) -> Result<Act, End> {
        use ClientTag as C;
        let body = frame
            .get(weir_postgres::frame::HEADER_BYTES..)
            .unwrap_or_default();
        let held: usize = self.stash.iter().map(Bytes::len).sum();
        let (is_kept, is_asked) = match tag {
            C::Describe => (true, false),
            C::Bind => (self.binds_stashed(&message::Bind::parse(body)?)?, false),
            C::Execute => (
                false,
                self.executes_stashed(message::Execute::parse(body)?.portal)?,
            ),
            C::Sync
            | C::Flush
            | C::Terminate
            | C::Parse
            | C::Close
            | C::Query
            | C::FunctionCall
            | C::CopyData
            | C::CopyDone
            | C::CopyFail
            | C::Authentication => (false, false),
        };
        if is_kept && held + frame.len() <= STASH_BYTES_MAX {
            self.stash.push(Bytes::copy_from_slice(frame));
            return Ok(Act::Done);
        }
        if is_asked {
            let asked = self.ask_stashed(env, frame);
            if !matches!(asked, Err(Stop::Wait)) {
                self.stash.clear();
            }
            return self.settle(env, tag, frame, asked);
        }
        self.replay(env)?;
        let act = self.dispatch(env, tag, frame);
        self.settle(env, tag, frame, act)
    }

    /// The first message of a type that was kept back, without its header.
    pub(crate) fn stashed(&self, tag: ClientTag) -> Option<Bytes> {
        let header = weir_postgres::frame::HEADER_BYTES;
        self.stash
            .iter()
            .find(|frame| frame.first() == Some(&tag.byte()))
            .map(|frame| frame.slice(header.min(frame.len())..))
    }

    /// Whether a Bind is the only one, and of the statement that was kept back.
    pub(crate) fn binds_stashed(&self, bind: &message::Bind<'_>) -> Result<bool, MessageError> {
        if self.stashed(ClientTag::Bind).is_some() {
            return Ok(false);
        }
        match self.stashed(ClientTag::Parse) {
            Some(parse) => Ok(message::Parse::parse(&parse)?.name == bind.statement),
            None => Ok(false),
        }
    }

    /// Whether an Execute runs the portal of the Bind that was kept back.
    pub(crate) fn executes_stashed(&self, portal: &str) -> Result<bool, MessageError> {
        match self.stashed(ClientTag::Bind) {
            Some(bind) => Ok(message::Bind::parse(&bind)?.portal == portal),
            None => Ok(false),
        }
    }

    /// Sends on what was kept back. None of it executes; a Bind does not go on, since the server
    /// plans with it, and planning runs functions.
    pub(crate) fn replay(&mut self, env: &mut Env<'_>) -> Result<(), End> {
        for frame in std::mem::take(&mut self.stash) {
            if frame.first() == Some(&ClientTag::Bind.byte()) {
                self.refuse(env, ClientTag::Bind, &frame, &unexecuted());
                return Ok(());
            }
            self.replay_one(env, &frame)?;
        }
        Ok(())
    }

    /// Reports a kept message to the session and sends it. Its statement was judged when it
    /// was kept; whether it runs is asked at Execute.
    pub(crate) fn replay_one(&mut self, env: &mut Env<'_>, frame: &Bytes) -> Result<(), End> {
        let tag = frame.first().copied().and_then(ClientTag::from_byte);
        let body = frame
            .get(weir_postgres::frame::HEADER_BYTES..)
            .unwrap_or_default();
        let done = match tag {
            Some(ClientTag::Parse) => self.replay_parse(env, body),
            Some(ClientTag::Bind) => self.replay_bind(env, body, frame),
            Some(ClientTag::Describe) => message::Describe::parse(body)
                .map_err(Stop::from)
                .and_then(|it| self.on_describe(env, &it))
                .map(|_| ()),
            Some(ClientTag::Close) => message::Close::parse(body)
                .map_err(Stop::from)
                .and_then(|it| self.on_close(&it))
                .map(|_| ()),
            Some(_) | None => Err(Stop::End(End::Broken(
                "a message that is never kept back was kept back",
            ))),
        };
        match done {
            Ok(()) => {
                env.out.to_server.push(Piece::Bytes(frame.clone()));
                Ok(())
            }
            Err(Stop::Refused(refusal)) => {
                self.refuse(env, ClientTag::Parse, frame, &refusal);
                Ok(())
            }
            Err(Stop::End(end)) => Err(end),
            Err(Stop::Wait) => {
                self.refuse(env, ClientTag::Parse, frame, &unsettled());
                Ok(())
            }
        }
    }

    pub(crate) fn replay_parse(&mut self, env: &mut Env<'_>, body: &[u8]) -> Result<(), Stop> {
        let parse = message::Parse::parse(body)?;
        let name = Name::new(parse.name)?;
        let plan = self.plan(env, parse.text)?;
        let _ = Self::allowed(&plan)?;
        let types = parameter_types(&parse);
        let statement = self
            .statements_typed(&plan, types.as_ref())?
            .into_iter()
            .next();
        let statement = statement.unwrap_or_else(|| {
            Arc::new(Statement {
                plan: Judged::new(&plan, 0, 0).typed(types),
                effect: SessionEffect::None,
            })
        });
        self.session.parse(name, statement)?;
        Ok(())
    }

    pub(crate) fn replay_bind(
        &mut self,
        env: &mut Env<'_>,
        body: &[u8],
        frame: &[u8],
    ) -> Result<(), Stop> {
        let bind = message::Bind::parse(body)?;
        let (portal, name) = (Name::new(bind.portal)?, Name::new(bind.statement)?);
        let statement = match self.session.statement(name.as_str()) {
            Lookup::Found(statement) => statement.clone(),
            Lookup::Wait | Lookup::Unknown => return Err(unknown_statement().into()),
        };
        let plan = self.current(env, &statement.plan)?;
        let _ = Self::allowed(&plan)?;
        if let Some(facts) = statement.plan.statement(&plan) {
            check_settings(facts, &bind)?;
        }
        self.note_bind(&portal, &statement, &plan, frame);
        self.session
            .bind(portal, &name, bind.result_formats.clone())?;
        self.note_sent();
        Ok(())
    }

    pub(crate) fn ask_stashed(&mut self, env: &mut Env<'_>, frame: &[u8]) -> Result<Act, Stop> {
        let plan = self.stashed_plan(env)?;
        let act = Deferred::Execute {
            stash: std::mem::take(&mut self.stash),
            frame: Bytes::copy_from_slice(frame),
        };
        self.ask(env, &plan, act, true)
    }

    /// What a kept pipeline will execute: the statement of its one Bind.
    pub(crate) fn stashed_plan(&mut self, env: &mut Env<'_>) -> Result<Arc<Plan>, Stop> {
        if let Some(parse) = self.stashed(ClientTag::Parse) {
            return Ok(self.plan(env, message::Parse::parse(&parse)?.text)?);
        }
        let bind = self.stashed(ClientTag::Bind).ok_or_else(unknown_portal)?;
        match self
            .session
            .statement(message::Bind::parse(&bind)?.statement)
        {
            Lookup::Found(statement) => {
                let statement = statement.clone();
                Ok(self.current(env, &statement.plan)?)
            }
            Lookup::Wait => Err(Stop::Wait),
            Lookup::Unknown => Err(unknown_statement().into()),
        }
    }

    /// The types that Parse gave the parameters of what was kept back: of its own Parse, or of the
    /// one that its Bind names.
    pub(crate) fn types_of(&self, stash: &[Bytes]) -> Option<Arc<[u32]>> {
        let body = |tag: ClientTag| {
            let frame = stash
                .iter()
                .find(|frame| frame.first() == Some(&tag.byte()))?;
            frame.get(weir_postgres::frame::HEADER_BYTES..)
        };
        if let Some(parse) = body(ClientTag::Parse) {
            return parameter_types(&message::Parse::parse(parse).ok()?);
        }
        let bind = message::Bind::parse(body(ClientTag::Bind)?).ok()?;
        match self.session.statement(bind.statement) {
            Lookup::Found(statement) => {
                let types = statement.plan.types();
                (!types.is_empty()).then(|| types.into())
            }
            Lookup::Wait | Lookup::Unknown => None,
        }
    }
}
