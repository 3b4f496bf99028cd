//! Two tellings of one story, line by line: the same, but for what policy hides.

/// Values of the fixture, and what an engineer sees instead.
pub(super) const MASKS: [(&str, &str); 3] = [
    ("123-45-6789", "*******6789"),
    ("219-09-9999", "*******9999"),
    ("alva@corp.example", "a***@corp.example"),
];

/// The tool that engineers are not shown, and one that nobody has.
const HIDDEN: [&str; 2] = ["hidden_report", "no_such_tool_"];

/// What an engineer is told who calls a tool that is shown and denied.
const DENIED: &str = "nothing is purged here";

/// Fewer lines than this, and a client has told next to nothing.
const LINES_MIN: usize = 12;

/// What two tellings agree in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Agreement {
    /// Lines that are equal.
    pub equal: usize,
    /// Lines with masked values.
    pub masked: usize,
    /// Refusals.
    pub refused: usize,
    /// Everything that is wrong.
    pub wrong: Vec<String>,
}

/// A line's name and what was seen.
type Line<'a> = (&'a str, &'a str);

/// Compares what was told at the server with what was told through Weir.
pub(super) fn compare(direct: &str, through: &str) -> Agreement {
    let mut seen = Agreement::default();
    let lines = |text| -> Vec<Line<'_>> { str::lines(text).filter_map(split).collect() };
    let (direct, through) = (lines(direct), lines(through));
    if direct.len() < LINES_MIN || direct.last() != Some(&("done", "")) {
        seen.wrong
            .push(format!("direct: the story did not end: {direct:?}"));
    }
    let mut rest = through.iter();
    let hidden_line = format!("tool {}", HIDDEN[0]);
    for (name, clear) in direct {
        if name == hidden_line {
            continue;
        }
        match rest.next() {
            Some((other, shown)) if *other == name => {
                one_line(&mut seen, (name, clear), shown, &through)
            }
            other => {
                let missing = format!("missing: {name}; there is {other:?}");
                seen.wrong.push(missing);
                break;
            }
        }
    }
    seen.wrong
        .extend(rest.take(3).map(|line| format!("one too many: {line:?}")));
    if seen.masked == 0 || seen.refused == 0 {
        seen.wrong
            .push("no masked value, or no refusal, was seen".to_owned());
    }
    seen
}

fn split(line: &str) -> Option<Line<'_>> {
    line.split_once('\t')
}

fn one_line(seen: &mut Agreement, direct: Line<'_>, shown: &str, through: &[Line<'_>]) {
    let (name, clear) = direct;
    for (secret, _) in MASKS {
        if shown.contains(secret) {
            seen.wrong
                .push(format!("{secret} came through: {name}: {shown}"));
        }
    }
    let holds = match name {
        "hidden tool" => refused_alike(seen, shown, through),
        "denied tool" => {
            seen.refused += 1;
            shown.contains(DENIED)
        }
        // Who may not ask for all there is is told of what is absent by Weir, not by the server.
        name if name.starts_with("absent ") => is_refusal(shown),
        // TypeScript's SDKs forget what they heard of a call that is answered in the same breath.
        "masked progress" => {
            seen.masked += 1;
            let masked = format!("met {}", MASKS[0].1);
            shown.matches("met ").count() == shown.matches(&masked).count()
        }
        "names" => shown == clear.replace(&format!("\"{}\",", HIDDEN[0]), ""),
        _ => {
            let masked = masked(clear);
            if masked == clear {
                seen.equal += 1;
            } else {
                seen.masked += 1;
            }
            shown == masked
        }
    };
    if !holds {
        seen.wrong
            .push(format!("{name}\ndirect:  {clear}\nthrough: {shown}"));
    }
}

/// A hidden tool's refusal is that of a tool that is not there, but for the name.
fn refused_alike(seen: &mut Agreement, shown: &str, through: &[Line<'_>]) -> bool {
    seen.refused += 1;
    let absent = through.iter().find(|(name, _)| *name == "absent tool");
    let same = absent.map(|(_, absent)| absent.replace(HIDDEN[1], HIDDEN[0]));
    is_refusal(shown) && same.as_deref() == Some(shown)
}

fn is_refusal(shown: &str) -> bool {
    ["Unknown tool", "Unknown prompt", "not found"]
        .iter()
        .any(|words| shown.contains(words))
}

fn masked(clear: &str) -> String {
    MASKS.iter().fold(clear.to_owned(), |text, (secret, mask)| {
        text.replace(secret, mask)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABSENT: &str = "absent tool\tUnknown tool: no_such_tool_";
    const HIDES: &str = "hidden tool\tUnknown tool: hidden_report";

    fn telling(lines: &[&str]) -> String {
        let filler = (0..LINES_MIN).map(|n| format!("line\t{n}\n"));
        let told = lines.iter().map(|line| format!("{line}\n"));
        filler.chain(told).chain(["done\t\n".to_owned()]).collect()
    }

    fn direct() -> String {
        telling(&[
            "tool hidden_report\t{}",
            "masked a\t123-45-6789 and 219-09-9999",
            "absent tool\tnothing of that name",
            "hidden tool\tthe report",
        ])
    }

    #[test]
    fn masked_hidden_and_equal_lines_agree() {
        let seen = compare(
            &direct(),
            &telling(&["masked a\t*******6789 and *******9999", ABSENT, HIDES]),
        );
        assert_eq!(seen.wrong, Vec::<String>::new());
        assert_eq!(
            (seen.equal, seen.masked, seen.refused),
            (LINES_MIN + 1, 1, 1)
        );
    }

    #[test]
    fn progress_may_be_lost_but_not_clear() {
        let told =
            |progress: &str| telling(&[&format!("masked progress\t{progress}"), ABSENT, HIDES]);
        let direct = telling(&[
            "masked progress\t1 met 123-45-6789 2 met 123-45-6789",
            "absent tool\tnothing of that name",
            "hidden tool\tthe report",
        ]);
        assert_eq!(
            compare(&direct, &told("1 met *******6789")).wrong,
            Vec::<String>::new()
        );
        assert!(!compare(&direct, &told("1 met 123-45-678")).wrong.is_empty());
        assert!(
            !compare(&direct, &told("1 met 123-45-6789"))
                .wrong
                .is_empty()
        );
    }

    #[test]
    fn every_way_to_disagree_is_told() {
        let masked = "masked a\t*******6789 and *******9999";
        for (what, lines) in [
            (
                "clear",
                vec!["masked a\t123-45-6789 and 219-09-9999", ABSENT, HIDES],
            ),
            (
                "half",
                vec!["masked a\t*******6789 and 219-09-9999", ABSENT, HIDES],
            ),
            ("lost", vec!["masked a\t and *******9999", ABSENT, HIDES]),
            (
                "listed",
                vec!["tool hidden_report\t{}", masked, ABSENT, HIDES],
            ),
            ("called", vec![masked, ABSENT, "hidden tool\tthe report"]),
            (
                "told apart",
                vec![masked, ABSENT, "hidden tool\tUnknown tool hidden_report!"],
            ),
            ("a line less", vec![masked, ABSENT]),
            ("a line more", vec![masked, ABSENT, HIDES, "b\t"]),
        ] {
            assert!(
                !compare(&direct(), &telling(&lines)).wrong.is_empty(),
                "{what}"
            );
        }
        assert!(!compare("", "").wrong.is_empty());
    }
}
