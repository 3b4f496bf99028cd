//! Which definitions of a server's tools may be used, as the world has it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use sha2::{Digest as _, Sha256};
use weir_facts::{Digest, name_skeleton};
use weir_mcp::schema::ToolSchemas;

/// What becomes of a tool that is seen for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstSight {
    /// Its definition counts as approved.
    Trusted,
    /// It waits for a person.
    Quarantined,
}

/// What was decided of one tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolPin {
    /// The definition that may be used, as its SHA-256; `None` where there is none yet.
    pub approved: Option<Digest>,
    /// Another one that was seen since and waits for a person. The tool is quarantined until then.
    pub pending: Option<Digest>,
    /// Grows with every decision of a person, over all tools of the control plane; 0 where there
    /// was none.
    pub decision: u64,
}

/// What was decided of a connection's tools.
pub struct ToolPins {
    pub(super) first_sight: FirstSight,
    pub(super) pins: HashMap<Arc<str>, ToolPin>,
    pub(super) skeletons: HashSet<String>,
    pub(super) definitions: HashMap<Digest, Arc<KnownDefinition>>,
}

impl ToolPins {
    /// Pins by the tools' names.
    #[must_use]
    pub fn new(
        first_sight: FirstSight,
        pins: impl IntoIterator<Item = (Arc<str>, ToolPin)>,
    ) -> Self {
        let pins: HashMap<_, _> = pins.into_iter().collect();
        Self {
            first_sight,
            skeletons: pins.keys().map(|name| name_skeleton(name)).collect(),
            pins,
            definitions: HashMap::new(),
        }
    }

    /// With the texts of definitions, of which some are pinned.
    #[must_use]
    pub fn with_definitions<'a>(mut self, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let known = texts.into_iter().map(KnownDefinition::new);
        self.definitions = known
            .map(|known| (known.digest(), Arc::new(known)))
            .collect();
        self
    }

    /// Nothing was seen yet, and what is seen first is trusted.
    #[must_use]
    pub fn none() -> Self {
        Self::new(FirstSight::Trusted, [])
    }
}

/// A definition whose text is here. Its schemas are read when they are first asked for.
pub struct KnownDefinition {
    text: Box<str>,
    schemas: OnceLock<ToolSchemas>,
}

impl KnownDefinition {
    pub(super) fn new(text: &str) -> Self {
        Self {
            text: text.into(),
            schemas: OnceLock::new(),
        }
    }

    pub(super) fn digest(&self) -> Digest {
        Digest(Sha256::digest(self.text.as_bytes()).into())
    }

    /// What it says of arguments and results.
    #[must_use]
    pub fn schemas(&self) -> &ToolSchemas {
        self.schemas
            .get_or_init(|| ToolSchemas::read(self.text.as_bytes()))
    }
}
