//! Looks at servers that nodes were asked for, and who waits for what they see.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;
use weir_api::v1::ConnectionChecked;

/// ServerChecks that were asked for and not answered, by id.
#[derive(Default)]
pub(crate) struct ServerChecks(Mutex<HashMap<String, Waiting>>);

/// Of which node, and who waits.
type Waiting = (String, oneshot::Sender<ConnectionChecked>);

/// One check; forgotten when dropped.
pub(crate) struct Asked<'a> {
    checks: &'a ServerChecks,
    id: String,
}

impl ServerChecks {
    /// Notes that somebody waits for a node's answer.
    pub(crate) fn ask(
        &self,
        node: &str,
        id: &str,
    ) -> (Asked<'_>, oneshot::Receiver<ConnectionChecked>) {
        let (sender, receiver) = oneshot::channel();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(id.to_owned(), (node.to_owned(), sender));
        let asked = Asked {
            checks: self,
            id: id.to_owned(),
        };
        (asked, receiver)
    }

    /// A node's answer. One that it was not asked for is dropped.
    pub(crate) fn answer(&self, node: &str, checked: ConnectionChecked) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(&checked.id).is_some_and(|(asked, _)| asked == node)
            && let Some((_, waits)) = all.remove(&checked.id)
        {
            // Whoever asked may have gone.
            let _ = waits.send(checked);
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let mut all = self.checks.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&self.id);
    }
}
