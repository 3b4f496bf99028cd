//! Programs are replaced and loaders are killed under load: nobody slips through.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use weir_redirect::{Counter, Redirect};

use crate::Test;
use crate::bed::{Bed, finish};

pub(crate) const TESTS: &[Test] = &[(
    "replacement_leaves_no_gap_in_10000_connects",
    replacement_leaves_no_gap,
)];

/// Connects of one client; two clients together make 10,000 and a few.
const CONNECTS: u64 = 5_001;

fn replacement_leaves_no_gap() -> Result<()> {
    let bed = Bed::new()?;
    let addresses = [bed.target.v4(), bed.target.v6(), bed.target.mapped()];
    let count = CONNECTS.to_string();
    let arguments: Vec<&str> = ["storm", count.as_str()]
        .into_iter()
        .chain(addresses.iter().map(String::as_str))
        .collect();
    let mut clients = [
        bed.spawn("clients", &arguments)?,
        bed.spawn("clients/nested", &arguments)?,
    ];
    let pins = bed.ground.place.pins.to_string_lossy().into_owned();
    let (mut replaced, mut killed) = (0, 0);
    while clients
        .iter_mut()
        .any(|client| matches!(client.try_wait(), Ok(None)))
    {
        Redirect::install(&bed.ground.place)?;
        replaced += 1;
        // A loader that is killed in the middle of its work.
        let mut loader = bed.spawn("", &["install", &pins])?;
        std::thread::sleep(Duration::from_millis(30 + 17 * (killed % 10)));
        loader.kill()?;
        loader.wait()?;
        killed += 1;
    }
    let started = Instant::now();
    for client in clients {
        let line = finish(client)?.concat();
        let counts: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [redirected, refused, reset, direct, wrong] =
            counts.try_into().ok().context(line.clone())?;
        ensure!(
            (direct, wrong) == (0, 0),
            "unguarded {direct}, wrong origin {wrong}"
        );
        ensure!(
            (redirected, refused, reset) == (CONNECTS, 0, 0),
            "redirected, refused, reset: {line}"
        );
    }
    ensure!(bed.target.hits() == 0 && bed.strangers() == 0);
    ensure!(
        replaced >= 3,
        "only {replaced} replacements happened; the test proves nothing"
    );
    ensure!(bed.count(Counter::Accepted)? == 2 * CONNECTS);
    println!(
        "  {replaced} replacements, {killed} killed loaders, waited {:?}",
        started.elapsed()
    );
    Ok(())
}
