//! `masks.toml`: which columns hold what, per connection, and what becomes of the rest.

mod name;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::Deserialize;
use weir_facts::{ColumnName, ConnectionName, JsonPath, MaskRule, RelationName};

use super::bulk::{self, Bulk};
use super::fault::{Faults, line_of};
use crate::snapshot::zone_named;
use name::function;
pub(super) use name::{column_name, relation_name};

/// The file's name.
pub(super) const FILE: &str = "masks.toml";

/// The class of what is no text in an answer of an MCP server: pictures, sounds, other files.
pub const BLOB_CLASS: &str = "blob";

/// The classes that `weir-mask` has detectors for, and [`BLOB_CLASS`].
pub(super) const DETECTORS: &[&str] = &[
    "ssn",
    "payment_card",
    "iban",
    "email",
    "phone",
    "jwt",
    "api_key",
    BLOB_CLASS,
];

/// What `[connection.X.tools]` calls every tool.
pub(crate) const EVERY_TOOL: &str = "*";

/// What becomes of columns that nobody labelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unlabelled {
    /// Policies alone decide.
    Clear,
    /// They are masked for everybody, until somebody labels them, if only with no class.
    Mask(MaskRule),
}

/// A labelled column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    /// Where.
    pub connection: ConnectionName,
    /// Which.
    pub column: ColumnName,
    /// The classes of its values; none says that they are harmless.
    pub classes: Vec<Arc<str>>,
}

/// A function that somebody vouches for: `schema.name(type, type)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Harmless {
    /// Its schema and name.
    pub name: RelationName,
    /// Its argument types as psql names them, joined by `, `.
    pub arguments: Arc<str>,
}

/// What `masks.toml` says of one connection.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionMasks {
    pub(crate) unlabelled: Unlabelled,
    pub(crate) detectors: Vec<Arc<str>>,
    pub(crate) zone: Option<(Arc<str>, TimeZone)>,
    pub(crate) env: Option<Arc<str>>,
    pub(crate) bulk: Option<Arc<Bulk>>,
    pub(crate) harmless: Vec<Harmless>,
    pub(crate) columns: BTreeMap<ColumnName, Vec<Arc<str>>>,
    /// Labelled places of tools' results, by tool; [`EVERY_TOOL`] for all.
    pub(crate) places: BTreeMap<Arc<str>, Vec<LabelledPlace>>,
}

/// A labelled place of a tool's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledPlace {
    /// Where, in the structured content and in every text that is JSON.
    pub path: JsonPath,
    /// The classes of the values there; at least one.
    pub classes: Vec<Arc<str>>,
}

/// The whole file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Masks {
    /// Each class with the classes that it is in, closed over the hierarchy.
    pub(crate) classes: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    pub(crate) connections: BTreeMap<ConnectionName, ConnectionMasks>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    classes: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    connection: BTreeMap<String, Connection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Connection {
    unlabelled: String,
    #[serde(default)]
    detectors: Vec<String>,
    zone: Option<String>,
    env: Option<String>,
    bulk: Option<bulk::Written>,
    #[serde(default)]
    harmless_functions: Vec<String>,
    #[serde(default)]
    columns: BTreeMap<toml::Spanned<String>, Vec<String>>,
    #[serde(default)]
    tools: BTreeMap<String, BTreeMap<toml::Spanned<String>, Vec<String>>>,
}

impl Masks {
    /// Every class that a label, a detector or the hierarchy names.
    pub(super) fn known_classes(&self) -> BTreeSet<&str> {
        let labels = self
            .connections
            .values()
            .flat_map(|connection| connection.columns.values().flatten());
        let places = self.connections.values().flat_map(|connection| {
            let places = connection.places.values().flatten();
            places.flat_map(|place| &place.classes)
        });
        let parents = self.classes.values().flatten();
        labels
            .chain(places)
            .chain(parents)
            .chain(self.classes.keys())
            .map(|class| &**class)
            .chain(DETECTORS.iter().copied())
            .collect()
    }

    /// The classes that a class is in, itself excluded.
    pub(crate) fn above<'a>(&'a self, class: &str) -> impl Iterator<Item = &'a Arc<str>> + use<'a> {
        self.classes.get(class).into_iter().flatten()
    }

    /// Every label, by connection and column.
    pub(super) fn labels(&self) -> impl Iterator<Item = Label> {
        self.connections.iter().flat_map(|(connection, masks)| {
            masks.columns.iter().map(|(column, classes)| Label {
                connection: connection.clone(),
                column: column.clone(),
                classes: classes.clone(),
            })
        })
    }
}

pub(super) fn parse(text: &str, faults: &mut Faults) -> Masks {
    let file: File = match toml::from_str(text) {
        Ok(file) => file,
        Err(error) => {
            let line = error.span().map_or(0, |span| line_of(text, span.start));
            faults.add(FILE, line, error.message());
            return Masks::default();
        }
    };
    let classes = classes(&file.classes, faults);
    let connections = file
        .connection
        .into_iter()
        .map(|(name, written)| {
            let connection = connection(text, &name, written, faults);
            (ConnectionName::new(&name), connection)
        })
        .collect();
    Masks {
        classes,
        connections,
    }
}

fn connection(text: &str, name: &str, written: Connection, faults: &mut Faults) -> ConnectionMasks {
    let mut fault =
        |line, message: String| faults.add(FILE, line, format!("[connection.{name}]: {message}"));
    let unlabelled = unlabelled(&written.unlabelled).unwrap_or_else(|message| {
        fault(0, message);
        Unlabelled::Mask(MaskRule::Redact)
    });
    for detector in written
        .detectors
        .iter()
        .filter(|detector| !DETECTORS.contains(&detector.as_str()))
    {
        fault(
            0,
            format!(
                "no detector {detector:?}; there are {}",
                DETECTORS.join(", ")
            ),
        );
    }
    let zone = written.zone.and_then(|zone| match zone_named(&zone) {
        Ok(known) => Some((zone.into(), known)),
        Err(error) => {
            fault(0, error.to_string());
            None
        }
    });
    let bulk = written.bulk.and_then(|bulk| match Bulk::read(&bulk) {
        Ok(bulk) => Some(Arc::new(bulk)),
        Err(message) => {
            fault(0, message);
            None
        }
    });
    let mut harmless = Vec::new();
    for text in &written.harmless_functions {
        match function(text) {
            Some(function) => harmless.push(function),
            None => fault(
                0,
                format!(
                    "{text:?} is not schema.name(type, type), with types as psql's \\df shows them"
                ),
            ),
        }
    }
    let mut columns = BTreeMap::new();
    let mut in_order: Vec<_> = written.columns.into_iter().collect();
    in_order.sort_by_key(|(column, _)| column.span().start);
    for (column, listed) in in_order {
        let line = line_of(text, column.span().start);
        let Some(named) = column_name(column.get_ref()) else {
            fault(
                line,
                format!(
                    "{:?} is not schema.table.column (quote a name that has a dot)",
                    column.get_ref()
                ),
            );
            continue;
        };
        for class in listed.iter().filter(|class| !is_class(class)) {
            fault(line, not_a_class(class));
        }
        let listed = listed
            .iter()
            .map(|class| Arc::from(class.as_str()))
            .collect();
        if columns.insert(named, listed).is_some() {
            fault(line, format!("{} is labelled twice", column.get_ref()));
        }
    }
    let tools = written.tools.into_iter();
    let places = tools
        .map(|(tool, places)| (tool.into(), labelled_places(text, places, &mut fault)))
        .collect();
    let detectors = written.detectors.into_iter().map(Arc::from).collect();
    ConnectionMasks {
        unlabelled,
        detectors,
        zone,
        env: written.env.map(Arc::from),
        bulk,
        harmless,
        columns,
        places,
    }
}

/// The labels of one tool, in the order of the file.
fn labelled_places(
    text: &str,
    written: BTreeMap<toml::Spanned<String>, Vec<String>>,
    fault: &mut impl FnMut(u32, String),
) -> Vec<LabelledPlace> {
    let mut in_order: Vec<_> = written.into_iter().collect();
    in_order.sort_by_key(|(path, _)| path.span().start);
    let mut places = Vec::with_capacity(in_order.len());
    for (path, classes) in in_order {
        let line = line_of(text, path.span().start);
        if classes.is_empty() {
            fault(
                line,
                format!(
                    "{} has no class: what stands there is shown as it is without this line",
                    path.get_ref()
                ),
            );
        }
        for class in classes.iter().filter(|class| !is_class(class)) {
            fault(line, not_a_class(class));
        }
        match path.get_ref().parse() {
            Ok(path) => places.push(LabelledPlace {
                path,
                classes: classes.into_iter().map(Arc::from).collect(),
            }),
            Err(error) => fault(line, format!("{error}")),
        }
    }
    places
}

fn not_a_class(class: &str) -> String {
    format!("{class:?} is not a class name: lower-case letters, digits and '_'")
}

fn unlabelled(text: &str) -> Result<Unlabelled, String> {
    match text {
        "clear" => Ok(Unlabelled::Clear),
        "mask" => Ok(Unlabelled::Mask(MaskRule::Redact)),
        _ => match text.strip_prefix("mask:").map(str::parse) {
            Some(Ok(rule)) => Ok(Unlabelled::Mask(rule)),
            Some(Err(error)) => Err(format!("unlabelled: {error}")),
            None => Err(format!(
                "unlabelled = {text:?} must be \"clear\", \"mask\" or \"mask:RULE\""
            )),
        },
    }
}

fn is_class(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// Closes the hierarchy; a cycle or a bad name is a fault.
fn classes(
    written: &BTreeMap<String, Vec<String>>,
    faults: &mut Faults,
) -> BTreeMap<Arc<str>, BTreeSet<Arc<str>>> {
    for name in written
        .keys()
        .chain(written.values().flatten())
        .filter(|name| !is_class(name))
    {
        faults.add(
            FILE,
            0,
            format!("[classes]: {name:?} is not a class name: lower-case letters, digits and '_'"),
        );
    }
    let mut closed = BTreeMap::new();
    for class in written.keys() {
        let (mut above, mut open) = (BTreeSet::new(), vec![class.as_str()]);
        while let Some(next) = open.pop() {
            for parent in written.get(next).into_iter().flatten() {
                if above.insert(Arc::from(parent.as_str())) {
                    open.push(parent);
                }
            }
        }
        if above.contains(class.as_str()) {
            faults.add(FILE, 0, format!("[classes]: {class} is in itself"));
        }
        closed.insert(Arc::from(class.as_str()), above);
    }
    closed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_their_line() {
        for (text, line) in [
            ("[connection.a]\nunlabelled = \"maybe\"", 0),
            ("[connection.a]\nunlabelled = \"clear\"\nunknown = 1", 3),
            (
                "[connection.a]\nunlabelled = \"clear\"\n[connection.a.columns]\n\"public.t\" = []",
                4,
            ),
            (
                "[connection.a]\nunlabelled = \"clear\"\n[connection.a.columns]\n\"p.t.c\" = [\"PII\"]",
                4,
            ),
            (
                "[connection.a]\nunlabelled = \"clear\"\n[connection.a.columns]\n'p.t.c' = []\n'\"p\".t.c' = []",
                5,
            ),
            (
                "[connection.a]\nunlabelled = \"clear\"\nzone = \"Europe/Nowhere\"",
                0,
            ),
            (
                "[connection.a]\nunlabelled = \"clear\"\ndetectors = [\"shoe_size\"]",
                0,
            ),
            ("[connection.a]\nunlabelled = \"mask:blur\"", 0),
            (
                "[connection.a]\nunlabelled = \"clear\"\nharmless_functions = [\"f(text)\"]",
                0,
            ),
            (
                "[connection.a]\nunlabelled = \"clear\"\nharmless_functions = [\"public.f\"]",
                0,
            ),
            (
                "[connection.a]\nunlabelled = \"clear\"\nharmless_functions = [\"public.f(text,)\"]",
                0,
            ),
            (
                "[connection.a]\nunlabelled = \"clear\"\n[connection.a.bulk]\ncrossing = \"end\"",
                0,
            ),
            (
                "[connection.a]\nunlabelled = \"clear\"\n[connection.a.bulk]\nstatement_rows = 1\ncrossing = \"warn\"",
                0,
            ),
            (
                "[connection.a]\nunlabelled = \"clear\"\n[connection.a.bulk]\nstatement_rows = 1\ncrossing = \"ask\"",
                0,
            ),
            (
                "[connection.a]\nunlabelled = \"clear\"\n[connection.a.bulk]\nstatement_rows = 1\ncrossing = \"end\"\nquorum = 2",
                0,
            ),
            (
                "[connection.a]\nunlabelled = \"clear\"\n[connection.a.bulk]\nwindow_rows = 1\ncrossing = \"end\"",
                0,
            ),
            (
                "[connection.a]\nunlabelled = \"clear\"\n[connection.a.bulk]\nwindow = \"2d\"\nwindow_rows = 1\ncrossing = \"end\"",
                0,
            ),
            (
                "[connection.a]\nunlabelled = \"clear\"\n[connection.a.bulk]\nstatement_rows = -1\ncrossing = \"end\"",
                4,
            ),
            (
                "[connection.a]\nunlabelled = \"clear\"\n[connection.a.bulk]\nstatement_row = 1\ncrossing = \"end\"",
                4,
            ),
            (
                "[connection.a]\nunlabelled = \"clear\"\n[connection.a.tools.t]\n\"$.a\" = [\"x\"]\n\"$.b[\" = [\"x\"]",
                5,
            ),
            (
                "[connection.a]\nunlabelled = \"clear\"\n[connection.a.tools.\"*\"]\n\"$..a\" = []",
                4,
            ),
            (
                "[connection.a]\nunlabelled = \"clear\"\n[connection.a.tools.t]\n\"$..a\" = [\"PII\"]",
                4,
            ),
            ("[classes]\na = [\"b\"]\nb = [\"a\"]", 0),
        ] {
            let mut faults = Faults::default();
            parse(text, &mut faults);
            let error = faults.into_result().expect_err(text);
            assert_eq!(error.faults[0].line, line, "{text}: {error}");
        }
    }

    #[test]
    fn classes_are_closed_over_their_hierarchy() {
        let mut faults = Faults::default();
        let masks = parse(
            "[classes]\nssn = [\"pii\"]\npii = [\"secret\"]",
            &mut faults,
        );
        faults.into_result().expect("valid");
        assert_eq!(
            masks.above("ssn").map(|class| &**class).collect::<Vec<_>>(),
            ["pii", "secret"]
        );
        assert_eq!(masks.above("other").count(), 0);
    }
}
