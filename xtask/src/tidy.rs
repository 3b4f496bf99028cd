//! The import law of ARCHITECTURE.md, the purity of the cores, and the manners of the
//! repository, checked against the manifests and the sources themselves.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::step;

/// Which house members each crate may import. A crate that is missing here fails the check.
const IMPORT_LAW: &[(&str, &[&str])] = &[
    ("weir-facts", &[]),
    ("weir-postgres", &["weir-facts"]),
    ("weir-sql", &["weir-facts"]),
    ("weir-mcp", &["weir-facts"]),
    ("weir-mask", &["weir-facts"]),
    ("weir-policy", &["weir-facts"]),
    ("weir-audit", &["weir-facts"]),
    (
        "weir-flow",
        &[
            "weir-facts",
            "weir-postgres",
            "weir-sql",
            "weir-mcp",
            "weir-mask",
            "weir-policy",
            "weir-audit",
        ],
    ),
    ("weir-ledger", &["weir-facts", "weir-audit"]),
    ("weir-handover", &["weir-facts", "weir-ebpf-abi"]),
    (
        "weir-proxy",
        &[
            "weir-facts",
            "weir-postgres",
            "weir-sql",
            "weir-mcp",
            "weir-mask",
            "weir-policy",
            "weir-audit",
            "weir-flow",
            "weir-ledger",
            "weir-handover",
            "weir-api",
            "weir-ebpf-abi",
            "weir-redirect",
        ],
    ),
    (
        "weir-warden",
        &[
            "weir-facts",
            "weir-handover",
            "weir-api",
            "weir-ebpf-abi",
            "weir-redirect",
        ],
    ),
    ("weir-ebpf-abi", &[]),
    ("weir-redirect", &["weir-ebpf-abi"]),
    ("weir-api", &[]),
    (
        "weir-control",
        &[
            "weir-api",
            "weir-facts",
            "weir-policy",
            "weir-mask",
            "weir-audit",
            "weir-ledger",
        ],
    ),
    (
        "weir-cli",
        &[
            "weir-api",
            "weir-policy",
            "weir-audit",
            "weir-facts",
            // `weir mcp run` asks the warden for its links, and reads lines as MCP.
            "weir-handover",
            "weir-mcp",
        ],
    ),
    (
        "weir-benches",
        &[
            "weir-facts",
            "weir-postgres",
            "weir-sql",
            "weir-mcp",
            "weir-mask",
            "weir-policy",
            "weir-audit",
            "weir-flow",
        ],
    ),
    ("weir-xtask", &[]),
];

/// Cores do no I/O: these words may not stand in their sources outside tests.
const CORES: &[&str] = &[
    "facts", "postgres", "sql", "mcp", "mask", "policy", "audit", "flow",
];
const IMPURE: &[&str] = &[
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "std::thread",
    "std::env",
    "std::process",
    "Instant::now",
    "SystemTime::now",
    "tracing::",
    "println!",
    "eprintln!",
    "async fn",
    "getrandom",
];

/// Runs every check and reports all that is wrong at once.
pub(crate) fn run() -> Result<()> {
    let root = step::root();
    let mut wrong = Vec::new();
    let manifests = manifests(&root)?;
    for path in &manifests {
        import_law(path, &mut wrong)?;
    }
    for core in CORES {
        purity(&root.join("dataplane").join(core).join("src"), &mut wrong)?;
    }
    for file in sources(&root)? {
        manners(&root, &file, &mut wrong)?;
    }
    if !wrong.is_empty() {
        bail!("tidy:\n  {}", wrong.join("\n  "));
    }
    println!(
        "tidy: {} crates obey the import law, {} cores are pure",
        manifests.len(),
        CORES.len()
    );
    Ok(())
}

fn manifests(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in ["dataplane", "ebpf", "control"] {
        for entry in root
            .join(folder)
            .read_dir()
            .with_context(|| folder.to_owned())?
        {
            let manifest = entry?.path().join("Cargo.toml");
            if manifest.exists() && !manifest.ends_with("ebpf/programs/Cargo.toml") {
                found.push(manifest);
            }
        }
    }
    found.extend(["benches", "xtask"].map(|folder| root.join(folder).join("Cargo.toml")));
    Ok(found)
}

fn import_law(manifest: &Path, wrong: &mut Vec<String>) -> Result<()> {
    let text = fs::read_to_string(manifest).with_context(|| manifest.display().to_string())?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .unwrap_or_default();
    let Some((_, allowed)) = IMPORT_LAW
        .iter()
        .find(|(crate_name, _)| *crate_name == name)
    else {
        wrong.push(format!(
            "{name}: no line of the import law in xtask/src/tidy.rs says what it may import"
        ));
        return Ok(());
    };
    let mut in_dependencies = false;
    for line in text.lines() {
        if line.starts_with('[') {
            in_dependencies = line == "[dependencies]";
            continue;
        }
        let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default();
        if in_dependencies && dependency.starts_with("weir-") && !allowed.contains(&dependency) {
            wrong.push(format!(
                "{name} imports {dependency}, which the import law forbids"
            ));
        }
    }
    if !text.contains("[lints]\nworkspace = true") {
        wrong.push(format!("{name} does not inherit the workspace's lints"));
    }
    Ok(())
}

fn purity(folder: &Path, wrong: &mut Vec<String>) -> Result<()> {
    for file in rust_files(folder)? {
        if file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&file)?;
        let body = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in body.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(word) = IMPURE.iter().find(|word| code.contains(**word)) {
                wrong.push(format!(
                    "{}:{}: a core may not use {word}",
                    file.display(),
                    number + 1
                ));
            }
        }
    }
    Ok(())
}

fn manners(root: &Path, file: &Path, wrong: &mut Vec<String>) -> Result<()> {
    let text = fs::read_to_string(file)?;
    let shown = file.strip_prefix(root).unwrap_or(file).display();
    if file.ends_with("xtask/src/tidy.rs") {
        return Ok(());
    }
    for (number, line) in text.lines().enumerate() {
        for word in ["TODO", "FIXME", "todo!(", "unimplemented!(", "#[ignore]"] {
            if line.contains(word) {
                wrong.push(format!("{shown}:{}: {word} on main", number + 1));
            }
        }
    }
    Ok(())
}

fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in ["dataplane", "ebpf", "control", "benches", "xtask"] {
        found.extend(rust_files(&root.join(folder))?);
    }
    Ok(found)
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in folder
        .read_dir()
        .with_context(|| folder.display().to_string())?
    {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") && !path.ends_with("node_modules") {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}
