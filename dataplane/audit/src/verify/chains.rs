use std::collections::{BTreeMap, HashMap};

use weir_facts::Link;

use super::leaf::{LeafFacts, read_leaf};
use super::report::{FaultKind, OpenIntent, Report, WorkerReport};
use crate::chain::{Position, leaf_hash};
use crate::frame::FrameError;
use crate::limits::{OPEN_INTENTS_MAX, REPORTED_MAX};
use crate::{Kind, WorkerId};

/// Follows each worker's chain and each operation through the leaves.
#[derive(Debug, Default)]
pub(super) struct Chains {
    workers: BTreeMap<WorkerId, Position>,
    open: HashMap<(u64, u32), u64>,
}

impl Chains {
    pub(super) fn take(
        &mut self,
        index: u64,
        entry: &[u8],
        report: &mut Report,
    ) -> Result<(), FaultKind> {
        let facts = read_leaf(entry)?;
        self.chain(entry, &facts)?;
        let first = report.times_us.map_or(facts.time_us, |(first, _)| first);
        report.times_us = Some((first, facts.time_us));
        if let Some(count) = Kind::ALL
            .iter()
            .position(|kind| *kind == facts.kind)
            .and_then(|at| report.kinds.get_mut(at))
        {
            *count += 1;
        }
        match facts.link {
            None => {}
            Some(Link::Trace(_)) => report.links.trace += 1,
            Some(Link::Process(_)) => report.links.process += 1,
            Some(Link::Ambiguous { .. }) => report.links.ambiguous += 1,
        }
        self.operation(index, &facts, report)
    }

    fn chain(&mut self, entry: &[u8], facts: &LeafFacts) -> Result<(), FaultKind> {
        let position = self.workers.entry(facts.worker).or_insert(Position::START);
        let follows =
            position.seq.0.checked_add(1) == Some(facts.seq.0) && position.hash == facts.prev;
        if !follows {
            let error = FrameError::Chain {
                after: position.seq,
                found: facts.seq,
            };
            return Err(FaultKind::Chain {
                worker: facts.worker,
                error,
            });
        }
        *position = Position {
            seq: facts.seq,
            hash: leaf_hash(entry),
        };
        Ok(())
    }

    fn operation(
        &mut self,
        index: u64,
        facts: &LeafFacts,
        report: &mut Report,
    ) -> Result<(), FaultKind> {
        let operation = facts.flow.zip(facts.operation);
        match facts.kind {
            Kind::Intent => {
                if self.open.len() >= OPEN_INTENTS_MAX {
                    return Err(FaultKind::TooManyOpen);
                }
                if let Some(operation) = operation {
                    self.open.insert(operation, index);
                }
            }
            Kind::Outcome => {
                // A long answer has an outcome per part: only the first finds its intent.
                if let Some(operation) = operation {
                    self.open.remove(&operation);
                }
            }
            Kind::Gap | Kind::Close => {
                if facts.kind == Kind::Gap && report.gaps.len() < REPORTED_MAX {
                    report.gaps.push(index);
                }
                report.explained += self.open.len() as u64;
                self.open.clear();
            }
            Kind::Session | Kind::Refusal | Kind::Approval | Kind::Tool | Kind::Heartbeat => {}
        }
        Ok(())
    }

    pub(super) fn finish(self, report: &mut Report) {
        report.workers = self
            .workers
            .into_iter()
            .map(|(worker, position)| WorkerReport {
                worker,
                last: position.seq,
            })
            .collect();
        report.open_total = self.open.len() as u64;
        let mut open: Vec<_> = self
            .open
            .into_iter()
            .map(|((flow, operation), index)| OpenIntent {
                index,
                flow,
                operation,
            })
            .collect();
        open.sort_unstable_by_key(|intent| intent.index);
        open.truncate(REPORTED_MAX);
        report.open = open;
    }
}
