//! JSON Schema (2020-12, and of draft 7 what tools use), as far as a value that takes another's
//! place must satisfy it, and as far as it says of which type an argument is.
//!
//! A [`Schema`] is read once from a tool's pinned definition. [`Schema::below`] finds what of it
//! speaks of a place in a document, [`Schema::fits`] says whether a value may stand there,
//! [`Schema::proposals`] names values that may, and [`Schema::mistyped`] finds arguments of a type
//! that the schema does not let them have. What cannot be decided (a reference to elsewhere, a
//! pattern that this grammar does not have, a schema that is too entangled) counts as undecided,
//! and a value about which anything is undecided does not fit. All that is done for one message is
//! bounded by an [`Effort`]: servers write schemas and answers, and choose both.

mod admits;
mod effort;
mod format;
mod params;
mod pattern;
mod place;
mod propose;
mod read;
mod types;

use std::cmp::Ordering;

pub use admits::Scalar;
pub use effort::Effort;
pub use params::ParamFields;
pub use place::Reach;
pub use propose::Proposal;
pub use types::{Mistyped, TypeSet};

use crate::json::Document;
use format::Format;
use pattern::Pattern;

/// A schema, its parts in one list.
#[derive(Clone, Debug)]
pub struct Schema {
    nodes: Vec<Node>,
}

/// The schemas of one tool.
#[derive(Clone, Debug)]
pub struct ToolSchemas {
    /// Of its arguments.
    pub input: Option<Schema>,
    /// Of its structured content, where it says.
    pub output: Option<Schema>,
    /// Which arguments the fields of a call repeat.
    pub fields: ParamFields,
}

impl ToolSchemas {
    /// Those of a tool's definition, as [`crate::definition::Definition`] spells it. Without any
    /// where that cannot be read.
    #[must_use]
    pub fn read(definition: &[u8]) -> Self {
        let document = Document::parse(definition).ok();
        let written = |name| document.as_ref()?.root().get(name);
        let schema = |name| Some(Schema::read(&written(name)?));
        let fields = written("inputSchema").map(|schema| ParamFields::read(&schema));
        Self {
            input: schema("inputSchema"),
            output: schema("outputSchema"),
            fields: fields.unwrap_or_default(),
        }
    }
}

/// Where in the list a part is.
type NodeId = usize;

/// The keywords of one part.
#[derive(Clone, Debug, Default)]
struct Node {
    /// `true` or `false` in place of an object.
    always: Option<bool>,
    /// It refers to something that is not here.
    is_unknown: bool,
    types: Option<TypeSet>,
    /// `enum` and `const`: what may stand here.
    choices: Option<Vec<Constant>>,
    /// Values that the schema itself names: `default`.
    named: Vec<Constant>,
    pattern: Option<Pattern>,
    format: Option<Format>,
    length_min: Option<u64>,
    length_max: Option<u64>,
    bounds: Vec<Bound>,
    multiple_of: Option<f64>,
    properties: Vec<(Box<str>, NodeId)>,
    by_pattern: Vec<(Pattern, NodeId)>,
    additional: Option<NodeId>,
    property_names: Option<NodeId>,
    required: Vec<Box<str>>,
    prefix: Vec<NodeId>,
    items: Option<NodeId>,
    contains: Option<NodeId>,
    /// `$ref` and `allOf`.
    all: Vec<NodeId>,
    any: Option<Vec<NodeId>>,
    one: Option<Vec<NodeId>>,
    not: Option<NodeId>,
    condition: Option<Condition>,
    /// `dependentSchemas`.
    dependent: Vec<NodeId>,
}

#[derive(Clone, Copy, Debug)]
struct Condition {
    cause: NodeId,
    then: Option<NodeId>,
    otherwise: Option<NodeId>,
}

/// A value that a schema names.
#[derive(Clone, Debug, PartialEq)]
enum Constant {
    Null,
    Bool(bool),
    /// As it was written.
    Number(Box<str>),
    Text(Box<str>),
    /// An object or an array, which no scalar equals.
    Composite,
}

/// A limit of numbers.
#[derive(Clone, Copy, Debug)]
struct Bound {
    of: f64,
    /// How a number may lie to it.
    is: [Ordering; 2],
}

impl Schema {
    fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id)
    }
}

#[cfg(test)]
mod tests;
