//! Messages of standard input and output: one line each (MCP transports, "stdio").

use memchr::memchr;

/// A line without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// All of it.
    Whole(Vec<u8>),
    /// The beginning of one that is longer than the bound.
    TooLong(Vec<u8>),
}

/// Cuts a stream of bytes into lines, in bounded memory.
#[derive(Debug)]
pub(crate) struct Splitter {
    bytes_max: usize,
    line: Vec<u8>,
    is_cut: bool,
}

impl Splitter {
    pub(crate) const fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            line: Vec::new(),
            is_cut: false,
        }
    }

    /// The lines that end in `input`.
    pub(crate) fn feed(&mut self, input: &[u8]) -> Vec<Line> {
        let (mut rest, mut lines) = (input, Vec::new());
        while let Some(end) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            self.take(line);
            lines.extend(self.finish());
            rest = after.get(1..).unwrap_or_default();
        }
        self.take(rest);
        lines
    }

    /// The line that the input's end leaves; none where it is blank.
    pub(crate) fn finish(&mut self) -> Option<Line> {
        let mut line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.is_cut) {
            return Some(Line::TooLong(line));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        (!line.iter().all(u8::is_ascii_whitespace)).then_some(Line::Whole(line))
    }

    fn take(&mut self, bytes: &[u8]) {
        let room = self.bytes_max - self.line.len();
        self.is_cut |= bytes.len() > room;
        self.line
            .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
}

/// One line of a message. Line breaks within JSON can only be white space.
pub(crate) fn on_one_line(mut message: Vec<u8>) -> Vec<u8> {
    for byte in &mut message {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_are_the_same_however_the_input_is_cut() {
        let input = b"{\"a\":1}\r\n\n  \n{\"b\":2}\n0123456789abc\nlast";
        let expected = [
            whole("{\"a\":1}"),
            whole("{\"b\":2}"),
            Line::TooLong(b"0123456789".to_vec()),
            whole("last"),
        ];
        for cut in 0..=input.len() {
            let mut splitter = Splitter::new(10);
            let (one, two) = input.split_at(cut);
            let mut lines = splitter.feed(one);
            lines.extend(splitter.feed(two));
            lines.extend(splitter.finish());
            assert_eq!(lines, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_line_of_exactly_the_bound_is_whole() {
        let mut splitter = Splitter::new(4);
        assert_eq!(splitter.feed(b"1234\n"), [whole("1234")]);
        assert_eq!(splitter.feed(b"12345\n"), [Line::TooLong(b"1234".to_vec())]);
    }
}
