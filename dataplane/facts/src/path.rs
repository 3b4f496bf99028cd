use std::fmt;
use std::str::FromStr;

/// Segments of one path: each is a bit of what [`JsonPath::step`] keeps.
const SEGMENTS_MAX: usize = 63;

/// Places in a JSON document, as JSONPath (RFC 9535) writes them: `$.customer.ssn`,
/// `$.rows[*]['card number']`, `$..salary`. Names, indices, `*` and `..` are taken; slices, filters,
/// negative indices and lists of selectors are not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JsonPath {
    text: Box<str>,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Segment {
    /// `..`: at any depth.
    descends: bool,
    selector: Selector,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Selector {
    Name(Box<str>),
    Index(usize),
    Any,
}

/// One step down a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step<'a> {
    /// To an object's member of this name.
    Name(&'a str),
    /// To an array's element at this index, from 0.
    Index(usize),
}

/// How far a path has come on the way to a place: one bit per number of segments that fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Along(u64);

impl Along {
    /// Whether nothing below can be meant.
    #[must_use]
    pub const fn is_nowhere(self) -> bool {
        self.0 == 0
    }
}

impl JsonPath {
    /// At the outermost value.
    #[must_use]
    pub const fn start() -> Along {
        Along(1)
    }

    /// One step further down.
    #[must_use]
    pub fn step(&self, along: Along, step: Step<'_>) -> Along {
        let mut next = 0;
        for (at, segment) in self.segments.iter().enumerate() {
            if along.0 & (1 << at) == 0 {
                continue;
            }
            if segment.descends {
                next |= 1 << at;
            }
            if segment.selector.fits(step) {
                next |= 1 << (at + 1);
            }
        }
        Along(next)
    }

    /// Whether the path means the place that it has come to.
    #[must_use]
    pub fn is_here(&self, along: Along) -> bool {
        along.0 & (1 << self.segments.len()) != 0
    }
}

impl Selector {
    fn fits(&self, step: Step<'_>) -> bool {
        match (self, step) {
            (Self::Any, Step::Name(_) | Step::Index(_)) => true,
            (Self::Name(wanted), Step::Name(name)) => **wanted == *name,
            (Self::Index(wanted), Step::Index(index)) => *wanted == index,
            (Self::Name(_), Step::Index(_)) | (Self::Index(_), Step::Name(_)) => false,
        }
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A path that is spelled wrong, or that asks for more than paths can here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPathError {
    text: String,
    /// Characters before what is wrong.
    at: usize,
    why: &'static str,
}

impl fmt::Display for JsonPathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, at, why } = self;
        write!(
            f,
            "{text:?} is no path: {why} at character {} (JSONPath, RFC 9535, with names, indices, * and ..: $.rows[*].ssn, $..salary, $['a b'][0])",
            at + 1
        )
    }
}

impl std::error::Error for JsonPathError {}

impl FromStr for JsonPath {
    type Err = JsonPathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut reader = Reader { rest: text };
        reader
            .path()
            .map_err(|why| JsonPathError {
                text: text.to_owned(),
                at: text.chars().count() - reader.rest.chars().count(),
                why,
            })
            .map(|segments| Self {
                text: text.into(),
                segments,
            })
    }
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn take(&mut self, start: &str) -> bool {
        match self.rest.strip_prefix(start) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn path(&mut self) -> Result<Vec<Segment>, &'static str> {
        if !self.take("$") {
            return Err("it begins with $");
        }
        let mut segments = Vec::new();
        loop {
            if self.rest.is_empty() {
                return Ok(segments);
            }
            if segments.len() == SEGMENTS_MAX {
                return Err("it is too long");
            }
            self.blanks();
            segments.push(self.segment()?);
        }
    }

    fn segment(&mut self) -> Result<Segment, &'static str> {
        let descends = self.take("..");
        if descends || self.take(".") {
            let selector = if self.take("*") {
                Selector::Any
            } else if descends && self.rest.starts_with('[') {
                self.bracket()?
            } else {
                Selector::Name(self.shorthand()?)
            };
            return Ok(Segment { descends, selector });
        }
        self.bracket()
            .map(|selector| Segment { descends, selector })
    }

    /// A name that needs no quotes (RFC 9535, section 2.5.1.1).
    fn shorthand(&mut self) -> Result<Box<str>, &'static str> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii();
        let end = self.rest.find(|c| !is_name(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at_checked(end).unwrap_or_default();
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err("a name is wanted (other names than words stand in ['…'])");
        }
        self.rest = rest;
        Ok(name.into())
    }

    fn bracket(&mut self) -> Result<Selector, &'static str> {
        if !self.take("[") {
            return Err(". or [ is wanted");
        }
        self.blanks();
        let selector = if self.take("*") {
            Selector::Any
        } else if self.take("'") {
            Selector::Name(self.quoted('\'')?)
        } else if self.take("\"") {
            Selector::Name(self.quoted('"')?)
        } else {
            Selector::Index(self.index()?)
        };
        self.blanks();
        if self.take("]") {
            Ok(selector)
        } else {
            Err("] is wanted; slices, filters and lists of selectors are not taken")
        }
    }

    fn index(&mut self) -> Result<usize, &'static str> {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at_checked(end).unwrap_or_default();
        if digits.len() > 1 && digits.starts_with('0') {
            return Err("an index has no leading zero");
        }
        let index = digits
            .parse()
            .map_err(|_| "an index from 0, * or a name in quotes is wanted")?;
        self.rest = rest;
        Ok(index)
    }

    /// The rest of a string literal (RFC 9535, section 2.3.1.1).
    fn quoted(&mut self, quote: char) -> Result<Box<str>, &'static str> {
        let mut name = String::new();
        loop {
            let mut chars = self.rest.chars();
            let c = chars.next().ok_or("the name's quote does not end")?;
            if c < ' ' {
                return Err("a control character stands escaped");
            }
            if c == '\\' {
                self.rest = chars.as_str();
                name.push(self.escaped(quote)?);
                continue;
            }
            self.rest = chars.as_str();
            if c == quote {
                return Ok(name.into());
            }
            name.push(c);
        }
    }

    fn escaped(&mut self, quote: char) -> Result<char, &'static str> {
        const WRONG: &str = "this is no escape";
        let mut chars = self.rest.chars();
        let c = chars.next().ok_or(WRONG)?;
        let meant = match c {
            'b' => '\u{8}',
            't' => '\t',
            'n' => '\n',
            'f' => '\u{c}',
            'r' => '\r',
            '/' | '\\' => c,
            'u' => {
                self.rest = chars.as_str();
                return self.unicode();
            }
            _ if c == quote => c,
            _ => return Err(WRONG),
        };
        self.rest = chars.as_str();
        Ok(meant)
    }

    fn unicode(&mut self) -> Result<char, &'static str> {
        const WRONG: &str = "\\u has four hexadecimal digits, or twelve characters of a pair";
        let first = self.hexadecimal().ok_or(WRONG)?;
        if let Some(c) = char::from_u32(first) {
            return Ok(c);
        }
        let second = self.take("\\u").then(|| self.hexadecimal()).flatten();
        let second = second
            .filter(|second| first < 0xDC00 && (0xDC00..0xE000).contains(second))
            .ok_or(WRONG)?;
        char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)).ok_or(WRONG)
    }

    fn hexadecimal(&mut self) -> Option<u32> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        let is_hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = u32::from_str_radix(digits, 16)
            .ok()
            .filter(|_| is_hexadecimal)?;
        self.rest = rest;
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Step::{Index, Name};

    fn means(path: &str, steps: &[Step<'_>]) -> bool {
        let path: JsonPath = path.parse().expect(path);
        let end = steps
            .iter()
            .fold(JsonPath::start(), |along, step| path.step(along, *step));
        path.is_here(end)
    }

    #[test]
    fn a_path_means_the_places_that_rfc_9535_says() {
        let row = [Name("rows"), Index(3), Name("ssn")];
        for path in [
            "$.rows[*].ssn",
            "$.rows[3].ssn",
            "$['rows'][ 3 ] [\"ssn\"]",
            "$..ssn",
            "$..[3].ssn",
            "$.rows..ssn",
            "$..rows..*",
            "$.*[*].*",
            "$..*..ssn",
        ] {
            assert!(means(path, &row), "{path}");
        }
        for path in [
            "$",
            "$.rows",
            "$.rows[*]",
            "$.rows[2].ssn",
            "$.rows.ssn",
            "$.ssn",
            "$..rows.ssn",
            "$.rows[*].ssn.x",
            "$.rows[*].SSN",
            "$..ssn..*",
        ] {
            assert!(!means(path, &row), "{path}");
        }
        assert!(means("$", &[]) && !means("$..a", &[]));
        assert!(means("$..a", &[Name("a"), Name("a")]));
        assert!(means(r"$['a\'\u00e9\ud83d\ude00\\']", &[Name("a'é😀\\")]));
        assert!(means("$.größe", &[Name("größe")]));
        assert!(!means("$.rows['3']", &[Name("rows"), Index(3)]));
    }

    #[test]
    fn a_misspelled_path_is_refused_where_it_goes_wrong() {
        for (path, at) in [
            ("", 0),
            ("rows", 0),
            ("$rows", 1),
            ("$.", 2),
            ("$.a b", 4),
            ("$.1a", 2),
            ("$.a-b", 3),
            ("$[", 2),
            ("$[01]", 2),
            ("$[-1]", 2),
            ("$[1:2]", 3),
            ("$[?@.a]", 2),
            ("$['a','b']", 5),
            ("$['a]", 5),
            ("$[\"a\\'\"]", 5),
            (r"$['\ud800']", 9),
            ("$.a ", 4),
        ] {
            let error = path.parse::<JsonPath>().expect_err(path);
            assert_eq!(error.at, at, "{path:?}: {error}");
        }
        assert!(
            format!("${}", ".a".repeat(SEGMENTS_MAX + 1))
                .parse::<JsonPath>()
                .is_err()
        );
    }

    #[test]
    fn a_path_reads_back_as_it_was_written() {
        let path: JsonPath = "$ ['a']..b".parse().expect("a path");
        assert_eq!(path.to_string(), "$ ['a']..b");
    }
}
