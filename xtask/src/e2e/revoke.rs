//! A right that is taken away while a session is open, and given back.

use anyhow::Result;

use crate::checks::Checks;
use crate::stage::policies::{self, Edit};
use crate::stage::{Session, Stage, await_settled};

const QUESTION: &str = "SELECT count(*) FROM payments";

/// Nobody reads payments any more.
const CLOSED: [Edit; 1] = [Edit {
    file: "policies.cedar",
    from: "",
    to: r#"
@id("payments-are-closed") @reason("payments is closed today")
forbid(principal, action == Weir::Action::"pg.select", resource == Weir::Table::"demo-pg/public/payments");
"#,
}];

pub(super) fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let admin = stage.control.admin();
    await_settled(stage.site, &admin)?;
    let mut session = Session::open(stage, &stage.people.alice.guarded)?;
    let before = session.ask(QUESTION)?;
    checks.see(
        "before the push the session reads",
        before.trim() == "2",
        &before,
    );
    let old = policies::active(&admin)?;
    policies::push(stage.site, &admin, "closed", &CLOSED)?;
    let after = session.ask(QUESTION)?;
    let is_refused = after.contains("42501") && after.contains("payments is closed today");
    checks.see(
        "after it the next statement is refused, with the reason",
        is_refused,
        &after,
    );
    let other = session.ask("SELECT city FROM customers WHERE id = 1")?;
    checks.see("the session goes on", other.trim() == "Umea", &other);
    policies::roll_back(stage.site, &admin, old)?;
    let again = session.ask(QUESTION)?;
    checks.see("rolled back, it reads again", again == before, &again);
    Ok(())
}
