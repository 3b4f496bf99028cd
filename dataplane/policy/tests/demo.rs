//! The shipped bundle says what its own tests expect.

use std::fs;
use std::path::{Path, PathBuf};

use weir_policy::Bundle;

fn read(directory: &Path, at: &str, files: &mut Vec<(String, String)>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(directory)
        .expect("directory")
        .map(|entry| entry.expect("entry").path())
        .collect();
    entries.sort();
    for path in entries {
        let name = format!(
            "{at}{}",
            path.file_name().expect("name").to_str().expect("UTF-8")
        );
        if path.is_dir() {
            read(&path, &format!("{name}/"), files);
        } else {
            files.push((name, fs::read_to_string(&path).expect("text")));
        }
    }
}

#[test]
fn the_demo_bundle_does_what_its_tests_say() {
    let mut files = Vec::new();
    read(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/demo"),
        "",
        &mut files,
    );
    let bundle = Bundle::parse(&files).unwrap_or_else(|error| panic!("{error}"));
    let results = bundle.run_tests();
    assert!(results.len() > 30);
    let failed: Vec<String> = results
        .iter()
        .filter(|result| !result.passed)
        .map(|result| {
            format!(
                "{}:{} {}: expected {}, got {}",
                result.file, result.line, result.name, result.expected, result.got
            )
        })
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_canonical_form_has_the_same_id() {
    let mut files = Vec::new();
    read(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/demo"),
        "",
        &mut files,
    );
    let bundle = Bundle::parse(&files).unwrap_or_else(|error| panic!("{error}"));
    let again = Bundle::parse(&bundle.canonical()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again.id(), bundle.id());
    assert_eq!(again.canonical(), bundle.canonical());
    assert!(bundle.diff(&again).is_empty());
}
