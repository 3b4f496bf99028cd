//! One spelling for values that are the same, for digests.

use std::borrow::Cow;

use super::{Kind, Value, quote};

/// Appends `value` with sorted keys, no white space and one way to escape. Numbers stay
/// as written: `1` and `1.0` differ, so that a digest never equates what a server might
/// tell apart.
///
/// Recursion is bounded by [`crate::limits::JSON_DEPTH_MAX`].
pub fn canonical(value: &Value<'_>, out: &mut Vec<u8>) {
    match value.kind() {
        Kind::Object => object(value, out),
        Kind::Array => {
            out.push(b'[');
            for (index, element) in value.elements().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                canonical(&element, out);
            }
            out.push(b']');
        }
        Kind::String | Kind::Key => quote(&value.text().unwrap_or_default(), out),
        Kind::Number | Kind::True | Kind::False | Kind::Null => out.extend_from_slice(value.raw()),
    }
}

fn object(value: &Value<'_>, out: &mut Vec<u8>) {
    canonical_members(value.members(), out);
}

/// The same of an object that has these members alone.
pub(crate) fn canonical_members<'d>(
    members: impl Iterator<Item = (Value<'d>, Value<'d>)>,
    out: &mut Vec<u8>,
) {
    let mut members: Vec<(Cow<'_, str>, Value<'_>)> = members
        .map(|(key, value)| (key.text().unwrap_or_default(), value))
        .collect();
    members.sort_by(|one, other| one.0.cmp(&other.0));
    out.push(b'{');
    for (index, (key, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        quote(key, out);
        out.push(b':');
        canonical(value, out);
    }
    out.push(b'}');
}
