//! `weir doctor` proves the redirect; it does not infer it.

use std::time::Duration;

use anyhow::Result;

use crate::checks::Checks;
use crate::stage::{Stage, detach, until};

/// A canary flies every 5 s, and its news travel with the health report.
const NOTICED_MAX: Duration = Duration::from_secs(30);

pub(super) fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    let admin = stage.control.admin();
    let ask = || admin.try_run(&["doctor"], "");
    let green = until("a green doctor", NOTICED_MAX, || {
        Ok(Some(ask()?).filter(|said| said.ok))
    });
    let seen = green.or_else(|_| ask())?;
    checks.see(
        "it is green while the hooks are attached",
        seen.ok,
        &redirect(&seen.out),
    );
    detach(stage.site)?;
    let red = until("a red doctor", NOTICED_MAX, || {
        Ok(Some(ask()?).filter(|said| !said.ok))
    });
    let seen = red.or_else(|_| ask())?;
    checks.see(
        "it is red soon after they were detached",
        !seen.ok,
        &redirect(&seen.out),
    );
    Ok(())
}

fn redirect(report: &str) -> String {
    let failed = report.lines().find(|line| line.contains("FAILED"));
    failed
        .or_else(|| report.lines().find(|line| line.contains("redirect")))
        .unwrap_or(report)
        .to_owned()
}
