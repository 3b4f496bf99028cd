#![no_main]
//! JSON in one pass: of every body it says what its slow twin says, byte for byte, value for value.

use libfuzzer_sys::fuzz_target;
use weir_mcp::json::{Document, JsonError, Kind};
use weir_mcp::limits;

#[path = "../../dataplane/mcp/src/json/tests/twin.rs"]
mod twin;

fuzz_target!(|data: &[u8]| {
    let document = Document::parse(data);
    let walked = document.as_ref().map_err(|error| *error).map(|document| {
        let told = document.values().map(|value| twin::Token {
            kind: value.kind(),
            escaped: value.raw().contains(&b'\\') && is_text(value.kind()),
            ascii: value.raw().is_ascii() || !is_text(value.kind()),
            start: value.span().start,
            end: value.span().end,
            next: value.next_index(),
        });
        told.collect::<Vec<_>>()
    });
    assert_eq!(walked, twin::read(data));
    if document.is_ok() {
        assert!(
            std::str::from_utf8(data).is_ok(),
            "what is not UTF-8 was accepted"
        );
    }
});

fn is_text(kind: Kind) -> bool {
    matches!(kind, Kind::Key | Kind::String)
}
