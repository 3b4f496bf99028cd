//! What every client does, told a line at a time, as node/story.mjs tells it.

use rmcp::model::{
    GetPromptRequestParams, LoggingLevel, ReadResourceRequestParams, RequestMetaObject,
    SetLevelRequestParams, SubscribeRequestParams,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::peer::{Client, Failure, begin, call, connect, step, tell};

/// The number of a customer, of whom every value is to be masked.
const ONE: u64 = 1;

/// Tells the whole story.
pub(crate) async fn tell_all(url: &str, lifecycle: &str) -> Result<(), Failure> {
    let mut client = connect(url, lifecycle).await?;
    let about = client.peer().peer_info().ok_or("no server answered")?;
    let of = about.server_info.as_ref().map(|server| &server.name);
    tell(
        "server",
        &json!({ "of": of, "revision": about.protocol_version }),
    );
    lists(&client).await?;
    calls(&client).await;
    reads(&client).await;
    talks(&client, lifecycle).await?;
    refusals(&client).await;
    if lifecycle == "initialize" {
        // The next revision has neither of them.
        session(&client).await;
    }
    client.close().await?;
    tell("done", &json!(""));
    Ok(())
}

async fn lists(client: &Client) -> Result<(), Failure> {
    for tool in client.list_all_tools().await? {
        if !tool.name.starts_with("test_") {
            let about = json!({ "description": tool.description, "in": tool.input_schema, "out": tool.output_schema });
            tell(&format!("tool {}", tool.name), &about);
        }
    }
    let resources = client.list_all_resources().await?;
    let mut uris: Vec<_> = resources.into_iter().map(|resource| resource.uri).collect();
    uris.sort();
    tell("resources", &json!(uris));
    let prompts = client.list_all_prompts().await?;
    let mut names: Vec<_> = prompts.into_iter().map(|prompt| prompt.name).collect();
    names.sort();
    tell("prompts", &json!(names));
    Ok(())
}

async fn calls(client: &Client) {
    for (name, tool, inputs) in [
        ("add", "add", json!({ "a": 2, "b": 40 })),
        ("wrong arguments", "add", json!({ "a": "two", "b": 40 })),
        ("text", "test_simple_text", json!({})),
        ("image", "test_image_content", json!({})),
        ("error", "test_error_handling", json!({})),
        ("masked structured", "customer_card", json!({ "id": ONE })),
        (
            "masked text and embedded",
            "customer_file",
            json!({ "id": ONE }),
        ),
        ("masked failure", "failing_lookup", json!({ "id": ONE })),
        ("masked error", "broken_lookup", json!({ "id": ONE })),
    ] {
        step(name, client.call_tool(call(tool, inputs))).await;
    }
    let mut together = JoinSet::new();
    for n in 0..16 {
        let peer = client.peer().clone();
        together.spawn(async move {
            let sum = peer
                .call_tool(call("add", json!({ "a": n, "b": 1000 })))
                .await;
            (n, sum.ok().and_then(|sum| sum.structured_content))
        });
    }
    let mut sums = together.join_all().await;
    sums.sort_by_key(|(n, _)| *n);
    let sums: Vec<Option<Value>> = sums.into_iter().map(|(_, sum)| sum).collect();
    tell("many at once", &json!(sums));
}

async fn reads(client: &Client) {
    let read = |uri: &str| client.read_resource(ReadResourceRequestParams::new(uri));
    step("masked resource", read("customers://1")).await;
    step("resource", read("test://static-text")).await;
    step("template", read("test://template/7/data")).await;
    let letter = GetPromptRequestParams::new("letter");
    let inputs = json!({ "tone": "kind" });
    let letter = letter.with_arguments(inputs.as_object().cloned().unwrap_or_default());
    step("masked prompt", client.get_prompt(letter)).await;
    let complete = client.complete_prompt_simple("test_prompt_with_arguments", "arg1", "a");
    step("completion", complete).await;
}

async fn talks(client: &Client, lifecycle: &str) -> Result<(), Failure> {
    let ears = client.service();
    let mut walk = call("walk", json!({ "steps": 3 }));
    if lifecycle == "discover" {
        let mut meta = RequestMetaObject::new();
        meta.set_log_level(LoggingLevel::Info);
        walk.meta = Some(meta);
    }
    let walking = begin(client, walk).await?;
    let token = walking.progress_token.clone();
    step("walk", walking.await_response()).await;
    let steps = ears.until(
        |heard| heard.progress_of(&token).len() >= 3,
        |heard| heard.progress_of(&token),
    );
    tell("masked progress", &json!(steps.await));
    let log = ears.until(|heard| heard.log.len() >= 3, |heard| heard.log.clone());
    tell("masked log", &json!(log.await));
    step("elicitation", client.call_tool(call("ask_back", json!({})))).await;
    let asked = ears.until(|heard| !heard.asked.is_empty(), |heard| heard.asked.clone());
    tell("masked elicitation", &json!(asked.await));
    let waiting = begin(client, call("wait_long", json!({}))).await?;
    let token = waiting.progress_token.clone();
    let has_begun = ears.until(
        |heard| !heard.progress_of(&token).is_empty(),
        |heard| !heard.progress_of(&token).is_empty(),
    );
    let has_begun = has_begun.await;
    waiting.cancel(Some("no longer wanted".to_owned())).await?;
    let seen = if has_begun {
        "gave up"
    } else {
        "heard of no progress"
    };
    tell("cancelled", &json!(seen));
    let add = call("add", json!({ "a": 1, "b": 1 }));
    step("after the cancelled one", client.call_tool(add)).await;
    Ok(())
}

async fn refusals(client: &Client) {
    for (name, tool) in [
        ("absent tool", "no_such_tool_"),
        ("hidden tool", "hidden_report"),
        ("denied tool", "denied_purge"),
    ] {
        step(name, client.call_tool(call(tool, json!({ "id": ONE })))).await;
    }
    let absent = ReadResourceRequestParams::new("customers://9");
    step("absent resource", client.read_resource(absent)).await;
    let absent = GetPromptRequestParams::new("no_such_prompt");
    step("absent prompt", client.get_prompt(absent)).await;
}

/// What needs a session.
async fn session(client: &Client) {
    step(
        "resumed",
        client.call_tool(call("test_reconnection", json!({}))),
    )
    .await;
    let level = SetLevelRequestParams::new(LoggingLevel::Info);
    step("level", client.set_level(level)).await;
    let watched = SubscribeRequestParams::new("test://watched-resource");
    step("subscribe", client.subscribe(watched)).await;
}
