//! How much may be done to hold one message against a schema: a server writes both.

use std::cell::Cell;

use crate::limits::{EFFORT_BASE, EFFORT_MAX, EFFORT_PER_VALUE, SCHEMA_STEPS_MAX};

/// What is left of it, for one message. In units of one part of a schema that is looked at.
#[derive(Debug)]
pub struct Effort(Cell<u64>);

impl Effort {
    /// For a message of so many values and names.
    #[must_use]
    pub fn of(values: usize) -> Self {
        let values = u64::try_from(values).unwrap_or(u64::MAX);
        let allowed = values
            .saturating_mul(EFFORT_PER_VALUE)
            .saturating_add(EFFORT_BASE);
        Self(Cell::new(allowed.min(EFFORT_MAX)))
    }

    /// Whether it was too much: then no answer that was given counts.
    #[must_use]
    pub const fn is_spent(&self) -> bool {
        self.0.get() == 0
    }

    /// Whether so much was left.
    pub(super) fn spend(&self, units: usize) -> bool {
        let units = u64::try_from(units).unwrap_or(u64::MAX);
        self.0.set(self.0.get().saturating_sub(units));
        !self.is_spent()
    }
}

/// How many parts may still be looked at to decide about one value.
pub(super) struct Fuel<'e> {
    steps: Cell<u32>,
    pub(super) effort: &'e Effort,
}

impl<'e> Fuel<'e> {
    pub(super) const fn new(effort: &'e Effort) -> Self {
        Self {
            steps: Cell::new(SCHEMA_STEPS_MAX),
            effort,
        }
    }

    pub(super) fn burn(&self) -> bool {
        let left = self.steps.get();
        self.steps.set(left.saturating_sub(1));
        left > 0 && self.effort.spend(1)
    }
}
