//! Line differences of bundles, for people.

use std::collections::BTreeMap;

use weir_api::http::{Change, File, PolicyDiff};

/// Lines of one side beyond which a file is shown as all removed, then all added: the
/// table below has the product of both.
const LINES_MAX: usize = 2000;

/// What differs, by path.
pub(crate) fn files(old: &[File], new: &[File]) -> Vec<PolicyDiff> {
    let old: BTreeMap<&str, &str> = old
        .iter()
        .map(|file| (file.path.as_str(), file.content.as_str()))
        .collect();
    let new: BTreeMap<&str, &str> = new
        .iter()
        .map(|file| (file.path.as_str(), file.content.as_str()))
        .collect();
    let mut paths: Vec<&str> = old.keys().chain(new.keys()).copied().collect();
    paths.sort_unstable();
    paths.dedup();
    let differ = paths
        .into_iter()
        .filter(|path| old.get(path) != new.get(path));
    differ
        .map(|path| {
            let change = match (old.contains_key(path), new.contains_key(path)) {
                (true, true) => Change::Changed,
                (true, false) => Change::Removed,
                (false, _) => Change::Added,
            };
            let side =
                |files: &BTreeMap<&str, &str>| files.get(path).copied().unwrap_or("").to_owned();
            PolicyDiff {
                path: path.to_owned(),
                change,
                lines: lines(&side(&old), &side(&new)),
            }
        })
        .collect()
}

/// Lines with `+`, `-` or a space before each (longest common subsequence).
pub(crate) fn lines(old: &str, new: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    if old.len() > LINES_MAX || new.len() > LINES_MAX {
        let removed = old.iter().map(|line| format!("-{line}"));
        return removed
            .chain(new.iter().map(|line| format!("+{line}")))
            .collect();
    }
    let common = Common::of(&old, &new);
    let (mut i, mut j) = (0, 0);
    let mut out = Vec::new();
    loop {
        match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) if a == b => {
                out.push(format!(" {a}"));
                (i, j) = (i + 1, j + 1);
            }
            (Some(a), b) if b.is_none() || common.at(i + 1, j) >= common.at(i, j + 1) => {
                out.push(format!("-{a}"));
                i += 1;
            }
            (_, Some(b)) => {
                out.push(format!("+{b}"));
                j += 1;
            }
            (_, None) => return out,
        }
    }
}

/// Lengths of the longest common subsequences of every two tails.
struct Common {
    width: usize,
    lengths: Vec<u16>,
}

impl Common {
    fn of(old: &[&str], new: &[&str]) -> Self {
        let width = new.len() + 1;
        let mut table = Self {
            width,
            lengths: vec![0; width * (old.len() + 1)],
        };
        for (i, a) in old.iter().enumerate().rev() {
            for (j, b) in new.iter().enumerate().rev() {
                let length = if a == b {
                    table.at(i + 1, j + 1) + 1
                } else {
                    table.at(i + 1, j).max(table.at(i, j + 1))
                };
                if let Some(cell) = table.lengths.get_mut(i * width + j) {
                    *cell = length;
                }
            }
        }
        table
    }

    fn at(&self, i: usize, j: usize) -> u16 {
        self.lengths.get(i * self.width + j).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_changed_line_stands_between_those_that_stay() {
        assert_eq!(lines("a\nb\nc", "a\nx\nc"), [" a", "-b", "+x", " c"]);
        assert_eq!(lines("", "a"), ["+a"]);
        assert_eq!(lines("a", ""), ["-a"]);
    }

    proptest! {
        #[test]
        fn a_difference_holds_both_sides(
            old in proptest::collection::vec("[a-c]", 0..12), new in proptest::collection::vec("[a-c]", 0..12)
        ) {
            let out = lines(&old.join("\n"), &new.join("\n"));
            let side = |sign: char| -> Vec<String> {
                let of = out.iter().filter(|line| line.starts_with(sign) || line.starts_with(' '));
                of.map(|line| line[1..].to_owned()).collect()
            };
            prop_assert_eq!(side('-'), old);
            prop_assert_eq!(side('+'), new);
        }
    }
}
