//! What the stories work on: tables, a database without anything masked, and a policy.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::stage::policies::{self, Edit};
use crate::stage::{Stage, until};

const SCHEMA: &str = include_str!("../../drivers/schema.sql");

/// The database in which nothing is masked, and engineers may define and notify.
pub(super) const PLAIN: &str = "work";

/// Each masked column in a type of its own; and the database in which everything else is tried.
const POLICY: [Edit; 6] = [
    Edit {
        file: "masks.toml",
        from: "[connection.demo-pg]",
        to: r#"drv_year = ["drv"]
drv_zero = ["drv"]
drv_cents = ["drv"]
drv_false = ["drv"]
drv_uuid = ["drv"]
drv_text = ["drv"]
drv_bytes = ["drv"]

[connection.demo-pg]"#,
    },
    Edit {
        file: "masks.toml",
        from: "\"public.customers.ssn\" = [\"ssn\"]",
        to: r#""public.customers.ssn" = ["ssn"]
"public.patients.ssn" = ["ssn"]
"public.patients.born" = ["drv_year"]
"public.patients.seen" = ["drv_year"]
"public.patients.visits" = ["drv_zero"]
"public.patients.account" = ["drv_zero"]
"public.patients.balance" = ["drv_cents"]
"public.patients.score" = ["drv_zero"]
"public.patients.insured" = ["drv_false"]
"public.patients.token" = ["drv_uuid"]
"public.patients.chart" = ["drv_text"]
"public.patients.scan" = ["drv_bytes"]"#,
    },
    Edit {
        file: "policies.cedar",
        from: "unless { context.approvals.contains(Weir::Group::\"dba\") };",
        to: "unless { context.database == \"work\" || context.approvals.contains(Weir::Group::\"dba\") };",
    },
    // A migration works on what it has itself made in the same transaction, which nobody else sees.
    Edit {
        file: "policies.cedar",
        from: "forbid(principal, action == Weir::Action::\"pg.unknown\", resource in Weir::Connection::\"demo-pg\");",
        to: "forbid(principal, action == Weir::Action::\"pg.unknown\", resource in Weir::Connection::\"demo-pg\") unless { context.database == \"work\" };",
    },
    // A restore sets sequences, which changes them as a whole.
    Edit {
        file: "policies.cedar",
        from: "unless { context.has_where };",
        to: "unless { context.has_where || context.database == \"work\" };",
    },
    Edit {
        file: "policies.cedar",
        from: "",
        to: include_str!("../../drivers/policies.cedar"),
    },
];

/// What was set up.
pub(super) struct Setup {
    /// Weir's CA, where every caller can read it.
    pub ca: PathBuf,
    before: u64,
}

/// Makes the tables and the database, pushes the policy, and waits until both are in force.
pub(super) fn make(stage: &Stage) -> Result<Setup> {
    let postgres = &stage.postgres;
    postgres.sql("shop", SCHEMA)?;
    postgres.sql("postgres", "CREATE DATABASE work OWNER app")?;
    let admin = stage.control.admin();
    let before = policies::active(&admin)?;
    policies::push(stage.site, &admin, "drivers", &POLICY)?;
    // Weir reads the catalogue again by itself.
    let alice = &stage.people.alice.guarded;
    until("the new tables are masked", Duration::from_secs(30), || {
        let said = stage.psql(alice, "SELECT ssn FROM patients WHERE id = 1")?;
        Ok((said.out.trim() == "*******6789").then_some(()))
    })?;
    let shown = stage.site.plane_state().join("proxy/ca.crt");
    let ca = stage.site.folder().join("drivers-ca.crt");
    fs::copy(&shown, &ca).with_context(|| shown.display().to_string())?;
    Ok(Setup { ca, before })
}

impl Setup {
    /// Puts everything that stories change back to its beginning.
    pub(super) fn renew(stage: &Stage) -> Result<()> {
        stage
            .postgres
            .sql("shop", "TRUNCATE drv_items RESTART IDENTITY")?;
        stage.postgres.sql(
            PLAIN,
            "SET client_min_messages = error; DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION app",
        )?;
        Ok(())
    }

    /// The demo's own policy is in force again.
    pub(super) fn remove(&self, stage: &Stage) -> Result<()> {
        policies::roll_back(stage.site, &stage.control.admin(), self.before)
    }
}
