//! A right that is taken away while a session is open, and given back.

use anyhow::Result;

use crate::checks::Checks;
use crate::stage::policies::{self, Edit};
use crate::stage::{Session, Stage};

const QUESTION: &str = "SELECT city FROM customers WHERE id = 1";

/// Nobody reads customers any more.
const CLOSED: [Edit; 1] = [Edit {
    file: "policies.cedar",
    from: "",
    to: r#"
@id("customers-are-closed") @reason("customers is closed today")
forbid(principal, action == Weir::Action::"pg.select", resource == Weir::Table::"demo-pg/public.customers");
"#,
}];

pub(super) fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let admin = stage.control.admin();
    let mut session = Session::open(stage, &stage.people.alice.guarded)?;
    let before = session.ask(QUESTION)?;
    checks.see("before the push the session reads", before.trim() == "Umea", &before);
    let old = policies::active(&admin)?;
    policies::push(stage.site, &admin, "closed", &CLOSED)?;
    let after = session.ask(QUESTION)?;
    let is_refused = after.contains("42501") && after.contains("customers is closed today");
    checks.see("after it the next statement is refused, with the reason", is_refused, &after);
    let other = session.ask("SELECT count(*) FROM payments")?;
    checks.see("the session goes on", other.trim() == "2", &other);
    policies::roll_back(stage.site, &admin, old)?;
    let again = session.ask(QUESTION)?;
    checks.see("rolled back, it reads again", again == before, &again);
    Ok(())
}
