//! The compiled programs. `cargo xtask ebpf` makes them, `cargo xtask ebpf --check` proves
//! that these bytes come from `ebpf/programs`.

/// The stripped ELF object, aligned for its parser.
pub(crate) static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/object/weir.bpf.o"));

/// SHA-256 of the object, in hexadecimal, as `sha256sum` prints it.
pub const OBJECT_SHA256: &str = include_str!("../object/weir.bpf.o.sha256");
