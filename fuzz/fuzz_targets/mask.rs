#![no_main]
//! Detectors and transforms over any bytes.

use libfuzzer_sys::fuzz_target;
use weir_mask::detect::{Class, ClassSet, scan};
use weir_mask::{MaskKey, binary, text};

fuzz_target!(|data: (u8, u32, Vec<u8>)| {
    let (rule, type_oid, mut value) = data;
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
    let _ = binary(&rule, &key, type_oid, &mut value);
});
