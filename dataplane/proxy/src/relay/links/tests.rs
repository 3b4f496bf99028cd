//! The links as a relay that passes everything on: real sockets, a real ring, no flow.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::super::clock;
use super::super::outgoing::Segment;
use super::super::sys;
use super::*;

/// A relay on a thread of its own, towards one server.
struct Relay {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    wake: OwnedFd,
    counters: Arc<Counters>,
    heap_most: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Pair {
    links: [Option<LinkKey>; 2],
    ended: [bool; 2],
}

const fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

impl Relay {
    fn towards(server: SocketAddr, buffers: BufferConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let inbox = sys::eventfd().expect("an eventfd");
        let wake = inbox.try_clone().expect("a descriptor");
        let (stop, counters) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(Counters::default()),
        );
        let heap_most = Arc::new(AtomicUsize::new(0));
        let mine = (
            Arc::clone(&stop),
            Arc::clone(&counters),
            Arc::clone(&heap_most),
        );
        let thread = std::thread::spawn(move || {
            let (stop, counters, heap_most) = mine;
            let links = Links::new(buffers, vec![listener.into()], inbox, counters).expect("links");
            Passing {
                links,
                pairs: Slab::new(),
                server,
            }
            .run(&stop, &heap_most);
        });
        Self {
            address,
            stop,
            wake,
            counters,
            heap_most,
            thread: Some(thread),
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a socket");
        stream
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        sys::raise(self.wake.as_fd());
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "the relay's thread failed");
        }
    }
}

struct Passing {
    links: Links,
    pairs: Slab<Pair>,
    server: SocketAddr,
}

impl Passing {
    fn run(&mut self, stop: &AtomicBool, heap_most: &AtomicUsize) {
        self.links
            .arm_tick(Duration::from_millis(20))
            .expect("a tick");
        while !stop.load(Ordering::Acquire) {
            self.links
                .turn(Wait::One, clock::now().mono_ns)
                .expect("a turn");
            let mut events = self.links.take_events();
            for event in events.drain(..) {
                self.on_event(event).expect("the ring works");
            }
            self.links.recycle(events);
            heap_most.fetch_max(self.links.heap_bytes(), Ordering::Relaxed);
        }
    }

    fn owner(slot: usize, side: Side) -> Owner {
        Owner {
            role: Role::Side(side),
            slot: slot as u32,
            serial: 0,
        }
    }

    fn on_event(&mut self, event: LinkEvent) -> io::Result<()> {
        match event {
            LinkEvent::Accepted { socket, .. } => {
                let slot = self.pairs.insert(Pair::default());
                let client = self.links.adopt(socket, Self::owner(slot, Side::Client));
                let server = self
                    .links
                    .connect(self.server, Self::owner(slot, Side::Server))?;
                self.pairs[slot].links = [Some(client), Some(server)];
                self.links.resume(server)
            }
            LinkEvent::Connected { owner } => self
                .links
                .resume(self.link(owner, Side::Client).expect("a client")),
            LinkEvent::Received { owner, chunk } => self.pass(owner, chunk),
            LinkEvent::Ended { owner, end } => self.end(owner, end),
            LinkEvent::Refused { owner, .. } => {
                let client = self.link(owner, Side::Client).expect("a client");
                self.pairs.remove(owner.slot as usize);
                self.links.reset(client)
            }
            LinkEvent::Relieved { owner } => {
                let Role::Side(side) = owner.role else {
                    return Ok(());
                };
                self.link(owner, side.other())
                    .map_or(Ok(()), |other| self.links.resume(other))
            }
            LinkEvent::Woken => Ok(()),
            LinkEvent::Ticked => self.links.arm_tick(Duration::from_millis(20)),
        }
    }

    fn link(&self, owner: Owner, side: Side) -> Option<LinkKey> {
        self.pairs.get(owner.slot as usize)?.links[index(side)]
    }

    fn pass(&mut self, owner: Owner, chunk: Chunk) -> io::Result<()> {
        let Role::Side(side) = owner.role else {
            return Ok(());
        };
        let (Some(from), Some(to)) = (self.link(owner, side), self.link(owner, side.other()))
        else {
            return Ok(());
        };
        self.links.send(to, Segment::Span(chunk.freeze()));
        if self.links.is_full(to) {
            self.links.want_relief(to);
            return self.links.pause(from);
        }
        Ok(())
    }

    fn end(&mut self, owner: Owner, end: End) -> io::Result<()> {
        let Role::Side(side) = owner.role else {
            return Ok(());
        };
        let Some(pair) = self.pairs.get_mut(owner.slot as usize) else {
            return Ok(());
        };
        pair.ended[index(side)] = true;
        let (links, is_over) = (pair.links, pair.ended == [true; 2]);
        if end == End::Finished {
            links[index(side.other())]
                .into_iter()
                .for_each(|other| self.links.finish(other));
        }
        if is_over || end == End::Broken {
            self.pairs.remove(owner.slot as usize);
            for link in links.into_iter().flatten() {
                if end == End::Broken {
                    self.links.reset(link)?
                } else {
                    self.links.close(link, clock::now().mono_ns)?
                }
            }
        }
        Ok(())
    }
}

const SMALL: BufferConfig = BufferConfig {
    bytes: 16 * 1024,
    count: 32,
};
const USUAL: BufferConfig = BufferConfig {
    bytes: 16 * 1024,
    count: 512,
};

/// A server that handles each connection on a thread.
fn server(each: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let each = Arc::new(each);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let each = Arc::clone(&each);
            let stream = stream.expect("a connection");
            std::thread::spawn(move || each(stream));
        }
    });
    address
}

/// Bytes that no shift or loss would leave alike.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Reads to the end, pausing now and then.
fn read_slowly(stream: &mut TcpStream) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 150_000]);
    loop {
        let count = stream.read(&mut buffer).expect("bytes");
        if count == 0 {
            return all;
        }
        all.extend_from_slice(&buffer[..count]);
        if all.len() % 7 == 0 {
            std::thread::sleep(Duration::from_millis(3));
        }
    }
}

/// Sends one body and reads the other at the same time, half-closing after the body.
fn exchange(mut stream: TcpStream, body: Vec<u8>) -> [u8; 32] {
    let mut writer = stream.try_clone().expect("a descriptor");
    let sender = std::thread::spawn(move || {
        writer.write_all(&body).expect("sent");
        writer.shutdown(Shutdown::Write).expect("half-closed");
    });
    let received = digest(&read_slowly(&mut stream));
    sender.join().expect("the sender");
    received
}

#[test]
fn eight_megabytes_arrive_unchanged_both_ways_with_slow_readers_and_few_buffers() {
    const BYTES: usize = 8 << 20;
    for buffers in [SMALL, USUAL] {
        let answer = noise(BYTES, 7);
        let expected = digest(&answer);
        let (sender, digests) = std::sync::mpsc::channel();
        let sender = std::sync::Mutex::new(sender);
        let address = server(move |stream| {
            let received = exchange(stream, answer.clone());
            sender.lock().expect("a lock").send(received).expect("sent");
        });
        let relay = Relay::towards(address, buffers);
        let clients: Vec<_> = (0..4u64)
            .map(|seed| {
                let (stream, body) = (relay.connect(), noise(BYTES, seed + 100));
                std::thread::spawn(move || (digest(&body), exchange(stream, body)))
            })
            .collect();
        let mut sent: Vec<_> = clients
            .into_iter()
            .map(|client| {
                let (sent, received) = client.join().expect("a client");
                assert_eq!(received, expected);
                sent
            })
            .collect();
        let mut received: Vec<_> = digests.iter().take(4).collect();
        sent.sort_unstable();
        received.sort_unstable();
        assert_eq!(sent, received);
    }
}

#[test]
fn a_half_closed_client_still_gets_its_answer() {
    let address = server(|mut stream| {
        let mut request = Vec::new();
        stream.read_to_end(&mut request).expect("the request");
        stream.write_all(&request).expect("the answer");
    });
    let relay = Relay::towards(address, USUAL);
    let mut stream = relay.connect();
    stream.write_all(b"only then answer").expect("sent");
    stream.shutdown(Shutdown::Write).expect("half-closed");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer");
    assert_eq!(answer, "only then answer");
}

fn is_reset(result: io::Result<usize>) -> bool {
    result.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}

#[test]
fn a_refused_dial_resets_the_client() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("an address");
    let relay = Relay::towards(nobody, USUAL);
    assert!(is_reset(relay.connect().read(&mut [0; 1])));
}

#[test]
fn a_reset_by_the_server_in_mid_stream_is_passed_on_as_a_reset() {
    let address = server(|mut stream| {
        stream.write_all(&noise(1 << 20, 3)).expect("sent");
        sys::reset_on_close(stream.as_fd());
    });
    let relay = Relay::towards(address, USUAL);
    let mut stream = relay.connect();
    let mut buffer = vec![0; 1 << 16];
    let end = loop {
        match stream.read(&mut buffer) {
            Ok(0) => panic!("a cut stream must not look whole"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_thousand_connections_are_served_with_few_buffers_and_bounded_memory() {
    let address = server(|mut stream| {
        let mut word = [0; 64];
        while stream.read_exact(&mut word).is_ok() {
            stream.write_all(&word).expect("sent");
        }
    });
    let relay = Relay::towards(address, SMALL);
    let mut streams: Vec<_> = (0..1000).map(|_| relay.connect()).collect();
    for round in 0..3u8 {
        for (number, stream) in streams.iter_mut().enumerate() {
            stream.write_all(&[round ^ number as u8; 64]).expect("sent");
        }
        for (number, stream) in streams.iter_mut().enumerate() {
            let mut word = [0; 64];
            stream.read_exact(&mut word).expect("an answer");
            assert_eq!(word, [round ^ number as u8; 64]);
        }
    }
    assert!(relay.heap_most.load(Ordering::Relaxed) < 4 << 20);
}

#[test]
fn readers_that_never_read_stop_nobody_else_and_hold_bounded_memory() {
    let address = server(|mut stream| {
        let mut kind = [0; 1];
        if stream.read_exact(&mut kind).is_err() {
            return;
        }
        match kind {
            [b'F'] => {
                // Floods until the relay stops reading; ends when the client goes.
                let body = noise(1 << 16, 5);
                while stream.write_all(&body).is_ok() {}
            }
            _ => stream.write_all(&kind).expect("sent"),
        }
    });
    let relay = Relay::towards(address, SMALL);
    let stuck: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = relay.connect();
            stream.write_all(b"F").expect("sent");
            stream
        })
        .collect();
    // However slow the machine, forty floods towards readers that never read come to a pause.
    let patience = Instant::now() + Duration::from_secs(60);
    while relay.counters.pauses.value() == 0 {
        assert!(Instant::now() < patience, "nothing was paused");
        std::thread::sleep(Duration::from_millis(10));
    }
    for _ in 0..50 {
        let mut stream = relay.connect();
        stream.write_all(b"?").expect("sent");
        let mut answer = [0; 1];
        stream
            .read_exact(&mut answer)
            .expect("an answer beside forty stuck flows");
    }
    // 40 links at the high mark, and what one run of receives may add.
    assert!(relay.heap_most.load(Ordering::Relaxed) < 40 * (1 << 20));
    drop(stuck);
}

#[test]
fn the_last_words_reach_a_peer_that_was_still_sending() {
    let address = server(|mut stream| {
        let mut first = [0; 1];
        stream.read_exact(&mut first).expect("a byte");
        stream.write_all(b"refused").expect("sent");
        // Closing with unread input would reset; half-close instead, as a server that lingers.
        stream.shutdown(Shutdown::Write).expect("half-closed");
        let _ = io::copy(&mut stream, &mut io::sink());
    });
    let relay = Relay::towards(address, USUAL);
    let mut stream = relay.connect();
    stream.write_all(&noise(1 << 18, 9)).expect("sent");
    let mut words = [0; 7];
    stream.read_exact(&mut words).expect("the last words");
    assert_eq!(&words, b"refused");
}

#[test]
fn dropping_the_links_resets_what_is_open() {
    let address = server(|mut stream| {
        let _ = io::copy(&mut stream, &mut io::sink());
    });
    let relay = Relay::towards(address, USUAL);
    let mut stream = relay.connect();
    stream.write_all(b"x").expect("sent");
    std::thread::sleep(Duration::from_millis(50));
    drop(relay);
    assert!(is_reset(stream.read(&mut [0; 1])));
}
