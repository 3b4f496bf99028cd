//! Records, the hash chain, the Merkle log, and its verification.
