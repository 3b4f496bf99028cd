//! Finds sensitive values in text whose meaning nobody declared.

mod class;

use std::ops::Range;

pub use class::{Class, ClassSet};

/// Appends every value of a wanted class, in order of where it starts; ranges do not overlap.
pub fn scan(_text: &[u8], _wanted: ClassSet, _found: &mut Vec<(Range<usize>, Class)>) {}
