//! Whether clients of this host's runtimes accept Weir's leaf, told by these clients themselves.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long one runtime may take: a Java machine compiles its question first.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Between two looks at whether it is done.
const LOOK: Duration = Duration::from_millis(20);

/// What a script ends with whose library is not there.
const ABSENT: i32 = 77;

/// What failed handshakes are called, by the runtimes' own words.
const CERTIFICATE_WORDS: [&str; 6] = [
    "certificate",
    "PKIX",
    "SELF_SIGNED",
    "UNABLE_TO_",
    "ERR_TLS_CERT",
    "issuer",
];

const SSL: &str = "import socket, ssl, sys, urllib.parse
url = urllib.parse.urlsplit(sys.argv[1])
address = (url.hostname, url.port or 443)
ssl.create_default_context().wrap_socket(socket.create_connection(address, 15), server_hostname=url.hostname).close()";

const REQUESTS: &str = "import sys
try: import requests
except ImportError: sys.exit(77)
requests.get(sys.argv[1], timeout=15, stream=True).close()";

const HTTPX: &str = "import sys
try: import httpx
except ImportError: sys.exit(77)
with httpx.stream('GET', sys.argv[1], timeout=15) as answer: pass";

const NODE: &str = "fetch(process.argv[1], { signal: AbortSignal.timeout(15000) }).then(
  () => process.exit(0),
  (error) => { console.error(error.cause?.code ?? '', error.cause?.message ?? error.message); process.exit(1); })";

const JAVA: &str = "public class Ask { public static void main(String[] url) throws Exception {
  var asked = (java.net.HttpURLConnection) java.net.URI.create(url[0]).toURL().openConnection();
  asked.setConnectTimeout(15000); asked.setReadTimeout(15000); asked.getResponseCode(); } }";

/// A runtime and how it asks.
pub(super) struct Runtime {
    pub(super) name: &'static str,
    program: &'static str,
    arguments: Vec<&'static str>,
    /// A source file that the program wants instead of an argument.
    source: Option<&'static str>,
    /// What to set if it refuses.
    pub(super) cure: String,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It accepts the leaf.
    Accepts,
    /// It refuses the leaf, in these words.
    Refuses(String),
    /// It is not on this host.
    Absent,
    /// Something else went wrong.
    Unknown(String),
}

impl Outcome {
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Accepts => "accepts",
            Self::Refuses(_) => "REFUSES",
            Self::Absent => "is not installed",
            Self::Unknown(_) => "could not be asked",
        }
    }

    pub(super) fn detail(&self) -> &str {
        match self {
            Self::Refuses(why) | Self::Unknown(why) => why,
            Self::Accepts | Self::Absent => "",
        }
    }

    pub(super) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refuses(_))
    }
}

/// Every runtime that is known here, by the names under which the host has them.
pub(super) fn all(ca: &Path, bundle: &Path) -> Vec<Runtime> {
    let (ca, bundle) = (ca.display(), bundle.display());
    let python = |name, script, cure: String| Runtime {
        name,
        program: "python3",
        arguments: vec!["-c", script],
        source: None,
        cure,
    };
    vec![
        Runtime {
            name: "curl",
            program: "curl",
            arguments: vec!["-sS", "-o", "/dev/null", "--max-time", "15"],
            source: None,
            cure: format!("weir ca install, or CURL_CA_BUNDLE={bundle}"),
        },
        python(
            "Python ssl",
            SSL,
            format!("weir ca install, or SSL_CERT_FILE={bundle}"),
        ),
        python(
            "Python requests",
            REQUESTS,
            format!("REQUESTS_CA_BUNDLE={bundle}"),
        ),
        python("Python httpx", HTTPX, format!("SSL_CERT_FILE={bundle}")),
        Runtime {
            name: "Node",
            program: "node",
            arguments: vec!["-e", NODE],
            source: None,
            cure: format!(
                "NODE_EXTRA_CA_CERTS={ca}; or weir ca install and NODE_OPTIONS=--use-system-ca (22.15 and later)"
            ),
        },
        Runtime {
            name: "Java",
            program: "java",
            arguments: Vec::new(),
            source: Some(JAVA),
            cure: format!(
                "keytool -importcert -noprompt -cacerts -storepass changeit -alias weir -file {ca}"
            ),
        },
    ]
}

impl Runtime {
    /// Asks as a client of this runtime does, in the environment of this process.
    pub(super) fn ask(&self, url: &str) -> Outcome {
        let mut command = Command::new(self.program);
        command.args(&self.arguments);
        let folder = match self.source {
            None => None,
            Some(source) => match write(source) {
                Ok(folder) => {
                    command.arg(folder.0.join("Ask.java"));
                    Some(folder)
                }
                Err(error) => return Outcome::Unknown(error.to_string()),
            },
        };
        let said = finish(command.arg(url));
        drop(folder);
        match said {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Outcome::Absent,
            Err(error) => Outcome::Unknown(error.to_string()),
            Ok((Some(0), _)) => Outcome::Accepts,
            Ok((Some(ABSENT), _)) => Outcome::Absent,
            Ok((_, text)) => judge(&text),
        }
    }
}

/// Whether whoever answers shows a leaf of this CA; nobody else's is trusted for the question.
pub(super) fn is_answered_by(ca: &Path, url: &str) -> Result<(), String> {
    let mut command = Command::new("curl");
    command
        .args([
            "-sS",
            "-o",
            "/dev/null",
            "--max-time",
            "15",
            "--capath",
            "/nonexistent",
        ])
        .arg("--cacert")
        .arg(ca)
        .arg(url);
    match finish(&mut command) {
        Ok((Some(0), _)) => Ok(()),
        Ok((_, text)) => Err(last_line(&text)),
        Err(error) => Err(format!("curl: {error}")),
    }
}

/// A refusal is one only if the words are about certificates.
fn judge(text: &str) -> Outcome {
    let about = |line: &&str| {
        let lower = line.to_ascii_lowercase();
        CERTIFICATE_WORDS
            .iter()
            .any(|word| lower.contains(&word.to_ascii_lowercase()))
    };
    match text.lines().rfind(about) {
        Some(line) => Outcome::Refuses(line.trim().to_owned()),
        None => Outcome::Unknown(last_line(text)),
    }
}

fn last_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty())
        .unwrap_or("it said nothing")
        .to_owned()
}

/// Exit code and standard error of a command that may not take for ever.
fn finish(command: &mut Command) -> std::io::Result<(Option<i32>, String)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stderr = child.stderr.take();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        // What cannot be read is not told.
        let _ = stderr.as_mut().map(|stderr| stderr.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    });
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > ANSWER_MAX {
            child.kill()?;
            child.wait()?;
            let text = format!("no answer within {} s", ANSWER_MAX.as_secs());
            return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, text));
        }
        std::thread::sleep(LOOK);
    };
    Ok((status.code(), reader.join().unwrap_or_default()))
}

/// A folder of our own that goes with us.
struct Folder(std::path::PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind is one small file among temporary ones.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn write(source: &str) -> std::io::Result<Folder> {
    let folder = std::env::temp_dir().join(format!("weir-ca-check-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let folder = Folder(folder);
    std::fs::write(folder.0.join("Ask.java"), source)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_about_certificates_are_a_refusal() {
        for refusal in [
            "curl: (60) SSL certificate problem: unable to get local issuer certificate",
            "Traceback\nssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] x (_ssl.c:1006)\n",
            "UNABLE_TO_VERIFY_LEAF_SIGNATURE unable to verify the first certificate",
            "Exception in thread \"main\" javax.net.ssl.SSLHandshakeException: PKIX path building failed: x\n\tat y",
        ] {
            assert!(judge(refusal).is_refusal(), "{refusal}");
        }
        for other in [
            "curl: (7) Failed to connect to 127.0.0.1 port 1: Connection refused",
            "ECONNREFUSED connect ECONNREFUSED 127.0.0.1:1",
            "",
        ] {
            assert!(matches!(judge(other), Outcome::Unknown(_)), "{other}");
        }
    }

    #[test]
    fn a_runtime_that_is_not_there_is_no_refusal() {
        let absent = Runtime {
            name: "none",
            program: "weir-has-no-such-runtime",
            arguments: Vec::new(),
            source: None,
            cure: String::new(),
        };
        assert_eq!(absent.ask("https://127.0.0.1:1/"), Outcome::Absent);
    }
}
