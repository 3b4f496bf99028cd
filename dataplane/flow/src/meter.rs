//! What has been done lately, by whom and where, over all flows of the host. Shared by every
//! worker; it holds numbers and times only.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use weir_facts::{ConnectionName, Principal};
use weir_policy::Rate;

/// Uses that are remembered in all: 16 bytes each, so 16 MiB. Who cannot be counted any more
/// is refused.
const USES_MAX: usize = 1 << 20;

/// Who is counted, and where: not the process, which a client can replace at will, and not
/// the agent, which its user can.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Who {
    connection: ConnectionName,
    name: Box<str>,
}

impl Who {
    pub(crate) fn new(principal: &Principal, connection: &ConnectionName) -> Self {
        let name = match (&principal.identity, &principal.workload) {
            (Some(identity), _) => format!("identity {}|{}", identity.issuer, identity.subject),
            (None, Some(workload)) => format!("workload {}|{}", workload.uid, workload.name),
            (None, None) => String::new(),
        };
        Self {
            connection: connection.clone(),
            name: name.into(),
        }
    }
}

/// The counts of one host. In memory: they begin anew when the proxy does.
#[derive(Default)]
pub struct Meters {
    uses: Mutex<Uses>,
    sent: Mutex<HashMap<Who, Sent>>,
}

/// Principals whose traffic is counted at one time: 1 KiB each, so 16 MiB.
const SENT_MAX: usize = 16 << 10;

/// Parts that a window is counted in: what a part counts leaves the window as a whole, so that
/// a principal waits for up to a sixtieth of the window too long, and never too short.
const PARTS: u64 = 60;

/// What went to one principal lately.
#[derive(Default)]
struct Sent {
    /// (part of time, rows, bytes), ascending.
    parts: VecDeque<(u64, u64, u64)>,
    /// How long a part is.
    part_ns: u64,
}

impl Sent {
    /// Drops what the window has left, or everything where the window is another one than before.
    fn settle(&mut self, window_s: u32, now_ns: u64) -> u64 {
        let part_ns = (u64::from(window_s) * 1_000_000_000 / PARTS).max(1);
        if self.part_ns != part_ns {
            self.rescale(part_ns);
        }
        let now = now_ns / part_ns;
        while self.is_stale(now) {
            self.parts.pop_front();
        }
        now
    }

    /// Counts in parts of another length, each as late as it may have been.
    fn rescale(&mut self, part_ns: u64) {
        let old_ns = self.part_ns;
        for part in &mut self.parts {
            part.0 = (part.0.saturating_add(1)).saturating_mul(old_ns) / part_ns;
        }
        self.part_ns = part_ns;
    }

    fn is_stale(&self, now: u64) -> bool {
        let oldest = self.parts.front();
        oldest.is_some_and(|(part, ..)| part.saturating_add(PARTS) < now)
    }

    fn total(&self) -> (u64, u64) {
        let sum = |(rows, bytes): (u64, u64), part: &(u64, u64, u64)| {
            (rows.saturating_add(part.1), bytes.saturating_add(part.2))
        };
        self.parts.iter().fold((0, 0), sum)
    }

    fn add(&mut self, now: u64, rows: u64, bytes: u64) {
        match self.parts.back_mut().filter(|part| part.0 >= now) {
            Some(part) => {
                part.1 = part.1.saturating_add(rows);
                part.2 = part.2.saturating_add(bytes);
            }
            None => self.parts.push_back((now, rows, bytes)),
        }
    }
}

#[derive(Default)]
struct Uses {
    by_who: HashMap<(Who, Rate), VecDeque<Use>>,
    kept: usize,
}

#[derive(Clone, Copy)]
struct Use {
    at_ns: u64,
    count: u32,
}

/// Why something cannot be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// It can in so many nanoseconds, if nothing is done before.
    Until(u64),
    /// Never at once: more is asked than the rate allows in a whole window.
    Always,
    /// There are too many that are counted.
    Full,
}

impl Meters {
    /// Nothing has been done yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts `count` uses if the rate allows them all; returns how many there are then within
    /// its window.
    pub(crate) fn spend(
        &self,
        who: Who,
        rate: Rate,
        count: u32,
        now_ns: u64,
    ) -> Result<u32, Exceeded> {
        if count > rate.count {
            return Err(Exceeded::Always);
        }
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        if uses.kept >= USES_MAX {
            uses.forget(now_ns);
        }
        if uses.kept >= USES_MAX {
            return Err(Exceeded::Full);
        }
        let Uses { by_who, kept } = &mut *uses;
        let log = by_who.entry((who, rate)).or_default();
        *kept -= expire(log, rate, now_ns);
        let spent = log
            .iter()
            .fold(0, |sum: u32, it| sum.saturating_add(it.count));
        let over = spent.saturating_add(count).saturating_sub(rate.count);
        if over > 0 {
            return Err(Exceeded::Until(free_in(log, rate, over, now_ns)));
        }
        log.push_back(Use {
            at_ns: now_ns,
            count,
        });
        *kept += 1;
        Ok(spent + count)
    }
}

impl Meters {
    /// Lets a flow take as much as it likes of what a window still holds: `take` is told how much
    /// has gone before, and answers what goes now. Nobody else takes meanwhile. `false` where
    /// there are too many principals to be counted; then nothing may go.
    pub(crate) fn take(
        &self,
        who: &Who,
        window_s: u32,
        now_ns: u64,
        take: impl FnOnce(u64, u64) -> (u64, u64),
    ) -> bool {
        let mut all = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(who) {
            if all.len() >= SENT_MAX {
                all.retain(|_, sent| {
                    let now = now_ns / sent.part_ns.max(1);
                    while sent.is_stale(now) {
                        sent.parts.pop_front();
                    }
                    !sent.parts.is_empty()
                });
            }
            if all.len() >= SENT_MAX {
                return false;
            }
            all.insert(who.clone(), Sent::default());
        }
        let Some(sent) = all.get_mut(who) else {
            return false;
        };
        let now = sent.settle(window_s, now_ns);
        let (rows, bytes) = sent.total();
        let (rows, bytes) = take(rows, bytes);
        if rows > 0 || bytes > 0 {
            sent.add(now, rows, bytes);
        }
        true
    }
}

impl Uses {
    /// Drops whatever no window reaches any more.
    fn forget(&mut self, now_ns: u64) {
        let mut dropped = 0;
        self.by_who.retain(|(_, rate), log| {
            dropped += expire(log, *rate, now_ns);
            !log.is_empty()
        });
        self.kept -= dropped;
    }
}

/// Drops what is older than the window; how much that was.
fn expire(log: &mut VecDeque<Use>, rate: Rate, now_ns: u64) -> usize {
    let before = log.len();
    while log
        .front()
        .is_some_and(|oldest| ends_ns(oldest, rate) <= now_ns)
    {
        log.pop_front();
    }
    before - log.len()
}

/// When so many of the oldest uses have left the window, from now.
fn free_in(log: &VecDeque<Use>, rate: Rate, over: u32, now_ns: u64) -> u64 {
    let mut left = over;
    for it in log {
        left = left.saturating_sub(it.count);
        if left == 0 {
            return ends_ns(it, rate).saturating_sub(now_ns);
        }
    }
    u64::from(rate.window_s) * 1_000_000_000
}

fn ends_ns(it: &Use, rate: Rate) -> u64 {
    it.at_ns
        .saturating_add(u64::from(rate.window_s) * 1_000_000_000)
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Meters").field("uses", &uses.kept).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;
    const RATE: Rate = Rate {
        count: 3,
        window_s: 60,
    };

    fn who(subject: &str, connection: &str) -> Who {
        let identity = weir_facts::Identity {
            issuer: "weir".into(),
            subject: subject.into(),
            is_service: false,
            groups: Vec::new(),
        };
        let principal = Principal {
            workload: None,
            identity: Some(std::sync::Arc::new(identity)),
            agent: None,
        };
        Who::new(&principal, &ConnectionName::new(connection))
    }

    #[test]
    fn a_rate_holds_within_any_window_and_says_when_it_frees() {
        let meters = Meters::new();
        let spend = |count, at_s: u64| meters.spend(who("ada", "pg"), RATE, count, at_s * S);
        assert_eq!(spend(1, 0), Ok(1));
        assert_eq!(spend(2, 30), Ok(3));
        assert_eq!(spend(1, 40), Err(Exceeded::Until(20 * S)));
        assert_eq!(spend(2, 40), Err(Exceeded::Until(50 * S)));
        assert_eq!(spend(4, 40), Err(Exceeded::Always));
        assert_eq!(
            spend(1, 59),
            Err(Exceeded::Until(S)),
            "a refusal costs nothing"
        );
        assert_eq!(spend(1, 60), Ok(3));
        assert_eq!(spend(2, 90), Ok(3));
    }

    #[test]
    fn each_principal_and_connection_is_counted_by_itself() {
        let meters = Meters::new();
        for (subject, connection) in [("ada", "pg"), ("bob", "pg"), ("ada", "other")] {
            assert_eq!(meters.spend(who(subject, connection), RATE, 3, 1), Ok(3));
        }
        assert!(meters.spend(who("ada", "pg"), RATE, 1, 1).is_err());
    }

    #[test]
    fn what_no_window_reaches_is_forgotten() {
        let meters = Meters::new();
        for subject in ["ada", "bob"] {
            assert_eq!(meters.spend(who(subject, "pg"), RATE, 1, 0), Ok(1));
        }
        let mut uses = meters.uses.lock().expect("unpoisoned");
        uses.forget(59 * S);
        assert_eq!((uses.kept, uses.by_who.len()), (2, 2));
        uses.forget(60 * S);
        assert_eq!((uses.kept, uses.by_who.len()), (0, 0));
    }

    #[test]
    fn a_window_forgets_after_its_time_and_not_before() {
        let meters = Meters::new();
        let who = who("ada", "pg");
        let before = |at_s: u64, rows: u64| {
            let mut seen = None;
            assert!(meters.take(&who, 60, at_s * S, |had, _| {
                seen = Some(had);
                (rows, rows * 10)
            }));
            seen.expect("asked")
        };
        assert_eq!(before(0, 5), 0);
        assert_eq!(before(30, 7), 5);
        assert_eq!(
            before(60, 0),
            12,
            "the first part is not over before its end"
        );
        assert_eq!(before(61, 0), 7);
        assert_eq!(before(91, 0), 0);
    }

    #[test]
    fn another_length_of_window_forgets_nothing_early() {
        let meters = Meters::new();
        let who = who("ada", "pg");
        let rows = |window_s, at_s: u64, rows: u64| {
            let mut seen = None;
            meters.take(&who, window_s, at_s * S, |had, _| {
                seen = Some(had);
                (rows, 0)
            });
            seen.expect("asked")
        };
        assert_eq!(rows(60, 10, 5), 0);
        assert_eq!(rows(3600, 20, 0), 5);
        assert_eq!(rows(60, 69, 0), 5);
    }
}
