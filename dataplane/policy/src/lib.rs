//! Cedar bundles compiled to snapshots that judge.
