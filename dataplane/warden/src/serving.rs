//! Which processes serve an address of this host: those that have its listening socket open.
//!
//! A process that accepts has the socket that it accepts from. What was accepted could be handed
//! on to another process over a Unix socket; a server that does so is not linked to its calls.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;

use weir_handover::Serving;
use weir_handover::limits::SERVING_MAX;

/// A listening socket's state in `/proc/net/tcp` (TCP_LISTEN).
const LISTEN: &str = "0A";

/// Who serves an address.
pub(crate) fn find(target: SocketAddr) -> Serving {
    let target = SocketAddr::new(target.ip().to_canonical(), target.port());
    if !is_local(target.ip()) {
        return Serving::Elsewhere;
    }
    let inodes = listeners(target);
    if inodes.is_empty() {
        return Serving::Unknown;
    }
    match holders(&inodes) {
        pids if pids.is_empty() || pids.len() > SERVING_MAX => Serving::Unknown,
        pids => Serving::Processes(pids),
    }
}

/// Only an address of this host can be bound to.
fn is_local(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind(SocketAddr::new(address, 0)).is_ok()
}

/// Inodes of the sockets that the kernel would choose for a connection to `target`: the most
/// specific ones, of which there are several where they share a port (SO_REUSEPORT).
fn listeners(target: SocketAddr) -> Vec<u64> {
    let mut found = Vec::new();
    for path in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        let Ok(file) = File::open(path) else { continue };
        let lines = BufReader::new(file).lines().map_while(Result::ok).skip(1);
        found.extend(lines.filter_map(|line| {
            let (local, inode) = listening(&line)?;
            Some((closeness(local, target)?, inode))
        }));
    }
    let best = found.iter().map(|(closeness, _)| *closeness).max();
    found
        .into_iter()
        .filter(|(closeness, _)| Some(*closeness) == best)
        .map(|(_, inode)| inode)
        .collect()
}

/// How closely a socket that listens at `local` fits: by its own address, by any of the family,
/// by any of both families.
fn closeness(local: SocketAddr, target: SocketAddr) -> Option<u8> {
    if local.port() != target.port() {
        return None;
    }
    match (local.ip(), target.ip()) {
        (own, asked) if own.to_canonical() == asked => Some(3),
        (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(_))
        | (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(_)) => Some(2),
        (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(_)) => Some(1),
        (_, _) => None,
    }
}

/// Local address and inode of a line of `/proc/net/tcp`, if it listens (proc_pid_net(5)).
fn listening(line: &str) -> Option<(SocketAddr, u64)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, _remote, state) = (fields.next()?, fields.next()?, fields.next()?);
    if state != LISTEN {
        return None;
    }
    // Queues, timers, retransmits, uid and timeout lie between.
    Some((address(local)?, fields.nth(5)?.parse().ok()?))
}

/// An address as the kernel prints it: words of 32 bits in the host's order, each as a number.
fn address(text: &str) -> Option<SocketAddr> {
    let (digits, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words = digits.as_bytes().chunks(8).map(|word| {
        let word = std::str::from_utf8(word).ok()?;
        Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
    });
    let octets = words.collect::<Option<Vec<_>>>()?.concat();
    let ip = match <[u8; 4]>::try_from(octets.as_slice()) {
        Ok(octets) => IpAddr::from(octets),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(octets.as_slice()).ok()?),
    };
    Some(SocketAddr::new(ip, port))
}

/// Processes with a descriptor of one of these sockets. One that ends meanwhile is passed over.
fn holders(inodes: &[u64]) -> Vec<u32> {
    let names: Vec<String> = inodes
        .iter()
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let has_one = |fd: &Path| {
        let link = fs::read_link(fd).ok();
        let link = link.as_deref().and_then(Path::to_str);
        link.is_some_and(|link| names.iter().any(|name| name == link))
    };
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let mut descriptors = fs::read_dir(process.path().join("fd")).ok()?.flatten();
            descriptors
                .any(|descriptor| has_one(&descriptor.path()))
                .then_some(pid)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn serving(listener: &TcpListener, host: &str) -> Serving {
        let port = listener.local_addr().unwrap().port();
        find(format!("{host}:{port}").parse().unwrap())
    }

    #[test]
    fn a_listener_is_found_by_each_address_that_reaches_it() {
        let own = Serving::Processes(vec![std::process::id()]);
        let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(serving(&v4, "127.0.0.1"), own);
        assert_eq!(serving(&v4, "[::ffff:127.0.0.1]"), own);
        assert_eq!(serving(&v4, "127.0.0.2"), Serving::Unknown);
        let any = TcpListener::bind("0.0.0.0:0").unwrap();
        assert_eq!(serving(&any, "127.0.0.3"), own);
        if let Ok(v6) = TcpListener::bind("[::]:0") {
            assert_eq!(serving(&v6, "[::1]"), own);
            assert_eq!(serving(&v6, "127.0.0.1"), own);
        }
    }

    #[test]
    fn a_closed_port_is_not_known_and_another_hosts_address_is_elsewhere() {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        assert_eq!(find(port), Serving::Unknown);
        assert_eq!(find("192.0.2.1:80".parse().unwrap()), Serving::Elsewhere);
    }

    #[test]
    fn the_closest_listener_is_the_one_that_is_meant() {
        let target = "127.0.0.1:80".parse().unwrap();
        let close = |local: &str| closeness(local.parse().unwrap(), target);
        assert!(close("127.0.0.1:80") > close("0.0.0.0:80"));
        assert!(close("0.0.0.0:80") > close("[::]:80"));
        assert_eq!(close("[::ffff:127.0.0.1]:80"), close("127.0.0.1:80"));
        assert_eq!(close("127.0.0.2:80"), None);
        assert_eq!(close("127.0.0.1:81"), None);
    }

    #[test]
    fn lines_of_the_kernels_table_are_read() {
        let line = "   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0";
        let expected = ("127.0.0.1:5432".parse().unwrap(), 4242);
        assert_eq!(listening(line), Some(expected));
        assert_eq!(listening(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(listening("  sl  local_address"), None);
        let v6 = "00000000000000000000000001000000:0050";
        assert_eq!(address(v6), Some("[::1]:80".parse().unwrap()));
        assert_eq!(address("zz:0050"), None);
    }
}
