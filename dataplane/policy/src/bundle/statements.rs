//! Cuts a Cedar file into policies, so that each fault has a line.
//!
//! Cedar's lexer has strings in double quotes with backslash escapes and comments from `//` to
//! the end of the line; a `;` elsewhere ends a policy and can stand nowhere within one.

/// One policy's text and where it starts in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Statement<'a> {
    pub(super) text: &'a str,
    pub(super) offset: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    Code,
    String,
    Escape,
    Comment { within: bool },
}

/// The policies of a file, in order. What follows the last `;` is a statement too, unless it is
/// blank, so that Cedar's parser says what is missing.
pub(super) fn split(file: &str) -> Vec<Statement<'_>> {
    let bytes = file.as_bytes();
    let mut found = Vec::new();
    let (mut state, mut start) = (State::Between, 0);
    for (at, byte) in bytes.iter().enumerate() {
        let comment = *byte == b'/' && bytes.get(at + 1) == Some(&b'/');
        state = match (state, byte) {
            (State::Between, b' ' | b'\t' | b'\r' | b'\n') => State::Between,
            (State::Between, _) if comment => State::Comment { within: false },
            (State::Between, _) => {
                start = at;
                after_code(*byte)
            }
            (State::Code, _) if comment => State::Comment { within: true },
            (State::Code, _) => after_code(*byte),
            (State::String, b'\\') => State::Escape,
            (State::String, b'"') => State::Code,
            (State::String | State::Escape, _) => State::String,
            (State::Comment { within: true }, b'\n') => State::Code,
            (State::Comment { within: false }, b'\n') => State::Between,
            (State::Comment { within }, _) => State::Comment { within },
        };
        if state == State::Between && *byte == b';' {
            found.push(Statement {
                text: file.get(start..=at).unwrap_or_default(),
                offset: start,
            });
        }
    }
    if !matches!(state, State::Between | State::Comment { within: false }) {
        found.push(Statement {
            text: file.get(start..).unwrap_or_default(),
            offset: start,
        });
    }
    found
}

fn after_code(byte: u8) -> State {
    match byte {
        b'"' => State::String,
        b';' => State::Between,
        _ => State::Code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(file: &str) -> Vec<&str> {
        split(file)
            .into_iter()
            .map(|statement| statement.text)
            .collect()
    }

    #[test]
    fn a_semicolon_in_a_string_or_a_comment_ends_nothing() {
        let file = "// a; b\n@id(\"x;\\\";\") permit(principal, // ;\n action, resource);\n\npermit(a); // end";
        assert_eq!(
            texts(file),
            [
                "@id(\"x;\\\";\") permit(principal, // ;\n action, resource);",
                "permit(a);"
            ]
        );
    }

    #[test]
    fn what_follows_the_last_semicolon_is_kept_for_the_parser() {
        assert_eq!(texts("permit(a); permit(b)"), ["permit(a);", "permit(b)"]);
        assert_eq!(texts(";"), [";"]);
        assert_eq!(texts("  \n// only a comment"), Vec::<&str>::new());
    }

    proptest::proptest! {
        #[test]
        fn nothing_but_blanks_and_comments_is_dropped(file in "[a;\"\\\\/ \n]{0,40}") {
            let kept: usize = split(&file).iter().map(|statement| statement.text.len()).sum();
            proptest::prop_assert!(kept <= file.len());
            let mut end = 0;
            for statement in split(&file) {
                for line in file[end..statement.offset].lines() {
                    let line = line.trim_start();
                    proptest::prop_assert!(line.is_empty() || line.starts_with("//"));
                }
                end = statement.offset + statement.text.len();
            }
        }
    }
}
