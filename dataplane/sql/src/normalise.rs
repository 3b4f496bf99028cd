//! A statement's text with its constants taken out, for records: literals of every kind
//! become `$n`, comments vanish, white space becomes one space.
//!
//! It reads PostgreSQL's lexical rules with standard_conforming_strings on, which the
//! session pins. It need not understand the statement, only where constants begin and end.

/// Where the lexer is in a text.
struct Lexer<'t> {
    rest: &'t str,
}

enum Lexeme<'t> {
    Space,
    Constant,
    Number,
    Parameter(u32),
    Word(&'t str),
    Quoted(&'t str),
    Symbol(char),
}

/// `text` with constants replaced, at most `bytes_max` bytes.
pub(crate) fn normalise(text: &str, bytes_max: usize) -> String {
    let mut out = String::new();
    let mut parameter = highest_parameter(text);
    for lexeme in (Lexer { rest: text }) {
        match lexeme {
            Lexeme::Space => push_space(&mut out),
            Lexeme::Constant | Lexeme::Number => {
                parameter = parameter.saturating_add(1);
                out.push_str(&format!("${parameter}"));
            }
            Lexeme::Parameter(number) => out.push_str(&format!("${number}")),
            Lexeme::Word(word) | Lexeme::Quoted(word) => out.push_str(word),
            Lexeme::Symbol(symbol) => out.push(symbol),
        }
        if out.len() > bytes_max {
            break;
        }
    }
    out.truncate(out.trim_end().len());
    if out.len() > bytes_max {
        let end = (0..=bytes_max)
            .rev()
            .find(|at| out.is_char_boundary(*at))
            .unwrap_or(0);
        out.truncate(end);
    }
    out
}

fn push_space(out: &mut String) {
    if !out.is_empty() && !out.ends_with(' ') {
        out.push(' ');
    }
}

fn highest_parameter(text: &str) -> u32 {
    let parameters = Lexer { rest: text }.filter_map(|lexeme| match lexeme {
        Lexeme::Parameter(number) => Some(number),
        _ => None,
    });
    parameters.max().unwrap_or(0)
}

impl<'t> Iterator for Lexer<'t> {
    type Item = Lexeme<'t>;

    fn next(&mut self) -> Option<Lexeme<'t>> {
        let first = self.rest.chars().next()?;
        Some(match first {
            c if is_space(c) => {
                self.take(spaces(self.rest));
                Lexeme::Space
            }
            '-' if self.rest.starts_with("--") => {
                self.take(self.rest.find(['\n', '\r']).unwrap_or(self.rest.len()));
                Lexeme::Space
            }
            '/' if self.rest.starts_with("/*") => {
                self.take(comment(self.rest));
                Lexeme::Space
            }
            '\'' => self.constant(0, false),
            '"' => Lexeme::Quoted(self.take(quoted(self.rest, 0, '"', false))),
            '$' => self.dollar(),
            '0'..='9' => self.number(),
            '.' if self.rest.chars().nth(1).is_some_and(|c| c.is_ascii_digit()) => self.number(),
            c if is_word_start(c) => self.word(),
            c => {
                self.take(c.len_utf8());
                Lexeme::Symbol(c)
            }
        })
    }
}

impl<'t> Lexer<'t> {
    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn constant(&mut self, prefix: usize, backslashes: bool) -> Lexeme<'t> {
        self.take(quoted(self.rest, prefix, '\'', backslashes));
        Lexeme::Constant
    }

    /// `$1`, `$$…$$`, `$tag$…$tag$`.
    fn dollar(&mut self) -> Lexeme<'t> {
        let after = self.rest.get(1..).unwrap_or_default();
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            let number = after
                .get(..digits)
                .and_then(|digits| digits.parse().ok())
                .unwrap_or(u32::MAX);
            self.take(1 + digits);
            return Lexeme::Parameter(number);
        }
        let tag = after
            .find(|c: char| !is_word_part(c) || c == '$')
            .unwrap_or(after.len());
        if !after.get(tag..).is_some_and(|rest| rest.starts_with('$')) {
            self.take(1);
            return Lexeme::Symbol('$');
        }
        let opening = self.take(tag + 2);
        let end = self
            .rest
            .find(opening)
            .map_or(self.rest.len(), |at| at + opening.len());
        self.take(end);
        Lexeme::Constant
    }

    fn number(&mut self) -> Lexeme<'t> {
        let mut end = 0;
        let mut before = ' ';
        for (at, c) in self.rest.char_indices() {
            let sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E');
            if !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || sign) {
                break;
            }
            end = at + c.len_utf8();
            before = c;
        }
        self.take(end.max(1));
        Lexeme::Number
    }

    /// A word, or the letters before a string: `E'…'`, `B'…'`, `X'…'`, `N'…'`, `U&'…'`.
    fn word(&mut self) -> Lexeme<'t> {
        let mut letters = self.rest.chars();
        let (first, second, third) = (letters.next(), letters.next(), letters.next());
        match (first, second, third) {
            (Some('e' | 'E'), Some('\''), _) => return self.constant(1, true),
            (Some('b' | 'B' | 'x' | 'X' | 'n' | 'N'), Some('\''), _) => {
                return self.constant(1, false);
            }
            (Some('u' | 'U'), Some('&'), Some('\'')) => return self.constant(2, false),
            _ => {}
        }
        let end = self
            .rest
            .find(|c: char| !is_word_part(c))
            .unwrap_or(self.rest.len());
        Lexeme::Word(self.take(end))
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

fn spaces(text: &str) -> usize {
    text.find(|c| !is_space(c)).unwrap_or(text.len())
}

fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn is_word_part(c: char) -> bool {
    is_word_start(c) || c.is_ascii_digit() || c == '$'
}

/// Comments nest.
fn comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth = depth.saturating_sub(1);
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            match rest.chars().next() {
                Some(c) => at += c.len_utf8(),
                None => break,
            }
        }
    }
    text.len()
}

/// Length of a quoted text that starts after `prefix` bytes; the rest if it has no end.
fn quoted(text: &str, prefix: usize, quote: char, backslashes: bool) -> usize {
    let mut chars = text
        .char_indices()
        .skip_while(|(at, _)| *at <= prefix)
        .peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && backslashes {
            chars.next();
        } else if c == quote {
            match chars.peek() {
                Some((_, next)) if *next == quote => {
                    chars.next();
                }
                _ => return at + 1,
            }
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_of_every_kind_leave_no_trace() {
        for (text, wanted) in [
            (
                "select  'a''b', 1.5e-3,E'\\'x', $$ y $$, $q$z$$z$q$ from t1",
                "select $1, $2,$3, $4, $5 from t1",
            ),
            (
                "select U&'\\0061' /* s /* t */ u */, B'01', x'ff' -- v",
                "select $1 , $2, $3",
            ),
            (
                "select $2, 'a', \"it's\" from \"1\"",
                "select $2, $3, \"it's\" from \"1\"",
            ),
            (
                "alter role r password 'hunter2'",
                "alter role r password $1",
            ),
            (
                "select a.b, c1, .5, 0x1F, 1_000",
                "select a.b, c1, $1, $2, $3",
            ),
            ("select 'open", "select $1"),
            ("select $$ open", "select $1"),
            ("/* open", ""),
        ] {
            assert_eq!(normalise(text, 1000), wanted);
        }
    }

    #[test]
    fn it_is_cut_at_a_character() {
        assert_eq!(normalise("select éé", 9), "select é");
        assert_eq!(normalise("select ééé", 10), "select é");
    }
}
