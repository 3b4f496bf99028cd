/// Bits of a selector's key before the address: the port and 16 zero bits. A rule for an
/// address range of `n` bits (v4: 96 + n) has the prefix length `SELECTOR_PREFIX_BITS + n`.
pub const SELECTOR_PREFIX_BITS: u32 = 32;

/// Key data of the LPM trie `SELECTORS`: a port and a v4-mapped address in network order, so
/// that one look-up decides both. Always 20 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct SelectorKey(pub [u8; Self::SIZE]);

impl SelectorKey {
    /// Bytes of the key data, without the prefix length that precedes it in the map.
    pub const SIZE: usize = 20;

    /// Of a port (host order) and the 16 bytes of an address.
    #[must_use]
    #[inline(always)]
    pub const fn new(port: u16, a: [u8; 16]) -> Self {
        let [high, low] = port.to_be_bytes();
        Self([
            high, low, 0, 0, a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10],
            a[11], a[12], a[13], a[14], a[15],
        ])
    }
}

/// Value of the trie: what a match means. A longer prefix wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum SelectorKind {
    /// Not governed: a hole in a wider rule.
    Spare = 0,
    /// Governed.
    Govern = 1,
}
