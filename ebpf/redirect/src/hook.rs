/// A place in the kernel where a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hook {
    /// Redirects or refuses IPv4 connects.
    Connect4,
    /// Redirects or refuses IPv6 and v4-mapped connects.
    Connect6,
    /// Keeps Weir's ports from others.
    Bind4,
    /// Keeps Weir's ports from others.
    Bind6,
    /// Refuses datagrams to governed ports.
    Sendmsg4,
    /// Refuses datagrams to governed ports.
    Sendmsg6,
    /// Shows the client the address that it asked for.
    Getpeername4,
    /// Shows the client the address that it asked for.
    Getpeername6,
    /// Carries the origin to the accepted socket.
    SockOps,
}

impl Hook {
    /// Every hook, in the order in which they are attached: what a redirected connection
    /// needs comes before what redirects it.
    pub const ALL: [Self; 9] = [
        Self::Bind4,
        Self::Bind6,
        Self::SockOps,
        Self::Getpeername4,
        Self::Getpeername6,
        Self::Sendmsg4,
        Self::Sendmsg6,
        Self::Connect4,
        Self::Connect6,
    ];

    /// The program's name in the object.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Connect4 => "connect4",
            Self::Connect6 => "connect6",
            Self::Bind4 => "bind4",
            Self::Bind6 => "bind6",
            Self::Sendmsg4 => "sendmsg4",
            Self::Sendmsg6 => "sendmsg6",
            Self::Getpeername4 => "getpeername4",
            Self::Getpeername6 => "getpeername6",
            Self::SockOps => "sock_ops",
        }
    }

    /// `enum bpf_attach_type` in `include/uapi/linux/bpf.h`.
    pub(crate) const fn attach_type(self) -> u32 {
        match self {
            Self::SockOps => 3,
            Self::Bind4 => 8,
            Self::Bind6 => 9,
            Self::Connect4 => 10,
            Self::Connect6 => 11,
            Self::Sendmsg4 => 14,
            Self::Sendmsg6 => 15,
            Self::Getpeername4 => 29,
            Self::Getpeername6 => 30,
        }
    }
}
