mod arguments;

use std::path::Path;

use anyhow::{Context, bail, ensure};
use reqwest::Method;
use serde::Serialize;
use weir_api::http::{
    Change, File, PolicyContent, PolicyDiff, PolicyPush, PolicyPushed, PolicyVersion, Rollback,
    TestOutcome,
};
use weir_policy::Bundle;

use crate::arguments::Policy;
use crate::client::Client;
use crate::output::{Output, lines, when};

/// Bytes of a bundle at most; the control plane takes no more.
const BUNDLE_BYTES_MAX: u64 = 8 << 20;

/// Directories below each other at most: bundles have one level.
const DEPTH_MAX: usize = 8;

/// Policies. `client` is asked for only by what is not offline.
pub(crate) async fn run(
    client: impl FnOnce() -> anyhow::Result<Client>,
    out: Output,
    command: Policy,
) -> anyhow::Result<()> {
    match command {
        Policy::Test { directory } => test(out, &directory),
        Policy::Check {
            directory,
            connections,
            tools,
        } => {
            let mut known = arguments::of_files(&tools)?;
            if !connections.is_empty() {
                let client = client()?;
                for name in &connections {
                    arguments::of_connection(&client, name, &mut known).await?;
                }
            }
            arguments::check(out, &bundle(&directory)?, &known)
        }
        Policy::Push {
            directory,
            message,
            parent,
        } => {
            let push = PolicyPush {
                files: read(&directory)?,
                message,
                parent,
                dry_run: false,
            };
            let pushed: PolicyPushed = client()?
                .ask(Method::POST, &["policy", "push"], &[], Some(&push))
                .await?;
            told(out, &pushed, "published")
        }
        Policy::Rollback { number, message } => {
            let rollback = Rollback {
                to: number,
                message,
            };
            let pushed: PolicyPushed = client()?
                .ask(Method::POST, &["policy", "rollback"], &[], Some(&rollback))
                .await?;
            told(out, &pushed, "rolled back")
        }
        Policy::Log => log(&client()?, out).await,
        Policy::Show { number } => show(&client()?, out, number).await,
        Policy::Diff { from, to } => diff(&client()?, out, &from, to).await,
    }
}

fn told(out: Output, pushed: &PolicyPushed, done: &str) -> anyhow::Result<()> {
    let number = pushed.number.unwrap_or(0);
    let text = format!(
        "{done}: version {number}, bundle {}, {} tests passed\n",
        pushed.id,
        pushed.tests.len()
    );
    out.text(pushed, &text)
}

/// The files of a directory, by relative path; hidden ones are left out.
pub(crate) fn read(directory: &Path) -> anyhow::Result<Vec<File>> {
    let mut files = Vec::new();
    let mut bytes = 0;
    walk(directory, "", 0, &mut files, &mut bytes)?;
    ensure!(!files.is_empty(), "{} has no files", directory.display());
    files.sort_unstable();
    Ok(files)
}

fn walk(
    directory: &Path,
    prefix: &str,
    depth: usize,
    files: &mut Vec<File>,
    bytes: &mut u64,
) -> anyhow::Result<()> {
    ensure!(
        depth < DEPTH_MAX,
        "{} is nested deeper than {DEPTH_MAX}",
        directory.display()
    );
    let entries =
        std::fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("read {}", directory.display()))?;
        let path = entry.path();
        let name = entry
            .file_name()
            .into_string()
            .map_err(|_| anyhow::anyhow!("{} is no text", path.display()))?;
        if name.starts_with('.') {
            continue;
        }
        let relative = format!("{prefix}{name}");
        let about = std::fs::metadata(&path).with_context(|| format!("stat {}", path.display()))?;
        if about.is_dir() {
            walk(&path, &format!("{relative}/"), depth + 1, files, bytes)?;
            continue;
        }
        *bytes += about.len();
        ensure!(
            *bytes <= BUNDLE_BYTES_MAX,
            "{} is larger than {BUNDLE_BYTES_MAX} bytes",
            directory.display()
        );
        let content =
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        files.push(File {
            path: relative,
            content,
        });
    }
    Ok(())
}

/// What an offline test found.
#[derive(Serialize)]
struct Tested {
    id: String,
    tests: Vec<TestOutcome>,
}

fn bundle(directory: &Path) -> anyhow::Result<Bundle> {
    let files = read(directory)?.into_iter();
    let pairs: Vec<_> = files.map(|file| (file.path, file.content)).collect();
    Ok(Bundle::parse(&pairs)?)
}

fn test(out: Output, directory: &Path) -> anyhow::Result<()> {
    let bundle = bundle(directory)?;
    let tests: Vec<TestOutcome> = bundle
        .run_tests()
        .into_iter()
        .map(|test| TestOutcome {
            detail: if test.passed {
                String::new()
            } else {
                format!("expected {}, got {}", test.expected, test.got)
            },
            name: format!("{}: {}", test.file, test.name),
            passed: test.passed,
        })
        .collect();
    let failed = tests.iter().filter(|test| !test.passed).count();
    let tested = Tested {
        id: bundle.id().to_string(),
        tests,
    };
    let rows = tested.tests.iter().map(|test| {
        [
            if test.passed { "ok" } else { "FAILED" }.to_owned(),
            test.name.clone(),
            test.detail.clone(),
        ]
    });
    out.table(&tested, ["STATE", "TEST", "DETAIL"], rows)?;
    ensure!(
        failed == 0,
        "{failed} of {} tests failed",
        tested.tests.len()
    );
    out.done(&format!(
        "bundle {}: {} policies, {} tests passed",
        tested.id,
        bundle.policies().count(),
        tested.tests.len()
    ))
}

async fn log(client: &Client, out: Output) -> anyhow::Result<()> {
    let versions: Vec<PolicyVersion> = client.get(&["policy", "versions"]).await?;
    let rows = versions.iter().map(|version| {
        let number = format!(
            "{}{}",
            version.number,
            if version.active { " *" } else { "" }
        );
        let id = version.id.get(..12).unwrap_or(&version.id).to_owned();
        [
            number,
            id,
            when(version.created),
            version.author.clone(),
            version.message.clone(),
        ]
    });
    out.table(
        &versions,
        ["VERSION", "BUNDLE", "WHEN", "AUTHOR", "MESSAGE"],
        rows,
    )
}

async fn show(client: &Client, out: Output, number: Option<u64>) -> anyhow::Result<()> {
    let number = number.map(|number| number.to_string());
    let content: PolicyContent = match &number {
        Some(number) => client.get(&["policy", "versions", number]).await?,
        None => client.get(&["policy"]).await?,
    };
    let text: String = content
        .files
        .iter()
        .map(|file| format!("# {}\n{}\n", file.path, lines(&file.content)))
        .collect();
    out.text(&content, &text)
}

async fn diff(client: &Client, out: Output, from: &str, to: Option<u64>) -> anyhow::Result<()> {
    let differences = match (from.parse::<u64>(), to) {
        (Ok(from), Some(to)) => {
            let query = [("from", from.to_string()), ("to", to.to_string())];
            let query = query
                .each_ref()
                .map(|(name, value)| (*name, value.as_str()));
            client
                .ask(
                    Method::GET,
                    &["policy", "diff"],
                    &query,
                    crate::client::NOTHING,
                )
                .await?
        }
        (Err(_), None) => {
            let push = PolicyPush {
                files: read(Path::new(from))?,
                message: String::new(),
                parent: None,
                dry_run: true,
            };
            client
                .ask::<Vec<PolicyDiff>>(Method::POST, &["policy", "diff"], &[], Some(&push))
                .await?
        }
        (Ok(_), None) => bail!("give two versions, or a directory"),
        (Err(_), Some(_)) => {
            bail!("{from:?} is no version; give two versions, or a directory alone")
        }
    };
    let text: String = differences.iter().map(one).collect();
    out.text(
        &differences,
        if text.is_empty() {
            "no difference\n"
        } else {
            &text
        },
    )
}

fn one(difference: &PolicyDiff) -> String {
    let change = match difference.change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Changed => "changed",
    };
    let body: String = difference
        .lines
        .iter()
        .map(|line| lines(line) + "\n")
        .collect();
    format!("{} ({change})\n{body}", difference.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_read_with_relative_paths_and_without_hidden_files() {
        let directory = tempfile::tempdir().expect("tempdir");
        std::fs::create_dir(directory.path().join("tests")).expect("mkdir");
        for (path, text) in [
            ("b.cedar", "b"),
            ("tests/a.toml", "t"),
            (".git", "x"),
            ("a.cedar", "a"),
        ] {
            std::fs::write(directory.path().join(path), text).expect("writes");
        }
        let paths: Vec<String> = read(directory.path())
            .expect("reads")
            .into_iter()
            .map(|file| file.path)
            .collect();
        assert_eq!(paths, ["a.cedar", "b.cedar", "tests/a.toml"]);
        std::fs::write(directory.path().join("c.cedar"), [0xff]).expect("writes");
        assert!(read(directory.path()).is_err(), "not UTF-8");
    }
}
