//! A running session: what it believes, what it waits for, and what runs.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use weir_audit::{Receipt, RecordSeq};
use weir_facts::{Action, ApprovalId, Digest, Group, OperationRef, Verdict};
use weir_mask::Net;
use weir_mask::detect::ClassSet;
use weir_policy::{Bulk, Permit, Reads};
use weir_postgres::frame::ClientTag;
use weir_postgres::message::TransactionStatus;
use weir_postgres::session::{self, Admission, Pins, Session, Ticket};
use weir_sql::{Catalog, Epoch, Sensitive, Statement, StatementKind};

use super::bulk::{Counted, Ending, Gone, Paused};
use super::cache::{self, ScopeId, ScopeKey};
use super::context::Context;
use super::end::End;
use super::freshness::Freshness;
use super::guards::Guards;
use super::layout::Layout;
use super::opening;
use super::plan::{self, Plan, Question};
use super::refusal::Refusal;
use super::unread;
use crate::io::{CatalogCell, Env};
use crate::world::{Stale, source_ip};

/// A statement's plan within a session. It is replaced when the world has changed. Only one
/// thread ever looks: the lock costs less than an `ArcSwap`, whose end walks every thread's debts.
#[derive(Debug)]
pub(crate) struct Judged {
    plan: RwLock<Arc<Plan>>,
    step: usize,
    /// How many PREPAREs and DECLAREs are around it.
    nesting: u8,
    /// Types that Parse gave its parameters.
    types: Option<Arc<[u32]>>,
}

impl Judged {
    pub(crate) fn new(plan: &Arc<Plan>, step: usize, nesting: u8) -> Self {
        Self {
            plan: RwLock::new(plan.clone()),
            step,
            nesting,
            types: None,
        }
    }

    /// With the types that Parse gave the parameters.
    pub(crate) fn typed(self, types: Option<Arc<[u32]>>) -> Self {
        Self { types, ..self }
    }

    /// Types that Parse gave the parameters; the rest is the server's to find.
    pub(crate) fn types(&self) -> &[u32] {
        self.types.as_deref().unwrap_or_default()
    }

    fn replace(&self, plan: Arc<Plan>) {
        *self.plan.write().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    /// The statement within a plan of its text.
    pub(crate) fn statement<'p>(&self, plan: &'p Plan) -> Option<&'p Statement> {
        let mut statement = plan.steps.get(self.step)?;
        for _ in 0..self.nesting {
            statement = match &statement.kind {
                StatementKind::Prepare { inner, .. }
                | StatementKind::DeclareCursor { inner, .. } => inner,
                _ => return None,
            };
        }
        Some(statement)
    }

    pub(crate) fn plan(&self) -> Arc<Plan> {
        let plan = self.plan.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&plan)
    }
}

pub(crate) type JudgedStatement = Arc<session::Statement<Judged>>;

/// What judging hangs on now.
pub(crate) struct Scope {
    pub(crate) id: ScopeId,
    world: u64,
    epoch: Epoch,
    minute: Option<u64>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) sensitive: Arc<Sensitive>,
    pub(crate) guards: Guards,
    /// How much may leave.
    pub(crate) bulk: Option<Arc<Bulk>>,
    pub(crate) net: Option<Arc<Net>>,
}

/// An operation that runs, until its outcome is recorded.
pub(crate) struct Running {
    pub(crate) ticket: Ticket,
    pub(crate) operation: OperationRef,
    pub(crate) begun_ns: u64,
    pub(crate) is_query: bool,
    /// What it does to the catalogue is not seen yet.
    pub(crate) changes_catalog: bool,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) outcome: String,
    /// What has gone of its rows, where that is counted.
    pub(crate) counted: Option<Box<Counted>>,
    /// Classes that were found in columns without a label.
    pub(crate) seen: ClassSet,
}

impl Running {
    pub(crate) const fn new(
        ticket: Ticket,
        operation: OperationRef,
        begun_ns: u64,
        is_query: bool,
        changes_catalog: bool,
    ) -> Self {
        Self {
            ticket,
            operation,
            begun_ns,
            is_query,
            changes_catalog,
            rows: 0,
            bytes: 0,
            outcome: String::new(),
            counted: None,
            seen: ClassSet::NONE,
        }
    }
}

/// Why nothing is taken from the client.
pub(crate) enum Waiting {
    /// The catalogue is being read.
    Catalog,
    /// The intent is being made durable.
    Durable {
        seq: RecordSeq,
        operation: OperationRef,
        permit: Permit,
        receipt: Receipt,
        act: Deferred,
    },
    /// People are being asked.
    Approval {
        request: ApprovalId,
        digest: Digest,
        plan: Arc<Plan>,
        act: Deferred,
        deadline_ns: u64,
    },
    /// The approval is being spent.
    Redeem {
        grant: Grant,
        plan: Arc<Plan>,
        act: Deferred,
        deadline_ns: u64,
    },
}

/// What people gave.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) approval: ApprovalId,
    pub(crate) approvers: Vec<Arc<str>>,
    pub(crate) groups: Vec<Group>,
}

/// What a portal was bound with.
pub(crate) struct Bound {
    /// Which Bind of the session it was.
    pub(crate) serial: u64,
    /// Of text, types and values.
    pub(crate) digest: Digest,
    /// The statement whose matches were counted when it first ran.
    pub(crate) spent: Option<JudgedStatement>,
    /// What has gone of its rows, where that is counted, and of which statement.
    pub(crate) gone: Option<(JudgedStatement, Gone)>,
}

/// A client's message, or a pipeline of them, that waits for its release.
#[derive(Clone)]
pub(crate) enum Deferred {
    /// A Query.
    Query {
        statements: Vec<JudgedStatement>,
        frame: Bytes,
    },
    /// An Execute, with the messages of its pipeline that were kept back for it.
    Execute { stash: Vec<Bytes>, frame: Bytes },
}

/// A running session, without its readers.
pub(crate) struct Desk {
    pub(crate) context: Context,
    pub(crate) session: Session<Judged, Layout>,
    pub(crate) cell: Arc<CatalogCell>,
    pub(crate) scope: Scope,
    pub(crate) freshness: Freshness,
    /// Readings of the catalogue that were asked for and have not come.
    pub(crate) readings: u32,
    /// The open transaction changed the catalogue in ways that only it can see.
    pub(crate) uncommitted_ddl: bool,
    /// What was not read has run in this session, or what changes how texts are read.
    pub(crate) ran_unread: bool,
    /// It changed what names mean to others, who will see it when it ends.
    pub(crate) redefines: bool,
    /// How many changes of the catalogue were noted when the first of what runs was sent.
    pub(crate) sent_at: Option<u64>,
    pub(crate) waiting: Option<Waiting>,
    pub(crate) running: VecDeque<Running>,
    /// The Bind behind each portal.
    pub(crate) binds: HashMap<Box<str>, Bound>,
    /// The next Bind's number.
    pub(crate) next_bind: u64,
    /// Messages of a pipeline that wait for the Execute that is held.
    pub(crate) stash: Vec<Bytes>,
    /// A statement that waits amid its rows.
    pub(crate) paused: Option<Paused>,
    /// A statement that has ended for the client only.
    pub(crate) ending: Option<Ending>,
    /// Bytes of a row that was counted and has not come whole.
    pub(crate) row_left: usize,
    /// The server's CancelRequest for this session.
    pub(crate) cancel: Option<Bytes>,
    pub(crate) is_draining: bool,
    /// The client sends no more than what is not taken yet.
    pub(crate) has_left: bool,
}

/// Why a text has no verdict yet, or never will.
pub(crate) enum Trouble {
    /// The catalogue is being read: offer the message again.
    Wait,
    /// It is refused.
    Refused(Box<Refusal>),
    /// The flow ends.
    End(Box<End>),
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl Desk {
    /// A session whose server is about to say ReadyForQuery.
    pub(crate) fn new(context: Context, cell: Arc<CatalogCell>, env: &mut Env<'_>) -> Self {
        let scope = enter(&context, cell.load(), env);
        let mut session = Session::new();
        session.pin(match scope.guards {
            Guards::Values => Pins::Held,
            Guards::Actions => Pins::Loose,
        });
        Self {
            context,
            session,
            cell,
            scope,
            freshness: Freshness::Fresh,
            readings: 0,
            uncommitted_ddl: false,
            ran_unread: false,
            redefines: false,
            sent_at: None,
            waiting: None,
            running: VecDeque::new(),
            binds: HashMap::new(),
            next_bind: 0,
            stash: Vec::new(),
            paused: None,
            ending: None,
            row_left: 0,
            cancel: None,
            is_draining: false,
            has_left: false,
        }
    }

    /// Judges by the world and the catalogue of this moment.
    pub(crate) fn refresh(&mut self, env: &mut Env<'_>) -> Result<(), Trouble> {
        super::check_fresh(env.world, env, Stale::DenyAll)?;
        self.renew_scope(env)
            .map_err(|end| Trouble::End(Box::new(end)))?;
        if self.guards_actions() {
            self.reread_quietly(env);
            return Ok(());
        }
        // Amid changes of its own nothing at hand is believed anyway.
        let is_behind =
            self.freshness == Freshness::Fresh && !self.is_ahead() && self.cell.is_behind();
        if self.is_overtaken() || is_behind {
            self.request_catalog(env);
            return Err(Trouble::Wait);
        }
        // Behind a Sync or Query its answer comes unasked; amid a segment it may not, and what
        // follows is judged as in a transaction that has changed the catalogue.
        if self.is_changing() && !self.session.is_segment_open() {
            return Err(Trouble::Wait);
        }
        Ok(())
    }

    /// Takes up the world and the catalogue of this moment.
    ///
    /// # Errors
    /// The session cannot go on under them.
    pub(crate) fn renew_scope(&mut self, env: &mut Env<'_>) -> Result<(), End> {
        let minute = self.scope.minute.and_then(|_| minute(&self.context, env));
        let same = self.scope.world == env.world.version
            && self.scope.epoch == self.cell.epoch()
            && self.scope.minute == minute;
        if !same {
            self.scope = enter(&self.context, self.cell.load(), env);
            self.hold_to_scope()?;
        }
        Ok(())
    }

    /// The plan of a text, judged now or found.
    pub(crate) fn plan(&mut self, env: &mut Env<'_>, text: &str) -> Result<Arc<Plan>, Trouble> {
        self.refresh(env)?;
        if self.may_be_misread(text) {
            return self.unread(env, text, &[], unread::denied);
        }
        let is_ahead = self.is_ahead();
        if !is_ahead && let Some(plan) = env.plans.find(self.scope.id, text) {
            return Ok(plan.clone());
        }
        let question = self.question(env);
        let made = Plan::make(text, &question).and_then(|plan| {
            let before = plan
                .steps
                .split_last()
                .map_or(&[][..], |(_, before)| before);
            if is_ahead || !before.iter().any(|step| step.changes_catalog) {
                return Ok(plan);
            }
            // What stands behind it in the text meets another catalogue than this one.
            let behind = Question {
                uncommitted_ddl: true,
                ..question
            };
            Plan::make(text, &behind)
        });
        match made {
            // It may be denied for what the catalogue at hand does not show.
            Ok(plan) if self.is_overtaken() && plan.judgement.verdict != Verdict::Allow => {
                self.request_catalog(env);
                Err(Trouble::Wait)
            }
            Ok(plan) => {
                let plan = Arc::new(plan);
                if !is_ahead && plan::is_cacheable(&plan.judgement) {
                    env.plans.keep(self.scope.id, &plan);
                }
                Ok(plan)
            }
            Err(weir_sql::Refusal::UnknownRelation { .. })
                if self.freshness == Freshness::Fresh && !is_ahead && !self.guards_actions() =>
            {
                self.request_catalog(env);
                Err(Trouble::Wait)
            }
            Err(weir_sql::Refusal::UnknownRelation { .. })
                if self.guards_actions() && !is_ahead =>
            {
                self.plan_of_unknown(env, text)
            }
            Err(refusal) if self.guards_actions() => {
                self.unread(env, text, &[], |_| Refusal::of_text(text, refusal))
            }
            Err(refusal) => Err(Refusal::of_text(text, refusal).into()),
        }
    }

    /// A statement's plan as it stands now: judged again if anything it hangs on has changed.
    pub(crate) fn current(
        &mut self,
        env: &mut Env<'_>,
        judged: &Judged,
    ) -> Result<Arc<Plan>, Trouble> {
        self.refresh(env)?;
        let plan = judged.plan();
        if plan.scope == self.scope.id && !self.is_ahead() && plan::is_cacheable(&plan.judgement) {
            return Ok(plan);
        }
        let fresh = self.plan(env, &plan.text)?;
        judged.replace(fresh.clone());
        Ok(fresh)
    }

    /// What judging hangs on, for a text of this session.
    pub(crate) fn question<'a>(&'a self, env: &'a Env<'_>) -> Question<'a> {
        Question {
            world: env.world,
            connection: &self.context.connection.name,
            principal: &self.context.principal,
            source: source_ip(self.context.source),
            database: &self.context.database,
            role: &self.context.role,
            catalog: &self.scope.catalog,
            sensitive: &self.scope.sensitive,
            scope: self.scope.id,
            verdicts: &env.plans.verdicts,
            now: env.now,
            in_transaction: self.session.status() != TransactionStatus::Idle,
            uncommitted_ddl: self.is_ahead(),
            searches: self.scope.net.is_some(),
        }
    }

    /// Whether a plan may run as it stands.
    ///
    /// # Errors
    /// The refusal, if policy denies it.
    pub(crate) fn allowed(plan: &Plan) -> Result<Allowance, Trouble> {
        match &plan.judgement.verdict {
            Verdict::Allow => Ok(Allowance::Run),
            Verdict::Hold(_) => Ok(Allowance::Ask),
            Verdict::Deny(denial) => Err(Refusal::denied(denial, &plan.judgement).into()),
        }
    }

    /// When a wait for people, or for their approval to be spent, ends.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let waiting = match &self.waiting {
            Some(Waiting::Approval { deadline_ns, .. } | Waiting::Redeem { deadline_ns, .. }) => {
                Some(*deadline_ns)
            }
            Some(Waiting::Catalog | Waiting::Durable { .. }) | None => None,
        };
        waiting.into_iter().chain(self.paused_deadline()).min()
    }

    /// Whether CopyData may go on now. It belongs to a COPY that was judged.
    pub(crate) fn admit_copy_data(&self) -> Result<bool, End> {
        match self.session.admit(ClientTag::CopyData)? {
            Admission::Proceed => Ok(true),
            Admission::Drop => Ok(false),
            Admission::Wait => Err(End::Broken("CopyData that was taken too early")),
        }
    }

    /// Whether CopyData has to wait for the server's word on its COPY.
    pub(crate) fn awaits_copy(&self) -> Result<bool, End> {
        Ok(self.session.admit(ClientTag::CopyData)? == Admission::Wait)
    }

    /// The world changed: is this session still allowed to be open?
    pub(crate) fn check_connect(&self, env: &Env<'_>) -> Result<(), End> {
        opening::judge_connect(&self.context, env, env.world).map_err(End::from)
    }
}

/// Whether a statement may change what names mean in statements of others: new relations do not.
pub(crate) fn redefines(statement: &Statement) -> bool {
    let may = |action: Action| {
        matches!(
            action,
            Action::PgAlterTable
                | Action::PgDefineCode
                | Action::PgDefineOther
                | Action::PgDropObject
                | Action::PgGrant
                | Action::PgExecuteCode
                | Action::PgCall
                | Action::PgUnknown
        )
    };
    statement.changes_catalog && statement.accesses.iter().any(|access| may(access.action))
}

/// What an allowed plan still needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Allowance {
    /// Nothing.
    Run,
    /// People.
    Ask,
}

fn enter(context: &Context, catalog: Arc<Catalog>, env: &mut Env<'_>) -> Scope {
    let world = env.world.clone();
    let key = ScopeKey {
        world: world.version,
        epoch: catalog.epoch(),
        connection: context.connection.name.clone(),
        principal: context.principal.clone(),
        database: context.database.clone(),
        role: context.role.clone(),
        minute: minute(context, env),
        source: reveals(context, env)
            .any(Reads::SOURCE_IP)
            .then(|| source_ip(context.source)),
    };
    let minute = key.minute;
    let judging = context.judging(env, &world);
    let (connection, principal) = (&context.connection.name, &context.principal);
    let make = || {
        let labelled = plan::labelled(&world, connection, principal, &judging);
        let guards = Guards::of(&world, connection, principal, &judging, &labelled);
        let sensitive = plan::sensitive(&world, connection, labelled, &catalog);
        let net = plan::net(&world, connection, principal, &judging);
        (sensitive, guards, net)
    };
    let cache::Scope {
        id,
        sensitive,
        net,
        guards,
    } = env.plans.scope(key, make);
    Scope {
        id,
        world: world.version,
        epoch: catalog.epoch(),
        minute,
        catalog,
        sensitive,
        guards,
        bulk: world
            .snapshot
            .bulk(&context.connection.name, &context.principal)
            .cloned(),
        net,
    }
}

/// What of the context decides about masks here.
fn reveals(context: &Context, env: &Env<'_>) -> Reads {
    env.world
        .snapshot
        .reads(&context.connection.name, Action::PgReveal)
}

fn minute(context: &Context, env: &Env<'_>) -> Option<u64> {
    reveals(context, env)
        .any(Reads::CLOCK)
        .then_some(env.now.unix_us / 60_000_000)
}
