//! What must not be seen: each secret of `schema.sql` and the forms in which it could come.

use sha2::{Digest, Sha256};

/// The secrets as text. Their hidden part: a mask may leave the last four digits.
const SSNS: [(&str, &str); 2] = [("731-42-9685", "731-42"), ("264-58-1903", "264-58")];

/// The addresses; a mask may leave the first letter and the domain.
const EMAILS: [(&str, &str); 2] = [
    ("quill.hartwell@corp.example", "quill.hartwell"),
    ("rook.tamsin@corp.example", "rook.tamsin"),
];

/// The numbers.
const BADGES: [i64; 2] = [7_314_296_850, 2_645_819_030];

/// The dates.
const BORN: [&str; 2] = ["1961-08-23", "1974-01-30"];

/// `md5('731-42-9685')`, whose whole space can be tried in a second.
const MD5: &str = "d926e2ad55faa6c3a8805cd5279c943d";

/// A form of a secret.
#[derive(Clone, Debug)]
pub(super) struct Needle {
    /// What it is a form of.
    pub name: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Every form that is looked for in every case.
pub(super) fn all() -> Vec<Needle> {
    let mut needles = Vec::new();
    let mut add = |name: String, bytes: Vec<u8>| needles.push(Needle { name, bytes });
    for (whole, hidden) in SSNS.into_iter().chain(EMAILS) {
        add(hidden.to_owned(), hidden.as_bytes().to_vec());
        add(format!("{whole} backwards"), hidden.bytes().rev().collect());
        add(
            format!("{whole} in capitals"),
            hidden.to_uppercase().into_bytes(),
        );
        for (form, text) in [
            ("hex", hex(hidden.as_bytes())),
            ("HEX", hex(hidden.as_bytes()).to_uppercase()),
        ] {
            add(format!("{whole} in {form}"), text.into_bytes());
        }
        for shift in 0..3 {
            add(
                format!("{whole} in base64, shifted by {shift}"),
                base64_inside(hidden.as_bytes(), shift),
            );
        }
        let digest = Sha256::digest(whole.as_bytes());
        add(format!("{whole} by sha256"), digest.to_vec());
        add(
            format!("{whole} by sha256 in hex"),
            hex(&digest).into_bytes(),
        );
        let wide: Vec<u8> = hidden.bytes().flat_map(|byte| [0, byte]).collect();
        add(format!("{whole} in UTF-16"), wide);
    }
    for (whole, hidden) in SSNS {
        let digits = |text: &str| text.replace('-', "");
        add(format!("digits of {whole}"), digits(hidden).into_bytes());
        add(
            format!("digits of {whole} backwards"),
            digits(hidden).bytes().rev().collect(),
        );
        let number: i32 = digits(whole).parse().unwrap_or_default();
        add(format!("{whole} as int4"), number.to_be_bytes().to_vec());
        add(
            format!("{whole} as float8"),
            f64::from(number).to_be_bytes().to_vec(),
        );
    }
    for badge in BADGES {
        add(format!("{badge}"), badge.to_string().into_bytes());
        add(format!("{badge} as int8"), badge.to_be_bytes().to_vec());
        #[expect(
            clippy::cast_precision_loss,
            reason = "what the server's own cast loses"
        )]
        add(
            format!("{badge} as float8"),
            (badge as f64).to_be_bytes().to_vec(),
        );
        // pay is a thousandth of it.
        let pay = badge.to_string();
        let pay = pay.get(..7).unwrap_or_default();
        add(format!("{pay}, the pay"), pay.as_bytes().to_vec());
    }
    for born in BORN {
        add(born.to_owned(), born.as_bytes().to_vec());
    }
    add("731-42-9685 by md5".to_owned(), MD5.as_bytes().to_vec());
    needles
}

/// A secret whose characters came apart: only its digits are looked for, in a text of digits only.
pub(super) const DIGITS: [&[u8]; 2] = [b"731429685", b"264581903"];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The base64 of bytes that stand behind `shift` others, without the characters that these decide.
fn base64_inside(bytes: &[u8], shift: usize) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let padded: Vec<u8> = std::iter::repeat_n(0, shift)
        .chain(bytes.iter().copied())
        .collect();
    let whole = padded.chunks_exact(3).flat_map(|three| {
        let bits = three
            .iter()
            .fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|at| ALPHABET.get(bits >> at & 63).copied().unwrap_or_default())
    });
    whole.skip(if shift == 0 { 0 } else { 4 }).collect()
}

/// Where any of them stands in these bytes.
pub(super) fn found<'n>(needles: &'n [Needle], bytes: &[u8]) -> impl Iterator<Item = &'n Needle> {
    needles
        .iter()
        .filter(|needle| contains(bytes, &needle.bytes))
}

/// Whether bytes hold others.
pub(super) fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    let Some((first, rest)) = wanted.split_first() else {
        return false;
    };
    let mut from = bytes;
    while let Some(at) = from.iter().position(|byte| byte == first) {
        from = from.get(at + 1..).unwrap_or_default();
        if from.starts_with(rest) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_found_wherever_they_stand() {
        let needles = all();
        let is_found = |bytes: &[u8]| found(&needles, bytes).next().is_some();
        for bytes in [
            &b"x731-42-9685"[..],
            b"5869-24-137",
            b"3733312d34322d39363835",
            b"NzMxLTQyLTk2ODU=",
            b"eDczMS00Mi05Njg1",
            b"eHg3MzEtNDItOTY4NQ==",
            b"\x2b\x98\xbb\x35",
            b"{QUILL.HARTWELL@",
            b"\0\0\0\x01\xb3\xf7\x50\x12",
        ] {
            assert!(is_found(bytes), "{bytes:?}");
        }
        assert!(!is_found(b"*******9685 q****@corp.example 1|Quill|n1"));
    }
}
