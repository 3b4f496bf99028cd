#![no_main]
//! A journal's bytes and a checkpoint's, from anywhere.

use libfuzzer_sys::fuzz_target;
use weir_audit::WorkerId;
use weir_audit::frame::Scanner;
use weir_audit::log::{Checkpoint, VerifierKey};
use weir_audit::verify::read_leaf;

fuzz_target!(|data: &[u8]| {
    let mut scanner = Scanner::new(data, WorkerId(0), None);
    while let Ok(Some(_)) = scanner.read() {}
    let _ = read_leaf(data);
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(key) = VerifierKey::parse(text)
    {
        let _ = Checkpoint::open(data, &key);
    }
});
