//! The table, and the files that keep what it came from.

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::host::Machine;
use super::plan::{Measure, Must, Row, Variant};
use super::rows::Sample;

/// Which rivals get a column of ratios.
const RATIOS: [Variant; 4] = [
    Variant::Direct,
    Variant::Haproxy,
    Variant::Pgbouncer,
    Variant::Nginx,
];

/// Prints every row: medians, ratios of the same round, CPU time, and the budget's verdict.
pub(crate) fn print(machine: &Machine, rows: &[Row]) {
    println!(
        "\nMedians over rounds; each ratio is the median of ratios within one round, in brackets their range."
    );
    println!("p50: less is better. /s: more is better. CPU: of the proxy's process, all threads.");
    machine.lines.iter().for_each(|line| println!("{line}"));
    for row in rows {
        println!("\n{}  [{}]", row.title, row.name);
        println!(
            "  {:<10} {:>12} {:>9} {:>10}   ratio to",
            "",
            headline(row),
            "p99",
            cpu_unit(row)
        );
        for (variant, samples) in &row.samples {
            println!("  {}", line(row, *variant, samples));
        }
        for must in &row.musts {
            println!("  {}", verdict(row, must));
        }
        row.failures
            .iter()
            .for_each(|failure| println!("  FAILED: {failure}"));
        row.proofs
            .iter()
            .for_each(|proof| println!("  proof: {proof}; every answer compared"));
    }
}

fn headline(row: &Row) -> &'static str {
    match row.measure {
        Measure::P50 => "p50",
        Measure::Rate if row.name.starts_with("bulk") => "MB/s",
        Measure::Rate => "/s",
        Measure::Cpu => "CPU",
    }
}

fn cpu_unit(row: &Row) -> &'static str {
    if row.name.starts_with("bulk") {
        "CPU/MB"
    } else {
        "CPU/op"
    }
}

fn line(row: &Row, variant: Variant, samples: &[Sample]) -> String {
    let value = median(
        samples
            .iter()
            .filter_map(|sample| of(row.measure, sample))
            .collect(),
    );
    let value = match row.measure {
        Measure::P50 | Measure::Cpu => micros(value),
        Measure::Rate if row.name.starts_with("bulk") => {
            value.map_or_else(dash, |value| format!("{:.0}", value / 1e6))
        }
        Measure::Rate => value.map_or_else(dash, |value| format!("{value:.0}")),
    };
    let p99 = micros(median(
        samples.iter().filter_map(|sample| sample.p99_us).collect(),
    ));
    let cpu = micros(median(
        samples.iter().filter_map(|sample| sample.cpu_us).collect(),
    ));
    let ratios: Vec<_> = RATIOS
        .iter()
        .filter(|to| **to != variant)
        .filter_map(|to| {
            Some(format!(
                "{} {}",
                to.as_str(),
                shown(&ratios(row, row.measure, variant, *to)?)
            ))
        })
        .collect();
    format!(
        "{:<10} {value:>12} {p99:>9} {cpu:>10}   {}",
        variant.as_str(),
        ratios.join("  ")
    )
}

fn dash() -> String {
    "-".to_owned()
}

fn micros(value: Option<f64>) -> String {
    value.map_or_else(dash, |value| format!("{value:.1} µs"))
}

fn shown(ratios: &[f64]) -> String {
    let (least, most) = ratios
        .iter()
        .fold((f64::INFINITY, 0.0f64), |(least, most), ratio| {
            (least.min(*ratio), most.max(*ratio))
        });
    format!(
        "{:.2} ({least:.2}–{most:.2})",
        median(ratios.to_vec()).unwrap_or_default()
    )
}

fn of(measure: Measure, sample: &Sample) -> Option<f64> {
    match measure {
        Measure::P50 => sample.p50_us,
        Measure::Rate => sample.rate,
        Measure::Cpu => sample.cpu_us,
    }
}

/// One variant's figure over another's, round by round.
fn ratios(row: &Row, measure: Measure, variant: Variant, to: Variant) -> Option<Vec<f64>> {
    let samples = |wanted| {
        row.samples
            .iter()
            .find(|(variant, _)| *variant == wanted)
            .map(|(_, samples)| samples)
    };
    let pairs = samples(variant)?.iter().zip(samples(to)?);
    let ratios: Vec<_> = pairs
        .filter_map(|(one, other)| Some(of(measure, one)? / of(measure, other)?))
        .collect();
    (!ratios.is_empty()).then_some(ratios)
}

/// The figure for a line of the budget, and whether it is kept.
fn judged(row: &Row, must: &Must) -> Option<(f64, bool)> {
    let weir = row
        .samples
        .iter()
        .find(|(variant, _)| *variant == must.of)
        .map(|(_, samples)| samples)?;
    let value = match must.to {
        Some(to) => median(ratios(row, must.measure, must.of, to)?)?,
        None => median(
            weir.iter()
                .filter_map(|sample| of(must.measure, sample))
                .collect(),
        )?,
    };
    let is_kept = match must.measure {
        Measure::P50 | Measure::Cpu => value <= must.bound,
        Measure::Rate => value >= must.bound,
    };
    Some((value, is_kept))
}

fn verdict(row: &Row, must: &Must) -> String {
    let what = match must.measure {
        Measure::P50 => "p50",
        Measure::Rate => "rate",
        Measure::Cpu => "CPU",
    };
    let (to, unit) = must.to.map_or((String::new(), " µs"), |to| {
        (format!(" ÷ {}", to.as_str()), "")
    });
    let sign = if must.measure == Measure::Rate {
        '≥'
    } else {
        '≤'
    };
    match judged(row, must) {
        Some((value, is_kept)) => {
            let word = if is_kept { "met" } else { "NOT MET" };
            format!(
                "must: {}, {what}{to} {sign} {}{unit}: {value:.2}{unit}, {word}",
                must.of.as_str(),
                must.bound
            )
        }
        None => format!(
            "must: {}, {what}{to} {sign} {}{unit}: not measured",
            must.of.as_str(),
            must.bound
        ),
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), values.len() % 2) {
        (Some(high), 0) => values.get(middle - 1).map(|low| (low + high) / 2.0),
        (high, _) => high.copied(),
    }
}

/// Writes `bench.json` and one histogram log per row.
pub(crate) fn keep(machine: &Machine, rows: &[Row]) -> Result<()> {
    let folder = super::results();
    fs::create_dir_all(&folder).with_context(|| format!("mkdir {}", folder.display()))?;
    for row in rows {
        let log = histogram_log(row);
        if !log.is_empty() {
            fs::write(folder.join(format!("{}.hlog", row.name)), log)
                .context("write a histogram log")?;
        }
    }
    let all: Vec<_> = rows.iter().map(row_json).collect();
    let file = folder.join("bench.json");
    let text = serde_json::to_string_pretty(&json!({ "machine": machine.json, "rows": all }))?;
    fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    println!(
        "\nkept in {}: bench.json, and *.hlog for HdrHistogram's tools",
        folder.display()
    );
    Ok(())
}

/// The intervals of all runs under one head.
fn histogram_log(row: &Row) -> String {
    let logs = || {
        row.samples
            .iter()
            .flat_map(|(_, samples)| samples)
            .map(|sample| sample.hlog.as_str())
    };
    let is_interval = |line: &&str| line.starts_with("Tag=");
    let head = logs()
        .next()
        .unwrap_or_default()
        .lines()
        .filter(|line| !is_interval(line));
    head.chain(logs().flat_map(str::lines).filter(is_interval))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn row_json(row: &Row) -> Value {
    let sample = |sample: &Sample| json!({ "p50_us": sample.p50_us, "p99_us": sample.p99_us, "rate": sample.rate, "cpu_us": sample.cpu_us, "operations": sample.total });
    let variants: Vec<_> = row
        .samples
        .iter()
        .map(|(variant, samples)| {
            let to = RATIOS.iter().filter_map(|to| Some((to.as_str().to_owned(), json!(median(ratios(row, row.measure, *variant, *to)?)))));
            json!({ "name": variant.as_str(), "rounds": samples.iter().map(sample).collect::<Vec<_>>(), "ratio_to": to.collect::<serde_json::Map<_, _>>() })
        })
        .collect();
    let musts: Vec<_> = row
        .musts
        .iter()
        .map(|must| json!({ "line": verdict(row, must), "value": judged(row, must).map(|(value, _)| value), "met": judged(row, must).map(|(_, met)| met) }))
        .collect();
    json!({ "name": row.name, "title": row.title, "variants": variants, "must": musts, "proofs": row.proofs, "failures": row.failures })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }
}
