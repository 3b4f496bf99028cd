//! From JSON to parts.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::format::Format;
use super::{Bound, Condition, Constant, Node, NodeId, Pattern, Schema, TypeSet};
use crate::json::{Kind, Value};
use crate::limits::{PATTERNS_BYTES_MAX, SCHEMA_PARTS_MAX};

impl Schema {
    /// Reads a schema. Whatever it is, something is read: what is no schema says nothing.
    #[must_use]
    pub fn read(schema: &Value<'_>) -> Self {
        let mut reader = Reader {
            root: *schema,
            nodes: Vec::new(),
            known: HashMap::new(),
            open: Vec::new(),
            patterns_room: PATTERNS_BYTES_MAX,
        };
        reader.part(*schema);
        // A list instead of recursion: references may form a chain of any length.
        while let Some((id, value)) = reader.open.pop() {
            let node = reader.keywords(value);
            if let Some(place) = reader.nodes.get_mut(id) {
                *place = node;
            }
        }
        Self {
            nodes: reader.nodes,
        }
    }
}

struct Reader<'d> {
    root: Value<'d>,
    nodes: Vec<Node>,
    known: HashMap<usize, NodeId>,
    open: Vec<(NodeId, Value<'d>)>,
    /// Bytes that patterns may still be compiled to.
    patterns_room: usize,
}

impl<'d> Reader<'d> {
    /// The part that a value is, which is read once. Of a schema of too many, the rest is one part
    /// about which nothing can be decided.
    fn part(&mut self, value: Value<'d>) -> NodeId {
        let next = self.nodes.len();
        if next >= SCHEMA_PARTS_MAX {
            let known = self.known.get(&value.index()).copied();
            return known.unwrap_or_else(|| self.beyond());
        }
        let id = *self.known.entry(value.index()).or_insert(next);
        if id == next {
            self.nodes.push(Node::default());
            self.open.push((id, value));
        }
        id
    }

    fn beyond(&mut self) -> NodeId {
        if self.nodes.len() == SCHEMA_PARTS_MAX {
            self.nodes.push(Node {
                is_unknown: true,
                ..Node::default()
            });
        }
        SCHEMA_PARTS_MAX
    }

    fn parts(&mut self, list: Value<'d>) -> Vec<NodeId> {
        list.elements().map(|part| self.part(part)).collect()
    }

    fn keywords(&mut self, value: Value<'d>) -> Node {
        let mut node = Node {
            always: match value.kind() {
                Kind::True => Some(true),
                Kind::False => Some(false),
                Kind::Object
                | Kind::Array
                | Kind::Key
                | Kind::String
                | Kind::Number
                | Kind::Null => None,
            },
            ..Node::default()
        };
        for (key, value) in value.members() {
            let key = key.text().unwrap_or_default();
            if !self.scalar_keyword(&mut node, &key, value) {
                self.applicator(&mut node, &key, value);
            }
        }
        if let Some(cause) = value.get("if") {
            node.condition = Some(Condition {
                cause: self.part(cause),
                then: value.get("then").map(|then| self.part(then)),
                otherwise: value.get("else").map(|otherwise| self.part(otherwise)),
            });
        }
        node
    }

    /// What is said of scalars. Whether it was that.
    fn scalar_keyword(&mut self, node: &mut Node, key: &str, value: Value<'d>) -> bool {
        let number = || value.number().and_then(|number| number.parse::<f64>().ok());
        let bound = |allowed| number().map(|of| Bound { of, is: allowed });
        match key {
            "type" => node.types = Some(TypeSet::read(&value)),
            "enum" => {
                let listed = value.elements().map(|choice| constant(&choice));
                node.choices = Some(listed.collect());
            }
            "const" => node.choices = Some(vec![constant(&value)]),
            "default" => node.named.push(constant(&value)),
            "pattern" => {
                let text = value.text();
                node.pattern = text.map(|text| Pattern::read(&text, &mut self.patterns_room));
            }
            "format" => node.format = value.text().and_then(|name| Format::read(&name)),
            "minLength" => node.length_min = count(&value),
            "maxLength" => node.length_max = count(&value),
            "minimum" => node
                .bounds
                .extend(bound([Ordering::Greater, Ordering::Equal])),
            "maximum" => node.bounds.extend(bound([Ordering::Less, Ordering::Equal])),
            // Of draft 4 are booleans beside the bound, which number() does not read.
            "exclusiveMinimum" => node
                .bounds
                .extend(bound([Ordering::Greater, Ordering::Greater])),
            "exclusiveMaximum" => node.bounds.extend(bound([Ordering::Less, Ordering::Less])),
            "multipleOf" => node.multiple_of = number().filter(|of| *of > 0.0),
            "required" => {
                let names = value.elements().filter_map(|name| name.text());
                node.required = names.map(|name| (*name).into()).collect();
            }
            _ => return false,
        }
        true
    }

    /// What applies other parts.
    fn applicator(&mut self, node: &mut Node, key: &str, value: Value<'d>) {
        match key {
            "properties" => {
                for (name, part) in value.members() {
                    let part = self.part(part);
                    let name = name.text().unwrap_or_default();
                    node.properties.push(((*name).into(), part));
                }
            }
            "patternProperties" => {
                for (name, part) in value.members() {
                    let part = self.part(part);
                    let name = name.text().unwrap_or_default();
                    let name = Pattern::read(&name, &mut self.patterns_room);
                    node.by_pattern.push((name, part));
                }
            }
            "additionalProperties" => node.additional = Some(self.part(value)),
            "propertyNames" => node.property_names = Some(self.part(value)),
            "prefixItems" => node.prefix = self.parts(value),
            "items" if value.kind() == Kind::Array => node.prefix = self.parts(value),
            "items" | "additionalItems" => node.items = Some(self.part(value)),
            "contains" => node.contains = Some(self.part(value)),
            "allOf" => node.all.extend(self.parts(value)),
            "anyOf" => node.any = Some(self.parts(value)),
            "oneOf" => node.one = Some(self.parts(value)),
            "not" => node.not = Some(self.part(value)),
            "dependentSchemas" => {
                for (_, part) in value.members() {
                    let part = self.part(part);
                    node.dependent.push(part);
                }
            }
            "$ref" => match value.text().and_then(|text| self.referred(&text)) {
                Some(part) => {
                    let part = self.part(part);
                    node.all.push(part);
                }
                None => node.is_unknown = true,
            },
            "$dynamicRef" | "$recursiveRef" => node.is_unknown = true,
            // Everything else says nothing of one value.
            _ => {}
        }
    }

    /// What a reference within this schema means: `#`, or a JSON Pointer after it.
    fn referred(&self, reference: &str) -> Option<Value<'d>> {
        let pointer = reference.strip_prefix('#')?;
        if pointer.is_empty() {
            return Some(self.root);
        }
        let steps = pointer.strip_prefix('/')?.split('/');
        steps.into_iter().try_fold(self.root, |at, step| {
            let step = step.replace("~1", "/").replace("~0", "~");
            match at.kind() {
                Kind::Array => at.elements().nth(step.parse().ok()?),
                Kind::Object
                | Kind::Key
                | Kind::String
                | Kind::Number
                | Kind::True
                | Kind::False
                | Kind::Null => at.get(&step),
            }
        })
    }
}

fn count(value: &Value<'_>) -> Option<u64> {
    value.number()?.parse().ok()
}

fn constant(value: &Value<'_>) -> Constant {
    match value.kind() {
        Kind::Null => Constant::Null,
        Kind::True => Constant::Bool(true),
        Kind::False => Constant::Bool(false),
        Kind::Number => Constant::Number(value.number().unwrap_or_default().into()),
        Kind::String | Kind::Key => Constant::Text((*value.text().unwrap_or_default()).into()),
        Kind::Object | Kind::Array => Constant::Composite,
    }
}
