//! The confined process that touches every hostile byte: rings, TLS, snapshots, control stream.
