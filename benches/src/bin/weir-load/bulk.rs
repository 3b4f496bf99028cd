//! One large result over and over on one connection; every row of it is looked at.

use std::io::{Read, Write};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::session::{Session, error, query};
use crate::window::Window;
use crate::{Measured, Target};

/// What one read takes at most.
const BUFFER_BYTES: usize = 1 << 20;

/// What to ask, and what each row must look like.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    measured: Measured,
    /// The statement.
    #[arg(long)]
    statement: String,
    /// Which field of a row to look at, from 0.
    #[arg(long, default_value_t = 0)]
    field: usize,
    /// What this field begins with in each row.
    #[arg(long, default_value = "")]
    prefix: String,
    /// How often to ask.
    #[arg(long, default_value_t = 1)]
    times: u32,
}

#[derive(Default)]
struct Seen {
    rows: u64,
    bytes: u64,
    first: String,
}

/// Asks as often as it was told.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut session = Session::open(&arguments.target)?;
    let request = query(&arguments.statement);
    let mut measured = arguments.measured.clone();
    measured.warm_ms = 0;
    let mut window = Window::begin(&measured)?;
    window.is_on(Instant::now())?;
    let (mut rows, mut bytes, mut first) = (0, 0, String::new());
    for _ in 0..arguments.times {
        let begun = Instant::now();
        session.link.write_all(&request)?;
        let seen = read(&mut session.link, arguments)?;
        window.count(begun, Instant::now(), usize::try_from(seen.bytes)?);
        (rows, bytes, first) = (rows + seen.rows, bytes + seen.bytes, seen.first);
    }
    window.end(&json!({ "rows": rows, "result_bytes": bytes, "first": first }))
}

fn read(link: &mut impl Read, arguments: &Arguments) -> Result<Seen> {
    let (mut buffer, mut filled, mut seen) = (vec![0; BUFFER_BYTES], 0, Seen::default());
    loop {
        let count = link.read(buffer.get_mut(filled..).unwrap_or_default())?;
        ensure!(
            count > 0,
            "the server ends the session, or a row is larger than {BUFFER_BYTES} bytes"
        );
        filled += count;
        seen.bytes += count as u64;
        let mut at = 0;
        while let Some(frame) = whole_frame(buffer.get(at..filled).unwrap_or_default()) {
            at += frame.len();
            match frame {
                [b'D', _, _, _, _, body @ ..] => row(body, arguments, &mut seen)?,
                [b'Z', ..] => return Ok(seen),
                [b'E', _, _, _, _, body @ ..] => bail!("{}", error(body)),
                _ => {}
            }
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
    }
}

fn whole_frame(bytes: &[u8]) -> Option<&[u8]> {
    let [_, length @ ..] = bytes.first_chunk::<5>()?;
    bytes.get(..u32::from_be_bytes(*length) as usize + 1)
}

/// Looks at the field that is masked, or is not, in this row.
fn row(body: &[u8], arguments: &Arguments, seen: &mut Seen) -> Result<()> {
    let (_, mut rest) = body
        .split_first_chunk::<2>()
        .context("a row without a count")?;
    let mut field: &[u8] = &[];
    for _ in 0..=arguments.field {
        let (length, behind) = rest
            .split_first_chunk::<4>()
            .context("a field without a length")?;
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or_default();
        (field, rest) = behind
            .split_at_checked(length)
            .context("a field that is cut short")?;
    }
    ensure!(
        field.starts_with(arguments.prefix.as_bytes()),
        "row {}: {:?}",
        seen.rows,
        String::from_utf8_lossy(field)
    );
    if seen.rows == 0 {
        seen.first = String::from_utf8_lossy(field).into_owned();
    }
    seen.rows += 1;
    Ok(())
}
