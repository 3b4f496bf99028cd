//! The operator's and the auditor's hand.

fn main() {}
