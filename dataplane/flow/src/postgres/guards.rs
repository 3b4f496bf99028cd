//! What of a session is guarded: values and actions, or actions only.

use weir_facts::{
    Access, Action, ColumnName, ConnectionName, Principal, Resource, Reveal, Verdict,
};
use weir_policy::{JudgeContext, Unlabelled};

use super::plan;
use crate::world::World;

/// What is guarded for one principal at one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guards {
    /// Something is hidden, or what nobody has read may not run: every statement is read.
    Values,
    /// Nothing is hidden, whatever the catalogue says, and somebody wrote a policy that permits
    /// `pg.unknown`: a statement that cannot be read is judged as that and goes on as it is.
    Actions,
}

impl Guards {
    /// By the policy of this moment; `labelled` is what of each labelled column it shows.
    pub(crate) fn of(
        world: &World,
        connection: &ConnectionName,
        principal: &Principal,
        context: &JudgeContext<'_>,
        labelled: &[(ColumnName, Reveal)],
    ) -> Self {
        let snapshot = &world.snapshot;
        let is_shown = |(_, reveal): &(ColumnName, Reveal)| matches!(reveal, Reveal::Clear);
        let hides_nothing = snapshot.detectors(connection).is_empty()
            && snapshot.unlabelled(connection) == Unlabelled::Clear
            && labelled.iter().all(is_shown);
        if !hides_nothing {
            return Self::Values;
        }
        let unknown = [Access {
            action: Action::PgUnknown,
            resource: Resource::Connection,
        }];
        let judgement = world.judge(principal, connection, &unknown, context);
        // What is allowed now and then is not what somebody wrote without conditions.
        if judgement.verdict == Verdict::Allow && plan::is_cacheable(&judgement) {
            Self::Actions
        } else {
            Self::Values
        }
    }
}
