//! The program `weir-proxy`: started by the warden, with nothing but what it is handed.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arc_swap::ArcSwap;
use weir_flow::{PlanCache, World};
use weir_handover::{Equipment, ListenerRole, Listening, Welcome};
use weir_ledger::{Config, Ledger};
use weir_proxy::confine::{Reach, confine};
use weir_proxy::control::{self, Envelope, Start};
use weir_proxy::heap;
use weir_proxy::relay::{
    BUFFER_BYTES, BUFFERS, BufferConfig, CONTROL_MESSAGES, FLOWS_MAX, Listener, ListenerKind,
    Mailbox, OwnAddresses, SPIN_MAX, Shared, Worker, WorkerConfig,
};
use weir_proxy::tls::{AcceptorSource, HostCa, install_provider, trust_host};
use weir_redirect::{FlowStore, LoadBoard};

fn main() -> ExitCode {
    if std::env::args_os().len() > 1 {
        println!(
            "weir-proxy {}\n\nStarted by weir-dataplane, which hands it its sockets. It takes no arguments.",
            env!("CARGO_PKG_VERSION")
        );
        return ExitCode::SUCCESS;
    }
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("WEIR_LOG")
                .unwrap_or_else(|_| "info".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %format!("{error:#}"), "the proxy ends");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    heap::keep_freed();
    install_provider();
    let channel = weir_handover::inherit()
        .context("this program is started by weir-dataplane, not by hand")?;
    let equipment = Equipment::receive(&channel).context("the warden's equipment")?;
    let Equipment {
        welcome,
        listeners,
        flow_store,
        load_board,
    } = equipment;
    let authorities = trust_host(&welcome.state_dir);
    tracing::info!(authorities, "this host's trust is read");
    // Before any thread is there: Landlock holds for the threads that are started after it.
    confine(&Reach {
        state: welcome.state_dir.clone(),
        read: vec!["/proc/self".into()],
    })
    .context("this process could not be confined, and does not run unconfined")?;
    let mock_key = random_key()?;
    let (world, held) = match control::last_known_good(&welcome, mock_key)? {
        Some((world, version)) => (world, Some(version)),
        None => (nothing_registered(mock_key)?, None),
    };
    let log = welcome.state_dir.join("ledger");
    let (ledger, recovered) =
        Ledger::open(Config::new(&log, &origin(&welcome.node), welcome.workers))?;
    tracing::info!(
        size = recovered.size,
        epoch = recovered.epoch,
        "ledger open"
    );
    let mailbox = Mailbox::new(CONTROL_MESSAGES).context("eventfd")?;
    let tls = leaf(&welcome)?;
    let shared = Shared {
        world: Arc::new(ArcSwap::from_pointee(world)),
        tls: tls.clone(),
        origins: flow_store.map(FlowStore::new).map(Arc::new),
        load: load_board
            .map(|fd| LoadBoard::map(fd.as_fd()))
            .transpose()
            .context("the load board")?
            .map(Arc::new),
        own: Arc::new(OwnAddresses::new(addresses(&listeners)?)),
        meters: Arc::new(weir_flow::Meters::new()),
        tools: Arc::default(),
        calls: Arc::new(weir_flow::Calls::new()),
        control: mailbox.clone(),
        ledger: Some(ledger.handle()),
    };
    let (world, tools) = (shared.world.clone(), shared.tools.clone());
    let calls = shared.calls.clone();
    let workers = spawn(&welcome, listeners, &ledger, &shared)?;
    let start = Start {
        log_vkey: recovered.vkey.to_string(),
        log: log.join("log"),
        welcome,
        channel,
        workers,
        mailbox,
        world,
        tools,
        calls,
        held,
        tls,
        mock_key,
    };
    let workers = tokio_uring::start(control::run(start))?;
    let mut failed = None;
    for worker in workers {
        if let Err(error) = worker
            .thread
            .join()
            .unwrap_or_else(|_| Err(std::io::Error::other("a worker panicked")))
        {
            failed = Some(error);
        }
    }
    ledger.close()?;
    match failed {
        None => Ok(()),
        Some(error) => Err(error).context("a worker ended"),
    }
}

/// The log's name in its checkpoints.
fn origin(node: &str) -> String {
    format!("weir/{node}")
}

fn random_key() -> Result<[u8; 32]> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).context("getrandom")?;
    Ok(key)
}

/// The world before the control plane has said anything: nothing is registered, so nothing is allowed.
fn nothing_registered(mock_key: [u8; 32]) -> Result<World> {
    let envelope = Envelope {
        version: 0,
        not_after: u64::MAX / 1_000_000,
    };
    control::compile(envelope, mock_key, weir_api::v1::World::default()).context("the empty world")
}

fn leaf(welcome: &Welcome) -> Result<Option<Arc<AcceptorSource>>> {
    let now = time::OffsetDateTime::now_utc();
    let ca = HostCa::open(&welcome.state_dir, now)?;
    Ok(Some(Arc::new(AcceptorSource::new(ca, Vec::new(), now)?)))
}

fn addresses(listeners: &[Listening]) -> Result<Vec<SocketAddr>> {
    listeners
        .iter()
        .map(|listening| listening.socket.local_addr().context("getsockname"))
        .collect()
}

fn spawn(
    welcome: &Welcome,
    listeners: Vec<Listening>,
    ledger: &Ledger,
    shared: &Shared,
) -> Result<Vec<Worker>> {
    let mut by_worker: Vec<Vec<Listener>> = (0..welcome.workers).map(|_| Vec::new()).collect();
    let mut explicit = 0;
    for Listening { role, socket } in listeners {
        let (index, kind) = match role {
            ListenerRole::Redirect { worker } => (usize::from(worker), ListenerKind::Redirect),
            ListenerRole::Explicit { connection, .. } => {
                explicit += 1;
                let kind = ListenerKind::Explicit(weir_facts::ConnectionName::new(&connection));
                ((explicit - 1) % by_worker.len().max(1), kind)
            }
        };
        let Some(own) = by_worker.get_mut(index) else {
            bail!("a listener for worker {index}, which is not there")
        };
        own.push(Listener {
            socket: OwnedFd::from(socket),
            kind,
        });
    }
    by_worker
        .into_iter()
        .enumerate()
        .map(|(index, listeners)| {
            let index = u16::try_from(index).context("more workers than can be numbered")?;
            let journal = ledger
                .journal(index)
                .with_context(|| format!("no journal for worker {index}"))?;
            let config = WorkerConfig {
                index,
                cpu: welcome
                    .cpus
                    .get(usize::from(index))
                    .map(|cpu| *cpu as usize),
                listeners,
                buffers: BufferConfig {
                    bytes: BUFFER_BYTES,
                    count: BUFFERS,
                },
                flows_max: FLOWS_MAX,
                spin: SPIN_MAX,
                boot: u32::try_from(welcome.boot).unwrap_or(u32::MAX),
                journal: Box::new(journal),
                plans: PlanCache::new(),
            };
            Worker::spawn(config, shared.clone()).with_context(|| format!("worker {index}"))
        })
        .collect()
}
