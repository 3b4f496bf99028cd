use crate::Origin;
use crate::address::Words;

/// Key of map `HANDOVERS`: a loopback handshake as both ends see it. The server's address
/// follows from the client's family, since listeners have only one address of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct HandoverKey {
    /// Network namespace of both ends.
    pub netns_cookie: u64,
    /// The client's address, v4-mapped.
    pub client: Words,
    /// The client's port, host order.
    pub client_port: u32,
    /// The listener's port, host order.
    pub listener_port: u32,
}

/// Value of map `HANDOVERS`: what the client's end leaves for the accepted end.
///
/// The two sequence numbers make the match exact: the accepted socket takes the origin only
/// if both ends agree on both initial sequence numbers, so that a record left behind by an
/// earlier use of the same four-tuple can never name the wrong caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Handover {
    /// Who connects, and where to.
    pub origin: Origin,
    /// Next sequence number of the client; the accepted end expects it as `rcv_nxt`.
    pub client_sequence: u32,
    /// Next sequence number of the server; the accepted end has it as `snd_nxt`.
    pub server_sequence: u32,
}

const _: () = assert!(size_of::<HandoverKey>() == 32);
const _: () = assert!(size_of::<Handover>() == Origin::SIZE + 8);
