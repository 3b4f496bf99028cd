//! The rivals at work, each with one thread.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::tools::Tools;
use crate::stage::process::{Daemon, Stop};
use crate::stage::{Stage, find_user, listens};

/// What they stand before.
pub(crate) struct Behind {
    /// The scripted Postgres server.
    pub scripted: u16,
    /// The real one.
    pub postgres: u16,
    /// The MCP server.
    pub mcp: u16,
}

/// A running rival.
pub(crate) struct Peer {
    /// Its process. A worker's, where the first process only watches.
    pub pid: i32,
    _daemon: Daemon,
}

/// haproxy in TCP mode, one thread.
pub(crate) fn haproxy(
    stage: &Stage,
    tools: &Tools,
    behind: &Behind,
    ports: [u16; 2],
) -> Result<Peer> {
    let proxy = |name: &str, from: u16, to: u16| {
        format!("listen {name}\n  bind 127.0.0.1:{from}\n  server one 127.0.0.1:{to}\n")
    };
    let [scripted, postgres] = ports;
    let text = format!(
        "global\n  nbthread 1\n  maxconn 1000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n{}{}",
        proxy("scripted", scripted, behind.scripted),
        proxy("postgres", postgres, behind.postgres),
    );
    let file = write(stage, "haproxy.cfg", &text)?;
    let mut command = tools.command("haproxy");
    start(
        stage,
        "haproxy",
        command.arg("-db").arg("-f").arg(file),
        scripted,
    )
}

/// pgbouncer in session mode: `shop` is the scripted server, `real` the real one.
pub(crate) fn pgbouncer(stage: &Stage, tools: &Tools, behind: &Behind, port: u16) -> Result<Peer> {
    let password = &stage.postgres.password;
    let users = write(
        stage,
        "pgbouncer.users",
        &format!("\"app\" \"{password}\"\n"),
    )?;
    let text = format!(
        "[databases]\nshop = host=127.0.0.1 port={} dbname=shop user=app password={password}\n\
         real = host=127.0.0.1 port={} dbname=shop user=app password={password}\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\n\
         pool_mode = session\nmax_client_conn = 500\ndefault_pool_size = 200\nserver_reset_query = DISCARD ALL\n\
         log_connections = 0\nlog_disconnections = 0\nserver_tls_sslmode = disable\n",
        behind.scripted,
        behind.postgres,
        users.display(),
    );
    let file = write(stage, "pgbouncer.ini", &text)?;
    let nobody = find_user("nobody")?;
    for path in [&users, &file] {
        std::os::unix::fs::chown(path, Some(nobody.uid), Some(nobody.gid)).context("chown")?;
    }
    let mut command = tools.command("pgbouncer");
    start(
        stage,
        "pgbouncer",
        command.arg("-q").arg(file).uid(nobody.uid).gid(nobody.gid),
        port,
    )
}

/// nginx as a plain HTTP reverse proxy, one worker, connections to the server kept.
pub(crate) fn nginx(stage: &Stage, tools: &Tools, behind: &Behind, port: u16) -> Result<Peer> {
    let folder = stage.site.folder();
    let text = format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\nuser nobody nogroup;\npid {0}/nginx.pid;\nerror_log stderr warn;\nevents {{ worker_connections 1024; }}\n\
         http {{\n  access_log off;\n  client_body_temp_path {0}/nginx-body;\n  proxy_temp_path {0}/nginx-proxy;\n  fastcgi_temp_path {0}/nginx-1;\n  uwsgi_temp_path {0}/nginx-2;\n  scgi_temp_path {0}/nginx-3;\n\
           keepalive_requests 100000000;\n\
           upstream mcp {{ server 127.0.0.1:{1}; keepalive 256; keepalive_requests 100000000; }}\n\
           server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://mcp; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off; client_body_buffer_size 1m; }} }}\n}}\n",
        folder.display(),
        behind.mcp,
    );
    let file = write(stage, "nginx.conf", &text)?;
    let mut command = tools.command("nginx");
    start(
        stage,
        "nginx",
        command
            .arg("-p")
            .arg(&folder)
            .arg("-c")
            .arg(file)
            .args(["-e", "stderr"]),
        port,
    )
}

fn write(stage: &Stage, name: &str, text: &str) -> Result<PathBuf> {
    let path = stage.site.folder().join(name);
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

fn start(
    stage: &Stage,
    name: &str,
    command: &mut std::process::Command,
    port: u16,
) -> Result<Peer> {
    let log = stage.site.logs().join(format!("{name}.log"));
    let mut daemon = Daemon::start(&stage.record, name, &log, command, Stop::Terminate)?;
    daemon.await_ready(Duration::from_secs(10), || listens(port))?;
    Ok(Peer {
        pid: daemon.pid(),
        _daemon: daemon,
    })
}
