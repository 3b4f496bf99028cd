//! The proof of the redirect: a process in a guarded cgroup connects to a governed address
//! where the warden itself listens. Whoever is greeted there went past the hooks.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use weir_handover::{CanaryReport, CanaryState};

use crate::child::Launch;
use crate::limits::{CANARY_EVERY, CANARY_TIMEOUT};
use crate::run::Event;

/// What the trap says.
const GREETING: &[u8] = b"weir-canary-direct";

/// How one connect of a canary ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flight {
    /// Somebody else than the trap accepted it: the proxy.
    Taken,
    /// The trap greeted it: it went past the hooks.
    Direct,
    /// It was refused although the trap listens: the hooks hold, but no worker is alive.
    Refused,
    /// Something else.
    Failed(i32),
}

impl std::fmt::Display for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Taken => f.write_str("taken"),
            Self::Direct => f.write_str("direct"),
            Self::Refused => f.write_str("refused"),
            Self::Failed(code) => write!(f, "failed:{code}"),
        }
    }
}

impl Flight {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "taken" => Some(Self::Taken),
            "direct" => Some(Self::Direct),
            "refused" => Some(Self::Refused),
            other => other
                .strip_prefix("failed:")?
                .parse()
                .ok()
                .map(Self::Failed),
        }
    }
}

/// The addresses that a canary connects to: each family, and IPv4 in IPv6's clothes.
fn addresses(port: u16) -> [SocketAddr; 3] {
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        Ipv6Addr::LOCALHOST.into(),
        mapped.into(),
    ]
    .map(|ip| SocketAddr::new(ip, port))
}

/// Connects as a canary: what the child in the canary's cgroup does.
#[must_use]
pub fn fly(port: u16) -> [Flight; 3] {
    addresses(port).map(connect)
}

fn connect(address: SocketAddr) -> Flight {
    let mut stream = match TcpStream::connect_timeout(&address, CANARY_TIMEOUT) {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Flight::Refused,
        // Accepted and reset before connect returned, which the trap never does.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Flight::Taken,
        Err(error) => return Flight::Failed(error.raw_os_error().unwrap_or(0)),
    };
    let _ = stream.set_read_timeout(Some(CANARY_TIMEOUT));
    let mut greeting = [0; GREETING.len()];
    match stream.read_exact(&mut greeting) {
        Ok(()) if greeting == GREETING => Flight::Direct,
        // Closed, reset, or waited for its first words: not the trap.
        Ok(()) | Err(_) => Flight::Taken,
    }
}

/// Listens where canaries connect to, in both families, and greets whoever gets through.
pub(crate) fn trap() -> Result<u16> {
    let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("bind the canary's trap")?;
    let port = v4.local_addr()?.port();
    let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).context("bind the canary's trap")?;
    for listener in [v4, v6] {
        std::thread::Builder::new()
            .name("canary-trap".to_owned())
            .spawn(move || {
                for mut stream in listener.incoming().flatten() {
                    let _ = stream.write_all(GREETING);
                }
            })?;
    }
    Ok(port)
}

/// Flies again and again, and whenever it is asked to; an asker is told when it is done.
pub(crate) struct Canary {
    pub(crate) launch: Launch,
    pub(crate) port: u16,
}

impl Canary {
    /// Runs until nobody can ask any more.
    pub(crate) fn run(&self, asks: &Receiver<Sender<()>>, events: &SyncSender<Event>) {
        loop {
            let asker = match asks.recv_timeout(CANARY_EVERY) {
                Ok(asker) => Some(asker),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if events.send(Event::Canary(self.report())).is_err() {
                return;
            }
            if let Some(asker) = asker {
                let _ = asker.send(());
            }
        }
    }

    fn report(&self) -> CanaryReport {
        let (state, detail) = match self.launch() {
            Ok(flights) => judge(flights),
            Err(error) => (
                CanaryState::Failed,
                format!("the canary could not fly: {error:#}"),
            ),
        };
        CanaryReport {
            state,
            at: unix_s(),
            detail,
        }
    }

    fn launch(&self) -> Result<[Flight; 3]> {
        let mut command = self.launch.command(None)?;
        command
            .args(["canary", &self.port.to_string()])
            .stdout(Stdio::piped());
        let output = command.spawn()?.wait_with_output()?;
        ensure!(output.status.success(), "it ended with {}", output.status);
        let text = String::from_utf8(output.stdout)?;
        let flights: Option<Vec<Flight>> = text.split_whitespace().map(Flight::parse).collect();
        flights
            .and_then(|flights| flights.try_into().ok())
            .with_context(|| format!("it said {text:?}"))
    }
}

/// One sentence about three flights.
fn judge(flights: [Flight; 3]) -> (CanaryState, String) {
    let names = ["v4", "v6", "v4-mapped"];
    let seen: Vec<String> = names
        .iter()
        .zip(flights)
        .map(|(name, flight)| format!("{name} {flight}"))
        .collect();
    let seen = seen.join(", ");
    if flights.iter().all(|flight| *flight == Flight::Taken) {
        return (
            CanaryState::Passed,
            format!("a connect from a guarded cgroup was taken: {seen}"),
        );
    }
    if flights.contains(&Flight::Direct) {
        return (
            CanaryState::Failed,
            format!("a connect from a guarded cgroup went past Weir: {seen}"),
        );
    }
    (
        CanaryState::Failed,
        format!("guarded connects are held off, but nobody serves them: {seen}"),
    )
}

pub(crate) fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// This executable, which is the canary's as well.
pub(crate) fn executable() -> Result<PathBuf> {
    std::env::current_exe().context("find this executable")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_that_reaches_the_trap_is_told_apart_from_one_that_is_taken() {
        assert_eq!(fly(trap().unwrap()), [Flight::Direct; 3]);
        let proxy = TcpListener::bind("[::]:0").unwrap();
        let port = proxy.local_addr().unwrap().port();
        std::thread::spawn(move || proxy.incoming().for_each(drop));
        assert_eq!(fly(port), [Flight::Taken; 3]);
        let closed = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        assert_eq!(fly(closed), [Flight::Refused; 3]);
    }

    #[test]
    fn only_three_taken_flights_pass() {
        assert_eq!(judge([Flight::Taken; 3]).0, CanaryState::Passed);
        for bad in [Flight::Direct, Flight::Refused, Flight::Failed(1)] {
            assert_eq!(
                judge([Flight::Taken, bad, Flight::Taken]).0,
                CanaryState::Failed
            );
            assert_eq!(Flight::parse(&bad.to_string()), Some(bad));
        }
    }
}
