use std::fmt;

use crate::limits::FAULTS_MAX;

/// One thing wrong in a bundle, for the person who mends it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The file's path within the bundle.
    pub file: String,
    /// Line from 1, or 0 where the file as a whole is meant.
    pub line: u32,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.file, self.message)
        } else {
            write!(f, "{}:{}: {}", self.file, self.line, self.message)
        }
    }
}

/// A bundle that is not accepted. One line per fault; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleError {
    /// What is wrong, by file and line.
    pub faults: Vec<Fault>,
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().take(FAULTS_MAX).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        match self.faults.len().checked_sub(FAULTS_MAX) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "\n… and {more} more"),
        }
    }
}

impl std::error::Error for BundleError {}

/// Where faults are gathered while reading goes on.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, file: &str, line: u32, message: impl Into<String>) {
        self.0.push(Fault {
            file: file.to_owned(),
            line,
            message: message.into(),
        });
    }

    /// The faults as an error, or nothing if there is none.
    pub(super) fn into_result(mut self) -> Result<(), BundleError> {
        if self.0.is_empty() {
            return Ok(());
        }
        self.0.sort();
        self.0.dedup();
        Err(BundleError { faults: self.0 })
    }
}

/// The line, from 1, of a byte offset.
pub(super) fn line_of(text: &str, offset: usize) -> u32 {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    let breaks = before.iter().filter(|byte| **byte == b'\n').count();
    u32::try_from(breaks).map_or(u32::MAX, |breaks| breaks.saturating_add(1))
}
