//! A warden of this test's own, with its own cgroups, pins, ports and control key.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use prost::Message as _;
use weir_api::v1::{Connection, Guard, GuardMode, World};
use weir_api::{Join, sign};

/// Nobody in particular.
pub(crate) const PROXY_UID: u32 = 64_123;
pub(crate) const NODE: &str = "test-node";

/// The control plane's key, and another.
pub(crate) fn key(seed: u8) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[seed; 32])
}

/// Removes what it made when dropped.
pub(crate) struct Bed {
    pub(crate) cgroups: PathBuf,
    pub(crate) name: String,
    pub(crate) target: Target,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) listen: u16,
    warden: Option<Child>,
}

impl Bed {
    /// A configured data plane that has not been started. `clients` will be guarded by
    /// [`Self::push`], `outside` never.
    pub(crate) fn new() -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        ensure!(
            fs::metadata("/proc/self")?.uid() == 0,
            "these tests need root: they load eBPF and make cgroups"
        );
        let name = format!(
            "weir-wtest-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let cgroups = weir_redirect::cgroup_root()?;
        for child in ["clients", "outside"] {
            fs::create_dir_all(cgroups.join(format!("{name}-{child}")))?;
        }
        let directory = tempfile::tempdir()?;
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
        let bed = Self {
            cgroups,
            name,
            target: Target::new()?,
            directory,
            listen: free_below_32768(20_000, 1)?,
            warden: None,
        };
        bed.configure()?;
        Ok(bed)
    }

    fn configure(&self) -> Result<()> {
        let home = self.directory.path();
        let join = Join {
            url: "http://127.0.0.1:1".into(),
            node: NODE.into(),
            token: "token".into(),
            control_key: key(1).verifying_key(),
            ca_pem: None,
        };
        fs::write(home.join("join"), join.encode())?;
        // By its name it knows what it is. A copy: the checkout may be closed to others.
        fs::copy(std::env::current_exe()?, home.join("weir-proxy"))?;
        let home = home.display();
        let text = format!(
            "join_file = '{home}/join'\nstate_dir = '{home}/state'\nruntime_dir = '{home}/run'\nworkers = 2\n\
             base_port = {}\nheartbeat_ttl_ms = 400\npin_dir = '{home}/bpf/weir'\ncgroup = '{}'\n\
             user = '{PROXY_UID}'\nproxy = '{home}/weir-proxy'\n\
             [[listen]]\naddress = '127.0.0.1:{}'\nconnection = 'configured'\n",
            free_below_32768(26_000, 2)?,
            self.name,
            self.listen
        );
        Ok(fs::write(
            self.directory.path().join("dataplane.toml"),
            text,
        )?)
    }

    /// Starts the warden and waits until its proxy serves.
    pub(crate) fn start(&mut self) -> Result<()> {
        let before = self.proxies();
        let mut command = self.command(&[]);
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("log"))?;
        self.warden = Some(command.stderr(log).spawn()?);
        self.wait("a proxy that serves", || {
            Ok(self.proxies().iter().any(|pid| !before.contains(pid)) && self.serves()?)
        })
    }

    /// A started one with version 1 of the world in force.
    pub(crate) fn guarding() -> Result<Self> {
        let mut bed = Self::new()?;
        bed.start()?;
        bed.push(1, 1, NODE, |_| {})?;
        bed.wait("guards", || Ok(bed.applied() == "version 1"))?;
        Ok(bed)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `weir-dataplane` with the bed's configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir-dataplane"));
        command
            .arg("--config")
            .arg(self.path("dataplane.toml"))
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Exit status and output of `weir-dataplane status --json`.
    pub(crate) fn status(&self) -> Result<(bool, String)> {
        let output = self.command(&["status", "--json"]).output()?;
        let text = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
        Ok((output.status.success(), text))
    }

    /// Gives the proxy a world that guards `clients` and governs the target.
    pub(crate) fn push(
        &self,
        seed: u8,
        version: u64,
        node: &str,
        change: impl FnOnce(&mut World),
    ) -> Result<()> {
        let mut world = World {
            guards: vec![Guard {
                name: "clients".into(),
                cgroup: format!("/{}-clients", self.name),
                mode: GuardMode::Enforce.into(),
            }],
            connections: vec![Connection {
                name: "target".into(),
                addresses: vec![self.target.v4(), self.target.v6()],
                ..Connection::default()
            }],
            ..World::default()
        };
        change(&mut world);
        let update = sign(
            &key(seed),
            node,
            version,
            u64::MAX,
            "n".into(),
            world.encode_to_vec(),
        );
        let fresh = self.path("state/proxy/update.new");
        let mut file = fs::File::create(&fresh)?;
        file.write_all(&update.encode_to_vec())?;
        fs::set_permissions(&fresh, Permissions::from_mode(0o644))?;
        let _ = fs::remove_file(self.path("run/proxy/applied"));
        Ok(fs::rename(fresh, self.path("state/proxy/update"))?)
    }

    /// The warden's answer to the last push.
    pub(crate) fn applied(&self) -> String {
        fs::read_to_string(self.path("run/proxy/applied")).unwrap_or_default()
    }

    /// Runs a client in a cgroup.
    pub(crate) fn client(&self, cgroup: &str, arguments: &[&str]) -> Result<Vec<String>> {
        finish(self.spawn(cgroup, arguments)?)
    }

    pub(crate) fn spawn(&self, cgroup: &str, arguments: &[&str]) -> Result<Child> {
        let cgroup = self.cgroups.join(format!("{}-{cgroup}", self.name));
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("client")
            .arg(cgroup)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        Ok(command.spawn()?)
    }

    /// Process ids in the proxy's cgroup.
    pub(crate) fn proxies(&self) -> Vec<u32> {
        let procs = self.cgroups.join(&self.name).join("proxy/cgroup.procs");
        let text = fs::read_to_string(procs).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    pub(crate) fn kill_proxy(&self) -> Result<()> {
        for pid in self.proxies() {
            signal("KILL", pid)?;
        }
        Ok(())
    }

    pub(crate) fn kill_warden(&mut self) -> Result<()> {
        let mut warden = self.warden.take().context("no warden runs")?;
        warden.kill()?;
        warden.wait()?;
        Ok(())
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn stop(&mut self) -> Result<std::process::ExitStatus> {
        let mut warden = self.warden.take().context("no warden runs")?;
        signal("TERM", warden.id())?;
        Ok(warden.wait()?)
    }

    fn serves(&self) -> Result<bool> {
        Ok(self
            .client(
                "outside",
                &["connect", &format!("127.0.0.1:{}", self.listen)],
            )?
            .concat()
            .starts_with("explicit"))
    }

    pub(crate) fn wait(&self, what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            if done()? {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        bail!(
            "waited in vain for {what}; last answer {:?}; log:\n{log}",
            self.applied()
        )
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.kill_warden();
        let _ = self.command(&["detach"]).stdout(Stdio::null()).status();
        let _ = Command::new("umount").arg(self.path("bpf")).status();
        let _ = self.kill_proxy();
        std::thread::sleep(Duration::from_millis(50));
        for child in ["/proxy", "/warden", "/canary", "-clients", "-outside", ""] {
            let _ = fs::remove_dir(self.cgroups.join(format!("{}{child}", self.name)));
        }
    }
}

fn signal(name: &str, pid: u32) -> Result<()> {
    Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status()?;
    Ok(())
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

/// Ports below the range that the kernel gives to outgoing connections.
fn free_below_32768(from: u16, count: u16) -> Result<u16> {
    let first = from + u16::try_from(std::process::id() % 5_000)?;
    (first..first + 1_000)
        .step_by(usize::from(count))
        .find(|port| {
            (*port..*port + count).all(|port| {
                TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
                    && TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok()
            })
        })
        .context("no free ports")
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
