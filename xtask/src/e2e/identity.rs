//! Tokens of a real OpenID provider, shown by real clients; and what a stored role could do.

use anyhow::Result;

use super::sessions_with;
use crate::checks::Checks;
use crate::stage::{Idp, Stage, put_in_force};

const QUESTION: &str = "SELECT ssn FROM customers WHERE id = 1";
const MASKED: &str = "*******6789";
const AUDIENCE: &str = "urn:weir:demo-pg";

pub(super) fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let admin = stage.control.admin();
    let idp = Idp::start(&stage.record, stage.site)?;
    put_in_force(stage.site, &admin, || {
        admin.run(&[
            "idp",
            "add",
            &idp.issuer(),
            "--audience",
            "urn:weir:{connection}",
        ])
    })?;
    put_in_force(stage.site, &admin, || {
        log_in(stage, &["robot=token", "human=oauthbearer"])
    })?;
    as_password(stage, &idp, checks)?;
    by_oauthbearer(stage, &idp, checks)?;
    rotated(stage, &idp, checks)?;
    holes(stage, checks)?;
    put_in_force(stage.site, &admin, || log_in(stage, &[]))?;
    admin.run(&["idp", "remove", &idp.issuer()])?;
    Ok(())
}

/// The stage's server again, with these login rules.
fn log_in(stage: &Stage, rules: &[&str]) -> Result<String> {
    let address = format!("127.0.0.1:{}", stage.postgres.port);
    let server = [
        "connection",
        "add",
        "demo-pg",
        "--kind",
        "postgres",
        "--env",
        "demo",
        "--database",
        "shop",
        "--default-role",
        "app",
        "--address",
        &address,
    ];
    let rules = rules.iter().flat_map(|rule| ["--login", rule]);
    let words: Vec<_> = server.iter().copied().chain(rules).collect();
    stage.control.admin().run(&words)
}

fn as_password(stage: &Stage, idp: &Idp, checks: &mut Checks) -> Result<()> {
    let required = stage
        .people
        .alice
        .guarded
        .clone()
        .with("PGSSLMODE", "require");
    let show = |token: &str| {
        let caller = required.clone().with("PGPASSWORD", token);
        stage.psql_as(&caller, "robot", QUESTION)
    };
    let said = show(&idp.token(AUDIENCE)?)?;
    checks.see(
        "an OpenID provider's token as the password: masked",
        said.out.trim() == MASKED,
        &said.all(),
    );
    let said = show(&idp.token("urn:weir:another")?)?;
    checks.see(
        "a token for another connection: refused",
        said.all().contains("authentication failed") && said.out.is_empty(),
        &said.all(),
    );
    let token = idp.token(AUDIENCE)?;
    let plain = required
        .clone()
        .with("PGSSLMODE", "disable")
        .with("PGPASSWORD", &token);
    let said = stage.psql_as(&plain, "robot", QUESTION)?;
    checks.see(
        "outside TLS it is not asked for",
        said.all().contains("inside TLS") && said.out.is_empty(),
        &said.all(),
    );
    let sessions = sessions_with(stage, "robot")?;
    checks.see(
        "the session is its subject's",
        sessions.contains("robot"),
        &sessions,
    );
    Ok(())
}

fn by_oauthbearer(stage: &Stage, idp: &Idp, checks: &mut Checks) -> Result<()> {
    let alice = &stage.people.alice.guarded;
    let conninfo = format!(
        "host=127.0.0.1 port={} dbname=shop user=human sslmode=require require_auth=oauth",
        stage.postgres.port
    );
    let said = idp.bearer(alice, &conninfo, &idp.token(AUDIENCE)?, QUESTION)?;
    checks.see(
        "PostgreSQL 18's libpq by OAUTHBEARER: masked",
        said.out.trim() == MASKED,
        &said.all(),
    );
    checks.see(
        "it was told where tokens come from",
        said.err.contains("openid-configuration") && said.err.contains("scope openid"),
        &said.err,
    );
    let said = idp.bearer(alice, &conninfo, &idp.token("urn:weir:another")?, QUESTION)?;
    checks.see(
        "a token for another connection: refused",
        !said.ok && said.out.is_empty(),
        &said.all(),
    );
    Ok(())
}

fn rotated(stage: &Stage, idp: &Idp, checks: &mut Checks) -> Result<()> {
    idp.rotate()?;
    let caller = stage.people.alice.guarded.clone();
    let caller = caller
        .with("PGSSLMODE", "require")
        .with("PGPASSWORD", &idp.token(AUDIENCE)?);
    let said = stage.psql_as(&caller, "robot", QUESTION)?;
    checks.see(
        "a token of a key that nobody here knew: its keys are fetched while it waits",
        said.out.trim() == MASKED,
        &said.all(),
    );
    Ok(())
}

fn holes(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let admin = stage.control.admin();
    let said = admin.try_run(&["connection", "check", "demo-pg"], "")?;
    let owns = said.out.contains("ALTER TABLE public.customers OWNER TO ");
    checks.see(
        "weir connection check: the role owns what is masked, and what closes that",
        owns && !said.ok,
        &said.all(),
    );
    let report = admin.try_run(&["connection", "check", "demo-pg", "--json"], "")?;
    let is_json = serde_json::from_str::<serde_json::Value>(&report.out)
        .is_ok_and(|report| report["roles"].as_array().is_some_and(|all| all.len() == 2));
    checks.see("the same for programs", is_json, &report.all());
    Ok(())
}
