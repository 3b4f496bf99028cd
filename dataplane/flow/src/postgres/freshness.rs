//! What a session has done to the catalogue, and when it is read again for that.

use std::sync::Arc;

use weir_postgres::message::TransactionStatus;
use weir_postgres::refuse::SqlState;

use super::desk::{Desk, Waiting};
use super::end::End;
use super::refusal::Refusal;
use crate::io::{CatalogCell, Effect, Env};

/// How long no DDL must have been committed before the catalogue is read again where nobody waits
/// for it: a churn of DDL is read once, at its end.
const SETTLED_NS: u64 = 1_000_000_000;

/// Where the catalogue stands with respect to what this session did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// As far as we know, what is at hand is what is there.
    Fresh,
    /// This session changed it and has committed: read it before judging again. Where only actions
    /// are guarded nobody waits for that: what may be overtaken is asked as `pg.unknown` as well.
    Stale {
        /// When it was committed last.
        since_ns: u64,
    },
    /// It is being read again, for what was committed before.
    Asked,
    /// It was read again for the message at hand.
    Reread,
}

impl Desk {
    /// This session has committed changes that the catalogue at hand does not show.
    pub(crate) fn is_overtaken(&self) -> bool {
        matches!(self.freshness, Freshness::Stale { .. } | Freshness::Asked)
    }

    /// Has the catalogue read again once this session's changes have settled, and waits for nothing.
    pub(crate) fn reread_quietly(&mut self, env: &mut Env<'_>) {
        if let Freshness::Stale { since_ns } = self.freshness
            && self.session.status() == TransactionStatus::Idle
            && env.now.mono_ns.saturating_sub(since_ns) >= SETTLED_NS
        {
            self.ask_for_catalog(env);
        }
    }

    /// An operation that changes the catalogue runs.
    pub(crate) fn is_changing(&self) -> bool {
        self.running.iter().any(|running| running.changes_catalog)
    }

    /// What is at hand may not be what a statement sent now will meet.
    pub(crate) fn is_ahead(&self) -> bool {
        self.uncommitted_ddl || self.is_changing() || self.is_overtaken()
    }

    /// Asks for a newer catalogue; nothing is taken from the client until it is there.
    pub(crate) fn request_catalog(&mut self, env: &mut Env<'_>) {
        if self.freshness != Freshness::Asked {
            self.ask_for_catalog(env);
        }
        self.waiting = Some(Waiting::Catalog);
    }

    fn ask_for_catalog(&mut self, env: &mut Env<'_>) {
        let connection = self.context.connection.name.clone();
        let database = self.context.database.clone();
        env.out.effects.push(Effect::Catalog {
            connection,
            database,
            stale: Some(self.cell.epoch()),
        });
        // What commits from now on may be missing in it.
        self.freshness = Freshness::Asked;
        self.readings += 1;
    }

    /// A catalogue that was asked for is there. Only the last one asked for is sure to show what
    /// was committed before it was asked for.
    pub(crate) fn on_catalog(&mut self, cell: Arc<CatalogCell>) {
        self.cell = cell;
        self.readings = self.readings.saturating_sub(1);
        if self.readings > 0 {
            return;
        }
        let is_waiting = matches!(self.waiting, Some(Waiting::Catalog));
        // A transaction of this session that ended while it was read needs another reading.
        if self.freshness == Freshness::Asked {
            self.freshness = if is_waiting {
                Freshness::Reread
            } else {
                Freshness::Fresh
            };
        }
        if is_waiting {
            self.waiting = None;
        }
    }

    /// It cannot be read, and nobody waits for it: it is asked for again later. Whether that is so.
    pub(crate) fn do_without_catalog(&mut self, env: &Env<'_>) -> bool {
        self.readings = self.readings.saturating_sub(1);
        if matches!(self.waiting, Some(Waiting::Catalog)) {
            return false;
        }
        self.freshness = Freshness::Stale {
            since_ns: env.now.mono_ns,
        };
        true
    }

    /// Something is sent that may commit what this session has redefined: who waits for it gets an
    /// answer perhaps before ours is here, so that it is noted now.
    pub(crate) fn note_commit(&mut self) {
        if self.redefines {
            self.cell.note_change();
            self.sent_at = self.sent_at.map(|changes| changes + 1);
        }
    }

    /// Something is sent that the server plans by its catalogue of that moment.
    pub(crate) fn note_sent(&mut self) {
        self.note_commit();
        let changes = self.cell.changes();
        let _ = self.sent_at.get_or_insert(changes);
    }

    /// A statement that may change what names mean to others is sent.
    pub(crate) fn note_redefinition(&mut self) {
        self.redefines = true;
        self.cell.note_change();
        // One's own is judged as such.
        self.sent_at = self.sent_at.map(|changes| changes + 1);
    }

    /// The server has planned what was sent, perhaps after it waited for another flow's change:
    /// then it is not what was judged.
    ///
    /// # Errors
    /// The end of the flow, if a change was noted meanwhile and there is something to hide.
    pub(crate) fn check_sent(&self) -> Result<(), End> {
        let is_same = self
            .sent_at
            .is_none_or(|changes| changes == self.cell.changes());
        if is_same || self.scope.sensitive.is_empty() {
            return Ok(());
        }
        Err(Refusal::new(
            SqlState::ADMIN_SHUTDOWN,
            "weir: a definition was changed while the statement ran, and its result was withheld",
        )
        .hint("connect again and retry")
        .into())
    }

    /// A transaction ended or goes on, as ReadyForQuery says.
    pub(crate) fn settle_transaction(&mut self, status: TransactionStatus, now_ns: u64) {
        if status == TransactionStatus::Idle && std::mem::take(&mut self.redefines) {
            self.cell.note_change();
            self.sent_at = self.sent_at.map(|changes| changes + 1);
        }
        if self.session.outstanding() == 0 {
            self.sent_at = None;
        }
        if status == TransactionStatus::Idle && self.uncommitted_ddl {
            self.uncommitted_ddl = false;
            self.freshness = Freshness::Stale { since_ns: now_ns };
        }
    }
}
