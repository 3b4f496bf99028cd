use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use weir_ebpf_abi::{Family, Origin};

use crate::sys;

/// Who connected, as the kernel knew at connect. Numbers are those of the first (the host's)
/// namespaces. A process can have executed something else since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// Process (thread group) id.
    pub tgid: u32,
    /// Thread id.
    pub tid: u32,
    /// Real user id.
    pub uid: u32,
    /// Real group id.
    pub gid: u32,
    /// cgroup2 id: the inode number of the cgroup's directory.
    pub cgroup_id: u64,
    /// Network namespace of the socket.
    pub netns_cookie: u64,
    /// CLOCK_BOOTTIME (ns) of the connect.
    pub connect_boottime_ns: u64,
}

/// Where a redirected connection was bound for, and who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowOrigin {
    /// What the client connected to; an IPv4 address is never in its mapped form.
    pub destination: SocketAddr,
    /// How the client's socket spelled it.
    pub family: Family,
    /// The client.
    pub caller: Caller,
    /// The client's socket.
    pub socket_cookie: u64,
}

impl FlowOrigin {
    fn of(origin: &Origin) -> Option<Self> {
        let address = IpAddr::V6(Ipv6Addr::from(origin.destination_octets())).to_canonical();
        Some(Self {
            destination: SocketAddr::new(address, origin.destination_port),
            family: Family::from_number(origin.family)?,
            caller: Caller {
                tgid: origin.tgid,
                tid: origin.tid,
                uid: origin.uid,
                gid: origin.gid,
                cgroup_id: origin.cgroup_id,
                netns_cookie: origin.netns_cookie,
                connect_boottime_ns: origin.connect_boottime_ns,
            },
            socket_cookie: origin.socket_cookie,
        })
    }
}

/// Tells the origin of an accepted socket. The kernel keeps it with the socket itself, so it
/// is right even if the port has been used by another client since. Needs no privilege.
#[derive(Debug)]
pub struct FlowStore(OwnedFd);

impl FlowStore {
    /// From the descriptor of [`crate::Redirect::flow_store_fd`].
    #[must_use]
    pub const fn new(map: OwnedFd) -> Self {
        Self(map)
    }

    /// The origin of an accepted socket. `None` means that nobody was redirected to it:
    /// reset it. An error means the same.
    pub fn origin(&self, socket: BorrowedFd<'_>) -> io::Result<Option<FlowOrigin>> {
        let mut value = [0; Origin::SIZE];
        match sys::map_lookup(
            self.0.as_fd(),
            &socket.as_raw_fd().to_ne_bytes(),
            &mut value,
        ) {
            Ok(()) => Origin::from_bytes(&value)
                .and_then(|origin| FlowOrigin::of(&origin))
                .map(Some)
                .ok_or_else(|| io::ErrorKind::InvalidData.into()),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
