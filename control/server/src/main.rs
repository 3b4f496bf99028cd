//! Policy store, push, approvals, identity, audit store, HTTP API.

fn main() {}
