//! Which definitions of a server's tools may be used: what people or the first sight approved
//! (pushed with the world), and what the flows of this host have seen since.
//!
//! ```text
//!              first sight                another definition
//!   unknown ──────────────▶ trusted ─────────────────────────▶ quarantined
//!      │                       ▲                                    │
//!      │ first sight, where it is not trusted, or looks wrong       │
//!      └───────────────────────┼───────────────────────────────────▶│
//!                              └──────── a person decides ◀─────────┘
//! ```
//!
//! A decision of a person reaches every host with the world and has a number that only grows: what
//! a host has seen before it is forgotten. Trust at first sight is no decision, and has number 0.

mod pins;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sha2::{Digest as _, Sha256};
use weir_facts::{ConnectionName, Digest, is_plain_name, name_skeleton};
use weir_mcp::definition::Definition;

pub use pins::{FirstSight, KnownDefinition, ToolPin, ToolPins};

/// Tools of one connection that are remembered. Servers have dozens; what is beyond is not
/// trusted.
pub const TOOLS_MAX: usize = 4096;

/// Definitions of one tool that are told of between two decisions: a server that writes a new one
/// for every list stays quarantined, and must not fill the log with it.
pub const OTHERS_MAX: usize = 8;

/// Bytes of definitions of one connection that are remembered for their schemas: a hundred tools
/// need about 200 KiB. What is beyond is read again from the control plane's pins.
const DEFINITIONS_BYTES_MAX: usize = 8 << 20;

/// Connections that are remembered.
const CONNECTIONS_MAX: usize = 4096;

/// Why a tool may not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Its definition is another one than was approved.
    Changed,
    /// Nobody has approved it, and this connection trusts nothing at first sight.
    Unapproved,
    /// Its name can be taken for another tool's, or has characters that nobody sees.
    Name,
    /// Its definition holds text that nobody sees.
    Hidden,
    /// Its definition is too large to be shown to anybody.
    Large,
    /// The server has more tools than are remembered.
    Many,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Changed => "its definition has changed since it was approved",
            Self::Unapproved => {
                "nobody has approved it, and this connection trusts no tool at first sight"
            }
            Self::Name => "its name can be taken for another tool's, or is not plain ASCII",
            Self::Hidden => "its definition holds characters that are not shown",
            Self::Large => "its definition is too large to be approved",
            Self::Many => "the server has more tools than Weir keeps apart",
        })
    }
}

/// Whether a tool may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// With this definition; `None` where no list has shown it yet.
    Trusted(Option<Digest>),
    /// It is treated as if it were not there.
    Quarantined(Doubt),
}

/// A definition that the control plane should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenTool {
    /// The tool's name.
    pub name: String,
    /// SHA-256 of its canonical definition.
    pub digest: Digest,
    /// The canonical definition; empty where it is too large to be shown to anybody.
    pub definition: String,
}

impl SeenTool {
    pub(crate) fn new(definition: Definition) -> Self {
        let digest = Digest(Sha256::digest(&definition.canonical).into());
        let is_showable = definition.is_showable();
        Self {
            digest,
            name: definition.name,
            definition: if is_showable {
                String::from_utf8_lossy(&definition.canonical).into_owned()
            } else {
                String::new()
            },
        }
    }
}

/// What is wrong with a definition, whatever was approved before.
pub(crate) fn flaw(definition: &Definition) -> Option<Doubt> {
    if !definition.is_showable() {
        return Some(Doubt::Large);
    }
    definition.has_hidden_text().then_some(Doubt::Hidden)
}

/// What a list showed of a tool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight<'a> {
    pub(crate) name: &'a str,
    pub(crate) digest: Digest,
    /// What is wrong with the definition itself.
    pub(crate) flaw: Option<Doubt>,
}

/// What came of looking at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Looked {
    pub(crate) standing: Standing,
    /// This host sees this definition for the first time.
    pub(crate) is_news: bool,
    /// The control plane does not know it, as far as the world says.
    pub(crate) is_untold: bool,
}

/// What one host has seen of one tool since it was last decided about.
#[derive(Clone, Debug)]
struct Seen {
    decision: u64,
    /// The first definition, where it was trusted.
    trusted: Option<Digest>,
    /// Definitions that were not.
    others: Vec<(Digest, Doubt)>,
}

/// What the flows of one host have seen of one connection's tools.
#[derive(Default)]
pub struct ServerTools(RwLock<Known>);

#[derive(Default)]
struct Known {
    seen: HashMap<Box<str>, Seen>,
    /// Of every name in `seen`.
    skeletons: HashSet<String>,
    /// Definitions that were trusted when a list showed them.
    definitions: HashMap<Digest, Arc<KnownDefinition>>,
    definitions_bytes: usize,
}

impl fmt::Debug for ServerTools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTools")
    }
}

impl ServerTools {
    /// Whether a tool may be used now.
    #[must_use]
    pub fn standing(&self, pins: &ToolPins, name: &str) -> Standing {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        standing(pins, known.seen.get(name), name)
    }

    /// The definition of a tool that may be used, if its text is here.
    #[must_use]
    pub fn definition(&self, pins: &ToolPins, name: &str) -> Option<Arc<KnownDefinition>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Standing::Trusted(Some(digest)) = standing(pins, known.seen.get(name), name) else {
            return None;
        };
        let pinned = pins.definitions.get(&digest);
        pinned.or_else(|| known.definitions.get(&digest)).cloned()
    }

    /// Keeps the text of a definition that may be used.
    pub(crate) fn learn(&self, pins: &ToolPins, tool: &SeenTool) {
        let is_known = |known: &Known| {
            tool.definition.is_empty()
                || pins.definitions.contains_key(&tool.digest)
                || known.definitions.contains_key(&tool.digest)
                || known
                    .definitions_bytes
                    .saturating_add(tool.definition.len())
                    > DEFINITIONS_BYTES_MAX
        };
        if is_known(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if is_known(&known) {
            return;
        }
        known.definitions_bytes += tool.definition.len();
        let definition = Arc::new(KnownDefinition::new(&tool.definition));
        known.definitions.insert(tool.digest, definition);
    }

    /// A list showed a tool.
    pub(crate) fn look(&self, pins: &ToolPins, sight: &Sight<'_>) -> Looked {
        let pin = pins.pins.get(sight.name);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = known
            .seen
            .get(sight.name)
            .filter(|seen| is_current(seen, pin));
        let is_untold = pin.is_none_or(|pin| {
            pin.approved != Some(sight.digest) && pin.pending != Some(sight.digest)
        });
        let is_known = match (pin.and_then(|pin| pin.approved), before) {
            (Some(approved), _) if approved == sight.digest => true,
            (_, Some(seen)) => seen.has(&sight.digest),
            (_, None) => false,
        };
        if is_known {
            return Looked {
                standing: standing(pins, before, sight.name),
                is_news: false,
                is_untold,
            };
        }
        let Some(seen) = noted(pins, pin, before, &known, sight) else {
            let doubt = before.map_or(Doubt::Many, |_| Doubt::Changed);
            return Looked {
                standing: Standing::Quarantined(doubt),
                is_news: false,
                is_untold: false,
            };
        };
        let looked = Looked {
            standing: standing(pins, Some(&seen), sight.name),
            is_news: true,
            is_untold,
        };
        known.skeletons.insert(name_skeleton(sight.name));
        known.seen.insert(sight.name.into(), seen);
        looked
    }

    /// What was seen before a restart, and not yet stored by the control plane.
    pub fn restore(&self, pins: &ToolPins, tool: &SeenTool) {
        let canonical = tool.definition.clone().into_bytes();
        let definition = Definition {
            name: tool.name.clone(),
            canonical,
        };
        let flaw = if tool.definition.is_empty() {
            Some(Doubt::Large)
        } else {
            flaw(&definition)
        };
        let looked = self.look(
            pins,
            &Sight {
                name: &tool.name,
                digest: tool.digest,
                flaw,
            },
        );
        if looked.standing == Standing::Trusted(Some(tool.digest)) {
            self.learn(pins, tool);
        }
    }
}

impl Seen {
    fn has(&self, digest: &Digest) -> bool {
        self.trusted == Some(*digest) || self.others.iter().any(|(other, _)| other == digest)
    }
}

/// Whether nobody has decided since.
fn is_current(seen: &Seen, pin: Option<&ToolPin>) -> bool {
    pin.is_none_or(|pin| pin.decision <= seen.decision)
}

fn standing(pins: &ToolPins, seen: Option<&Seen>, name: &str) -> Standing {
    let pin = pins.pins.get(name);
    let seen = seen.filter(|seen| is_current(seen, pin));
    if let Some((_, doubt)) = seen.and_then(|seen| seen.others.first()) {
        return Standing::Quarantined(*doubt);
    }
    let trusted_here = seen.and_then(|seen| seen.trusted);
    match (pin, seen) {
        (Some(pin), _) => match (pin.approved, pin.pending) {
            // Another host saw another one first.
            (Some(approved), None) if trusted_here.is_some_and(|here| here != approved) => {
                Standing::Quarantined(Doubt::Changed)
            }
            (Some(approved), None) => Standing::Trusted(Some(approved)),
            (Some(_), Some(_)) => Standing::Quarantined(Doubt::Changed),
            (None, _) => Standing::Quarantined(Doubt::Unapproved),
        },
        (None, Some(seen)) => Standing::Trusted(seen.trusted),
        (None, None) => match unseen(pins, name) {
            Some(doubt) => Standing::Quarantined(doubt),
            None => Standing::Trusted(None),
        },
    }
}

/// What is wrong with a tool that nobody knows, by its name alone.
fn unseen(pins: &ToolPins, name: &str) -> Option<Doubt> {
    let is_like_one =
        || !pins.skeletons.is_empty() && pins.skeletons.contains(&name_skeleton(name));
    if !is_plain_name(name) || is_like_one() {
        return Some(Doubt::Name);
    }
    match pins.first_sight {
        FirstSight::Trusted => None,
        FirstSight::Quarantined => Some(Doubt::Unapproved),
    }
}

/// The new state of a tool that has a definition which this host did not know. `None` where there
/// is no room for it.
fn noted(
    pins: &ToolPins,
    pin: Option<&ToolPin>,
    before: Option<&Seen>,
    known: &Known,
    sight: &Sight<'_>,
) -> Option<Seen> {
    if let Some(before) = before {
        let mut seen = before.clone();
        if seen.others.len() >= OTHERS_MAX {
            return None;
        }
        seen.others.push((sight.digest, Doubt::Changed));
        return Some(seen);
    }
    let is_new = !known.seen.contains_key(sight.name);
    if known.seen.len() >= TOOLS_MAX && is_new {
        return None;
    }
    let looks_alike = || is_new && known.skeletons.contains(&name_skeleton(sight.name));
    let doubt = match pin {
        Some(_) => Some(Doubt::Changed),
        None => sight
            .flaw
            .or_else(|| unseen(pins, sight.name))
            .or_else(|| looks_alike().then_some(Doubt::Name)),
    };
    Some(Seen {
        decision: pin.map_or(0, |pin| pin.decision),
        trusted: doubt.is_none().then_some(sight.digest),
        others: doubt
            .map(|doubt| (sight.digest, doubt))
            .into_iter()
            .collect(),
    })
}

/// What the flows of one host have seen of all servers' tools. Shared by every worker.
#[derive(Default)]
pub struct SeenTools(Mutex<HashMap<ConnectionName, Arc<ServerTools>>>);

impl SeenTools {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of one connection.
    #[must_use]
    pub fn of(&self, connection: &ConnectionName) -> Arc<ServerTools> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tools) = all.get(connection) {
            return tools.clone();
        }
        if all.len() >= CONNECTIONS_MAX {
            // Names of connections come from the control plane; those that no flow looks at go first.
            all.retain(|_, tools| Arc::strong_count(tools) > 1);
        }
        let tools = Arc::<ServerTools>::default();
        all.insert(connection.clone(), tools.clone());
        tools
    }
}

#[cfg(test)]
mod tests;
