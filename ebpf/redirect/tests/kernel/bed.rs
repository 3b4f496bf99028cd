//! A private piece of the cgroup tree with the redirect attached to it, a stand-in for the
//! proxy's workers, and servers that count who reaches them directly.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use weir_redirect::{
    Cgroup, Counter, FlowStore, Listeners, LoadBoard, Place, Redirect, Selector, SelectorKind,
    Standing, cgroup_root, mount_bpffs, netns_cookie,
};

pub(crate) const WORKERS: u16 = 2;
pub(crate) const TTL: Duration = Duration::from_millis(300);

/// Removes what it made when dropped.
pub(crate) struct Bed {
    pub(crate) redirect: Redirect,
    pub(crate) base_port: u16,
    pub(crate) target: Target,
    pub(crate) ground: Ground,
    workers: Workers,
}

impl Bed {
    /// Attached to a cgroup of its own; `clients` is guarded, `outside` is not, and this
    /// process is Weir.
    pub(crate) fn new() -> Result<Self> {
        Self::at(None)
    }

    /// Attached to the given cgroup instead.
    pub(crate) fn at(attach: Option<PathBuf>) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        ensure!(
            fs::metadata("/proc/self")?.uid() == 0,
            "these tests need root: they load eBPF and make cgroups"
        );
        let tree = cgroup_root()?;
        let name = format!(
            "weir-test-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let ground = Ground::new(&tree, &name, attach)?;
        let redirect = Redirect::install(&ground.place)?;
        let listeners = Listeners {
            base_port: free_ports()?,
            workers: WORKERS,
            heartbeat_ttl: TTL,
        };
        redirect.set_listeners(listeners)?;
        redirect.register_netns(netns_cookie(None)?)?;
        for (cpu, worker) in [(0, 0), (1, 1)] {
            redirect.set_cpu_worker(cpu, worker)?;
        }
        let target = Target::new()?;
        redirect.replace_selectors(&target.selectors()?)?;
        // First of all: from here on nobody else binds the listeners' ports.
        redirect.set_cgroup(
            Cgroup::at(&tree, &ground.root.join("weir"))?,
            Standing::WEIR,
        )?;
        let bed = Self {
            workers: Workers::start(&redirect, listeners.base_port)?,
            base_port: listeners.base_port,
            ground,
            redirect,
            target,
        };
        bed.stand("clients", Standing::ENFORCE)?;
        Ok(bed)
    }

    pub(crate) fn cgroup(&self, name: &str) -> PathBuf {
        self.ground.root.join(name)
    }

    pub(crate) fn stand(&self, name: &str, standing: Standing) -> Result<()> {
        let root = cgroup_root()?;
        Ok(self
            .redirect
            .set_cgroup(Cgroup::at(&root, &self.cgroup(name))?, standing)?)
    }

    /// Runs a client in a cgroup and gives its lines.
    pub(crate) fn client(&self, cgroup: &str, arguments: &[&str]) -> Result<Vec<String>> {
        finish(self.spawn(cgroup, arguments)?)
    }

    pub(crate) fn spawn(&self, cgroup: &str, arguments: &[&str]) -> Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("client")
            .arg(self.cgroup(cgroup))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        Ok(command.spawn()?)
    }

    pub(crate) fn count(&self, counter: Counter) -> Result<u64> {
        Ok(self.redirect.counters()?.of(counter))
    }

    /// Nobody is alive any more.
    pub(crate) fn stop_beating(&self) {
        self.workers.beating.store(false, Ordering::Relaxed);
        std::thread::sleep(TTL * 2);
    }

    /// Connections that the workers reset for lack of an origin.
    pub(crate) fn strangers(&self) -> u64 {
        self.workers.strangers.load(Ordering::Relaxed)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.workers.stop(self.base_port);
    }
}

/// The cgroups and the mount of a bed; goes last, and also if the bed was never finished.
pub(crate) struct Ground {
    pub(crate) place: Place,
    root: PathBuf,
    home: PathBuf,
    directory: tempfile::TempDir,
}

impl Ground {
    fn new(tree: &Path, name: &str, attach: Option<PathBuf>) -> Result<Self> {
        let root = tree.join(name);
        let directory = tempfile::tempdir()?;
        let place = Place {
            cgroup: attach.unwrap_or_else(|| root.clone()),
            pins: directory.path().join("bpf/weir"),
        };
        let ground = Self {
            home: own_cgroup(tree)?,
            place,
            root,
            directory,
        };
        for name in ["", "clients", "clients/nested", "outside", "weir", "exempt"] {
            let path = ground.root.join(name);
            fs::create_dir(&path).with_context(|| format!("mkdir {}", path.display()))?;
        }
        enter(&ground.root.join("weir"))?;
        mount_bpffs(&ground.directory.path().join("bpf"))?;
        Ok(ground)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = weir_redirect::detach(&self.place.pins);
        let _ = Command::new("umount")
            .arg(self.directory.path().join("bpf"))
            .status();
        let _ = enter(&self.home);
        for name in ["clients/nested", "clients", "outside", "weir", "exempt", ""] {
            let _ = fs::remove_dir(self.root.join(name));
        }
    }
}

pub(crate) fn finish(child: Child) -> Result<Vec<String>> {
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "the client failed: {:?}",
        output.status
    );
    Ok(String::from_utf8(output.stdout)?
        .lines()
        .map(str::to_owned)
        .collect())
}

pub(crate) fn enter(cgroup: &Path) -> Result<()> {
    let procs = cgroup.join("cgroup.procs");
    fs::write(&procs, "0").with_context(|| format!("write {}", procs.display()))
}

fn own_cgroup(tree: &Path) -> Result<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup")?;
    let path = text
        .lines()
        .find_map(|line| line.strip_prefix("0::/"))
        .context("no cgroup2 membership")?;
    Ok(tree.join(path))
}

/// A port whose successor is free as well, in both families.
fn free_ports() -> Result<u16> {
    for _ in 0..100 {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = first.local_addr()?.port();
        let others = [(Ipv4Addr::LOCALHOST.into(), port.wrapping_add(1))]
            .into_iter()
            .chain([0, 1].map(|step| {
                (
                    std::net::IpAddr::V6(Ipv6Addr::LOCALHOST),
                    port.wrapping_add(step),
                )
            }));
        if port < u16::MAX && others.map(TcpListener::bind).all(|bound| bound.is_ok()) {
            return Ok(port);
        }
    }
    anyhow::bail!("no two free ports beside each other")
}

pub(crate) fn mono_ns() -> u64 {
    // The same clock as the kernel's bpf_ktime_get_ns.
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    #[expect(unsafe_code, reason = "std does not give CLOCK_MONOTONIC as a number")]
    // SAFETY: a live place for the answer.
    unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now)
    };
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// A server that greets whoever reaches it, and counts.
pub(crate) struct Target {
    pub(crate) port: u16,
    hits: Arc<AtomicU64>,
}

impl Target {
    fn new() -> Result<Self> {
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = v4.local_addr()?.port();
        let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port))?;
        let hits = Arc::new(AtomicU64::new(0));
        for listener in [v4, v6] {
            let hits = Arc::clone(&hits);
            std::thread::spawn(move || {
                for mut stream in listener.incoming().flatten() {
                    hits.fetch_add(1, Ordering::Relaxed);
                    let _ = stream.write_all(b"direct\n");
                }
            });
        }
        Ok(Self { port, hits })
    }

    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Every address at the target's port, so that a client can ask for one without a route.
    fn selectors(&self) -> Result<Vec<(Selector, SelectorKind)>> {
        let any = [
            format!("0.0.0.0/0:{}", self.port),
            format!("[::/0]:{}", self.port),
        ];
        any.iter()
            .map(|text| Ok((text.parse()?, SelectorKind::Govern)))
            .collect()
    }

    pub(crate) fn v4(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn v6(&self) -> String {
        format!("[::1]:{}", self.port)
    }

    pub(crate) fn mapped(&self) -> String {
        format!("[::ffff:127.0.0.1]:{}", self.port)
    }
}

/// Stand-ins for the proxy's workers: each answers with what it knows of the caller.
struct Workers {
    beating: Arc<AtomicBool>,
    running: Arc<AtomicBool>,
    strangers: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    fn start(redirect: &Redirect, base_port: u16) -> Result<Self> {
        let beating = Arc::new(AtomicBool::new(true));
        let running = Arc::new(AtomicBool::new(true));
        let strangers = Arc::new(AtomicU64::new(0));
        let board = Arc::new(LoadBoard::map(redirect.load_board_fd()?)?);
        let mut threads = vec![beat(
            Arc::clone(&board),
            Arc::clone(&beating),
            Arc::clone(&running),
        )];
        for worker in 0..WORKERS {
            for address in [
                std::net::IpAddr::from(Ipv4Addr::LOCALHOST),
                Ipv6Addr::LOCALHOST.into(),
            ] {
                let listener = TcpListener::bind((address, base_port + worker))?;
                let store = FlowStore::new(redirect.flow_store_fd()?);
                let (running, strangers, board) = (
                    Arc::clone(&running),
                    Arc::clone(&strangers),
                    Arc::clone(&board),
                );
                threads.push(std::thread::spawn(move || {
                    while let Ok((stream, _)) = listener.accept() {
                        if !running.load(Ordering::Relaxed) {
                            return;
                        }
                        if let Some(cell) = board.cell(worker) {
                            cell.accepted(1);
                        }
                        answer(&store, stream, worker, &strangers);
                    }
                }));
            }
        }
        Ok(Self {
            beating,
            running,
            strangers,
            threads,
        })
    }

    fn stop(&mut self, base_port: u16) {
        self.running.store(false, Ordering::Relaxed);
        for worker in 0..WORKERS {
            // Wakes accept; refused by our own hook for others, but we hold the listener.
            let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, base_port + worker));
            let _ = TcpStream::connect((Ipv6Addr::LOCALHOST, base_port + worker));
        }
        // The hook refuses connects to the listeners, so the threads may stay in accept; they
        // end with the process.
        self.threads
            .drain(..)
            .filter(JoinHandle::is_finished)
            .for_each(|thread| drop(thread.join()));
    }
}

fn beat(
    board: Arc<LoadBoard>,
    beating: Arc<AtomicBool>,
    running: Arc<AtomicBool>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        while running.load(Ordering::Relaxed) {
            if beating.load(Ordering::Relaxed) {
                (0..WORKERS)
                    .filter_map(|worker| board.cell(worker))
                    .for_each(|cell| cell.beat(mono_ns()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    })
}

fn answer(store: &FlowStore, mut stream: TcpStream, worker: u16, strangers: &AtomicU64) {
    let Ok(Some(origin)) = store.origin(stream.as_fd()) else {
        strangers.fetch_add(1, Ordering::Relaxed);
        let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        return;
    };
    let caller = origin.caller;
    let line = format!(
        "weir {} {:?} tgid={} uid={} gid={} cgroup={} worker={worker}\n",
        origin.destination, origin.family, caller.tgid, caller.uid, caller.gid, caller.cgroup_id
    );
    let _ = stream.write_all(line.as_bytes());
}

/// Reads what the other side says until it closes.
pub(crate) fn read_all(mut stream: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.trim_end().to_owned())
}

/// The address of the bed's workers.
pub(crate) fn listener(bed: &Bed, worker: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, bed.base_port + worker).into()
}
