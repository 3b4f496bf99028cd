//! Runs commands as named steps: says what begins, what it took, and what it said if it failed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the checkout's root")
        .to_owned()
}

/// Cargo as it was called, in the checkout's root.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command whose output belongs on the terminal.
pub(crate) fn run(name: &str, command: &mut Command) -> Result<()> {
    println!("── {name}");
    let begun = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("{name}: cannot start {command:?}"))?;
    if !status.success() {
        bail!("{name}: {command:?} ended with {status}");
    }
    println!("── {name}: done in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Runs a command and returns what it printed; its output is shown only if it fails.
pub(crate) fn output(name: &str, command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{name}: cannot start {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{name}: {command:?} ended with {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("{name}: output is not UTF-8"))
}

/// Whether this process may do what root may.
pub(crate) fn is_root() -> bool {
    #[expect(
        unsafe_code,
        reason = "the standard library does not tell the effective user"
    )]
    // SAFETY: geteuid takes nothing and cannot fail.
    unsafe {
        libc::geteuid() == 0
    }
}
