//! Types of which a rule can only make a constant: times, addresses, money, bits, XML.

use std::net::IpAddr;

use weir_facts::MaskRule;

use super::Format;
use super::kind::Kind;
use super::scalar::fixed;

/// `fixed:X` in the type's own encoding; nothing if X is no value of it.
pub(super) fn of(rule: &MaskRule, kind: Kind, format: Format) -> Option<Vec<u8>> {
    let text = fixed(rule)?;
    let binary = match kind {
        Kind::Time => time(text)?.to_be_bytes().to_vec(),
        Kind::TimeTz => time_with_zone(text)?,
        Kind::Inet => address(text, Block::Any)?,
        Kind::Cidr => address(text, Block::Network)?,
        Kind::MacAddr => hardware::<6>(text)?,
        Kind::MacAddr8 => hardware::<8>(text)?,
        Kind::Money => cents(text)?.to_be_bytes().to_vec(),
        Kind::Bit => bits(text)?,
        Kind::Xml => (!text.contains(['<', '&'])).then(|| text.as_bytes().to_vec())?,
        Kind::Text
        | Kind::Bytea
        | Kind::Json
        | Kind::Jsonb
        | Kind::Integer(_)
        | Kind::Numeric
        | Kind::Float4
        | Kind::Float8
        | Kind::Bool
        | Kind::Date
        | Kind::Timestamp
        | Kind::TimestampTz
        | Kind::Uuid
        | Kind::Array(_)
        | Kind::Opaque => return None,
    };
    Some(match format {
        Format::Text => text.as_bytes().to_vec(),
        Format::Binary => binary,
    })
}

/// As many digits, and nothing else.
fn number(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// `HH:MM:SS[.ffffff]` in microseconds, as `time_send` writes it.
fn time(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let [hours, minutes, seconds]: [&str; 3] =
        clock.split(':').collect::<Vec<_>>().try_into().ok()?;
    if [hours, minutes, seconds].iter().any(|part| part.len() != 2) || fraction.len() > 6 {
        return None;
    }
    let (hours, minutes, seconds) = (number(hours)?, number(minutes)?, number(seconds)?);
    let micros = number(fraction)? * 10_i64.pow(6 - u32::try_from(fraction.len()).ok()?);
    let fits = hours < 24 && minutes < 60 && seconds < 60;
    fits.then_some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros)
}

/// The time, and the zone in seconds west of Greenwich.
fn time_with_zone(text: &str) -> Option<Vec<u8>> {
    let at = text.rfind(['+', '-'])?;
    let (clock, zone) = text.split_at_checked(at)?;
    let (hours, minutes) = zone
        .get(1..)?
        .split_once(':')
        .unwrap_or((zone.get(1..)?, "00"));
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    if hours > 15 || minutes > 59 {
        return None;
    }
    let east = (hours * 60 + minutes) * 60;
    let west = i32::try_from(if zone.starts_with('+') { -east } else { east }).ok()?;
    let mut out = time(clock)?.to_be_bytes().to_vec();
    out.extend_from_slice(&west.to_be_bytes());
    Some(out)
}

/// What may stand behind an address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    /// A prefix length, or none for a host.
    Any,
    /// A prefix length, with no bit of the host set.
    Network,
}

/// Family, prefix length, whether it is a `cidr`, bytes of the address, and these
/// (`network_send`). The server's names for the families are its own: 2 and 3.
fn address(text: &str, block: Block) -> Option<Vec<u8>> {
    let (host, prefix) = match text.split_once('/') {
        Some((host, prefix)) => (host, Some(number(prefix)?)),
        None => (text, None),
    };
    let (family, bytes) = match host.parse().ok()? {
        IpAddr::V4(host) => (2, host.octets().to_vec()),
        IpAddr::V6(host) => (3, host.octets().to_vec()),
    };
    let widest = i64::try_from(bytes.len() * 8).ok()?;
    let length = prefix.unwrap_or(widest);
    let is_network = block == Block::Network;
    let is_set = |(at, byte): (usize, &u8)| {
        (0..8).any(|bit| {
            i64::try_from(at * 8 + bit).is_ok_and(|at| at >= length) && byte & (0x80 >> bit) != 0
        })
    };
    let fits = length <= widest
        && (!is_network || (prefix.is_some() && !bytes.iter().enumerate().any(is_set)));
    if !fits {
        return None;
    }
    let size = u8::try_from(bytes.len()).ok()?;
    let mut out = vec![
        family,
        u8::try_from(length).ok()?,
        u8::from(is_network),
        size,
    ];
    out.extend(bytes);
    Some(out)
}

/// Pairs of hexadecimal digits between colons.
fn hardware<const BYTES: usize>(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &str| {
        let is_pair = pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_pair.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
    };
    let bytes: Vec<u8> = text.split(':').map(pair).collect::<Option<_>>()?;
    (bytes.len() == BYTES).then_some(bytes)
}

/// `[-][$]N[.NN]` in hundredths. The binary format does not tell how many decimals the server's
/// currency has: nearly all have two.
fn cents(text: &str) -> Option<i64> {
    let (is_negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let amount = rest.strip_prefix('$').unwrap_or(rest);
    let (whole, cents) = amount.split_once('.').unwrap_or((amount, "00"));
    if cents.len() != 2 {
        return None;
    }
    let cents = number(whole)?
        .checked_mul(100)?
        .checked_add(number(cents)?)?;
    Some(if is_negative { -cents } else { cents })
}

/// The number of bits, and these from the left.
fn bits(text: &str) -> Option<Vec<u8>> {
    if !text.bytes().all(|bit| matches!(bit, b'0' | b'1')) {
        return None;
    }
    let mut out = i32::try_from(text.len()).ok()?.to_be_bytes().to_vec();
    out.extend(text.as_bytes().chunks(8).map(|bits| {
        let byte = bits.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0'));
        byte << (8 - bits.len())
    }));
    Some(out)
}
