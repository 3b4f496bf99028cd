//! Caching hints (2026-07-28, server/utilities/caching).
//!
//! What Weir shows depends on who asks, so no result of a list or a resource may be shared
//! between callers, whatever the server says of its own; and what policy shows may change,
//! so none may be kept for long.

use std::ops::Range;

use crate::json::{Kind, Value};
use crate::limits::CACHE_TTL_MS_MAX;
use crate::message::client::ClientMethod;

/// Whether results of a method carry caching hints.
#[must_use]
pub const fn is_cacheable(method: ClientMethod) -> bool {
    use ClientMethod as M;
    match method {
        M::ServerDiscover
        | M::ToolsList
        | M::PromptsList
        | M::ResourcesList
        | M::ResourcesTemplatesList
        | M::ResourcesRead => true,
        M::Initialize
        | M::Ping
        | M::ToolsCall
        | M::ResourcesSubscribe
        | M::ResourcesUnsubscribe
        | M::PromptsGet
        | M::CompletionComplete
        | M::LoggingSetLevel
        | M::SubscriptionsListen
        | M::TasksGet
        | M::TasksUpdate
        | M::TasksResult
        | M::TasksList
        | M::TasksCancel
        | M::NotificationsInitialized
        | M::NotificationsCancelled
        | M::NotificationsProgress
        | M::NotificationsRootsListChanged
        | M::Unknown => false,
    }
}

/// The replacements that make a result private and let it be fresh for at most
/// [`CACHE_TTL_MS_MAX`]. A result that says nothing of its scope says `private` then.
#[must_use]
pub fn bounded(result: &Value<'_>) -> Vec<(Range<usize>, Vec<u8>)> {
    let mut edits = Vec::new();
    match result.get("cacheScope") {
        Some(scope) if scope.kind() == Kind::String && scope.is_text("private") => {}
        Some(scope) => edits.push((scope.span(), br#""private""#.to_vec())),
        None => {
            let comma: &[u8] = if result.members().next().is_some() {
                b","
            } else {
                b""
            };
            let after_brace = result.span().start + 1;
            edits.push((
                after_brace..after_brace,
                [br#""cacheScope":"private""#, comma].concat(),
            ));
        }
    }
    if let Some(ttl) = result.get("ttlMs") {
        let told = ttl.number().and_then(|number| number.parse::<u64>().ok());
        match told {
            Some(told) if told <= CACHE_TTL_MS_MAX => {}
            Some(_) => edits.push((ttl.span(), CACHE_TTL_MS_MAX.to_string().into_bytes())),
            // Whatever it is, a client might take it for a long time.
            None => edits.push((ttl.span(), b"0".to_vec())),
        }
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Document, Edits};

    #[test]
    fn results_become_private_and_short_lived() {
        for (result, shown) in [
            (
                r#"{"cacheScope":"public","ttlMs":3600000,"tools":[]}"#,
                r#"{"cacheScope":"private","ttlMs":60000,"tools":[]}"#,
            ),
            (
                r#"{"cacheScope":"private","ttlMs":1}"#,
                r#"{"cacheScope":"private","ttlMs":1}"#,
            ),
            (r#"{"tools":[]}"#, r#"{"cacheScope":"private","tools":[]}"#),
            ("{}", r#"{"cacheScope":"private"}"#),
            (
                r#"{"cacheScope":["private"],"ttlMs":1e9}"#,
                r#"{"cacheScope":"private","ttlMs":0}"#,
            ),
            (
                r#"{"ttlMs":-1,"cacheScope":"PRIVATE"}"#,
                r#"{"ttlMs":0,"cacheScope":"private"}"#,
            ),
            (
                r#"{"ttlMs":99999999999999999999999,"cacheScope":"private"}"#,
                r#"{"ttlMs":0,"cacheScope":"private"}"#,
            ),
        ] {
            let document = Document::parse(result.as_bytes()).expect(result);
            let edits = Edits::sorted(bounded(&document.root())).expect("apart");
            let text = edits.apply(result.as_bytes());
            assert_eq!(String::from_utf8(text).expect("UTF-8"), shown);
        }
    }
}
