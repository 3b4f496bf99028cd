//! Calls that wait for people, as node/hold.mjs makes them.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::peer::{Client, Failure, call, connect, step, tell};

/// How often it is looked whether the story may go on.
const LOOK: Duration = Duration::from_millis(100);

/// Tells the whole story.
pub(crate) async fn tell_all(folder: &str, first: &str, url: &str) -> Result<(), Failure> {
    let mut client = connect(url, "initialize").await?;
    let first: u64 = first.parse()?;
    let folder = Path::new(folder);
    refund(&client, "within", "refund", (first + 1, 100)).await;
    refund(&client, "denied", "refund", (first + 2, 100)).await;
    refund(&client, "expired", "refund_soon", (first + 4, 100)).await;
    refund(&client, "late", "refund", (first + 3, 100)).await;
    std::fs::write(folder.join(format!("{first}-late")), "")?;
    while !folder.join(format!("{first}-go")).exists() {
        tokio::time::sleep(LOOK).await;
    }
    refund(&client, "changed", "refund", (first + 3, 999)).await;
    refund(&client, "retried", "refund", (first + 3, 100)).await;
    client.close().await?;
    tell("done", &json!(""));
    Ok(())
}

async fn refund(client: &Client, name: &str, tool: &str, (order, cents): (u64, u64)) {
    let inputs = json!({ "order": order, "cents": cents });
    step(name, client.call_tool(call(tool, inputs))).await;
}
