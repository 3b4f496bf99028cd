mod laws;
mod model;
mod stories;

use std::sync::Arc;

use super::{Effect, Lifetime, Name, Session, Statement};

pub(super) type Plan = Arc<Statement<u32>>;
pub(super) type Tested = Session<u32, &'static str>;

pub(super) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(super) fn plan(number: u32, effect: Effect<u32>) -> Plan {
    Arc::new(Statement {
        plan: number,
        effect,
    })
}

pub(super) fn select(number: u32) -> Plan {
    plan(number, Effect::None)
}

pub(super) fn declare(number: u32, cursor: &str, inner: &Plan) -> Plan {
    plan(
        number,
        Effect::Declare {
            name: name(cursor),
            lifetime: Lifetime::Transaction,
            statement: Arc::clone(inner),
        },
    )
}

pub(super) fn prepare(number: u32, statement: &str, inner: &Plan) -> Plan {
    plan(
        number,
        Effect::Prepare {
            name: name(statement),
            statement: Arc::clone(inner),
        },
    )
}
