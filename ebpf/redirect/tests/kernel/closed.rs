//! Everything that must refuse, and the few things that may open.

use std::io::{BufRead as _, BufReader};

use anyhow::{Context as _, Result, ensure};
use aya::programs::links::PinnedLink;
use weir_redirect::{
    Counter, Error, Glass, GuardAll, Redirect, SelectorKind, Standing, cgroup_root,
};

use crate::Test;
use crate::bed::{Bed, TTL, listener};

pub(crate) const TESTS: &[Test] = &[
    ("a_stale_heartbeat_refuses", a_stale_heartbeat_refuses),
    (
        "hooks_outlive_their_killed_loader_and_refuse",
        hooks_outlive_their_killed_loader_and_refuse,
    ),
    (
        "without_listeners_everything_guarded_is_refused",
        without_listeners_everything_guarded_is_refused,
    ),
    (
        "an_unregistered_network_namespace_is_refused",
        an_unregistered_network_namespace_is_refused,
    ),
    (
        "connects_to_weirs_own_listeners_are_refused",
        connects_to_weirs_own_listeners_are_refused,
    ),
    (
        "observing_broken_glass_and_exempt_cgroups_pass_and_are_counted",
        passes,
    ),
    ("the_longest_selector_decides", the_longest_selector_decides),
    (
        "guarding_all_spares_only_the_exempt",
        guarding_all_spares_only_the_exempt,
    ),
    (
        "a_socket_made_in_another_cgroup_is_caught_at_the_root",
        a_socket_made_in_another_cgroup_is_caught,
    ),
    (
        "pins_of_another_version_are_left_alone",
        pins_of_another_version_are_left_alone,
    ),
    (
        "detaching_opens_and_leaves_nothing",
        detaching_opens_and_leaves_nothing,
    ),
];

fn refused() -> String {
    format!("error {}", libc::ECONNREFUSED)
}

fn a_stale_heartbeat_refuses() -> Result<()> {
    let bed = Bed::new()?;
    let target = bed.target.v4();
    ensure!(
        bed.client("clients", &["connect", &target])?
            .concat()
            .starts_with("weir ")
    );
    bed.stop_beating();
    let lines = bed.client(
        "clients",
        &["connect", &target, &bed.target.v6(), &bed.target.mapped()],
    )?;
    ensure!(
        lines.iter().all(|line| *line == refused()) && lines.len() == 3,
        "{lines:?}"
    );
    ensure!(bed.count(Counter::RefusedStale)? == 3 && bed.target.hits() == 0);
    ensure!(
        bed.client("outside", &["connect", &target])? == ["direct"],
        "others are not touched"
    );
    Ok(())
}

fn hooks_outlive_their_killed_loader_and_refuse() -> Result<()> {
    let bed = Bed::new()?;
    let pins = bed.ground.place.pins.to_string_lossy().into_owned();
    let mut loader = bed.spawn("", &["install", &pins])?;
    let mut output = BufReader::new(loader.stdout.take().context("no output")?);
    output.read_line(&mut String::new())?;
    loader.kill()?;
    loader.wait()?;
    bed.stop_beating();
    let lines = bed.client("clients", &["connect", &bed.target.v4(), &bed.target.v6()])?;
    ensure!(
        lines == [refused(), refused()] && bed.target.hits() == 0,
        "{lines:?}"
    );
    Ok(())
}

fn without_listeners_everything_guarded_is_refused() -> Result<()> {
    let bed = Bed::new()?;
    let mut listeners = bed.redirect.listeners()?;
    listeners.workers = 0;
    bed.redirect.set_listeners(listeners)?;
    ensure!(bed.client("clients", &["connect", &bed.target.v4()])? == [refused()]);
    ensure!(bed.count(Counter::RefusedUnconfigured)? == 1);
    Ok(())
}

fn an_unregistered_network_namespace_is_refused() -> Result<()> {
    let bed = Bed::new()?;
    let port = bed.target.port.to_string();
    ensure!(
        bed.client("outside", &["elsewhere", &port])? == ["elsewhere"],
        "the control reaches its server"
    );
    ensure!(bed.client("clients", &["elsewhere", &port])? == [refused()]);
    ensure!(bed.count(Counter::RefusedNetns)? == 1);
    // A port of Weir's number is anybody's in another namespace.
    ensure!(bed.client("outside", &["elsewhere", &bed.base_port.to_string()])? == ["elsewhere"]);
    Ok(())
}

fn connects_to_weirs_own_listeners_are_refused() -> Result<()> {
    let bed = Bed::new()?;
    let v4 = listener(&bed, 1).to_string();
    let others = ["[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"]
        .map(|address| format!("{address}:{}", bed.base_port));
    for cgroup in ["clients", "outside", "weir"] {
        let lines = bed.client(
            cgroup,
            &[
                "connect", &v4, &others[0], &others[1], &others[2], &others[3],
            ],
        )?;
        ensure!(
            lines.iter().all(|line| *line == refused()) && lines.len() == 5,
            "{cgroup}: {lines:?}"
        );
    }
    ensure!(bed.count(Counter::RefusedOwnListener)? == 15 && bed.strangers() == 0);
    Ok(())
}

fn passes() -> Result<()> {
    let bed = Bed::new()?;
    let target = bed.target.v4();
    let direct = |cgroup: &str| -> Result<bool> {
        Ok(bed.client(cgroup, &["connect", &target])? == ["direct"])
    };
    ensure!(!direct("clients")?);
    bed.redirect.set_glass(Glass::Broken)?;
    ensure!(direct("clients")? && bed.count(Counter::BrokenGlass)? == 1);
    bed.redirect.set_glass(Glass::Whole)?;
    ensure!(!direct("clients")?);
    bed.stand("clients", Standing::OBSERVE)?;
    ensure!(direct("clients")? && bed.count(Counter::Observed)? == 1);
    bed.stand("clients/nested", Standing::ENFORCE)?;
    ensure!(
        !direct("clients/nested")?,
        "the stricter of two guards holds"
    );
    bed.stand("clients/nested", Standing::EXEMPT)?;
    ensure!(direct("clients/nested")? && bed.count(Counter::Exempt)? == 1);
    ensure!(direct("weir")? && bed.count(Counter::Weir)? == 1);
    ensure!(direct("outside")? && bed.count(Counter::Unguarded)? == 1);
    bed.stand("clients", Standing::NONE)?;
    bed.stand("clients/nested", Standing::NONE)?;
    ensure!(direct("clients")?, "a forgotten guard is gone");
    Ok(())
}

fn the_longest_selector_decides() -> Result<()> {
    let bed = Bed::new()?;
    let port = bed.target.port;
    bed.redirect.replace_selectors(&[
        (format!("127.0.0.0/8:{port}").parse()?, SelectorKind::Govern),
        (format!("127.0.0.1:{port}").parse()?, SelectorKind::Spare),
    ])?;
    ensure!(
        bed.redirect.selector_count()? == 2,
        "what was there before is gone"
    );
    ensure!(
        bed.client(
            "clients",
            &["connect", &bed.target.v4(), &bed.target.mapped()]
        )? == ["direct", "direct"]
    );
    ensure!(
        bed.client("clients", &["connect", &bed.target.v6()])? == ["direct"],
        "the other family has no selector"
    );
    let governed = format!("127.0.0.2:{port}");
    ensure!(
        bed.client("clients", &["connect", &governed])?
            .concat()
            .starts_with("weir 127.0.0.2:")
    );
    Ok(())
}

fn guarding_all_spares_only_the_exempt() -> Result<()> {
    let bed = Bed::new()?;
    bed.stand("exempt", Standing::EXEMPT)?;
    let target = bed.target.v4();
    bed.redirect.set_guard_all(GuardAll::Observe)?;
    ensure!(
        bed.client("outside", &["connect", &target])? == ["direct"]
            && bed.count(Counter::Observed)? == 1
    );
    bed.redirect.set_guard_all(GuardAll::Enforce)?;
    ensure!(
        bed.client("outside", &["connect", &target])?
            .concat()
            .starts_with("weir ")
    );
    ensure!(bed.client("exempt", &["connect", &target])? == ["direct"]);
    ensure!(bed.client("weir", &["connect", &target])? == ["direct"]);
    Ok(())
}

/// The hooks that run are those of the cgroup where the socket was made.
fn a_socket_made_in_another_cgroup_is_caught() -> Result<()> {
    let made_outside = |bed: &Bed| -> Result<String> {
        let mut command = std::process::Command::new(std::env::current_exe()?);
        // From this process's parent's cgroup: above what the bed attached to.
        crate::bed::enter(&cgroup_root()?)?;
        let output = command
            .arg("client")
            .arg(bed.cgroup("clients"))
            .args(["made-before", &bed.target.v4()])
            .output();
        crate::bed::enter(&bed.cgroup("weir"))?;
        Ok(String::from_utf8(output?.stdout)?)
    };
    let low = Bed::new()?;
    ensure!(
        made_outside(&low)? == "direct\n",
        "the control: attached lower down it is dodged"
    );
    drop(low);
    let high = Bed::at(Some(cgroup_root()?))?;
    let line = made_outside(&high)?;
    ensure!(
        line.starts_with("weir ") && high.target.hits() == 0,
        "{line}"
    );
    ensure!(
        high.redirect
            .hooks()?
            .iter()
            .all(|hook| hook.attached.as_ref().is_some_and(|on| on.cgroup_id == 1))
    );
    Ok(())
}

fn pins_of_another_version_are_left_alone() -> Result<()> {
    let bed = Bed::new()?;
    let before = bed.redirect.hooks()?;
    let abi = aya::maps::MapData::from_pin(bed.ground.place.pins.join("ABI"))?;
    let mut abi = aya::maps::Array::<_, u64>::try_from(aya::maps::Map::Array(abi))?;
    abi.set(0, 99, 0)?;
    let install = Redirect::install(&bed.ground.place);
    ensure!(
        matches!(install, Err(Error::AbiMismatch { found: 99, .. })),
        "{install:?}"
    );
    ensure!(bed.redirect.hooks()? == before, "the hooks are untouched");
    ensure!(
        bed.client("clients", &["connect", &bed.target.v4()])?
            .concat()
            .starts_with("weir ")
    );
    abi.set(0, 1, 0)?;
    let elsewhere = weir_redirect::Place {
        cgroup: bed.cgroup("outside"),
        pins: bed.ground.place.pins.clone(),
    };
    let install = Redirect::install(&elsewhere);
    ensure!(
        matches!(install, Err(Error::ForeignPin { .. })),
        "links of another cgroup are not taken over: {install:?}"
    );
    Ok(())
}

fn detaching_opens_and_leaves_nothing() -> Result<()> {
    let bed = Bed::new()?;
    let target = bed.target.v4();
    ensure!(
        bed.client("clients", &["connect", &target])?
            .concat()
            .starts_with("weir ")
    );
    // Whoever still holds a link, or the kernel that drops it later, keeps nothing attached.
    let connect4 = bed.ground.place.pins.join("link_connect4");
    let held = PinnedLink::from_pin(&connect4)?;
    weir_redirect::detach(&bed.ground.place.pins)?;
    ensure!(bed.client("clients", &["connect", &target])? == ["direct"]);
    drop(held);
    ensure!(!bed.ground.place.pins.exists());
    ensure!(matches!(
        Redirect::open(&bed.ground.place.pins),
        Err(Error::NotInstalled(_))
    ));
    weir_redirect::detach(&bed.ground.place.pins)?;
    // And it can be put back.
    std::thread::sleep(TTL / 10);
    Redirect::install(&bed.ground.place)?;
    Ok(())
}
