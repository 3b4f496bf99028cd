//! The name of a session at its server (`application_name`), as far as it tells which call the
//! session works for. Servers that cannot put a comment into SQL can name their sessions.
//!
//! The server reports the name whenever it is another one, whoever has set it and however: by
//! SET, set_config or RESET, by the end of a transaction or of a SET LOCAL. That is believed, and
//! nothing that a client says. What is on its way is not known yet, so the name counts only where
//! nothing has run since the report, and not for a statement that sets it.

use crate::trace::TraceId;

/// The parameter.
const PARAMETER: &str = "application_name";

/// Words without which no text of SQL sets the name by itself.
const SETTERS: [&[u8]; 4] = [b"application_name", b"set_config", b"reset", b"discard"];

/// A session's name.
#[derive(Debug, Default)]
pub(crate) struct SessionName {
    /// What the session was named when it began, where the client's own name has a trace: the
    /// principal stands before it there, and may have cut it.
    first: Option<(Box<str>, TraceId)>,
    /// The trace in the name that the server has told last.
    trace: Option<TraceId>,
}

impl SessionName {
    /// A session that goes to the server with the name `sent` for the client's own.
    pub(crate) fn new(sent: &str, own: &str) -> Self {
        Self {
            first: TraceId::of_name(own).map(|trace| (sent.into(), trace)),
            trace: None,
        }
    }

    /// The server tells a parameter.
    pub(crate) fn reported(&mut self, parameter: &str, value: &str) {
        if parameter != PARAMETER {
            return;
        }
        self.trace = match &self.first {
            Some((sent, trace)) if **sent == *value => Some(*trace),
            Some(_) | None => TraceId::of_name(value),
        };
    }

    /// The trace of a text that goes to the server now; `is_settled` as the session says.
    pub(crate) fn trace_of(&self, text: &str, is_settled: bool) -> Option<TraceId> {
        let trace = self.trace.filter(|_| is_settled)?;
        keeps_name(text).then_some(trace)
    }
}

/// Whether the name stays what it is up to the text's end. Several statements may begin or end
/// a transaction, and with it a name.
fn keeps_name(text: &str) -> bool {
    let is_one = !text
        .trim_end_matches(|c: char| c.is_ascii_whitespace() || c == ';')
        .contains(';');
    let has = |word: &&[u8]| {
        let mut windows = text.as_bytes().windows(word.len());
        windows.any(|window| window.eq_ignore_ascii_case(word))
    };
    is_one && !SETTERS.iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn named(value: &str) -> SessionName {
        let mut name = SessionName::default();
        name.reported(PARAMETER, value);
        name
    }

    #[test]
    fn the_name_that_the_server_told_last_is_the_sessions() {
        let mut name = named(PARENT);
        assert_eq!(name.trace_of("SELECT 1", true), TraceId::of(PARENT));
        name.reported("TimeZone", "UTC");
        assert_eq!(name.trace_of("SELECT 1", true), TraceId::of(PARENT));
        name.reported(PARAMETER, "psql");
        assert_eq!(name.trace_of("SELECT 1", true), None);
    }

    #[test]
    fn a_name_that_may_change_before_the_statement_runs_is_none() {
        let name = named(PARENT);
        assert_eq!(name.trace_of("SELECT 1", false), None);
        for text in [
            "SET application_name = 'x'",
            "set Application_Name to 'x'",
            "SELECT set_config($1, $2, false)",
            "RESET ALL",
            "DISCARD ALL",
            "ROLLBACK; SELECT 1",
        ] {
            assert_eq!(name.trace_of(text, true), None, "{text}");
        }
        for text in ["SELECT 1;\n", "COMMIT", "UPDATE t SET a = 1"] {
            assert!(name.trace_of(text, true).is_some(), "{text}");
        }
    }

    #[test]
    fn a_trace_that_the_principal_has_cut_is_known_while_the_session_has_its_first_name() {
        let sent = &format!("weir:ada@psql/{PARENT}")[..63];
        let mut name = SessionName::new(sent, PARENT);
        assert_eq!(name.trace_of("SELECT 1", true), None, "not told yet");
        name.reported(PARAMETER, sent);
        assert_eq!(name.trace_of("SELECT 1", true), TraceId::of(PARENT));
        name.reported(PARAMETER, "other");
        assert_eq!(name.trace_of("SELECT 1", true), None);
        name.reported(PARAMETER, sent);
        assert_eq!(name.trace_of("SELECT 1", true), TraceId::of(PARENT));
        let mut plain = SessionName::new("weir:ada@psql/psql", "psql");
        plain.reported(PARAMETER, "weir:ada@psql/psql");
        assert_eq!(plain.trace_of("SELECT 1", true), None);
    }
}
