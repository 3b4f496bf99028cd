//! Two tellings of the same stories, line by line: equal, but for what is masked.

/// A masked column: its value in row 1, and what an engineer sees of it, as every driver tells
/// them.
const MASKED: [(&str, &str, &str); 11] = [
    ("ssn", "123-45-6789", "*******6789"),
    ("born", "1984-02-29", "1984-01-01"),
    ("seen", "2024-05-06T07:08:09Z", "2024-01-01T00:00:00Z"),
    ("visits", "17", "0"),
    ("account", "9007199254740993", "0"),
    ("balance", "1234.50", "0.00"),
    ("score", "2.5", "0"),
    ("insured", "true", "false"),
    (
        "token",
        "6b29fc40-ca47-1067-b31d-00dd010662da",
        "00000000-0000-0000-0000-000000000000",
    ),
    ("chart", r#"{"allergy":"nuts"}"#, r#""hidden""#),
    ("scan", "6869", "2a2a"),
];

/// Values that no engineer may see, wherever they come from.
pub(super) const SECRETS: [&str; 12] = [
    "123-45-6789",
    "219-09-9999",
    "457-55-5462",
    "alva@",
    "bram@",
    "chiyo@",
    "4111111111111111",
    "5500000000000004",
    "DE89370400440532013000",
    "1984-02-29",
    "9007199254740993",
    "allergy",
];

/// Fewer lines than this, and a program has told next to nothing.
const LINES_MIN: usize = 20;

/// What two tellings agree in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Agreement {
    /// Lines that are equal.
    pub equal: usize,
    /// Lines of masked values, clear in the one and masked in the other.
    pub masked: usize,
    /// Everything that is wrong.
    pub wrong: Vec<String>,
}

/// Compares what was told at the server with what was told through Weir.
pub(super) fn compare(direct: &str, through: &str) -> Agreement {
    let mut seen = Agreement::default();
    let (direct, through): (Vec<_>, Vec<_>) = (direct.lines().collect(), through.lines().collect());
    if direct.len() < LINES_MIN || direct.last() != Some(&"done") {
        seen.wrong
            .push(format!("direct: the stories did not end: {direct:?}"));
    }
    for line in direct.iter().filter(|line| line.contains("\tRAISED\t")) {
        seen.wrong.push(format!("direct: {line}"));
    }
    for secret in SECRETS {
        for line in through.iter().filter(|line| line.contains(secret)) {
            if !is_of_stories(line) {
                seen.wrong.push(format!("{secret} came through: {line}"));
            }
        }
    }
    for (number, line) in direct.iter().enumerate() {
        let Some(other) = through.get(number) else {
            seen.wrong
                .push(format!("missing from line {}: {line}", number + 1));
            break;
        };
        one_line(&mut seen, line, other);
    }
    for line in through.iter().skip(direct.len()).take(3) {
        seen.wrong.push(format!("one too many: {line}"));
    }
    if seen.masked == 0 {
        seen.wrong.push("no masked value was seen".to_owned());
    }
    seen
}

fn one_line(seen: &mut Agreement, direct: &str, through: &str) {
    let Some(rest) = direct.strip_prefix("masked ") else {
        if direct == through {
            seen.equal += 1;
        } else {
            seen.wrong
                .push(format!("direct:  {direct}\nthrough: {through}"));
        }
        return;
    };
    let (name, clear) = rest.split_once('\t').unwrap_or((rest, ""));
    let shown = through
        .strip_prefix("masked ")
        .and_then(|rest| rest.strip_prefix(name))
        .and_then(|rest| rest.strip_prefix('\t'));
    let holds = match (MASKED.iter().find(|(column, _, _)| *column == name), shown) {
        (_, None) => false,
        (Some((_, value, mask)), Some(shown)) => {
            clear == *value && unquoted(shown) == unquoted(mask)
        }
        // NULL is NULL, whoever asks.
        (None, Some(shown)) if name == "nulls" => clear == shown,
        // An expression over a masked column is refused, in the server's own way.
        (None, Some(shown)) if name == "expression" => clear.is_empty() && shown.contains("42501"),
        (None, Some(shown)) => {
            SECRETS.iter().any(|secret| clear.contains(secret)) && shown != clear
        }
    };
    if holds {
        seen.masked += 1;
    } else {
        seen.wrong
            .push(format!("direct:  {direct}\nthrough: {through}"));
    }
}

/// Drivers that decode JSON tell the string, others the document.
fn unquoted(text: &str) -> &str {
    text.trim_matches('"')
}

/// A date that a story made up itself.
fn is_of_stories(line: &str) -> bool {
    line.starts_with("types round trip\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telling(lines: &[&str]) -> String {
        let filler = (0..LINES_MIN).map(|n| format!("line\t{n}"));
        let told = lines.iter().map(|line| (*line).to_owned());
        filler
            .chain(told)
            .chain(["done".to_owned()])
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn equal_lines_and_masked_ones_agree() {
        let direct = telling(&["a\t1", "masked ssn\t123-45-6789", "masked nulls\tnull"]);
        let through = telling(&["a\t1", "masked ssn\t*******6789", "masked nulls\tnull"]);
        let seen = compare(&direct, &through);
        assert_eq!(seen.wrong, Vec::<String>::new());
        assert_eq!((seen.equal, seen.masked), (LINES_MIN + 2, 2));
    }

    #[test]
    fn every_way_to_disagree_is_told() {
        let direct = telling(&["a\t1", "masked ssn\t123-45-6789"]);
        for (what, through) in [
            (
                "another value",
                telling(&["a\t2", "masked ssn\t*******6789"]),
            ),
            ("clear", telling(&["a\t1", "masked ssn\t123-45-6789"])),
            ("another mask", telling(&["a\t1", "masked ssn\tnull"])),
            ("a line less", telling(&["a\t1"])),
            (
                "a line more",
                telling(&["a\t1", "masked ssn\t*******6789", "b"]),
            ),
            (
                "a secret elsewhere",
                telling(&["a\t219-09-9999", "masked ssn\t*******6789"]),
            ),
            ("nothing", String::new()),
        ] {
            assert!(!compare(&direct, &through).wrong.is_empty(), "{what}");
        }
        assert!(!compare("", "").wrong.is_empty());
        let raised = telling(&["a\tRAISED\tx", "masked ssn\t123-45-6789"]);
        assert!(!compare(&raised, &raised).wrong.is_empty());
    }
}
