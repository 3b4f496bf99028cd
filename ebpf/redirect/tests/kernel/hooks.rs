//! One test per hook.

use anyhow::{Result, ensure};
use weir_redirect::{Counter, Hook};

use crate::Test;
use crate::bed::Bed;

pub(crate) const TESTS: &[Test] = &[
    ("connect4", connect4),
    ("connect6", connect6),
    ("bind4", bind4),
    ("bind6", bind6),
    ("sendmsg4", sendmsg4),
    ("sendmsg6", sendmsg6),
    ("getpeername4", getpeername4),
    ("getpeername6", getpeername6),
    ("sock_ops", sock_ops),
    (
        "every_hook_is_attached_and_has_a_test",
        every_hook_is_attached_and_has_a_test,
    ),
];

/// What a worker says of a client that was sent to it.
fn sent(lines: &[String], destination: &str) -> Result<()> {
    let expected = format!("weir {destination} ");
    ensure!(
        lines.iter().all(|line| line.starts_with(&expected)) && !lines.is_empty(),
        "{lines:?}, not {expected:?}"
    );
    Ok(())
}

fn connect4() -> Result<()> {
    let bed = Bed::new()?;
    let target = bed.target.v4();
    ensure!(
        bed.client("outside", &["connect", &target])? == ["direct"],
        "the control reaches the server"
    );
    ensure!(bed.target.hits() == 1);
    sent(&bed.client("clients", &["connect", &target])?, &target)?;
    sent(
        &bed.client("clients/nested", &["connect", &target])?,
        &target,
    )?;
    sent(&bed.client("clients", &["nonblocking", &target])?, &target)?;
    sent(&bed.client("clients", &["uring", &target])?, &target)?;
    // Another spelling of this host, and an address that has no route.
    sent(
        &bed.client(
            "clients",
            &["connect", &format!("0.0.0.0:{}", bed.target.port)],
        )?,
        &target,
    )?;
    let nowhere = format!("192.0.2.1:{}", bed.target.port);
    sent(&bed.client("clients", &["connect", &nowhere])?, &nowhere)?;
    let identity = bed
        .client("clients", &["connect-as", "4321", &target])?
        .concat();
    ensure!(identity.contains("uid=4321 gid=4322 "), "{identity}");
    ensure!(
        bed.target.hits() == 1 && bed.strangers() == 0,
        "nobody else reached the server"
    );
    Ok(())
}

fn connect6() -> Result<()> {
    let bed = Bed::new()?;
    let (native, mapped) = (bed.target.v6(), bed.target.mapped());
    ensure!(
        bed.client("outside", &["connect", &native, &mapped])? == ["direct", "direct"],
        "the control"
    );
    for what in ["connect", "nonblocking", "uring"] {
        sent(
            &bed.client("clients", &[what, &native])?,
            &format!("{native} V6"),
        )?;
        sent(
            &bed.client("clients", &[what, &mapped])?,
            &format!("{} V4Mapped", bed.target.v4()),
        )?;
    }
    sent(
        &bed.client(
            "clients",
            &["connect", &format!("[::]:{}", bed.target.port)],
        )?,
        &native,
    )?;
    sent(
        &bed.client(
            "clients",
            &["connect", &format!("[::ffff:0.0.0.0]:{}", bed.target.port)],
        )?,
        &bed.target.v4(),
    )?;
    let nowhere = format!("[2001:db8::7]:{}", bed.target.port);
    sent(&bed.client("clients", &["connect", &nowhere])?, &nowhere)?;
    ensure!(
        bed.target.hits() == 2 && bed.strangers() == 0,
        "nobody else reached the server"
    );
    Ok(())
}

/// Squatting: nobody but Weir binds a listener's port, not even while Weir's own is closed.
fn squat(local: &[&str]) -> Result<()> {
    let bed = Bed::new()?;
    let free = bed.base_port + crate::bed::WORKERS;
    let refused = format!("error {}", libc::EACCES);
    for address in local {
        let lines = bed.client(
            "outside",
            &["bind", &format!("{address}:{}", bed.base_port)],
        )?;
        ensure!(lines == [refused.as_str()], "{address}: {lines:?}");
    }
    let datagram = bed.client(
        "outside",
        &["bind-datagram", &format!("{}:{}", local[0], bed.base_port)],
    )?;
    ensure!(datagram == [refused.as_str()], "{datagram:?}");
    bed.redirect.replace_ports(&[free])?;
    let listed = format!("{}:{free}", local[0]);
    ensure!(
        bed.client("outside", &["bind", &listed])? == [refused.as_str()],
        "a listed port is Weir's"
    );
    ensure!(
        bed.client("weir", &["bind", &listed])? == [listed.as_str()],
        "Weir may bind it"
    );
    bed.redirect.replace_ports(&[])?;
    ensure!(
        bed.client("outside", &["bind", &listed])? == [listed.as_str()],
        "any other port is anybody's"
    );
    ensure!(bed.count(Counter::RefusedBind)? == local.len() as u64 + 2);
    Ok(())
}

fn bind4() -> Result<()> {
    squat(&["127.0.0.1", "0.0.0.0", "127.0.0.2"])
}

fn bind6() -> Result<()> {
    squat(&["[::1]", "[::]", "[::ffff:127.0.0.1]"])
}

/// Datagrams to a governed port, connected and not.
fn datagrams(local: &str, target: impl Fn(&Bed) -> String) -> Result<()> {
    let bed = Bed::new()?;
    let target = target(&bed);
    ensure!(
        bed.client("outside", &["datagram", local, &target])? == ["1"],
        "the control is sent"
    );
    let sent = bed.client("clients", &["datagram", local, &target])?;
    ensure!(sent == [format!("error {}", libc::EPERM)], "{sent:?}");
    ensure!(bed.count(Counter::RefusedProtocol)? == 1);
    let connected = bed.client("clients", &["datagram-connect", local, &target])?;
    ensure!(
        connected == [format!("error {}", libc::ECONNREFUSED)],
        "{connected:?}"
    );
    ensure!(bed.count(Counter::RefusedProtocol)? == 2);
    let elsewhere = target.replace(
        &bed.target.port.to_string(),
        &(bed.target.port ^ 1).to_string(),
    );
    ensure!(
        bed.client("clients", &["datagram", local, &elsewhere])? == ["1"],
        "other ports are free"
    );
    Ok(())
}

fn sendmsg4() -> Result<()> {
    datagrams("127.0.0.1:0", |bed| bed.target.v4())
}

fn sendmsg6() -> Result<()> {
    datagrams("[::1]:0", |bed| bed.target.v6())?;
    datagrams("[::]:0", |bed| bed.target.mapped())
}

fn getpeername4() -> Result<()> {
    let bed = Bed::new()?;
    let nowhere = format!("192.0.2.9:{}", bed.target.port);
    ensure!(
        bed.client("clients", &["peer", &nowhere])? == [nowhere.as_str()],
        "the client sees what it asked for"
    );
    let other = std::net::TcpListener::bind("127.0.0.1:0")?;
    let free = other.local_addr()?.to_string();
    let after = bed.client("clients", &["peer-after", &nowhere, &free])?;
    ensure!(
        after == [free.as_str()],
        "a reused socket shows its real peer: {after:?}"
    );
    Ok(())
}

fn getpeername6() -> Result<()> {
    let bed = Bed::new()?;
    for address in ["2001:db8::9", "::ffff:192.0.2.9"] {
        let nowhere = format!("[{address}]:{}", bed.target.port);
        ensure!(
            bed.client("clients", &["peer", &nowhere])? == [nowhere.as_str()],
            "{address}"
        );
    }
    Ok(())
}

/// Every redirected connection hands its origin over, and nothing is left behind.
fn sock_ops() -> Result<()> {
    let bed = Bed::new()?;
    let addresses = [bed.target.v4(), bed.target.v6(), bed.target.mapped()];
    let arguments: Vec<&str> = ["storm", "600"]
        .into_iter()
        .chain(addresses.iter().map(String::as_str))
        .collect();
    let lines = bed.client("clients", &arguments)?;
    ensure!(lines == ["600 0 0 0 0"], "{lines:?}");
    for counter in [Counter::Redirected, Counter::Established, Counter::Accepted] {
        ensure!(
            bed.count(counter)? == 600,
            "{counter:?}: {}",
            bed.count(counter)?
        );
    }
    for counter in [
        Counter::HandoverMissing,
        Counter::HandoverForeign,
        Counter::HandoverFull,
    ] {
        ensure!(bed.count(counter)? == 0, "{counter:?}");
    }
    let left = aya::maps::MapData::from_pin(bed.ground.place.pins.join("HANDOVERS"))?;
    let left =
        aya::maps::HashMap::<_, [u8; 32], [u8; 80]>::try_from(aya::maps::Map::HashMap(left))?;
    ensure!(left.keys().count() == 0, "handovers are consumed");
    Ok(())
}

fn every_hook_is_attached_and_has_a_test() -> Result<()> {
    let bed = Bed::new()?;
    for status in bed.redirect.hooks()? {
        let attached = status
            .attached
            .ok_or_else(|| anyhow::anyhow!("{:?} is not attached", status.hook))?;
        ensure!(
            attached.tag.len() == 16 && attached.tag != "0000000000000000",
            "{attached:?}"
        );
    }
    for hook in Hook::ALL {
        ensure!(
            TESTS.iter().any(|(name, _)| *name == hook.program()),
            "{} has no test",
            hook.program()
        );
    }
    Ok(())
}
