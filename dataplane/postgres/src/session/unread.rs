//! A session in which nothing is hidden from the client: texts that nobody has read may run, and
//! what they leave behind is not known.

use std::sync::Arc;

use super::{
    Lifetime, Lookup, Name, PortalFacts, RequestError, Session, Statement, StatementFacts,
};
use crate::limits;
use crate::rows::Formats;

/// Whether [`PINNED`](crate::startup::PINNED) parameters may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pins {
    /// A change ends the flow.
    Held,
    /// A change is noted ([`Session::has_slipped`]): texts that the server may read in another way
    /// than the caller must be taken as unread from then on.
    Loose,
}

impl<P, L> Session<P, L> {
    /// Holds or loosens the pinned parameters. They are held in a new session.
    pub fn pin(&mut self, pins: Pins) {
        self.pins = pins;
    }

    /// Whether a pinned parameter has ever had another value than the pinned one.
    #[must_use]
    pub fn has_slipped(&self) -> bool {
        self.slipped
    }

    /// Takes an unknown prepared statement for this one. Only where a wrong belief does no harm,
    /// that is, for a statement of [`super::Effect::Unread`].
    ///
    /// # Errors
    /// [`RequestError`]: it is known, on its way, or there are too many.
    pub fn assume_statement(
        &mut self,
        name: &Name,
        statement: Arc<Statement<P>>,
    ) -> Result<(), RequestError> {
        if self.statements.len_possible() >= limits::STATEMENTS_MAX {
            return Err(RequestError::TooManyStatements);
        }
        match self.statements.find(name.as_str(), self.segment) {
            Lookup::Unknown if !self.statements.is_touched(name.as_str()) => {}
            Lookup::Unknown | Lookup::Found(_) => return Err(RequestError::UnknownStatement),
            Lookup::Wait => return Err(RequestError::NotYet),
        }
        let id = self.id();
        self.statements
            .confirm(name, Arc::new(StatementFacts { id, statement }));
        Ok(())
    }

    /// The same for a portal, made by whatever ran unseen.
    ///
    /// # Errors
    /// [`RequestError`]: it is known, on its way, or there are too many.
    pub fn assume_portal(
        &mut self,
        name: &Name,
        statement: Arc<Statement<P>>,
    ) -> Result<(), RequestError> {
        if self.portals.len_possible() >= limits::PORTALS_MAX {
            return Err(RequestError::TooManyPortals);
        }
        match self.portals.find(name.as_str(), self.segment) {
            Lookup::Unknown if !self.portals.is_touched(name.as_str()) => {}
            Lookup::Unknown | Lookup::Found(_) => return Err(RequestError::UnknownPortal),
            Lookup::Wait => return Err(RequestError::NotYet),
        }
        let facts = PortalFacts {
            id: self.id(),
            statement,
            formats: Formats::Text,
            lifetime: Lifetime::Transaction,
        };
        self.portals.confirm(name, Arc::new(facts));
        Ok(())
    }
}
