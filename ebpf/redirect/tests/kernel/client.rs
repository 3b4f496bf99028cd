//! What runs in another process: `client CGROUP WHAT …`. Prints one line per answer.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use weir_redirect::{FlowStore, LoadBoard, Place, Redirect};

use crate::bed::{enter, read_all};

pub(crate) fn main(arguments: &[String]) -> ExitCode {
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("client: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (cgroup, what) = arguments.split_first().context("no cgroup")?;
    if let ["made-before", address] = what {
        // The socket belongs to the cgroup of its maker, the process to another.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        enter(Path::new(cgroup))?;
        return say(connect_with(&socket, address.parse()?).and_then(|()| read_all(&socket)));
    }
    enter(Path::new(cgroup))?;
    match what {
        ["connect", addresses @ ..] => addresses
            .iter()
            .try_for_each(|address| say(connect(address.parse()?))),
        ["connect-as", uid, address] => {
            become_user(uid.parse()?)?;
            say(connect(address.parse()?))
        }
        ["nonblocking", address] => say(nonblocking(address.parse()?)),
        ["uring", address] => say(uring(address.parse()?)),
        ["peer", address] => say(TcpStream::connect(address.parse::<SocketAddr>()?)
            .and_then(|stream| stream.peer_addr())),
        ["peer-after", address, other] => say(peer_after(address.parse()?, other.parse()?)),
        ["bind", addresses @ ..] => addresses.iter().try_for_each(|address| {
            say(TcpListener::bind(address).and_then(|bound| bound.local_addr()))
        }),
        ["bind-datagram", address] => {
            say(UdpSocket::bind(address).and_then(|bound| bound.local_addr()))
        }
        ["datagram", local, address] => {
            say(UdpSocket::bind(local).and_then(|socket| socket.send_to(b"x", address)))
        }
        ["datagram-connect", local, address] => say(UdpSocket::bind(local)
            .and_then(|socket| socket.connect(address))
            .map(|()| "connected")),
        ["storm", count, addresses @ ..] => storm(count.parse()?, addresses),
        ["from-port", port, address, last] => from_port(port.parse()?, address.parse()?, last),
        ["elsewhere", port] => elsewhere(port.parse()?),
        ["unprivileged"] => unprivileged(),
        ["install", pins] => install(Path::new(cgroup), Path::new(pins)),
        other => bail!("what is {other:?}?"),
    }
}

fn say(answer: io::Result<impl std::fmt::Display>) -> Result<()> {
    match answer {
        Ok(text) => println!("{text}"),
        Err(error) => println!("error {}", error.raw_os_error().unwrap_or(0)),
    }
    Ok(())
}

fn connect(address: SocketAddr) -> io::Result<String> {
    TcpStream::connect(address).and_then(read_all)
}

fn connect_with(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    socket.connect(&SockAddr::from(address))
}

fn become_user(id: u32) -> Result<()> {
    let user = id;
    #[expect(
        unsafe_code,
        reason = "std changes users only of a child that executes something else"
    )]
    // SAFETY: plain numbers.
    let answer = unsafe {
        libc::setgroups(0, std::ptr::null()) | libc::setgid(user + 1) | libc::setuid(user)
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error().into())
    }
}

fn nonblocking(address: SocketAddr) -> io::Result<String> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    match connect_with(&socket, address) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
        Ok(()) => {}
    }
    let mut poll = libc::pollfd {
        fd: socket.as_raw_fd(),
        events: libc::POLLOUT,
        revents: 0,
    };
    #[expect(unsafe_code, reason = "std has no poll")]
    // SAFETY: one live entry.
    unsafe {
        libc::poll(&raw mut poll, 1, 2_000)
    };
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    socket.set_nonblocking(false)?;
    read_all(&socket)
}

fn uring(address: SocketAddr) -> io::Result<String> {
    let mut ring = io_uring::IoUring::new(2)?;
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    let target = SockAddr::from(address);
    let entry = io_uring::opcode::Connect::new(
        io_uring::types::Fd(socket.as_raw_fd()),
        target.as_ptr().cast(),
        target.len(),
    )
    .build()
    .flags(io_uring::squeue::Flags::ASYNC);
    #[expect(unsafe_code, reason = "a ring takes raw pointers")]
    // SAFETY: the address and the socket live until the completion below.
    unsafe {
        ring.submission().push(&entry).map_err(io::Error::other)?;
    }
    ring.submit_and_wait(1)?;
    let result = ring
        .completion()
        .next()
        .ok_or(io::ErrorKind::UnexpectedEof)?
        .result();
    if result < 0 {
        return Err(io::Error::from_raw_os_error(-result));
    }
    read_all(&socket)
}

/// Connects, disconnects, and connects the same socket to an address that is not governed.
fn peer_after(address: SocketAddr, other: SocketAddr) -> io::Result<SocketAddr> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    connect_with(&socket, address)?;
    let nobody = libc::sockaddr {
        sa_family: 0,
        sa_data: [0; 14],
    };
    #[expect(unsafe_code, reason = "no wrapper disconnects")]
    // SAFETY: a live address of family AF_UNSPEC, which connect(2) defines.
    unsafe {
        libc::connect(socket.as_raw_fd(), &raw const nobody, 16)
    };
    connect_with(&socket, other)?;
    socket
        .peer_addr()?
        .as_socket()
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Connects again and again; prints how often it was refused and every other kind of answer.
fn storm(count: u64, addresses: &[&str]) -> Result<()> {
    let addresses: Vec<SocketAddr> = addresses
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    let (mut redirected, mut refused, mut reset, mut direct, mut wrong) =
        (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
    for (_, address) in (0..count).zip(addresses.iter().cycle()) {
        // Long enough for several replacements.
        std::thread::sleep(Duration::from_micros(300));
        let expected = format!(
            "weir {}",
            SocketAddr::new(address.ip().to_canonical(), address.port())
        );
        match connect(*address) {
            Ok(text)
                if text.starts_with(&expected)
                    && text.contains(&format!("tgid={} ", std::process::id())) =>
            {
                redirected += 1;
            }
            Ok(text) if text == "direct" => direct += 1,
            // Weir closed it without a word.
            Ok(text) if text.is_empty() => reset += 1,
            Ok(text) => {
                wrong += 1;
                eprintln!("wrong: asked for {address}, got {text:?}");
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                refused += 1;
                std::thread::sleep(Duration::from_micros(200));
            }
            Err(_) => reset += 1,
        }
    }
    println!("{redirected} {refused} {reset} {direct} {wrong}");
    Ok(())
}

/// Connects from a chosen port, sends a word, and resets.
fn from_port(port: u16, address: SocketAddr, last: &str) -> Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    connect_with(&socket, address)?;
    socket.send(last.as_bytes())?;
    socket.set_linger(Some(Duration::ZERO))?;
    println!("{}", std::process::id());
    Ok(())
}

/// In a new network namespace with a server of its own at the governed port.
fn elsewhere(port: u16) -> Result<()> {
    #[expect(unsafe_code, reason = "no wrapper leaves a network namespace")]
    // SAFETY: a plain flag.
    let answer = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    if answer != 0 {
        bail!("unshare: {}", io::Error::last_os_error());
    }
    let up = std::process::Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()?;
    if !up.success() {
        bail!("ip link set lo up: {up}");
    }
    let server = TcpListener::bind(("127.0.0.1", port))?;
    std::thread::spawn(move || {
        for mut stream in server.incoming().flatten() {
            let _ = io::Write::write_all(&mut stream, b"elsewhere\n");
        }
    });
    say(connect(([127, 0, 0, 1], port).into()))
}

/// As nobody: descriptors are on standard input (flow store), the accepted socket on 3 and the
/// load board on 4.
fn unprivileged() -> Result<()> {
    become_user(65_533)?;
    let store = FlowStore::new(io::stdin().as_fd().try_clone_to_owned()?);
    let (socket, board) = (descriptor(3)?, descriptor(4)?);
    let origin = store.origin(socket.as_fd())?.context("no origin")?;
    let none = store.origin(UdpSocket::bind("127.0.0.1:0")?.as_fd())?;
    let board = LoadBoard::map(board)?;
    let cell = board.cell(0).context("no cell")?;
    cell.epoch(1, 2, 3);
    let writable = Redirect::open(Path::new("/proc/self/fd")).is_ok();
    println!(
        "{} {} {} {writable}",
        origin.destination,
        origin.caller.tgid,
        none.is_none()
    );
    Ok(())
}

/// A copy of an inherited descriptor.
fn descriptor(number: i32) -> Result<OwnedFd> {
    #[expect(
        unsafe_code,
        reason = "the parent's promise that this number is open cannot be typed"
    )]
    // SAFETY: the parent left it open, and the borrow ends here.
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    Ok(borrowed.try_clone_to_owned()?)
}

/// Takes over the pins again and again until it is killed.
fn install(cgroup: &Path, pins: &Path) -> Result<()> {
    loop {
        Redirect::install(&Place {
            cgroup: cgroup.to_owned(),
            pins: pins.to_owned(),
        })?;
        println!("installed");
    }
}
