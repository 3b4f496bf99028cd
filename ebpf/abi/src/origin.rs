use crate::address::Words;
use crate::wire::{bytes_at, u16_at, u32_at, u64_at};

/// How the client's socket spelled the address that it connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Family {
    /// An `AF_INET` socket.
    V4 = 1,
    /// An `AF_INET6` socket and a native address.
    V6 = 2,
    /// An `AF_INET6` socket and a v4-mapped address.
    V4Mapped = 3,
}

impl Family {
    /// From the number in a map.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::V4),
            2 => Some(Self::V6),
            3 => Some(Self::V4Mapped),
            _ => None,
        }
    }
}

/// Value of maps `CLIENTS` (by the client's socket) and `ACCEPTED` (by the proxy's): where a
/// redirected connection was bound for, and who asked, as the kernel knew at connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Origin {
    /// Where the client connected to, v4-mapped; never the unspecified address.
    pub destination: Words,
    /// The client's socket.
    pub socket_cookie: u64,
    /// CLOCK_BOOTTIME (ns) of the connect; `/proc/PID/stat` counts a start from the same zero.
    pub connect_boottime_ns: u64,
    /// cgroup2 id of the caller (the inode number of its directory).
    pub cgroup_id: u64,
    /// Network namespace of the client's socket.
    pub netns_cookie: u64,
    /// Process (thread group) id in the first pid namespace.
    pub tgid: u32,
    /// Thread id in the first pid namespace.
    pub tid: u32,
    /// Real user id in the first user namespace.
    pub uid: u32,
    /// Real group id in the first user namespace.
    pub gid: u32,
    /// Port of the destination, host order.
    pub destination_port: u16,
    /// Port of the listener that it was sent to, host order.
    pub listener_port: u16,
    /// A [`Family`], as its number.
    pub family: u32,
}

impl Origin {
    /// Bytes in a map.
    pub const SIZE: usize = 72;

    /// From its bytes in a map; `None` if they are not an origin.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let family = u32_at(bytes, 68)?;
        Family::from_number(family)?;
        Some(Self {
            destination: [
                u32_at(bytes, 0)?,
                u32_at(bytes, 4)?,
                u32_at(bytes, 8)?,
                u32_at(bytes, 12)?,
            ],
            socket_cookie: u64_at(bytes, 16)?,
            connect_boottime_ns: u64_at(bytes, 24)?,
            cgroup_id: u64_at(bytes, 32)?,
            netns_cookie: u64_at(bytes, 40)?,
            tgid: u32_at(bytes, 48)?,
            tid: u32_at(bytes, 52)?,
            uid: u32_at(bytes, 56)?,
            gid: u32_at(bytes, 60)?,
            destination_port: u16_at(bytes, 64)?,
            listener_port: u16_at(bytes, 66)?,
            family,
        })
    }

    /// The 16 bytes of the destination in network order.
    #[must_use]
    pub fn destination_octets(&self) -> [u8; 16] {
        let mut octets = [0; 16];
        for (place, word) in octets.chunks_exact_mut(4).zip(self.destination) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        octets
    }
}

/// The four words of 16 bytes in network order.
#[must_use]
pub fn words_of(octets: [u8; 16]) -> Words {
    let word = |offset| bytes_at(&octets, offset).map_or(0, u32::from_ne_bytes);
    [word(0), word(4), word(8), word(12)]
}

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<Origin>() == Origin::SIZE);
    assert!(offset_of!(Origin, socket_cookie) == 16);
    assert!(offset_of!(Origin, connect_boottime_ns) == 24);
    assert!(offset_of!(Origin, cgroup_id) == 32);
    assert!(offset_of!(Origin, netns_cookie) == 40);
    assert!(offset_of!(Origin, tgid) == 48);
    assert!(offset_of!(Origin, tid) == 52);
    assert!(offset_of!(Origin, uid) == 56);
    assert!(offset_of!(Origin, gid) == 60);
    assert!(offset_of!(Origin, destination_port) == 64);
    assert!(offset_of!(Origin, listener_port) == 66);
    assert!(offset_of!(Origin, family) == 68);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_field_by_field_from_the_kernels_bytes() {
        let mut bytes = [0_u8; Origin::SIZE];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::try_from(index).unwrap();
        }
        bytes[68..].copy_from_slice(&2_u32.to_ne_bytes());
        let origin = Origin::from_bytes(&bytes).unwrap();
        assert_eq!(
            origin.destination_octets(),
            *bytes.first_chunk::<16>().unwrap()
        );
        assert_eq!(origin.destination, words_of(origin.destination_octets()));
        assert_eq!(origin.tgid.to_ne_bytes(), [48, 49, 50, 51]);
        assert_eq!(origin.listener_port.to_ne_bytes(), [66, 67]);
    }

    #[test]
    fn bytes_without_a_known_family_are_no_origin() {
        assert_eq!(
            Origin::from_bytes(&[0; Origin::SIZE]),
            None,
            "an empty slot names nobody"
        );
        assert_eq!(Origin::from_bytes(&[0xff; Origin::SIZE]), None);
    }
}
