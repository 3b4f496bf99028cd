//! A proxy that does everything but relay: it beats, reads the origin, has the caller
//! attested, and tells the client what it learnt.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use weir_handover::{
    Attest, Equipment, ListenerRole, Listening, ProxyEnd, ProxyReport, ToProxy, ToWarden,
    WorkloadFacts, inherit,
};
use weir_redirect::{FlowStore, LoadBoard};

type Answers = Mutex<HashMap<u64, SyncSender<Result<WorkloadFacts, String>>>>;

/// What every thread needs.
struct Proxy {
    channel: ProxyEnd,
    store: Option<FlowStore>,
    canary_port: Option<u16>,
    boot: u64,
    answers: Answers,
    next: AtomicU64,
}

pub(crate) fn main() -> Result<()> {
    let channel = inherit()?;
    let equipment = Equipment::receive(&channel)?;
    let welcome = equipment.welcome;
    let (state, runtime) = (welcome.state_dir.clone(), welcome.runtime_dir.clone());
    fs::write(runtime.join("confinement"), confinement()?)?;
    if let Some(board) = equipment.load_board {
        let board = LoadBoard::map(board)?;
        std::thread::spawn(move || beat(&board, welcome.workers));
    }
    let proxy = Arc::new(Proxy {
        channel,
        store: equipment.flow_store.map(FlowStore::new),
        canary_port: welcome.redirected.map(|redirected| redirected.canary_port),
        boot: welcome.boot,
        answers: Mutex::default(),
        next: AtomicU64::new(1),
    });
    for listening in equipment.listeners {
        accept(&proxy, listening);
    }
    std::thread::sleep(Duration::from_millis(50));
    proxy.channel.send(&ToWarden::Ready, &[])?;
    let (speaker, update) = (Arc::clone(&proxy), state.join("update"));
    std::thread::spawn(move || speak(&speaker, &update));
    hear(&proxy, &runtime)
}

/// What the kernel says of our privileges.
fn confinement() -> Result<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let wanted = [
        "Uid:",
        "Gid:",
        "Groups:",
        "CapInh:",
        "CapPrm:",
        "CapEff:",
        "CapBnd:",
        "CapAmb:",
        "NoNewPrivs:",
    ];
    let lines = status
        .lines()
        .filter(|line| wanted.iter().any(|key| line.starts_with(key)));
    Ok(lines.collect::<Vec<_>>().join("\n") + "\n" + &fs::read_to_string("/proc/self/cgroup")?)
}

fn beat(board: &LoadBoard, workers: u16) {
    loop {
        let mut now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        #[expect(unsafe_code, reason = "std does not give CLOCK_MONOTONIC as a number")]
        // SAFETY: a live place for the answer.
        unsafe {
            libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now)
        };
        let now_ns = now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned();
        (0..workers)
            .filter_map(|worker| board.cell(worker))
            .for_each(|cell| cell.beat(now_ns));
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn accept(proxy: &Arc<Proxy>, listening: Listening) {
    let proxy = Arc::clone(proxy);
    let Listening { role, socket } = listening;
    std::thread::spawn(move || {
        let socket: TcpListener = socket;
        for stream in socket.incoming().flatten() {
            let (proxy, role) = (Arc::clone(&proxy), role.clone());
            std::thread::spawn(move || proxy.answer(stream, &role));
        }
    });
}

impl Proxy {
    fn answer(&self, mut stream: TcpStream, role: &ListenerRole) {
        let line = match role {
            ListenerRole::Explicit { connection, .. } => {
                Some(format!("explicit {connection} boot={}\n", self.boot))
            }
            ListenerRole::Redirect { .. } => self.learn(&stream),
        };
        match line {
            Some(line) => drop(stream.write_all(line.as_bytes())),
            None => drop(socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))),
        }
    }

    fn learn(&self, stream: &TcpStream) -> Option<String> {
        let origin = self.store.as_ref()?.origin(stream.as_fd()).ok()??;
        if Some(origin.destination.port()) == self.canary_port {
            return None;
        }
        let (request, caller) = (self.next.fetch_add(1, Ordering::Relaxed), origin.caller);
        let (sender, answer) = sync_channel(1);
        self.answers.lock().ok()?.insert(request, sender);
        let asked = Attest {
            request,
            tgid: caller.tgid,
            uid: caller.uid,
            gid: caller.gid,
            cgroup_id: caller.cgroup_id,
            connect_boottime_ns: caller.connect_boottime_ns,
        };
        self.channel.send(&ToWarden::Attest(asked), &[]).ok()?;
        Some(match answer.recv_timeout(Duration::from_secs(5)).ok()? {
            Ok(facts) => format!(
                "weir {} pid={} uid={} cgroup={} exe={} digest={} boot={}\n",
                origin.destination,
                facts.pid,
                facts.uid,
                facts.cgroup,
                facts.executable,
                facts.executable_sha256.is_some(),
                self.boot
            ),
            Err(why) => format!("refused {why}\n"),
        })
    }
}

/// Says that it lives, and hands on the signed update whenever its file changes.
fn speak(proxy: &Proxy, update: &Path) {
    let (mut last, mut request) = (None, 0);
    loop {
        let report = ProxyReport {
            active_flows: 0,
            world: request,
            connected: false,
        };
        if proxy.channel.send(&ToWarden::Alive(report), &[]).is_err() {
            return;
        }
        for _ in 0..20 {
            let modified = fs::metadata(update)
                .and_then(|metadata| metadata.modified())
                .ok();
            if modified.is_some() && modified != last {
                last = modified;
                request += 1;
                if let Ok(file) = File::open(update) {
                    let _ = proxy
                        .channel
                        .send(&ToWarden::ApplyGuards { request }, &[file.as_fd()]);
                }
            }
            std::thread::sleep(Duration::from_millis(25));
        }
    }
}

fn hear(proxy: &Arc<Proxy>, runtime: &Path) -> Result<()> {
    let write = |name: &str, text: String| -> Result<()> {
        let path: PathBuf = runtime.join(name);
        let fresh = path.with_extension("new");
        fs::write(&fresh, text)?;
        Ok(fs::rename(fresh, path)?)
    };
    while let Some((message, descriptors)) = proxy.channel.receive()? {
        match message {
            ToProxy::Attested { request, outcome } => {
                let waiting = proxy
                    .answers
                    .lock()
                    .ok()
                    .and_then(|mut answers| answers.remove(&request));
                if let Some(waiting) = waiting {
                    let _ = waiting.send(outcome);
                }
            }
            ToProxy::GuardsApplied { outcome, .. } => {
                write(
                    "applied",
                    outcome.map_or_else(
                        |why| format!("refused {why}"),
                        |version| format!("version {version}"),
                    ),
                )?;
            }
            ToProxy::Listen { role } => {
                let socket = descriptors
                    .into_iter()
                    .next()
                    .context("no descriptor")?
                    .into();
                accept(proxy, Listening { role, socket });
            }
            ToProxy::Unlisten { .. } | ToProxy::Welcome(_) | ToProxy::Served { .. } => {}
            ToProxy::Hand(handed) => {
                let told = [
                    format!(
                        "client of {} pid={} cgroup={}",
                        handed.connection, handed.caller.pid, handed.caller.cgroup
                    ),
                    format!("server {}", handed.program.executable),
                ];
                for (link, told) in descriptors.into_iter().zip(told) {
                    UnixStream::from(link).write_all(told.as_bytes())?;
                }
            }
            ToProxy::Health(report) => write("health", format!("{report:?}"))?,
            ToProxy::Drain { .. } => {
                proxy.channel.send(&ToWarden::Drained, &[])?;
                return Ok(());
            }
        }
    }
    anyhow::bail!("the warden is gone")
}
