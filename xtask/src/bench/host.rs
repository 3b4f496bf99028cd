//! The machine: what it is, how busy it was, on which core and in which order threads run.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::stage::process;
use crate::step;

/// How busy the machine is.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    averages: String,
}

impl Load {
    /// Looks.
    pub(crate) fn now() -> Result<Self> {
        let text = fs::read_to_string("/proc/loadavg").context("read /proc/loadavg")?;
        Ok(Self {
            averages: text.split(' ').take(3).collect::<Vec<_>>().join(" "),
        })
    }
}

/// What a result needs beside it.
pub(crate) struct Machine {
    /// In words.
    pub lines: Vec<String>,
    /// For the file.
    pub json: Value,
}

impl Machine {
    /// Looks.
    pub(crate) fn look(before: &Load, after: &Load, scheduling: String) -> Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("read /proc/cpuinfo")?;
        let model = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name\t: "))
            .unwrap_or("unknown")
            .to_owned();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")
            .context("read osrelease")?
            .trim()
            .to_owned();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let commit = step::output(
            "git",
            Command::new("git")
                .args(["describe", "--always", "--dirty"])
                .current_dir(step::root()),
        );
        let commit = commit.unwrap_or_default().trim().to_owned();
        let lines = vec![
            format!("{cores} cores of {model}, kernel {kernel}, loopback only; source {commit}"),
            format!(
                "load average before {}, after {}; scheduling: {scheduling}",
                before.averages, after.averages
            ),
        ];
        let json = json!({
            "cores": cores, "model": model, "kernel": kernel, "source": commit, "scheduling": scheduling,
            "load_before": before.averages, "load_after": after.averages,
        });
        Ok(Self { lines, json })
    }
}

/// CPU time of all threads of a process, nanoseconds.
pub(crate) fn cpu_ns(pid: i32) -> Result<u64> {
    let tasks =
        fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid}"))?;
    let of = |stat: String| {
        stat.split(' ')
            .next()
            .and_then(|first| first.parse::<u64>().ok())
    };
    Ok(tasks
        .flatten()
        .filter_map(|task| of(fs::read_to_string(task.path().join("schedstat")).ok()?))
        .sum())
}

/// Our child that runs this program.
pub(crate) fn child(program: &str) -> Result<i32> {
    let own = i32::try_from(std::process::id()).context("a process id")?;
    let runs = |pid: &i32| {
        fs::read_link(format!("/proc/{pid}/exe"))
            .is_ok_and(|exe| exe.file_name().is_some_and(|name| name == program))
    };
    process::children(own)
        .into_iter()
        .find(runs)
        .with_context(|| format!("no child runs {program}"))
}

/// Real-time order for all threads of a process, and for what it starts later.
pub(crate) fn hurry(pid: i32) -> Result<()> {
    step::output(
        "chrt",
        Command::new("chrt").args(["-a", "-f", "-p", "1", &pid.to_string()]),
    )
    .map(|_| ())
}

/// Threads kept on one core, until this is dropped.
pub(crate) struct OneCore {
    before: Vec<(String, String)>,
}

impl OneCore {
    /// Puts all threads of these processes, and whatever we start, on CPU 0.
    pub(crate) fn hold(pids: &[i32]) -> Result<Self> {
        let own = i32::try_from(std::process::id()).context("a process id")?;
        let mut held = Self { before: Vec::new() };
        for task in pids
            .iter()
            .flat_map(|pid| tasks(*pid))
            .chain([own.to_string()])
        {
            let Some(allowed) = allowed(&task) else {
                continue;
            };
            held.before.push((task.clone(), allowed));
            pin(&task, "0")?;
        }
        Ok(held)
    }
}

impl Drop for OneCore {
    fn drop(&mut self) {
        for (task, cpus) in &self.before {
            // A thread that has ended needs no core.
            let _ = pin(task, cpus);
        }
    }
}

fn tasks(pid: i32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    tasks
        .filter_map(|task| task.file_name().into_string().ok())
        .collect()
}

fn allowed(task: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{task}/status")).ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .map(|list| list.trim().to_owned())
}

fn pin(task: &str, cpus: &str) -> Result<()> {
    step::output("taskset", Command::new("taskset").args(["-cp", cpus, task])).map(|_| ())
}
