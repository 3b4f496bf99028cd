//! The official Rust SDK's client, as anybody would use it: it knows nothing of Weir.
//!
//! usage: weir-rmcp story URL initialize | discover
//!        weir-rmcp hold FOLDER FIRST-ORDER URL

#![expect(
    deprecated,
    reason = "older revisions have what the next one leaves out"
)]

mod hold;
mod peer;
mod story;

use std::process::ExitCode;

use peer::Failure;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match play(&words).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("weir-rmcp: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn play(words: &[&str]) -> Result<(), Failure> {
    match words {
        ["story", url, lifecycle] => story::tell_all(url, lifecycle).await,
        ["hold", folder, first, url] => hold::tell_all(folder, first, url).await,
        _ => Err("usage: story URL initialize|discover, or hold FOLDER FIRST-ORDER URL".into()),
    }
}
