use super::StartupError;
use super::options::split_options;
use crate::message::{Cursor, MessageError};

/// Settings that a client may give at start-up. None of them changes what a statement means or what
/// bytes stand for, but [`Setting::SearchPath`]: whoever passes it on has to know its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Setting {
    /// `application_name`.
    ApplicationName,
    /// `bytea_output`.
    ByteaOutput,
    /// `client_min_messages`.
    ClientMinMessages,
    /// `DateStyle`.
    DateStyle,
    /// `default_transaction_deferrable`.
    DefaultTransactionDeferrable,
    /// `default_transaction_isolation`.
    DefaultTransactionIsolation,
    /// `default_transaction_read_only`.
    DefaultTransactionReadOnly,
    /// `extra_float_digits`.
    ExtraFloatDigits,
    /// `geqo`.
    Geqo,
    /// `idle_in_transaction_session_timeout`.
    IdleInTransactionSessionTimeout,
    /// `idle_session_timeout`.
    IdleSessionTimeout,
    /// `IntervalStyle`.
    IntervalStyle,
    /// `jit`.
    Jit,
    /// `lock_timeout`.
    LockTimeout,
    /// `maintenance_work_mem`.
    MaintenanceWorkMem,
    /// `plan_cache_mode`.
    PlanCacheMode,
    /// `search_path`: decides what an unqualified name means.
    SearchPath,
    /// `statement_timeout`.
    StatementTimeout,
    /// `synchronous_commit`.
    SynchronousCommit,
    /// `TimeZone`.
    TimeZone,
    /// `transaction_timeout`.
    TransactionTimeout,
    /// `work_mem`.
    WorkMem,
}

const SETTINGS: [(&str, Setting); 22] = [
    ("application_name", Setting::ApplicationName),
    ("bytea_output", Setting::ByteaOutput),
    ("client_min_messages", Setting::ClientMinMessages),
    ("DateStyle", Setting::DateStyle),
    (
        "default_transaction_deferrable",
        Setting::DefaultTransactionDeferrable,
    ),
    (
        "default_transaction_isolation",
        Setting::DefaultTransactionIsolation,
    ),
    (
        "default_transaction_read_only",
        Setting::DefaultTransactionReadOnly,
    ),
    ("extra_float_digits", Setting::ExtraFloatDigits),
    ("geqo", Setting::Geqo),
    (
        "idle_in_transaction_session_timeout",
        Setting::IdleInTransactionSessionTimeout,
    ),
    ("idle_session_timeout", Setting::IdleSessionTimeout),
    ("IntervalStyle", Setting::IntervalStyle),
    ("jit", Setting::Jit),
    ("lock_timeout", Setting::LockTimeout),
    ("maintenance_work_mem", Setting::MaintenanceWorkMem),
    ("plan_cache_mode", Setting::PlanCacheMode),
    ("search_path", Setting::SearchPath),
    ("statement_timeout", Setting::StatementTimeout),
    ("synchronous_commit", Setting::SynchronousCommit),
    ("TimeZone", Setting::TimeZone),
    ("transaction_timeout", Setting::TransactionTimeout),
    ("work_mem", Setting::WorkMem),
];

impl Setting {
    /// The server's name for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        SETTINGS
            .iter()
            .find(|(_, setting)| *setting == self)
            .map_or("", |(name, _)| name)
    }

    /// The setting of a name, in any case as the server takes it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        SETTINGS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, setting)| *setting)
    }
}

/// A setting and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Which.
    pub setting: Setting,
    /// The value as the client gave it; the server checks it.
    pub value: String,
}

#[derive(Debug, Default)]
pub(super) struct Parameters {
    pub(super) user: Option<String>,
    pub(super) database: Option<String>,
    pub(super) unknown_options: Vec<String>,
    pub(super) parameters: Vec<Parameter>,
}

pub(super) fn read_parameters(cursor: &mut Cursor<'_>) -> Result<Parameters, StartupError> {
    let mut read = Parameters::default();
    let mut seen: Vec<String> = Vec::new();
    loop {
        let name = text(cursor)?;
        if name.is_empty() {
            cursor.finish().map_err(|_| StartupError::Layout)?;
            return Ok(read);
        }
        let value = text(cursor)?;
        let folded = name.to_ascii_lowercase();
        if seen.contains(&folded) {
            return Err(StartupError::Duplicate(name.to_owned()));
        }
        seen.push(folded);
        read.take(name, value)?;
    }
}

fn text<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, StartupError> {
    cursor.text().map_err(|error| match error {
        MessageError::NotUtf8 => StartupError::NotUtf8,
        _ => StartupError::Layout,
    })
}

impl Parameters {
    fn take(&mut self, name: &str, value: &str) -> Result<(), StartupError> {
        // The server compares these names by case, and takes others for settings.
        match name {
            "user" => self.user = Some(value.to_owned()),
            "database" => self.database = Some(value.to_owned()),
            "options" => {
                for (name, value) in
                    split_options(value).ok_or_else(|| StartupError::Value(name.to_owned()))?
                {
                    self.set(&name, value)?;
                }
            }
            _ if name.starts_with("_pq_.") => self.unknown_options.push(name.to_owned()),
            _ => self.set(name, value.to_owned())?,
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), StartupError> {
        if name.eq_ignore_ascii_case("client_encoding") {
            return if is_utf8(&value) {
                Ok(())
            } else {
                Err(StartupError::Value(name.to_owned()))
            };
        }
        if name.eq_ignore_ascii_case("standard_conforming_strings") {
            return if value.eq_ignore_ascii_case("on") {
                Ok(())
            } else {
                Err(StartupError::Value(name.to_owned()))
            };
        }
        let setting =
            Setting::from_name(name).ok_or_else(|| StartupError::Parameter(name.to_owned()))?;
        if self
            .parameters
            .iter()
            .any(|parameter| parameter.setting == setting)
        {
            return Err(StartupError::Duplicate(name.to_owned()));
        }
        self.parameters.push(Parameter { setting, value });
        Ok(())
    }
}

/// The server ignores case and everything but letters and digits in the names of encodings.
fn is_utf8(value: &str) -> bool {
    let name: String = value
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    matches!(name.as_str(), "utf8" | "unicode")
}
