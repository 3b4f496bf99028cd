//! `pgbench -S` against the real server.

use anyhow::{Context, Result, bail, ensure};

use super::host;
use super::rows::Sample;
use crate::stage::Caller;

/// One run.
pub(crate) struct Run<'a> {
    /// The script's file; none for `-S`.
    pub script: Option<&'a str>,
    /// pgbench.
    pub program: &'a str,
    /// Who asks.
    pub caller: &'a Caller,
    /// Where, on 127.0.0.1.
    pub port: u16,
    /// The database's name there.
    pub database: &'a str,
    /// `simple` or `prepared`.
    pub mode: &'a str,
    /// Clients.
    pub clients: usize,
    /// How long.
    pub seconds: u64,
    /// Whose CPU time is told.
    pub pid: Option<i32>,
}

impl Run<'_> {
    /// Runs it, and refuses a run in which a transaction failed.
    pub(crate) fn measure(&self) -> Result<Sample> {
        let cpu = || self.pid.map(host::cpu_ns).transpose();
        let before = cpu()?;
        let (port, clients, seconds) = (
            self.port.to_string(),
            self.clients.to_string(),
            self.seconds.to_string(),
        );
        let what = match self.script {
            Some(file) => ["-f", file],
            None => ["-S", "-s10"],
        };
        let arguments = [
            what[0],
            what[1],
            "-n",
            "-M",
            self.mode,
            "-c",
            &clients,
            "-j",
            "1",
            "-T",
            &seconds,
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            "app",
            self.database,
        ];
        let said = self.caller.run(self.program, &arguments, "")?;
        let after = cpu()?;
        if !said.ok || said.all().contains("ERROR") || said.all().contains("aborted") {
            bail!("pgbench {}:\n{}", arguments.join(" "), said.all());
        }
        let number = |name: &str| number(&said.out, name);
        ensure!(
            number("number of failed transactions:")? == 0.0,
            "transactions failed:\n{}",
            said.out
        );
        let total = number("number of transactions actually processed:")?;
        let cpu = before
            .zip(after)
            .map(|(before, after)| after.saturating_sub(before) as f64 / total / 1e3);
        Ok(Sample {
            p50_us: None,
            p99_us: None,
            rate: Some(number("tps =")?),
            cpu_us: cpu,
            total: total as u64,
            hlog: String::new(),
        })
    }
}

/// The first number behind some words.
fn number(text: &str, name: &str) -> Result<f64> {
    let rest = text
        .split_once(name)
        .with_context(|| format!("pgbench told no {name:?}:\n{text}"))?
        .1
        .trim_start();
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    rest.get(..end)
        .unwrap_or_default()
        .parse()
        .with_context(|| format!("pgbench's {name:?}: {rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read() {
        let text = "number of transactions actually processed: 1234\nnumber of failed transactions: 0 (0.000%)\ntps = 617.25 (without initial connection time)\n";
        assert_eq!(
            number(text, "number of transactions actually processed:").unwrap(),
            1234.0
        );
        assert_eq!(number(text, "number of failed transactions:").unwrap(), 0.0);
        assert_eq!(number(text, "tps =").unwrap(), 617.25);
        assert!(number(text, "latency").is_err());
    }
}
