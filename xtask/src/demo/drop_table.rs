//! A DROP that waits for another person.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::rows::line;
use crate::checks::Checks;
use crate::stage::{Hand, Stage, until};

const DROP: &str = "DROP TABLE old_reports";

pub(super) fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let people = &stage.people;
    let is_there = |table: &str| {
        Ok::<_, anyhow::Error>(
            stage
                .postgres
                .sql(
                    "shop",
                    &format!("SELECT to_regclass('{table}') IS NOT NULL"),
                )?
                .trim()
                == "t",
        )
    };

    stage.postgres.sql(
        "shop",
        "CREATE TABLE spare(id int); ALTER TABLE spare OWNER TO app",
    )?;
    let direct = stage.psql(
        &stage.postgres.direct(&people.alice.unguarded),
        "DROP TABLE spare",
    )?;
    checks.see(
        "control: outside the cgroup it is gone at once",
        direct.ok && !is_there("spare")?,
        "to_regclass('spare') is null",
    );

    let mut psql = stage.begin_psql(&people.alice.guarded, DROP)?;
    let request = pending(&people.dana, DROP)?;
    let id = request["id"]
        .as_str()
        .context("a request without id")?
        .to_owned();
    let seen = format!("approval {}, asks {}", id, request["approvers"]);
    checks.see(
        "alice's DROP is held",
        psql.is_running() && is_there("old_reports")?,
        &seen,
    );

    let own = people
        .alice
        .hand
        .try_run(&["approvals", "approve", &id], "")?;
    checks.see(
        "alice, also of dba, may not approve her own",
        !own.ok && psql.is_running(),
        &line(&own),
    );
    let other = people.bo.hand.try_run(&["approvals", "approve", &id], "")?;
    checks.see(
        "bo, not of dba, may not either",
        !other.ok && psql.is_running() && is_there("old_reports")?,
        &line(&other),
    );
    let agreed = people.dana.try_run(
        &[
            "approvals",
            "approve",
            &id,
            "--reason",
            "empty since spring",
        ],
        "",
    )?;
    checks.see(
        "dana, of dba, approves: weir approvals approve",
        agreed.ok,
        &line(&agreed),
    );
    let said = psql.finish()?;
    checks.see(
        "the same psql goes on, and the table is gone",
        said.ok && !is_there("old_reports")?,
        &said.err.replace("NOTICE:  ", ""),
    );
    let after = people.dana.json(&["approvals", "show", &id])?;
    checks.see(
        "the approval is spent",
        after["state"] == "spent",
        &format!("state {}", after["state"]),
    );
    Ok(())
}

/// Waits for a request whose operation holds this text.
pub(super) fn pending(approver: &Hand, operation: &str) -> Result<Value> {
    until("a request for approval", Duration::from_secs(20), || {
        let waiting = approver.json(&["approvals", "list"])?;
        let is_it = |request: &&Value| {
            request["operation"]
                .as_str()
                .is_some_and(|text| text.contains(operation))
        };
        Ok(waiting
            .as_array()
            .and_then(|list| list.iter().find(is_it))
            .cloned())
    })
}
