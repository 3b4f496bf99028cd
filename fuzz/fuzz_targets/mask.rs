#![no_main]
//! Detectors, transforms of values and arrays, and the net over any bytes.

use libfuzzer_sys::fuzz_target;
use weir_mask::detect::{Class, ClassSet, scan};
use weir_mask::{MaskKey, Net, binary, text};

fuzz_target!(|data: (u8, u32, Vec<u8>)| {
    let (rule, type_oid, mut value) = data;
    let type_oid = kind(type_oid);
    let wanted = Class::ALL.iter().copied().collect::<ClassSet>();
    let mut found = Vec::new();
    scan(&value, wanted, &mut found);
    assert!(found.iter().all(|(range, _)| range.end <= value.len()));
    let rules = [
        "keep_first:2",
        "keep_last:4",
        "redact",
        "null",
        "hash",
        "fixed:x",
        "partial_email",
        "date_year",
        "digits",
    ];
    let Some(Ok(rule)) = rules
        .get(usize::from(rule) % rules.len())
        .map(|rule| rule.parse())
    else {
        return;
    };
    let key = MaskKey::new([7; 32]);
    let _ = text(&rule, &key, type_oid, &mut value.clone());
    let _ = binary(&rule, &key, type_oid, &mut value.clone());
    let net = Net::new(Class::ALL.iter().map(|class| (*class, Some(rule.clone()))));
    let _ = net.text(&key, type_oid, &mut value.clone());
    let _ = net.binary(&key, type_oid, &mut value);
});

/// Types with a syntax of their own, and any.
fn kind(any: u32) -> u32 {
    let known = [25, 114, 142, 1007, 1009, 1182, 1231, 1700, 3802, 3807];
    known.get((any % 16) as usize).copied().unwrap_or(any)
}
