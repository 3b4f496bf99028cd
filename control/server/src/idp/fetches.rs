//! Which issuers' keys are being fetched, and when that was done last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// When the keys of each issuer were last fetched; locked while they are.
#[derive(Default)]
pub(crate) struct Fetches(Mutex<HashMap<String, Arc<Fetch>>>);

/// When that was; nobody else fetches while it is locked.
type Fetch = tokio::sync::Mutex<Option<Instant>>;

impl Fetches {
    /// That of an issuer.
    pub(super) fn of(&self, issuer: &str) -> Arc<Fetch> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(issuer.to_owned()).or_default())
    }

    /// An issuer that is gone.
    pub(crate) fn forget(&self, issuer: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(issuer);
    }
}
