//! HTTPS to an MCP server, read by Weir: clients change nothing but whom they trust.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use super::chain;
use crate::checks::Checks;
use crate::install;
use crate::stage::mcp::{PLAIN, answer};
use crate::stage::{Caller, Certificate, Mcp, Said, Stage, put_in_force};

pub(super) fn play(stage: &Stage, checks: &mut Checks) -> Result<()> {
    install::ensure(&[install::CURL])?;
    let folder = stage.site.folder().join("tls");
    let certificate = Certificate::make(&folder.join("corp"))?;
    let mcp = Mcp::start_https(&stage.record, stage.site, &certificate)?;
    let authority = certificate.authority.display().to_string();
    register(stage, &mcp, &authority)?;
    let admin = stage.control.admin();
    put_in_force(stage.site, &admin, || mcp.entrust(&admin))?;
    let shown = stage.site.plane_state().join("proxy/ca.crt");
    let ours = folder.join("weir.crt");
    fs::copy(&shown, &ours).with_context(|| shown.display().to_string())?;
    let ours = ours.display().to_string();
    by_node(stage, &mcp, &authority, &ours, checks)?;
    by_curl(stage, &mcp, &ours, checks)?;
    let bundle = exported(stage, &ours, checks)?;
    checked(stage, &mcp, (&ours, &bundle), checks)?;
    by_python(stage, &mcp, &authority, &bundle, checks)?;
    // Somebody else answers in the server's place.
    let stranger = Certificate::make(&folder.join("stranger"))?;
    register(stage, &mcp, &stranger.authority.display().to_string())?;
    unverified(stage, &mcp, &ours, checks)?;
    put_in_force(stage.site, &admin, || stage.mcp.register(&admin, &PLAIN))?;
    put_in_force(stage.site, &admin, || stage.mcp.entrust(&admin))
}

/// The demo's connection, but to the server that speaks HTTPS, and whom Weir trusts there.
fn register(stage: &Stage, mcp: &Mcp, authority: &str) -> Result<()> {
    let admin = stage.control.admin();
    let name = ["--tls", "verify-full", "--server-name", "localhost"];
    let tls = [&name, ["--ca", authority].as_slice()].concat();
    put_in_force(stage.site, &admin, || mcp.register(&admin, &tls))
}

fn by_node(stage: &Stage, mcp: &Mcp, theirs: &str, ours: &str, checks: &mut Checks) -> Result<()> {
    let alice = &stage.people.alice;
    let trusting = |caller: &Caller, who: &str| caller.clone().with("NODE_EXTRA_CA_CERTS", who);
    let lookup = ["call", "lookup_customer", r#"{"id":1}"#];
    let direct = mcp.direct(&trusting(&alice.unguarded, theirs));
    let (answer, said) = mcp.ask(&direct, &lookup)?;
    checks.see(
        "control: direct, the server's own certificate, and the value in the clear",
        answer["structuredContent"]["ssn"] == "123-45-6789",
        &said.all(),
    );
    let (answer, said) = mcp.ask(&trusting(&alice.guarded, ours), &lookup)?;
    checks.see(
        "Node, with Weir's CA beside what it trusts: masked",
        answer["structuredContent"]["ssn"] == "*******6789",
        &said.all(),
    );
    let (answer, said) = mcp.ask(&trusting(&alice.guarded, theirs), &lookup)?;
    checks.see(
        "without Weir's CA it refuses us",
        answer["failed"].is_string(),
        &said.all(),
    );
    Ok(())
}

fn by_curl(stage: &Stage, mcp: &Mcp, ours: &str, checks: &mut Checks) -> Result<()> {
    let alice = &stage.people.alice.guarded;
    let url = mcp.url();
    let ask = |more: &[&str]| {
        let head = [
            "-sS",
            "-i",
            "--max-time",
            "20",
            "-H",
            "Content-Type: application/json",
        ];
        let accept = ["-H", "Accept: application/json, text/event-stream", "-d"];
        let list = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let words: Vec<_> = head.iter().chain(&accept).copied().chain([list]).collect();
        let words: Vec<_> = words.into_iter().chain(more.iter().copied()).collect();
        alice.run("curl", &words, "")
    };
    let said = ask(&["--cacert", ours, &url])?;
    checks.see(
        "curl: an answer over HTTP/1.1",
        said.out.contains("HTTP/1.1 "),
        &said.all(),
    );
    let said = ask(&["--cacert", ours, "--http2", &url])?;
    checks.see(
        "a client that would rather speak HTTP/2 speaks HTTP/1.1",
        said.out.contains("HTTP/1.1 "),
        &said.all(),
    );
    let other = format!("other.example:{}:127.0.0.1", mcp.port);
    let renamed = url.replace("localhost", "other.example");
    let said = ask(&["--cacert", ours, "--resolve", &other, &renamed])?;
    checks.see(
        "a name that the server was not verified to have: Weir does not vouch for it",
        !said.ok && said.out.is_empty(),
        &said.all(),
    );
    Ok(())
}

/// The official Python SDK, over httpx; the bundle is all that it trusts.
fn by_python(
    stage: &Stage,
    mcp: &Mcp,
    theirs: &str,
    bundle: &str,
    checks: &mut Checks,
) -> Result<()> {
    let packages = chain::install(stage)?;
    let client = packages.join("client.py").display().to_string();
    let (alice, url) = (&stage.people.alice, mcp.url());
    let ask = |caller: &Caller, trusted: Option<&str>| -> Result<(Value, Said)> {
        let mut caller = chain::with_packages(caller, &packages);
        if let Some(trusted) = trusted {
            caller = caller.with("SSL_CERT_FILE", trusted);
        }
        let words = [&client, &url, "lookup_customer", r#"{"id":1}"#];
        answer(caller.run("/usr/bin/python3", &words, "")?)
    };
    let (told, said) = ask(&mcp.direct(&alice.unguarded), Some(theirs))?;
    checks.see(
        "control: Python, direct: the value in the clear",
        told["structuredContent"]["ssn"] == "123-45-6789",
        &said.all(),
    );
    let (told, said) = ask(&alice.guarded, Some(bundle))?;
    checks.see(
        "Python, with SSL_CERT_FILE from weir ca: masked",
        told["structuredContent"]["ssn"] == "*******6789",
        &said.all(),
    );
    let (told, said) = ask(&alice.guarded, None)?;
    let refuses = told["failed"].as_str();
    checks.see(
        "without it, it refuses us",
        refuses.is_some_and(|why| why.contains("CERTIFICATE_VERIFY_FAILED")),
        &said.all(),
    );
    Ok(())
}

/// `weir ca export`: where the bundle is.
fn exported(stage: &Stage, ours: &str, checks: &mut Checks) -> Result<String> {
    let bundle = format!("{ours}.bundle");
    let exported = stage.people.alice.hand.try_run(
        &["ca", "export", "--certificate", ours, "--out", &bundle],
        "",
    )?;
    checks.see(
        "weir ca export: what the host trusts, and Weir",
        exported.ok,
        &exported.all(),
    );
    Ok(bundle)
}

/// `weir ca check`: each runtime as alice's processes would ask, with the certificate and the
/// bundle.
fn checked(
    stage: &Stage,
    mcp: &Mcp,
    (ours, bundle): (&str, &str),
    checks: &mut Checks,
) -> Result<()> {
    let alice = &stage.people.alice.guarded;
    let weir = stage.site.programs().join("weir").display().to_string();
    let url = mcp.url();
    let ask =
        |caller: &Caller| caller.run(&weir, &["ca", "check", "--certificate", ours, &url], "");
    let said = ask(alice)?;
    let told =
        !said.ok && said.out.contains("REFUSES") && said.out.contains("NODE_EXTRA_CA_CERTS=");
    checks.see(
        "weir ca check: who refuses, and what to set",
        told,
        &said.all(),
    );
    let cured = alice
        .clone()
        .with("NODE_EXTRA_CA_CERTS", ours)
        .with("SSL_CERT_FILE", bundle)
        .with("REQUESTS_CA_BUNDLE", bundle)
        .with("CURL_CA_BUNDLE", bundle);
    let said = ask(&cured)?;
    let accepts = |name: &str| {
        let line = said.out.lines().find(|line| line.starts_with(name));
        line.is_some_and(|line| line.contains("accepts"))
    };
    checks.see(
        "with that set: curl, Python and Node accept",
        ["curl", "Python ssl", "Node"].into_iter().all(accepts),
        &said.all(),
    );
    Ok(())
}

fn unverified(stage: &Stage, mcp: &Mcp, ours: &str, checks: &mut Checks) -> Result<()> {
    let alice = &stage.people.alice.guarded;
    let before = mcp.calls()?.len();
    let said = alice.run(
        "curl",
        &["-sS", "--cacert", ours, "--max-time", "20", &mcp.url()],
        "",
    )?;
    checks.see(
        "a server that is not who it should be: a TLS alert, and no leaf with its name",
        !said.ok && said.err.contains("alert"),
        &said.all(),
    );
    let plain = mcp.url().replace("https://", "http://");
    let said = alice.run("curl", &["-sS", "-i", "--max-time", "20", &plain], "")?;
    checks.see(
        "in plain HTTP: 502",
        said.out.starts_with("HTTP/1.1 502") && mcp.calls()?.len() == before,
        &said.all(),
    );
    Ok(())
}
