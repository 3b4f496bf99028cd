//! Lists of tools, prompts and resources, shortened to what the caller may use.

use thiserror::Error;
use weir_facts::{Access, Action, Resource};

use crate::json::{Edits, KeyEquality, Kind, Value};
use crate::limits::NAME_BYTES_MAX;
use crate::message::client::ClientMethod;

/// Which list a result holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// `tools` of tools/list.
    Tools,
    /// `prompts` of prompts/list.
    Prompts,
    /// `resources` of resources/list.
    Resources,
    /// `resourceTemplates` of resources/templates/list.
    ResourceTemplates,
}

/// Why a list cannot be filtered. Then nothing of it may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ListError {
    /// The result has no such array.
    #[error("result has no list")]
    Missing,
    /// An object on the way has two keys that some client takes for one.
    #[error("list has duplicate keys")]
    Duplicate,
    /// An element has no name.
    #[error("list has an element without a name")]
    Element,
}

/// What filtering did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Filtered {
    /// Replacements in the body; none where everything stays.
    pub edits: Edits,
    /// Names that stay, in order.
    pub kept: Vec<String>,
    /// Names that were removed, in order.
    pub removed: Vec<String>,
}

impl List {
    /// The list that a method answers with.
    #[must_use]
    pub const fn of(method: ClientMethod) -> Option<Self> {
        use ClientMethod as M;
        match method {
            M::ToolsList => Some(Self::Tools),
            M::PromptsList => Some(Self::Prompts),
            M::ResourcesList => Some(Self::Resources),
            M::ResourcesTemplatesList => Some(Self::ResourceTemplates),
            M::ServerDiscover
            | M::SubscriptionsListen
            | M::TasksGet
            | M::TasksUpdate
            | M::TasksResult
            | M::TasksList
            | M::TasksCancel
            | M::Initialize
            | M::Ping
            | M::ToolsCall
            | M::ResourcesRead
            | M::ResourcesSubscribe
            | M::ResourcesUnsubscribe
            | M::PromptsGet
            | M::CompletionComplete
            | M::LoggingSetLevel
            | M::NotificationsInitialized
            | M::NotificationsCancelled
            | M::NotificationsProgress
            | M::NotificationsRootsListChanged
            | M::Unknown => None,
        }
    }

    /// What policy is asked about an element.
    #[must_use]
    pub fn access(self, name: &str) -> Access {
        let (action, resource) = match self {
            Self::Tools => (Action::McpListTool, Resource::Tool(name.into())),
            Self::Prompts => (Action::McpGetPrompt, Resource::Prompt(name.into())),
            Self::Resources | Self::ResourceTemplates => {
                (Action::McpReadResource, Resource::McpResource(name.into()))
            }
        };
        Access { action, resource }
    }

    const fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::ResourceTemplates => "resourceTemplates",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::ResourceTemplates => "uriTemplate",
        }
    }

    /// Keeps the elements of `result` that `allowed` says yes to; everything else of the
    /// result, `nextCursor` included, stays as it is.
    ///
    /// # Errors
    /// Where it cannot be told what a client would see.
    pub fn filter(
        self,
        result: &Value<'_>,
        allowed: impl FnMut(&str) -> bool,
    ) -> Result<Filtered, ListError> {
        self.filter_with(result, allowed, |_, _| None)
    }

    /// The same with elements that stay replaced by what `written` gives for them, if anything.
    ///
    /// # Errors
    /// Where it cannot be told what a client would see.
    pub fn filter_with(
        self,
        result: &Value<'_>,
        mut allowed: impl FnMut(&str) -> bool,
        mut written: impl FnMut(&str, &Value<'_>) -> Option<Vec<u8>>,
    ) -> Result<Filtered, ListError> {
        result
            .unique_keys(KeyEquality::Folded)
            .map_err(|_| ListError::Duplicate)?;
        let array = result
            .get(self.member())
            .filter(|list| list.kind() == Kind::Array)
            .ok_or(ListError::Missing)?;
        let mut filtered = Filtered::default();
        let mut is_written = false;
        let mut shorter = vec![b'['];
        for element in array.elements() {
            let name = self.name_of(&element)?;
            if !allowed(&name) {
                filtered.removed.push(name);
                continue;
            }
            if !filtered.kept.is_empty() {
                shorter.push(b',');
            }
            match written(&name, &element) {
                Some(other) => {
                    is_written = true;
                    shorter.extend_from_slice(&other);
                }
                None => shorter.extend_from_slice(element.raw()),
            }
            filtered.kept.push(name);
        }
        shorter.push(b']');
        if is_written || !filtered.removed.is_empty() {
            // The first edit of an empty list always fits.
            let _ = filtered.edits.push(array.span(), shorter);
        }
        Ok(filtered)
    }

    fn name_of(self, element: &Value<'_>) -> Result<String, ListError> {
        element
            .unique_keys(KeyEquality::Folded)
            .map_err(|_| ListError::Duplicate)?;
        let name = element
            .get(self.name())
            .filter(|name| name.kind() == Kind::String);
        let name = name
            .and_then(|name| name.text())
            .filter(|name| name.len() <= NAME_BYTES_MAX);
        name.map(std::borrow::Cow::into_owned)
            .ok_or(ListError::Element)
    }
}

#[cfg(test)]
mod tests;
