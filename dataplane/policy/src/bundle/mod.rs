//! A directory of policies, labels and tests, checked.

mod annotations;
mod arguments;
mod bulk;
mod cases;
mod diff;
mod fault;
mod masks;
pub(crate) mod schema;
mod statements;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use cedar_policy::{ActionConstraint, Policy, PolicySet, ValidationMode, Validator};
use weir_facts::{Action, PolicyId};

pub use annotations::{ApproveTerms, Effect};
pub use arguments::ToolArguments;
pub use bulk::{Amount, Bulk, Crossing};
pub use cases::TestResult;
pub use diff::{BundleDiff, Change};
pub use fault::{BundleError, Fault};
pub use masks::{BLOB_CLASS, Harmless, Label, LabelledPlace, Unlabelled};
pub(crate) use masks::{ConnectionMasks, EVERY_TOOL, Masks};

use crate::level::Level;
use crate::limits::{FILE_BYTES_MAX, FILES_MAX, POLICIES_MAX};
use crate::rate::Rate;
use crate::reads::Reads;
use crate::uses::{self, ArgumentUse};
use cases::Case;
use fault::{Faults, line_of};

/// Where an editor's copy of the schema may lie in a bundle.
const SCHEMA_FILE: &str = "weir.cedarschema";

/// BLAKE3 of a bundle's canonical form. Comments, layout and division of the policies among
/// files do not count; labels and tests count as they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BundleId(pub [u8; 32]);

impl fmt::Display for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One policy, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyInfo {
    /// Its `@id`.
    pub id: PolicyId,
    /// What it does.
    pub effect: Effect,
    /// Its `@reason`.
    pub reason: Option<Arc<str>>,
    /// Its `@rate`: every permit of `pg.match` has one.
    pub rate: Option<Rate>,
    /// Its `@durability`; synced, where it has none.
    pub level: Level,
    /// The file that it stands in.
    pub file: Arc<str>,
    /// The line that it starts on, from 1.
    pub line: u32,
    /// Its text in canonical form.
    pub text: Arc<str>,
}

/// A policy with what compilation needs to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) info: PolicyInfo,
    pub(crate) policy: Policy,
    /// Its text as it stands in its file.
    source: Box<str>,
    pub(crate) actions: Vec<Action>,
    pub(crate) reads: Reads,
    pub(crate) uses: Vec<ArgumentUse>,
}

/// A checked bundle.
#[derive(Clone, Debug)]
pub struct Bundle {
    id: BundleId,
    canonical: Vec<(String, String)>,
    policies: BTreeMap<PolicyId, Written>,
    masks: Masks,
    cases: Vec<Case>,
}

impl Bundle {
    /// Reads and checks a directory, given as paths within it and contents: `*.cedar`,
    /// `masks.toml`, `tests/*.toml`; `*.md` and an unchanged `weir.cedarschema` are ignored, any
    /// other file is a fault. Does not run the tests.
    pub fn parse(files: &[(String, String)]) -> Result<Self, BundleError> {
        let mut faults = Faults::default();
        let kinds = kinds(files, &mut faults);
        faults.into_result()?;
        let mut faults = Faults::default();
        let policies = policies(kinds.cedar, &mut faults);
        let masks = kinds
            .masks
            .map_or_else(Masks::default, |text| masks::parse(text, &mut faults));
        let cases: Vec<Case> = kinds
            .tests
            .iter()
            .flat_map(|(path, text)| cases::parse(path, text, &mut faults))
            .collect();
        check_names(&policies, &masks, &cases, &mut faults);
        faults.into_result()?;
        let canonical = canonical(&policies, &kinds.masks, &kinds.tests);
        Ok(Self {
            id: identify(&canonical),
            canonical,
            policies,
            masks,
            cases,
        })
    }

    /// The schema that policies are validated against, in Cedar's schema syntax.
    #[must_use]
    pub const fn schema() -> &'static str {
        schema::TEXT
    }

    /// Names it by what it says.
    #[must_use]
    pub const fn id(&self) -> BundleId {
        self.id
    }

    /// The same bundle as few files in one layout: policies sorted and formatted in
    /// `policies.cedar`, the other files as they are. Parses to a bundle of the same id.
    #[must_use]
    pub fn canonical(&self) -> Vec<(String, String)> {
        self.canonical.clone()
    }

    /// The policies, by id.
    pub fn policies(&self) -> impl Iterator<Item = &PolicyInfo> {
        self.policies.values().map(|written| &written.info)
    }

    /// The policy of that id.
    #[must_use]
    pub fn policy(&self, id: &PolicyId) -> Option<&PolicyInfo> {
        self.policies.get(id).map(|written| &written.info)
    }

    /// The labelled columns, by connection and column.
    pub fn labels(&self) -> impl Iterator<Item = Label> {
        self.masks.labels()
    }

    /// Runs `tests/*.toml`, in order of file and line.
    #[must_use]
    pub fn run_tests(&self) -> Vec<TestResult> {
        cases::run(self)
    }

    /// What it takes to get from this bundle to another.
    #[must_use]
    pub fn diff(&self, to: &Self) -> BundleDiff {
        diff::between(self, to)
    }

    pub(crate) fn written(&self) -> impl Iterator<Item = &Written> {
        self.policies.values()
    }

    pub(crate) const fn masks(&self) -> &Masks {
        &self.masks
    }
}

struct Kinds<'a> {
    cedar: Vec<(&'a str, &'a str)>,
    masks: Option<&'a str>,
    tests: Vec<(&'a str, &'a str)>,
}

fn kinds<'a>(files: &'a [(String, String)], faults: &mut Faults) -> Kinds<'a> {
    let mut kinds = Kinds {
        cedar: Vec::new(),
        masks: None,
        tests: Vec::new(),
    };
    if files.len() > FILES_MAX {
        faults.add("bundle", 0, format!("more than {FILES_MAX} files"));
        return kinds;
    }
    let mut seen = BTreeSet::new();
    for (path, text) in files {
        if !seen.insert(path) {
            faults.add(path, 0, "is here twice");
        } else if text.len() > FILE_BYTES_MAX {
            faults.add(path, 0, format!("is larger than {FILE_BYTES_MAX} bytes"));
        } else if path.ends_with(".cedar") {
            kinds.cedar.push((path, text));
        } else if path == masks::FILE {
            kinds.masks = Some(text);
        } else if path.starts_with("tests/") && path.ends_with(".toml") {
            kinds.tests.push((path, text));
        } else if path == SCHEMA_FILE {
            if text != schema::TEXT {
                faults.add(path, 0, "differs from the built-in schema, which cannot be changed; copy it again or remove it");
            }
        } else if !path.ends_with(".md") {
            faults.add(path, 0, "is no part of a bundle: there are *.cedar, masks.toml, tests/*.toml, weir.cedarschema and *.md");
        }
    }
    kinds.cedar.sort_unstable();
    kinds.tests.sort_unstable();
    kinds
}

fn policies(files: Vec<(&str, &str)>, faults: &mut Faults) -> BTreeMap<PolicyId, Written> {
    let mut policies: BTreeMap<PolicyId, Written> = BTreeMap::new();
    for (path, text) in files {
        for statement in statements::split(text) {
            let line = line_of(text, statement.offset);
            if policies.len() >= POLICIES_MAX {
                faults.add(path, line, format!("more than {POLICIES_MAX} policies"));
                return policies;
            }
            let Some(written) = policy(path, line, statement.text, faults) else {
                continue;
            };
            if let Some(first) = policies.get(&written.info.id) {
                let message = format!(
                    "@id({:?}) is taken by {}:{}",
                    written.info.id.0, first.info.file, first.info.line
                );
                faults.add(path, line, message);
            } else {
                policies.insert(written.info.id.clone(), written);
            }
        }
    }
    validate(&policies, faults);
    policies
}

fn policy(path: &str, line: u32, text: &str, faults: &mut Faults) -> Option<Written> {
    let parsed = match Policy::parse(None, text) {
        Ok(policy) => policy,
        Err(errors) => {
            for error in errors.iter() {
                faults.add(path, line + extra_lines(text, error), told(error));
            }
            return None;
        }
    };
    let Ok(json) = parsed.to_json() else {
        faults.add(
            path,
            line,
            "Cedar cannot write this policy as JSON, so nothing can be said of what it reads",
        );
        return None;
    };
    let (mut actions, reads) = (actions(&parsed), Reads::of_policy(&json));
    let uses = uses::of_policy(&json);
    let canonical = match Policy::from_json(None, json) {
        Ok(policy) => policy.to_string(),
        Err(error) => {
            faults.add(path, line, error.to_string());
            return None;
        }
    };
    match annotations::read(&parsed, &actions, reads) {
        Ok(read) => {
            if read.effect == Effect::Permit && read.rate.is_none() {
                actions.retain(|action| *action != Action::PgMatch);
            }
            let info = PolicyInfo {
                id: read.id,
                effect: read.effect,
                reason: read.reason,
                rate: read.rate,
                level: read.level,
                file: path.into(),
                line,
                text: canonical.into(),
            };
            let policy = parsed.new_id(cedar_policy::PolicyId::new(&*info.id.0));
            Some(Written {
                info,
                policy,
                source: text.into(),
                actions,
                reads,
                uses,
            })
        }
        Err(found) => {
            found
                .into_iter()
                .for_each(|message| faults.add(path, line, message));
            None
        }
    }
}

/// The actions that a policy's scope admits. An unknown action is the validator's to report.
fn actions(policy: &Policy) -> Vec<Action> {
    let named: BTreeSet<Action> = match policy.action_constraint() {
        ActionConstraint::Any => Action::ALL.iter().copied().collect(),
        ActionConstraint::Eq(uid) => schema::action_named(uid.id().unescaped())
            .into_iter()
            .collect(),
        ActionConstraint::In(uids) => uids
            .iter()
            .flat_map(|uid| schema::actions_in(uid.id().unescaped()))
            .copied()
            .collect(),
    };
    named.into_iter().collect()
}

/// Strict validation of all policies at once; warnings are faults too: a policy that can never
/// apply, or that is spelled with look-alike letters, does not say what its author means.
fn validate(policies: &BTreeMap<PolicyId, Written>, faults: &mut Faults) {
    let mut set = PolicySet::new();
    for written in policies.values() {
        if let Err(error) = set.add(written.policy.clone()) {
            faults.add(&written.info.file, written.info.line, error.to_string());
        }
    }
    let result = Validator::new(schema::SCHEMA.clone()).validate(&set, ValidationMode::Strict);
    for error in result.validation_errors() {
        add_told(policies, error.policy_id(), error, faults);
    }
    for warning in result.validation_warnings() {
        add_told(policies, warning.policy_id(), warning, faults);
    }
}

fn add_told<E: miette::Diagnostic>(
    policies: &BTreeMap<PolicyId, Written>,
    id: &cedar_policy::PolicyId,
    error: &E,
    faults: &mut Faults,
) {
    let id: &str = id.as_ref();
    match policies.get(&PolicyId(id.into())) {
        Some(Written { info, source, .. }) => {
            faults.add(
                &info.file,
                info.line + extra_lines(source, error),
                told(error),
            );
        }
        None => faults.add("bundle", 0, told(error)),
    }
}

/// An error with what Cedar suggests against it.
fn told<E: miette::Diagnostic>(error: &E) -> String {
    match error.help() {
        Some(help) => format!("{error}; {help}"),
        None => error.to_string(),
    }
}

/// Lines from the start of a statement to where an error points.
fn extra_lines<E: miette::Diagnostic>(text: &str, error: &E) -> u32 {
    let at = error
        .labels()
        .and_then(|mut labels| labels.next())
        .map_or(0, |label| label.offset());
    line_of(text, at).saturating_sub(1)
}

/// A class that policies name and that nothing carries protects nothing: a misspelling.
fn check_names(
    policies: &BTreeMap<PolicyId, Written>,
    masks: &Masks,
    cases: &[Case],
    faults: &mut Faults,
) {
    let classes = masks.known_classes();
    for Written { info, policy, .. } in policies.values() {
        for uid in policy.entity_literals() {
            let name = uid.id().unescaped();
            if uid.type_name().basename() == "DataClass" && !classes.contains(name) {
                let message =
                    format!("no label, detector or [classes] entry has the class {name:?}");
                faults.add(&info.file, info.line, message);
            }
        }
    }
    for case in cases {
        for id in case.policies() {
            if !policies.contains_key(id) && id.0.as_ref() != crate::reveal::UNLABELLED {
                faults.add(
                    case.file(),
                    case.line(),
                    format!("expects policy {:?}, which does not exist", id.0),
                );
            }
        }
    }
}

fn canonical(
    policies: &BTreeMap<PolicyId, Written>,
    masks: &Option<&str>,
    tests: &[(&str, &str)],
) -> Vec<(String, String)> {
    let text = policies
        .values()
        .map(|written| written.info.text.trim())
        .collect::<Vec<_>>()
        .join("\n\n");
    let mut files = Vec::new();
    if !text.is_empty() {
        files.push(("policies.cedar".to_owned(), text + "\n"));
    }
    files.extend(masks.map(|text| (masks::FILE.to_owned(), text.to_owned())));
    files.extend(
        tests
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned())),
    );
    files
}

/// Hashes paths and contents, each behind its length, so that no two lists of files are alike.
fn identify(files: &[(String, String)]) -> BundleId {
    let mut hasher = blake3::Hasher::new_derive_key("weir policy bundle v1");
    for part in files.iter().flat_map(|(path, text)| [path, text]) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    // The schema is part of what a bundle means.
    hasher.update(schema::TEXT.as_bytes());
    BundleId(*hasher.finalize().as_bytes())
}
