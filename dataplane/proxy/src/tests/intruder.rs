//! Somebody in between who terminates TLS with a certificate of its own, and passes everything on.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::cluster::Authority;
use super::talk::{SSL, tls};
use crate::tls::provider;

/// Listens, and relays to `server`, inside TLS on both sides.
pub(super) fn start(server: SocketAddr) -> SocketAddr {
    let (certificate, key) = Authority::new("intruder").issue("intruder", &["intruder"]);
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a certificate");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            std::thread::spawn(move || {
                // Whatever ends one side ends the other.
                let _ = relay(stream, server, config);
            });
        }
    });
    address
}

fn relay(
    mut client: TcpStream,
    server: SocketAddr,
    config: Arc<ServerConfig>,
) -> std::io::Result<()> {
    let mut request = [0; 8];
    client.read_exact(&mut request)?;
    client.write_all(b"S")?;
    let mut onward = TcpStream::connect(server)?;
    onward.write_all(&SSL)?;
    onward.read_exact(&mut [0])?;
    let mut ours = ServerConnection::new(config).expect("a session");
    let mut theirs = tls(&[b"postgresql"]);
    while ours.is_handshaking() {
        ours.complete_io(&mut client)?;
    }
    while theirs.is_handshaking() {
        theirs.complete_io(&mut onward)?;
    }
    for stream in [&client, &onward] {
        stream.set_read_timeout(Some(Duration::from_millis(5)))?;
    }
    let mut near = StreamOwned::new(ours, client);
    let mut far = StreamOwned::new(theirs, onward);
    while carry(&mut near, &mut far)? && carry(&mut far, &mut near)? {}
    Ok(())
}

/// Carries what there is now. Whether there may be more.
fn carry(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<bool> {
    let mut bytes = [0; 16 << 10];
    match from.read(&mut bytes) {
        Ok(0) => Ok(false),
        Ok(count) => {
            to.write_all(&bytes[..count])?;
            to.flush()?;
            Ok(true)
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Ok(true)
        }
        Err(error) => Err(error),
    }
}
