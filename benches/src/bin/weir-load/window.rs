//! The measured window: what is counted begins after the warm-up, and CPU time is read at both ends.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use serde_json::{Value, json};

use crate::Measured;

/// Longest latency that is told apart, nanoseconds.
const LATENCY_MAX_NS: u64 = 60_000_000_000;

/// A window, before, within or behind which the load is.
pub(crate) struct Window {
    measured: Measured,
    begun: Instant,
    opened: Option<Opened>,
    histogram: Histogram<u64>,
    total: u64,
    bytes: u64,
}

struct Opened {
    at: Instant,
    cpu_ns: Vec<u64>,
}

impl Window {
    /// The warm-up begins now.
    pub(crate) fn begin(measured: &Measured) -> Result<Self> {
        let histogram = Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3).context("histogram")?;
        Ok(Self {
            measured: measured.clone(),
            begun: Instant::now(),
            opened: None,
            histogram,
            total: 0,
            bytes: 0,
        })
    }

    /// Counts one operation that began and has just ended.
    pub(crate) fn count(&mut self, begun: Instant, ended: Instant, bytes: usize) {
        self.total += 1;
        if self.opened.is_some() {
            let took = ended.duration_since(begun).as_nanos();
            self.histogram
                .saturating_record(u64::try_from(took).unwrap_or(LATENCY_MAX_NS));
            self.bytes += bytes as u64;
        }
    }

    /// Opens the window when it is time. Whether the load must go on.
    pub(crate) fn is_on(&mut self, now: Instant) -> Result<bool> {
        match &self.opened {
            None if now.duration_since(self.begun)
                >= Duration::from_millis(self.measured.warm_ms) =>
            {
                self.opened = Some(Opened {
                    at: Instant::now(),
                    cpu_ns: self.cpu_ns()?,
                });
                Ok(true)
            }
            None => Ok(true),
            Some(opened) => {
                Ok(now.duration_since(opened.at) < Duration::from_millis(self.measured.window_ms))
            }
        }
    }

    fn cpu_ns(&self) -> Result<Vec<u64>> {
        self.measured.pids.iter().map(|pid| cpu_ns(*pid)).collect()
    }

    /// Closes the window and tells what was measured, as one line of JSON on standard output.
    pub(crate) fn end(self, more: &Value) -> Result<()> {
        let opened = self.opened.as_ref().context("the warm-up never ended")?;
        let (seconds, after) = (opened.at.elapsed().as_secs_f64(), self.cpu_ns()?);
        let cpu: Vec<_> = after
            .iter()
            .zip(&opened.cpu_ns)
            .map(|(after, before)| after.saturating_sub(*before))
            .collect();
        let at = |quantile| self.histogram.value_at_quantile(quantile);
        let mut told = json!({
            "operations": self.histogram.len(), "total": self.total, "seconds": seconds, "bytes": self.bytes,
            "p50_ns": at(0.5), "p90_ns": at(0.9), "p99_ns": at(0.99), "p999_ns": at(0.999), "max_ns": self.histogram.max(),
            "cpu_ns": cpu, "hlog": self.line(seconds)?,
        });
        if let (Some(told), Some(more)) = (told.as_object_mut(), more.as_object()) {
            told.extend(more.clone());
        }
        println!("{told}");
        Ok(())
    }

    /// The interval's line of a histogram log, as HdrHistogram's own tools read it.
    fn line(&self, seconds: f64) -> Result<String> {
        let (mut text, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
        let tag = Tag::new(&self.measured.tag).context("a tag without comma, blank or line end")?;
        let mut log = IntervalLogWriterBuilder::new()
            .begin_log_with(&mut text, &mut serializer)
            .map_err(|error| anyhow!("{error:?}"))?;
        log.write_histogram(
            &self.histogram,
            Duration::ZERO,
            Duration::from_secs_f64(seconds),
            Some(tag),
        )
        .map_err(|error| anyhow!("{error:?}"))?;
        String::from_utf8(text).context("a histogram log is text")
    }
}

/// CPU time of all threads of a process, nanoseconds: the first field of each schedstat
/// (Documentation/scheduler/sched-stats.rst).
fn cpu_ns(pid: u32) -> Result<u64> {
    let tasks =
        fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid}"))?;
    let of = |stat: String| {
        stat.split(' ')
            .next()
            .and_then(|first| first.parse::<u64>().ok())
    };
    // A thread may end while we look.
    Ok(tasks
        .flatten()
        .filter_map(|task| of(fs::read_to_string(task.path().join("schedstat")).ok()?))
        .sum())
}
