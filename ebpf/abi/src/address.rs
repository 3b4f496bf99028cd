//! Addresses as the kernel's contexts hold them: four words, each in network order. IPv4 is
//! v4-mapped (RFC 4291 §2.5.5.2), so that one trie and one record serve both families.

/// Four words in network order.
pub type Words = [u32; 4];

/// The third word of a v4-mapped address: `0000:ffff` in network order.
pub const MAPPED_WORD: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

/// 127.0.0.1 in network order.
pub const LOOPBACK_V4_WORD: u32 = u32::from_ne_bytes([127, 0, 0, 1]);

/// ::1.
pub const LOOPBACK_V6: Words = [0, 0, 0, u32::from_ne_bytes([0, 0, 0, 1])];

/// ::ffff:127.0.0.1.
pub const LOOPBACK_V4: Words = mapped(LOOPBACK_V4_WORD);

/// The v4-mapped form of an IPv4 address given as one word in network order.
#[must_use]
#[inline(always)]
pub const fn mapped(v4: u32) -> Words {
    [0, 0, MAPPED_WORD, v4]
}

/// Whether an address is v4-mapped.
#[must_use]
#[inline(always)]
pub const fn is_mapped(words: Words) -> bool {
    words[0] == 0 && words[1] == 0 && words[2] == MAPPED_WORD
}

/// Where a connect to this address goes. The unspecified address means this host's
/// loopback (a BSD habit that Linux keeps, in `tcp_v4_connect` and `tcp_v6_connect`, after
/// the hook has run): without this, 0.0.0.0 would dodge a rule for 127.0.0.1.
#[must_use]
#[inline(always)]
pub const fn effective(words: Words) -> Words {
    if is_mapped(words) && words[3] == 0 {
        LOOPBACK_V4
    } else if words[0] == 0 && words[1] == 0 && words[2] == 0 && words[3] == 0 {
        LOOPBACK_V6
    } else {
        words
    }
}

/// Whether Weir's redirect listeners have this address: 127.0.0.1 or ::1, exactly.
#[must_use]
#[inline(always)]
pub const fn is_listener(words: Words) -> bool {
    (is_mapped(words) && words[3] == LOOPBACK_V4_WORD)
        || (words[0] == 0 && words[1] == 0 && words[2] == 0 && words[3] == LOOPBACK_V6[3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unspecified_address_means_loopback_in_every_spelling() {
        assert_eq!(effective(mapped(0)), LOOPBACK_V4);
        assert_eq!(effective([0; 4]), LOOPBACK_V6);
        let other = mapped(u32::from_ne_bytes([10, 0, 0, 1]));
        assert_eq!(effective(other), other);
    }

    #[test]
    fn only_the_two_loopback_addresses_are_listeners() {
        assert!(is_listener(LOOPBACK_V4) && is_listener(LOOPBACK_V6));
        assert!(!is_listener(mapped(u32::from_ne_bytes([127, 0, 0, 2]))));
        assert!(!is_listener([0; 4]));
    }
}
