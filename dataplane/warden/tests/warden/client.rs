//! What runs in another cgroup. Prints one line per answer.

use std::fs;
use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// `client CGROUP connect ADDRESS…`, `client CGROUP storm COUNT ADDRESS…` or `client CGROUP bind ADDRESS`.
pub(crate) fn main(arguments: &[String]) -> Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (cgroup, what) = arguments.split_first().context("no cgroup")?;
    fs::write(format!("{cgroup}/cgroup.procs"), "0").with_context(|| format!("enter {cgroup}"))?;
    match what {
        ["connect", addresses @ ..] => {
            for address in addresses {
                println!(
                    "{}",
                    connect(address.parse()?).unwrap_or_else(|error| error.kind().to_string())
                );
            }
            Ok(())
        }
        ["storm", count, addresses @ ..] => storm(count.parse()?, addresses),
        ["bind", address] => {
            println!(
                "{}",
                TcpListener::bind(address)
                    .map_or_else(|error| error.kind().to_string(), |_| "bound".to_owned())
            );
            Ok(())
        }
        other => bail!("what is {other:?}?"),
    }
}

fn connect(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.trim_end().to_owned())
}

/// Connects again and again; counts what is right, refused, cut off, unguarded and wrong.
fn storm(count: u64, addresses: &[&str]) -> Result<()> {
    let addresses: Vec<SocketAddr> = addresses
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    let (mut right, mut refused, mut cut, mut direct, mut wrong) =
        (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
    for (_, address) in (0..count).zip(addresses.iter().cycle()) {
        let asked = SocketAddr::new(address.ip().to_canonical(), address.port());
        let expected = format!("weir {asked} pid={} ", std::process::id());
        match connect(*address) {
            Ok(text) if text.starts_with(&expected) => right += 1,
            Ok(text) if text == "direct" => direct += 1,
            Ok(text) if text.is_empty() => cut += 1,
            Ok(text) => {
                wrong += 1;
                eprintln!("wrong: asked for {asked}, got {text:?}");
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                refused += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(_) => cut += 1,
        }
    }
    println!("{right} {refused} {cut} {direct} {wrong}");
    Ok(())
}
