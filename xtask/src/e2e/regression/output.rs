//! What a run of `pg_regress` said, and what its tests printed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// One run.
pub(super) struct Output {
    folder: PathBuf,
    /// What `pg_regress` printed.
    pub told: String,
    passed: Vec<String>,
}

impl Output {
    pub(super) fn new(folder: PathBuf, told: String) -> Self {
        let mut passed: Vec<_> = told.lines().filter_map(passed_test).collect();
        passed.sort();
        Self {
            folder,
            told,
            passed,
        }
    }

    /// The tests that passed, sorted.
    pub(super) fn passed(&self) -> &[String] {
        &self.passed
    }

    fn of(&self, name: &str) -> PathBuf {
        self.folder.join("results").join(format!("{name}.out"))
    }
}

/// The test that a line says has passed: `test boolean ... ok  86 ms` up to version 15, and
/// `ok 1 - boolean 86 ms` from 16 on.
fn passed_test(line: &str) -> Option<String> {
    if let Some((name, rest)) = line.split_once(" ... ") {
        let name = name.trim().trim_start_matches("test ").trim();
        return rest.trim_start().starts_with("ok").then(|| name.to_owned());
    }
    let mut words = line.strip_prefix("ok ")?.split_whitespace();
    words.next()?.parse::<u32>().ok()?;
    words.next().filter(|mark| matches!(*mark, "-" | "+"))?;
    words.next().map(str::to_owned)
}

/// The first difference between two runs' outputs of a test, if there is one.
pub(super) fn difference(direct: &Output, guarded: &Output, name: &str) -> Result<Option<String>> {
    let wanted = read(&direct.of(name))?;
    // A run that broke off has no output of its last tests.
    let found = fs::read(guarded.of(name)).unwrap_or_default();
    if wanted == found {
        return Ok(None);
    }
    let (wanted, found) = (
        String::from_utf8_lossy(&wanted).into_owned(),
        String::from_utf8_lossy(&found).into_owned(),
    );
    let same = wanted
        .lines()
        .zip(found.lines())
        .take_while(|(wanted, found)| wanted == found)
        .count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(the end)").to_owned();
    Ok(Some(format!(
        "line {}: direct {:?}, through Weir {:?}",
        same + 1,
        line(&wanted),
        line(&found)
    )))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_tests_are_read_from_both_kinds_of_report() {
        let told = "test test_setup                   ... ok          512 ms\n     char                         ... ok           86 ms\n     text                         ... FAILED       86 ms\nok 1         - tablespace                            51 ms\nok 2         + boolean                            51 ms\nnot ok 3     + name                               51 ms\n";
        let output = Output::new(PathBuf::new(), told.to_owned());
        assert_eq!(
            output.passed(),
            ["boolean", "char", "tablespace", "test_setup"]
        );
    }

    #[test]
    fn the_first_difference_is_told_with_its_line() {
        let folder = std::env::temp_dir().join(format!("weir-output-{}", std::process::id()));
        let run = |name: &str, text: &str| {
            let results = folder.join(name).join("results");
            fs::create_dir_all(&results).unwrap();
            fs::write(results.join("t.out"), text).unwrap();
            Output::new(folder.join(name), String::new())
        };
        let (a, b, c) = (run("a", "x\ny\n"), run("b", "x\nz\n"), run("c", "x\ny\n\n"));
        assert_eq!(difference(&a, &a, "t").unwrap(), None);
        let told = difference(&a, &b, "t").unwrap().unwrap();
        assert!(told.starts_with("line 2: direct \"y\""), "{told}");
        assert!(difference(&a, &c, "t").unwrap().is_some());
        fs::remove_dir_all(&folder).unwrap();
    }
}
