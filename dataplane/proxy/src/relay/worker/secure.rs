//! TLS between a link and the flow.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use time::OffsetDateTime;
use weir_facts::{ConnectionName, Digest, Side};
use weir_flow::{Connection, Event, Target, TlsMode};

use super::super::limits::TLS_GATHER_SEGMENTS;
use super::super::outgoing::Segment;
use super::Engine;
use super::flow::Secure;
use crate::stages::Stage;
use crate::tls::{Acceptor, AcceptorSource, Alpn, Connector, Fed, Session, Speaks, Verify};

/// Servers whose TLS configuration is kept; parsing roots costs as much as a handshake. A world
/// has fewer, and the cache is emptied with each new world.
const CONNECTORS_MAX: usize = 1024;

/// Connection, address, and the role whose certificate is shown.
type ServerKey = (ConnectionName, IpAddr, Option<Arc<str>>);

/// Connectors by connection, address and role, and what clients of a connection are asked by the
/// leaf of the moment.
#[derive(Default)]
pub(super) struct ConnectorCache {
    servers: HashMap<ServerKey, Arc<Connector>>,
    clients: HashMap<(ConnectionName, Digest), Arc<ServerConfig>>,
    /// Who answers clients of servers that were verified, by the names of these.
    verified: HashMap<(ConnectionName, IpAddr), Arc<Acceptor>>,
}

impl ConnectorCache {
    pub(super) fn clear(&mut self) {
        self.servers.clear();
        self.clients.clear();
        self.verified.clear();
    }

    /// A leaf with the name of a server that has just been verified.
    fn verified(
        &mut self,
        connection: &Connection,
        address: IpAddr,
        source: &AcceptorSource,
    ) -> Result<Arc<Acceptor>, String> {
        let now = OffsetDateTime::now_utc();
        let key = (connection.name.clone(), address);
        let known = self.verified.get(&key);
        if let Some(acceptor) = known.filter(|acceptor| acceptor.is_fresh(now)) {
            return Ok(Arc::clone(acceptor));
        }
        let name = connection.tls.server_name.as_ref();
        let names: Vec<_> = name
            .map(|name| name.to_string())
            .into_iter()
            .chain([address.to_string()])
            .collect();
        let made = source
            .answering_as(&names, now)
            .map_err(|error| error.to_string())?;
        let acceptor = Arc::new(made);
        if self.verified.len() < CONNECTORS_MAX {
            self.verified.insert(key, Arc::clone(&acceptor));
        }
        Ok(acceptor)
    }

    fn server(
        &mut self,
        connection: &Connection,
        address: IpAddr,
        role: Option<&Arc<str>>,
    ) -> Result<Arc<Connector>, String> {
        let key = (connection.name.clone(), address, role.cloned());
        if let Some(connector) = self.servers.get(&key) {
            return Ok(Arc::clone(connector));
        }
        let tls = &connection.tls;
        let name = tls
            .server_name
            .as_ref()
            .map_or_else(|| address.to_string(), |name| name.to_string());
        let own = match (&connection.target, role) {
            (Target::Postgres(target), Some(role)) => target
                .of_role(role)
                .and_then(|credential| credential.certificate.as_ref()),
            (Target::Postgres(_) | Target::Mcp(_), _) => None,
        };
        let connector = Connector::new(&name, &tls.ca_pem, speaks(connection), own)
            .map_err(|error| error.to_string())?;
        let connector = Arc::new(connector);
        if self.servers.len() < CONNECTORS_MAX {
            self.servers.insert(key, Arc::clone(&connector));
        }
        Ok(connector)
    }

    /// With what a client of this connection is answered.
    fn client(
        &mut self,
        connection: &Connection,
        acceptor: &Acceptor,
    ) -> Result<Arc<ServerConfig>, String> {
        let roots = &*connection.login.client_ca_pem;
        if roots.is_empty() {
            return Ok(acceptor.config(speaks(connection)));
        }
        let key = (connection.name.clone(), acceptor.digest());
        if let Some(config) = self.clients.get(&key) {
            return Ok(Arc::clone(config));
        }
        let config = acceptor
            .asking(speaks(connection), roots)
            .map_err(|error| error.to_string())?;
        if self.clients.len() < CONNECTORS_MAX {
            self.clients.insert(key, Arc::clone(&config));
        }
        Ok(config)
    }
}

fn speaks(connection: &Connection) -> Speaks {
    match connection.target {
        Target::Postgres(_) => Speaks::Postgres,
        Target::Mcp(_) => Speaks::Http,
    }
}

impl Engine {
    /// Begins TLS on a link; input that the flow has not taken is ciphertext from here on.
    pub(super) fn start_tls(
        &mut self,
        slot: usize,
        side: Side,
        role: Option<&Arc<str>>,
    ) -> io::Result<()> {
        let session = self.new_session(slot, side, role);
        let mark = self.stopwatch.mark();
        let Some(flow) = self.flows.get_mut(slot) else {
            return Ok(());
        };
        let end = flow.end_mut(side);
        match session {
            Ok(session) if end.tls.is_none() => {
                let early = end.parked.split();
                end.tls = Some(Box::new(Secure {
                    session,
                    early,
                    mark,
                    is_up: false,
                    is_dead: false,
                }));
                self.flush_tls(slot, side)
            }
            Ok(_) => self.break_flow(slot, "it began TLS twice"),
            Err(reason) => {
                self.counters.tls_failures.add(1);
                flow.events.push_back(Event::TlsFailed { side, reason });
                Ok(())
            }
        }
    }

    fn new_session(
        &mut self,
        slot: usize,
        side: Side,
        role: Option<&Arc<str>>,
    ) -> Result<Session, String> {
        let flow = self.flows.get(slot).ok_or("the flow is gone")?;
        let name = flow
            .connection
            .as_ref()
            .ok_or("no connection is registered")?;
        let connection = self
            .desk
            .world
            .connections
            .named(name)
            .ok_or("the connection is not registered any more")?;
        match side {
            Side::Client => {
                let source = self.shared.tls.as_ref();
                let source = source.ok_or("no certificate is configured")?;
                // A server's name is vouched for only while the server itself was verified to have it.
                let is_verified = connection.tls.mode == TlsMode::VerifyFull
                    && speaks(connection) == Speaks::Http
                    && flow.server.tls.as_ref().is_some_and(|tls| tls.is_up);
                let acceptor = match is_verified {
                    true => self
                        .connectors
                        .verified(connection, flow.target.ip(), source)?,
                    false => source.current(),
                };
                // TLS that no SSLRequest preceded must say which protocol it is for.
                let is_direct = !flow.client.has_spoken && speaks(connection) == Speaks::Postgres;
                let alpn = if is_direct {
                    Alpn::Required
                } else {
                    Alpn::Optional
                };
                let config = self.connectors.client(connection, &acceptor)?;
                Session::accept(&acceptor, config, alpn).map_err(|error| error.to_string())
            }
            Side::Server => {
                let verify = match connection.tls.mode {
                    TlsMode::Disable => return Err("the connection's mode is disable".to_owned()),
                    TlsMode::Prefer | TlsMode::Require => Verify::Nothing,
                    TlsMode::VerifyFull => Verify::Full,
                };
                let connector = self.connectors.server(connection, flow.target.ip(), role)?;
                Session::connect(&connector, verify).map_err(|error| error.to_string())
            }
        }
    }

    /// Decrypts what came before the session did.
    pub(super) fn decrypt_early(&mut self, slot: usize, side: Side) -> io::Result<bool> {
        let Some(flow) = self.flows.get_mut(slot) else {
            return Ok(false);
        };
        let Some(secure) = flow
            .end_mut(side)
            .tls
            .as_mut()
            .filter(|secure| !secure.early.is_empty())
        else {
            return Ok(false);
        };
        let early = secure.early.split();
        self.decrypt(slot, side, &early)?;
        Ok(true)
    }

    /// Feeds ciphertext; plaintext is parked, and the pump offers it.
    pub(super) fn decrypt(
        &mut self,
        slot: usize,
        side: Side,
        mut ciphertext: &[u8],
    ) -> io::Result<()> {
        loop {
            let Some(flow) = self.flows.get_mut(slot) else {
                return Ok(());
            };
            let (events, end) = match side {
                Side::Client => (&mut flow.events, &mut flow.client),
                Side::Server => (&mut flow.events, &mut flow.server),
            };
            let Some(secure) = end.tls.as_mut().filter(|secure| !secure.is_dead) else {
                return Ok(());
            };
            match secure.session.feed(&mut ciphertext, &mut end.parked) {
                Ok(Fed::Up {
                    channel_binding,
                    names,
                }) => {
                    secure.is_up = true;
                    self.stages
                        .record(Stage::Handshake, self.stopwatch.nanos_since(secure.mark));
                    events.push_back(Event::TlsUp {
                        side,
                        channel_binding,
                        names,
                    });
                    continue;
                }
                Ok(Fed::Handshaking | Fed::Open) => {}
                Ok(Fed::Closed) => end.end_input(),
                Err(error) => {
                    secure.is_dead = true;
                    self.counters.tls_failures.add(1);
                    if secure.is_up {
                        end.is_broken = true;
                        end.end_input();
                    } else {
                        events.push_back(Event::TlsFailed {
                            side,
                            reason: error.to_string(),
                        });
                    }
                }
            }
            return self.flush_tls(slot, side);
        }
    }

    /// Encrypts a run of plaintext and queues it.
    pub(super) fn seal(
        &mut self,
        slot: usize,
        side: Side,
        run: &mut Vec<Segment>,
    ) -> io::Result<()> {
        if run.is_empty() {
            return Ok(());
        }
        let secure = self
            .flows
            .get_mut(slot)
            .and_then(|flow| flow.end_mut(side).tls.as_mut());
        let Some(secure) = secure.filter(|secure| !secure.is_dead) else {
            run.clear();
            return Ok(());
        };
        let sealed = run.chunks(TLS_GATHER_SEGMENTS).try_for_each(|segments| {
            let mut runs = [IoSlice::new(&[]); TLS_GATHER_SEGMENTS];
            for (slice, segment) in runs.iter_mut().zip(segments) {
                *slice = IoSlice::new(segment.as_slice());
            }
            secure
                .session
                .seal(runs.get(..segments.len()).unwrap_or_default())
        });
        run.clear();
        match sealed {
            Ok(()) => self.flush_tls(slot, side),
            Err(_) => self.break_flow(slot, "TLS encrypts no more"),
        }
    }

    /// Says close_notify, if there is TLS to close.
    pub(super) fn close_tls(&mut self, slot: usize, side: Side) -> io::Result<()> {
        let secure = self
            .flows
            .get_mut(slot)
            .and_then(|flow| flow.end_mut(side).tls.as_mut());
        let Some(secure) = secure.filter(|secure| secure.is_up && !secure.is_dead) else {
            return Ok(());
        };
        secure.session.close();
        self.flush_tls(slot, side)
    }

    fn flush_tls(&mut self, slot: usize, side: Side) -> io::Result<()> {
        let Some(end) = self.flows.get_mut(slot).map(|flow| flow.end_mut(side)) else {
            return Ok(());
        };
        let (Some(secure), Some(link)) = (end.tls.as_mut(), end.link) else {
            return Ok(());
        };
        if let Some(ciphertext) = secure.session.take_ciphertext()? {
            self.links.send(link, Segment::Owned(ciphertext));
        }
        Ok(())
    }
}
