//! The socket at which `weir mcp run` asks for flows to the server that it has started.
//!
//! Threads attest whoever asks and what it has started; the loop decides, by the world in force.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use weir_handover::stdio::{Answer, Ask, Asker, Listener};
use weir_handover::{ProgramFacts, WorkloadFacts};

use crate::attest::Attestor;
use crate::limits::{STDIO_ANSWER_TIMEOUT, STDIO_ASK_TIMEOUT, STDIO_THREADS, STDIO_WAITING_MAX};
use crate::run::Event;
use crate::state::HeldStdio;

/// How long the accepting thread waits when it is out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A question whose asker is attested.
pub(crate) struct Asked {
    pub(crate) connection: String,
    pub(crate) caller: WorkloadFacts,
    /// What the caller has started; `None` asks whether it may start anything.
    pub(crate) program: Option<ProgramFacts>,
    pub(crate) answer: Sender<Result<Vec<OwnedFd>, String>>,
}

/// Answers whoever may connect: every local user.
pub(crate) fn serve(
    path: &Path,
    attestor: &Arc<Attestor>,
    events: &SyncSender<Event>,
) -> Result<()> {
    let listener = Listener::bind(path).with_context(|| format!("bind {}", path.display()))?;
    let (askers, queue) = mpsc::sync_channel(STDIO_WAITING_MAX);
    let queue = Arc::new(Mutex::new(queue));
    for number in 0..STDIO_THREADS {
        let (queue, attestor, events) = (Arc::clone(&queue), Arc::clone(attestor), events.clone());
        std::thread::Builder::new()
            .name(format!("stdio-{number}"))
            .spawn(move || answer_all(&queue, &attestor, &events))?;
    }
    std::thread::Builder::new()
        .name("stdio".to_owned())
        .spawn(move || {
            loop {
                match listener.accept() {
                    // Whoever finds the queue full sees its connection closed.
                    Ok(asker) => drop(askers.try_send(asker)),
                    Err(error) => {
                        tracing::warn!(%error, "accept");
                        std::thread::sleep(ACCEPT_PAUSE);
                    }
                }
            }
        })?;
    Ok(())
}

fn answer_all(queue: &Mutex<Receiver<Asker>>, attestor: &Attestor, events: &SyncSender<Event>) {
    loop {
        let asker = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(asker) = asker else { return };
        let (answer, ends) = match decide(&asker, attestor, events) {
            Ok(ends) => (Answer::Granted, ends),
            Err(reason) => (Answer::Refused { reason }, Vec::new()),
        };
        // An asker that is gone needs no answer.
        let _ = asker.answer(&answer, &ends);
    }
}

fn decide(
    asker: &Asker,
    attestor: &Attestor,
    events: &SyncSender<Event>,
) -> Result<Vec<OwnedFd>, String> {
    let ask = asker
        .receive(STDIO_ASK_TIMEOUT)
        .map_err(|error| error.to_string())?;
    let peer = asker.peer().map_err(|error| {
        format!("the kernel does not say who asks (that needs Linux 6.5): {error}")
    })?;
    let caller = attestor.attest_peer(&peer)?;
    let (connection, program) = match ask {
        Ask::Open { connection } => (connection, None),
        Ask::Flow { connection, pid } => (connection, Some(attestor.attest_program(&peer, pid)?)),
    };
    let (answer, answered) = mpsc::channel();
    let asked = Asked {
        connection,
        caller,
        program,
        answer,
    };
    events
        .send(Event::Stdio(Box::new(asked)))
        .map_err(|_| "the warden is going".to_owned())?;
    answered
        .recv_timeout(STDIO_ANSWER_TIMEOUT)
        .map_err(|_| "the warden is busy: try again".to_owned())?
}

/// Whether a world has such a server, and this program may be it.
pub(crate) fn check(
    registered: &[HeldStdio],
    connection: &str,
    program: Option<&ProgramFacts>,
) -> Result<(), String> {
    let server = registered
        .iter()
        .find(|server| server.connection == connection)
        .ok_or_else(|| {
            format!(
                "no connection {connection:?} is registered here as a server of standard input \
                 and output; whoever manages Weir adds it: weir connection add {connection} \
                 --kind mcp --stdio"
            )
        })?;
    let Some(program) = program else {
        return Ok(());
    };
    if let Some(expected) = server
        .executable
        .as_ref()
        .filter(|expected| **expected != program.executable)
    {
        return Err(format!(
            "{connection} is registered as {expected}, and {} was started",
            program.executable
        ));
    }
    match server.arguments_sha256 {
        Some(expected) if expected != program.arguments_sha256 => Err(format!(
            "{connection} is registered with other arguments than {} has",
            program.executable
        )),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use weir_handover::ProcessFacts;
    use weir_handover::stdio::{SOCKET, ask, stream_pair};

    use super::*;
    use crate::Gone;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn server(executable: Option<&str>, arguments_sha256: Option<[u8; 32]>) -> HeldStdio {
        HeldStdio {
            connection: "files".into(),
            executable: executable.map(str::to_owned),
            arguments_sha256,
        }
    }

    fn program() -> ProgramFacts {
        ProgramFacts {
            process: ProcessFacts {
                pid: 7,
                started_ticks: 1,
            },
            executable: "/bin/a".into(),
            executable_sha256: None,
            arguments_sha256: [1; 32],
            started_by: String::new(),
        }
    }

    #[test]
    fn only_what_is_registered_is_handed_over() {
        let program = program();
        for (registered, fits) in [
            (server(None, None), true),
            (server(Some("/bin/a"), None), true),
            (server(Some("/bin/a"), Some([1; 32])), true),
            (server(Some("/bin/b"), None), false),
            (server(Some("/bin/a"), Some([2; 32])), false),
        ] {
            let world = std::slice::from_ref(&registered);
            let outcome = check(world, "files", Some(&program));
            assert_eq!(outcome.is_ok(), fits, "{registered:?}: {outcome:?}");
            assert!(check(world, "files", None).is_ok());
        }
        let error = check(&[server(None, None)], "other", None).unwrap_err();
        assert!(error.contains("weir connection add other"), "{error}");
    }

    fn sleeper() -> Child {
        Command::new("sleep")
            .arg("600")
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// A loop that grants everything and tells what it was asked.
    fn granting(path: &Path) -> Receiver<(String, WorkloadFacts, Option<ProgramFacts>)> {
        let attestor = Arc::new(Attestor::new("/sys/fs/cgroup".into(), Gone::Refuse));
        let (events, inbox) = mpsc::sync_channel(1);
        serve(path, &attestor, &events).unwrap();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            while let Ok(Event::Stdio(asked)) = inbox.recv() {
                let Asked {
                    connection,
                    caller,
                    program,
                    answer,
                } = *asked;
                let ends = vec![stream_pair().unwrap().0, stream_pair().unwrap().0];
                tell.send((connection, caller, program)).unwrap();
                answer.send(Ok(ends)).unwrap();
            }
        });
        told
    }

    #[test]
    fn who_asks_and_what_it_has_started_is_as_the_kernel_has_it() {
        use sha2::{Digest as _, Sha256};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SOCKET);
        let told = granting(&path);
        let flow = |pid| Ask::Flow {
            connection: "files".into(),
            pid,
        };
        let mut child = sleeper();
        let (answer, ends) = ask(&path, &flow(child.id()), PATIENCE).unwrap();
        assert_eq!((answer, ends.len()), (Answer::Granted, 2));
        let (connection, caller, program) = told.recv().unwrap();
        let program = program.unwrap();
        assert_eq!((&*connection, caller.pid), ("files", std::process::id()));
        let arguments: [u8; 32] = Sha256::digest(b"600\0").into();
        assert_eq!(program.arguments_sha256, arguments);
        let executable = std::fs::read_link(format!("/proc/{}/exe", child.id())).unwrap();
        assert_eq!(program.executable, executable.to_str().unwrap());
        assert_eq!(program.process.pid, child.id());
        // Not the asker's child: this process's own parent, and nobody.
        child.kill().unwrap();
        child.wait().unwrap();
        for pid in [std::os::unix::process::parent_id(), child.id(), 0] {
            let (answer, ends) = ask(&path, &flow(pid), PATIENCE).unwrap();
            assert!(
                matches!(answer, Answer::Refused { .. }),
                "{pid}: {answer:?}"
            );
            assert!(ends.is_empty());
        }
        assert!(told.try_recv().is_err(), "the loop was not even asked");
    }
}
