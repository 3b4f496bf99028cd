//! TLS with an unmodified psql, and a token as its password.

use std::fs;

use anyhow::{Context, Result};

use crate::checks::Checks;
use crate::stage::Stage;

const QUESTION: &str = "SELECT ssn FROM customers WHERE id = 1";
const MASKED: &str = "*******6789";

pub(super) fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let alice = &stage.people.alice.guarded;
    let required = alice.clone().with("PGSSLMODE", "require");
    let said = stage.psql(&required, QUESTION)?;
    checks.see(
        "sslmode=require: masked",
        said.out.trim() == MASKED,
        &said.all(),
    );

    let shown = stage.site.plane_state().join("proxy/ca.crt");
    let ca = stage.site.folder().join("ca.crt");
    fs::copy(&shown, &ca).with_context(|| shown.display().to_string())?;
    let verified = alice.clone().with("PGSSLMODE", "verify-full");
    let trusting = verified
        .clone()
        .with("PGSSLROOTCERT", &ca.display().to_string());
    let said = stage.psql(&trusting, QUESTION)?;
    checks.see(
        "verify-full with Weir's CA: masked",
        said.out.trim() == MASKED,
        &said.all(),
    );
    let strange = verified.with("PGSSLROOTCERT", "/etc/ssl/certs/ca-certificates.crt");
    let said = stage.psql(&strange, QUESTION)?;
    checks.see(
        "control: without it, psql refuses us",
        !said.ok && said.out.is_empty(),
        &said.all(),
    );

    let admin = stage.control.admin();
    let token = admin.token("bo", "connect")?;
    let bearer = required.with("PGPASSWORD", &token);
    let said = stage.psql_as(&bearer, "bo", "SELECT 1")?;
    checks.see(
        "a token as the password, inside TLS",
        said.out.trim() == "1",
        &said.all(),
    );
    let wrong = alice
        .clone()
        .with("PGSSLMODE", "require")
        .with("PGPASSWORD", "no token");
    let said = stage.psql_as(&wrong, "bo", "SELECT 1")?;
    checks.see(
        "another password: refused",
        said.all().contains("authentication failed"),
        &said.all(),
    );
    let plain = alice
        .clone()
        .with("PGSSLMODE", "disable")
        .with("PGPASSWORD", &token);
    let said = stage.psql_as(&plain, "bo", "SELECT 1")?;
    let told = said.all().contains("inside TLS") && !said.ok;
    checks.see(
        "outside TLS the token is not even asked for",
        told,
        &said.all(),
    );
    Ok(())
}
