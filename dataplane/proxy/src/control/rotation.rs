//! How often keys of issuers are asked for: whoever shows tokens with made-up key names must not
//! make the control plane fetch for each of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two questions for the keys of one issuer. An issuer publishes a key before it signs with
/// it, so that even this is seldom waited for.
const ASK_INTERVAL: Duration = Duration::from_secs(10);

/// When each issuer's keys were asked for. Issuers are those of the world: a flow asks for no other.
#[derive(Default)]
pub(super) struct Rotation(HashMap<Arc<str>, Instant>);

impl Rotation {
    /// Whether the keys may be asked for now; if so, not again for a while.
    pub(super) fn may_ask(&mut self, issuer: &Arc<str>, now: Instant) -> bool {
        let is_recent = |asked: &Instant| now.saturating_duration_since(*asked) < ASK_INTERVAL;
        if self.0.get(issuer).is_some_and(is_recent) {
            return false;
        }
        self.0.retain(|_, asked| is_recent(asked));
        self.0.insert(issuer.clone(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_asked_once_in_a_while_and_others_do_not_wait_for_it() {
        let (one, other): (Arc<str>, Arc<str>) = ("https://a".into(), "https://b".into());
        let begun = Instant::now();
        let mut rotation = Rotation::default();
        assert!(rotation.may_ask(&one, begun));
        assert!(!rotation.may_ask(&one, begun + ASK_INTERVAL / 2));
        assert!(rotation.may_ask(&other, begun + ASK_INTERVAL / 2));
        assert!(rotation.may_ask(&one, begun + ASK_INTERVAL));
        assert!(!rotation.may_ask(&other, begun + ASK_INTERVAL));
    }
}
