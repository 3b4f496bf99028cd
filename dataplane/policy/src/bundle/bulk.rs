//! `[connection.NAME.bulk]` of `masks.toml`: how much may leave before people are asked, or the
//! statement ends.

use serde::Deserialize;
use weir_facts::Group;

use super::annotations::{ApproveTerms, expires, quorum};
use crate::limits::{EXPIRES_S_DEFAULT, RATE_WINDOW_S_MAX};
use crate::rate::seconds;

/// Rows and bytes on the wire; what is absent has no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// Rows, or lines of COPY.
    pub rows: Option<u64>,
    /// Bytes of the messages that carry them.
    pub bytes: Option<u64>,
}

impl Amount {
    /// Whether so much is within it.
    #[must_use]
    pub fn holds(&self, rows: u64, bytes: u64) -> bool {
        self.rows.is_none_or(|most| rows <= most) && self.bytes.is_none_or(|most| bytes <= most)
    }

    const fn is_unbounded(&self) -> bool {
        self.rows.is_none() && self.bytes.is_none()
    }
}

/// What becomes of a statement that would cross a threshold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Crossing {
    /// It ends with an error.
    End,
    /// It waits until people agree.
    Ask(ApproveTerms),
}

/// The thresholds of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bulk {
    /// Of one statement.
    pub statement: Amount,
    /// Of one principal within any so many seconds.
    pub window: Option<(u32, Amount)>,
    /// What happens there.
    pub crossing: Crossing,
    /// Groups that they are not for.
    pub except: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    statement_rows: Option<u64>,
    statement_bytes: Option<u64>,
    window: Option<String>,
    window_rows: Option<u64>,
    window_bytes: Option<u64>,
    /// `end` or `ask`.
    crossing: String,
    #[serde(default)]
    approvers: Vec<String>,
    quorum: Option<u8>,
    expires: Option<String>,
    #[serde(default)]
    except: Vec<String>,
}

impl Bulk {
    pub(super) fn read(written: &Written) -> Result<Self, String> {
        let statement = Amount {
            rows: written.statement_rows,
            bytes: written.statement_bytes,
        };
        let amount = Amount {
            rows: written.window_rows,
            bytes: written.window_bytes,
        };
        let window = match (&written.window, amount.is_unbounded()) {
            (None, true) => None,
            (Some(text), false) => {
                let window_s = seconds(text).filter(|s| (1..=RATE_WINDOW_S_MAX).contains(s));
                let window_s = window_s.ok_or_else(|| {
                    format!(
                        "bulk.window = {text:?} must be like \"90s\", \"30m\" or \"1h\", at most 1d"
                    )
                })?;
                Some((window_s, amount))
            }
            (None, false) => {
                return Err("bulk.window_rows and window_bytes need bulk.window".to_owned());
            }
            (Some(_), true) => {
                return Err("bulk.window needs window_rows or window_bytes".to_owned());
            }
        };
        if statement.is_unbounded() && window.is_none() {
            return Err("bulk needs a threshold: statement_rows, statement_bytes, or window with window_rows or window_bytes".to_owned());
        }
        let groups = |names: &[String]| -> Vec<Group> {
            names
                .iter()
                .map(|name| Group(name.as_str().into()))
                .collect()
        };
        if written
            .approvers
            .iter()
            .chain(&written.except)
            .any(String::is_empty)
        {
            return Err("bulk names a group of no name".to_owned());
        }
        Ok(Self {
            statement,
            window,
            crossing: crossing(written, groups(&written.approvers))?,
            except: groups(&written.except),
        })
    }
}

fn crossing(written: &Written, approvers: Vec<Group>) -> Result<Crossing, String> {
    let terms = written.quorum.is_some() || written.expires.is_some() || !approvers.is_empty();
    match written.crossing.as_str() {
        "end" if terms => {
            Err("bulk.approvers, quorum and expires belong to crossing = \"ask\"".to_owned())
        }
        "end" => Ok(Crossing::End),
        "ask" if approvers.is_empty() => {
            Err("bulk.crossing = \"ask\" needs approvers = [\"group\", …]".to_owned())
        }
        "ask" => Ok(Crossing::Ask(ApproveTerms {
            approvers,
            quorum: written.quorum.map_or(Ok(1), |it| quorum(&it.to_string()))?,
            expires_s: written
                .expires
                .as_deref()
                .map_or(Ok(EXPIRES_S_DEFAULT), expires)?,
        })),
        other => Err(format!(
            "bulk.crossing = {other:?} must be \"end\" or \"ask\""
        )),
    }
}
