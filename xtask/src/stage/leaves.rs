//! What the audit log says, read from its files by the C2SP tlog-tiles layout alone: none of
//! Weir's own code stands between the bytes on disk and the counts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

/// Leaves of a full bundle.
const BUNDLE: u64 = 256;

/// All leaves of a log, in order, as far as its checkpoint goes.
pub(crate) fn read(log: &Path) -> Result<Vec<Value>> {
    let checkpoint = fs::read_to_string(log.join("checkpoint")).context("read the checkpoint")?;
    let size: u64 = checkpoint
        .lines()
        .nth(1)
        .context("a checkpoint's second line is its size")?
        .parse()
        .context("size")?;
    let mut leaves = Vec::new();
    for index in 0..size.div_ceil(BUNDLE) {
        let width = BUNDLE.min(size - index * BUNDLE);
        let bytes =
            fs::read(bundle(log, index, width)).with_context(|| format!("entry bundle {index}"))?;
        entries(&bytes, width, &mut leaves).with_context(|| format!("entry bundle {index}"))?;
    }
    Ok(leaves)
}

/// The file of a bundle; the full one may stand there already.
fn bundle(log: &Path, index: u64, width: u64) -> PathBuf {
    let full = log.join("tile/entries").join(number(index));
    if width == BUNDLE || full.is_file() {
        return full;
    }
    log.join("tile/entries")
        .join(format!("{}.p/{width}", number(index)))
}

/// Groups of three digits, all but the last with an `x` before them.
fn number(index: u64) -> String {
    let (mut path, mut rest) = (format!("{:03}", index % 1000), index / 1000);
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

/// Entries are uint16 length-prefixed.
fn entries(mut bytes: &[u8], width: u64, leaves: &mut Vec<Value>) -> Result<()> {
    for _ in 0..width {
        let (length, rest) = bytes
            .split_first_chunk::<2>()
            .context("an entry's length is missing")?;
        let (entry, rest) = rest
            .split_at_checked(usize::from(u16::from_be_bytes(*length)))
            .context("an entry is cut short")?;
        leaves.push(serde_json::from_slice(entry).context("a leaf is no JSON")?);
        bytes = rest;
    }
    Ok(())
}

/// Leaves of a kind on a connection.
pub(crate) fn count(leaves: &[Value], kind: &str, connection: &str) -> usize {
    leaves
        .iter()
        .filter(|leaf| leaf["kind"] == kind && leaf["connection"] == connection)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_spelled_as_the_specification_does() {
        assert_eq!(
            [number(0), number(67), number(1067), number(1_234_067)],
            ["000", "067", "x001/067", "x001/x234/067"]
        );
    }

    #[test]
    fn a_bundle_that_is_cut_short_is_an_error() {
        let mut leaves = Vec::new();
        assert!(entries(b"\x00\x02{}\x00\x02{}", 2, &mut leaves).is_ok());
        assert_eq!(leaves.len(), 2);
        for cut in [
            b"\x00\x02{}\x00\x02{".as_slice(),
            b"\x00\x02{}\x00",
            b"\x00\x02{}",
        ] {
            assert!(entries(cut, 2, &mut Vec::new()).is_err(), "{cut:?}");
        }
    }
}
