//! Detectors of sensitive values and the transforms that mask them.
