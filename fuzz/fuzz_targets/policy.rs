#![no_main]
//! Any policy text: a bundle or its faults, never a panic.

use libfuzzer_sys::fuzz_target;
use weir_policy::Bundle;

fuzz_target!(|files: (&str, &str)| {
    let (cedar, masks) = files;
    let files = [
        ("a.cedar".to_owned(), cedar.to_owned()),
        ("masks.toml".to_owned(), masks.to_owned()),
    ];
    let _ = Bundle::parse(&files);
});
