//! The stage on which the demo and the end-to-end tests play: real servers, the real three
//! programs, and users of this host, set up and taken down in one place.
//!
//! Start with [`Stage::up`]. What it changes on the host is written down first ([`record`]),
//! so that [`down`] can undo it at any later time.

mod build;
mod caller;
mod control;
mod dataplane;
mod idp;
mod interrupt;
pub(crate) mod leaves;
pub(crate) mod mcp;
mod people;
pub(crate) mod policies;
mod postgres;
pub(crate) mod process;
mod record;
mod session;
mod site;
mod statements;
mod user;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub(crate) use build::{Selection, built, place};
pub(crate) use caller::{Caller, Running, Said, until};
pub(crate) use control::{Control, Hand};
pub(crate) use dataplane::{Dataplane, await_settled, detach, put_in_force};
pub(crate) use idp::Idp;
pub(crate) use interrupt::stay;
pub(crate) use mcp::{Certificate, Mcp};
pub(crate) use people::{People, Person};
pub(crate) use postgres::{Bare, Postgres, SETUP, bin, psql};
pub(crate) use record::Record;
pub(crate) use session::Session;
pub(crate) use site::{DEMO, E2E, Site, WORKERS, cgroup_root, free_port};
pub(crate) use user::{User, find as find_user};

use crate::{install, step};
use record::Change;

/// By what name direct controls are known in the server's log.
pub(crate) const DIRECT: &str = "direct-control";

/// Whose sessions are no client's through Weir: Weir's own, which read catalogues and, for
/// `weir connection check`, what a role may do; the stage's, and the direct controls.
pub(crate) const NO_CLIENTS: [&str; 4] = ["weir-catalog", "weir-check", SETUP, DIRECT];

/// `BPF_FS_MAGIC` of linux/magic.h.
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

/// Everything that runs.
pub(crate) struct Stage {
    /// Names and places.
    pub site: Site,
    /// What was changed on the host.
    pub record: Record,
    /// The Postgres server.
    pub postgres: Postgres,
    /// The MCP server.
    pub mcp: Mcp,
    /// The control plane.
    pub control: Control,
    /// The data plane.
    pub dataplane: Dataplane,
    /// Who there is.
    pub people: People,
}

impl Stage {
    /// Sets everything up and waits until it guards. What was left of an earlier stage goes first.
    pub(crate) fn up(site: Site, selection: &Selection) -> Result<Self> {
        if !step::is_root() {
            bail!(
                "the hooks are attached at the cgroup root, and users are made: run this as root"
            );
        }
        install::ensure(&[
            install::CC,
            install::LIBCLANG,
            install::POSTGRES,
            install::NPM,
            install::SETPRIV,
        ])?;
        if let Some(left) = Record::find(site)? {
            println!("  an earlier stage was left behind: taking it down");
            left.undo()?;
        }
        let record = Record::begin(site)?;
        interrupt::undo_on_interrupt(record)?;
        let stage = Self::build(site, record, selection);
        if stage.is_err() {
            record.undo().context("after a failed start")?;
        }
        stage
    }

    fn build(site: Site, record: Record, selection: &Selection) -> Result<Self> {
        build::programs(selection, &site.programs())?;
        std::fs::create_dir(site.logs()).context("make the logs' folder")?;
        let guarded = cgroup_root()?.join(site.name);
        record.change(&Change::Cgroup(guarded.clone()), || {
            std::fs::create_dir(&guarded).with_context(|| format!("mkdir {}", guarded.display()))
        })?;
        let postgres = Postgres::start(&record, site)?;
        println!(
            "  PostgreSQL at 127.0.0.1:{}, logging every statement",
            postgres.port
        );
        let mcp = Mcp::start(&record, site)?;
        println!("  MCP server at http://127.0.0.1:{}/mcp", mcp.port);
        let control = Control::start(&record, site)?;
        println!("  control plane at {}", control.url());
        let people = People::make(&record, site, &control)?;
        register(&control.admin(), site, &postgres, &mcp)?;
        let mut dataplane = Dataplane::start(&record, site, &control.admin())?;
        dataplane.await_ready(&control.admin())?;
        println!(
            "  data plane guards {}, proved by its canary",
            site.guarded()
        );
        Ok(Self {
            site,
            record,
            postgres,
            mcp,
            control,
            dataplane,
            people,
        })
    }

    /// Copies what the daemons printed to target/, since the stage's folder will be gone.
    pub(crate) fn keep_logs(&self) {
        let kept = step::root()
            .join("target")
            .join(format!("{}-logs", self.site.name));
        let mut copy = std::process::Command::new("cp");
        match step::output("cp", copy.arg("-rT").arg(self.site.logs()).arg(&kept)) {
            Ok(_) => println!("\nlogs are kept in {}", kept.display()),
            Err(error) => println!("\nlogs could not be kept: {error:#}"),
        }
    }

    /// Undoes everything.
    pub(crate) fn down(self) -> Result<()> {
        self.record.undo()
    }

    /// Has a caller's psql ask one thing.
    pub(crate) fn psql(&self, caller: &Caller, text: &str) -> Result<Said> {
        let arguments = self.postgres.arguments();
        let arguments: Vec<_> = arguments
            .iter()
            .map(String::as_str)
            .chain(["-c", text])
            .collect();
        caller.run(&psql()?, &arguments, "")
    }

    /// The same at another port.
    pub(crate) fn psql_at(&self, caller: &Caller, port: &str, text: &str) -> Result<Said> {
        let arguments = self.postgres.arguments();
        // The last -p counts.
        let arguments: Vec<_> = arguments
            .iter()
            .map(String::as_str)
            .chain(["-p", port, "-c", text])
            .collect();
        caller.run(&psql()?, &arguments, "")
    }

    /// The same with another start-up user than the server's role.
    pub(crate) fn psql_as(&self, caller: &Caller, user: &str, text: &str) -> Result<Said> {
        let arguments = self.postgres.arguments();
        // The last -U counts.
        let arguments: Vec<_> = arguments
            .iter()
            .map(String::as_str)
            .chain(["-U", user, "-c", text])
            .collect();
        caller.run(&psql()?, &arguments, "")
    }

    /// Has a caller's psql run a script in one session.
    pub(crate) fn script(&self, caller: &Caller, text: &str) -> Result<Said> {
        let arguments = self.postgres.arguments();
        caller.run(
            &psql()?,
            &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
            text,
        )
    }

    /// Begins a psql that asks one thing, and does not wait for it.
    pub(crate) fn begin_psql(&self, caller: &Caller, text: &str) -> Result<Running> {
        Running::start(
            caller
                .command(&psql()?)
                .args(self.postgres.arguments())
                .args(["-c", text]),
            "",
        )
    }

    /// The audit log's folder: tiles, entries, checkpoint.
    pub(crate) fn log(&self) -> std::path::PathBuf {
        self.site.ledger().join("log")
    }
}

/// Tells the control plane of both servers, their credentials, the guard and the policies.
fn register(admin: &Hand, site: Site, postgres: &Postgres, mcp: &Mcp) -> Result<()> {
    let pg = format!("127.0.0.1:{}", postgres.port);
    let options = [
        "--env",
        "demo",
        "--database",
        "shop",
        "--default-role",
        "app",
    ];
    admin.run(
        &[
            &[
                "connection",
                "add",
                "demo-pg",
                "--kind",
                "postgres",
                "--address",
                &pg,
            ],
            options.as_slice(),
        ]
        .concat(),
    )?;
    mcp.register(admin, &mcp::PLAIN)?;
    admin.run_with(
        &["connection", "credential", "demo-pg", "--role", "app"],
        &postgres.password,
    )?;
    let catalog = [
        "connection",
        "credential",
        "demo-pg",
        "--role",
        "weir_catalog",
        "--catalogue",
    ];
    admin.run_with(&catalog, &postgres.catalog_password)?;
    mcp.entrust(admin)?;
    admin.run(&["guard", "add", &site.guarded()])?;
    let policies = step::root().join("policies/demo");
    admin
        .run(&[
            "policy",
            "push",
            &policies.display().to_string(),
            "-m",
            "the demo's policies",
        ])
        .map(|_| ())
}

/// Undoes whatever an earlier run left. Tells whether there was anything.
pub(crate) fn down(site: Site) -> Result<bool> {
    match Record::find(site)? {
        Some(record) => record.undo().map(|()| true),
        None => Ok(false),
    }
}

/// Whether somebody listens at a port of 127.0.0.1.
pub(crate) fn listens(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
}

/// Whether a BPF file system is mounted at a path.
fn is_bpffs(path: &Path) -> Result<bool> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    #[expect(
        unsafe_code,
        reason = "the standard library does not tell a file system's type"
    )]
    // SAFETY: statfs is plain data; the path is a C string and the pointer is to a live value.
    let (about, status) = unsafe {
        let mut about: libc::statfs = std::mem::zeroed();
        let status = libc::statfs(path.as_ptr(), &mut about);
        (about, status)
    };
    Ok(status == 0 && about.f_type == BPF_FS_MAGIC)
}
