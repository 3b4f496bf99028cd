//! Runs of `weir-load`, and what they tell.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::rows::Sample;
use crate::stage::Caller;

/// Runs it to its end and reads its one line.
pub(crate) fn run(
    caller: &Caller,
    program: &std::path::Path,
    arguments: &[String],
) -> Result<Value> {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let said = caller.run(&program.display().to_string(), &arguments, "")?;
    if !said.ok {
        bail!("weir-load {}:\n{}", arguments.join(" "), said.all());
    }
    serde_json::from_str(said.out.trim()).with_context(|| format!("weir-load said {:?}", said.out))
}

/// The figures of a closed loop.
pub(crate) fn sample(told: Value) -> Result<Sample> {
    let number = |name: &str| {
        told[name]
            .as_f64()
            .with_context(|| format!("weir-load told no {name}"))
    };
    let (operations, seconds) = (number("operations")?, number("seconds")?);
    let cpu = told["cpu_ns"]
        .as_array()
        .and_then(|all| all.first())
        .and_then(Value::as_f64);
    Ok(Sample {
        p50_us: Some(number("p50_ns")? / 1e3),
        p99_us: Some(number("p99_ns")? / 1e3),
        rate: Some(operations / seconds),
        cpu_us: cpu.map(|cpu| cpu / operations / 1e3),
        total: (number("total")? + told["unmeasured"].as_f64().unwrap_or_default()) as u64,
        hlog: told["hlog"].as_str().unwrap_or_default().to_owned(),
    })
}
