//! Reading and writing fixed-size values at known offsets, without `unsafe` and without
//! indexing. Byte order is the host's: the other side is this host's kernel.

/// Reads `N` bytes at `offset`, or `None` past the end.
pub(crate) fn bytes_at<const N: usize>(from: &[u8], offset: usize) -> Option<[u8; N]> {
    from.get(offset..)?.first_chunk::<N>().copied()
}

/// Reads a `u64` at `offset`.
pub(crate) fn u64_at(from: &[u8], offset: usize) -> Option<u64> {
    bytes_at(from, offset).map(u64::from_ne_bytes)
}

/// Reads a `u32` at `offset`.
pub(crate) fn u32_at(from: &[u8], offset: usize) -> Option<u32> {
    bytes_at(from, offset).map(u32::from_ne_bytes)
}

/// Reads a `u16` at `offset`.
pub(crate) fn u16_at(from: &[u8], offset: usize) -> Option<u16> {
    bytes_at(from, offset).map(u16::from_ne_bytes)
}
