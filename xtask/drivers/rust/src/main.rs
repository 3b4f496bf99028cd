//! The drivers suite's stories through Rust's drivers: `weir-drivers tokio-postgres` and
//! `weir-drivers sqlx`; `weir-drivers ordinary FILE` runs a list of statements, and
//! `weir-drivers scale WHAT` much of one thing. Each prints one line per thing seen.

mod ordinary;
mod scale;
mod sqlx_;
mod tls;
mod tokio_postgres_;

use std::fmt::Display;
use std::future::Future;
use std::process::ExitCode;

use anyhow::{Context, Result};

/// Rows of the table whose columns are all masked for engineers.
const HIDDEN: &str = "SELECT ssn, born, seen, visits, account, balance, score, insured, token, chart, scan FROM patients WHERE id = ";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let told = match words.as_slice() {
        ["tokio-postgres"] => tokio_postgres_::tell_all().await,
        ["sqlx"] => sqlx_::tell_all().await,
        ["ordinary", file] => story("ordinary", ordinary::tell_all(file)).await,
        ["scale", what] => story("scale", scale::tell_one(what)).await,
        _ => {
            eprintln!("weir-drivers tokio-postgres | sqlx | ordinary FILE | scale WHAT");
            return ExitCode::FAILURE;
        }
    };
    println!("done");
    if told {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs one story; what it ends with is told if it is an error. Whether it ended well.
async fn story(name: &str, told: impl Future<Output = Result<()>>) -> bool {
    match told.await {
        Ok(()) => true,
        Err(error) => {
            tell(name, &[&"RAISED", &format!("{error:#}")]);
            false
        }
    }
}

/// One line: a name and what was seen.
fn tell(name: &str, values: &[&dyn Display]) {
    let mut line = name.to_owned();
    for value in values {
        line.push('\t');
        line.push_str(&value.to_string().replace('\n', "\\n"));
    }
    println!("{line}");
}

/// A masked row, each column as the driver decoded it.
fn tell_masked(values: [String; 11]) {
    let names = [
        "ssn", "born", "seen", "visits", "account", "balance", "score", "insured", "token",
        "chart", "scan",
    ];
    for (name, value) in names.iter().zip(values) {
        tell(&format!("masked {name}"), &[&value]);
    }
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("${name} is not set"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn utc(at: time::OffsetDateTime) -> String {
    let (date, hour, minute, second) = (at.date(), at.hour(), at.minute(), at.second());
    format!("{date}T{hour:02}:{minute:02}:{second:02}Z")
}
