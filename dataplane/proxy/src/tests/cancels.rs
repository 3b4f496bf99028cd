//! CancelRequests: what the server gets, and when the client learns that it has.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::bed::{Bed, PATIENCE};
use super::cluster::Cluster;
use super::talk::{V3_0, V3_2, enter};

/// The code of a CancelRequest.
const CANCEL: u32 = 80_877_102;

/// How long a connection is watched that must stay open: a wrong one is closed at once.
const WATCHED: Duration = Duration::from_millis(300);

/// Somebody in front of a server who keeps CancelRequests back until a test lets them go.
struct Gate {
    address: SocketAddr,
    /// What came.
    requests: Receiver<Vec<u8>>,
    /// Lets the connection of one go.
    release: Sender<()>,
}

impl Gate {
    fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (came, requests) = channel();
        let (release, released) = channel();
        std::thread::spawn(move || {
            let released = std::sync::Arc::new(std::sync::Mutex::new(released));
            for client in listener.incoming().flatten() {
                let (came, released) = (came.clone(), std::sync::Arc::clone(&released));
                std::thread::spawn(move || {
                    // Whatever ends one side ends the other.
                    let _ = pass(client, server, &came, &released);
                });
            }
        });
        Self {
            address,
            requests,
            release,
        }
    }
}

fn pass(
    mut client: TcpStream,
    server: SocketAddr,
    came: &Sender<Vec<u8>>,
    released: &std::sync::Mutex<Receiver<()>>,
) -> std::io::Result<()> {
    let mut first = [0; 8];
    client.read_exact(&mut first)?;
    if first[4..] == CANCEL.to_be_bytes() {
        let mut rest = vec![0; usize::from(first[3]) - 8];
        client.read_exact(&mut rest)?;
        let _ = came.send(rest);
        let _ = released.lock().expect("a lock").recv_timeout(PATIENCE);
        return Ok(());
    }
    let mut onward = TcpStream::connect(server)?;
    onward.write_all(&first)?;
    let (mut back, mut answers) = (client.try_clone()?, onward.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut client, &mut onward);
    onward.shutdown(Shutdown::Both)
}

/// Sends a CancelRequest on a connection of its own.
fn request(bed: &Bed, key: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(bed.address).expect("a connection");
    let length = u32::try_from(8 + key.len()).expect("short");
    let message = [length.to_be_bytes().as_slice(), &CANCEL.to_be_bytes(), key].concat();
    stream.write_all(&message).expect("sent");
    stream
}

fn is_open(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(WATCHED)).expect("a socket");
    let read = stream.read(&mut [0]);
    matches!(read, Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

fn await_end(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    assert_eq!(stream.read(&mut [0]).expect("an end"), 0);
}

#[test]
fn a_client_waits_until_the_server_has_taken_its_cancel_request() {
    let cluster = Cluster::start();
    let gate = Gate::start(cluster.address);
    let bed = Bed::at(gate.address, |_| {});
    for version in [V3_0, V3_2] {
        let (mut talk, _, key) = enter(&bed, version, &[]);
        let process = talk.query("SELECT pg_backend_pid()").expect("a row");
        let (shown, secret) = key.split_at(4);
        let shown = u32::from_be_bytes(shown.try_into().expect("four bytes"));
        assert_eq!(shown.to_string(), process, "the server's own process");

        let mut asked = request(&bed, &key);
        let came = gate.requests.recv_timeout(PATIENCE).expect("a request");
        assert_eq!(came[..4], shown.to_be_bytes());
        assert_ne!(&came[4..], secret, "the server's key stays with Weir");
        assert!(is_open(&mut asked), "the server has not done it yet");
        gate.release.send(()).expect("the gate");
        await_end(&mut asked);

        // Whoever does not wait has asked nevertheless.
        request(&bed, &key).shutdown(Shutdown::Both).expect("ours");
        assert!(gate.requests.recv_timeout(PATIENCE).is_ok());
        gate.release.send(()).expect("the gate");
        assert_eq!(talk.query("SELECT 7").expect("a row"), "7");
    }
}

#[test]
fn a_cancel_request_with_another_key_reaches_no_session() {
    let cluster = Cluster::start();
    let gate = Gate::start(cluster.address);
    let bed = Bed::at(gate.address, |_| {});
    let (mut talk, _, key) = enter(&bed, V3_0, &[]);
    for byte in 4..key.len() {
        let mut other = key.clone();
        other[byte] ^= 1;
        await_end(&mut request(&bed, &other));
    }
    assert!(gate.requests.try_recv().is_err());
    assert_eq!(talk.query("SELECT 7").expect("a row"), "7");
}
