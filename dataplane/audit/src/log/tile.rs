use std::fmt::Write as _;

use crate::limits::{HASH_BYTES, TILE_WIDTH};

/// Names a tile, or an entry bundle, by its place (C2SP tlog-tiles §Merkle tree, §Log entries).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// Height in tiles: hashes of level `l` are roots of subtrees of 256ˡ leaves. `None` is
    /// the entry bundles.
    pub level: Option<u8>,
    /// Position among the tiles of its level.
    pub index: u64,
    /// Hashes or entries in it, 1 to 256; fewer than 256 make it partial.
    pub width: usize,
}

impl Tile {
    /// The full tile in the place of this one.
    #[must_use]
    pub const fn full(self) -> Self {
        Self {
            width: TILE_WIDTH,
            ..self
        }
    }

    /// Whether it lacks hashes that a larger tree will add.
    #[must_use]
    pub const fn is_partial(self) -> bool {
        self.width < TILE_WIDTH
    }

    /// `tile/0/x001/234.p/56`, `tile/entries/000`.
    #[must_use]
    pub fn path(self) -> String {
        let mut path = match self.level {
            Some(level) => format!("tile/{level}/"),
            None => String::from("tile/entries/"),
        };
        push_index(&mut path, self.index);
        if self.is_partial() {
            // Writing to a String does not fail.
            let _ = write!(path, ".p/{}", self.width);
        }
        path
    }

    /// As much of the full tile's content as this one has; `None` if that is too short.
    #[must_use]
    pub fn beginning(self, mut full: Vec<u8>) -> Option<Vec<u8>> {
        let mut bytes = self.width * HASH_BYTES;
        if self.level.is_none() {
            bytes = 0;
            for _ in 0..self.width {
                let (length, _) = full.get(bytes..)?.split_first_chunk::<2>()?;
                bytes += 2 + usize::from(u16::from_be_bytes(*length));
            }
        }
        full.get(..bytes)?;
        full.truncate(bytes);
        Some(full)
    }

    /// The directory of the partial tiles in this place: `tile/0/x001/234.p`.
    #[must_use]
    pub fn partials_path(self) -> String {
        format!("{}.p", self.full().path())
    }
}

/// Groups of three digits, all but the last with `x` before them.
fn push_index(path: &mut String, index: u64) {
    let mut groups = Vec::new();
    let mut rest = index;
    loop {
        groups.push(rest % 1000);
        rest /= 1000;
        if rest == 0 {
            break;
        }
    }
    for (after, group) in groups.iter().enumerate().rev() {
        let _ = if after > 0 {
            write!(path, "x{group:03}/")
        } else {
            write!(path, "{group:03}")
        };
    }
}

/// Why an entry bundle is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// It ends within an entry, or has too few.
    #[error("it ends at entry {0}")]
    Short(usize),
    /// Bytes follow the last entry.
    #[error("{0} bytes follow the last entry")]
    Trailing(usize),
}

/// Reads the `width` entries of a bundle: each a big-endian `uint16` length and that many
/// bytes, and nothing after the last.
///
/// # Errors
/// If there are fewer or more.
pub fn read_bundle(bundle: &[u8], width: usize) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::with_capacity(width.min(TILE_WIDTH));
    let mut rest = bundle;
    for index in 0..width {
        let short = BundleError::Short(index);
        let (length, after) = rest.split_first_chunk::<2>().ok_or(short)?;
        let (entry, after) = after
            .split_at_checked(usize::from(u16::from_be_bytes(*length)))
            .ok_or(short)?;
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() {
        Ok(entries)
    } else {
        Err(BundleError::Trailing(rest.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_the_ones_of_the_specification() {
        let path = |level, index, width| {
            Tile {
                level,
                index,
                width,
            }
            .path()
        };
        assert_eq!(path(Some(0), 0, 256), "tile/0/000");
        assert_eq!(path(Some(0), 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(path(Some(1), 273, 5), "tile/1/273.p/5");
        assert_eq!(path(None, 1000, 112), "tile/entries/x001/000.p/112");
        assert_eq!(
            Tile {
                level: None,
                index: 1000,
                width: 112
            }
            .partials_path(),
            "tile/entries/x001/000.p"
        );
    }

    #[test]
    fn a_bundle_with_too_few_or_too_many_bytes_is_refused() {
        assert_eq!(
            read_bundle(b"\0\x01a\0\0", 2),
            Ok(vec![&b"a"[..], &b""[..]])
        );
        assert_eq!(read_bundle(b"\0\x01a\0", 2), Err(BundleError::Short(1)));
        assert_eq!(read_bundle(b"\0\x02a", 1), Err(BundleError::Short(0)));
        assert_eq!(read_bundle(b"\0\x01a\0", 1), Err(BundleError::Trailing(1)));
    }
}
