#![no_main]
//! JSON in one pass: what it accepts, it gives back unchanged.

use libfuzzer_sys::fuzz_target;
use weir_mcp::json::Document;

fuzz_target!(|data: &[u8]| {
    if Document::parse(data).is_ok() {
        assert!(
            std::str::from_utf8(data).is_ok(),
            "what is not UTF-8 was accepted"
        );
    }
});
