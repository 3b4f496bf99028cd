/// The id that a connection's default for unlabelled columns has in records. No policy can have it.
pub(crate) const UNLABELLED: &str = "masks.toml:unlabelled";
