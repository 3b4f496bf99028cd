//! Transcripts: what a client and a server say, and what each of them gets to see.

mod announced;
mod answers;
mod attacks;
mod authorization;
mod bench;
mod callers;
mod calls;
mod carriers;
mod closed;
mod completions;
mod endpoints;
mod evasions;
mod holds;
mod inputs;
mod links;
mod oauth;
mod pins;
mod places;
mod records;
mod rungs;
mod sessions;
mod stateless;
mod tasks;

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"lookup_customer","arguments":{"id":7}}}"#;
const REFUND: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"refund_order","arguments":{"order":7,"cents":100}}}"#;

fn text_result(text: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#
    )
}
