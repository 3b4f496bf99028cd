macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// What the programs count, one slot each of the per-CPU map `COUNTERS`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Counter {
            $($(#[$doc])* $name,)+
        }

        impl Counter {
            /// Every counter, in the order of its slots.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name that metrics and status show.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

counters! {
    /// A connect that no selector matched: passed.
    Unselected = "unselected",
    /// Selected, but the caller is not guarded: passed.
    Unguarded = "unguarded",
    /// Selected and guarded in observe mode: passed.
    Observed = "observed",
    /// Selected and guarded, but the glass is broken: passed.
    BrokenGlass = "broken_glass",
    /// From Weir's own cgroup: passed.
    Weir = "weir",
    /// From an exempt cgroup: passed.
    Exempt = "exempt",
    /// Sent to a worker.
    Redirected = "redirected",
    /// Refused: no worker's heartbeat is fresh.
    RefusedStale = "refused_stale",
    /// Refused: the destination is one of Weir's own listeners.
    RefusedOwnListener = "refused_own_listener",
    /// Refused: the network namespace has no listeners.
    RefusedNetns = "refused_netns",
    /// Refused: the caller could not be stored with the socket.
    RefusedStorage = "refused_storage",
    /// Refused: nobody has configured listeners.
    RefusedUnconfigured = "refused_unconfigured",
    /// Refused: a datagram, or a connect that is not TCP, to a governed port.
    RefusedProtocol = "refused_protocol",
    /// Refused: a bind to a port of Weir's.
    RefusedBind = "refused_bind",
    /// A redirected socket was established and its origin set down for the accepted one.
    Established = "established",
    /// An accepted socket got its origin.
    Accepted = "accepted",
    /// The map of handshakes was full; the proxy resets the connection.
    HandoverFull = "handover_full",
    /// An accepted socket has no origin to take; the proxy resets the connection.
    HandoverMissing = "handover_missing",
    /// The origin that lay there belongs to another handshake; the proxy resets the connection.
    HandoverForeign = "handover_foreign",
}

impl Counter {
    /// Number of slots.
    pub const COUNT: usize = Self::ALL.len();
}
