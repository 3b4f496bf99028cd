use crate::wire::u64_at;

/// Whether every cgroup of the host is guarded, besides those guarded by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardAll {
    /// Only the named ones.
    No,
    /// All, counted and let through.
    Observe,
    /// All, redirected or refused.
    Enforce,
}

/// Everything that a program needs on each call, in one word, so that a change is seen whole
/// or not at all: base port (16 bits), workers (16), guard-all (8), break-glass (8), 16 zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Switches(u64);

impl Switches {
    /// Nothing set: whatever is guarded is refused.
    pub const CLOSED: Self = Self(0);

    /// Listener ports are `base_port .. base_port + workers`.
    #[must_use]
    pub const fn new(base_port: u16, workers: u16) -> Self {
        Self(base_port as u64 | (workers as u64) << 16)
    }

    /// The same, with every cgroup guarded or not.
    #[must_use]
    pub const fn with_guard_all(self, all: GuardAll) -> Self {
        let bits = match all {
            GuardAll::No => 0,
            GuardAll::Observe => 1,
            GuardAll::Enforce => 2,
        };
        Self(self.0 & !(0xff << 32) | bits << 32)
    }

    /// The same, with the glass broken: guarded connections pass unredirected.
    #[must_use]
    pub const fn with_broken_glass(self) -> Self {
        Self(self.0 & !(0xff << 40) | 1 << 40)
    }

    /// The same, with the glass whole.
    #[must_use]
    pub const fn with_whole_glass(self) -> Self {
        Self(self.0 & !(0xff << 40))
    }

    /// From the word in the map.
    #[must_use]
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// The word in the map.
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// First listener port, host order.
    #[must_use]
    #[inline(always)]
    pub const fn base_port(self) -> u32 {
        (self.0 & 0xffff) as u32
    }

    /// Number of workers; 0 while nobody has configured it.
    #[must_use]
    #[inline(always)]
    pub const fn workers(self) -> u32 {
        (self.0 >> 16 & 0xffff) as u32
    }

    /// Whether unnamed cgroups are guarded. An unknown value is the strictest one.
    #[must_use]
    #[inline(always)]
    pub const fn guard_all(self) -> GuardAll {
        match self.0 >> 32 & 0xff {
            0 => GuardAll::No,
            1 => GuardAll::Observe,
            _ => GuardAll::Enforce,
        }
    }

    /// Whether guarded connections pass unredirected. Only the value 1 opens.
    #[must_use]
    #[inline(always)]
    pub const fn glass_is_broken(self) -> bool {
        self.0 >> 40 & 0xff == 1
    }

    /// Whether a port (host order) is one of the redirect's listeners.
    #[must_use]
    #[inline(always)]
    pub const fn is_listener_port(self, port: u32) -> bool {
        port.wrapping_sub(self.base_port()) < self.workers()
    }
}

/// The one value of map `CONFIG`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Config {
    /// A [`Switches`] word.
    pub switches: u64,
    /// A worker whose heartbeat is older (ns) gets no connections.
    pub heartbeat_ttl_ns: u64,
}

const _: () = assert!(size_of::<Config>() == 16);

impl Config {
    /// Its bytes in the map.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (switches, ttl) = bytes.split_at_mut(8);
        switches.copy_from_slice(&self.switches.to_ne_bytes());
        ttl.copy_from_slice(&self.heartbeat_ttl_ns.to_ne_bytes());
        bytes
    }

    /// From its bytes in the map.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 16]) -> Option<Self> {
        Some(Self {
            switches: u64_at(bytes, 0)?,
            heartbeat_ttl_ns: u64_at(bytes, 8)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_keep_their_parts_apart() {
        let switches = Switches::new(15_432, 8)
            .with_guard_all(GuardAll::Enforce)
            .with_broken_glass();
        assert_eq!((switches.base_port(), switches.workers()), (15_432, 8));
        assert_eq!(switches.guard_all(), GuardAll::Enforce);
        assert!(switches.glass_is_broken());
        assert!(!switches.with_whole_glass().glass_is_broken());
        assert_eq!(
            switches.with_guard_all(GuardAll::Observe).guard_all(),
            GuardAll::Observe
        );
    }

    #[test]
    fn only_ports_of_workers_are_listener_ports() {
        let switches = Switches::new(15_432, 2);
        let inside = [15_431, 15_432, 15_433, 15_434, 0, u32::MAX]
            .map(|port| switches.is_listener_port(port));
        assert_eq!(inside, [false, true, true, false, false, false]);
        assert!(
            !Switches::CLOSED.is_listener_port(0),
            "with no workers there is no listener"
        );
    }

    #[test]
    fn an_unknown_guard_all_enforces_and_an_unknown_glass_stays_whole() {
        let word = Switches::from_word(0xffff << 32);
        assert_eq!(word.guard_all(), GuardAll::Enforce);
        assert!(!word.glass_is_broken());
    }

    #[test]
    fn a_config_reads_back_what_it_writes() {
        let config = Config {
            switches: 7,
            heartbeat_ttl_ns: 9,
        };
        assert_eq!(Config::from_bytes(&config.to_bytes()), Some(config));
    }
}
