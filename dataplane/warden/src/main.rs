//! The privileged process: eBPF, attestation, listeners; starts the proxy.

fn main() {}
