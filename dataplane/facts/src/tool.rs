//! Names and texts of tools that a person could take for others. Both planes ask here, so that
//! neither trusts what the other would not.

/// A name with everything folded that readers confuse: letter case, separators, `0` and `O`, `1`,
/// `l`, `I` and `|`, `rn` and `m`, `vv` and `w`. Two names with the same skeleton can be taken for
/// each other. Only of printable ASCII is more known; other characters stay as they are, and
/// [`is_plain_name`] says no to them.
#[must_use]
pub fn name_skeleton(name: &str) -> String {
    let folded: String = name
        .chars()
        .filter(|c| !matches!(c, '_' | '-' | '.' | '/' | ' '))
        .map(|c| match c.to_ascii_lowercase() {
            '0' => 'o',
            '1' | 'i' | '|' => 'l',
            other => other,
        })
        .collect();
    folded.replace("rn", "m").replace("vv", "w")
}

/// Whether a name consists of visible ASCII: what else there is can look like it, or like nothing.
#[must_use]
pub fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a character is not shown, or changes how others are: controls but for line ends and
/// tabs, marks of direction, zero-width spaces and operators, tags.
#[must_use]
pub const fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{8}'
            | '\u{b}'
            | '\u{c}'
            | '\u{e}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{e0000}'..='\u{e007f}'
            | '\u{e0100}'..='\u{e01ef}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_have_one_skeleton_and_others_have_not() {
        for (one, other) in [
            ("read_file", "readFile"),
            ("read_file", "Read-File"),
            ("read_file", "read_fi1e"),
            ("read_file", "read_fiIe"),
            ("send_to", "send_t0"),
            ("form", "forrn"),
            ("view", "vievv"),
        ] {
            assert_eq!(name_skeleton(one), name_skeleton(other), "{one} {other}");
        }
        for (one, other) in [("read_file", "read_files"), ("get_a", "get_b"), ("", "a")] {
            assert_ne!(name_skeleton(one), name_skeleton(other), "{one} {other}");
        }
    }

    #[test]
    fn only_visible_ascii_is_a_plain_name() {
        assert!(is_plain_name("read_file") && is_plain_name("a.b/c-d"));
        for name in ["", "re\u{430}d", "read file", "read\u{200b}", "read\n", "é"] {
            assert!(!is_plain_name(name), "{name:?}");
        }
    }

    #[test]
    fn text_that_is_not_shown_is_hidden_and_text_in_any_language_is_not() {
        for c in [
            '\u{1b}',
            '\u{202e}',
            '\u{200b}',
            '\u{e0041}',
            '\u{feff}',
            '\u{9b}',
        ] {
            assert!(is_hidden(c), "{c:?}");
        }
        assert!(!"Käse, сыр,\tチーズ\r\n👩‍💻".chars().any(is_hidden));
    }
}
