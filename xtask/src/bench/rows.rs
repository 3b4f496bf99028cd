//! Interleaved rounds: in each of them every variant of a row runs once.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::host::OneCore;
use super::plan::Row;
use super::setting::Setting;
use crate::stage::until;

/// How long rounds are.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    rounds: usize,
    /// A closed loop's window.
    pub window_ms: u64,
    /// How long pgbench runs.
    pub pgbench_s: u64,
    /// How often the large result is asked for.
    pub bulk_times: u32,
}

impl Extent {
    /// About three minutes in all.
    pub(crate) const QUICK: Self = Self {
        rounds: 3,
        window_ms: 500,
        pgbench_s: 1,
        bulk_times: 1,
    };
    /// Enough for ratios that hold within a few per cent.
    pub(crate) const FULL: Self = Self {
        rounds: 9,
        window_ms: 1500,
        pgbench_s: 4,
        bulk_times: 3,
    };

    /// The same with another number of rounds.
    pub(crate) const fn with_rounds(self, rounds: usize) -> Self {
        Self { rounds, ..self }
    }
}

/// One variant in one round.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Median latency.
    pub p50_us: Option<f64>,
    /// 99th percentile.
    pub p99_us: Option<f64>,
    /// Operations, or bytes, per second.
    pub rate: Option<f64>,
    /// CPU time of the proxy per operation.
    pub cpu_us: Option<f64>,
    /// All that was asked, warm-up included.
    pub total: u64,
    /// The interval's histogram log.
    pub hlog: String,
}

impl Sample {
    /// Of a run that failed: it has no figures.
    const FAILED: Self = Self {
        p50_us: None,
        p99_us: None,
        rate: None,
        cpu_us: None,
        total: 0,
        hlog: String::new(),
    };
}

/// Runs rows.
pub(crate) fn run(setting: &Setting<'_>, extent: &Extent, mut rows: Vec<Row>) -> Result<Vec<Row>> {
    for row in &mut rows {
        println!("  {}", row.title);
        measure(setting, extent, row).with_context(|| row.name.clone())?;
    }
    Ok(rows)
}

fn measure(setting: &Setting<'_>, extent: &Extent, row: &mut Row) -> Result<()> {
    let programs = [
        setting.weir,
        setting.haproxy.pid,
        setting.pgbouncer.pid,
        setting.scripted,
    ];
    let _held = if row.ask.has_one_core() {
        Some(OneCore::hold(&programs)?)
    } else {
        None
    };
    let count = row.samples.len();
    let (mut operations, mut leaves) = (0, 0);
    for round in 0..extent.rounds {
        for step in 0..count {
            // Another one begins each round.
            let Some((variant, samples)) = row.samples.get_mut((round + step) % count) else {
                continue;
            };
            let before = if variant.is_weir() {
                settled(setting)?
            } else {
                0
            };
            let sample = match row.ask.run(setting, extent, *variant, &row.name) {
                Ok(sample) => sample,
                Err(error) => {
                    // The other cells still tell something; the table says that this one failed.
                    let text = format!("{error:#}");
                    let reason = text.trim().lines().last().unwrap_or_default();
                    row.failures.push(format!(
                        "{} in round {}: {reason}",
                        variant.as_str(),
                        round + 1
                    ));
                    Sample::FAILED
                }
            };
            if variant.is_weir() {
                operations += sample.total;
                leaves += grown(setting, before, sample.total)?;
            }
            samples.push(sample);
        }
    }
    row.proofs.push(format!(
        "{operations} operations through Weir, {leaves} new leaves in its log"
    ));
    Ok(())
}

/// The log's size, once it does not grow by itself.
fn settled(setting: &Setting<'_>) -> Result<u64> {
    let mut last = setting.leaves()?;
    until("a log at rest", Duration::from_secs(60), || {
        std::thread::sleep(Duration::from_millis(30));
        let now = setting.leaves()?;
        let is_at_rest = now == last;
        last = now;
        Ok(is_at_rest.then_some(now))
    })
}

/// By how many leaves the log has grown: intent and outcome of each operation at the least.
fn grown(setting: &Setting<'_>, before: u64, operations: u64) -> Result<u64> {
    let wanted = before + 2 * operations;
    let has_all = || Ok(Some(setting.leaves()?).filter(|size| *size >= wanted));
    let size = until(
        &format!("2 leaves for each of {operations} operations"),
        Duration::from_secs(60),
        has_all,
    )?;
    ensure!(
        size >= wanted,
        "the log has {size} leaves, and should have {wanted}"
    );
    Ok(size - before)
}
