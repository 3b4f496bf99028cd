use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use weir_ebpf_abi::{SELECTOR_PREFIX_BITS, SelectorKey, SelectorKind};

/// Bytes of a key in the map: prefix length and data.
pub(crate) const KEY_BYTES: usize = 4 + SelectorKey::SIZE;

/// A governed port at an address or a range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selector {
    address: IpAddr,
    /// Leading bits of the address that count.
    bits: u8,
    port: u16,
}

/// A selector that is spelled wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorError(String);

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not an address or range with a port, like 10.0.0.7:5432, 10.0.0.0/8:5432 or [fd00::/8]:5432",
            self.0
        )
    }
}

impl std::error::Error for SelectorError {}

impl Selector {
    /// One address. A v4-mapped one means the IPv4 address.
    #[must_use]
    pub fn address(address: IpAddr, port: u16) -> Option<Self> {
        let address = address.to_canonical();
        Self::range(address, if address.is_ipv4() { 32 } else { 128 }, port)
    }

    /// All addresses that share the first `bits`. `None` for port 0 and for more bits than
    /// the address has.
    #[must_use]
    pub const fn range(address: IpAddr, bits: u8, port: u16) -> Option<Self> {
        let most = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        if bits > most || port == 0 {
            None
        } else {
            Some(Self {
                address,
                bits,
                port,
            })
        }
    }

    /// Host-order port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Key in the map. Bits beyond the prefix are zero, so that equal ranges have equal keys.
    pub(crate) fn key(&self) -> [u8; KEY_BYTES] {
        let (octets, bits) = match self.address {
            IpAddr::V4(v4) => (v4.to_ipv6_mapped().octets(), u32::from(self.bits) + 96),
            IpAddr::V6(v6) => (v6.octets(), u32::from(self.bits)),
        };
        let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
        let masked = (u128::from_be_bytes(octets) & mask).to_be_bytes();
        let mut key = [0; KEY_BYTES];
        let (prefix, data) = key.split_at_mut(4);
        prefix.copy_from_slice(&(SELECTOR_PREFIX_BITS + bits).to_ne_bytes());
        data.copy_from_slice(&SelectorKey::new(self.port, masked).0);
        key
    }
}

/// Value in the map.
pub(crate) const fn value(kind: SelectorKind) -> [u8; 4] {
    (kind as u32).to_ne_bytes()
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(v4) if self.bits == 32 => write!(f, "{v4}:{}", self.port),
            IpAddr::V4(v4) => write!(f, "{v4}/{}:{}", self.bits, self.port),
            IpAddr::V6(v6) if self.bits == 128 => write!(f, "[{v6}]:{}", self.port),
            IpAddr::V6(v6) => write!(f, "[{v6}/{}]:{}", self.bits, self.port),
        }
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| SelectorError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Selector> {
    let (range, port) = text.rsplit_once(':')?;
    let range = match range.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if range.contains(':') => return None,
        None => range,
    };
    let port = port.parse().ok()?;
    match range.split_once('/') {
        Some((address, bits)) => Selector::range(address.parse().ok()?, bits.parse().ok()?, port),
        None => Selector::address(range.parse().ok()?, port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_reads_back_what_it_writes() {
        for text in [
            "10.0.0.7:5432",
            "10.0.0.0/8:5432",
            "[fd00::/8]:5432",
            "[fd00::1]:8080",
            "0.0.0.0/0:1",
            "[::/0]:1",
        ] {
            assert_eq!(text.parse::<Selector>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn a_misspelled_selector_is_refused() {
        for text in [
            "",
            "10.0.0.7",
            "10.0.0.7:0",
            "10.0.0.7:65536",
            "10.0.0.0/33:1",
            "fd00::1:80",
            "[fd00::1]",
            "[fd00::/129]:1",
            "a:1",
        ] {
            assert!(text.parse::<Selector>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_mapped_address_means_the_ipv4_address_and_host_bits_do_not_count() {
        let key = |text: &str| text.parse::<Selector>().expect(text).key();
        assert_eq!(key("[::ffff:10.0.0.7]:5432"), key("10.0.0.7:5432"));
        assert_eq!(key("10.1.2.3/8:5432"), key("10.0.0.0/8:5432"));
        assert_ne!(key("10.0.0.0/8:5432"), key("10.0.0.0/9:5432"));
        assert_eq!(key("[::/0]:1")[..4], 32_u32.to_ne_bytes());
    }
}
