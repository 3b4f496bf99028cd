//! What survives which death: clients are refused or cut off, never let through.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::Test;
use crate::bed::{Bed, finish};

pub(crate) const TESTS: &[Test] = &[
    (
        "a_killed_proxy_is_started_again_and_meanwhile_nobody_passes",
        a_killed_proxy_is_started_again,
    ),
    (
        "a_killed_warden_takes_its_proxy_along_and_the_hooks_refuse",
        a_killed_warden_takes_its_proxy_along,
    ),
    (
        "sigterm_drains_and_leaves_the_hooks_closed",
        sigterm_drains_and_leaves_the_hooks_closed,
    ),
    (
        "10000_connects_with_proxy_and_warden_killed_and_hooks_replaced",
        ten_thousand_connects,
    ),
];

fn a_killed_proxy_is_started_again() -> Result<()> {
    let bed = Bed::guarding()?;
    let target = bed.target.v4();
    let seen = || -> Result<String> { Ok(bed.client("clients", &["connect", &target])?.concat()) };
    ensure!(seen()?.ends_with("boot=1"), "the first boot");
    bed.kill_proxy()?;
    bed.wait("the second boot", || {
        let line = seen()?;
        ensure!(line != "direct", "it went past Weir");
        Ok(line.ends_with("boot=2"))
    })?;
    ensure!(bed.target.hits() == 0);
    Ok(())
}

fn a_killed_warden_takes_its_proxy_along() -> Result<()> {
    let mut bed = Bed::guarding()?;
    bed.kill_warden()?;
    bed.wait("the proxy's end", || Ok(bed.proxies().is_empty()))?;
    std::thread::sleep(Duration::from_millis(500));
    let addresses = [bed.target.v4(), bed.target.v6(), bed.target.mapped()];
    let lines = bed.client(
        "clients",
        &["connect", &addresses[0], &addresses[1], &addresses[2]],
    )?;
    ensure!(lines == ["connection refused"; 3], "{lines:?}");
    let squatter = bed.client("outside", &["bind", &format!("127.0.0.1:{}", bed.listen)])?;
    ensure!(
        squatter == ["permission denied"],
        "the freed port stays Weir's: {squatter:?}"
    );
    // Without the update the new warden still knows what was in force.
    std::fs::remove_file(bed.path("state/proxy/update"))?;
    bed.start()?;
    let line = bed.client("clients", &["connect", &addresses[0]])?.concat();
    ensure!(
        line.starts_with("weir ") && bed.target.hits() == 0,
        "{line}"
    );
    Ok(())
}

fn sigterm_drains_and_leaves_the_hooks_closed() -> Result<()> {
    let mut bed = Bed::guarding()?;
    let status = bed.stop()?;
    ensure!(status.success(), "{status}");
    ensure!(bed.proxies().is_empty());
    std::thread::sleep(Duration::from_millis(500));
    ensure!(bed.client("clients", &["connect", &bed.target.v4()])? == ["connection refused"]);
    ensure!(bed.target.hits() == 0);
    Ok(())
}

fn ten_thousand_connects() -> Result<()> {
    let mut bed = Bed::guarding()?;
    let addresses = [bed.target.v4(), bed.target.v6(), bed.target.mapped()];
    let arguments: Vec<&str> = ["storm", "5001"]
        .into_iter()
        .chain(addresses.iter().map(String::as_str))
        .collect();
    let mut clients = [
        bed.spawn("clients", &arguments)?,
        bed.spawn("clients", &arguments)?,
    ];
    let (mut proxies, mut wardens) = (0, 0);
    while clients
        .iter_mut()
        .any(|client| matches!(client.try_wait(), Ok(None)))
    {
        std::thread::sleep(Duration::from_millis(400));
        bed.kill_proxy()?;
        proxies += 1;
        if proxies % 3 == 0 {
            // The next one replaces every program behind the pinned links.
            bed.kill_warden()?;
            wardens += 1;
            bed.start()?;
        }
    }
    let mut sum = [0_u64; 5];
    for client in clients {
        let line = finish(client)?.concat();
        let counts: Vec<u64> = line
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .context(line.clone())?;
        sum.iter_mut()
            .zip(counts)
            .for_each(|(sum, count)| *sum += count);
    }
    let [right, refused, cut, direct, wrong] = sum;
    println!(
        "  {right} right, {refused} refused, {cut} cut off, {direct} unguarded, {wrong} wrong; {proxies} proxies and {wardens} wardens killed"
    );
    ensure!(direct == 0 && wrong == 0 && bed.target.hits() == 0);
    ensure!(
        right > 1000 && proxies >= 3 && wardens >= 1,
        "the test proves nothing"
    );
    Ok(())
}
