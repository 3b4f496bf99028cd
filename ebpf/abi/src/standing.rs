/// Value of map `CGROUPS`: what a cgroup is to Weir, as bits. A process has the bits of its
/// cgroup and of every ancestor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Standing(u32);

impl Standing {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Guarded: counted and let through.
    pub const OBSERVE: Self = Self(1);
    /// Guarded: redirected or refused.
    pub const ENFORCE: Self = Self(2);
    /// Exempt by rule: replication, backup.
    pub const EXEMPT: Self = Self(4);
    /// Weir itself: exempt, and the only one that may bind Weir's ports.
    pub const WEIR: Self = Self(8);

    /// From the number in the map.
    #[must_use]
    #[inline(always)]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The number in the map.
    #[must_use]
    #[inline(always)]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Both.
    #[must_use]
    #[inline(always)]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every bit of `other` is set.
    #[must_use]
    #[inline(always)]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}
