//! What the warden tells, grants and refuses.

use std::fs;
use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use weir_api::v1::{Connection, GuardMode, Stdio};
use weir_handover::stdio::{Answer, Ask, SOCKET, ask};

use crate::Test;
use crate::bed::{Bed, NODE, PROXY_UID};

/// CI is slow; whoever waits this long waits forever.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const TESTS: &[Test] = &[
    (
        "a_guarded_caller_is_attested_and_others_are_not_touched",
        a_guarded_caller_is_attested,
    ),
    (
        "the_proxy_has_no_privilege_left",
        the_proxy_has_no_privilege_left,
    ),
    (
        "guards_change_only_by_a_newer_signed_world",
        guards_change_only_by_a_newer_signed_world,
    ),
    (
        "the_worlds_listeners_come_and_go",
        the_worlds_listeners_come_and_go,
    ),
    (
        "a_guard_follows_a_cgroup_that_is_made_anew",
        a_guard_follows_a_cgroup_that_is_made_anew,
    ),
    (
        "a_server_that_its_client_starts_is_handed_over_with_both_links",
        a_server_that_its_client_starts_is_handed_over,
    ),
    (
        "the_status_is_green_and_turns_red_when_detached",
        the_status_turns_red_when_detached,
    ),
];

fn a_server_that_its_client_starts_is_handed_over() -> Result<()> {
    let bed = Bed::guarding()?;
    let socket = bed.path("run").join(SOCKET);
    let open = |connection: &str| Ask::Open {
        connection: connection.into(),
    };
    let refused = |asked: &Ask| {
        let (answer, ends) = ask(&socket, asked, PATIENCE)?;
        ensure!(ends.is_empty());
        match answer {
            Answer::Refused { reason } => Ok(reason),
            Answer::Granted => anyhow::bail!("{asked:?} was granted"),
        }
    };
    ensure!(refused(&open("files"))?.contains("weir connection add files"));
    ensure!(
        refused(&open("target"))?.contains("no connection"),
        "a server with an address is none that is started"
    );
    let own = fs::canonicalize("/proc/self/exe")?;
    let mut child = Command::new("sleep").arg("600").spawn()?;
    let executable = fs::read_link(format!("/proc/{}/exe", child.id()))?;
    let executable = executable.display().to_string();
    let register = |version, executable: String| {
        bed.push(1, version, NODE, |world| {
            world.connections.push(Connection {
                name: "files".into(),
                stdio: Some(Stdio {
                    executable,
                    arguments_sha256: Vec::new(),
                }),
                ..Connection::default()
            });
        })?;
        let wanted = format!("version {version}");
        bed.wait("the world", || Ok(bed.applied() == wanted))
    };
    let flow = |pid| Ask::Flow {
        connection: "files".into(),
        pid,
    };
    register(2, own.display().to_string())?;
    let reason = refused(&flow(child.id()))?;
    ensure!(reason.contains("is registered as"), "{reason}");
    register(3, executable.clone())?;
    ensure!(refused(&flow(std::process::id()))?.contains("no child"));
    let (answer, ends) = ask(&socket, &flow(child.id()), PATIENCE)?;
    ensure!(answer == Answer::Granted, "{answer:?}");
    let said = ends.into_iter().map(|end| {
        let mut text = String::new();
        UnixStream::from(end).read_to_string(&mut text)?;
        Ok(text)
    });
    let said = said.collect::<Result<Vec<_>>>()?;
    child.kill()?;
    child.wait()?;
    let client = format!("client of files pid={} cgroup=/", std::process::id());
    ensure!(said.len() == 2 && said[0].starts_with(&client), "{said:?}");
    ensure!(said[1] == format!("server {executable}"), "{said:?}");
    ensure!(
        refused(&flow(child.id())).is_ok(),
        "a server that has ended is not reached"
    );
    Ok(())
}

fn a_guarded_caller_is_attested() -> Result<()> {
    let bed = Bed::guarding()?;
    let target = bed.target.v4();
    ensure!(
        bed.client("outside", &["connect", &target])? == ["direct"],
        "the control"
    );
    let lines = bed.client(
        "clients",
        &["connect", &target, &bed.target.v6(), &bed.target.mapped()],
    )?;
    let own = std::env::current_exe()?;
    for line in &lines {
        ensure!(line.starts_with("weir "), "{line}");
        ensure!(
            line.contains(&format!(" exe={} digest=true ", own.display())),
            "{line}"
        );
        ensure!(
            line.contains(&format!(" uid=0 cgroup=/{}-clients ", bed.name)),
            "{line}"
        );
    }
    ensure!(
        lines.len() == 3 && bed.target.hits() == 1,
        "only the control reached the server"
    );
    Ok(())
}

fn the_proxy_has_no_privilege_left() -> Result<()> {
    let bed = Bed::guarding()?;
    let text = fs::read_to_string(bed.path("run/proxy/confinement"))?;
    let uid = format!("{PROXY_UID}\t{PROXY_UID}\t{PROXY_UID}\t{PROXY_UID}");
    let none = "0000000000000000";
    for line in [
        format!("Uid:\t{uid}"),
        format!("Gid:\t{uid}"),
        format!("CapInh:\t{none}"),
        format!("CapPrm:\t{none}"),
        format!("CapEff:\t{none}"),
        format!("CapBnd:\t{none}"),
        format!("CapAmb:\t{none}"),
        "NoNewPrivs:\t1".to_owned(),
        format!("0::/{}/proxy", bed.name),
    ] {
        ensure!(
            text.lines().any(|found| found.trim_end() == line),
            "{line:?} is not in\n{text}"
        );
    }
    ensure!(
        text.lines().any(|line| line.trim_end() == "Groups:"),
        "no groups: {text}"
    );
    Ok(())
}

fn guards_change_only_by_a_newer_signed_world() -> Result<()> {
    let bed = Bed::guarding()?;
    let node = "test-node";
    let refused = |seed: u8, version: u64, node: &str| -> Result<String> {
        bed.push(seed, version, node, |world| world.guards.clear())?;
        bed.wait("an answer", || Ok(!bed.applied().is_empty()))?;
        ensure!(bed.applied().starts_with("refused"), "{}", bed.applied());
        let line = bed
            .client("clients", &["connect", &bed.target.v4()])?
            .concat();
        ensure!(line.starts_with("weir "), "the guard holds: {line}");
        Ok(bed.applied())
    };
    ensure!(refused(2, 9, node)?.contains("signature"), "another key");
    ensure!(
        refused(1, 9, "other-node")?.contains("signature"),
        "another node"
    );
    ensure!(
        refused(1, 0, node)?.contains("does not follow"),
        "an older world"
    );
    ensure!(
        refused(1, 1, node)?.contains("does not follow"),
        "another world of the same number"
    );
    bed.push(1, 9, node, |world| world.guards[0].mode = 0)?;
    bed.wait("an answer", || Ok(!bed.applied().is_empty()))?;
    ensure!(bed.applied().contains("has no mode"), "{}", bed.applied());
    fs::write(bed.path("state/proxy/update"), "no update at all")?;
    bed.wait("an answer", || Ok(bed.applied().contains("refused")))?;
    bed.push(1, 2, node, |world| {
        world.guards[0].mode = GuardMode::Observe.into()
    })?;
    bed.wait("the newer world", || Ok(bed.applied() == "version 2"))?;
    ensure!(
        bed.client("clients", &["connect", &bed.target.v4()])? == ["direct"],
        "observing lets through"
    );
    Ok(())
}

fn the_worlds_listeners_come_and_go() -> Result<()> {
    let bed = Bed::guarding()?;
    let address = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .to_string();
    bed.push(1, 2, "test-node", |world| {
        world.connections[0].listen = vec![address.clone()]
    })?;
    let seen = || bed.client("outside", &["connect", &address]);
    bed.wait("the listener", || {
        Ok(seen()?.concat().starts_with("explicit target "))
    })?;
    ensure!(
        bed.client("outside", &["bind", &address])? == ["permission denied"],
        "its port is Weir's"
    );
    bed.push(1, 3, "test-node", |_| {})?;
    bed.wait("the newer world", || Ok(bed.applied() == "version 3"))?;
    let (_, status) = bed.status()?;
    ensure!(!status.contains(&address), "{status}");
    Ok(())
}

fn a_guard_follows_a_cgroup_that_is_made_anew() -> Result<()> {
    let bed = Bed::guarding()?;
    let clients = bed.cgroups.join(format!("{}-clients", bed.name));
    fs::remove_dir(&clients)?;
    bed.wait("a guard without a cgroup", || Ok(!bed.status()?.0))?;
    fs::create_dir(&clients)?;
    bed.wait("the guard", || Ok(bed.status()?.0))?;
    let line = bed
        .client("clients", &["connect", &bed.target.v4()])?
        .concat();
    ensure!(line.starts_with("weir "), "{line}");
    Ok(())
}

fn the_status_turns_red_when_detached() -> Result<()> {
    let bed = Bed::guarding()?;
    let (green, text) = bed.status()?;
    ensure!(
        green && text.contains("v4 taken, v6 taken, v4-mapped taken"),
        "{text}"
    );
    ensure!(
        text.contains("\"redirected\"") && text.contains("\"connect4\""),
        "{text}"
    );
    for (act, opens) in [("break", true), ("mend", false)] {
        ensure!(bed.command(&["glass", act]).output()?.status.success());
        let (green, text) = bed.status()?;
        ensure!(
            green != opens && text.contains("the glass is broken") == opens,
            "{act}: {text}"
        );
        let direct = bed.client("clients", &["connect", &bed.target.v4()])? == ["direct"];
        ensure!(direct == opens, "{act}");
    }
    let detached = bed.command(&["detach"]).output()?;
    ensure!(detached.status.success());
    let (green, text) = bed.status()?;
    ensure!(!green && text.contains("went past Weir"), "{text}");
    ensure!(
        bed.client("clients", &["connect", &bed.target.v4()])? == ["direct"],
        "the control: it is open"
    );
    Ok(())
}
