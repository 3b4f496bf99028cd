//! The cases that are SQL alone, read from `xtask/evasion/*.sql`.
//!
//! A case begins with `-- case: name`; each paragraph of it is sent as one text. Other words:
//! `-- role: root|owner` and `-- as: simple|extended` narrow who plays it and how, `-- oracle` and
//! `-- sleeps` make it two twins that differ between braces, `-- expect: text` adds a value to look
//! for, `-- data: text` is what its COPY is given, and a paragraph under `-- beside` is another
//! session's. `⟪0c⟫` stands for that byte.

use anyhow::{Context, Result, bail};

/// The files.
const FILES: &[&str] = &[
    include_str!("../../../evasion/bare.sql"),
    include_str!("../../../evasion/expressions.sql"),
    include_str!("../../../evasion/predicates.sql"),
    include_str!("../../../evasion/definitions.sql"),
    include_str!("../../../evasion/sessions.sql"),
];

/// How a leak shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shows {
    /// A value, or a form of it, is among the bytes.
    Value,
    /// The answers of two twins differ.
    Difference,
    /// One of two twins takes much longer.
    Time,
}

/// Which session says a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Voice {
    /// The one that is looked at.
    First,
    /// Another one. It is looked at as well.
    Beside,
}

/// One text.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Who says it.
    pub voice: Voice,
    /// The text, with twins still in braces.
    pub text: String,
}

/// One case.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// Its name, unique.
    pub name: String,
    /// How it shows.
    pub shows: Shows,
    /// Only this role plays it.
    pub role: Option<String>,
    /// Only by this protocol.
    pub protocol: Option<String>,
    /// More to look for, as bytes.
    pub expected: Vec<Vec<u8>>,
    /// What a COPY FROM STDIN is given.
    pub data: String,
    /// Its texts, in order.
    pub steps: Vec<Step>,
}

/// Every case of every file.
///
/// # Errors
/// A file that is not as the module says.
pub(super) fn all() -> Result<Vec<Case>> {
    let mut cases: Vec<Case> = Vec::new();
    for text in FILES {
        let mut blocks = text.split("-- case: ");
        // What stands before the first case is about the file.
        let _ = blocks.next();
        for block in blocks {
            let case = read(block)?;
            if cases.iter().any(|other| other.name == case.name) {
                bail!("two cases are called {:?}", case.name);
            }
            cases.push(case);
        }
    }
    Ok(cases)
}

fn read(block: &str) -> Result<Case> {
    let (name, body) = block.split_once('\n').context("a case without a body")?;
    let mut case = Case {
        name: name.trim().to_owned(),
        shows: Shows::Value,
        role: None,
        protocol: None,
        expected: Vec::new(),
        data: String::new(),
        steps: Vec::new(),
    };
    for paragraph in body.split("\n\n") {
        let (mut voice, mut text) = (Voice::First, Vec::new());
        for line in paragraph.lines() {
            if !word(&mut case, line, &mut voice)? {
                text.push(line);
            }
        }
        if !text.is_empty() {
            let text = text.join("\n");
            case.steps.push(Step { voice, text });
        }
    }
    if case.steps.is_empty() {
        bail!("case {name:?} says nothing");
    }
    Ok(case)
}

/// Whether a line is one of the words above, which is then noted.
fn word(case: &mut Case, line: &str, voice: &mut Voice) -> Result<bool> {
    let Some(comment) = line.strip_prefix("-- ") else {
        return Ok(false);
    };
    let (word, rest) = comment.split_once(": ").unwrap_or((comment, ""));
    match word {
        "oracle" => case.shows = Shows::Difference,
        "sleeps" => case.shows = Shows::Time,
        "beside" => *voice = Voice::Beside,
        "role" => case.role = Some(rest.to_owned()),
        "as" => case.protocol = Some(rest.to_owned()),
        "expect" => case.expected.push(rest.as_bytes().to_vec()),
        "expect-hex" => case.expected.push(unhex(rest)?),
        "data" => case.data = rest.replace("\\n", "\n").replace("\\t", "\t"),
        _ => bail!("case {:?} has an unknown word {word:?}", case.name),
    }
    Ok(true)
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    let byte = |at| u8::from_str_radix(text.get(at..at + 2).unwrap_or_default(), 16);
    (0..text.len())
        .step_by(2)
        .map(|at| byte(at).context("hexadecimal digits"))
        .collect()
}

/// A text as one twin says it: `{a|b}` is `a` for the first, `b` for the second.
pub(super) fn twin(text: &str, second: bool) -> Vec<u8> {
    let mut said = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '⟪']) {
        let (before, from) = rest.split_at(at);
        said.extend_from_slice(before.as_bytes());
        let close = if from.starts_with('{') { '}' } else { '⟫' };
        let mut inner = from.chars();
        inner.next();
        let inner = inner.as_str();
        let choice = inner.split_once(close).filter(|(inside, _)| {
            close == '⟫' || (inside.contains('|') && !inside.contains(['{', '\n']))
        });
        let Some((inside, after)) = choice else {
            said.extend(from.chars().next().map(|c| c as u8));
            rest = inner;
            continue;
        };
        match (close, inside.split_once('|')) {
            ('}', Some((first, other))) => {
                said.extend_from_slice(if second { other } else { first }.as_bytes());
            }
            _ => said.extend(u8::from_str_radix(inside, 16).ok()),
        }
        rest = after;
    }
    said.extend_from_slice(rest.as_bytes());
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_reads_and_twins_differ() {
        let cases = all().expect("the files");
        assert!(cases.len() > 400, "{}", cases.len());
        for case in cases {
            let twins = case
                .steps
                .iter()
                .any(|step| twin(&step.text, false) != twin(&step.text, true));
            assert_eq!(twins, case.shows != Shows::Value, "{}", case.name);
        }
    }

    #[test]
    fn braces_of_values_stay() {
        assert_eq!(twin("'{\"a\": {1|2}}' '{x}'", true), b"'{\"a\": 2}' '{x}'");
        assert_eq!(twin("a⟪0c⟫b", false), b"a\x0cb");
    }
}
