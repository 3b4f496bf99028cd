//! The certificate authority of this host, by whose leaves clients of guarded HTTPS servers know
//! Weir. The data plane makes it at its first start and keeps its key; here is only its certificate.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::runtime::{self, Outcome};
use crate::arguments::{Ca, CaFile};
use crate::output::Output;

/// Where Debian and Ubuntu look for what an administrator trusts.
const INSTALLED: &str = "/usr/local/share/ca-certificates/weir-host-ca.crt";

/// Where distributions keep what the host trusts as one file.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

pub(crate) fn run(out: Output, command: Ca) -> anyhow::Result<ExitCode> {
    match command {
        Ca::Init { of } => show(out, &of),
        Ca::Install { of, remove: false } => install(out, &of),
        Ca::Install {
            of: _,
            remove: true,
        } => remove(out),
        Ca::Export { of, alone, file } => export(out, &of, alone, file.as_deref()),
        Ca::Check { of, url } => return check(out, &of, &url),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// The certificate, PEM, and its SHA-256.
fn read(of: &CaFile) -> anyhow::Result<(String, String)> {
    let path = &of.certificate;
    let pem = fs::read_to_string(path).with_context(|| {
        format!(
            "read {}: the data plane makes it at its first start (run this as root, or name it with --certificate)",
            path.display()
        )
    })?;
    let der = pem
        .split_once(BEGIN)
        .and_then(|(_, rest)| rest.split_once(END))
        .map(|(text, _)| text.split_whitespace().collect::<String>())
        .and_then(|text| STANDARD.decode(text).ok());
    let der = der.with_context(|| format!("{} is no PEM certificate", path.display()))?;
    ensure!(
        !pem.contains("PRIVATE KEY"),
        "{} holds a private key: name the certificate alone",
        path.display()
    );
    let digest: Vec<_> = Sha256::digest(&der)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    Ok((pem, digest.join(":")))
}

fn show(out: Output, of: &CaFile) -> anyhow::Result<()> {
    let (_, sha256) = read(of)?;
    let path = of.certificate.display();
    let installed = is_installed(of);
    let next = if installed {
        "in the host's trust"
    } else {
        "not in the host's trust; weir ca install puts it there"
    };
    let value =
        json!({ "certificate": path.to_string(), "sha256": sha256, "installed": installed });
    out.text(&value, &format!("{path}\nSHA-256 {sha256}\n{next}\n"))
}

fn is_installed(of: &CaFile) -> bool {
    match (fs::read(&of.certificate), fs::read(INSTALLED)) {
        (Ok(ours), Ok(there)) => ours == there,
        _ => false,
    }
}

fn install(out: Output, of: &CaFile) -> anyhow::Result<()> {
    let (pem, sha256) = read(of)?;
    fs::write(INSTALLED, pem).with_context(|| format!("write {INSTALLED} (as root)"))?;
    update_store()?;
    out.done(&format!(
        "the host trusts {sha256} now, and with it curl, OpenSSL and the system's Python; \
         weir ca check URL tells about the others"
    ))
}

fn remove(out: Output) -> anyhow::Result<()> {
    match fs::remove_file(INSTALLED) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return out.done("it was not in the host's trust");
        }
        Err(error) => return Err(error).with_context(|| format!("remove {INSTALLED} (as root)")),
    }
    update_store()?;
    out.done("the host trusts it no more")
}

fn update_store() -> anyhow::Result<()> {
    let output = Command::new("update-ca-certificates")
        .output()
        .context("run update-ca-certificates (package ca-certificates)")?;
    ensure!(
        output.status.success(),
        "update-ca-certificates: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// What the host trusts and the CA as one file, or the CA alone.
fn export(out: Output, of: &CaFile, alone: bool, file: Option<&Path>) -> anyhow::Result<()> {
    let (pem, _) = read(of)?;
    let bundle = if alone {
        pem
    } else {
        with_others(&host_bundle()?, &pem)
    };
    match file {
        None => out.text(&json!({ "pem": bundle }), &bundle),
        Some(path) => {
            fs::write(path, &bundle).with_context(|| format!("write {}", path.display()))?;
            let count = bundle.matches(BEGIN).count();
            out.done(&format!("{}: {count} certificates", path.display()))
        }
    }
}

fn host_bundle() -> anyhow::Result<String> {
    let found = BUNDLES
        .iter()
        .find_map(|path| fs::read_to_string(path).ok());
    found.context("this host has no bundle of what it trusts (package ca-certificates); --alone exports Weir's alone")
}

/// A host that trusts it already has it once.
fn with_others(others: &str, ours: &str) -> String {
    if others.contains(ours.trim()) {
        return others.to_owned();
    }
    let line = if others.ends_with('\n') { "" } else { "\n" };
    format!("{others}{line}{ours}")
}

/// Has each runtime of this host ask, as it would ask anybody. Exit code 1 if one refuses.
fn check(out: Output, of: &CaFile, url: &str) -> anyhow::Result<ExitCode> {
    let (_, sha256) = read(of)?;
    ensure!(url.starts_with("https://"), "{url:?} is not an https URL");
    if let Err(why) = runtime::is_answered_by(&of.certificate, url) {
        bail!(
            "it is not Weir that answers at {url}, as this process sees it: {why}. Run this where the client runs \
             (its cgroup is guarded: weir guard), against a server that is registered with --tls verify-full"
        );
    }
    let bundle: PathBuf = "/etc/weir/ca-bundle.pem".into();
    let found: Vec<_> = runtime::all(&of.certificate, &bundle)
        .into_iter()
        .map(|runtime| (runtime.ask(url), runtime))
        .collect();
    let value: Vec<_> = found
        .iter()
        .map(|(outcome, runtime)| {
            json!({
                "runtime": runtime.name,
                "outcome": outcome.word(),
                "detail": outcome.detail(),
                "set": if outcome.is_refusal() { runtime.cure.as_str() } else { "" },
            })
        })
        .collect();
    let mut text = format!("Weir's CA is {sha256}\n");
    for (outcome, runtime) in &found {
        text.push_str(&format!("{:18}{}", runtime.name, outcome.word()));
        if !outcome.detail().is_empty() {
            text.push_str(&format!(": {}", outcome.detail()));
        }
        text.push('\n');
        if outcome.is_refusal() {
            text.push_str(&format!("{:18}  {}\n", "", runtime.cure));
        }
    }
    let cures_a_bundle = found
        .iter()
        .any(|(outcome, runtime)| outcome.is_refusal() && runtime.cure.contains("ca-bundle"));
    if cures_a_bundle {
        text.push_str(&format!(
            "weir ca export --out {} makes that bundle\n",
            bundle.display()
        ));
    }
    out.text(&value, &text)?;
    let refuses = |(outcome, _): &(Outcome, _)| outcome.is_refusal();
    Ok(ExitCode::from(u8::from(found.iter().any(refuses))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";

    fn file(text: &str) -> (tempfile::TempDir, CaFile) {
        let folder = tempfile::tempdir().expect("a folder");
        let certificate = folder.path().join("ca.crt");
        fs::write(&certificate, text).expect("write");
        (folder, CaFile { certificate })
    }

    #[test]
    fn a_certificate_is_named_by_its_digest_and_a_key_is_not_taken() {
        let (_folder, of) = file(ONE);
        let (_, sha256) = read(&of).expect("a certificate");
        // SHA-256 of the bytes 1, 2, 3.
        assert!(sha256.starts_with("03:90:58:C6:F2:C0:CB:49"), "{sha256}");
        for bad in [
            "",
            "no PEM",
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
            &format!("{ONE}-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n"),
        ] {
            let (_folder, of) = file(bad);
            assert!(read(&of).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bundle_has_what_the_host_trusts_and_ours_once() {
        let other = ONE.replace("AQID", "BAUG");
        let both = with_others(&other, ONE);
        assert_eq!(both, format!("{other}{ONE}"));
        assert_eq!(with_others(&both, ONE), both);
        assert_eq!(with_others(other.trim_end(), ONE), both);
    }
}
