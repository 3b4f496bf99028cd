//! Standard input and output: threads of their own, since they may be files, pipes or
//! terminals, shared with others, which must not be made non-blocking.

use std::io::{Read as _, Write as _};
use std::thread;

use tokio::sync::{mpsc, oneshot};

use super::limits::{CLIENT_LINE_BYTES_MAX, WAITING_LINES_MAX};
use super::lines::{Line, Splitter};

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Lines of standard input; the channel ends with it.
pub(crate) fn input() -> std::io::Result<mpsc::Receiver<Line>> {
    let (sender, lines) = mpsc::channel(WAITING_LINES_MAX);
    thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let mut splitter = Splitter::new(CLIENT_LINE_BYTES_MAX);
            let (mut stdin, mut chunk) = (std::io::stdin().lock(), vec![0; CHUNK_BYTES]);
            loop {
                let read = match stdin.read(&mut chunk) {
                    Ok(read) => read,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    Err(_) => 0,
                };
                let input = chunk.get(..read).unwrap_or_default();
                let mut lines = splitter.feed(input);
                if input.is_empty() {
                    lines.extend(splitter.finish());
                }
                let gone = lines
                    .into_iter()
                    .any(|line| sender.blocking_send(line).is_err());
                if gone || input.is_empty() {
                    return;
                }
            }
        })?;
    Ok(lines)
}

/// Lines to standard output. The second tells when the last was written, after every sender
/// has gone.
pub(crate) fn output() -> std::io::Result<(mpsc::Sender<Vec<u8>>, oneshot::Receiver<()>)> {
    let (sender, mut lines) = mpsc::channel::<Vec<u8>>(WAITING_LINES_MAX);
    let (done, written) = oneshot::channel();
    thread::Builder::new()
        .name("stdout".to_owned())
        .spawn(move || {
            let mut stdout = std::io::stdout().lock();
            while let Some(mut line) = lines.blocking_recv() {
                line.push(b'\n');
                if stdout
                    .write_all(&line)
                    .and_then(|()| stdout.flush())
                    .is_err()
                {
                    break;
                }
            }
            let _ = done.send(());
        })?;
    Ok((sender, written))
}
