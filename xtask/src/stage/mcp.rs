//! A real MCP server, and a real client, on the official SDK.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::caller::{Caller, Running, Said};
use super::control::Hand;
use super::postgres::secret;
use super::process::{Daemon, Stop};
use super::record::Record;
use super::site::{Site, free_port};
use super::user;
use crate::{install, step};

/// The sources that lie beside the lock file.
const SOURCES: [&str; 4] = [
    "package.json",
    "package-lock.json",
    "server.mjs",
    "client.mjs",
];

/// Weir and the server speak plain HTTP.
pub(crate) const PLAIN: [&str; 2] = ["--tls", "disable"];

/// A running server.
pub(crate) struct Mcp {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// The token that it wants. Only Weir is given it.
    pub token: String,
    origin: String,
    calls: PathBuf,
    folder: PathBuf,
    daemon: Daemon,
}

impl Mcp {
    /// Installs the packages, once per checkout, and starts the server as nobody.
    pub(crate) fn start(record: &Record, site: Site) -> Result<Self> {
        install("mcp", &SOURCES, &site.folder().join("mcp"))?;
        Self::run(record, site, "mcp", None)
    }

    /// One more on the same packages.
    pub(crate) fn start_twin(record: &Record, site: Site) -> Result<Self> {
        Self::run(record, site, "mcp-twin", None)
    }

    /// One more on the same packages, which speaks HTTPS with a certificate for `localhost`.
    pub(crate) fn start_https(
        record: &Record,
        site: Site,
        certificate: &Certificate,
    ) -> Result<Self> {
        Self::run(record, site, "mcp-https", Some(certificate))
    }

    fn run(
        record: &Record,
        site: Site,
        name: &'static str,
        certificate: Option<&Certificate>,
    ) -> Result<Self> {
        let folder = site.folder().join("mcp");
        let nobody = user::find("nobody")?;
        let calls = site.logs().join(format!("{name}-calls.jsonl"));
        fs::write(&calls, "").with_context(|| format!("write {}", calls.display()))?;
        std::os::unix::fs::chown(&calls, Some(nobody.uid), Some(nobody.gid)).context("chown")?;
        let (port, token) = (free_port(0)?, secret()?);
        let offer = Offer {
            name,
            port,
            token: &token,
            note: "",
            certificate,
        };
        let daemon = serve(record, site, &offer)?;
        let origin = match certificate {
            None => format!("http://127.0.0.1:{port}"),
            Some(_) => format!("https://localhost:{port}"),
        };
        Ok(Self {
            port,
            token,
            origin,
            calls,
            folder,
            daemon,
        })
    }

    /// Ends the plain server and starts it again at the same place, with a note added to what
    /// `echo` says of itself.
    pub(crate) fn restart(&mut self, record: &Record, site: Site, note: &str) -> Result<()> {
        self.daemon.kill()?;
        let offer = Offer {
            name: "mcp",
            port: self.port,
            token: &self.token,
            note,
            certificate: None,
        };
        self.daemon = serve(record, site, &offer)?;
        Ok(())
    }

    /// Makes it the demo's connection, with this beside its address.
    pub(crate) fn register(&self, admin: &Hand, more: &[&str]) -> Result<()> {
        self.register_as("demo-mcp", admin, more)
    }

    /// Makes it a connection of this name.
    pub(crate) fn register_as(&self, name: &str, admin: &Hand, more: &[&str]) -> Result<()> {
        let address = format!("127.0.0.1:{}", self.port);
        let words = ["connection", "add", name, "--kind", "mcp"];
        let place = ["--env", "demo", "--address", &address];
        admin
            .run(&[&words, place.as_slice(), more].concat())
            .map(drop)
    }

    /// Gives Weir its token, for the demo's connection.
    pub(crate) fn entrust(&self, admin: &Hand) -> Result<()> {
        self.entrust_as("demo-mcp", admin)
    }

    /// Gives Weir its token, for a connection of this name.
    pub(crate) fn entrust_as(&self, name: &str, admin: &Hand) -> Result<()> {
        let words = ["connection", "credential", name];
        admin.run_with(&words, &self.token).map(drop)
    }

    fn arguments(&self, ask: &[&str]) -> Vec<String> {
        let url = self.url();
        let client = self.folder.join("client.mjs").display().to_string();
        [client, url]
            .into_iter()
            .chain(ask.iter().map(|word| (*word).to_owned()))
            .collect()
    }

    /// Where clients find it.
    pub(crate) fn url(&self) -> String {
        format!("{}/mcp", self.origin)
    }

    /// Has a caller's client ask, and waits. `ask` is `list`, or `call TOOL ARGUMENTS`.
    pub(crate) fn ask(&self, caller: &Caller, ask: &[&str]) -> Result<(Value, Said)> {
        answer(self.begin(caller, ask)?.finish()?)
    }

    /// Has a caller's client ask, and does not wait.
    pub(crate) fn begin(&self, caller: &Caller, ask: &[&str]) -> Result<Running> {
        Running::start(caller.command("node").args(self.arguments(ask)), "")
    }

    /// The same caller with what it needs to speak to the server without Weir.
    pub(crate) fn direct(&self, caller: &Caller) -> Caller {
        caller.clone().with("MCP_TOKEN", &self.token)
    }

    /// How much the server has written down so far of the calls that reached it.
    pub(crate) fn calls_bytes(&self) -> Result<u64> {
        let about = fs::metadata(&self.calls)
            .with_context(|| format!("look at {}", self.calls.display()))?;
        Ok(about.len())
    }

    /// How many calls have reached the server since it had written so much: a line for each.
    pub(crate) fn calls_since(&self, bytes: u64) -> Result<u64> {
        let read = || {
            let mut file = fs::File::open(&self.calls)?;
            file.seek(SeekFrom::Start(bytes))?;
            let (mut buffer, mut lines) = (vec![0; 1 << 20], 0);
            loop {
                let count = file.read(&mut buffer)?;
                if count == 0 {
                    return Ok::<u64, std::io::Error>(lines);
                }
                let read = buffer.get(..count).unwrap_or_default();
                lines += read.iter().filter(|byte| **byte == b'\n').count() as u64;
            }
        };
        read().with_context(|| format!("read {}", self.calls.display()))
    }

    /// Tools that were really called, in order, as the server itself wrote them down.
    pub(crate) fn calls(&self) -> Result<Vec<String>> {
        let text = fs::read_to_string(&self.calls)
            .with_context(|| format!("read {}", self.calls.display()))?;
        let tool = |line: &str| {
            serde_json::from_str::<Value>(line).ok()?["tool"]
                .as_str()
                .map(str::to_owned)
        };
        Ok(text.lines().filter_map(tool).collect())
    }
}

/// What a server is started with.
struct Offer<'a> {
    /// Names its log and its record of calls.
    name: &'a str,
    port: u16,
    token: &'a str,
    note: &'a str,
    certificate: Option<&'a Certificate>,
}

fn serve(record: &Record, site: Site, offer: &Offer<'_>) -> Result<Daemon> {
    let nobody = user::find("nobody")?;
    let name = offer.name;
    let mut command = Command::new("node");
    command
        .arg(site.folder().join("mcp/server.mjs"))
        .arg(offer.port.to_string())
        .arg(site.logs().join(format!("{name}-calls.jsonl")));
    command
        .env("MCP_TOKEN", offer.token)
        .env("MCP_NOTE", offer.note)
        .env("HOME", "/nonexistent")
        .current_dir("/")
        .uid(nobody.uid)
        .gid(nobody.gid);
    if let Some(certificate) = offer.certificate {
        command
            .env("TLS_CERT", &certificate.chain)
            .env("TLS_KEY", &certificate.key);
    }
    let log = site.logs().join(format!("{name}.log"));
    let what = format!("the MCP server ({name})");
    let mut daemon = Daemon::start(record, &what, &log, &mut command, Stop::Terminate)?;
    daemon.await_ready(Duration::from_secs(30), || super::listens(offer.port))?;
    Ok(daemon)
}

/// A certificate and its key, and who vouches for it; files.
pub(crate) struct Certificate {
    /// The authority's certificate.
    pub authority: PathBuf,
    chain: PathBuf,
    key: PathBuf,
}

impl Certificate {
    /// For `localhost`, by an authority that is made for it.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        install::ensure(&[install::OPENSSL])?;
        fs::create_dir_all(folder).with_context(|| format!("mkdir {}", folder.display()))?;
        let at = |name: &str| folder.join(name).display().to_string();
        let openssl = |words: &[&str]| {
            let mut command = Command::new("openssl");
            step::output("openssl", command.args(words).current_dir(folder)).map(drop)
        };
        let key = "ec_paramgen_curve:P-256";
        let new = ["-newkey", "ec", "-pkeyopt", key, "-nodes", "-days", "2"];
        let authority = [
            "req",
            "-x509",
            "-subj",
            "/CN=Corp CA",
            "-keyout",
            "ca.key",
            "-out",
            "ca.crt",
        ];
        openssl(&[&authority[..], &new].concat())?;
        let names = "subjectAltName=DNS:localhost";
        let signed = [
            "req",
            "-x509",
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-subj",
            "/CN=localhost",
            "-addext",
            names,
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            "server.key",
            "-out",
            "server.crt",
        ];
        openssl(&[&signed[..], &new].concat())?;
        step::output(
            "chmod",
            Command::new("chmod").args(["-R", "a+rX"]).arg(folder),
        )?;
        Ok(Self {
            authority: at("ca.crt").into(),
            chain: at("server.crt").into(),
            key: at("server.key").into(),
        })
    }
}

/// The line of JSON that the client printed.
pub(crate) fn answer(said: Said) -> Result<(Value, Said)> {
    let value = serde_json::from_str(said.out.trim())
        .with_context(|| format!("the MCP client said {said:?}"))?;
    Ok((value, said))
}

/// Installs the packages and programs of `xtask/NAME` into `target/NAME`, which later runs use
/// again, and copies them to where all may read.
pub(crate) fn install(name: &str, names: &[&str], folder: &Path) -> Result<()> {
    let (sources, kept) = (
        step::root().join("xtask").join(name),
        step::root().join("target").join(name),
    );
    fs::create_dir_all(&kept).with_context(|| format!("mkdir {}", kept.display()))?;
    let lock = fs::read(sources.join("package-lock.json")).context("read package-lock.json")?;
    let stamp = kept.join("installed");
    let is_installed = fs::read(&stamp).is_ok_and(|installed| installed == lock);
    for name in names {
        fs::copy(sources.join(name), kept.join(name)).with_context(|| format!("copy {name}"))?;
    }
    if !is_installed {
        let mut npm = Command::new("npm");
        npm.args([
            "ci",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--fetch-timeout=30000",
            "--loglevel=error",
        ])
        .current_dir(&kept);
        step::output("npm ci", &mut npm)?;
        fs::write(&stamp, &lock).with_context(|| format!("write {}", stamp.display()))?;
    }
    step::output("cp", Command::new("cp").arg("-r").arg(&kept).arg(folder))?;
    step::output(
        "chmod",
        Command::new("chmod").args(["-R", "a+rX"]).arg(folder),
    )
    .map(|_| ())
}
