//! `@modelcontextprotocol/conformance` against the fixture, direct and through Weir: what passes
//! direct passes through Weir, check by check, and nothing else does.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::kit::Kit;
use super::setup::Setup;
use crate::checks::Checks;
use crate::stage::{Caller, Stage};

/// A revision, and how many checks pass direct with the locked versions of suite and SDK.
const REVISIONS: [(&str, usize); 2] = [("2025-11-25", 84), ("2026-07-28", 169)];

/// Checks of the tasks extension that the fixture, which has no tasks, does not pass, and Weir
/// does: it answers tasks' methods itself, since calls that wait for people are tasks of its own.
const WEIR_S_OWN: [&str; 2] = [
    "sep-2663-tasks-methods-non-declaring",
    "sep-2663-tasks-get-invalid-task-id-32602",
];

/// Differences that are shown.
const SHOWN_MAX: usize = 20;

/// Plays both revisions.
pub(super) fn play(stage: &Stage, kit: &Kit, setup: &Setup, checks: &mut Checks) -> Result<()> {
    let alice = &stage.people.alice;
    for (revision, passing) in REVISIONS {
        let url = setup.open.url("/mcp");
        let direct = judge(kit, &alice.unguarded, &url, revision)?;
        let passed = count(&direct);
        let failed = direct.len() - passed;
        checks.see(
            &format!("{revision}, control: direct, {passing} checks pass"),
            passed >= passing,
            &format!("{passed} of {} pass, {failed} do not", direct.len()),
        );
        let through = judge(kit, &alice.guarded, &url, revision)?;
        let differences = compare(&direct, &through);
        checks.see(
            &format!("{revision}, through Weir: the same pass, the same fail"),
            differences.is_empty(),
            &if differences.is_empty() {
                format!("{} of {} pass", count(&through), through.len())
            } else {
                let shown = differences.len().min(SHOWN_MAX);
                let shown = differences.get(..shown).unwrap_or_default();
                format!("{} differ\n{}", differences.len(), shown.join("\n"))
            },
        );
    }
    Ok(())
}

/// Scenario, check, and which of that name: what came of it, and why.
type Results = BTreeMap<(String, String, usize), (String, String)>;

fn count(results: &Results) -> usize {
    let passed = |(status, _): &&(String, String)| status == "SUCCESS";
    results.values().filter(passed).count()
}

fn judge(kit: &Kit, caller: &Caller, url: &str, revision: &str) -> Result<Results> {
    let folder = kit.scratch("conformance")?;
    let entry = kit.at("node/node_modules/@modelcontextprotocol/conformance/dist/index.js");
    let output = folder.display().to_string();
    let words = [&kit.node(), &entry, "server", "--url", url];
    let more = ["--requirements", revision, "--output-dir", &output];
    let said = kit.run(caller, &[words.as_slice(), &more].concat())?;
    // Its status tells whether all passed, which is not what is asked here.
    ensure!(
        said.out.contains("Total: "),
        "the suite did not end:\n{}",
        said.all()
    );
    read(&folder)
}

/// One folder per scenario, with a file of its checks.
fn read(folder: &Path) -> Result<Results> {
    let mut results = Results::new();
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let scenario = scenario(&name).with_context(|| format!("no date in {name}"))?;
        let text = fs::read(path.join("checks.json"))
            .with_context(|| format!("read the checks of {name}"))?;
        let checks: Vec<Value> = serde_json::from_slice(&text).with_context(|| name.to_string())?;
        for check in checks {
            let word = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
            let same = |number| (scenario.to_owned(), word("id"), number);
            let number = (0..).find(|number| !results.contains_key(&same(*number)));
            results.insert(
                same(number.unwrap_or_default()),
                (word("status"), word("errorMessage")),
            );
        }
    }
    Ok(results)
}

/// `server-ping-2026-01-02T03-04-05-678Z` is of `server-ping`.
fn scenario(name: &str) -> Option<&str> {
    const DATE: usize = "-2026-01-02T03-04-05-678Z".len();
    let (scenario, date) = name.split_at_checked(name.len().checked_sub(DATE)?)?;
    (date.starts_with("-20") && date.ends_with('Z')).then_some(scenario)
}

fn compare(direct: &Results, through: &Results) -> Vec<String> {
    let nothing = ("is missing".to_owned(), String::new());
    let keys: std::collections::BTreeSet<_> = direct.keys().chain(through.keys()).collect();
    let differs = |key: &&(String, String, usize)| {
        let (one, other) = (
            direct.get(*key).unwrap_or(&nothing),
            through.get(*key).unwrap_or(&nothing),
        );
        let (scenario, check, _) = key;
        let is_ours = other.0 == "SUCCESS" && WEIR_S_OWN.contains(&check.as_str());
        (one.0 != other.0 && !is_ours).then(|| {
            format!(
                "{scenario}: {check}: direct {}, through Weir {}: {}{}",
                one.0, other.0, one.1, other.1
            )
        })
    };
    keys.iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(all: &[(&str, &str, &str)]) -> Results {
        let entry = |(scenario, check, status): &(&str, &str, &str)| {
            (
                ((*scenario).to_owned(), (*check).to_owned(), 0),
                ((*status).to_owned(), String::new()),
            )
        };
        all.iter().map(entry).collect()
    }

    #[test]
    fn a_scenario_is_known_without_its_date() {
        assert_eq!(
            scenario("server-tools-list-2026-11-20T17-40-41-255Z"),
            Some("server-tools-list")
        );
        assert_eq!(scenario("server-tools-list"), None);
    }

    #[test]
    fn equal_counts_of_different_checks_are_different() {
        let direct = results(&[("s", "a", "SUCCESS"), ("s", "b", "FAILURE")]);
        assert_eq!(compare(&direct, &direct), Vec::<String>::new());
        let swapped = results(&[("s", "a", "FAILURE"), ("s", "b", "SUCCESS")]);
        assert_eq!(count(&direct), count(&swapped));
        assert_eq!(compare(&direct, &swapped).len(), 2);
        assert_eq!(
            compare(&direct, &results(&[("s", "a", "SUCCESS")])).len(),
            1
        );
        assert_eq!(compare(&Results::new(), &direct).len(), 2);
        let ours = |status| results(&[("s", WEIR_S_OWN[0], status)]);
        assert!(compare(&ours("FAILURE"), &ours("SUCCESS")).is_empty());
        assert_eq!(compare(&ours("SUCCESS"), &ours("FAILURE")).len(), 1);
    }
}
